"""How well are regressions told: planted steps in four worlds, against libraries on the same series?

The series are the daily p95 of `n` log-normal latencies a day over 60 days, eight features a product, of which the first
has the step. The aims are those that were set before; the seed was fixed before the first look. The libraries are no
dependency of the product: `--candidate` names what is run, and an environment of its own has ruptures, adtk,
statsmodels and statsforecast.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.signal import lfilter
from scipy.stats import norm

SEED = 20261127  # before the first look
DAYS, FEATURES = 60, 8
SIGMA = 0.5
SMALLEST_RISE = 0.05
START = pd.Timestamp("2026-01-05")
VOLUMES = (50, 200, 2_000, 20_000)
WORLDS = ("day noise", "spells", "weekly pattern", "doubled days")
CELLS = {
    "day noise": ((0.05, 14), (0.10, 5), (0.20, 3)),
    "spells": ((0.60, 4), (0.20, 14)),
    "weekly pattern": ((0.05, 14), (0.10, 5), (0.20, 3)),
    "doubled days": ((0.05, 14), (0.10, 5), (0.20, 3)),
}


class Told(NamedTuple):
    """What a candidate says of one series: is it named, and the first days of the levels it found, if it dates any."""

    is_named: bool
    days: tuple[int, ...] = ()


Candidate = Callable[[np.ndarray], list[Told]]


def product(rng: np.random.Generator, *, world: str, n: int, features: int = FEATURES, days: int = DAYS) -> np.ndarray:
    """Daily p95 of healthy features, one row each: 200 ms times e to the power of noise."""
    at, shape = np.arange(days), (features, days)
    # The order statistic of n uniform numbers that is their 95 % quantile, through the quantile of the normal.
    place = int(0.95 * n)
    log = SIGMA * norm.ppf(rng.beta(place, n + 1 - place, shape))
    if world == "spells":
        state = lfilter([1], [1, -0.7], rng.normal(size=(features, days + 100)))[:, 100:]
        return 200 * np.exp(log + 0.1 * np.sqrt(1 - 0.7**2) * state)
    log = log + 0.03 * rng.normal(size=shape)
    if world == "weekly pattern":
        log = log + np.where(at % 7 >= 5, -0.3, 0.0) + 0.05 * np.sin(2 * np.pi * at / 7)
    if world == "doubled days":
        log = log + np.log(2) * (rng.random(shape) < 0.03)
    return 200 * np.exp(log)


def own(values: np.ndarray) -> list[Told]:
    """`trends.level_tables`, as the latency page calls it."""
    from launchpad_lib.trends import level_tables

    found = tables_of(values, level_tables)
    days = {f: (one["changed_at"] - START).dt.days for f, one in found.changes.groupby("feature_id")}
    named = found.shifts.set_index("feature_id")["is_regression"]
    return [Told(bool(named[i]), tuple(days.get(i, ()))) for i in range(len(values))]


def tables_of(values: np.ndarray, level_tables: Callable) -> tuple:
    features, days = values.shape
    daily = pd.DataFrame(
        {
            "feature_id": np.repeat(np.arange(features), days),
            "observed_on": np.tile(pd.date_range(START, periods=days), features),
            "p95_latency_ms": values.ravel(),
            "latency_observations": 1000,
        }
    )
    return level_tables(daily, smallest_rise=SMALLEST_RISE)


def segmented(days: list[int], log: np.ndarray) -> Told:
    """Named where the last level lies at least half the smallest rise over the one before: the rule for libraries."""
    bounds = [0, *sorted(days), len(log)]
    if len(bounds) < 3:
        return Told(False)
    before, after = (np.median(log[a:b]) for a, b in zip(bounds[-3:-1], bounds[-2:], strict=True))
    return Told(bool(after - before >= np.log1p(SMALLEST_RISE / 2)), tuple(sorted(days)))


def _difference_sd(log: np.ndarray) -> float:
    return float(1.4826 * np.median(np.abs(np.diff(log))) / np.sqrt(2))


def pelt(cost: str, factor: float, *, seasonal: bool = False) -> Candidate:
    """ruptures 1.1 PELT; penalty `factor` times log(n), of L2 times the variance by differences."""

    def told(values: np.ndarray) -> list[Told]:
        import ruptures

        answers = []
        for log in np.log(values):
            series = _adjusted_for_weekday(log) if seasonal else log
            scale = _difference_sd(series) ** 2 if cost == "l2" else 1.0
            algorithm = ruptures.Pelt(model=cost, min_size=3, jump=1).fit(series[:, None])
            breaks = algorithm.predict(pen=factor * np.log(len(series)) * scale)
            answers.append(segmented(breaks[:-1], series))
        return answers

    return told


def _adjusted_for_weekday(log: np.ndarray) -> np.ndarray:
    from statsmodels.tsa.seasonal import STL

    # The default smoother of the season (7) moves with the level and takes days of noise for the week.
    return log - STL(log, period=7, seasonal=61, robust=True).fit().seasonal


def markov(values: np.ndarray) -> list[Told]:
    """statsmodels MarkovRegression of two levels: named where the last three days are of the higher one at 95 %."""
    from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

    answers = []
    for log in np.log(values):
        series = _adjusted_for_weekday(log)
        try:
            # Without a search for a start it ends in a local optimum, also where the step is plain.
            fitted = MarkovRegression(series, k_regimes=2).fit(disp=False, search_reps=20)
            level = [fitted.params[list(fitted.model.param_names).index(f"const[{i}]")] for i in (0, 1)]
            high = int(np.argmax(level))
            likely = np.asarray(fitted.smoothed_marginal_probabilities)[:, high] > 0.5
            sure = np.asarray(fitted.smoothed_marginal_probabilities)[-3:, high].min() > 0.95
        except (ValueError, np.linalg.LinAlgError):  # a fit that fails says nothing
            answers.append(Told(False))
            continue
        days = tuple((np.flatnonzero(np.diff(likely.astype(int)) != 0) + 1).tolist())
        rise = abs(level[1] - level[0]) >= np.log1p(SMALLEST_RISE / 2)
        answers.append(Told(bool(sure and rise and days), days))
    return answers


def level_shift_ad(window: int, c: float) -> Candidate:
    """adtk 0.6 LevelShiftAD; the largest score of each run of alarms is the day."""

    def told(values: np.ndarray) -> list[Told]:
        from adtk.detector import LevelShiftAD

        answers = []
        index = pd.date_range(START, periods=values.shape[1])
        for log in np.log(values):
            series = pd.Series(_adjusted_for_weekday(log), index=index)
            flags = LevelShiftAD(c=c, side="both", window=window).fit_detect(series).fillna(0).astype(bool).to_numpy()
            starts = np.flatnonzero(flags & ~np.r_[False, flags[:-1]])
            ends = [s + int(np.argmin(np.r_[flags[s:], False])) for s in starts]
            answers.append(segmented([(s + e) // 2 for s, e in zip(starts, ends, strict=True)], series.to_numpy()))
        return answers

    return told


def arima(values: np.ndarray) -> list[Told]:
    """statsforecast AutoARIMA with a week's season: the last seven days against the forecast from those before; named
    where four lie over its 99 % interval. It dates nothing.
    """
    from statsforecast.models import AutoARIMA

    answers = []
    for log in np.log(values):
        forecast = AutoARIMA(season_length=7).forecast(y=log[:-7], h=7, level=[99])
        answers.append(Told(bool((log[-7:] > np.asarray(forecast["hi-99"])).sum() >= 4)))
    return answers


CANDIDATES: dict[str, Candidate] = {
    "own": own,
    "ruptures PELT L2, 3 log n": pelt("l2", 3),
    "ruptures PELT L2 after STL, 3 log n": pelt("l2", 3, seasonal=True),
    "ruptures PELT L2 after STL, 8 log n": pelt("l2", 8, seasonal=True),
    "ruptures PELT rank after STL, 3 log n": pelt("rank", 3, seasonal=True),
    "statsmodels MarkovRegression after STL": markov,
    "adtk LevelShiftAD after STL, window 7, c 6": level_shift_ad(7, 6.0),
    "adtk LevelShiftAD after STL, window 3, c 6": level_shift_ad(3, 6.0),
    "adtk LevelShiftAD after STL, window 3, c 2": level_shift_ad(3, 2.0),
    "statsforecast AutoARIMA": arima,
}


def power(candidate: Candidate, *, world: str, n: int, rise: float, days: int, draws: int) -> dict[str, float]:
    """Shares of planted steps that are named, and dated within two days (of those named); healthy features named
    beside them per 100 feature-months.
    """
    rng = np.random.default_rng([SEED, WORLDS.index(world), n, int(100 * rise), days])
    found, near, healthy, months = 0, 0, 0, 0.0
    for _ in range(draws):
        values = product(rng, world=world, n=n)
        values[0, DAYS - days :] *= 1 + rise
        told = candidate(values)
        found += told[0].is_named
        near += told[0].is_named and any(abs(d - (DAYS - days)) <= 2 for d in told[0].days)
        healthy += sum(one.is_named for one in told[1:])
        months += (len(told) - 1) * DAYS / 30
    return {
        "named": found / draws,
        "dated": near / found if found else np.nan,
        "beside": 100 * healthy / months if months else np.nan,
    }


def false_alarms(candidate: Candidate, *, world: str, n: int, draws: int, weekly: bool = False) -> float:
    """Healthy features named per 100 feature-months: at one look after 60 days, or at weekly looks from day 28 on, each
    feature once.
    """
    rng = np.random.default_rng([SEED, WORLDS.index(world), n, 0, 0])
    looks = range(28, DAYS + 1, 7) if weekly else (DAYS,)
    named, months = 0, 0.0
    for _ in range(draws):
        values = product(rng, world=world, n=n)
        told = [candidate(values[:, :look]) for look in looks]
        named += sum(any(look[i].is_named for look in told) for i in range(len(values)))
        months += len(values) * DAYS / 30
    return 100 * named / months


def one_day(candidate: Candidate, *, world: str, size: float, draws: int) -> float:
    """Share of features with one day `size` times as slow, that is over, which are named (n = 2,000)."""
    rng = np.random.default_rng([SEED, 9, WORLDS.index(world), int(10 * size)])
    named = 0
    for _ in range(draws):
        values = product(rng, world=world, n=2_000)
        hit = rng.integers(28, DAYS - 1, len(values))
        values[np.arange(len(values)), hit] *= size
        named += sum(one.is_named for one in candidate(values))
    return named / (draws * FEATURES)


def up_down_up(candidate: Candidate, *, draws: int) -> dict[str, float]:
    """Up by 30 % on day 20, back on day 35, up again on day 50 (3 % day noise, n = 2,000): shares of series in which
    each date is found within two days, all three are, and no other is.
    """
    rng = np.random.default_rng([SEED, 10])
    near, alone, named = np.zeros(3), 0, 0
    every = 0
    for _ in range(draws):
        values = product(rng, world="day noise", n=2_000)
        values[0, 20:35] *= 1.3
        values[0, 50:] *= 1.3
        told = candidate(values)[0]
        hit = [any(abs(d - day) <= 2 for d in told.days) for day in (20, 35, 50)]
        near += hit
        every += all(hit)
        alone += len(told.days) == 3
        named += told.is_named
    first, second, third = near / draws
    return {
        "up": first,
        "down": second,
        "up again": third,
        "all": every / draws,
        "three": alone / draws,
        "named": named / draws,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--candidate", default="own", choices=CANDIDATES)
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--volumes", type=int, nargs="*", default=list(VOLUMES))
    parser.add_argument("--parts", nargs="*", default=["power", "healthy", "weekly", "incident", "again"])
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")
    candidate = CANDIDATES[asked.candidate]
    print(f"\n{asked.candidate}, {asked.draws} draws")
    if "power" in asked.parts:
        print("| world | n | rise, days | named | dated within 2 days | healthy beside, per 100 feature-months |")
        print("|---|---|---|---|---|---|")
        for world, n in [(w, n) for w in WORLDS for n in asked.volumes]:
            for rise, days in CELLS[world]:
                found = power(candidate, world=world, n=n, rise=rise, days=days, draws=asked.draws)
                said = f"{100 * found['named']:.0f} % | {100 * found['dated']:.0f} % | {found['beside']:.2f}"
                print(f"| {world} | {n:,} | {rise:.0%}, {days} | {said} |", flush=True)
    for part, weekly in (("healthy", False), ("weekly", True)):
        if part in asked.parts:
            for world in WORLDS:
                rates = [
                    f"n = {n:,}: {false_alarms(candidate, world=world, n=n, draws=asked.draws, weekly=weekly):.2f}"
                    for n in asked.volumes
                ]
                print(f"Healthy, {'weekly looks' if weekly else 'one look'}, {world}: {', '.join(rates)}", flush=True)
    if "incident" in asked.parts:
        for world, size in [(w, s) for w in ("day noise", "spells") for s in (1.5, 2.0, 3.0)]:
            share = one_day(candidate, world=world, size=size, draws=max(asked.draws // 2, 1))
            print(f"One day times {size:g} that is over, {world}: named {100 * share:.1f} %", flush=True)
    if "again" in asked.parts:
        found = up_down_up(candidate, draws=asked.draws)
        print("Up, down, up again:", ", ".join(f"{k} {100 * v:.0f} %" for k, v in found.items()))


if __name__ == "__main__":
    main()
