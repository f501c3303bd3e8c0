"""Simulated telemetry: latency, crashes, errors and feedback of every feature, with its declared regressions and
incident.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from launchpad_lib.contract.arrow import arrow_schema
from launchpad_lib.contract.tables import TELEMETRY
from launchpad_lib.simulation.texts import numbered, user_digits
from launchpad_lib.simulation.truth import Truth

SCHEMA = arrow_schema(TELEMETRY)
PER_DAY = 60


def usual_latency_ms(index: int) -> int:
    """Median latency of the feature at that place in the list, without spells and regressions."""
    return 90 + 25 * index


def telemetry_rows(rng: np.random.Generator, *, users: int, days: int, start_on: date, truth: Truth) -> pd.DataFrame:
    """About 60 observations per feature and day, as one frame."""
    tables = telemetry_tables(rng, users=users, days=days, start_on=start_on, truth=truth)
    return pa.concat_tables(tables).to_pandas()


def telemetry_tables(
    rng: np.random.Generator, *, users: int, days: int, start_on: date, truth: Truth, per_day: int = PER_DAY
) -> Iterator[pa.Table]:
    """About so many observations per feature and day, a table for each; every feature has slow spells that last some
    days.

    A feature released within the log has none before; the silent one has none on its last days.
    """
    written = 0
    for index, feature in enumerate(truth.features):
        released_days_ago = truth.days_before_the_end(feature)
        first_day = 0 if released_days_ago is None else max(days - released_days_ago, 0)
        spell = 0.0
        for day in range(first_day, days):
            spell = 0.7 * spell + float(rng.normal(0, 0.10))
            count = int(rng.poisson(per_day))
            drawn = _drawn(rng, index, count, users=users, day=day, spell=spell, truth=truth)
            # Left out after they are drawn, so that the other features' luck does not depend on the silence.
            if feature == truth.silent_feature and day >= days - truth.silent_last_days:
                continue
            since_midnight = np.round(1e3 * drawn.pop("second")).astype("timedelta64[ms]")
            at = np.datetime64(start_on + timedelta(days=day), "ms") + since_midnight
            columns = {
                **drawn,
                "observation_id": numbered("o", written + np.arange(count), max(7, len(str(written + count)))),
                "feature_id": pa.repeat(feature, count),
                "user_id": numbered("u", drawn["user_id"], user_digits(users)),
                "observed_at": at.astype("datetime64[us]"),
                "app_version": pa.repeat("2.1.0" if day > days - 8 else "2.0.0", count),
            }
            yield pa.table({field.name: columns[field.name] for field in SCHEMA}).cast(SCHEMA)
            written += count


def _drawn(
    rng: np.random.Generator, index: int, count: int, *, users: int, day: int, spell: float, truth: Truth
) -> dict[str, np.ndarray | pa.Array]:
    """What chance decides about the observations of one feature on one day; users as numbers."""
    feature = truth.features[index]
    median_ms = float(usual_latency_ms(index))
    for regression in truth.regressions:
        if regression.feature_id == feature and day >= regression.day:
            median_ms *= regression.factor
    in_incident = feature == truth.incident_feature and truth.incident_days[0] <= day <= truth.incident_days[1]
    crash_rate = truth.incident_crash_rate if in_incident else truth.baseline_crash_rate
    android = truth.android_share_after if day >= truth.drift_day else truth.android_share_before
    return {
        "second": np.sort(rng.uniform(0, 86_399, count)),
        "user_id": rng.integers(0, users, count),
        "latency_ms": np.round(median_ms * np.exp(spell + rng.normal(0, 0.35, count)), 2),
        "crashed": rng.random(count) < crash_rate,
        "error_count": rng.poisson(0.02 * np.exp(3 * max(spell, 0.0)), count),
        "feedback_score": _scores(rng, count, spell),
        "session_seconds": np.round(rng.exponential(120, count), 1),
        "platform": np.where(rng.random(count) < android, "android", np.where(rng.random(count) < 0.6, "web", "ios")),
    }


def _scores(rng: np.random.Generator, count: int, spell: float) -> pa.Array:
    """A fifth of the observations come with feedback, which slow spells spoil."""
    is_given = rng.random(count) < 0.2
    return pa.array(np.clip(rng.normal(4.2 - 2 * max(spell, 0.0), 0.6, count).round(), 1, 5), mask=~is_given)
