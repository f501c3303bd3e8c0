"""Signals of features over time: from observations, and from series that were aggregated elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandas as pd

from launchpad_lib.lake.observed import named_instants
from launchpad_lib.metrics.windows import local_date

MINUTES = {"5 minutes": 5, "hour": 60, "day": 1440}
SIGNALS = ("p95_latency_ms", "error_rate", "crash_rate", "mean_feedback_score")
SIGNAL_COLUMNS = ("feature_id", "signal", "at", "value")


def judged_through(
    telemetry_through: datetime | None,
    series: ir.Table,
    *,
    bucket: str,
    observed_through: str | Mapping[str, str] | None = None,
) -> datetime:
    """The instant at which signals are judged: that through which telemetry was observed, else the one that is named,
    else the end of the last bucket of `series` (1970 where there is none).
    """
    named = named_instants(observed_through).get("telemetry")
    found = telemetry_through or named
    if found is not None:
        return found
    last = series.at.max().execute()
    start = datetime(1970, 1, 1) if pd.isna(last) else pd.Timestamp(last).to_pydatetime()
    return start if pd.isna(last) else start + timedelta(minutes=MINUTES[bucket])


def signal_series(
    telemetry: ir.Table,
    series: ir.Table,
    *,
    bucket: str,
    min_observations: int,
    report_timezone: str = "UTC",
    through: datetime | None = None,
) -> pd.DataFrame:
    """Grain: one row per feature, signal and bucket with a row: feature_id, signal, at (its start), value.

    p95 latency, share of observations with an error, share with a crash and mean feedback score of the observations,
    and every signal of `series` under its own name. A bucket with fewer than `min_observations` observations that know
    the signal is a gap (NULL); a signal of a feature that is never known is left out. Rows of `series` that do not say
    how many observations they are made of count as they are; several may share a bucket. Buckets of a day are local
    dates, shorter ones are UTC.

    Args:
        telemetry, series: the lake's tables, or rows of them.
        through: rows after this instant are left out.
    """
    bucketed = telemetry.mutate(at=_bucket(telemetry.observed_at, bucket, report_timezone))
    counted = bucketed.group_by(["feature_id", "at"]).agg(
        p95_latency_ms=bucketed.latency_ms.quantile(0.95),
        error_rate=(bucketed.error_count > 0).cast(dt.float64).mean(),
        crash_rate=bucketed.crashed.cast(dt.int8).mean(),
        mean_feedback_score=bucketed.feedback_score.mean(),
        n_p95_latency_ms=bucketed.latency_ms.count(),
        n_error_rate=bucketed.error_count.count(),
        n_crash_rate=bucketed.crashed.count(),
        n_mean_feedback_score=bucketed.feedback_score.count(),
    )
    wide = counted.order_by(["feature_id", "at"]).to_pandas()
    parts = [
        pd.DataFrame(
            {
                "feature_id": wide["feature_id"],
                "signal": name,
                "at": wide["at"],
                "value": wide[name].astype(float).where(wide[f"n_{name}"] >= min_observations),
                "is_known": wide.groupby("feature_id")[f"n_{name}"].transform("max") > 0,
            }
        )
        for name in SIGNALS
    ]
    own = series.select("feature_id", "signal", "value", "observations", at=_bucket(series.at, bucket, report_timezone))
    given = own.order_by(["feature_id", "signal", "at", "value"]).to_pandas()
    enough = given["observations"].isna() | (given["observations"] >= min_observations)
    parts.append(given.assign(value=given["value"].astype(float).where(enough), is_known=True))
    together = pd.concat([p for p in parts if len(p)] or parts[:1])
    known = together[together["is_known"].astype(bool)]
    kept = known if through is None else known[known["at"] <= pd.Timestamp(through)]
    return kept[list(SIGNAL_COLUMNS)].reset_index(drop=True)


def _bucket(at: ir.TimestampValue, bucket: str, report_timezone: str) -> ir.TimestampValue:
    if bucket == "day":
        return local_date(at, report_timezone).cast(dt.timestamp)
    return at.bucket(ibis.interval(minutes=MINUTES[bucket]))
