"""Whether an alert rule holds in one run: from its manifest and its tables, for each thing that it can be said of."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from launchpad_lib.contract.catalogue import METRICS
from launchpad_lib.contract.manifest import Manifest, MetricSaid
from launchpad_lib.contract.sentences import named
from launchpad_lib.page.output import formatted, formatted_span
from launchpad_lib.runner.alert_rules import AlertRule, When, time_column
from launchpad_lib.runner.summary_words import parted

IDENTITY = (
    "feature_id", "unit", "experiment_id", "variant", "metric", "compare", "estimand", "design", "table_name", "column",
    "aspect", "check", "signal", "segment", "scope", "group", "event_name", "step_name", "counted", "quantity",
)  # fmt: skip
"""The columns that say of what a row of a result table is."""


class Run(NamedTuple):
    """A published run."""

    manifest: Manifest
    folder: Path

    @property
    def names(self) -> dict[str, str]:
        """feature_id: what people call it."""
        return {row.feature_id: row.feature_name for row in self.manifest.scorecard}


class Judged(NamedTuple):
    """A rule held against one thing: whether it holds (None: the run cannot tell), in words, and where it is proved."""

    subject: str
    feature_id: str | None
    holds: bool | None
    says: str
    more: str = ""
    page: str | None = None
    anchor: str | None = None


class Judgement(NamedTuple):
    """A rule held against a run. `why_not`: why there is nothing to hold it against."""

    judged: tuple[Judged, ...]
    why_not: str | None = None


def judge(rule: AlertRule, run: Run) -> Judgement:
    """What a run says of a rule, without looking at earlier runs."""
    kind, _, rest = rule.metric.partition(".")
    if rule.metric in METRICS:
        return _of_metric(rule, run)
    if kind == "finding":
        return _of_findings(rule, run, page=rest or None)
    return _of_table(rule, run, table=kind, column=rest)


def _of_metric(rule: AlertRule, run: Run) -> Judgement:
    called = {rule.feature, run.names.get(rule.feature or "")}
    said = [m for m in run.manifest.metrics if m.name == rule.metric]
    asked = [m for m in said if rule.feature is None or m.segment in called]
    if not asked:
        whose = f" of {named(rule.feature)}" if said and rule.feature else ""
        return Judgement((), f"no page of this run says {rule.metric}{whose}")
    ids = {name: feature for feature, name in run.names.items()} | {f: f for f in run.names}
    return Judgement(tuple(_of_number(rule, m, ids.get(m.segment or ""), run.names) for m in asked))


def _of_number(rule: AlertRule, metric: MetricSaid, feature_id: str | None, names: dict[str, str]) -> Judged:
    whose = names.get(feature_id or "", metric.segment or "")
    label = f"{named(whose)}: {metric.label}" if whose and whose not in metric.label else metric.label
    holds, value = _held(rule, metric)
    if metric.value is None:
        says = f"{label}: refused, {metric.refused_because}"
    else:
        says = f"{label}: {formatted(metric.value, metric.unit)}"
        if metric.ci_low is not None and metric.ci_high is not None:
            says += f" ({formatted_span(metric.ci_low, metric.ci_high, metric.unit)})"
    change = metric.change.says if metric.change is not None and metric.change.says else ""
    if value is not None:
        says += f", asked: {rule.when}"
    return Judged(metric.segment or "", feature_id, holds, says, change, metric.notebook, metric.anchor)


def _held(rule: AlertRule, metric: MetricSaid) -> tuple[bool | None, float | None]:
    """Whether the rule holds of a headline number, and the number that was compared."""
    asked, change = rule.condition, metric.change
    if asked.words:
        if "refused" in asked.words and metric.status == "refused":
            return True, None
        words = set(asked.words) - {"refused"}
        if not words:
            return False, None
        if change is None or change.value is None:
            return None, None
        return bool(words & _words(change.word, metric.higher_is_better)), None
    if asked.of_change:
        value, bounds = (change.value, (change.ci_low, change.ci_high)) if change is not None else (None, (None, None))
    elif rule.lasts.unit == "bucket" and rule.lasts.number > 1:
        return _lasting([d.value for d in metric.series if d.is_complete], asked, rule.lasts.number), metric.value
    else:
        value, bounds = metric.value, (metric.ci_low, metric.ci_high)
    if rule.sure:
        compared = bounds[0] if (asked.sign or "").startswith(">") else bounds[1]
        return asked.holds(compared), value
    return asked.holds(value), value


def _words(word: str, higher_is_better: bool | None) -> set[str]:
    """What a change is called: rose or fell, and whether that is worse or better."""
    if word not in ("rose", "fell") or higher_is_better is None:
        return {word}
    return {word, "better" if (word == "rose") == higher_is_better else "worse"}


def _lasting(values: Iterable[Any], asked: When, number: int) -> bool | None:
    """Whether the condition holds of each of the last known values; None where there are fewer."""
    held = [h for v in values if (h := asked.holds(v)) is not None][-number:]
    if held and not held[-1]:
        return False
    return all(held) if len(held) == number else None


def _of_findings(rule: AlertRule, run: Run, *, page: str | None) -> Judgement:
    pages = [n for n in run.manifest.notebooks if page in (None, n.name)]
    if not pages:
        return Judgement((), f"this run has no page {page}")
    found: dict[str, Judged] = {}
    for one in (p for p in pages if p.status != "failed"):
        for f in one.findings:
            if f.severity not in rule.condition.words or (rule.feature is not None and f.feature_id != rule.feature):
                continue
            subject = f.feature_id or f"page {one.name}"
            headline, detail = parted(f.sentence)
            found.setdefault(subject, Judged(subject, f.feature_id, True, headline, detail, one.name, f.anchor))
    return Judgement(tuple(found.values()), None if found else "no page found it")


def _of_table(rule: AlertRule, run: Run, *, table: str, column: str) -> Judgement:
    written = next((t for t in run.manifest.tables if t.name == table), None)
    if written is None:
        return Judgement((), f"no page of this run wrote the table {table}")
    if column not in written.columns:
        return Judgement((), f"the table {table} of this run has no column {column}; it is of an earlier version")
    rows = pq.read_table(run.folder / written.path).to_pylist()
    by_subject: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        feature = row.get("feature_id", row.get("unit"))
        if row.get("ended_at") is not None or row.get("is_current") is False:
            continue  # it is over
        if rule.feature in (None, feature):
            known = [str(row[c]) for c in IDENTITY if c != column and row.get(c) is not None]
            by_subject.setdefault(" ".join(known), []).append(row)
    if not by_subject:
        whose = f" of {named(rule.feature)}" if rule.feature else ""
        return Judgement((), f"the table {table} has no row{whose} that is not over")
    at, page, names = time_column(table), written.notebook, run.names
    newest = None if at is None else max(str(row.get(at)) for row in rows)
    judged = []
    for subject, own in by_subject.items():
        told = own if at is None else sorted(own, key=lambda row: str(row.get(at)))
        one = _of_rows(rule, told, subject=subject, at=at, page=page, names=names)
        # It is judged at the run's instant, not at its own last row.
        is_stale = at is not None and str(told[-1].get(at)) != newest
        judged.append(one._replace(holds=None, more="It has no later row.") if is_stale else one)
    return Judgement(tuple(judged))


def _of_rows(
    rule: AlertRule, rows: list[dict[str, Any]], *, subject: str, at: str | None, page: str, names: dict[str, str]
) -> Judged:
    """One thing: where it has a row for each bucket the newest known ones count, else any of its rows."""
    column, asked = rule.metric.partition(".")[2], rule.condition
    known = [row for row in rows if asked.holds(row[column]) is not None]
    if not known:
        holds, shown = None, rows[-1]
    elif at is not None:
        holds, shown = (
            _lasting((row[column] for row in rows), asked, rule.lasts.number if _counts(rule) else 1),
            known[-1],
        )
    else:
        holding = [row for row in known if asked.holds(row[column])]
        holds, shown = bool(holding), (holding or known)[0]
    feature = shown.get("feature_id")
    rest = [str(shown[c]) for c in IDENTITY[1:] if c != column and shown.get(c) is not None]
    called = " ".join([named(names.get(str(feature), feature))] * (feature is not None) + [named(r) for r in rest])
    when = f" ({str(shown[at])[:16]})" if at is not None and shown.get(at) is not None else ""
    value = shown[column]
    says = f"{called}: " if called else ""
    says += (
        _shown(value) if column in ("health", "worked", "state", "verdict") else f"{column} is {_shown(value)}{when}"
    )
    says += f", asked: {rule.when}" if asked.sign else ""
    cell = column.split("_")[0]
    more = shown.get(f"{cell}_says") or shown.get("sentence") or shown.get("reason") or shown.get("refused_because")
    page = shown.get(f"{cell}_page") or page
    return Judged(subject, feature, holds, says, str(more or ""), page, shown.get(f"{cell}_anchor"))


def _counts(rule: AlertRule) -> bool:
    return rule.lasts.unit == "bucket"


def _shown(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return str(value).lower()
    return formatted(float(value), "score") if isinstance(value, float) else str(value)
