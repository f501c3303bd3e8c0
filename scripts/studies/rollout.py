"""Is the roll-out right? Products switched on country by country, whose truth is known: bias, coverage, and the word.

Users have habits of their own; every country has its own level; the share of active users falls by a point a week. In
the worlds with shocks whole countries have good and bad weeks (standard deviation 2 points, and where it says so those
of a country hang together, AR 0.7). Seeds were written before the first look: draw i of a world has the seed
(20261127, number of the world, i).

    python scripts/studies/rollout.py               # 200 draws of each world, about three minutes
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import NamedTuple

import numpy as np

from launchpad_lib.findings.lift_verdicts import lift_verdict
from launchpad_lib.inference.rollout import RolloutEffect, RolloutPanel, rollout_effect

SEED = 20261127
PERIODS, FIRST = 11, 4
THREE_WAVES = (4, 4, 4, 6, 6, 6, 8, 8, 8, 11, 11, 11)


class World(NamedTuple):
    """A roll-out: when each country is switched on, and what is true there."""

    number: int
    says: str
    switched_on: tuple[int, ...] = THREE_WAVES
    effects: dict[int, float] = {4: 0.03, 6: 0.05, 8: 0.02}  # noqa: RUF012 (read only)
    growth: float = 0.005
    shock: float = 0.0
    kept: float = 0.0
    drift: float = 0.0
    users: int = 1500

    def effect(self, g: int, t: int) -> float:
        """What is true in a country switched on at g, in period t."""
        return self.effects[g] + self.growth * (t - g) if g in self.effects and t >= g else 0.0


NONE = {4: 0.0, 6: 0.0, 8: 0.0}
WORLDS = (
    World(1, "three waves, growing effects of 3, 5 and 2 points"),
    World(2, "the same, countries with good and bad weeks", shock=0.02),
    World(3, "the same, good and bad weeks that hang together", shock=0.02, kept=0.7),
    World(4, "no effect", effects=NONE, growth=0.0),
    World(5, "no effect, good and bad weeks", effects=NONE, growth=0.0, shock=0.02),
    World(6, "no effect, good and bad weeks that hang together", effects=NONE, growth=0.0, shock=0.02, kept=0.7),
    World(7, "no effect, the first wave gains 1 point a week by itself", effects=NONE, growth=0.0, drift=0.01),
    World(8, "no effect, three countries, one wave, good and bad weeks", (4, 11, 11), {4: 0.0}, 0.0, 0.02, users=6000),
    World(9, "growing effects, everybody is on in the end", (4, 4, 6, 6, 8, 8)),
    World(10, "no effect, 20,000 users a country", effects=NONE, growth=0.0, users=20_000),
    World(11, "no effect, that drift, 5,000 users a country", effects=NONE, growth=0.0, drift=0.01, users=5_000),
)  # fmt: skip


def drawn(world: World, rng: np.random.Generator) -> RolloutPanel:
    """The counts of one product."""
    active, both = [], []
    for place, g in enumerate(world.switched_on):
        shock, luck = np.zeros(PERIODS), rng.normal(0, world.shock, PERIODS)
        for t in range(PERIODS):
            shock[t] = world.kept * (shock[t - 1] if t else luck[0]) + np.sqrt(1 - world.kept**2) * luck[t]
        shares = 0.5 - 0.01 * np.arange(PERIODS) + 0.02 * (place % 4) + shock
        shares += np.array([world.effect(g, t) for t in range(PERIODS)])
        shares += world.drift * np.arange(PERIODS) if g == FIRST else 0
        habit = rng.normal(0, 0.1, (world.users, 1)).astype(np.float32)
        there = rng.random((world.users, PERIODS), dtype=np.float32) < np.clip(shares + habit, 0.01, 0.99)
        active.append(there.sum(axis=0))
        both.append(there.T.astype(np.float32) @ there.astype(np.float32))
    sizes = np.repeat(world.users, len(active))
    names = tuple(f"c{k}" for k in range(len(active)))
    return RolloutPanel(names, np.array(world.switched_on), sizes, np.array(active), np.array(both).round().astype(int))


def truth(world: World, found: RolloutEffect) -> float:
    """The average over the cells that were compared, by users."""
    after = found.cells[found.cells["since_switch"] >= 0]
    own = [world.effect(g, t) for g, t in zip(after["switched_on"], after["period"], strict=True)]
    return float(np.average(own, weights=after["n_treated"]))


def word(found: RolloutEffect, smallest_lift: float = 0.02) -> str:
    """The verdict as the page gives it."""

    class Lift(NamedTuple):
        absolute_lift: float | None = found.estimate
        ci_low: float | None = found.ci_low
        ci_high: float | None = found.ci_high

    checks = found.checks["verdict"].tolist()
    return lift_verdict(Lift(), checks=checks, is_benchmark_survived=True, smallest_lift=smallest_lift)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--world", type=int, action="append", help="only these worlds, by number")
    asked = parser.parse_args()
    draws = asked.draws
    print("| world | draws | mean truth | mean estimate (error of it) | 95 % interval covers | half width | verdicts |")
    print("|---|---|---|---|---|---|---|")
    for world in (w for w in WORLDS if asked.world is None or w.number in asked.world):
        estimates, truths, covered, halves, words, named = [], [], [], [], Counter(), 0
        for draw in range(draws):
            found = rollout_effect(drawn(world, np.random.default_rng((SEED, world.number, draw))))
            estimates.append(found.estimate)
            truths.append(truth(world, found))
            covered.append(found.ci_low <= truths[-1] <= found.ci_high)
            halves.append((found.ci_high - found.ci_low) / 2)
            words[word(found)] += 1
            named += bool((found.checks["switched_on"] == FIRST).any())
        error = np.std(estimates) / np.sqrt(draws)
        said = ", ".join(f"{w} {n}" for w, n in words.most_common())
        if world.drift:
            said += f"; the drift is named in {named}"
        print(
            f"| {world.says} | {draws} | {100 * np.mean(truths):.1f} | {100 * np.mean(estimates):+.2f} "
            f"({100 * error:.2f}) | {100 * np.mean(covered):.0f} % | {100 * np.mean(halves):.1f} | {said} |"
        )


if __name__ == "__main__":
    main()
