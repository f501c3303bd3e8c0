"""Who entered in one period beside who entered in another: counts with the units that are in both."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.metrics.asked import Asked, answers
from launchpad_lib.metrics.chains import ChainFold, units_of
from launchpad_lib.metrics.checks import never_empty, refused_table
from launchpad_lib.metrics.funnel import ENTRANTS
from launchpad_lib.metrics.reported_chains import NEVER, Chains
from launchpad_lib.metrics.steps import (
    Attribution,
    Entry,
    Exclusion,
    Mode,
    Rules,
    Step,
    checked_log,
    checked_rules,
)

COUNTED = (
    "n_before",
    "converted_before",
    "n_after",
    "converted_after",
    "n_both",
    "converted_both",
    "converted_before_of_both",
    "converted_after_of_both",
)
BASES = {
    "whole": (ENTRANTS, "no mature unit entered"),
    "step": ("mature units at the previous step", "no mature unit reached the previous step"),
}


def funnel_changes(
    events: ir.Table,
    *,
    steps: Sequence[Step | str],
    window: str,
    observed_through: datetime,
    before: tuple[datetime, datetime],
    after: tuple[datetime, datetime],
    mode: Mode = "ordered",
    entry: Entry = "any",
    by: str = "user_id",
    exclusions: Sequence[Exclusion | str] = (),
    hold_constant: str | None = None,
    breakdown: str | None = None,
    attribution: Attribution = "first_touch",
) -> ir.Table:
    """Conversion of those who entered in one period beside another's: counts only; the test is inference's.

    Grain: one row for the whole funnel (scope "whole", from step 1 to the last) and one per step from the second (scope
    "step", from the previous required step); with `breakdown` so for every segment. Columns: [segment,] scope, step,
    step_name, base (what n is, in words), n_before, converted_before, n_after, converted_after of mature units; and of
    the units that are in both periods: n_both, converted_both (in both), converted_before_of_both,
    converted_after_of_both. The same people come back, so the two rates are not independent: `inference.compare_rates`
    needs the counts of those who are in both. refused_because is NULL where the row stands; it says which of the two
    periods has nobody, or which name is unknown (one row per scope and step, without numbers). The row of scope "whole"
    has the base of `funnel` and `funnel_trend`: its n is that of `funnel` with `entered` set to the period, and of the
    trend's row of that period.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", "visit", 1), ("a", "buy", 2), ("a", "visit", 9), ("b", "visit", 8)]
    >>> events = ibis.memtable([{"user_id": u, "event_name": n, "event_at": datetime(2026, 1, d)} for u, n, d in log])
    >>> weeks = {
    ...     "before": (datetime(2026, 1, 1), datetime(2026, 1, 8)),
    ...     "after": (datetime(2026, 1, 8), datetime(2026, 1, 15)),
    ... }
    >>> found = funnel_changes(
    ...     events, steps=["visit", "buy"], window="1d", observed_through=datetime(2026, 1, 20), **weeks
    ... )
    >>> row = found.filter(found.scope == "whole").to_pandas().iloc[0]
    >>> [int(row[c]) for c in ("converted_before", "n_before", "converted_after", "n_after", "n_both")]
    [1, 1, 0, 2, 1]
    """
    through = utc_instant(observed_through)
    sides = [
        checked_rules(
            steps=steps,
            window=window,
            mode=mode,
            entry=entry,
            by=by,
            exclusions=exclusions,
            hold_constant=hold_constant,
            breakdown=breakdown,
            attribution=attribution,
            entered=span,
        )
        for span in (before, after)
    ]
    rules = sides[0]
    log, unknown = checked_log(events, rules)
    log, unit = units_of(log, by)
    fold = ChainFold(log, rules, observed_through=through, spans=[side.entered for side in sides])
    return answers(log, [asked_changes(fold, unknown, is_split=bool(rules.breakdown))], unit=unit)[0]


def asked_changes(fold: ChainFold, unknown: str | None, *, is_split: bool) -> Asked:
    """The counts of a fold's two spans beside each other, to be read with other questions by `answers`."""
    rules = fold.rules
    numbers = range(1, len(rules.steps) + 1)
    previous = {k: max(r for r in rules.required if r < k) for k in numbers[1:]}
    asked = [("whole", 1, len(rules.steps)), *(("step", previous[k], k) for k in numbers[1:])]
    sums = _Sums([(low - 1, high - 1) for _, low, high in asked], rules, is_split=is_split)
    fold.each(sums.add)
    places = range(len(asked))
    named: dict[str, Sequence[Any]] = {
        "scope": [scope for scope, _, _ in asked],
        "step": [high for _, _, high in asked],
        "step_name": [rules.steps[high - 1].label for _, _, high in asked],
        "base": [BASES[scope][0] for scope, _, _ in asked],
    }

    def answer() -> ir.Table:
        long = ibis.memtable(sums.table())

        def of_place(values: Sequence[str | int]) -> ir.Value:
            return ibis.cases(*((long.place == k, values[k]) for k in places))

        rows = long.select(
            **({"segment": long.segment} if is_split else {}),
            **{name: of_place(values) for name, values in named.items()},
            **{name: long[name] for name in COUNTED},
        )
        rows = rows.mutate(step=rows.step.cast(dt.int64))
        empty = ibis.ifelse(rows.scope == "whole", BASES["whole"][1], BASES["step"][1])
        told = ibis.cases(
            (rows.n_before == 0, empty + " in the period before"),
            (rows.n_after == 0, empty + " in the period after"),
            else_=ibis.null(dt.string),
        )
        rows = rows.mutate(refused_because=told)
        if unknown is not None:
            return refused_table(rows, unknown, **named)
        return never_empty(rows, "nobody entered in either of the two periods")

    return Asked([fold] if unknown is None else [], answer)


