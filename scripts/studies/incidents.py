"""How well are incidents told: on labelled public series, on simulated healthy ones, and when one is over?

The score is that of the Numenta Anomaly Benchmark (Lavin & Ahmad 2015), standard profile, as its code computes it. The
15 series are those of `../shared/data/nab`; the settings were chosen on them, and no other series of it was looked at.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from launchpad_lib.trends import BUDGETS, MINUTES, level_tables, watched

SEED = 20261127  # before the first look
FALSE_POSITIVE = 0.11
START = pd.Timestamp("2026-01-05")


def position_score(position: float) -> float:
    """What an alarm is worth at a place of a window: -1 its first row, 0 its last; beyond it is false."""
    return -1.0 if position > 3 else 2 / (1 + math.exp(5 * position)) - 1


def nab_score(rows: int, alarms: Sequence[int], windows: Sequence[tuple[int, int]]) -> tuple[float, int, int]:
    """Raw score of one file, windows that were found, and false alarms.

    Args:
        rows: of the file; the first 15 % (at most 750) are probation, in which nothing counts.
        alarms: rows. windows: first and last row of each, in order.
    """
    probation = min(math.floor(0.15 * rows), 0.15 * 5000)
    scored, found, wrong = 0.0, 0, 0
    for first, last in windows:
        hits = [a for a in alarms if first <= a <= last and a >= probation]
        found += bool(hits)
        place = -(last - hits[0] + 1) / (last - first + 1) if hits else 0.0
        scored += position_score(place) / position_score(-1.0) if hits else -1.0
    for alarm in alarms:
        if alarm < probation or any(first <= alarm <= last for first, last in windows):
            continue
        wrong += 1
        before = [(first, last) for first, last in windows if last < alarm]
        past = (alarm - before[-1][1]) / (before[-1][1] - before[-1][0]) if before else math.inf
        scored += FALSE_POSITIVE * position_score(past)
    return scored, found, wrong


def nab_total(raw: float, windows: int) -> float:
    """Scaled so that no alarm at all is 0 and every window at its first row is 100."""
    return 100 * (raw + windows) / (2 * windows)


def alarm_rows(at: pd.Series, value: pd.Series, *, budget: float | None = None) -> list[int]:
    """The rows of a file that end a bucket in which an incident is told."""
    seconds = at.diff().dt.total_seconds()
    bucket = "hour" if seconds[seconds > 0].median() >= 3600 else "5 minutes"
    step = pd.Timedelta(minutes=MINUTES[bucket])
    # The first row begins a bucket: the files of some start at odd seconds.
    off = at.iloc[0] - at.iloc[0].floor(step)
    series = pd.DataFrame({"feature_id": "series", "signal": "value", "at": at - off, "value": value})
    found = watched(series, bucket=bucket, through=(at.max() + step).to_pydatetime(), budget=budget).incidents
    held = (at - off).dt.floor(step)
    return [int(np.flatnonzero(held == told)[-1]) for told in found["detected_at"]]


def nab(folder: Path, *, budget: float | None = None) -> pd.DataFrame:
    """Grain: one row per file: rows, windows, found, false alarms, raw score."""
    labels = json.loads((folder / "combined_windows.json").read_text())
    rows = []
    for name in sorted(labels):
        one = pd.read_csv(folder / "data" / name, parse_dates=["timestamp"])
        at = one["timestamp"]
        windows = [
            (int((at == pd.Timestamp(a)).argmax()), int((at == pd.Timestamp(b)).argmax())) for a, b in labels[name]
        ]
        alarms = alarm_rows(at, one["value"], budget=budget)
        rows.append((name, len(one), len(windows), *nab_score(len(one), alarms, windows)))
    return pd.DataFrame(rows, columns=["file", "rows", "windows", "raw", "found", "false_alarms"])


def healthy(rng: np.random.Generator, *, n: int, day: int) -> dict[str, np.ndarray]:
    """Series of which nothing is out of the ordinary, by the name of their world."""
    at = np.arange(n)
    wave = np.where((at // day) % 7 >= 5, -0.5, 0.0) + (0.5 * np.sin(2 * np.pi * at / day) if day > 1 else 0.0)

    def spells() -> np.ndarray:
        return lfilter([1], [1, -0.7], rng.normal(size=n + 200))[200:] * math.sqrt(1 - 0.7**2)

    return {
        "independent": 10 + rng.normal(size=n),
        "AR(.7)": 10 + spells(),
        "weekly and daily pattern": np.exp(wave + 0.1 * rng.normal(size=n)),
        "the same, AR(.7)": np.exp(wave + 0.1 * spells()),
        "t with 3 degrees": 10 + rng.standard_t(3, size=n),
        "log-normal, sigma 1": np.exp(rng.normal(size=n)),
        "3 % of buckets doubled": (1 + 0.03 * rng.normal(size=n)) * np.where(rng.random(n) < 0.03, 2, 1),
    }


def false_alarms(*, bucket: str, days: int, draws: int, seed: int = SEED) -> pd.DataFrame:
    """Grain: one row per world: false alarms of a healthy series in 30 days, with its standard error."""
    rng = np.random.default_rng([seed, MINUTES[bucket]])
    day = 1440 // MINUTES[bucket]
    at = pd.date_range(START, periods=days * day, freq=f"{MINUTES[bucket]}min")
    counts: dict[str, list[int]] = {}
    for _ in range(draws):
        worlds = healthy(rng, n=len(at), day=day)
        told = pd.concat(
            pd.DataFrame({"feature_id": name, "signal": "value", "at": at, "value": value})
            for name, value in worlds.items()
        )
        found = watched(told, bucket=bucket, through=at[-1] + (at[1] - at[0])).series
        for name, incidents in zip(found["feature_id"], found["incidents"], strict=True):
            counts.setdefault(name, []).append(int(incidents))
    months = (days * day - max(2 * day, 21)) / day / 30
    rows = [(n, np.mean(c) / months, np.std(c) / math.sqrt(len(c)) / months) for n, c in counts.items()]
    return pd.DataFrame(rows, columns=["world", "a_month", "error"])


def one_day(*, draws: int, size: float = 2.0, seed: int = SEED) -> dict[str, float]:
    """Shares of daily p95 series with spells of 10 % (AR .7) in which a day `size` times as slow, that is over, is told
    as an incident, as an incident that ended, and as a regression of the level.
    """
    rng = np.random.default_rng([seed, 1])
    days = pd.date_range(START, periods=60)
    spells = lfilter([1], [1, -0.7], rng.normal(size=(draws, 160)))[:, 100:] * math.sqrt(1 - 0.7**2)
    values = 200 * np.exp(0.1 * spells)
    hit = rng.integers(28, 55, draws)
    values[np.arange(draws), hit] *= size
    told = pd.DataFrame(
        {
            "feature_id": np.repeat(np.arange(draws), 60),
            "signal": "p95_latency_ms",
            "at": np.tile(days, draws),
            "value": values.ravel(),
        }
    )
    found = watched(told, bucket="day", through=days[-1] + pd.Timedelta(days=1)).incidents
    is_it = found["detected_at"] == days[hit[found["feature_id"].to_numpy(dtype=int)]]
    ended = is_it & found["ended_at"].notna()
    daily = told.rename(columns={"at": "observed_on", "value": "p95_latency_ms"}).assign(latency_observations=1000)
    moved = level_tables(daily).shifts["is_regression"].mean()
    return {
        "incident": found[is_it]["feature_id"].nunique() / draws,
        "ended": found[ended]["feature_id"].nunique() / draws,
        "level": float(moved),
    }


def _print(table: pd.DataFrame) -> None:
    if len(table):
        print("| " + " | ".join(table.columns) + " |\n" + "|---" * table.shape[1] + "|")
        for row in table.itertuples(index=False):
            print("| " + " | ".join(f"{v:.2f}" if isinstance(v, float) else str(v) for v in row) + " |")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nab", type=Path, default=Path("../shared/data/nab"))
    parser.add_argument("--draws", type=int, default=20)
    asked = parser.parse_args()
    if (asked.nab / "combined_windows.json").is_file():
        for budget in (None, 5.0, 1.0):
            found = nab(asked.nab, budget=budget)
            total, windows = nab_total(found["raw"].sum(), found["windows"].sum()), found["windows"].sum()
            allowed = "as set" if budget is None else f"{budget:g} a month"
            print(f"\nNAB, budget {allowed}: {total:.1f}; {found['found'].sum()} of {windows} windows,", end=" ")
            print(f"{found['false_alarms'].sum()} false alarms")
            _print(found if budget is None else found.head(0))
    for bucket, days, share in (("5 minutes", 30, 0.2), ("hour", 60, 1), ("day", 90, 5)):
        found = false_alarms(bucket=bucket, days=days, draws=max(2, int(asked.draws * share)))
        print(f"\nHealthy series in buckets of {bucket}, false alarms in 30 days; budget {BUDGETS[bucket]:g}")
        _print(found)
    for size in (1.5, 2.0, 3.0):
        shares = one_day(draws=max(20, 10 * asked.draws), size=size)
        said = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
        print(f"\nA day {size:g} times as slow that is over, spells of 10 %: {said}")


if __name__ == "__main__":
    main()
