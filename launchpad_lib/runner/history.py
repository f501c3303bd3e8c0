"""Earlier runs: the one before this, what it said of the same metrics, and which of its days have changed since."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import ibis.expr.types as ir

from launchpad_lib.contract.manifest import Manifest, ManifestError, MetricSaid, read_manifest
from launchpad_lib.contract.names import nearest
from launchpad_lib.page.output import metric_line
from launchpad_lib.runner.kept_runs import MANIFEST
from launchpad_lib.runner.run_records import RunRecord, run_records


class Restated(NamedTuple):
    """A day that an earlier run had reported and that now has another number of rows."""

    table: str
    day: str
    rows_then: int
    rows_now: int


class Changes(NamedTuple):
    """What an earlier run said: `values` by (notebook, metric, segment), and the days restated since."""

    run_id: str
    values: dict[tuple[str, str, str | None], float | None]
    restated: list[Restated]

    def value_then(self, metric: MetricSaid) -> float | None:
        """The earlier run's value of the same metric and segment; None when it had none."""
        return self.values.get((metric.notebook, metric.name, metric.segment))


class Kept(NamedTuple):
    """A run's folder under a reports folder, and its manifest, or why that cannot be read."""

    folder: str
    manifest: Manifest | None
    fault: str | None


def rows_by_date(table: ir.Table, time_column: str) -> dict[str, int]:
    """Rows per UTC date, in order."""
    day = table[time_column].date().cast("string").name("day")
    counted = table.group_by(day).agg(rows=table.count()).order_by("day").to_pandas()
    return {str(d): int(n) for d, n in zip(counted["day"], counted["rows"], strict=True)}


def manifests(reports: Path) -> list[Kept]:
    """The published runs under a reports folder, newest first; those that cannot be read last."""
    found = []
    for path in sorted(reports.glob("*/manifest.json")):
        if path.parent.name.startswith("."):
            continue  # a run that is not published
        try:
            found.append(Kept(path.parent.name, read_manifest(path.read_text(encoding="utf-8")), None))
        except (ManifestError, UnicodeDecodeError) as error:
            told = str(error) if isinstance(error, ManifestError) else "manifest.json: is no UTF-8; remove the run"
            found.append(Kept(path.parent.name, None, told))
        except OSError as error:
            found.append(Kept(path.parent.name, None, f"manifest.json: cannot be read ({error.strerror})"))
    return sorted(found, key=lambda k: (k.manifest.started_at if k.manifest else "", k.folder), reverse=True)


def runs_of(reports: Path, name: str) -> list[Manifest]:
    """The readable manifests of the runs of one name, newest first."""
    return [k.manifest for k in manifests(reports) if k.manifest is not None and k.manifest.name == name]


def previous_manifest(reports: Path, name: str, *, before: str) -> Manifest | None:
    """The newest earlier run of the same name that did not fail; None when there is none."""
    for run in _records_of(reports, name):
        if run.status != "failed" and run.started_at < before:
            try:
                return read_manifest((reports / run.folder / MANIFEST).read_text(encoding="utf-8"))
            except (ManifestError, UnicodeDecodeError, OSError):
                continue  # removed or damaged meanwhile
    return None


def last_good(reports: Path, run_name: str, notebook: str) -> str | None:
    """Relative address of the newest good page of this notebook in an earlier run of the same name."""
    for run in _records_of(reports, run_name):
        good = {page["name"] for page in run.pages if page["status"] == "ok"}
        if notebook in good and (reports / run.run_id / f"{notebook}.html").is_file():
            return f"../{run.run_id}/{notebook}.html"
    return None


def _records_of(reports: Path, name: str) -> list[RunRecord]:
    """The readable runs of one name, newest first, without their manifests being read again."""
    return [run for run in run_records(reports) if run.fault is None and run.name == name]


