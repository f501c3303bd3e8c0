"""Latency from the hours of each feature, whose histograms merge over hours, days, platforms and versions."""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa

from launchpad_lib.contract.arguments import shown, whole_number
from launchpad_lib.metrics.checks import known_table
from launchpad_lib.metrics.kernels.quantiles import trailing_quantiles
from launchpad_lib.metrics.windows import local_date

QUANTILES = (0.5, 0.95, 0.99)


def latency_quantiles(
    hours: ir.Table,
    *,
    by: Sequence[str] = ("feature_id",),
    trailing_days: int = 1,
    report_timezone: str = "UTC",
    at: Sequence[float] = QUANTILES,
) -> ir.Table:
    """Latency over the `trailing_days` calendar days that end on a date. Grain: one row per key and local date with a
    latency.

    Days are calendar days: one without telemetry is a day of the window, with no row in it. An hour counts to the date
    in which it begins. Columns: those of `by`, observed_on, latency_observations, and p50_latency_ms, p95_latency_ms,
    p99_latency_ms (one per quantile asked for), each off by at most 0.4 % of the value.

    Args:
        hours: a lake's `fact_feature_hours`, or rows of it.
        by: of its columns feature_id, platform and app_version.

    Raises:
        ValueError: `trailing_days` below 1, or a quantile outside 0 ... 1.
    """
    trailing_days = whole_number(trailing_days, argument="trailing_days")
    if any(not 0 <= q <= 1 for q in at):
        raise ValueError(f"at={shown(list(at))}: quantiles lie between 0 and 1; correct them")
    table = known_table(hours, needs=(*by, "hour", "latency_histogram"), argument="hours")
    dated = table.select(*by, "latency_histogram", observed_on=local_date(table.hour, report_timezone))
    counts, found, totals = _merged(dated, by=by, on="observed_on", trailing=trailing_days, at=at)
    told = counts.append_column("latency_observations", pa.array(totals))
    for place, q in enumerate(at):
        told = told.append_column(f"p{100 * q:g}_latency_ms", pa.array(found[:, place]))
    return ibis.memtable(told)


def p95_of_buckets(hours: ir.Table) -> pd.DataFrame:
    """Grain: one row per feature and bucket of time with a latency: feature_id, at, p95_latency_ms, off by at most
    0.4 % of the value.

    Args:
        hours: rows of a lake's `fact_feature_hours` with `at`, the instant at which the bucket of each begins.
    """
    counts, found, _ = _merged(hours, by=("feature_id",), on="at", trailing=1, at=(0.95,))
    return counts.to_pandas().assign(p95_latency_ms=found[:, 0])


def _merged(
    dated: ir.Table, *, by: Sequence[str], on: str, trailing: int, at: Sequence[float]
) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """The keys and times with a latency, and of each the quantiles and the latencies of the `trailing` times that end
    with it.
    """
    held = dated.filter(dated.latency_histogram.notnull())
    rows = held.select(*by, on, "latency_histogram").order_by([*by, on]).to_pyarrow().combine_chunks()
    keys = rows.select(list(by)).to_pandas().groupby(list(by), dropna=False, sort=False).ngroup().to_numpy()
    times = rows[on].cast(pa.int32() if pa.types.is_date32(rows[on].type) else pa.int64()).to_numpy().astype(np.int64)
    starts, totals, found = trailing_quantiles(
        keys, times, *_entries(rows["latency_histogram"]), trailing_days=trailing, at=at
    )
    return rows.select([*by, on]).take(pa.array(starts)), found, totals


def _entries(histograms: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the counts of each histogram end; of each count its bucket, and itself, in the types they have: of few
    observations there are nearly as many counts as latencies, so to widen them, or to have an engine take them apart,
    costs more than to read the latencies would.
    """
    parts, upto = [(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.uint64))], 0
    for chunk in histograms.chunks:
        offsets = chunk.offsets.to_numpy().astype(np.int64)
        inside = slice(int(offsets[0]), int(offsets[-1]))
        buckets, counts = (side.to_numpy(zero_copy_only=False)[inside] for side in (chunk.keys, chunk.items))
        parts.append((upto + offsets[1:] - offsets[0], buckets, counts))
        upto += inside.stop - inside.start
    ends, buckets, counts = (np.concatenate(side) for side in zip(*parts, strict=True))
    return ends, buckets, counts


def with_trailing(
    daily: pd.DataFrame, hours: ir.Table, *, report_timezone: str, trailing_days: int = 7
) -> pd.DataFrame:
    """`daily` with `p95_7d_latency_ms`: p95 latency of the 7 calendar days that end on its date, off by at most 0.4 %;
    NULL on a date without a latency.

    Args:
        daily: feature_id, observed_on; one row per feature and local date.
        hours: a lake's `fact_feature_hours`.
    """
    wide = latency_quantiles(hours, trailing_days=trailing_days, report_timezone=report_timezone, at=(0.95,))
    name = f"p95_{trailing_days}d_latency_ms"
    found = wide.select("feature_id", "observed_on", **{name: wide.p95_latency_ms}).to_pandas()
    found["observed_on"] = found["observed_on"].astype(daily["observed_on"].dtype)
    return daily.merge(found, on=["feature_id", "observed_on"], how="left")
