"""How well are incidents told where a bucket holds few observations: healthy rates, rows, and failures that are real?

Volumes are Poisson with a wave over the day that falls to a tenth of the mean at night (on weekends to half by day).
The worlds and their seeds were fixed before the detector of counts was first run on them.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
import pandas as pd
from incidents import SEED, START, _print
from scipy.signal import lfilter

from launchpad_lib.trends import BUDGETS, MINUTES, watched

PAIRS = tuple((mean, rate) for mean in (1, 4, 20, 200) for rate in (0.001, 0.01, 0.05))


def spells(rng: np.random.Generator, n: int, sd: float) -> np.ndarray:
    """Factors that neighbouring buckets share: log-normal, AR(.7)."""
    return np.exp(sd * lfilter([1], [1, -0.7], rng.normal(size=n + 200))[200:] * math.sqrt(1 - 0.7**2))


def wave(n: int, day: int) -> np.ndarray:
    at = np.arange(n)
    return np.where(at % 7 >= 5, 0.5, 1.0) if day == 1 else 1 + 0.9 * np.sin(2 * np.pi * at / day)


def healthy(rng: np.random.Generator, *, n: int, day: int) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Failures and observations, or rows and None, of which nothing is out of the ordinary, by the name of a world."""
    volume = wave(n, day)
    worlds: dict[str, tuple[np.ndarray, np.ndarray | None]] = {}
    for mean, rate in PAIRS:
        of = rng.poisson(mean * volume)
        worlds[f"rate {rate:g} of {mean}"] = (rng.binomial(of, rate), of)
    of = rng.poisson(20 * volume)
    worlds["rate .02 of 20, three times at night"] = (rng.binomial(of, 0.02 * np.where(volume < 1, 3, 1)), of)
    of = rng.poisson(2000 * volume)
    worlds["rate .02 of 2,000, spells of 30 %"] = (rng.binomial(of, np.minimum(0.02 * spells(rng, n, 0.3), 1)), of)
    of = rng.poisson(20 * volume)
    loop = np.where(rng.random(n) < 0.01, rng.poisson(5, n), 0)
    worlds["rate .01 of 20, in 1 % of buckets one user crashes 5 times"] = (rng.binomial(of, 0.01) + loop, of + loop)
    for mean in (1, 4, 20, 200, 2000):
        worlds[f"rows, {mean}"] = (rng.poisson(mean * volume), None)
    weekend = np.where((np.arange(n) // day) % 7 >= 5, 0.5, 1.0)
    worlds["rows, 200, spells of 20 %, weekends half"] = (
        rng.poisson(200 * volume * weekend * spells(rng, n, 0.2)),
        None,
    )
    worlds["rows, 20, negative binomial (variance ten times)"] = (rng.poisson(20 * volume * rng.gamma(2, 0.5, n)), None)
    return worlds


def series_of(name: str, failed: np.ndarray, of: np.ndarray | None, *, at: pd.DatetimeIndex) -> pd.DataFrame:
    """What `watched` takes; a bucket without rows is a gap."""
    kind = "count" if of is None else "rate"
    whole = {"feature_id": name, "signal": kind, "at": at, "kind": kind, "worse": "both" if of is None else "up"}
    if of is None:
        return pd.DataFrame({**whole, "value": failed.astype(float), "observations": np.nan})[failed > 0]
    return pd.DataFrame({**whole, "value": failed / np.maximum(of, 1), "observations": of.astype(float)})[of > 0]


def false_alarms(*, bucket: str, days: int, draws: int, seed: int = SEED) -> pd.DataFrame:
    """Grain: one row per world: false alarms of a healthy series in 30 days, with its standard error."""
    rng = np.random.default_rng([seed, 2, MINUTES[bucket]])
    day = 1440 // MINUTES[bucket]
    at = pd.date_range(START, periods=days * day, freq=f"{MINUTES[bucket]}min")
    counts: dict[str, list[int]] = {}
    for _ in range(draws):
        worlds = healthy(rng, n=len(at), day=day)
        told = pd.concat(series_of(name, *world, at=at) for name, world in worlds.items())
        found = watched(told, bucket=bucket, through=at[-1] + (at[1] - at[0])).series
        for name, incidents in zip(found["feature_id"], found["incidents"], strict=True):
            counts.setdefault(name, []).append(int(incidents))
    months = (days * day - max(2 * day, 21)) / day / 30
    rows = [(n, np.mean(c) / months, np.std(c) / math.sqrt(len(c)) / months) for n, c in counts.items()]
    return pd.DataFrame(rows, columns=["world", "a_month", "error"])


def found_share(*, mean: int, rate: float, times: float, hours: int, sd: float, draws: int, seed: int = SEED) -> tuple:
    """Share of incidents (the rate `times` as high for some hours of 30 days) that are told before two hours after
    their end, and the median of the hours until then.
    """
    rng = np.random.default_rng([seed, 3, mean, hours])
    at = pd.date_range(START, periods=24 * 30, freq="h")
    begun, parts = rng.integers(24 * 15, 24 * 28, draws), []
    for draw, start in enumerate(begun):
        of = rng.poisson(mean * wave(len(at), 24))
        p = rate * spells(rng, len(at), sd)
        p[start : start + hours] *= times
        parts.append(series_of(f"{draw:04d}", rng.binomial(of, np.minimum(p, 1)), of, at=at))
    found = watched(pd.concat(parts), bucket="hour", through=at[-1] + pd.Timedelta(hours=1)).incidents
    late = (found["detected_at"] - at[begun[found["feature_id"].to_numpy(dtype=int)]]) / pd.Timedelta(hours=1)
    hit = late.between(0, hours + 1)
    return found[hit]["feature_id"].nunique() / draws, float(late[hit].median())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=20)
    asked = parser.parse_args()
    for bucket, days, share in (("5 minutes", 30, 0.2), ("hour", 60, 1), ("day", 90, 5)):
        print(f"\nHealthy counts in buckets of {bucket}, false alarms in 30 days; budget {BUDGETS[bucket]:g}")
        _print(false_alarms(bucket=bucket, days=days, draws=max(2, int(asked.draws * share))))
    rows = [
        (mean, rate, times, hours, *(found_share(mean=mean, rate=rate, times=times, hours=hours, sd=sd, draws=5 * asked.draws) for sd in (0, 0.3)))
        for mean, rate, times, hours in (
            (4, 0.01, 50, 3), (4, 0.01, 50, 12), (20, 0.01, 20, 3), (20, 0.01, 5, 12),
            (200, 0.01, 5, 3), (200, 0.01, 3, 12), (2000, 0.02, 3, 2), (20000, 0.02, 2, 2),
        )
    ]  # fmt: skip
    print("\nThe rate is higher for some hours: share told, and hours until then; without and with spells of 30 %")
    flat = [(*row[:4], *row[4], *row[5]) for row in rows]
    names = ["an hour", "rate", "times", "hours", "told", "after", "told, spells", "after, spells"]
    _print(pd.DataFrame(flat, columns=names))


if __name__ == "__main__":
    main()
