"""A headline number against the period before: its interval, its word, and the smallest change that could be shown.

The headline changes of one page are corrected together (Benjamini and Hochberg, 5 %): one whose interval excludes 0 and
that does not stand after it *may have moved*. Intervals are 95 % each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from launchpad_lib.contract.estimates import Estimate
from launchpad_lib.contract.manifest import ChangeSaid, DaySaid
from launchpad_lib.contract.wording import is_missing, percent, points
from launchpad_lib.findings.change import Change, changed
from launchpad_lib.findings.scorecard_correction import ALPHA, smallest_change
from launchpad_lib.inference.multiplicity import benjamini_hochberg

DAYS_DRAWN = 60


class Moved(NamedTuple):
    """A headline number of two periods, before it is corrected for how many there are.

    `period, against`: the periods in words; `bases`: their values and denominators in words. Without a p value the
    interval decides by itself: it is the only one of its page.
    """

    value: float | None
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    period: str
    against: str
    bases: str
    unit: str = "fraction"
    refused_because: str | None = None


def not_moved(reason: str) -> Moved:
    """No change, and why."""
    return Moved(None, None, None, None, "", "", "", refused_because=reason)


def rates_moved(row: Mapping[str, Any], *, period: str, against: str, units: str) -> Moved:
    """A row of `inference.compare_rates`; refused as the row is."""
    reason = row.get("refused_because")
    if not is_missing(reason) or is_missing(row["absolute_lift"]):
        return not_moved(str(reason) if not is_missing(reason) else "nobody is counted in one of the two periods")
    sides = [f"{percent(row[f'rate_{s}'])} of {int(row[f'n_{s}']):,}" for s in ("before", "after")]
    return Moved(
        value=float(row["absolute_lift"]),
        ci_low=_number(row["ci_low"]),
        ci_high=_number(row["ci_high"]),
        p_value=_number(row.get("p_value")),
        period=period,
        against=against,
        bases=f"from {sides[0]} to {sides[1]} {units}",
    )


def changes_said(moved: Mapping[Any, Moved], *, smallest: float = 0.0) -> dict[Any, ChangeSaid]:
    """Each change with its word, corrected over those given.

    Args:
        smallest: a change of a rate known to be smaller counts as none.
    """
    tests = {name: one.p_value for name, one in moved.items() if one.p_value is not None}
    q = dict(zip(tests, benjamini_hochberg([float(p) for p in tests.values()]), strict=True))
    level = ALPHA / max(len(tests), 1)
    return {name: _said(one, q.get(name), level, smallest) for name, one in moved.items()}


def _said(one: Moved, q: float | None, level: float, smallest: float) -> ChangeSaid:
    if one.value is None:
        return ChangeSaid(value=None, word="refused", refused_because=one.refused_because)
    limits = one.ci_low, one.ci_high
    kind = changed(Estimate(one.value, *limits), smallest if one.unit == "fraction" else 0.0)
    if kind in (Change.UP, Change.DOWN) and q is not None and q > ALPHA:
        kind = Change.OPEN
    size = points(one.value, *limits) if one.unit == "fraction" else _plain(one)
    return ChangeSaid(
        value=one.value,
        ci_low=one.ci_low,
        ci_high=one.ci_high,
        period=one.period,
        against=one.against,
        word=kind.value,
        smallest=None if None in limits else smallest_change(*(float(v or 0) for v in limits), level=level),
        says=f"{size}, {one.period} against {one.against}: {one.bases}.",
    )


def _plain(one: Moved) -> str:
    span = "" if one.ci_low is None or one.ci_high is None else f" ({one.ci_low:+z.3g} to {one.ci_high:+z.3g})"
    return f"{one.value:+z.3g}{span}"


def course(
    rows: pd.DataFrame | Iterable[Mapping[str, Any]],
    *,
    day: str,
    value: str,
    n: str | None,
    last_complete: str | None = None,
    ci: tuple[str, str] | None = ("ci_low", "ci_high"),
) -> tuple[DaySaid, ...]:
    """The last 60 points of a line.

    Args:
        last_complete: the last day, as text, that is over; later ones are not complete.
    """
    found = rows.to_dict("records") if isinstance(rows, pd.DataFrame) else list(rows)
    return tuple(
        DaySaid(
            day=str(r[day])[:10],
            value=_number(r[value]),
            ci_low=_number(r[ci[0]]) if ci else None,
            ci_high=_number(r[ci[1]]) if ci else None,
            n=_number(r[n]) if n else None,
            is_complete=last_complete is None or str(r[day])[:10] <= last_complete,
        )
        for r in found[-DAYS_DRAWN:]
    )


def _number(value: Any) -> float | None:
    return None if is_missing(value) else float(value)
