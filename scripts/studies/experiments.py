"""How right experiments are: false alarms, coverage, the ship rule, looking at every step, CUPED.

Vectorised from sufficient statistics; the seeds were fixed before the first look. Prints the tables of docs/studies.md.
"""

from __future__ import annotations

import argparse
from math import sqrt

import numpy as np
import pandas as pd
from scipy.stats import binom, norm

from launchpad_lib.inference.adjustment import cuped
from launchpad_lib.inference.arms import WIDTH, Arm, arm_difference, arm_of_mean, arm_of_ratio, sequence_half_width
from launchpad_lib.inference.comparison import score_test_p
from launchpad_lib.inference.experiment import decide
from launchpad_lib.inference.proportions import newcombe
from launchpad_lib.inference.sample_ratio import SampleRatio
from launchpad_lib.inference.variants import compare_variants

SEED = 20261126
FAIR = SampleRatio(0.0, 1.0, False)


def rates(rng: np.random.Generator, n: int, rate: float, draws: int) -> tuple[float, float]:
    """False alarms of the score test and coverage of Newcombe's interval, both arms at one rate, n units in all."""
    half = n // 2
    pairs = rng.binomial(half, rate, (draws, 2))
    alarms = [(score_test_p(int(a), half, int(b), half) or 1.0) <= 0.05 for a, b in pairs]
    limits = [newcombe(int(a), half, int(b), half)[1:] for a, b in pairs]
    return float(np.mean(alarms)), float(np.mean([low <= 0 <= high for low, high in limits]))


