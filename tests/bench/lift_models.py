"""The lift's models on a million start trials: `PYTHONPATH=. python tests/bench/lift_models.py [--trials 1000000]`.

A made-up unit table with 25 covariates (counts, durations, flags), several trials a user, and a propensity and outcomes
in which boosted models win the race; the true effect is 3 points. Timed one after the other, as the page asks: effects
in three populations (5 folds), the two checks on the time before, the benchmark. Wall and CPU seconds, the peak resident
memory of the process (the table itself included), and how the estimate lies to the truth.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time

import numpy as np
import pandas as pd

from launchpad_lib.inference import Placebo, benchmark, crossfit_effects, doubt_table

COVARIATES = [f"x{i:02d}" for i in range(25)]
EFFECT = 0.03


def unit_table(trials: int, rng: np.random.Generator) -> pd.DataFrame:
    """Trials of users with about four each: ten durations, ten counts, five flags as 32-bit numbers."""
    users = np.sort(rng.integers(0, max(trials // 4, 1), trials))
    x = rng.standard_normal((trials, len(COVARIATES)), dtype=np.float32)
    own = rng.standard_normal(int(users.max()) + 1, dtype=np.float32)[users]
    x[:, :10] += own[:, None]
    np.log1p(np.floor(np.exp(x[:, 10:20])), out=x[:, 10:20])
    x[:, 20:] = x[:, 20:] > 0.5
    bent = np.abs(x[:, 0]) - 0.8 + 0.8 * x[:, 10] * x[:, 20]
    table = pd.DataFrame(x, columns=COVARIATES, copy=False)
    table["user"] = users
    table["treated"] = (rng.random(trials) < 1 / (1 + np.exp(-0.7 * bent))).astype(np.uint8)
    chance = np.clip(0.45 + 0.12 * np.tanh(bent) + 0.05 * np.tanh(own), 0.02, 0.93)
    table["returned"] = (rng.random(trials) < chance + EFFECT * table["treated"]).astype(np.uint8)
    for name in ("active_before", "was_busy_before"):
        table[name] = np.where(rng.random(trials) < 0.9, rng.random(trials) < chance, np.nan).astype(np.float32)
    return table


def main() -> None:
    """Prints one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=20261126)
    asked = parser.parse_args()
    table = unit_table(asked.trials, np.random.default_rng(asked.seed))
    shared = {"rng": np.random.default_rng(asked.seed + 1), "cluster": "user"}
    said: dict[str, object] = {"trials": len(table), "users": int(table["user"].nunique())}

    def timed(name, work):
        wall, busy = time.perf_counter(), time.process_time()
        result = work()
        said[f"{name}_s"] = round(time.perf_counter() - wall, 1)
        said[f"{name}_cpu_s"] = round(time.process_time() - busy, 1)
        said[f"peak_mb_after_{name}"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        return result

    found = timed("effects", lambda: crossfit_effects(table, covariates=COVARIATES, **shared))
    placebos = (Placebo("active_before", "active in a window before"), Placebo("was_busy_before", "busy before"))
    half = COVARIATES[:15]
    timed("checks", lambda: doubt_table(table, covariates=half, placebos=placebos, estimate=EFFECT, **shared))
    best = {"estimate": found.best.absolute_lift, "standard_error": found.best.standard_error}
    groups = {"first": COVARIATES[:10], "second": COVARIATES[10:20], "third": COVARIATES[20:]}
    timed("benchmark", lambda: benchmark(table, groups=groups, outcome="returned", **best))
    said |= {"models": found.models, "truth": EFFECT, "estimates": {e.estimand: e[1:5] for e in found[:3]}}
    said["load_average"] = round(os.getloadavg()[0], 1)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
