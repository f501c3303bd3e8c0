"""What `manifest.json` of a run holds: one declared model, by which it is written, read and documented.

`docs/manifest.schema.json` is made from it (`make glossary`), for the programs of others. A manifest names its
version; one of a newer version is told in one sentence and not guessed at.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from launchpad_lib.contract.findings import Severity, Verb

MANIFEST_VERSION = 1
"""The version that is written, and the newest that is read."""

Status = Literal["ok", "refused", "failed"]
"""Of a notebook, and of the run: the worst of its notebooks, in this order."""


class ManifestError(ValueError):
    """A manifest that cannot be read: one sentence with the field, the value and the rule."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RowsOutside(_Part):
    """Rows beside the observed window: in the lake, in no number."""

    where: str = Field(description="before or after the window")
    rows: int
    first_at: str = Field(description="UTC")
    last_at: str = Field(description="UTC")


class TableRead(_Part):
    """What was read of one table of the lake."""

    version: int | None = Field(description="version of the Delta table; null where the lake has none")
    rows: int = Field(description="within the observed window")
    observed_from: str | None = Field(default=None, description="UTC; first instant of the window")
    observed_through: str | None = Field(description="UTC; last instant of the window")
    outside: tuple[RowsOutside, ...] = Field(default=(), description="rows beside the window")
    rejected: int = Field(description="rows refused so far")
    incomplete: int = Field(default=0, description="events without id, user, name or instant, in no number")
    rows_by_date: dict[str, int] = Field(description="UTC date: rows, of events and telemetry")


class FindingSaid(_Part):
    """One finding of a page."""

    severity: Severity
    verb: Verb
    sentence: str
    feature_id: str | None = None
    anchor: str | None = Field(default=None, description="id of the heading that proves it")
    users: int | None = Field(default=None, description="hurt or concerned")
    since: str | None = Field(default=None, description="date")
    page: str = Field(description="notebook")


class DaySaid(_Part):
    """One point of a line beside a number: a day, or a week by its first day."""

    day: str = Field(description="date in the report's zone; of a week its first")
    value: float | None = Field(description="null is a gap, never 0")
    ci_low: float | None = None
    ci_high: float | None = None
    n: float | None = Field(default=None, description="denominator")
    is_complete: bool = Field(default=True, description="false where the data end within it, or its windows are open")


class ChangeSaid(_Part):
    """A headline number against the period before, computed in this run from one snapshot."""

    value: float | None = Field(description="this period - the one before, in the metric's own unit")
    ci_low: float | None = None
    ci_high: float | None = None
    period: str = Field(default="", description="for example 5 to 11 Jan")
    against: str = Field(default="", description="the period before")
    word: str = Field(description="rose, fell, moved by less than what matters, may have moved, or refused")
    smallest: float | None = Field(
        default=None, description="the smallest change that these data could show: with a chance of 80 %"
    )
    says: str | None = Field(default=None, description="one sentence with both periods and their bases")
    refused_because: str | None = None


class Cell(_Part):
    """One cell of the scorecard."""

    word: str = Field(
        description="a verdict word, a state word (degraded now, worse, fell silent, burns its budget, healthy, cannot "
        "tell), the shown value, `not asked` or `refused`"
    )
    severity: Severity
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    unit: str | None = None
    n: float | None = Field(default=None, description="denominator")
    limit: float | None = Field(default=None, description="the objective that the value is held against")
    says: str | None = Field(default=None, description="one sentence; where refused, the reason")
    page: str | None = Field(default=None, description="notebook that proves it")
    anchor: str | None = Field(default=None, description="id of the heading on that page")
    series: tuple[DaySaid, ...] = Field(default=(), description="p95 by day, or the users' share by day")


class FeatureRow(_Part):
    """One declared feature: used, worked, healthy, within its objective, changed."""

    feature_id: str
    feature_name: str
    owner_team: str | None = None
    stage: str | None = None
    severity: Severity = Field(description="the gravest of its cells that were asked")
    verb: Verb
    sentence: str = Field(description="why it stands where it stands")
    users: int | None = Field(default=None, description="used by in the last complete week")
    used: Cell
    worked: Cell
    health: Cell
    objective: Cell
    change: Cell


class NotebookRun(_Part):
    """One notebook of the run."""

    name: str
    title: str
    status: Status
    reason: str | None = Field(description="why it failed or refused")
    seconds: float
    html: str = Field(description="its page, beside the manifest")
    verdict: str | None = None
    findings: tuple[FindingSaid, ...] = ()
    notes: tuple[str, ...] = Field(default=(), description="by the analyst, in Markdown")


