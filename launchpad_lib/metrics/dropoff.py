"""How long conversion took, and what units did instead: the next event after the last step they reached."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from launchpad_lib.contract.arguments import whole_number
from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.metrics.asked import Asked, answers
from launchpad_lib.metrics.chains import ChainFold, units_of
from launchpad_lib.metrics.checks import never_empty, nobody_counted, refused_table
from launchpad_lib.metrics.paths import MARKS, OTHER
from launchpad_lib.metrics.reported_chains import NEVER, NO_ROW, Chains
from launchpad_lib.metrics.step_counts import group_quantiles
from launchpad_lib.metrics.steps import (
    Entry,
    Exclusion,
    Mode,
    Rules,
    Step,
    checked_log,
    checked_rules,
)

TIME_BUCKETS = (
    (60, "under 1 min"),
    (300, "1-5 min"),
    (900, "5-15 min"),
    (3_600, "15-60 min"),
    (21_600, "1-6 h"),
    (86_400, "6-24 h"),
    (604_800, "1-7 d"),
    (None, "over 7 d"),
)


def funnel_times(
    events: ir.Table,
    *,
    steps: Sequence[Step | str],
    window: str | None,
    observed_through: datetime,
    mode: Mode = "ordered",
    entry: Entry = "any",
    by: str = "user_id",
    exclusions: Sequence[Exclusion | str] = (),
    hold_constant: str | None = None,
) -> ir.Table:
    """How long mature converters took from entry to the last step. Grain: one row per bucket of time, zeros included.

    Columns: place, time, users, n (converters), share (fraction of n), refused_because (NULL where the row stands). A
    bucket holds its lower end and not its upper one.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", "visit", 0), ("a", "buy", 2), ("b", "visit", 0), ("b", "buy", 20)]
    >>> events = ibis.memtable(
    ...     [{"user_id": u, "event_name": n, "event_at": datetime(2026, 1, 1, 9, m)} for u, n, m in log]
    ... )
    >>> found = (
    ...     funnel_times(events, steps=["visit", "buy"], window="2h", observed_through=datetime(2026, 1, 2))
    ...     .order_by("place")
    ...     .to_pandas()
    ... )
    >>> found["users"].tolist()
    [0, 1, 0, 1, 0, 0, 0, 0]
    """
    rules = checked_rules(
        steps=steps, window=window, mode=mode, entry=entry, by=by, exclusions=exclusions, hold_constant=hold_constant
    )
    through = utc_instant(observed_through)
    log, unknown = checked_log(events, rules)
    log, unit = units_of(log, by)
    return answers(log, [asked_times(ChainFold(log, rules, observed_through=through), unknown)], unit=unit)[0]


def asked_times(fold: ChainFold, unknown: str | None) -> Asked:
    """How long a fold's units took, to be read with other questions by `answers`."""
    times = _Times()
    fold.each(times.add)
    named: dict[str, Sequence[Any]] = {
        "place": list(range(len(TIME_BUCKETS))),
        "time": [name for _, name in TIME_BUCKETS],
    }

    def answer() -> ir.Table:
        found = times.table(fold.observed_through)
        return found if unknown is None else refused_table(found, unknown, **named)

    return Asked([fold] if unknown is None else [], answer)


class _Times:
    """Converters by the time they took."""

    def __init__(self) -> None:
        self._limits = np.array([limit for limit, _ in TIME_BUCKETS[:-1]], np.int64) * 1_000_000
        self._buckets, self._entrants, self._immature = np.zeros(len(TIME_BUCKETS), np.int64), 0, 0

    def add(self, chains: Chains) -> None:
        """Adds the units of a part."""
        counted = chains.is_counted
        at = chains.at[counted & (chains.at[:, -1] != NEVER)]
        place = np.searchsorted(self._limits, at[:, -1] - at[:, 0], side="right")
        self._buckets += np.bincount(place, minlength=len(TIME_BUCKETS))
        self._entrants += int(counted.sum())
        self._immature += int((~chains.is_mature).sum())

    def table(self, observed_through: datetime) -> ir.Table:
        """Grain: one row per bucket."""
        places = range(len(TIME_BUCKETS))
        long = ibis.memtable(
            {
                "place": list(places),
                "users": self._buckets.tolist(),
                "total": [int(self._buckets.sum())] * len(places),
                "entrants": [self._entrants] * len(places),
                "immature": [self._immature] * len(places),
            },
            schema=dict.fromkeys(("place", "users", "total", "entrants", "immature"), dt.int64),
        )
        nobody = nobody_counted(
            long.entrants, immature=long.immature, what="the funnel", observed_through=observed_through
        )
        return long.select(
            place=long.place,
            time=ibis.cases(*((long.place == k, TIME_BUCKETS[k][1]) for k in places)),
            users=long.users,
            n=long.total,
            share=long.users / long.total.nullif(0),
            refused_because=ibis.cases(
                (long.total > 0, ibis.null(dt.string)),
                (long.entrants > 0, "nobody reached the last step, so there is no time to it"),
                else_=nobody,
            ),
        )


