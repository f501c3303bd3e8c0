"""Roll-outs: who of those who were there before it was active in which period, by place. No estimate is made here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import ibis.expr.types as ir
import numpy as np

from launchpad_lib.contract.arguments import whole_number
from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.contract.names import quoted
from launchpad_lib.metrics.checks import known_table
from launchpad_lib.metrics.kernels.reading import micros_of
from launchpad_lib.metrics.kernels.rollouts import LATER, active_periods
from launchpad_lib.metrics.kernels.trials import DAY_US
from launchpad_lib.metrics.kernels.unit_rows import unit_rows
from launchpad_lib.metrics.windows import property_value

MOST_PERIODS = 62
MOST_BEFORE = 4
MOST_PLACES = 300


class RolloutCounts(NamedTuple):
    """The users who were there before the first period, counted by place. Grain of the arrays: one entry per place.

    switched_on: the period in which the place is switched on, the number of periods where it is not within them; users:
    how many; active: (place, period) users with an event in the period; both: (place, period, period) users with one in
    both. Period k begins at `begins` + k `period_days`; the first place is switched on at the beginning of period
    `before`.

    without_place: users there before of whom no place is known; later: users who came after the first period began:
    neither is counted.
    """

    begins: datetime | None
    period_days: int
    before: int
    places: tuple[str, ...]
    switched_on: np.ndarray
    users: np.ndarray
    active: np.ndarray
    both: np.ndarray
    without_place: int
    later: int
    refused_because: str | None = None


def rollout_counts(
    events: ir.Table,
    *,
    by: str,
    switched_on: Mapping[str, datetime],
    observed_through: datetime,
    period_days: int = 7,
    most_before: int = MOST_BEFORE,
) -> RolloutCounts:
    """Counts the same users over periods of `period_days`: up to `most_before` before the first place is switched on,
    and all that are over since (at most 62 together).

    Counted is who had an event before the first period, at the last place known of them before it: a place that people
    move to, or come from, because of the feature moves nobody. A place that is switched on within a period counts as on
    from that period's beginning, which can only make the effect smaller.

    Args:
        events: user_id, event_at and the column or property `by`.
        switched_on: place -> instant (UTC where it has no zone); places that are not named are never switched on.

    Raises:
        ValueError: no place is named, a length is under 1, or the table has no such column.

    >>> from datetime import datetime
    >>> import ibis
    >>> days = [("a", 1, "NO"), ("a", 9, "NO"), ("a", 15, "NO"), ("b", 2, "SE"), ("b", 8, "SE"), ("c", 20, "SE")]
    >>> log = ibis.memtable([{"user_id": u, "event_at": datetime(2026, 1, d), "country": c} for u, d, c in days])
    >>> found = rollout_counts(
    ...     log, by="country", switched_on={"NO": datetime(2026, 1, 15)}, observed_through=datetime(2026, 1, 22)
    ... )
    >>> found.places, found.switched_on.tolist()[0], found.active.tolist(), found.later
    (('NO', 'SE'), 1, [[1, 1], [1, 0]], 1)
    """
    if not switched_on:
        raise ValueError("switched_on: names no place; give at least one with its date")
    period_days = whole_number(period_days, argument="period_days")
    most_before = whole_number(most_before, argument="most_before")
    known = known_table(events, needs=("user_id", "event_at"))
    place = property_value(known, by)
    on = {name: micros_of(utc_instant(at, argument=f"switched_on[{name!r}]")) for name, at in switched_on.items()}
    first_on, period = min(on.values()), period_days * DAY_US
    seen_from = known.event_at.min().execute()
    after = (micros_of(utc_instant(observed_through)) - first_on) // period
    length = f"{period_days} day{'s' if period_days != 1 else ''}"
    if seen_from is None or seen_from != seen_from:
        return _refused("there is no event", period_days)
    before = min((first_on - micros_of(utc_instant(seen_from))) // period - 1, most_before)
    if after < 1:
        return _refused(f"no period of {length} since the first place was switched on is over yet", period_days)
    if before < 1:
        why = f"the log begins less than two periods of {length} before the first place is switched on"
        return _refused(f"{why}, so who was there before is not known", period_days)
    begins, periods = first_on - before * period, min(before + after, MOST_PERIODS)
    counts: Counter[tuple[str | None, int]] = Counter()
    columns = {"at": known.event_at, "place": place}
    for part in unit_rows(known, columns, where=known.event_at.notnull()):
        place_of, active = np.empty(part.units, np.int32), np.empty(part.units, np.int64)
        active_periods(
            part.starts, part.columns["at"], part.columns["place"], begins, period, periods, place_of, active
        )
        pairs, sizes = np.unique(np.stack([place_of, active]), axis=1, return_counts=True)
        texts = part.texts.get("place", [])
        for code, mask, size in zip(*pairs.tolist(), sizes.tolist(), strict=True):
            counts[(None if code < 0 else texts[code], LATER if code == LATER else mask)] += size
    places = tuple(sorted({name for name, _ in counts if name is not None}))
    if len(places) > MOST_PLACES:
        why = f"{quoted(by)} has {len(places):,} values among those who were there before"
        return _refused(f"{why}; at most {MOST_PLACES} can be compared", period_days)
    number = {name: k for k, name in enumerate(places)}
    users, active_users = np.zeros(len(places), np.int64), np.zeros((len(places), periods), np.int64)
    both = np.zeros((len(places), periods, periods), np.int64)
    for (place_name, mask), size in counts.items():
        if place_name is None:
            continue
        bits, k = (mask >> np.arange(periods)) & 1, number[place_name]
        users[k] += size
        active_users[k] += size * bits
        both[k] += size * np.outer(bits, bits)
    turned = [(on[name] - begins) // period if name in on else periods for name in places]
    return RolloutCounts(
        datetime.fromisoformat("1970-01-01") + timedelta(microseconds=begins), period_days, before, places,
        np.array([min(g, periods) for g in turned], np.int64),
        users, active_users, both,
        sum(size for (name, mask), size in counts.items() if name is None and mask != LATER), counts[(None, LATER)],
    )  # fmt: skip


def _refused(reason: str, period_days: int) -> RolloutCounts:
    none = np.zeros(0, np.int64)
    return RolloutCounts(None, period_days, 0, (), none, none, none, none, 0, 0, reason)
