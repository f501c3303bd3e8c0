"""Brute force for the unit tables of lift and experiments: plain loops over one user's events, written from the definitions.

Nothing here looks at the queries. Every function says which sentence of the docstring or of the definitions it reads.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from math import log
from statistics import median
from typing import NamedTuple
from zoneinfo import ZoneInfo

import ibis
import pandas as pd

START = datetime(2026, 1, 1)
DAY = timedelta(days=1)


class Event(NamedTuple):
    """One event of a log."""

    user_id: str
    event_name: str
    event_at: datetime
    platform: str | None = None
    properties: str | None = None
    event_id: str = ""


def table(events: list[Event]) -> ibis.Table:
    """The log as the metrics take it."""
    schema = dict.fromkeys(Event._fields, "string") | {"event_at": "timestamp"}
    return ibis.memtable(pd.DataFrame(events, columns=list(Event._fields)), schema=schema)


def random_log(rng: random.Random, *, users: int, days: int = 12) -> list[Event]:
    """Events on a coarse grid of hours, so that windows and landmarks are hit to the instant and ties happen."""
    events = []
    for user in range(users):
        offset = rng.choice([0, 0, 7, 12])
        for _ in range(rng.randint(1, 14)):
            at = START + timedelta(hours=offset + rng.choice([0, 1, 6, 12, 23, 24]) + 24 * rng.randint(0, days - 1))
            at += timedelta(minutes=rng.choice([0, 0, 29, 30, 31]))
            name = rng.choice(["look", "look", "search", "begin", "finish"])
            platform = rng.choice(["web", "ios", "android", None])
            events.append(Event(f"u{user}", name, at, platform, None, f"e{len(events):05d}"))
    rng.shuffle(events)
    return events


def by_user(events: list[Event]) -> dict[str, list[Event]]:
    """Each user's events in the order of the definitions: (event_at, event_id)."""
    users: dict[str, list[Event]] = {}
    for event in sorted(events, key=lambda e: (e.event_at, e.event_id)):
        users.setdefault(event.user_id, []).append(event)
    return users


def first_platform(events: list[Event]) -> str | None:
    """The first platform that is known."""
    return next((e.platform for e in events if e.platform is not None), None)


def starters(
    events: list[Event], *, landmark: timedelta, outcome: timedelta, through: datetime, zone: str
) -> dict[str, dict]:
    """The docstring of `metrics.starters.starters`, sentence by sentence; start is 'begin', completion is 'finish'."""
    log_begins = min(e.event_at for e in events)
    last_day_counts, found = {}, {}
    for user, own in by_user(events).items():
        starts = [e.event_at for e in own if e.event_name == "begin"]
        if not starts:
            continue
        t0 = min(starts)
        before = [e.event_at for e in own if e.event_at < t0]
        last_day_counts[user] = sum(e > t0 - DAY for e in before)
        completions = [e.event_at for e in own if e.event_name == "finish"]
        if t0 + landmark + outcome > through or any(c < t0 for c in completions):
            continue
        sessions = sum(i == 0 or at - before[i - 1] > timedelta(minutes=30) for i, at in enumerate(before))
        reaches_back = t0 - landmark - outcome >= log_begins
        platform, first = first_platform(own), own[0].event_at
        local = [at.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)) for at in (t0, first, *before)]
        found[user] = {
            "treated": int(any(c <= t0 + landmark for c in completions)),
            "returned": int(any(t0 + landmark < e.event_at <= t0 + landmark + outcome for e in own)),
            "is_web": float(platform == "web"),
            "is_ios": float(platform == "ios"),
            "start_hour": local[0].hour + local[0].minute / 60,
            "tenure_days": (t0 - first) / DAY,
            "active_day_share": len({at.date() for at in local[2:]}) / ((local[0].date() - local[1].date()).days + 1),
            "sessions_before": log(1 + sessions),
            "events_last_day": log(1 + last_day_counts[user]),
            "active_before": float(any(t0 - landmark - outcome <= e.event_at < t0 - landmark for e in own))
            if reaches_back
            else None,
        }
    typical = median(last_day_counts.values())
    for user, row in found.items():
        row["was_busy_before"] = float(last_day_counts[user] > typical)
    return found