def exact_rates(n: int, rate: float) -> tuple[float, float, float]:
    """Of every pair of counts that two arms of n units at one rate can have, by its chance: false alarms of the score
    test, coverage of Newcombe's limits, and how often these lie above 0 (an A/A test of one metric ships).
    """
    count = np.arange(n + 1)
    chance = binom.pmf(count, n, rate)
    weight = np.outer(chance, chance)
    one, zero = count[:, None] / n, count[None, :] / n
    pooled, z = (one + zero) / 2, norm.ppf(0.975)
    spread = pooled * (1 - pooled) * 2 / n
    alarm = (one - zero) ** 2 >= z * z * spread
    alarm &= spread > 0

    def wilson(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        return middle - half, middle + half

    (low_1, high_1), (low_0, high_0) = wilson(one), wilson(zero)
    low = one - zero - np.sqrt((one - low_1) ** 2 + (high_0 - zero) ** 2)
    high = one - zero + np.sqrt((high_1 - one) ** 2 + (zero - low_0) ** 2)
    return tuple(float((weight * such).sum()) for such in (alarm, (low <= 0) & (0 <= high), low > 0))  # type: ignore[return-value]


def moments(y: np.ndarray, d: np.ndarray | None = None) -> list[Arm]:
    """An arm of each row."""
    n = y.shape[1]
    if d is None:
        return [arm_of_mean(n, s, q) for s, q in zip(y.sum(axis=1), (y * y).sum(axis=1), strict=True)]
    below = zip(d.sum(axis=1), (d * d).sum(axis=1), (d * y).sum(axis=1), strict=True)
    return [arm_of_ratio(n, s, q, b) for s, q, b in zip(y.sum(axis=1), (y * y).sum(axis=1), below, strict=True)]


def revenue(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Heavy-tailed: 10 % buy, log-normal amounts with sigma 1."""
    return np.where(rng.random(shape) < 0.1, np.exp(rng.normal(3.0, 1.0, shape)), 0.0)


def clusters(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Clusters of 1 to 19 units with a level of their own (sd 1) and units around it (sd 2)."""
    size = rng.integers(1, 20, shape).astype(np.float64)
    return size * rng.normal(10, 1, shape) + np.sqrt(size) * rng.normal(0, 2, shape), size


def ratios(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Clicks per view: units of very different taste and activity."""
    views = 1 + rng.poisson(np.exp(rng.normal(1.5, 0.7, shape)))
    return rng.binomial(views, rng.beta(2, 6, shape)).astype(np.float64), views.astype(np.float64)


def means(rng: np.random.Generator, kind: str, n: int, draws: int) -> tuple[float, float]:
    """False alarms of Welch's t on the arms, and coverage of 0; in chunks of bounded memory."""
    found = []
    chunk = max(1, min(draws, 2_000_000 // n))
    for start in range(0, draws, chunk):
        shape = (min(chunk, draws - start), n // 2)
        arms = []
        for _ in range(2):
            if kind == "revenue":
                arms.append(moments(revenue(rng, shape)))
            else:
                y, d = (ratios if kind == "ratio" else clusters)(rng, shape)
                arms.append(moments(y, d))
        found += [arm_difference(a, b) for a, b in zip(*arms, strict=True)]
    known = [f for f in found if f.p_value is not None]
    alarms = float(np.mean([f.p_value <= 0.05 for f in known]))
    return alarms, float(np.mean([f.ci_low <= 0 <= f.ci_high for f in known]))


def shipped(rng: np.random.Generator, arms: int, metrics: int, design: str, draws: int) -> float:
    """How often an A/A test with so many treated arms and success metrics ships something: 2,000 units an arm."""
    count = 0
    for _ in range(draws):
        converted = rng.binomial(2000, 0.2, (metrics, arms + 1))
        rows = []
        for m in range(metrics):
            counts = pd.DataFrame(
                {
                    "metric": f"m{m}",
                    "variant": [f"v{k}" for k in range(arms + 1)],
                    "units": 2000,
                    "converted": converted[m],
                }
            ).assign(refused_because=None)
            asked = {"control": "v0", "role": "success", "comparisons": arms * metrics, "planned_units": 4000}
            rows.append(compare_variants(counts, design=design, **asked))  # type: ignore[arg-type]
        table = pd.concat(rows)
        count += any(decide(table, variant=f"v{k}", ratio=FAIR).choice == "ship" for k in range(1, arms + 1))
    return count / draws


def shipped_at_once(rng: np.random.Generator, arms: int, metrics: int, draws: int) -> float:
    """The same of a fixed design as arrays (a test holds both against each other): Newcombe's limits and the rule."""
    n = 2000
    converted = np.stack([rng.binomial(n, 0.2, (metrics, arms + 1)) for _ in range(draws)])
    z = norm.ppf(1 - 0.05 / (arms * metrics) / 2)
    p = converted / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    one, zero = p[:, :, 1:], p[:, :, :1]
    low_1, high_1, low_0, high_0 = (
        part
        for side in ((slice(1, None)), (slice(0, 1)))
        for part in (middle[:, :, side] - half[:, :, side], middle[:, :, side] + half[:, :, side])
    )
    gap = one - zero
    is_above = gap - np.sqrt((one - low_1) ** 2 + (high_0 - zero) ** 2) > 0
    is_below = gap + np.sqrt((high_1 - one) ** 2 + (zero - low_0) ** 2) < 0
    return float((is_above.any(axis=1) & ~is_below.any(axis=1)).any(axis=1).mean())


def looking(rng: np.random.Generator, draws: int, *, first: int = 100, fold: int = 10_000, steps: int = 40_000) -> dict:
    """False alarms when n grows 10,000-fold with a look at every step (geometric steps of the sums' Brownian path, so
    close that a look at every unit would see no more), for several planned n, and with its tuning at the n of the day.
    """
    n = np.unique(np.geomspace(first, first * fold, steps).round())
    plans = {str(p): float(p) for p in (first * 10, first * 100, first * 1_000)}
    widths = {
        k: np.array([sequence_half_width(1.0, n=int(x), tuning_n=t, level=0.95) for x in n]) for k, t in plans.items()
    }
    widths["the n of the day"] = np.array(
        [sequence_half_width(1.0, n=int(x), tuning_n=float(x), level=0.95) for x in n]
    )
    widths["fixed, 1.96"] = np.full(len(n), norm.ppf(0.975))
    alarms = dict.fromkeys(widths, 0)
    root, step = np.sqrt(n), np.sqrt(np.diff(n, prepend=0.0))
    for _ in range(draws):
        z = np.abs(np.cumsum(rng.normal(size=len(n)) * step)) / root
        for name, width in widths.items():
            alarms[name] += bool((z > width).any())
    return {name: k / draws for name, k in alarms.items()}


def cuped_left(rng: np.random.Generator, rho: float, n: int, draws: int) -> tuple[float, float, float]:
    """Variance of the adjusted lift over that of the plain one (both over the draws), what the estimate says, coverage."""
    plain, adjusted, told, holds = [], [], [], []
    for _ in range(draws):
        arms = []
        for _ in range(2):
            x = rng.normal(size=n)
            y = rho * x + sqrt(1 - rho**2) * rng.normal(size=n)
            m = np.zeros(WIDTH)
            m[[0, 2, 4, 9, 11, 14]] = n
            m[[1, 6, 8]], m[[3, 10, 13]] = y.sum(), x.sum()
            m[5], m[7], m[12] = y @ y, y @ x, x @ x
            arms.append(Arm(m))
        one = cuped(arms[0], arms[1])
        plain.append(arms[0].value - arms[1].value)  # type: ignore[operator]
        adjusted.append(one.estimate)
        told.append(one.variance_left)
        holds.append(abs(one.estimate) <= 1.959964 * sqrt(sum(one.variances)))  # type: ignore[arg-type]
    return float(np.var(adjusted) / np.var(plain)), float(np.mean(told)), float(np.mean(holds))


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=10_000)
    draws = parser.parse_args().draws
    print(f"{draws:,} draws of each world (revenue, ratio and clusters with 50,000 units: a tenth)\n")
    print("| metric | units | false alarms | coverage |\n|---|---|---|---|")
    for n in (200, 2_000, 50_000):
        for rate in (0.02, 0.5):
            alarms, coverage = rates(np.random.default_rng([SEED, n, int(100 * rate)]), n, rate, draws)
            print(f"| rate {rate:g} | {n:,} | {alarms:.2%} | {coverage:.2%} |")
        for number, kind in enumerate(("revenue", "ratio", "clusters")):
            some = draws if n < 50_000 else draws // 10
            alarms, coverage = means(np.random.default_rng([SEED, n, 1000 + number]), kind, n, some)
            print(f"| {kind} | {n:,} | {alarms:.2%} | {coverage:.2%} |", flush=True)
    print("\n| rates, exact | units an arm | false alarms | coverage | ships |\n|---|---|---|---|---|")
    for n, rate in ((100, 0.02), (100, 0.5), (1_000, 0.02), (1_000, 0.5), (2_000, 0.2)):
        alarms, coverage, ships = exact_rates(n, rate)
        print(f"| {rate:g} | {n:,} | {alarms:.2%} | {coverage:.2%} | {ships:.2%} |", flush=True)
    print("\n| treated arms | success metrics | design | A/A tests that ship |\n|---|---|---|---|")
    for arms, metrics in ((1, 1), (3, 1), (1, 5), (10, 5)):
        share = shipped_at_once(np.random.default_rng([SEED, arms, metrics, 0]), arms, metrics, draws)
        print(f"| {arms} | {metrics} | fixed | {share:.2%} of {draws:,} |", flush=True)
    some = max(draws // 20, 50)
    share = shipped(np.random.default_rng([SEED, 1, 1, 1]), 1, 1, "sequential", some)
    print(f"| 1 | 1 | sequential, one reading | {share:.2%} of {some:,} |", flush=True)
    print("\n| tuned to n = | false alarms, a look at every step, n 100 to 1,000,000 |\n|---|---|")
    for name, share in looking(np.random.default_rng([SEED, 7]), max(draws // 5, 50)).items():
        print(f"| {name} | {share:.2%} |")
    print("\n| rho | 1 - rho² | variance left | as estimated | coverage |\n|---|---|---|---|---|")
    for rho in (0.3, 0.6, 0.9):
        left, told, coverage = cuped_left(np.random.default_rng([SEED, int(10 * rho)]), rho, 500, draws)
        print(f"| {rho:g} | {1 - rho**2:.3f} | {left:.3f} | {told:.3f} | {coverage:.2%} |", flush=True)


if __name__ == "__main__":
    main()