def funnel_next_events(
    events: ir.Table,
    *,
    steps: Sequence[Step | str],
    window: str | None,
    observed_through: datetime,
    mode: Mode = "ordered",
    entry: Entry = "any",
    by: str = "user_id",
    exclusions: Sequence[Exclusion | str] = (),
    hold_constant: str | None = None,
    most: int = 5,
) -> ir.Table:
    """Of the mature units that stopped after a step, what each did next. Grain: one row per step and next event.

    The next event is the unit's very next one after its last reached step, whatever it is and whenever it came; NULL
    where there was none. Per step the `most` frequent names are kept, the rest is "(other)". Columns: step, step_name,
    next_event, users, dropped (units that stopped after the step), share (fraction of dropped), median_seconds (until
    it), refused_because (NULL where the row stands; where nobody stopped, one row says so).

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", "visit", 9), ("a", "help", 10), ("b", "visit", 9), ("b", "buy", 10)]
    >>> events = ibis.memtable(
    ...     [{"user_id": u, "event_name": n, "event_at": datetime(2026, 1, 1, h)} for u, n, h in log]
    ... )
    >>> funnel_next_events(
    ...     events, steps=["visit", "buy"], window="2h", observed_through=datetime(2026, 1, 2)
    ... ).to_pandas()["next_event"].tolist()
    ['help']
    """
    most = whole_number(most, argument="most")
    rules = checked_rules(
        steps=steps, window=window, mode=mode, entry=entry, by=by, exclusions=exclusions, hold_constant=hold_constant
    )
    through = utc_instant(observed_through)
    log, unknown = checked_log(events, rules)
    log, unit = units_of(log, by)
    fold = ChainFold(log, rules, observed_through=through)
    return answers(log, [asked_next_events(fold, unknown, most=most)], unit=unit)[0]


def asked_next_events(fold: ChainFold, unknown: str | None, *, most: int = 5) -> Asked:
    """What a fold's units did next, to be read with other questions by `answers`."""
    rules = fold.rules
    fold.needs_next = True
    stops = _Stops(rules)
    fold.each(stops.add)

    def answer() -> ir.Table:
        rows = ibis.memtable(stops.table(most))
        rows = rows.mutate(dropped=rows.users.sum().over(ibis.window(group_by="step")))
        found = rows.select(
            step=rows.step,
            step_name=ibis.cases(*((rows.step == k, rules.steps[k - 1].label) for k in rules.required)),
            next_event=rows.next_event,
            users=rows.users,
            dropped=rows.dropped,
            share=rows.users / rows.dropped,
            median_seconds=rows.median_seconds,
        )
        if unknown is not None:
            return refused_table(found, unknown)
        return never_empty(
            found, "no mature unit stopped before the last step, so there is nothing that it did instead"
        )

    return Asked([fold] if unknown is None else [], answer)


class _Stops:
    """Where mature units stopped and what came next. Grain of what is kept: one row per unit that stopped."""

    def __init__(self, rules: Rules) -> None:
        self.required = [k - 1 for k in rules.required]
        self._names: list[str] = []
        self._parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, chains: Chains) -> None:
        """Adds the units of a part."""
        self._names = chains.event_names
        stopped = chains.is_counted & (chains.at[:, -1] == NEVER)
        at = chains.at[stopped][:, self.required]
        step = (at != NEVER).sum(axis=1) - 1  # required steps are reached in their order
        took = chains.next_at[stopped] - at[np.arange(len(at)), step]
        self._parts.append((np.array(self.required)[step] + 1, chains.next_event[stopped], took))

    def table(self, most: int) -> pa.Table:
        """Grain: one row per step and next event, the rare ones together: step, next_event, users, median_seconds."""
        empty = np.empty(0, np.int64)
        step, code, took = (np.concatenate([empty, *(part[c] for part in self._parts)]) for c in range(3))
        has_next = code != NO_ROW
        names = [f"'{name}'" if name in MARKS else name for name in self._names]
        code = np.maximum(code, -1)  # an event without a name is told as none
        # Two names may be told alike; the label of a mark is free of them, for a name that is one stands in quotes.
        label = {name: place for place, name in enumerate(sorted(set(names)))}
        code = np.array([*(label[name] for name in names), -1], np.int64)[code]
        kept = np.full(len(code), True)
        for own in np.unique(step):
            here = (step == own) & (code >= 0)
            counts = np.bincount(code[here], minlength=len(label))
            frequent = np.lexsort((np.arange(len(counts)), -counts))[:most]
            kept[here] = np.isin(code[here], frequent)
        code = np.where(kept, code, len(label))  # the rest
        pairs, place = np.unique(np.stack([step, code]), axis=1, return_inverse=True)
        place = place.ravel()
        medians = group_quantiles(place[has_next], took[has_next], pairs.shape[1])[:, 0]
        told = [*label, OTHER]
        return pa.table(
            {
                "step": pairs[0],
                "next_event": pa.array([told[c] if c >= 0 else None for c in pairs[1]], pa.string()),
                "users": np.bincount(place),
                "median_seconds": pa.array(medians, mask=np.isnan(medians)),
            }
        )
