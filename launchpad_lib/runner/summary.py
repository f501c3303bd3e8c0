"""What the index of a run shows, from its manifest alone: the verdict, what to do, each feature, the numbers.

Nothing is computed anew and no sentence is made of data: findings are chosen and ordered, numbers are those of the
manifest. An older manifest without a scorecard gives fewer parts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, get_args
from urllib.parse import quote

from markupsafe import Markup

from launchpad_lib.contract.findings import Severity
from launchpad_lib.contract.manifest import Cell, FeatureRow, FindingSaid, Manifest, MetricSaid, NotebookRun
from launchpad_lib.contract.sentences import counted, listed
from launchpad_lib.page.output import short
from launchpad_lib.page.sparks import band_chart, spark
from launchpad_lib.runner.summary_words import address, date_words, page_name, parted

TASKS, CHECKS, TILES = 3, 4, 6
MOST_SPARK = 3.0
"""The scale of the line of a feature ends at so many times its objective, so that one outage flattens no other line."""

GLYPHS: dict[str, str] = {"act": "●", "watch": "▲", "unknown": "○", "fine": "✓"}
ORDER = get_args(Severity)
ASIDE = re.compile(r"(\([^()]*\))(?![^“]*”)")


class PageSaid(NamedTuple):
    """One page of the run in the navigation and in the list of answers."""

    short: str
    title: str
    href: str
    open_findings: int
    status: str
    verdict: str | None
    reason: str | None


class Task(NamedTuple):
    """One thing to do: the finding's first clause, the rest, and where it is proved."""

    severity: str
    verb: str
    headline: str
    detail: str
    href: str

    @property
    def parts(self) -> list[tuple[str, bool]]:
        """The headline in pieces, and whether each is an aside in brackets."""
        pieces = ASIDE.split(self.headline)
        return [(text, i % 2 == 1) for i, text in enumerate(pieces) if text]


class Check(NamedTuple):
    """One line of the trust strip."""

    severity: str
    text: str
    href: str


class Row(NamedTuple):
    """One feature with the line of its p95 in units of its objective."""

    feature: FeatureRow
    line: Markup


class Tile(NamedTuple):
    """One headline number with its line by day."""

    metric: MetricSaid
    href: str
    line: Markup


class Doubt(NamedTuple):
    """What is refused, and why."""

    what: str
    why: str
    href: str


class Summary(NamedTuple):
    """The index of one run, in the order in which it is read."""

    verdict: str
    pages: list[PageSaid]
    checks: list[Check]
    tasks: list[Task]
    also: list[Task]
    rows: list[Row]
    tiles: list[Tile]
    doubts: list[Doubt]
    unsettled: list[Task]
    numbers: list[tuple[str, list[MetricSaid]]]
    periods: str | None
    period: str | None


def summary(manifest: Manifest) -> Summary:
    """The parts of a run's index."""
    findings = [f for n in manifest.notebooks if n.status != "failed" for f in n.findings]
    asked = _one_per_feature([f for f in findings if f.severity == "act"], manifest)
    watched = [f for f in findings if f.severity == "watch" and f.page != QUALITY]  # those of the data stand above
    # To look is no task of the first three: what asks for a decision comes before it.
    first = _first(asked + [f for f in watched if f.verb != "look"])
    rest = [f for f in asked + watched if f not in first]
    tiles = _tiles(manifest)
    return Summary(
        verdict=manifest.verdict or _verdict(manifest, asked),
        pages=[_page(n) for n in manifest.notebooks],
        checks=_checks(manifest),
        tasks=[_task(f) for f in first],
        also=[_task(f) for f in rest],
        rows=_rows(manifest),
        tiles=tiles,
        doubts=_doubts(manifest),
        unsettled=[_task(f) for f in findings if f.severity == "unknown"],
        numbers=_numbers(manifest),
        periods=_periods(tiles),
        period=_period(manifest),
    )


QUALITY = "data_quality"


def _task(finding: FindingSaid) -> Task:
    headline, detail = parted(finding.sentence)
    users = counted(finding.users, "user") if finding.users is not None else ""
    if users and users not in finding.sentence:
        detail = f"{detail.removesuffix('.')}. {users}." if detail else f"{users}."
    href = address(finding.page, finding.anchor)
    return Task(finding.severity, finding.verb, headline, detail, href)


def _one_per_feature(findings: Sequence[FindingSaid], manifest: Manifest) -> list[FindingSaid]:
    """Of each feature its first finding in the order of the pages, those of the most users first.

    A feature that got slower is degraded, too: that is one thing to do.
    """
    first: dict[str, FindingSaid] = {}
    others = []
    for finding in findings:
        if finding.feature_id is None:
            others.append(finding)
        else:
            first.setdefault(finding.feature_id, finding)
    rank = {row.feature_id: i for i, row in enumerate(manifest.scorecard)}
    kept = [*first.values(), *others]
    return sorted(kept, key=lambda f: (rank.get(f.feature_id or "", len(rank)) if rank else 0, -(f.users or 0)))


def _first(findings: Sequence[FindingSaid]) -> list[FindingSaid]:
    """The first three; the third is what asks for somebody and is of no feature, if the others would hide it.

    Every feature has a row of its own below, an experiment that must stop has none.
    """
    apart = [f for f in findings[TASKS:] if f.severity == "act" and f.feature_id is None]
    if apart and all(f.feature_id is not None for f in findings[:TASKS]):
        return [*findings[: TASKS - 1], apart[0]]
    return list(findings[:TASKS])


