"""Two kept runs side by side: by what they were made, what they were asked, what they read, what they said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from launchpad_lib.contract.manifest import Manifest, MetricSaid
from launchpad_lib.page.output import metric_line

NOT_THERE = "not there"


class Difference(NamedTuple):
    """One thing that differs; a side that lacks it is `NOT_THERE`."""

    name: str
    one: Any
    other: Any


class Differences(NamedTuple):
    """Everything that differs between two runs, and how many numbers are the same in both."""

    made_by: tuple[Difference, ...]
    params: tuple[Difference, ...]
    inputs: tuple[Difference, ...]
    pages: tuple[Difference, ...]
    numbers: tuple[Difference, ...]
    same_numbers: int

    def as_json(self) -> dict[str, Any]:
        """As a JSON object."""
        parts = {name: [d._asdict() for d in getattr(self, name)] for name in self._fields if name != "same_numbers"}
        return {**parts, "same_numbers": self.same_numbers}

    def lines(self) -> list[str]:
        """One line per difference, under what it is of."""
        told = []
        for heading, part in (
            ("made by", self.made_by),
            ("parameters", self.params),
            ("read", self.inputs),
            ("pages", self.pages),
            ("numbers", self.numbers),
        ):
            told += [f"{heading}:", *(f"  {d.name}: {d.one} -> {d.other}" for d in part)] if part else []
        return [*told, f"{self.same_numbers:,} numbers are the same, {len(self.numbers):,} differ"]


def differences(one: Manifest, other: Manifest) -> Differences:
    """What differs, from the one to the other; a run's own id and times do not count."""
    first, second = numbers_of(one), numbers_of(other)
    differing = [k for k in dict.fromkeys([*first, *second]) if _number(first.get(k)) != _number(second.get(k))]
    is_whole = one.versions.notebooks is not None and other.versions.notebooks is not None
    return Differences(
        made_by=_differing(*(flat(_made(m, is_whole=is_whole)) for m in (one, other))),
        params=_differing(flat(one.params), flat(other.params)),
        inputs=_differing(_read(one), _read(other)),
        pages=_differing(_pages(one), _pages(other)),
        numbers=tuple(Difference(_called(k), _said(first.get(k)), _said(second.get(k))) for k in differing),
        same_numbers=len(first.keys() & second.keys()) - sum(k in first and k in second for k in differing),
    )


def numbers_of(manifest: Manifest) -> dict[tuple[str, str, str, int], MetricSaid]:
    """The headline numbers by notebook, name and segment; what stands twice under one name has a count."""
    found: dict[tuple[str, str, str, int], MetricSaid] = {}
    for metric in manifest.metrics:
        nth = 0
        while (key := (metric.notebook, metric.name, metric.segment or "", nth)) in found:
            nth += 1
        found[key] = metric
    return found


def _made(manifest: Manifest, *, is_whole: bool) -> dict[str, Any]:
    """By what; the notebooks only where both runs say so."""
    return manifest.versions.model_dump(exclude=None if is_whole else {"notebooks"})


def _number(metric: MetricSaid | None) -> tuple[Any, ...] | None:
    """All of it that is compared: a number is the same with its interval and its base, or as refused."""
    if metric is None:
        return None
    return metric.value, metric.ci_low, metric.ci_high, metric.n, metric.unit, metric.refused_because


def _said(metric: MetricSaid | None) -> str:
    return NOT_THERE if metric is None else metric_line(metric.model_dump()).removeprefix(f"{metric.label}: ")


def _called(key: tuple[str, str, str, int]) -> str:
    notebook, name, segment, nth = key
    return f"{notebook}.{name}{f' [{segment}]' if segment else ''}{f' ({nth + 1})' if nth else ''}"


def _read(manifest: Manifest) -> dict[str, Any]:
    """Per table what was read of it; rows by date only as far as they differ."""
    return flat({table: read.model_dump(exclude={"outside"}) for table, read in manifest.inputs.items()})


def _pages(manifest: Manifest) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for page in manifest.notebooks:
        found[page.name] = page.status if page.reason is None else f"{page.status} ({' '.join(page.reason.split())})"
        found[f"{page.name} verdict"] = page.verdict
        for nth, finding in enumerate(page.findings, 1):
            found[f"{page.name} finding {nth}"] = f"{finding.severity}, {finding.verb}: {finding.sentence}"
    return found


def flat(part: Any, at: str = "") -> dict[str, Any]:
    """Nested mappings and lists as one mapping with dotted names."""
    items = part.items() if isinstance(part, Mapping) else enumerate(part) if isinstance(part, list | tuple) else None
    if items is None or not part:
        return {at: part}
    found: dict[str, Any] = {}
    for name, value in items:
        found |= flat(value, f"{at}.{name}" if at else str(name))
    return found


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[Difference, ...]:
    names = dict.fromkeys([*one, *other])
    found = (Difference(name, one.get(name, NOT_THERE), other.get(name, NOT_THERE)) for name in names)
    return tuple(d for d in found if d.one != d.other)