def changes(manifest: Manifest, before: Manifest | None) -> Changes | None:
    """What `before` said of this run's metrics, and which days it had closed have other rows now.

    A day is closed when rows of a later day had already come: the last day of a run is expected to grow.
    """
    if before is None:
        return None
    restated = []
    for table, now in manifest.inputs.items():
        then = before.inputs[table].rows_by_date if table in before.inputs else {}
        if not then:
            continue
        last = max(then)
        for day in sorted(set(then) | {d for d in now.rows_by_date if d < last}):
            if day < last and then.get(day, 0) != now.rows_by_date.get(day, 0):
                restated.append(Restated(table, day, then.get(day, 0), now.rows_by_date.get(day, 0)))
    return Changes(before.run_id, {(m.notebook, m.name, m.segment): m.value for m in before.metrics}, restated)


def history_lines(reports: Path, name: str, *, metric: str | None = None) -> list[str]:
    """One line per run with its status and why a page of it failed or refused, then one per metric, segment and run.

    Oldest run first; before them the runs whose manifest cannot be read. Of a metric: value, interval, n, or why it was
    refused.

    Raises:
        ValueError: no such run, or no such metric in it.
    """
    kept = manifests(reports)
    of_name, rows = _of_name(reports, name, kept, metric)
    rows.sort(key=lambda r: (r[1].name, str(r[1].segment)))
    return [
        *(f"{k.folder:32} unreadable {k.fault}" for k in kept if k.fault),
        *(_run_line(m) for m in of_name),
        *(f"{run_id:32} {k.name:32} {k.segment or '':16} {metric_line(k.model_dump())}" for run_id, k in rows),
    ]


def history_rows(reports: Path, name: str, *, metric: str | None = None) -> tuple[list[str], list[tuple[object, ...]]]:
    """Column names, and one row per run and headline number, oldest run first.

    Raises:
        ValueError: no such run, or no such metric in it.
    """
    of_name, rows = _of_name(reports, name, manifests(reports), metric)
    started = {m.run_id: (m.started_at, m.status) for m in of_name}
    own = ["notebook", "name", "label", "segment", "value", "ci_low", "ci_high", "n", "unit", "refused_because"]
    told = [(run_id, *started[run_id], *(getattr(k, column) for column in own)) for run_id, k in rows]
    return ["run_id", "started_at", "run_status", *own], told


def _of_name(
    reports: Path, name: str, kept: list[Kept], metric: str | None
) -> tuple[list[Manifest], list[tuple[str, MetricSaid]]]:
    """The readable runs of a name, oldest first, and their numbers."""
    of_name = list(reversed([k.manifest for k in kept if k.manifest is not None and k.manifest.name == name]))
    if not of_name:
        names = sorted({k.manifest.name for k in kept if k.manifest is not None and k.manifest.name})
        raise ValueError(
            f"name={name!r}: no run of that name under {reports}; there are "
            f"{', '.join(names) or 'none yet (launchpad report)'}{_unreadable(kept)}"
        )
    rows = [(m.run_id, k) for m in of_name for k in m.metrics if metric in (None, k.name)]
    if not rows and metric is not None:
        known = {k.name for m in of_name for k in m.metrics}
        raise ValueError(f"metric={metric!r}: no run of {name} has it; {nearest(metric, known)}")
    return of_name, rows


def _unreadable(kept: list[Kept]) -> str:
    """Why a run that somebody looks for may be missing."""
    faults = [f"{k.folder} ({k.fault})" for k in kept if k.fault]
    return f"; {len(faults)} cannot be read, as {faults[0]}" if faults else ""


def _run_line(manifest: Manifest) -> str:
    """A run, its status, and its pages that are not ok with why."""
    told = [f"{n.name} {n.status}: {' '.join(str(n.reason).split())}" for n in manifest.notebooks if n.status != "ok"]
    return f"{manifest.run_id:32} {manifest.status:8} {'; '.join(told)}".rstrip()