def newcomers(events: list[Event], *, landmark: timedelta, outcome: timedelta, through: datetime) -> dict[str, dict]:
    """The docstring of `metrics.starters.newcomers`."""
    found = {}
    for user, own in by_user(events).items():
        t0 = own[0].event_at
        completions = [e.event_at for e in own if e.event_name == "finish"]
        if t0 + landmark + outcome > through or any(c < t0 + DAY for c in completions):
            continue
        early = [e for e in own if e.event_at < t0 + DAY]
        found[user] = {
            "treated": int(any(c <= t0 + landmark for c in completions)),
            "returned": int(any(t0 + landmark < e.event_at <= t0 + landmark + outcome for e in own)),
            "events_before": log(1 + len(early)),
            "kinds_before": float(len({e.event_name for e in early})),
            "is_web": float(first_platform(early) == "web"),
        }
    return found


def random_experiment(rng: random.Random, *, users: int) -> list[Event]:
    """Exposures and outcomes on a coarse grid: several variants, strays, none at all, another experiment, JSON of every type."""
    events = []
    for user in range(users):
        arms = rng.choice([[1], [1], [0], [0], [True], ["x"], [None], [1, 0], [1, None], ["x", 1], []])
        for arm in arms:
            for _ in range(rng.randint(1, 2)):
                fields = {"experiment_id": rng.choice(["e", "e", "e", "other"]), "variant": arm}
                if arm is None and rng.random() < 0.5:
                    del fields["variant"]
                at = START + timedelta(hours=12 * rng.randint(0, 8))
                events.append(Event(f"u{user}", "experiment_exposed", at, None, json.dumps(fields)))
        for _ in range(rng.randint(0, 5)):
            at = START + timedelta(hours=12 * rng.randint(0, 12))
            events.append(Event(f"u{user}", rng.choice(["buy", "leave"]), at))
    rng.shuffle(events)
    return [e._replace(event_id=f"e{i:05d}") for i, e in enumerate(events)]


def units(events: list[Event], *, planned: tuple[str, ...]) -> dict[str, tuple]:
    """user -> (first exposure, variant, standing), from the definitions: first exposure; several variants are left out;
    a variant outside the plan is counted and left out; an exposed unit without a variant is counted."""
    found = {}
    for user, own in by_user(events).items():
        seen = []
        for e in own:
            if e.event_name == "experiment_exposed":
                fields = json.loads(e.properties)
                if fields["experiment_id"] == "e":
                    value = fields.get("variant")
                    text = None if value is None else value if isinstance(value, str) else json.dumps(value)
                    seen.append((e.event_at, text))
        if not seen:
            continue
        named = [(at, v) for at, v in seen if v is not None]
        variants = {v for _, v in named}
        first = min(at for at, _ in named or seen)
        if not variants:
            found[user] = (first, None, "no variant")
        elif len(variants) > 1:
            found[user] = (first, None, "several variants")
        else:
            (variant,) = variants
            found[user] = (first, variant, "assigned" if not planned or variant in planned else "outside the plan")
    return found


def conversions(
    events: list[Event], exposed: dict[str, tuple], *, name: str, window: timedelta, through: datetime | None
) -> dict[str, tuple]:
    """variant -> (units, immature, converted, naive, events in the window, events before), one unit at a time."""
    found: dict[str, list[int]] = {}
    own = by_user(events)
    for user, (at, variant, standing) in exposed.items():
        if standing != "assigned":
            continue
        row = found.setdefault(variant, [0] * 6)
        did = [e.event_at for e in own[user] if e.event_name == name]
        row[5] += sum(d < at for d in did)
        if through is not None and at + window > through:
            row[1] += 1
            continue
        inside = sum(at <= d <= at + window for d in did)
        row[0] += 1
        row[2] += inside > 0
        row[3] += len(did) > 0
        row[4] += inside
    return {variant: tuple(row) for variant, row in found.items()}
