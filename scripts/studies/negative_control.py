"""How often does a negative-control exposure fail where nothing is hidden, and how often does it catch a hidden cause?

Sessions in which somebody may finish (which adds 10 points to coming back) and may click a banner (which adds nothing,
and is likelier where somebody finishes). All three hang on what is measured and, by `hidden`, on what nobody measures.
Seeds were written before the first look: draw i of a world has the seed (20261128, number of the world, i).

    python scripts/studies/negative_control.py                  # 100 draws of each world
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import NamedTuple

import numpy as np
import pandas as pd

from launchpad_lib.inference.doubt import control_exposure
from launchpad_lib.inference.effects import crossfit_effects

SEED, EFFECT = 20261128, 0.1


class World(NamedTuple):
    """How many sessions, how much of a hidden cause, and whether the measured one acts along a line."""

    number: int
    says: str
    sessions: int
    hidden: float = 0.0
    is_bent: bool = False


WORLDS = (
    World(1, "nothing hidden", 1_500),
    World(2, "nothing hidden", 6_000),
    World(3, "nothing hidden, the measured cause bends", 6_000, is_bent=True),
    World(4, "a hidden cause, a quarter as strong as the last", 6_000, hidden=0.25),
    World(5, "a hidden cause, half as strong", 6_000, hidden=0.5),
    World(6, "a hidden cause", 1_500, hidden=1.0),
    World(7, "a hidden cause", 6_000, hidden=1.0),
)


def drawn(world: World, rng: np.random.Generator) -> pd.DataFrame:
    """One row per session."""
    n = world.sessions
    liking, mood = rng.normal(size=n), rng.normal(size=n)
    measured = np.abs(liking) - 0.8 if world.is_bent else liking
    drive = 0.7 * measured + world.hidden * mood
    treated = rng.random(n) < 1 / (1 + np.exp(-drive))
    banner = rng.random(n) < 1 / (1 + np.exp(0.5 - drive - 0.8 * treated))
    back = rng.random(n) < np.clip(0.4 + EFFECT * treated + 0.08 * measured + 0.12 * world.hidden * mood, 0, 1)
    columns = {"treated": treated, "did_control": banner, "returned": back}
    return pd.DataFrame({k: v.astype(int) for k, v in columns.items()} | {"liking": liking})


def draw(world: World, number: int) -> tuple[float, str, bool]:
    """The estimate of finishing, what the control says of it, and whether the control's interval holds 0."""
    table = drawn(world, np.random.default_rng((SEED, world.number, number)))
    rng = np.random.default_rng(number)
    found = crossfit_effects(table.drop(columns="did_control"), covariates=["liking"], rng=rng).best
    asked = {"covariates": ["liking"], "exposure": "did_control", "label": "banner", "estimand": found.estimand}
    row = control_exposure(table, estimate=found.absolute_lift, rng=rng, **asked).iloc[0]
    return float(found.absolute_lift), str(row["verdict"]), bool(row["ci_low"] <= 0 <= row["ci_high"])


def main() -> None:
    """Prints one Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--world", type=int, action="append", help="only these worlds, by number")
    asked = parser.parse_args()
    print(
        "| world | sessions | draws | estimate of finishing (+10 is true) | the control says | its interval holds 0 |"
    )
    print("|---|---|---|---|---|---|")
    for world in (w for w in WORLDS if asked.world is None or w.number in asked.world):
        found = [draw(world, i) for i in range(asked.draws)]
        estimates = [100 * estimate for estimate, _, _ in found]
        said = ", ".join(f"{word} {n}" for word, n in Counter(verdict for _, verdict, _ in found).most_common())
        error = np.std(estimates) / asked.draws**0.5
        print(
            f"| {world.says} | {world.sessions:,} | {asked.draws} | {np.mean(estimates):+.1f} ({error:.1f}) | {said} "
            f"| {np.mean([holds for *_, holds in found]):.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
