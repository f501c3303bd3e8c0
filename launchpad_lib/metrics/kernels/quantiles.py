"""Daily quantiles by mergeable log histograms: one pass, no sort, and any run of days is a sum of its days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numba import njit

from launchpad_lib.metrics.kernels.histogram import BUCKETS, bucket_of, middles


@njit(cache=True, nogil=True)
def _count_by_key(keys, values, counts):  # pragma: no cover (compiled)
    for i in range(len(values)):
        if values[i] == values[i]:
            counts[keys[i], bucket_of(values[i])] += 1


def histograms_of_files(paths: Sequence[str], *, key: str, value: str) -> dict[str, np.ndarray]:
    """One log histogram per key over the files; a NULL value is unknown and in none, a NULL key is left out.

    Files need no order. Memory: one row group and 86 KB a key.
    """
    found: dict[str, np.ndarray] = {}
    for path in paths:
        with pq.ParquetFile(path, read_dictionary=[key]) as source:
            for index in range(source.num_row_groups):
                table = source.read_row_group(index, columns=[key, value], use_threads=False).combine_chunks()
                if not table.num_rows:
                    continue
                keys, values = (table.column(c).chunk(0) for c in (key, value))
                if not pa.types.is_dictionary(keys.type):
                    keys = keys.dictionary_encode()
                names = [str(n) for n in keys.dictionary.to_pylist()]
                # NULL keys count into a last row that is dropped.
                codes = keys.indices.fill_null(len(names)).to_numpy(zero_copy_only=False)
                counts = np.zeros((len(names) + 1, BUCKETS), np.int64)
                _count_by_key(
                    codes, values.cast(pa.float64()).fill_null(float("nan")).to_numpy(zero_copy_only=False), counts
                )
                for row, name in enumerate(names):
                    found[name] = found[name] + counts[row] if name in found else counts[row]
    return found


def daily_histograms(
    files: Mapping[date, Sequence[str]], *, key: str, value: str, threads: int = 2
) -> dict[date, dict[str, np.ndarray]]:
    """`histograms_of_files` per day.

    A day's histograms depend on that day's files only: keep them and redo changed days.
    """
    days = sorted(files)
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        found = pool.map(lambda day: histograms_of_files(files[day], key=key, value=value), days)
        return dict(zip(days, found, strict=True))


@njit(cache=True, nogil=True)
def _at_rank(counts, low, high, rank, middle):  # pragma: no cover (compiled)
    """The value of the bucket that holds a rank (from 0), as a fraction between two neighbours."""
    whole, upto = int(rank), 0
    value, found = 0.0, False
    for bucket in range(low, high + 1):
        upto += counts[bucket]
        if not found and upto > whole:
            value, found = middle[bucket], True
        if found and upto > whole + 1:
            return value + (middle[bucket] - value) * (rank - whole)
    return value


@njit(cache=True, nogil=True)
def _trailing(keys, days, ends, buckets, rows, trailing, at, middle, found, totals):  # pragma: no cover (compiled)
    counts = np.zeros(len(middle), np.int64)
    low, high, total, first = len(middle) - 1, 0, 0, 0
    for group in range(len(keys)):
        if group and keys[group] != keys[group - 1]:
            counts[low : high + 1] = 0
            low, high, total, first = len(middle) - 1, 0, 0, group
        for i in range(ends[group - 1] if group else 0, ends[group]):
            counts[buckets[i]] += rows[i]
            total += rows[i]
            low, high = min(low, buckets[i]), max(high, buckets[i])
        while days[group] - days[first] >= trailing:
            for i in range(ends[first - 1] if first else 0, ends[first]):
                counts[buckets[i]] -= rows[i]
                total -= rows[i]
            first += 1
        totals[group] = total
        for k in range(len(at)):
            found[group, k] = _at_rank(counts, low, high, at[k] * (total - 1), middle)


def trailing_quantiles(
    keys: np.ndarray,
    days: np.ndarray,
    buckets: np.ndarray,
    rows: np.ndarray,
    *,
    trailing_days: int,
    at: Sequence[float],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Quantiles of each key over the calendar days that end on each of its days, from counts per bucket.

    Args:
        keys, days, buckets, rows: numbers, one per count, in order of key and day.

    Returns:
        The place of the first count of each key and day, its observations in the window, and its quantiles.
    """
    is_first = np.ones(len(keys), bool)
    is_first[1:] = (keys[1:] != keys[:-1]) | (days[1:] != days[:-1])
    starts = np.flatnonzero(is_first)
    ends = np.append(starts[1:], len(keys)).astype(np.int64) if len(keys) else np.zeros(0, np.int64)
    found, totals = np.empty((len(starts), len(at))), np.empty(len(starts), np.int64)
    wanted = np.array(at, dtype=float)
    _trailing(keys[starts], days[starts], ends, buckets, rows, trailing_days, wanted, middles(), found, totals)
    return starts, totals, found
