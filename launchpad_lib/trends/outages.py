"""Which features were silent for a while and are back? A gap is silence: no observation of it is made up."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd

WEEK = 7 * 24
FEWEST_WEEKS = 2
MOST_WEEKS = 8
CHANCE = 0.01
EPOCH, HOUR = pd.Timestamp(0), pd.Timedelta(hours=1)
OUTAGE_COLUMNS = ("feature_id", "started_at", "ended_at", "silent_hours", "expected", "weeks")


def outage_table(hours: pd.DataFrame, *, since: datetime, through: datetime) -> pd.DataFrame:
    """Grain: one row per feature and stretch of whole hours without a row that is over: rows came after it.

    `expected`: how many rows its hours had on the mean of the same weekday and hour in up to 8 weeks before it, of
    which the feature knew at least 2 (`weeks`). A stretch is told where each of those weeks had rows in it, and where
    none has a chance under 1 % in the whole period: exp(-least / noise) times its hours, `least` being `expected` less
    twice its standard error and `noise` the variance of an hour over its expectation, at least 1. A feature that
    usually rests then, or has few rows, is not told of; nor is one that was silent for over a week.

    Args:
        hours: feature_id, hour (its begin, UTC), observations; several rows of one hour are added.
        since: only stretches that begin at or after it. through: the last instant that telemetry covers.
    """
    begin, end = pd.Timestamp(since).ceil("h"), pd.Timestamp(through).floor("h")
    asked = max((end - begin) / HOUR, 1.0)
    rows = []
    for feature, one in hours.groupby("feature_id", observed=True):
        place = (one["hour"].to_numpy(dtype="datetime64[h]").astype(np.int64)).astype(int)
        first = int(place.min())
        counts = np.bincount(place - first, weights=one["observations"].to_numpy(dtype=float))
        up_to = np.r_[0, np.cumsum(counts)]
        edges = np.flatnonzero(np.diff(np.r_[0, counts == 0, 0]))
        noise = _noise(counts)
        earliest, latest = (int((t - EPOCH) / HOUR) - first for t in (begin, end))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            weeks = min(int(start) // WEEK, MOST_WEEKS)
            if start < earliest or stop > latest or stop - start > WEEK or weeks < FEWEST_WEEKS:
                continue
            back = WEEK * np.arange(1, weeks + 1)
            before = up_to[stop - back] - up_to[start - back]
            expected = float(before.mean())
            least = expected - 2 * np.sqrt(expected * noise / weeks)
            if before.min() > 0 and np.exp(-least / noise) * asked < CHANCE:
                started, ended = (EPOCH + (first + int(i)) * HOUR for i in (start, stop))
                rows.append((str(feature), started, ended, int(stop - start), expected, weeks))
    table = pd.DataFrame(rows, columns=list(OUTAGE_COLUMNS))
    return table.assign(**{c: pd.to_datetime(table[c]) for c in ("started_at", "ended_at")}).sort_values(
        ["started_at", "feature_id"], ignore_index=True
    )


def _noise(counts: np.ndarray) -> float:
    """Variance of an hour over its expectation, from the differences to the same hour a week before; at least 1."""
    if len(counts) <= WEEK:
        return 1.0
    now, before = counts[WEEK:], counts[:-WEEK]
    total = float(now.sum() + before.sum())
    return max(1.0, float(((now - before) ** 2).sum()) / total) if total else 1.0
