"""Is the retention lift right? Whole pages on worlds whose truth is known: mean, coverage, verdicts, refusals.

Every user has one time of day (in the world `leaving` two), so that "active within a day after the grace" is "there on the
next day", and the effect of finishing is what is added to the chance of that. Seeds were written before the first look:
draw i of a world has the seed (20261126, number of the world, i).

    python scripts/studies/lift.py                                  # 4,000 users, 10 draws of each world
    python scripts/studies/lift.py --users 20000 --draws 100        # the large study
    python scripts/studies/lift.py --world hidden --users 1000 --draws 100
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd

from launchpad_lib.contract.features import Feature
from launchpad_lib.findings.lift_questions import LiftRules, ask_lift
from launchpad_lib.findings.lift_results import lift_results

SEED = 20261126
START, DAYS = datetime(2026, 3, 2), 14
DAY_US, MINUTE_US = 86_400_000_000, 60_000_000
FEATURE = Feature(feature_id="f", start_event="begin", complete_event="finish")


class World(NamedTuple):
    """A world: its log for a number of users, the true effect, and the settings of the page it is asked with."""

    number: int
    log: Callable[[int, np.random.Generator], pd.DataFrame]
    effect: float
    grace: str = "session"
    outcome_days: int = 1


def _log(parts: list[tuple[str, np.ndarray, np.ndarray, np.ndarray]], platform: np.ndarray) -> pd.DataFrame:
    """(event, users, day, microseconds of the day) as an event log."""
    frames = [
        pd.DataFrame({"user": users, "event_name": name, "at": day * DAY_US + at}) for name, users, day, at in parts
    ]
    log = pd.concat(frames, ignore_index=True)
    at = np.datetime64(START, "us") + log["at"].to_numpy().astype("timedelta64[us]")
    return pd.DataFrame(
        {
            "user_id": "u" + log["user"].astype(str).str.zfill(6),
            "event_name": log["event_name"],
            "event_at": at,
            "platform": platform[log["user"].to_numpy()],
        }
    )


def _days(
    users: int,
    rng: np.random.Generator,
    *,
    there: Callable[[np.ndarray, np.ndarray], np.ndarray],
    finishes: Callable[[np.ndarray], np.ndarray],
    effect: float,
    platform: np.ndarray,
    leaves: float = 0.0,
    sessions: int = 1,
) -> pd.DataFrame:
    """Day after day: who is there looks, half of them begin, some finish 4 minutes later.

    `there(yesterday, day)`: chance of being there; `finishes(yesterday)`: chance of finishing once begun. `leaves`: of
    those who begin, the share that goes for good at a time drawn from the 24 hours after.
    """
    offset = rng.integers(0, DAY_US // 3, users)
    present, finished = rng.random(users) < 0.5, np.zeros(users, bool)
    left_at = np.full(users, np.iinfo(np.int64).max)
    parts, everyone = [], np.arange(users)
    for day in range(DAYS):
        yesterday = present
        present = rng.random(users) < there(yesterday, day) + effect * finished
        finished = np.zeros(users, bool)
        for session in range(sessions):
            at = offset + session * DAY_US // 3
            here = present & (day * DAY_US + at < left_at)
            begins = here & (rng.random(users) < 0.5)
            goes = begins & (rng.random(users) < leaves)
            left_at = np.where(goes, day * DAY_US + at + rng.integers(0, DAY_US, users), left_at)
            ends = begins & (rng.random(users) < finishes(yesterday)) & (day * DAY_US + at + 5 * MINUTE_US < left_at)
            finished |= ends
            for name, who, late in (("look", here, 0), ("begin", begins, 1), ("finish", ends, 5)):
                parts.append((name, everyone[who], np.full(who.sum(), day), at[who] + late * MINUTE_US))
        present = present & (day * DAY_US + offset < left_at)
    return _log(parts, platform)


def hidden(users: int, rng: np.random.Generator) -> pd.DataFrame:
    """A type that nobody measures makes people finish and come back; finishing does nothing."""
    loyal = rng.random(users) < 0.5
    there, finishes = np.where(loyal, 0.7, 0.4), np.where(loyal, 0.8, 0.35)
    return _days(
        users, rng, there=lambda y, d: there, finishes=lambda y: finishes, effect=0.0, platform=np.repeat("web", users)
    )


def measured(users: int, rng: np.random.Generator) -> pd.DataFrame:
    """The same with the platform for the type."""
    loyal = rng.random(users) < 0.5
    there, finishes = np.where(loyal, 0.7, 0.4), np.where(loyal, 0.8, 0.35)
    platform = np.where(loyal, "ios", "web")
    return _days(users, rng, there=lambda y, d: there, finishes=lambda y: finishes, effect=0.0, platform=platform)


def leaving(users: int, rng: np.random.Generator) -> pd.DataFrame:
    """Two sessions a day; a fifth of those who begin go for good within the next 24 hours; finishing does nothing."""
    loyal = rng.random(users) < 0.5
    there, finishes = np.where(loyal, 0.7, 0.4), np.where(loyal, 0.6, 0.3)
    shared = {"platform": np.where(loyal, "ios", "web"), "leaves": 0.2, "sessions": 2}
    return _days(users, rng, there=lambda y, d: there, finishes=lambda y: finishes, effect=0.0, **shared)


def randomised(share: float, effect: float) -> Callable[[int, np.random.Generator], pd.DataFrame]:
    """Who finishes is luck, with one chance for all."""

    def log(users: int, rng: np.random.Generator) -> pd.DataFrame:
        there = rng.uniform(0.3, 0.7, users)
        platform = rng.choice(["web", "ios"], users)
        chance = np.full(users, share)
        return _days(users, rng, there=lambda y, d: there, finishes=lambda y: chance, effect=effect, platform=platform)

    return log


def yesterday(users: int, rng: np.random.Generator) -> pd.DataFrame:
    """Who was there yesterday finishes more often and comes back more often; finishing adds 5 points."""
    return _days(
        users,
        rng,
        there=lambda y, d: np.where(y, 0.65, 0.35),
        finishes=lambda y: np.where(y, 0.7, 0.3),
        effect=0.05,
        platform=rng.choice(["web", "ios"], users),
    )


WORLDS: dict[str, World] = {
    "hidden": World(1, hidden, 0.0),
    "measured, session": World(2, measured, 0.0),
    "measured, 1d": World(3, measured, 0.0, "1d"),
    "leaving, session": World(4, leaving, 0.0),
    "leaving, 1d": World(5, leaving, 0.0, "1d"),
    "leaving, 10m, 3 days": World(6, leaving, 0.0, "10m", 3),
    **{
        f"randomised {100 * share:g} %, {100 * effect:+g} points": World(7 + i, randomised(share, effect), effect)
        for i, (share, effect) in enumerate((s, e) for s in (0.02, 0.5, 0.98) for e in (0.0, 0.03, 0.06))
    },
    "yesterday": World(16, yesterday, 0.05),
}


def draw(world: World, users: int, number: int) -> pd.Series:
    """The reported row of one page, and the row of the ATT."""
    frame = world.log(users, np.random.default_rng([SEED, world.number, number]))
    schema = {"user_id": "string", "event_name": "string", "event_at": "timestamp", "platform": "string"}
    log = ibis.memtable(frame.astype({"event_at": "datetime64[us]"}), schema=schema)
    rules = LiftRules(world.outcome_days, START + timedelta(days=DAYS), grace=world.grace, seed=number)
    found = lift_results(log, ask_lift(log, [FEATURE]), rules)
    row = found.reported.iloc[0]
    checks = found.doubts["verdict"].tolist() if len(found.doubts) else []
    return (
        row[["estimand", "estimate", "ci_low", "ci_high", "verdict", "n"]]
        .astype(object)
        .combine_first(pd.Series({"checks": ", ".join(checks)}, dtype=object))
    )


def study(name: str, users: int, draws: int) -> dict[str, object]:
    """What the pages of many draws say: one row of the table."""
    world = WORLDS[name]
    rows = pd.DataFrame([draw(world, users, i) for i in range(draws)])
    known = rows[rows["estimate"].notna()].astype({"estimate": float, "ci_low": float, "ci_high": float})
    is_covered = (known["ci_low"] <= world.effect) & (world.effect <= known["ci_high"])
    excludes_0 = (known["ci_low"] > 0) | (known["ci_high"] < 0)
    return {
        "world": name,
        "truth": 100 * world.effect,
        "mean": 100 * known["estimate"].mean(),
        "error of the mean": 100 * known["estimate"].std() / max(len(known), 1) ** 0.5,
        "covered": is_covered.mean(),
        "excludes 0": excludes_0.mean(),
        "refused": int(rows["estimate"].isna().sum()),
        "verdicts": ", ".join(f"{word} {count}" for word, count in rows["verdict"].value_counts().items()),
    }


def main() -> None:
    """Prints one Markdown table."""
    parser = argparse.ArgumentParser(description="The retention lift on worlds whose truth is known")
    parser.add_argument("--world", choices=list(WORLDS), action="append", help="only these worlds")
    parser.add_argument("--users", type=int, default=4000)
    parser.add_argument("--draws", type=int, default=10)
    asked = parser.parse_args()
    print(f"\n{asked.draws} draws of {asked.users:,} users; effects in points.\n")
    print(
        "| world | truth | mean | error of the mean | 95 % interval covers | excludes 0 | refused | verdicts | seconds |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name in asked.world or WORLDS:
        began = time.monotonic()
        row = study(name, asked.users, asked.draws)
        print(
            f"| {row['world']} | {row['truth']:+.0f} | {row['mean']:+.2f} | {row['error of the mean']:.2f} "
            f"| {row['covered']:.0%} | {row['excludes 0']:.0%} | {row['refused']} | {row['verdicts']} "
            f"| {time.monotonic() - began:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
