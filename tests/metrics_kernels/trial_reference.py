"""Start trials by plain loops: every trial looks at the whole list of its user's events again, sentence by sentence.

Written from the definitions (Retention lift, point 2) and the docstrings of `metrics.trials`; nothing here looks at the kernels.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from math import log
from typing import NamedTuple
from zoneinfo import ZoneInfo

import ibis
import pandas as pd

START, DAY, GAP = datetime(2026, 3, 20), timedelta(days=1), timedelta(minutes=30)


class Event(NamedTuple):
    """One event of a log."""

    user_id: str
    event_name: str
    event_at: datetime
    session_id: str | None = None
    platform: str | None = None
    country: str | None = None
    feature_id: str | None = None
    event_id: str = ""


def table(events: list[Event]) -> ibis.Table:
    """The log as the metrics take it."""
    schema = dict.fromkeys(Event._fields, "string") | {"event_at": "timestamp"}
    return ibis.memtable(pd.DataFrame(events, columns=list(Event._fields)), schema=schema)


def random_log(rng: random.Random, *, users: int, days: int = 16) -> list[Event]:
    """On a coarse grid of instants, so that ties, ends of windows and gaps of exactly 30 minutes happen; sessions of the
    client that overlap, that last over midnight and longer than a day, and events without one."""
    events = []
    for user in range(users):
        for _ in range(rng.randint(0, 7)):
            at = START + rng.randint(0, days) * DAY + timedelta(hours=rng.choice([0, 1, 12, 22, 23]))
            session = rng.choice([None, None, "1", "2", f"s{rng.randint(0, 3)}"])
            for _ in range(rng.randint(1, 6)):
                at += rng.choice([timedelta(0), timedelta(minutes=1), GAP, timedelta(minutes=31), timedelta(hours=5)])
                name = rng.choice(["look", "look", "begin", "begin", "finish", "open", "close"])
                where = (rng.choice(["web", "ios", None]), rng.choice(["de", "at", None]))
                feature = "search" if rng.random() < 0.05 else None
                other = session if rng.random() < 0.8 else rng.choice([None, "2"])
                events.append(Event(f"u{user}", name, at, other, *where, feature, f"e{len(events):06d}"))
    rng.shuffle(events)
    return events


def sessions(own: list[Event]) -> dict[int, object]:
    """Place of an event -> its session: the client's, or a stretch of the events without one."""
    found: dict[int, object] = {}
    stretch, last = 0, None
    for place, event in enumerate(own):
        if event.session_id is not None:
            found[place] = event.session_id
            continue
        if last is not None and event.event_at - last > GAP:
            stretch += 1
        last = event.event_at
        found[place] = stretch
    return found


def local(at: datetime, zone: str) -> datetime:
    return at.replace(tzinfo=UTC).astimezone(ZoneInfo(zone))


def trials(
    events: list[Event],
    *,
    compare: str,
    done: set[str],
    begin: str | None = None,
    feature: str | None = None,
    grace: timedelta,
    outcome: timedelta,
    through: datetime,
    zone: str = "UTC",
    control: str | None = None,
) -> tuple[dict[tuple[str, datetime], dict], dict[str, int]]:
    """(user, instant) -> row, of the trials that are compared; and how many are open or come after it was done."""
    found, counts = {}, {"window_open": 0, "done_before": 0}
    for user in sorted({e.user_id for e in events}):
        own = sorted((e for e in events if e.user_id == user), key=lambda e: (e.event_at, e.event_id))
        session_of = sessions(own)
        instants = sorted({e.event_at for e in own})
        if compare == "finished":
            begins = [t for t in instants if any(e.event_name == begin and e.event_at == t for e in own)]
        else:
            by_day: dict[object, datetime] = {}
            for t in instants:
                by_day.setdefault(local(t, zone).date(), t)
            begins = sorted(by_day.values())
        finished = [e.event_at for e in own if e.event_name in done or (feature and e.feature_id == feature)]
        for t in begins:
            if any(f < t for f in finished):
                counts["done_before"] += 1
            elif t + grace + outcome > through:
                counts["window_open"] += 1
            else:
                found[user, t] = row(
                    own, session_of, t, begins, finished, begin, compare, grace, outcome, zone, control
                )
    return found, counts


def row(own, session_of, t, begins, finished, begin, compare, grace, outcome, zone, control) -> dict:
    """Everything that is said of one trial."""
    place = next(p for p, e in enumerate(own) if e.event_at == t and (compare == "used" or e.event_name == begin))
    of_session = [e for p, e in enumerate(own) if session_of[p] == session_of[place]]
    end = max(e.event_at for e in of_session if e.event_at <= t + grace)
    before = [e.event_at for e in own if e.event_at < t]
    so_far = [e for e in of_session if e.event_at < t]
    opened = min(e.event_at for e in of_session)
    earlier = [at for at in before if at < opened]
    today = local(t, zone).date()
    active_days = {local(at, zone).date() for at in before}
    begun_before = {session_of[p] for p, e in enumerate(own) if e.event_at < t}
    window = (t - DAY - outcome, t - DAY)
    past = [at for at in before if at < window[0]]
    known = {
        "treated": any(t <= f <= end for f in finished),
        "did_control": any(t <= e.event_at <= end and e.event_name == control for e in own),
        "returned": any(end < e.event_at <= end + outcome for e in own),
        "recency": log(1 + (t - earlier[-1]) / DAY) if earlier else 0.0,
        "is_first_session": not earlier,
        "tenure": log(1 + (t - own[0].event_at) / DAY),
        "sessions": log(1 + len(begun_before - {session_of[place]})),
        "earlier_trials": log(1 + sum(b < t for b in begins)),
        "session_events": log(1 + len(so_far)),
        "session_minutes": log(1 + (t - opened) / timedelta(minutes=1)) if so_far else 0.0,
        "session_kinds": len({e.event_name for e in so_far}),
        "session_restart": compare == "finished" and any(e.event_name == begin for e in so_far),
        "hour": local(t, zone).hour + local(t, zone).minute / 60,
        "weekday": local(t, zone).weekday(),
        "platform": own[place].platform,
        "country": own[place].country,
        "lagged_recency": log(1 + (window[0] - past[-1]) / DAY) if past else 0.0,
        "lagged_sessions": log(1 + len({session_of[p] for p, e in enumerate(own) if e.event_at < window[0]})),
        "between": sum(window[0] <= at < window[1] for at in before) if past else None,
    }
    for days in (1, 3, 7, 14, 28):
        known[f"events_{days}d"] = log(1 + sum(at >= t - days * DAY for at in before))
        known[f"active_days_{days}d"] = sum(today - days * DAY <= on < today for on in active_days)
        known[f"lagged_events_{days}d"] = log(1 + sum(at >= window[0] - days * DAY for at in past))
    return known