class MetricSaid(_Part):
    """One headline metric of the catalogue as a page showed it."""

    notebook: str
    name: str
    label: str
    value: int | float | None = Field(description="null exactly where refused_because says why")
    ci_low: int | float | None
    ci_high: int | float | None
    n: int | float | None = Field(description="denominator")
    unit: str
    segment: str | None
    higher_is_better: bool | None
    definition: str
    refused_because: str | None
    status: Literal["ok", "refused"]
    anchor: str | None = None
    change: ChangeSaid | None = Field(default=None, description="against the period before; null where not computed")
    series: tuple[DaySaid, ...] = Field(default=(), description="by day or week, on the number's own base")


class TableWritten(_Part):
    """One result table of the catalogue, written beside the manifest."""

    name: str
    notebook: str
    path: str
    rows: int
    columns: tuple[str, ...]


class FileWritten(_Part):
    """A file of the run's folder as it was published."""

    path: str = Field(description="beneath the run's folder, with /")
    sha256: str = Field(description="64 hexadecimal digits")
    size: int = Field(description="bytes")


class MadeBy(_Part):
    """By what the run was made."""

    commit: str | None
    lock_hash: str | None
    packages: dict[str, str]
    notebooks: dict[str, str] | None = Field(
        default=None, description="notebook: hash of what its cells say; null of a run from before it was kept"
    )


class Manifest(_Part):
    """`manifest.json` of a published run."""

    manifest_version: Literal[1] = 1
    run_id: str
    started_at: str = Field(description="ISO 8601 with offset")
    finished_at: str = Field(description="ISO 8601 with offset")
    status: Status
    params: dict[str, Any] = Field(description="the run's parameters, as checked; `name` is the run's name")
    inputs: dict[str, TableRead] = Field(description="table of the lake: what was read of it")
    notebooks: tuple[NotebookRun, ...]
    metrics: tuple[MetricSaid, ...]
    tables: tuple[TableWritten, ...] = ()
    scorecard: tuple[FeatureRow, ...] = Field(default=(), description="one per declared feature, worst first")
    verdict: str | None = Field(default=None, description="the run in one sentence")
    versions: MadeBy
    files: tuple[FileWritten, ...] | None = Field(
        default=None,
        description="every file of the folder but this one; null of a run from before there were checksums",
    )

    @property
    def name(self) -> str | None:
        """The run's name, by which runs are compared."""
        said = self.params.get("name")
        return said if isinstance(said, str) else None


def manifest_text(manifest: Manifest) -> str:
    """The manifest as it is written."""
    return json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False)


def manifest_schema() -> str:
    """The JSON schema of what is written: `docs/manifest.schema.json`."""
    schema = Manifest.model_json_schema(mode="serialization")
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def read_manifest(text: str) -> Manifest:
    """The manifest that a run wrote, also one from before manifests had versions.

    Raises:
        ManifestError: no JSON, a newer version, or a field that does not fit.

    >>> read_manifest('{"manifest_version": 2}')
    Traceback (most recent call last):
    launchpad_lib.contract.manifest.ManifestError: manifest_version=2: this program reads up to 1; upgrade it
    """
    try:
        said = json.loads(text)
    except ValueError:
        raise ManifestError("manifest.json: is no JSON; remove the run or make it again") from None
    if not isinstance(said, dict):
        raise ManifestError("manifest.json: is no JSON object; remove the run or make it again")
    version = said.get("manifest_version", 0)
    if isinstance(version, int) and version > MANIFEST_VERSION:
        raise ManifestError(f"manifest_version={version}: this program reads up to {MANIFEST_VERSION}; upgrade it")
    try:
        return Manifest.model_validate(said if version else _of_before(said))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        shown = "" if first["type"] == "missing" else f"={str(first['input'])[:60]!r}"
        raise ManifestError(f"{where}{shown}: {first['msg']}; remove the run or make it again") from None


def _of_before(said: dict[str, Any]) -> dict[str, Any]:
    """A manifest without a version: `error` is where `reason` is now, and what was not yet said is left out."""
    mended = dict(said)
    if isinstance(said.get("notebooks"), list):
        mended["notebooks"] = [_notebook_of_before(n) if isinstance(n, dict) else n for n in said["notebooks"]]
    if isinstance(said.get("metrics"), list):
        mended["metrics"] = [
            {"status": "refused" if m.get("refused_because") else "ok"} | m if isinstance(m, dict) else m
            for m in said["metrics"]
        ]
    return mended


def _notebook_of_before(notebook: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in notebook.items() if k not in ("error", "answers")}
    return {"reason": notebook.get("error")} | kept