def _verdict(manifest: Manifest, asked: Sequence[FindingSaid]) -> str:
    """Where no scorecard was made: what is open, and never that all is well."""
    failed = [n for n in manifest.notebooks if n.status == "failed"]
    if failed:
        return f"{listed([page_name(n.title) for n in failed])} failed, so this run does not say all."
    if asked:
        return f"{counted(len(asked), 'finding')} {'asks' if len(asked) == 1 else 'ask'} for somebody now."
    return "No page found what asks for somebody now; what could not be told stands below."


def _page(notebook: NotebookRun) -> PageSaid:
    waiting = sum(f.severity in ("act", "watch") for f in notebook.findings)
    return PageSaid(
        page_name(notebook.title),
        notebook.title,
        quote(notebook.html),
        0 if notebook.status == "failed" else waiting,
        notebook.status,
        notebook.verdict,
        notebook.reason,
    )


def _checks(manifest: Manifest) -> list[Check]:
    """The findings of the data's own page, those that need a look first; at most four."""
    found = [f for n in manifest.notebooks if n.name == QUALITY and n.status == "ok" for f in n.findings]
    found = sorted(found, key=lambda f: ORDER.index(f.severity))
    # What is unknown of the data stands on their own page and among what could not be told.
    shown = [f for f in found if f.severity != "unknown"][:CHECKS]
    return [Check(f.severity, parted(f.sentence)[0], address(f.page, f.anchor)) for f in shown]


def _rows(manifest: Manifest) -> list[Row]:
    """The features as the scorecard has them, each with its line on one scale."""
    ratios = {r.feature_id: _of_objective(r.objective) for r in manifest.scorecard}
    known = [v for line in ratios.values() for v in line if v is not None]
    top = min(max([1.2, *known]), MOST_SPARK)
    return [Row(r, spark(ratios[r.feature_id], top=top, limit=1)) for r in manifest.scorecard]


def _of_objective(cell: Cell) -> list[float | None]:
    if not cell.limit:
        return []
    return [None if d.value is None else d.value / cell.limit for d in cell.series]


def _tiles(manifest: Manifest) -> list[Tile]:
    """Headline numbers with a line or a change first; else the first of each page."""
    told = [k for k in manifest.metrics if k.status == "ok"]
    moving = [k for k in told if k.series or (k.change and k.change.value is not None)]
    if not moving:
        by_page: dict[str, MetricSaid] = {}
        for metric in told:
            by_page.setdefault(metric.notebook, metric)
        moving = list(by_page.values())
    return [Tile(k, address(k.notebook, k.anchor), _line(k)) for k in moving[:TILES]]


def _line(metric: MetricSaid) -> Markup:
    is_share = metric.unit == "fraction"
    written = partial(_axis, unit=metric.unit)
    return band_chart(metric.series, name=metric.label, written=written, is_share=is_share)


def _axis(value: float, unit: str) -> str:
    """A number at an axis: without the decimals that it does not need.

    >>> _axis(0.5, "fraction"), _axis(0.475, "fraction"), _axis(250, "ms")
    ('50 %', '48 %', '250 ms')
    """
    return "0 %" if unit == "fraction" and value == 0 else short(value, unit)


def _doubts(manifest: Manifest) -> list[Doubt]:
    """Pages that are refused or failed, and numbers that are refused: those of one reason together."""
    pages = [
        Doubt(page_name(n.title), n.reason or "no reason is given", quote(n.html))
        for n in manifest.notebooks
        if n.status != "ok" and not (n.reason or "").startswith("not asked")
    ]
    by_reason: dict[tuple[str, str | None], list[MetricSaid]] = {}
    for metric in manifest.metrics:
        if metric.refused_because and not metric.refused_because.startswith("not asked"):
            by_reason.setdefault((metric.refused_because, metric.segment), []).append(metric)
    numbers = []
    for (reason, segment), metrics in by_reason.items():
        what = metrics[0].label if len(metrics) == 1 else f"{metrics[0].label} and {len(metrics) - 1} more"
        numbers.append(
            Doubt(f"{what}, {segment}" if segment else what, reason, address(metrics[0].notebook, metrics[0].anchor))
        )
    return pages + numbers


def _numbers(manifest: Manifest) -> list[tuple[str, list[MetricSaid]]]:
    """All numbers, by page."""
    titles = {n.name: page_name(n.title) for n in manifest.notebooks}
    by_page: dict[str, list[MetricSaid]] = {}
    for metric in manifest.metrics:
        by_page.setdefault(metric.notebook, []).append(metric)
    return [(titles.get(page, page), metrics) for page, metrics in by_page.items()]


def _period(manifest: Manifest) -> str | None:
    """The days of the events that were read."""
    read = manifest.inputs.get("events")
    if read is None or not read.observed_from or not read.observed_through:
        return None
    return f"{date_words(read.observed_from)} to {date_words(read.observed_through)}"


def _periods(tiles: Sequence[Tile]) -> str | None:
    """Which period is held against which, where it is the same for every tile: then it is said once."""
    told = {(c.period, c.against) for t in tiles if (c := t.metric.change) is not None and c.value is not None}
    return "{} against {}".format(*told.pop()) if len(told) == 1 else None
