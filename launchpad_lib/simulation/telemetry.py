"""Simulated telemetry: latency, crashes, errors and feedback of every feature, with its declared regressions and
incident.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd

from launchpad_lib.simulation.truth import Truth


def usual_latency_ms(index: int) -> int:
    """Median latency of the feature at that place in the list, without spells and regressions."""
    return 90 + 25 * index


def telemetry_rows(rng: np.random.Generator, *, users: int, days: int, start_on: date, truth: Truth) -> pd.DataFrame:
    """About 60 observations per feature and day; each feature has slow spells that last some days.

    A feature released within the log has none before; the silent one has none on its last days.
    """
    frames = []
    for index, feature in enumerate(truth.features):
        spell = 0.0
        base_ms = usual_latency_ms(index)
        released_days_ago = truth.days_before_the_end(feature)
        first_day = 0 if released_days_ago is None else max(days - released_days_ago, 0)
        for day in range(first_day, days):
            spell = 0.7 * spell + float(rng.normal(0, 0.10))
            n = int(rng.poisson(60))
            slow = 1.0
            for regression in truth.regressions:
                if regression.feature_id == feature and day >= regression.day:
                    slow *= regression.factor
            in_incident = feature == truth.incident_feature and truth.incident_days[0] <= day <= truth.incident_days[1]
            crash_rate = truth.incident_crash_rate if in_incident else truth.baseline_crash_rate
            android = truth.android_share_after if day >= truth.drift_day else truth.android_share_before
            seconds = np.sort(rng.uniform(0, 86_399, n))
            frames.append(
                pd.DataFrame(
                    {
                        "feature_id": feature,
                        "user_id": [f"u{u:05d}" for u in rng.integers(0, users, n)],
                        "observed_at": pd.Timestamp(start_on + timedelta(days=day))
                        + pd.to_timedelta(seconds.round(3), unit="s"),
                        "latency_ms": np.round(base_ms * slow * np.exp(spell + rng.normal(0, 0.35, n)), 2),
                        "crashed": rng.random(n) < crash_rate,
                        "error_count": rng.poisson(0.02 * np.exp(3 * max(spell, 0.0)), n),
                        "feedback_score": np.where(
                            rng.random(n) < 0.2,
                            np.clip(rng.normal(4.2 - 2 * max(spell, 0.0), 0.6, n).round(), 1, 5),
                            np.nan,
                        ),
                        "session_seconds": np.round(rng.exponential(120, n), 1),
                        "app_version": "2.1.0" if day > days - 8 else "2.0.0",
                        "platform": np.where(
                            rng.random(n) < android, "android", np.where(rng.random(n) < 0.6, "web", "ios")
                        ),
                    }
                )
            )
    frame = pd.concat(frames, ignore_index=True)
    # Dropped after they are drawn, so that the other features' luck does not depend on the silence.
    silent_from = pd.Timestamp(start_on + timedelta(days=days - truth.silent_last_days))
    is_silent = (frame["feature_id"] == truth.silent_feature) & (frame["observed_at"] >= silent_from)
    frame = frame[~is_silent].reset_index(drop=True)
    frame.insert(0, "observation_id", [f"o{i:07d}" for i in range(len(frame))])
    frame["observed_at"] = frame["observed_at"].astype("datetime64[us]")
    return frame
