"""Earlier runs: the one before this, what it said of the same metrics, and which of its days have changed since."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import ibis.expr.types as ir

from launchpad_lib.contract.names import nearest
from launchpad_lib.page.output import metric_line


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

    def value_then(self, metric: dict) -> float | None:
        """The earlier run's value of the same metric and segment; None when it had none."""
        return self.values.get((metric["notebook"], metric["name"], metric["segment"]))


def rows_by_date(table: ir.Table, time_column: str) -> dict[str, int]:
    """Rows per UTC date, in order."""
    day = table[time_column].date().cast("string").name("day")
    counted = table.group_by(day).agg(rows=table.count()).order_by("day").to_pandas()
    return {str(d): int(n) for d, n in zip(counted["day"], counted["rows"], strict=True)}


def manifests(reports: Path) -> list[tuple[str, dict | None]]:
    """The published runs under a reports folder as (folder name, manifest), newest first; None where it
    cannot be read.
    """
    found = []
    for path in reports.glob("*/manifest.json"):
        if path.parent.name.startswith("."):
            continue  # a run that is not published
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            started_at = str(manifest["started_at"])
        except (ValueError, KeyError, TypeError, OSError):
            manifest, started_at = None, ""
        found.append((started_at, path.parent.name, manifest))
    return [(name, manifest) for _, name, manifest in sorted(found, key=lambda f: f[:2], reverse=True)]


def runs_of(reports: Path, name: str) -> list[dict]:
    """The readable manifests of the runs of one name, newest first."""
    return [m for _, m in manifests(reports) if m is not None and _name_of(m) == name]


def _name_of(manifest: dict) -> str | None:
    return manifest["params"].get("name") if isinstance(manifest.get("params"), dict) else None


def previous_manifest(reports: Path, name: str, *, before: str) -> dict | None:
    """The newest earlier run of the same name that did not fail and can be compared with; None when there is none."""
    good = (
        m
        for m in runs_of(reports, name)
        if m.get("status") in ("ok", "refused") and str(m["started_at"]) < before and _is_whole(m)
    )
    return next(good, None)


def last_good(reports: Path, run_name: str, notebook: str) -> str | None:
    """Relative address of the newest good page of this notebook in an earlier run of the same name."""
    for manifest in runs_of(reports, run_name):
        good = {n.get("name") for n in manifest.get("notebooks", []) if isinstance(n, dict) and n.get("status") == "ok"}
        if notebook in good and (reports / str(manifest["run_id"]) / f"{notebook}.html").is_file():
            return f"../{manifest['run_id']}/{notebook}.html"
    return None


def _is_whole(manifest: dict) -> bool:
    """Whether a manifest read from disk has the shape that `changes` reads; one damaged by hand must not end a later
    run.
    """
    metrics, inputs = manifest.get("metrics"), manifest.get("inputs")
    if not isinstance(manifest.get("run_id"), str) or not isinstance(metrics, list) or not isinstance(inputs, dict):
        return False
    keys = ("notebook", "name")
    is_listed = all(
        isinstance(m, dict)
        and all(isinstance(m.get(k), str) for k in keys)
        and isinstance(m.get("segment"), str | None)
        for m in metrics
    )
    has_numbers = is_listed and all(isinstance(m.get("value"), int | float | None) for m in metrics)
    by_date = [t.get("rows_by_date") or {} if isinstance(t, dict) else None for t in inputs.values()]
    return has_numbers and all(isinstance(d, dict) and all(isinstance(n, int) for n in d.values()) for d in by_date)


def changes(manifest: dict, before: dict | None) -> Changes | None:
    """What `before` said of this run's metrics, and which days it had closed have other rows now.

    A day is closed when rows of a later day had already come: the last day of a run is expected to grow.
    """
    if before is None:
        return None
    values = {(m["notebook"], m["name"], m.get("segment")): m.get("value") for m in before.get("metrics", [])}
    restated = []
    for table, now in manifest["inputs"].items():
        then = before.get("inputs", {}).get(table, {}).get("rows_by_date") or {}
        rows_now = now.get("rows_by_date") or {}
        if not then:
            continue
        last = max(then)
        for day in sorted(set(then) | {d for d in rows_now if d < last}):
            if day < last and then.get(day, 0) != rows_now.get(day, 0):
                restated.append(Restated(table, day, then.get(day, 0), rows_now.get(day, 0)))
    return Changes(str(before["run_id"]), values, restated)


def history_lines(reports: Path, name: str, *, metric: str | None = None) -> list[str]:
    """One line per run with its status and why a page of it failed or refused, then one per metric, segment and run.

    Oldest run first. Of a metric: value, interval, n, or why it was refused.

    Raises:
        ValueError: no such run, or no such metric in it.
    """
    of_name = [m for m in reversed(runs_of(reports, name)) if _is_whole(m)]
    if not of_name:
        names = sorted({str(_name_of(m)) for _, m in manifests(reports) if m is not None and _name_of(m)})
        raise ValueError(
            f"name={name!r}: no run of that name under {reports}; there are "
            f"{', '.join(names) or 'none yet (make report)'}"
        )
    rows = [(m["run_id"], k) for m in of_name for k in m.get("metrics", []) if metric in (None, k["name"])]
    if not rows and metric is not None:
        known = {k["name"] for m in of_name for k in m.get("metrics", [])}
        raise ValueError(f"metric={metric!r}: no run of {name} has it; {nearest(metric, known)}")
    rows.sort(key=lambda r: (r[1]["name"], str(r[1].get("segment"))))
    return [
        *(_run_line(m) for m in of_name),
        *(f"{run_id:32} {k['name']:32} {k.get('segment') or '':16} {metric_line(k)}" for run_id, k in rows),
    ]


def _run_line(manifest: dict) -> str:
    """A run, its status, and its pages that are not ok; a run from before there were refusals calls the
    reason `error`.
    """
    pages = [n for n in manifest.get("notebooks", []) if isinstance(n, dict) and n.get("status") != "ok"]
    told = [
        f"{n.get('name')} {n.get('status')}: {' '.join(str(n.get('reason') or n.get('error')).split())}" for n in pages
    ]
    return f"{manifest['run_id']:32} {manifest.get('status')!s:8} {'; '.join(told)}".rstrip()
