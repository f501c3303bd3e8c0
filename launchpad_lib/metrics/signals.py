"""Signals of features over time: from observations, and from series that were aggregated elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandas as pd

from launchpad_lib.lake.observed import named_instants
from launchpad_lib.metrics.kernels.lake_log import lake_telemetry
from launchpad_lib.metrics.latency import p95_of_buckets
from launchpad_lib.metrics.windows import local_date

MINUTES = {"5 minutes": 5, "hour": 60, "day": 1440}
SIGNAL_COLUMNS = ("feature_id", "signal", "at", "value", "observations", "kind", "worse", "fewest")
MET = ("latency_ms", "error_count", "crashed", "feedback_score")
USERS_OF = timedelta(days=30)


class Signal(NamedTuple):
    """What a signal's numbers are: `kind` value, rate or count; `worse`: up, down or both; `fewest`: observations under
    which a bucket has no such number.
    """

    kind: str = "value"
    worse: str = "both"
    fewest: int = 1


SIGNALS: Mapping[str, Signal] = MappingProxyType(
    {
        # Of fewer than 20 observations the quantile lies between the largest two, and a mean of scores is one of few
        # values, far from which is whatever was not yet seen.
        "p95_latency_ms": Signal(worse="up", fewest=20),
        "error_rate": Signal("rate", "up"),
        "crash_rate": Signal("rate", "up"),
        "mean_feedback_score": Signal(worse="down", fewest=20),
        "observations": Signal("count", "both"),
    }
)
"""Signals of observations. A series of the table `series` under one of these names is of its kind; any other name is a
value of which both directions are out of the ordinary."""


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
    report_timezone: str = "UTC",
    through: datetime | None = None,
) -> pd.DataFrame:
    """Grain: one row per feature, signal and bucket with a row: feature_id, signal, at (its start), value,
    observations, kind, worse, fewest (see `Signal`).

    p95 latency, share of observations with an error, share with a crash and mean feedback score of the observations,
    their number, and every signal of `series` under its own name. `observations`: those that know the signal; NULL
    where a row of `series` does not say. A signal of a feature that is never known is left out. Rows of `series` may
    share a bucket. Buckets of a day are local dates, shorter ones are UTC.

    Of a lake's telemetry no observation is read for buckets of whole hours: they are made of its `fact_feature_hours`.
    Counts and rates are the same then; the p95 is off by at most 0.4 % of the value (`metrics.kernels.quantiles`), and
    a mean score by a millionth.

    Args:
        telemetry, series: the lake's tables, or rows of them.
        through: rows after this instant are left out.
    """
    hours = _hours(telemetry, bucket=bucket, report_timezone=report_timezone, through=through)
    if hours is None:
        seen = telemetry if through is None else telemetry.filter(telemetry.observed_at <= through)
        wide = _of_rows(seen.mutate(at=_bucket(seen.observed_at, bucket, report_timezone)))
    else:
        wide = _of_hours(hours)
    parts = [
        pd.DataFrame(
            {
                "feature_id": wide["feature_id"],
                "signal": name,
                "at": wide["at"],
                "value": wide[name].astype(float),
                "observations": wide[f"n_{name}"].astype(float),
                "is_known": wide.groupby("feature_id")[f"n_{name}"].transform("max") > 0,
            }
        )
        for name in SIGNALS
    ]
    own = series.select("feature_id", "signal", "value", "observations", at=_bucket(series.at, bucket, report_timezone))
    given = own.order_by(["feature_id", "signal", "at", "value"]).to_pandas()
    given = given.astype({"value": float, "observations": float})
    parts.append((given if through is None else given[given["at"] <= pd.Timestamp(through)]).assign(is_known=True))
    together = pd.concat([p for p in parts if len(p)] or parts[:1], ignore_index=True)
    kept = together[together["is_known"].astype(bool)]
    what = {name: SIGNALS.get(name, Signal()) for name in kept["signal"].unique()}
    told = {field: kept["signal"].map({n: getattr(w, field) for n, w in what.items()}) for field in Signal._fields}
    return kept.assign(**told)[list(SIGNAL_COLUMNS)].reset_index(drop=True)


def _hours(telemetry: ir.Table, *, bucket: str, report_timezone: str, through: datetime | None) -> ir.Table | None:
    """The hours of a lake's telemetry with `at`, the bucket of each; None where they cannot tell: of any other table,
    for shorter buckets, where local dates change within an hour, and up to an instant before the lake's last.
    """
    found = lake_telemetry(telemetry)
    if found is None or bucket not in ("hour", "day"):
        return None
    if through is not None and found.log.observed_through is not None and through < found.log.observed_through:
        return None
    table = found.backend.table("fact_feature_hours")
    kept = table if found.feature_id is None else table.filter(table.feature_id == found.feature_id)
    hours = kept.mutate(at=_bucket(kept.hour, bucket, report_timezone))
    if bucket == "day":
        ends = _bucket(hours.hour + ibis.interval(hours=1) - ibis.interval(microseconds=1), bucket, report_timezone)
        if hours.filter(ends != hours.at).count().execute():
            return None
    return hours


def _of_rows(bucketed: ir.Table) -> pd.DataFrame:
    """Grain: one row per feature and bucket: each signal, and `n_...`, of how many observations."""
    counted = bucketed.group_by(["feature_id", "at"]).agg(
        p95_latency_ms=bucketed.latency_ms.quantile(0.95),
        error_rate=(bucketed.error_count > 0).cast(dt.float64).mean(),
        crash_rate=bucketed.crashed.cast(dt.int8).mean(),
        mean_feedback_score=bucketed.feedback_score.mean(),
        observations=bucketed.count(),
        n_p95_latency_ms=bucketed.latency_ms.count(),
        n_error_rate=bucketed.error_count.count(),
        n_crash_rate=bucketed.crashed.count(),
        n_mean_feedback_score=bucketed.feedback_score.count(),
        n_observations=bucketed.count(),
    )
    return counted.order_by(["feature_id", "at"]).to_pandas()


def _of_hours(hours: ir.Table) -> pd.DataFrame:
    """The same from the hours that make up each bucket."""
    sums = ("observations", "latency_observations", "failures", "errors_known", "crashes", "crash_known")
    more = ("feedback_millionths", "feedback_count")
    counted = hours.group_by(["feature_id", "at"]).agg(**{n: hours[n].sum() for n in (*sums, *more)})
    wide = counted.order_by(["feature_id", "at"]).to_pandas().astype(dict.fromkeys((*sums, *more), float))
    known = {n: wide[n].where(wide[n] > 0) for n in ("errors_known", "crash_known", "feedback_count")}
    return wide[["feature_id", "at", "observations"]].assign(
        p95_latency_ms=wide.merge(p95_of_buckets(hours), on=["feature_id", "at"], how="left")["p95_latency_ms"],
        error_rate=wide["failures"] / known["errors_known"],
        crash_rate=wide["crashes"] / known["crash_known"],
        mean_feedback_score=wide["feedback_millionths"] / 1e6 / known["feedback_count"],
        n_p95_latency_ms=wide["latency_observations"],
        n_error_rate=wide["errors_known"],
        n_crash_rate=wide["crash_known"],
        n_mean_feedback_score=wide["feedback_count"],
        n_observations=wide["observations"],
    )


def with_users(telemetry: ir.Table, incidents: pd.DataFrame, *, through: datetime) -> pd.DataFrame:
    """`incidents` with `users`: distinct users who met it, from its start to its end or `through`.

    They had a latency over the expected p95, an error, a crash, or gave less than the expected score. NULL of other
    signals, where no user is known, and of incidents that ended more than 30 days before `through`.

    Args:
        telemetry: the lake's table, or rows of it.
        incidents: feature_id, signal, started_at, ended_at, expected.
    """
    of_users = incidents["signal"].isin([s for s in SIGNALS if s != "observations"])
    is_old = incidents["ended_at"] < pd.Timestamp(through) - USERS_OF
    asked = incidents[of_users & ~is_old]
    if asked.empty:
        return incidents.assign(users=pd.array([None] * len(incidents), dtype="Int64"))
    spans = ibis.memtable(
        pd.DataFrame(
            {
                "place": asked.index.astype("int64"),
                "of_feature": asked["feature_id"].astype(str),
                "of_signal": asked["signal"].astype(str),
                "from_at": asked["started_at"].to_numpy(dtype="datetime64[us]"),
                "to_at": asked["ended_at"].fillna(pd.Timestamp(through)).to_numpy(dtype="datetime64[us]"),
                "usual": asked["expected"].astype(float),
            }
        )
    )
    rows = telemetry.filter(telemetry.observed_at >= asked["started_at"].min().to_pydatetime())
    rows = rows.select("feature_id", "user_id", "observed_at", *MET)
    within = [rows.feature_id == spans.of_feature, rows.observed_at >= spans.from_at, rows.observed_at < spans.to_at]
    met = rows.join(spans, within)
    is_met = ibis.cases(
        (met.of_signal == "p95_latency_ms", met.latency_ms > met.usual),
        (met.of_signal == "error_rate", met.error_count > 0),
        (met.of_signal == "crash_rate", met.crashed),
        else_=met.feedback_score < met.usual,
    )
    found = met.filter(is_met).group_by("place").agg(users=met.user_id.nunique()).to_pandas().set_index("place")
    known = found["users"].reindex(incidents.index).astype("Int64")
    return incidents.assign(users=known.where(known > 0))


def _bucket(at: ir.TimestampValue, bucket: str, report_timezone: str) -> ir.TimestampValue:
    if bucket == "day":
        return local_date(at, report_timezone).cast(dt.timestamp)
    return at.bucket(ibis.interval(minutes=MINUTES[bucket]))
