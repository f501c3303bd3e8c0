"""How often does an error budget ring by chance, and does the interval of the day on which it is used up hold?

The seeds stand here and were fixed before the first look.
"""

from __future__ import annotations

import argparse
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from incidents import _print

from launchpad_lib.contract.features import Feature
from launchpad_lib.trends import budget_table, burn_rates
from launchpad_lib.trends.exhaustion import used_up

SEEDS = (1, 2, 3)
DAYS = 14
NOW = datetime(2026, 1, 15)
SINCE = NOW - timedelta(days=DAYS)
RATES = (0.01, 0.05, 0.1)


def instants(rng: np.random.Generator, n: int) -> np.ndarray:
    """Random seconds of the period, in order."""
    return np.datetime64(SINCE, "us") + np.sort(rng.integers(1, DAYS * 86_400, n)) * np.timedelta64(1, "s")


def at_the_budget(seed: int, *, features: int) -> dict[str, float]:
    """Shares of features with an alert by chance: 40 to 400 observations in 14 days, as many failures as are allowed.

    First errors alone; then errors, latency and availability, each of them at exactly its own budget.
    """
    rng = np.random.default_rng([20261127, seed])
    alone, budgets, several, declared = [], {}, [], []
    for i in range(features):
        rate, n = RATES[i % 3], int(rng.integers(40, 400))
        one = pd.DataFrame({"feature_id": f"f{i:04d}", "observed_at": instants(rng, n)})
        alone.append(one.assign(is_bad=rng.random(n) < rate))
        budgets[f"f{i:04d}"] = rate
        failed, late = rng.random(n) < rate, rng.random(n) < 0.05
        several.append(one.assign(user_id=None, latency_ms=np.where(late, 2.0, 1.0), crashed=False, error_count=failed))
        declared.append(
            Feature(
                feature_id=f"f{i:04d}", slo_error_rate=rate, slo_p95_latency_ms=1.5, slo_availability=round(1 - rate, 6)
            )
        )
    found = {"one objective": burn_rates(pd.concat(alone), pd.Series(budgets), as_of=NOW, since=SINCE)}
    known = pd.concat(several).astype({"error_count": float})
    found["three objectives"] = budget_table(known, declared, as_of=NOW, since=SINCE)
    shares = {}
    for name, table in found.items():
        for when, flag in (("in the period", "was_alert"), ("now", "is_alert")):
            rings = table[flag].fillna(False).astype(bool).groupby(table["feature_id"]).any()
            shares[f"{name}, {when}, %"] = 100 * float(rings.mean())
    return shares


def coverage(seed: int, *, draws: int, spell: float) -> dict[str, float]:
    """Of budgets that the true rate of the last 3 days uses up in 1 to 13 days: how often the interval holds that day.

    Args:
        spell: sd of the log of the rate from one 3-hour slice to the next; 0: failures are independent.
    """
    rng = np.random.default_rng([20261127, 2, seed, int(10 * spell)])
    told = held = asked = open_ended = 0
    for _ in range(draws):
        n, rate = int(rng.integers(500, 8000)), float(rng.uniform(0.04, 0.12))
        at = instants(rng, n)
        place = ((at - np.datetime64(SINCE, "us")) / np.timedelta64(3, "h")).astype(int)
        factor = np.exp(spell * rng.normal(size=DAYS * 8) - spell**2 / 2)[place]
        is_recent = at > np.datetime64(NOW - timedelta(days=3), "us")
        bad = rng.random(n) < np.where(is_recent, rate, 0.01) * factor
        budget = float(rng.uniform(0.3, 0.9)) * rate
        true = _true_date(at, bad, budget, rate=rate, recent=is_recent)
        if true is None:
            continue
        asked += 1
        found = used_up(at, bad, budget, begin=SINCE, as_of=NOW, lately=NOW - timedelta(days=3))
        if found.refused is None and found.first is not None:
            told += 1
            open_ended += found.last is None
            held += found.first <= true and (found.last is None or true <= found.last)
    return {"asked": asked, "told": told / asked, "held": held / max(told, 1), "open": open_ended / max(told, 1)}


def _true_date(
    at: np.ndarray, bad: np.ndarray, budget: float, *, rate: float, recent: np.ndarray
) -> np.datetime64 | None:
    """By a loop over quarters of an hour to come, with the true rate; None where it is spent now or not in 13 days."""
    per = recent.sum() / (3 * 96)
    for quarter in range(13 * 96):
        stays = at > np.datetime64(SINCE + timedelta(minutes=15 * quarter), "us")
        if bad[stays].sum() + rate * per * quarter >= budget * (stays.sum() + per * quarter):
            return None if quarter < 96 else np.datetime64(NOW + timedelta(minutes=15 * quarter), "us")
    return None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--features", type=int, default=600)
    parser.add_argument("--draws", type=int, default=200)
    asked = parser.parse_args()
    shares = pd.DataFrame([{"seed": s, **at_the_budget(s, features=asked.features)} for s in SEEDS])
    print(f"At exactly the budget, {asked.features} features a seed: share with an alert")
    _print(shares)
    rows = [{"spells": spell, **coverage(1, draws=asked.draws, spell=spell)} for spell in (0.0, 0.5)]
    print("\nThe day on which a budget is used up: how often told, and how often its interval holds the true one")
    _print(pd.DataFrame(rows))


if __name__ == "__main__":
    main()
