"""Retention as a fold over units: its rules, its state (counts by cohort and bracket), and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import ibis.expr.types as ir
import numpy as np

from launchpad_lib.metrics.kernels import returns as kernel
from launchpad_lib.metrics.kernels.local_days import Calendar, calendar_of, clock_of, local_day, period_of
from launchpad_lib.metrics.kernels.one_reading import Part
from launchpad_lib.metrics.kernels.reading import micros_of
from launchpad_lib.metrics.windows import Period, Weekday, last_complete_period

LONGEST = 800_000  # no bracket needs to reach further than the days of Python's calendar up to now
YEAR_1_US = -62_135_596_800_000_000


class Returns(NamedTuple):
    """What a fold comes to. Grain of the arrays: cohorts x brackets, in the order asked; `cohorts` are their numbers.

    persons, yy, yx, xx are sums over persons for the limits of recurring starts, and empty where starts are first ones.
    """

    cohorts: np.ndarray
    users: np.ndarray
    retained: np.ndarray
    immature: np.ndarray
    persons: np.ndarray
    yy: np.ndarray
    yx: np.ndarray
    xx: np.ndarray


class EarlyDeed(NamedTuple):
    """Cohorts by what a unit did early: at least so many deeds within a time (microseconds) of its first start."""

    deed: ir.BooleanValue
    at_least: int
    within: int


class ReturnRules(NamedTuple):
    """Which return counts in which period. Brackets of period numbers, both ends in, in the order asked.

    `length` of a rolling period (microseconds); 0 counts calendar periods.
    """

    brackets: Sequence[tuple[int, int]]
    observed_through: datetime
    length: int
    period: Period
    report_timezone: str
    week_starts_on: Weekday


class ReturnFold:
    """One retention question.

    Args:
        start, back: the conditions of a start and of a return; None holds for every row.
        recurring: every calendar period with a start is a start of its own.
        cohort_by: cohorts are the local periods of the starts, numbered as `windows.python_period_number` does.
        label: cohorts are this text on the start; number 0 is NULL, then as `texts`.
        places: the number of each text of `label` (from its texts); units without one (-1) are left out. The label is
            then one of the whole unit; `starts_by_label`: each number is a start of its own instead, where it is first.
        early: cohorts are 1 and 0 by an early deed.
    """

    def __init__(
        self,
        rules: ReturnRules,
        *,
        start: ir.BooleanValue | None,
        back: ir.BooleanValue | None,
        recurring: bool = False,
        cohort_by: Period | None = None,
        label: ir.StringValue | None = None,
        places: Callable[[Sequence[str]], np.ndarray] | None = None,
        starts_by_label: bool = False,
        early: EarlyDeed | None = None,
    ) -> None:
        self.rules, self.cohort_by, self.places, self.early = rules, cohort_by, places, early
        self.columns: Mapping[str, ir.Value] = {} if label is None else {"label": label}
        self.flags: Mapping[str, ir.BooleanValue | None] = {"start": start, "return": back}
        if starts_by_label:
            # A row that is only a start by its label has no condition, so every row is needed.
            self.flags = {"start": None, "return": back}
        if early:
            self.flags = {**self.flags, "deed": early.deed}
        self.mode = kernel.EACH_LABEL if starts_by_label else kernel.EACH_PERIOD if recurring else kernel.FIRST
        self.cohorts_are = kernel.NO_COHORT
        if cohort_by:
            self.cohorts_are = kernel.BY_PERIOD
        elif early or (places and not starts_by_label):
            self.cohorts_are = kernel.BY_UNIT
        elif label is not None:
            self.cohorts_are = kernel.BY_LABEL
        self.own_calendar = calendar_of(rules.period, rules.week_starts_on)
        self.cohort_calendar = calendar_of(cohort_by or "day", rules.week_starts_on)
        self.through = micros_of(rules.observed_through)
        self.last = last_complete_period(
            rules.observed_through, rules.report_timezone, rules.period, rules.week_starts_on
        )
        longest = min((self.through - YEAR_1_US) // rules.length + 1, LONGEST) if rules.length else LONGEST
        self.order = sorted(range(len(rules.brackets)), key=lambda b: rules.brackets[b][1])
        kept = [(min(low, longest), min(high, longest)) for low, high in (rules.brackets[b] for b in self.order)]
        self.highs = np.array([high for _, high in kept], np.int64)
        self.masks, self.first, self.last_word = kernel.bracket_masks(kept)
        self.texts: Sequence[str] = []
        self.base, count = 0, len(kept)
        self.mature = np.zeros((0, count + 1), np.int64)
        self.retained = np.zeros((0, count), np.int64)
        self.squares = [np.zeros((0, count if recurring else 0), np.int64) for _ in range(4)]
        self.is_recurring = recurring

    def fold(self, part: Part) -> None:
        """Takes in a part."""
        low, high = part.ends
        clock = clock_of(self.rules.report_timezone, low, high)
        lookup, unit_cohorts, known = self._cohorts(part)
        if self.cohorts_are == kernel.BY_PERIOD:
            ends = [_period_at(at, clock, self.cohort_calendar) for at in (low, high)]
            self._make_room(ends[0] - 1, ends[1] + 1)
        else:
            self._make_room(0, known)
        span = _period_at(high, clock, self.own_calendar) - _period_at(low, clock, self.own_calendar) + 2
        many = 1 if self.mode == kernel.FIRST else max(span, known) + 1
        own, cohort = np.zeros(many, np.int64), np.zeros(many, np.int64)
        stamps = np.full(known + 1 if self.mode == kernel.EACH_LABEL else 1, -1, np.int64)
        start_bits, start_bit = part.flags["start"]
        return_bits, return_bit = part.flags["return"]
        labels = part.columns.get("label", np.zeros(0, np.int32))
        head = (part.starts, part.at, start_bits, start_bit, return_bits, return_bit, labels, lookup, unit_cohorts)
        place = (self.cohort_calendar, self.base, clock.edges, clock.offsets, self.highs, self.masks)
        if self.rules.length:
            longest = int(np.diff(part.starts).max()) if return_bit else 0
            room = (np.zeros(longest, np.int64), own, cohort, stamps)
            limits = (self.first, self.last_word, self.through, self.rules.length)
            kernel.fold_rolling(*head, self.mode, self.cohorts_are, *place, *limits, *room, self.mature, self.retained)
            return
        words = len(self.masks)
        top = words if self.mode == kernel.FIRST else max(span // 64 + 1, words)
        seen = np.zeros(top + words + 2, np.uint64)
        squares = self.squares if self.is_recurring else [np.zeros((0, 0), np.int64)] * 4
        kernel.fold_calendar(
            *head, self.mode, self.cohorts_are, self.own_calendar, *place, self.first, self.last_word, self.last,
            seen, own, cohort, stamps, self.mature, self.retained, *squares,
        )  # fmt: skip

    def _cohorts(self, part: Part) -> tuple[np.ndarray, np.ndarray, int]:
        """The number of each label (NULL first), those of the units where they have one, and how many there are."""
        nothing = np.zeros(0, np.int64)
        if self.early:
            start_bits, start_bit = part.flags["start"]
            deed_bits, deed_bit = part.flags["deed"]
            cohorts = np.zeros(len(part.starts) - 1, np.int64)
            limits = (self.early.within, self.through, self.early.at_least)
            kernel.early_deeds(part.starts, part.at, start_bits, start_bit, deed_bits, deed_bit, *limits, cohorts)
            return nothing, cohorts, 2
        if "label" not in part.columns:
            return nothing, nothing, 1
        self.texts = part.texts.get("label", [])
        if self.places is None:
            return np.arange(len(self.texts) + 1), nothing, len(self.texts) + 1
        lookup = np.concatenate([[-1], self.places(self.texts)]).astype(np.int64)
        known = int(lookup.max()) + 1
        if self.mode == kernel.EACH_LABEL:
            return lookup, nothing, known
        return nothing, lookup[part.columns["label"][part.starts[:-1]] + 1], known

    def _make_room(self, low: int, end: int) -> None:
        """Rows for the cohorts low ... end - 1 beside those that are there."""
        if not len(self.mature):
            self.base = low
        low, end = min(low, self.base), max(end, self.base + len(self.mature))
        before, after = self.base - low, end - self.base - len(self.mature)
        if before or after:
            self.mature, self.retained, *self.squares = (
                np.pad(held, ((before, after), (0, 0))) for held in (self.mature, self.retained, *self.squares)
            )
            self.base = low

    def answer(self) -> Returns:
        """The counts of every cohort in which somebody started."""
        rows = np.flatnonzero(self.mature.sum(axis=1))
        starts = self.mature[rows].sum(axis=1, keepdims=True)
        users = np.cumsum(self.mature[rows][:, ::-1], axis=1)[:, ::-1][:, 1:]
        back = np.argsort(self.order)  # as asked
        squares = [held[rows][:, back] if self.is_recurring else held[rows] for held in self.squares]
        return Returns(
            self.base + rows, users[:, back], self.retained[rows][:, back], (starts - users)[:, back], *squares
        )


def _period_at(at: int, clock, calendar: Calendar) -> int:
    return int(period_of(local_day(at, clock.edges, clock.offsets), *calendar))