class _Sums:
    """Counts of mature units that are not removed. Grain of what is kept: one row per segment and place."""

    def __init__(self, places: Sequence[tuple[int, int]], rules: Rules, *, is_split: bool) -> None:
        self.places, self.rules, self.is_split = places, rules, is_split
        self._names: list[str] = []
        self._sums = np.zeros((0, len(places), len(COUNTED)), np.int64)

    def add(self, chains: Chains) -> None:
        """Adds the units of a part; those of both sides that have the same segment on both are one unit."""
        self._names = chains.names
        # 0: without a value.
        segment = chains.segment(self.rules) + 1 if self.is_split else np.zeros(len(chains.unit), int)
        missing = len(self._names) + 1 - len(self._sums)
        self._sums = np.concatenate([self._sums, np.zeros((missing, *self._sums.shape[1:]), np.int64)])
        before, after = (np.flatnonzero(chains.is_counted & (chains.group == side)) for side in (0, 1))
        _, at_before, at_after = np.intersect1d(
            chains.unit[before], chains.unit[after], assume_unique=True, return_indices=True
        )
        pair = before[at_before], after[at_after]
        same = segment[pair[0]] == segment[pair[1]]
        both = pair[0][same], pair[1][same]
        reached = chains.at != NEVER
        for place, (low, high) in enumerate(self.places):
            in_both = reached[both[0], low] & reached[both[1], low]
            converted = reached[both[0], high], reached[both[1], high]
            flags = (
                (before, reached[before, low]),
                (before, reached[before, high]),
                (after, reached[after, low]),
                (after, reached[after, high]),
                (both[0], in_both),
                (both[0], in_both & converted[0] & converted[1]),
                (both[0], in_both & converted[0]),
                (both[0], in_both & converted[1]),
            )
            for column, (rows, flag) in enumerate(flags):
                self._sums[:, place, column] += np.bincount(segment[rows[flag]], minlength=len(self._sums))

    def table(self) -> pa.Table:
        """Grain: one row per segment in which somebody entered, and place; without segments one per place."""
        found, there = self._sums, np.flatnonzero(self._sums[:, 0, 0] + self._sums[:, 0, 2] > 0)
        if not self.is_split:
            found, there = found.sum(axis=0, keepdims=True), np.zeros(1, np.int64)
        rows, count = found[there], len(self.places)
        columns = {"place": np.tile(np.arange(count), len(there))}
        if self.is_split:
            names = pa.array([None, *self._names], pa.string())
            columns["segment"] = names.take(pa.array(np.repeat(there, count)))
        return pa.table(columns | {name: rows[:, :, k].ravel() for k, name in enumerate(COUNTED)})
