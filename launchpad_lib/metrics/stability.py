"""What the health and quality pages read of the lake: observations, users met, stability of each feature, watched
columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from math import ceil

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa

from launchpad_lib.contract.features import Feature
from launchpad_lib.lake.zone_days import local_feature_metrics
from launchpad_lib.metrics.kernels.lake_log import lake_telemetry
from launchpad_lib.metrics.kernels.stability import StabilityFold, folded
from launchpad_lib.metrics.kernels.user_values import hashes_of_users
from launchpad_lib.metrics.reliability import (
    apdex,
    check_threshold,
    crash_free_sessions,
    crash_free_users,
    rated_apdex,
    rated_sessions,
    rated_users,
)
from launchpad_lib.metrics.remembered import names_of_lake
from launchpad_lib.metrics.windows import local_date, property_value

MOST_WATCHED_ROWS = 1_000_000
DRAWN_OF = 2**30 - 1
UNIT = "launchpad unit"  # beside the columns of a table of any kind
KEYS = ("event_id", "observation_id")
OBSERVED = (
    "feature_id", "user_id", "observed_at", "latency_ms", "crashed", "error_count", "platform", "app_version",
)  # fmt: skip

FEATURE_DAYS = (
    "feature_id", "observed_on", "observations", "users", "latency_observations", "p50_latency_ms", "p95_latency_ms",
    "p99_latency_ms", "crash_free_users_rate", "error_rate", "mean_feedback_score",
)  # fmt: skip


def of_feature(table: ir.Table, feature_id: str | None) -> ir.Table:
    """The rows of one feature; all rows where none is named."""
    return table if feature_id is None else table.filter(table.feature_id == feature_id)


def observations(telemetry: ir.Table, *, since: datetime | None = None) -> pd.DataFrame:
    """Grain: one row per observation after `since` (all where none is named); the columns that the health pages read.

    Names are categories. In no order: nothing that is made of these rows hangs on it.
    """
    rows = telemetry.select(*OBSERVED)
    table = (rows if since is None else rows.filter(rows.observed_at > since)).to_pyarrow()
    texts = [f.name for f in table.schema if f.type in (pa.string(), pa.large_string())]
    return table.to_pandas(categories=texts)


def feature_days(telemetry: ir.Table, *, report_timezone: str) -> pd.DataFrame:
    """Grain: one row per feature and local date with telemetry, in this order: counts, latency quantiles and rates.

    A NULL crash flag, error count or score is unknown: it is in no count of its kind, and a rate without any is NULL.
    Columns: feature_id, observed_on, observations, users, latency_observations, p50_latency_ms, p95_latency_ms,
    p99_latency_ms, crash_free_users_rate, error_rate, mean_feedback_score.

    UTC dates of a lake's telemetry are those of its `fact_feature_metrics`, which are made day by day; local dates of
    any zone are kept, and only those are read again whose rows are new or restated (`lake.zone_days`).
    """
    found = lake_telemetry(telemetry)
    if found is not None:
        made = found.backend.table("fact_feature_metrics")
        if report_timezone != "UTC":
            made = ibis.memtable(local_feature_metrics(found.log, report_timezone=report_timezone))
        made = of_feature(made, found.feature_id)
        return made.select(*FEATURE_DAYS).order_by(["feature_id", "observed_on"]).to_pandas()
    dated = telemetry.mutate(observed_on=local_date(telemetry.observed_at, report_timezone))
    is_known = dated.crashed.notnull()
    counted = dated.group_by(["feature_id", "observed_on"]).agg(
        observations=dated.count(),
        users=dated.user_id.nunique(),
        latency_observations=dated.latency_ms.count(),
        p50_latency_ms=dated.latency_ms.quantile(0.5),
        p95_latency_ms=dated.latency_ms.quantile(0.95),
        p99_latency_ms=dated.latency_ms.quantile(0.99),
        known_users=dated.user_id.nunique(where=is_known),
        crashed_users=dated.user_id.nunique(where=dated.crashed.fill_null(False)),
        failures=(dated.error_count > 0).sum().fill_null(0),
        known_errors=dated.error_count.count(),
        mean_feedback_score=dated.feedback_score.mean(),
    )
    rated = counted.mutate(
        crash_free_users_rate=1 - counted.crashed_users / counted.known_users.nullif(0),
        error_rate=counted.failures / counted.known_errors.nullif(0),
    ).drop("known_users", "crashed_users", "failures", "known_errors")
    return rated.select(*FEATURE_DAYS).order_by(["feature_id", "observed_on"]).to_pandas()


def hourly_counts(hours: ir.Table, *, since: datetime) -> pd.DataFrame:
    """Grain: one row per feature and hour with telemetry from `since` on: feature_id, hour (UTC), observations.

    Args:
        hours: a lake's `fact_feature_hours`.
    """
    kept = hours.filter(hours.hour >= since)
    return kept.group_by(["feature_id", "hour"]).agg(observations=kept.observations.sum()).to_pandas()


def affected_users(telemetry: ir.Table, *, through: datetime, days: int = 7) -> pd.Series:
    """Distinct users of each feature in the last `days` days up to `through`; features without one are left out."""
    recent = telemetry.filter(telemetry.observed_at > through - timedelta(days=days))
    counted = recent.group_by("feature_id").agg(users=recent.user_id.nunique())
    return counted.to_pandas().set_index("feature_id")["users"]


def stability(telemetry: ir.Table, *, threshold_ms: float) -> pd.DataFrame:
    """Grain: one row per feature with telemetry: crash-free users, crash-free sessions and Apdex, each with interval
    and n.

    A feature whose crash flags or latencies are all unknown has NULL there, never 0 or 1. Of a lake's telemetry only
    days are read that are new or restated since it was last asked.
    """
    check_threshold(threshold_ms)
    names = {"ci_low": "{}_low", "ci_high": "{}_high"}
    parts = [
        table.drop("refused_because").to_pandas().rename(columns={o: n.format(name) for o, n in names.items()})
        for name, table in _stability_tables(telemetry, threshold_ms=threshold_ms).items()
    ]
    found = parts[0][["feature_id"]]
    for part in parts:
        found = found.merge(part, on="feature_id", how="left")
    counts = {c: found[c].astype("Int64") for c in ("users", "sessions", "observations")}
    return found.assign(**counts).sort_values("feature_id").reset_index(drop=True)


def _stability_tables(telemetry: ir.Table, *, threshold_ms: float) -> dict[str, ir.Table]:
    found = lake_telemetry(telemetry)
    if found is None:
        return {
            "crash_free_users": crash_free_users(telemetry),
            "crash_free_sessions": crash_free_sessions(telemetry),
            "apdex": apdex(telemetry, threshold_ms=threshold_ms),
        }
    fold = StabilityFold(threshold_ms=threshold_ms, feature_id=found.feature_id)
    folded(fold, found.log)
    counts = ibis.memtable(fold.result())
    columns = {
        "crash_free_users": (rated_users, ("users", "crashed_users")),
        "crash_free_sessions": (rated_sessions, ("sessions", "crashed_sessions")),
        "apdex": (rated_apdex, ("observations", "satisfied", "tolerating")),
    }
    return {name: rated(counts.select("feature_id", *own)) for name, (rated, own) in columns.items()}


def watched_rows(
    table: ir.Table, *, time_column: str, columns: Sequence[str], most: int = MOST_WATCHED_ROWS
) -> pd.DataFrame:
    """Grain: one row per row of `table`: user_id, the time, and each watched column or property under its own name.

    Names are literal. A property whose values all read as numbers is a number. What the table cannot hold is left out.
    Of a table with more than `most` rows, about so many are read: all of some users', who are drawn by their hash; of a
    user with more than a hundredth of them, about that many.
    """
    has_properties = "properties" in table.columns
    asked = [c for c in dict.fromkeys(columns) if c not in ("user_id", time_column)]
    own = [c for c in asked if c in table.columns]
    named = names_of_lake(table)  # a property that occurs nowhere need not be looked for in every row
    held = [
        c
        for c in asked
        if c not in table.columns and has_properties and (named is None or c in named.get("property", {}))
    ]
    drawn = _some_users(table, time_column=time_column, most=most)
    # Numbered on the way: a name of 5,000 characters is a key of the data, not a name that an engine must take.
    values = {f"watched_{i}": property_value(drawn, name) for i, name in enumerate(held)}
    # In an order that does not hang on how the table is stored: the caller draws from it at random.
    keys = [c for c in KEYS if c in table.columns]
    rows = drawn.select(*dict.fromkeys(["user_id", time_column, *own, *keys]), **values)
    frame = rows.order_by(keys or rows.columns).select("user_id", time_column, *own, *values).to_pandas()
    frame = frame.rename(columns={f"watched_{i}": name for i, name in enumerate(held)})
    known = [c for c in held if frame[c].notna().any()]
    numbers = {c: pd.to_numeric(frame[c], errors="coerce") for c in known}
    return frame[["user_id", time_column, *own, *known]].assign(
        **{c: v for c, v in numbers.items() if v.notna().sum() == frame[c].notna().sum()}
    )


def _some_users(table: ir.Table, *, time_column: str, most: int) -> ir.Table:
    """The rows of a table, or where it has more than `most`, those of as many users as have about that many."""
    held = int(table.count().execute())
    if held <= most:
        return table
    share, hashes = most / held * DRAWN_OF, hashes_of_users(table)
    if hashes is not None and "user_number" in table.columns:
        chosen = np.flatnonzero((hashes & DRAWN_OF) < share).astype(np.uint32)
        drawn = table.mutate(**{UNIT: table.user_number}).semi_join(ibis.memtable({UNIT: chosen}), UNIT)
    else:
        # Rows of nobody are units by their instant.
        unit = ibis.coalesce(table.user_id, table[time_column].cast(dt.string))
        drawn = table.mutate(**{UNIT: unit}).filter(lambda t: (t[UNIT].hash() & DRAWN_OF) < share)
    of_one = most // 100
    counts = drawn.group_by(UNIT).agg(n=drawn.count())
    heavy = counts.filter(counts.n > of_one).to_pandas()
    if len(heavy):
        below = ibis.cases(
            *((drawn[UNIT] == unit, ceil(of_one / n * DRAWN_OF)) for unit, n in heavy.itertuples(index=False)),
            else_=ibis.literal(DRAWN_OF + 1, dt.int64),
        )
        key = drawn[next(c for c in (*KEYS, time_column) if c in drawn.columns)].cast(dt.string).hash()
        drawn = drawn.filter((key & DRAWN_OF) < below)
    return drawn.drop(UNIT)


def ids(features: Iterable[Feature]) -> list[str]:
    """Ids of the declared features."""
    return [f.feature_id for f in features]


def latency_objectives(features: Iterable[Feature]) -> dict[str, float]:
    """The highest daily p95 latency in ms that each feature allows itself, by its id; only those that declare one."""
    return {f.feature_id: f.slo_p95_latency_ms for f in features if f.slo_p95_latency_ms is not None}


def called(features: Iterable[Feature]) -> dict[str, str]:
    """What people call each declared feature, by its id; `declared_features` tells apart those of one name."""
    return {f.feature_id: f.name for f in features}
