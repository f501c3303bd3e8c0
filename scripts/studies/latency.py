"""How often does the latency page find what is planted, and how often does it name a healthy feature?

Runs what the latency notebook computes on the simulation's own telemetry for many seeds. Prints a Markdown table.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd

from launchpad_lib.inference import quantile_changes, regression_table
from launchpad_lib.simulation import TRUTH
from launchpad_lib.simulation.telemetry import telemetry_rows
from launchpad_lib.trends import level_tables, spell_noise_of_change

START = date(2025, 11, 20)


def one(seed: int) -> pd.DataFrame:
    """The notebook's regression table for one simulated product."""
    rng = np.random.default_rng(seed)
    seen = telemetry_rows(rng, users=500, days=60, start_on=START, truth=TRUTH)
    groups = seen.assign(observed_on=seen["observed_at"].dt.floor("D")).groupby(["feature_id", "observed_on"])[
        "latency_ms"
    ]
    daily = (
        groups.quantile(0.95)
        .rename("p95_latency_ms")
        .to_frame()
        .assign(latency_observations=groups.size())
        .reset_index()
    )
    shifts = level_tables(daily).shifts
    noise = spell_noise_of_change(shifts, window_days=7)
    split = seen["observed_at"].max() - timedelta(days=7)
    changes = quantile_changes(seen, split_at=split, window_days=7, rng=rng, period_noise=noise, draws=300, mix=())
    return regression_table(changes, shifts).assign(seed=seed)


def main(seeds: int = 120) -> None:
    table = pd.concat([one(s) for s in range(1000, 1000 + seeds)])
    planted = {r.feature_id: r for r in TRUTH.regressions}
    table["kind"] = [
        f"{f} (x {planted[f].factor} from day {planted[f].day})" if f in planted else "healthy features"
        for f in table["feature_id"]
    ]
    table["day"] = (table["shift_on"] - pd.Timestamp(START)).dt.days
    table["true_day"] = [planted[f].day if f in planted else np.nan for f in table["feature_id"]]
    print(f"\n{seeds} products of 8 features and 60 days.\n")
    print(
        "| features | named a regression | shift p < 0.05 | window interval covers 1 | date within 2 days, of those named |\n|---|---|---|---|---|"
    )
    for kind, g in table.groupby("kind"):
        covers = ((g["ci_low"] <= 1) & (g["ci_high"] >= 1)).mean()
        found = g[g["is_regression"]]
        near = (
            f"{100 * ((found['day'] - found['true_day']).abs() <= 2).mean():.0f} %"
            if kind != "healthy features"
            else "–"
        )
        shares = " | ".join(
            f"{100 * v:.1f} %"
            for v in (
                g["is_regression"].mean(),
                (g["shift_p"] < 0.05).mean(),
                covers,
            )
        )
        print(f"| {kind} | {shares} | {near} |")
    healthy = table[table["kind"] == "healthy features"].groupby("seed")["is_regression"].any().mean()
    print(f"\nReports that name any healthy feature: {100 * healthy:.1f} %.")


if __name__ == "__main__":
    main()
