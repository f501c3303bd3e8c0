"""Brute force for the unit tables of experiments: plain loops over one user's events, written from the definitions.

Nothing here looks at the queries. Every function says which sentence of the docstring or of the definitions it reads.
"""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from typing import NamedTuple

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


def by_user(events: list[Event]) -> dict[str, list[Event]]:
    """Each user's events in the order of the definitions: (event_at, event_id)."""
    users: dict[str, list[Event]] = {}
    for event in sorted(events, key=lambda e: (e.event_at, e.event_id)):
        users.setdefault(event.user_id, []).append(event)
    return users


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
