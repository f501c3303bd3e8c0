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
