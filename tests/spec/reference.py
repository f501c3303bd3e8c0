"""Brute force, written from the definitions and not from the queries: plain loops over one user's events.

Quadratic or worse on purpose. Times are minutes from 2026-01-01 00:00 UTC. Each function says which definition it reads.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import ibis
import pandas as pd

START = datetime(2026, 1, 1)


class Event(NamedTuple):
    """One event of a log; `received` and `event_id` break ties."""

    user: str | None
    name: str
    at: int
    received: int = 0
    event_id: str = ""
    prop: str | None = None
    item: str | None = None


def table(events: list[Event]) -> ibis.Table:
    """The log as the metrics take it, in the order of arrival given.

    Events of nobody (no user) make every name occur, so that a log in which none of the users did B still knows B.
    """
    events = [*events, *(Event(None, name, 0, event_id=f"nobody-{name}") for name in "ABCDEX")]
    frame = pd.DataFrame(
        {
            "user_id": pd.Series([e.user for e in events], dtype="string"),
            "event_name": pd.Series([e.name for e in events], dtype="string"),
            "event_at": pd.Series([START + timedelta(minutes=e.at) for e in events], dtype="datetime64[us]"),
            "received_at": pd.Series(
                [START + timedelta(minutes=e.at + e.received) for e in events], dtype="datetime64[us]"
            ),
            "event_id": pd.Series([e.event_id for e in events], dtype="string"),
            "session_key": pd.Series(
                [None if e.user is None else f"{e.user}-{e.item}" for e in events], dtype="string"
            ),
            "plan": pd.Series([e.prop for e in events], dtype="string"),
            "item": pd.Series([e.item for e in events], dtype="string"),
        }
    )
    return ibis.memtable(frame)


class Chain(NamedTuple):
    """What is reported of a user: times of each step (None where not reached), entry, and the positions used."""

    times: list[int | None]
    first_entry: int
    removed: bool
    last: Event
    values: list[str | None]


def matched(event: Event, steps: list[str]) -> list[int]:
    """Numbers of the steps (from 0) that an event matches; a step is 'name' or 'name/plan'."""
    return [
        k
        for k, s in enumerate(steps)
        if s.rstrip("?").split("/")[0] == event.name and ("/" not in s or s.rstrip("?").split("/")[1] == event.prop)
    ]


def in_order(events: list[Event], steps: list[str], *, hold: bool = False) -> list[Event]:
    """Order of events within a user: (event_at, received_at, event_id); at one instant the order of the steps wins.

    An event that is no step (also for want of the property held constant) comes before the steps of its instant.
    """
    rank = {e: -1 if hold and e.item is None else min(matched(e, steps), default=-1) for e in events}
    return sorted(events, key=lambda e: (e.at, rank[e], e.at + e.received, e.event_id))


def chain_from(
    log: list[Event],
    entry: int,
    steps: list[str],
    window: int | None,
    *,
    strict: bool,
    apart: bool,
    hold: bool,
    blocking: set[str],
) -> list[int]:
    """Positions of the chain that starts at `entry` and takes each next required step as early as it can."""
    required = [k for k, s in enumerate(steps) if not s.endswith("?")]
    used = [entry]
    for position in range(entry + 1, len(log)):
        event = log[position]
        if len(used) == len(required) or event.name in blocking:
            break
        fits = required[len(used)] in matched(event, steps)
        fits = fits and (window is None or event.at - log[entry].at <= window)
        fits = fits and (not hold or (event.item is not None and event.item == log[entry].item))
        fits = fits and (not apart or event.at > log[used[-1]].at)
        if fits:
            used.append(position)
        elif strict:
            break
    return used


def ordered_chain(
    events: list[Event], steps: list[str], window: int | None, *, entry: str = "any", strict: bool = False, apart: bool = False, hold: bool = False,
    removing: frozenset[str] = frozenset(), blocking: frozenset[str] = frozenset(),
) -> Chain | None:  # fmt: skip
    """Every entry is tried; the deepest chain is reported, then the one complete first, then the one that began last."""
    log = in_order(events, steps, hold=hold)
    entries = [i for i, e in enumerate(log) if 0 in matched(e, steps) and (not hold or e.item is not None)]
    if not entries:
        return None
    tried = entries[:1] if entry == "first" else entries
    chains = [
        chain_from(log, i, steps, window, strict=strict, apart=apart, hold=hold, blocking=set(blocking)) for i in tried
    ]
    best = min(chains, key=lambda c: (-len(c), c[-1], -log[c[0]].at, c[0]))
    required = [k for k, s in enumerate(steps) if not s.endswith("?")]
    positions: list[int | None] = [None] * len(steps)
    for k, position in zip(required, best, strict=False):
        positions[k] = position
    for k in (k for k, s in enumerate(steps) if s.endswith("?")):
        after = positions[max(r for r in required if r < k)]
        until = positions[min(r for r in required if r > k)]
        if after is None:
            continue
        for position in range(after + 1, len(log) if until is None else until):
            if log[position].name in blocking:
                break
            event = log[position]
            same = not hold or (event.item is not None and event.item == log[best[0]].item)
            if k in matched(event, steps) and same and (window is None or event.at - log[best[0]].at <= window):
                positions[k] = position
                break
    removed = any(log[p].name in removing for p in range(best[0] + 1, best[-1]))
    times = [None if p is None else log[p].at for p in positions]
    return Chain(
        times, log[entries[0]].at, removed, log[best[-1]], [None if p is None else log[p].prop for p in positions]
    )


def any_order_chain(
    events: list[Event], steps: list[str], window: int | None, *, entry: str = "any", hold: bool = False
) -> Chain | None:
    """All steps inside one window that begins at any of them; step k is the k-th different step found."""
    log = [e for e in in_order(events, steps) if matched(e, steps) and (not hold or e.item is not None)]
    if not log:
        return None
    best: list[Event] = []
    for i, first in enumerate(log[:1] if entry == "first" else log):
        found: dict[int, Event] = {}
        for event in log[i:]:
            if (window is None or event.at - first.at <= window) and (not hold or event.item == first.item):
                for k in matched(event, steps):
                    found.setdefault(k, event)
        if len(found) > len(best):
            best = sorted(found.values(), key=log.index)
    times: list[int | None] = [e.at for e in best] + [None] * (len(steps) - len(best))
    return Chain(times, log[0].at, False, best[-1], [e.prop for e in best] + [None] * (len(steps) - len(best)))


def by_user(events: list[Event]) -> dict[str, list[Event]]:
    """Events of each user."""
    users: dict[str, list[Event]] = {}
    for e in events:
        users.setdefault(e.user, []).append(e)
    return users


def counts(
    chains: list[Chain], steps: list[str], *, through: int | None = None, window: int | None = None
) -> list[int]:
    """Users per step among those mature (first entry + window <= through) and not removed."""
    kept = [
        c for c in chains if not c.removed and (through is None or window is None or c.first_entry + window <= through)
    ]
    return [sum(c.times[k] is not None for c in kept) for k in range(len(steps))]


def local(at: int, zone: str) -> date:
    """Calendar date in a zone."""
    return (START + timedelta(minutes=at)).replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(zone)).date()


def period_of(on: date, period: str) -> int:
    """Number of a day, ISO week or month, one apart for neighbours."""
    if period == "day":
        return on.toordinal()
    if period == "week":
        return (on.toordinal() - 1) // 7
    return on.year * 12 + on.month


def rolling_retained(events: list[Event], low: int, high: int, through: int, *, day: int = 1440) -> tuple[bool, bool]:
    """(is mature, is retained): a return in [t0 + 24 low h, t0 + 24 (high + 1) h), t0 the first event."""
    t0 = min(e.at for e in events)
    mature = t0 + (high + 1) * day <= through
    return mature, any(t0 + low * day <= e.at < t0 + (high + 1) * day for e in events)


def calendar_retained(
    events: list[Event], low: int, high: int, through: int, period: str, zone: str
) -> list[tuple[int, bool, bool]]:
    """Per period in which the user was active: (period, is mature, is retained): local period difference in low..high."""
    active = sorted({period_of(local(e.at, zone), period) for e in events})
    last_complete = period_of(local(through, zone), period) - 1
    return [(p, p + high <= last_complete, any(low <= q - p <= high for q in active)) for p in active]


def lifecycle(events: list[Event], period: str, zone: str) -> dict[int, dict[str, int]]:
    """Users per period and state, by walking every user through every period."""
    users = {u: {period_of(local(e.at, zone), period) for e in log} for u, log in by_user(events).items()}
    every = [p for active in users.values() for p in active]
    found = {}
    for p in range(min(every), max(every) + 1):
        states = {"new": 0, "returning": 0, "resurrected": 0, "dormant": 0}
        for active in users.values():
            if p in active:
                before = [q for q in active if q < p]
                states["new" if not before else "returning" if p - 1 in before else "resurrected"] += 1
            elif p - 1 in active:
                states["dormant"] += 1
        found[p] = states
    return found


def active_users(events: list[Event], days: int, zone: str, through: date | None = None) -> dict[date, int]:
    """Distinct users in the trailing `days` local days, for every date from the first to the last, or to `through`."""
    seen = [(e.user, local(e.at, zone)) for e in events]
    first, last = min(d for _, d in seen), max(d for _, d in seen)
    last = max(last, through or last)
    dates = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return {d: len({u for u, on in seen if timedelta(0) <= d - on < timedelta(days=days)}) for d in dates}
