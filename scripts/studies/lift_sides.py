"""Is the lift biased where only 2 % finish, or 2 % do not? The adjusted effect beside the plain difference of the same
trials, which needs no model there, since finishing is luck in these worlds.

    python scripts/studies/lift_sides.py --world "randomised 2 %, +6 points" --draws 330

Draw i is that of `lift.py`. What both have in common is the luck of the draw; what is left of their difference is what
models, weights and folds add.
"""

from __future__ import annotations

import argparse
import zlib
from datetime import timedelta

import ibis
import numpy as np
import pandas as pd
from lift import DAYS, FEATURE, SEED, START, WORLDS, World

from launchpad_lib.findings.lift_design import designed
from launchpad_lib.findings.lift_questions import ask_lift
from launchpad_lib.inference import crossfit_effects
from launchpad_lib.metrics.trials import start_trials


def draw(world: World, users: int, number: int) -> dict[str, float | None]:
    """One product: units on the smaller side, the plain difference, the adjusted one with its error; in points."""
    frame = world.log(users, np.random.default_rng([SEED, world.number, number]))
    schema = {"user_id": "string", "event_name": "string", "event_at": "timestamp", "platform": "string"}
    log = ibis.memtable(frame.astype({"event_at": "datetime64[us]"}), schema=schema)
    (question,) = ask_lift(log, [FEATURE])
    asked = {"outcome_days": world.outcome_days, "observed_through": START + timedelta(days=DAYS)}
    (trials,) = start_trials(log, [question.trials], grace=world.grace, seed=number, **asked)
    design = designed(trials.table)
    t, y = trials.table["treated"].to_numpy(), trials.table["returned"].to_numpy(float)
    rng = np.random.default_rng([number, zlib.crc32(b"f")])
    found = crossfit_effects(design.table, covariates=design.covariates, rng=rng, cluster="user").ate
    told = (found.absolute_lift, found.standard_error, found.ci_low, found.ci_high)
    return {
        "few": float(min(t.sum(), (1 - t).sum())),
        "plain": 100 * (y[t == 1].mean() - y[t == 0].mean()),
    } | {k: None if v is None else 100 * v for k, v in zip(("ate", "error", "low", "high"), told, strict=True)}


def main() -> None:
    """Prints one line: means with their errors, coverage, power."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--world", choices=list(WORLDS), default="randomised 2 %, +6 points")
    parser.add_argument("--users", type=int, default=4000)
    parser.add_argument("--draws", type=int, default=50)
    asked = parser.parse_args()
    world = WORLDS[asked.world]
    rows = pd.DataFrame([draw(world, asked.users, i) for i in range(asked.draws)]).dropna().astype(float)
    truth, root = 100 * world.effect, len(rows) ** 0.5
    rows["adjusted less plain"] = rows["ate"] - rows["plain"]
    told = [f"{c} {rows[c].mean():+.2f} ({rows[c].std() / root:.2f})" for c in ("plain", "ate", "adjusted less plain")]
    covered = ((rows["low"] <= truth) & (truth <= rows["high"])).mean()
    power = ((rows["low"] > 0) | (rows["high"] < 0)).mean()
    print(
        f"{asked.world}, {len(rows)} draws with {rows['few'].mean():.0f} trials on the smaller side: {', '.join(told)}; "
        f"covers {covered:.1%}, leaves out 0 in {power:.0%}; error as told {rows['error'].mean():.2f}, over the draws "
        f"{rows['ate'].std():.2f}"
    )


if __name__ == "__main__":
    main()
