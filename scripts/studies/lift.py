"""Is the retention lift right? Bias and coverage of its designs on many products simulated like the weekly one.

The day-by-day process is that of `launchpad_lib.simulation.product` for all users at once (one page view a session instead of 8 to 19).
The true effect comes from counterfactuals: the same users and the same luck, once with the first quiz completed and
once with no quiz completed within the landmark. Prints a Markdown table.
"""

from __future__ import annotations

from datetime import timedelta

import ibis
import numpy as np
import pandas as pd

from launchpad_lib.inference import adjusted_lift, difference_lift
from launchpad_lib.inference.weighting import crossfit_effects
from launchpad_lib.metrics.starters import ACTIVITY, FIRST_DAY, TRAITS, newcomers, starters
from launchpad_lib.simulation import TRUTH

START = pd.Timestamp("2026-01-05")
DAYS = 14


class Product:
    """The luck of `users` users on `DAYS` days with at most two sessions a day, drawn once."""

    def __init__(self, rng: np.random.Generator, users: int):
        z = rng.normal(size=users)
        self.base = 1 / (1 + np.exp(-(0.2 + 2 * TRUTH.confounding_strength * z)))
        self.start_rate = np.clip(TRUTH.start_rate_mean + TRUTH.confounding_strength * 0.4 * z, 0.05, 0.9)
        self.active_luck = rng.random((DAYS, users))
        self.has_second = rng.random((DAYS, users)) < 0.45
        self.starts = rng.random((DAYS, 2, users)) < self.start_rate
        self.completes = rng.random((DAYS, 2, users)) < TRUTH.completion_rate
        hours = np.array([8, 14])[None, :, None] + rng.uniform(0, 5, (DAYS, 2, users))
        self.at = np.arange(DAYS)[:, None, None] * 24 + hours
        self.platform = rng.choice(["web", "ios", "android"], size=users, p=[0.5, 0.25, 0.25])

    def run(
        self, effect: float, *, forced: int | None = None, landmark_days: int = 1
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Session present, quiz started, quiz completed, each (day, session, user). `forced`: 1 completes the first quiz, 0 none within the landmark."""
        users = len(self.base)
        completed, first = np.zeros(users, dtype=bool), np.full(users, np.inf)
        present, started, done = (np.zeros((DAYS, 2, users), dtype=bool) for _ in range(3))
        for day in range(DAYS):
            active = self.active_luck[day] < np.minimum(self.base + effect * completed, 0.98)
            for s in range(2):
                present[day, s] = active & (self.has_second[day] | (s == 0))
                started[day, s] = present[day, s] & self.starts[day, s]
                is_first = started[day, s] & np.isinf(first)
                first[is_first] = self.at[day, s][is_first]
                ends = started[day, s] & self.completes[day, s]
                if forced == 1:
                    ends = ends | is_first
                if forced == 0:
                    ends = ends & ~(self.at[day, s] <= first + 24 * landmark_days)
                done[day, s] = ends
                completed |= ends
        return present, started, done

    def events(self, world: tuple[np.ndarray, np.ndarray, np.ndarray]) -> pd.DataFrame:
        frames = []
        for name, mask, minutes in zip(
            ("page_viewed", "quiz_started", "quiz_completed"), world, (0, 1.3, 5), strict=True
        ):
            day, session, user = np.nonzero(mask)
            frames.append(
                pd.DataFrame(
                    {"user_id": user, "event_name": name, "event_at": self.at[day, session, user] + minutes / 60}
                )
            )
        log = pd.concat(frames, ignore_index=True)
        return log.assign(
            event_at=START + pd.to_timedelta(log["event_at"], unit="h"), platform=self.platform[log["user_id"]]
        ).sort_values(["user_id", "event_at"])


def true_effect(rng: np.random.Generator, *, landmark_days: int, outcome_days: int, users: int = 200_000) -> float:
    """Mean difference of the outcome between the two forced worlds, over starters whose window is over."""
    product, outcomes = Product(rng, users), []
    end = 24 * (DAYS - 1) + 19
    for forced in (1, 0):
        present, started, _ = product.run(TRUTH.return_effect, forced=forced, landmark_days=landmark_days)
        first = np.where(started, product.at, np.inf).min(axis=(0, 1))
        age = product.at - first
        back = (present & (age > 24 * landmark_days) & (age <= 24 * (landmark_days + outcome_days))).any(axis=(0, 1))
        outcomes.append(back[first + 24 * (landmark_days + outcome_days) <= end].mean())
    return outcomes[0] - outcomes[1]


def study(
    *, effect: float, replicates: int, users: int = 500, landmark_days: int = 1, outcome_days: int = 1, seed: int = 1
) -> pd.DataFrame:
    """Grain: one row per design: mean estimate, its interval's coverage of the true effect, mean half width."""
    rng = np.random.default_rng(seed)
    truth = true_effect(rng, landmark_days=landmark_days, outcome_days=outcome_days) if effect else 0.0
    rows = []
    for _ in range(replicates):
        product = Product(rng, users)
        log = ibis.memtable(
            product.events(product.run(effect)).astype({"user_id": "string", "event_at": "datetime64[us]"})
        )
        through = (START + timedelta(days=DAYS)).to_pydatetime()
        window = {"complete_event": "quiz_completed", "outcome_days": outcome_days, "observed_through": through}
        everybody = newcomers(log, landmark_days=3, **window).to_pandas()
        began = starters(log, start_event="quiz_started", landmark_days=landmark_days, **window).to_pandas()
        found = {
            "landmark, first event": difference_lift(everybody, method="x"),
            "landmark, adjusted for the first 24 hours (statsmodels AIPW)": adjusted_lift(
                everybody, covariates=FIRST_DAY
            ),
            "starters, unadjusted": difference_lift(began, method="x"),
            "starters, statsmodels AIPW": adjusted_lift(began, covariates=TRAITS + ACTIVITY),
            "starters, cross-fitted AIPW (ATE)": crossfit_effects(began, covariates=TRAITS + ACTIVITY, rng=rng).ate,
            "starters, cross-fitted AIPW (ATT)": crossfit_effects(began, covariates=TRAITS + ACTIVITY, rng=rng).att,
        }
        rows += [(k, f.absolute_lift, f.ci_low, f.ci_high) for k, f in found.items()]
    table = pd.DataFrame(rows, columns=["design", "lift", "low", "high"])
    refused = table["lift"].isna().groupby(table["design"], sort=False).sum()
    known = table.dropna()
    known = known.assign(
        covers=(known["low"] <= truth) & (known["high"] >= truth), half=(known["high"] - known["low"]) / 2
    )
    result = known.groupby("design", sort=False).agg(
        mean_lift=("lift", "mean"), coverage=("covers", "mean"), half_width=("half", "mean")
    )
    return result.assign(true_effect=truth, refused=refused).reset_index()


def main() -> None:
    for effect in (TRUTH.return_effect, 0.0):
        table = study(effect=effect, replicates=150)
        print(
            f"\nDeclared effect per later day {effect:g}; true effect on the outcome {100 * table['true_effect'].iloc[0]:.1f} points; 150 products of 500 users.\n"
        )
        print(
            "| design | mean estimate (points) | 95 % interval covers | half width (points) | refused |\n|---|---|---|---|---|"
        )
        for r in table.itertuples():
            print(
                f"| {r.design} | {100 * r.mean_lift:+.1f} | {100 * r.coverage:.0f} % | {100 * r.half_width:.1f} | {r.refused} |"
            )


if __name__ == "__main__":
    main()
