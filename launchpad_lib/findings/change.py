"""Whether a number moved, in three ways: it did, by less than what matters, or these data cannot tell."""

from __future__ import annotations

from enum import Enum
from typing import Any

from launchpad_lib.contract.estimates import Estimate
from launchpad_lib.contract.findings import Severity, Verb
from launchpad_lib.contract.wording import is_missing, percent, points


class Change(Enum):
    """What an interval of a change says."""

    UP = "rose"
    DOWN = "fell"
    SMALL = "moved by less than what matters"
    OPEN = "may have moved"


def changed(found: Estimate, smallest_change: float) -> Change:
    """The kind of change an interval shows; `smallest_change` is the largest change that does not matter.

    Small comes first: a change that is known to be smaller than what matters is none, even where it is not 0.

    >>> [changed(Estimate(d, d - 0.01, d + 0.01), 0.02).name for d in (0.05, -0.05, 0.001, 0.015)]
    ['UP', 'DOWN', 'SMALL', 'UP']
    """
    if found.ci_low is None or found.ci_high is None:
        return Change.OPEN
    if -smallest_change < found.ci_low and found.ci_high < smallest_change:
        return Change.SMALL
    if found.ci_low > 0:
        return Change.UP
    return Change.DOWN if found.ci_high < 0 else Change.OPEN


def change_words(subject: str, kind: Change, smallest_change: float) -> str:
    """The beginning of a sentence about a change of a rate.

    >>> change_words("conversion", Change.OPEN, 0.02), change_words("conversion", Change.SMALL, 0.02)
    ('These data cannot tell whether conversion moved', 'Conversion moved by less than 2 points')
    """
    if kind is Change.OPEN:
        return f"These data cannot tell whether {subject} moved"
    own = subject[:1].upper() + subject[1:]
    return (
        f"{own} moved by less than {100 * smallest_change:g} points" if kind is Change.SMALL else f"{own} {kind.value}"
    )


SEVERITIES: dict[Change, tuple[Severity, Verb]] = {
    Change.DOWN: ("act", "find out"),
    Change.UP: ("fine", "nothing"),
    Change.SMALL: ("fine", "nothing"),
    Change.OPEN: ("unknown", "wait"),
}
"""How grave a change of a rate is that should be high, and what to do."""


def moved_words(row: Any) -> str:
    """The size of a change and both its bases, of a row of counts before and after."""
    bases = [f"{percent(row[f'rate_{side}'])} of {int(row[f'n_{side}']):,}" for side in ("before", "after")]
    return f"{points(row['absolute_lift'], row['ci_low'], row['ci_high'])}, from {bases[0]} to {bases[1]}"


def days_compared(row: Any) -> str:
    """The later and the earlier days of a row of `adoption_changes`.

    >>> days_compared({"days": 7, "week_on": "2026-01-12"}), days_compared({"days": 6, "week_on": "2026-01-12"})[:28]
    ('the week from 2026-01-12, against the week before', 'the 6 days from 2026-01-12, ')
    """
    if is_missing(row["days"]) or row["days"] == 7:
        return f"the week from {row['week_on']}, against the week before"
    return f"the {int(row['days'])} days from {row['week_on']}, against the same weekdays of the week before"
