"""Incidents: buckets outside the seasonal, robust expectation that was known before them; they end by themselves.

Streaming: what is said of a bucket hangs on the buckets before it only, so a live run and a report over the whole
history say the same. Whether the level moved for good is another question (`level_shifts`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from launchpad_lib.trends.counted_detector import counted_surprises
from launchpad_lib.trends.detector import CHANNELS, FEWEST, MEANS, surprises

Bucket = Literal["5 minutes", "hour", "day"]
MINUTES: Mapping[str, int] = MappingProxyType({"5 minutes": 5, "hour": 60, "day": 1440})
BUDGETS: Mapping[str, float] = MappingProxyType({"5 minutes": 25.0, "hour": 5.0, "day": 1.0})
"""False alarms that a healthy series may raise in 30 days, an upper limit; what it is in truth stands in
docs/studies.md."""

MOST_BUCKETS = 1_200_000
NOTHING = "no value is known"
INCIDENT_COLUMNS = (
    "feature_id", "signal", "bucket", "started_at", "detected_at", "ended_at", "score", "size", "value", "expected",
    "observations",
)  # fmt: skip
SERIES_COLUMNS = (
    "feature_id", "signal", "bucket", "first_at", "last_at", "buckets", "missing", "judged", "silent_buckets",
    "is_silent", "incidents", "is_incident_now", "refused_because",
)  # fmt: skip


class Watched(NamedTuple):
    """`incidents`: one row per incident. `series`: one row per feature and signal that was looked at or refused."""

    incidents: pd.DataFrame
    series: pd.DataFrame


def watched(
    series: pd.DataFrame, *, bucket: Bucket, through: datetime, budget: float | None = None, min_observations: int = 1
) -> Watched:
    """Incidents of every series, and what was looked at.

    `incidents`, grain: one row per feature, signal and incident, by feature, signal and start. `started_at`: first
    bucket of the run that is out of the ordinary; `detected_at`: the bucket whose value told; `ended_at`: first bucket
    after it that was ordinary again, or at which its level became the ordinary one (after a day, or seven buckets);
    NULL while it goes on. `score`: minus the decimal logarithm of the probability of its strangest
    bucket; `value, expected`: of the bucket farthest from what was expected, and `size`, their difference, in the unit
    of the signal.

    `series`, grain: one row per feature and signal. `judged`: known buckets after the first two days (21 buckets, if
    that is more), in which nothing is said; `missing`: gaps up to the last known bucket; `silent_buckets`: gaps after
    it up to `through`, and `is_silent` where they are more than twice the longest gap before. A series that cannot be
    judged has its reason in `refused_because`.

    Buckets are judged up to `through`; one of which less than half is over then is not (of counts: one that is not
    over). Several values of one bucket are one: their mean, of rates that of all their observations, of counts the sum.
    A missing or infinite value is a gap.

    `kind` says what a series' numbers are. Of a *rate* (a share of `observations`) and a *count* (rows of a bucket) the
    noise of sampling is known, and what it alone would do within the budget is no incident: one crash of four
    observations is not. Their `value` and `expected` are those of the whole run. A *value* of fewer than
    `min_observations` observations (or of the series' own `fewest`) is a gap, as far as its observations are known; a
    run of buckets of a rate says nothing under that number.

    Args:
        series: feature_id, signal, at (UTC, start of the bucket or an instant in it), value; where known also
            observations, and for each series kind ("value", "rate", "count"), worse ("up", "down", "both": which
            direction is an incident) and fewest; without them values, of which both directions are.
        through: the run's instant.
        budget: false alarms of a healthy series in 30 days, at most (`BUDGETS` where none is named).

    Raises:
        ValueError: `bucket` or `budget` cannot be.

    >>> hours = pd.date_range("2026-01-01", periods=240, freq="h")
    >>> value = 10 + np.sin(np.arange(240)) + 30 * (np.arange(240) == 200)
    >>> told = pd.DataFrame({"feature_id": "search", "signal": "latency", "at": hours, "value": value})
    >>> found = watched(told, bucket="hour", through=datetime(2026, 1, 11)).incidents
    >>> found[["detected_at", "ended_at"]].iloc[0].tolist()
    [Timestamp('2026-01-09 08:00:00'), Timestamp('2026-01-09 09:00:00')]
    """
    if bucket not in MINUTES:
        raise ValueError(f"bucket={bucket!r}: there are {', '.join(map(repr, MINUTES))}; name one of them")
    allowed = BUDGETS[bucket] if budget is None else budget
    if not 0 < allowed < math.inf:
        raise ValueError(f"budget={budget!r}: false alarms in 30 days are a number over 0; raise it")
    incidents, rows = [], []
    for (feature_id, signal), one in series.groupby(["feature_id", "signal"], observed=True, sort=True):
        found, row = _watched_one(
            one, bucket=bucket, through=pd.Timestamp(through), budget=allowed, min_observations=min_observations
        )
        incidents += [(feature_id, signal, bucket, *told) for told in found]
        rows.append((feature_id, signal, bucket, *row))
    times = ("started_at", "detected_at", "ended_at")
    table = pd.DataFrame(incidents, columns=list(INCIDENT_COLUMNS))
    looked = pd.DataFrame(rows, columns=list(SERIES_COLUMNS))
    whole_numbers = ("buckets", "missing", "judged", "silent_buckets", "incidents")
    return Watched(
        table.assign(**{c: pd.to_datetime(table[c]) for c in times}),
        looked.assign(
            **{c: pd.to_datetime(looked[c]) for c in ("first_at", "last_at")},
            **{c: looked[c].astype("Int64") for c in whole_numbers},
            **{c: looked[c].astype("boolean") for c in ("is_silent", "is_incident_now")},
        ),
    )


class _Buckets(NamedTuple):
    """The buckets of one series by position: values, of counts also failures (rows) and observations; NaN is a gap."""

    value: np.ndarray
    failed: np.ndarray
    of: np.ndarray
    kind: str
    worse: str


class _Told(NamedTuple):
    """What a detector says: surprises of each bucket and of its own value, expectation, incidents, who was judged."""

    score: np.ndarray
    own: np.ndarray
    expected: np.ndarray
    incidents: list[tuple[int, int, int]]
    judged: int


def _watched_one(
    one: pd.DataFrame, *, bucket: Bucket, through: pd.Timestamp, budget: float, min_observations: int
) -> tuple[list, tuple]:
    """Incidents of one series, and its row of `series` without the keys."""
    step = pd.Timedelta(minutes=MINUTES[bucket])
    needed = max(min_observations, int(one["fewest"].iloc[0]) if "fewest" in one else 1)
    told, kind, worse = _bucketed(one, step=step, through=through)
    fullest = told["of"].max()
    if kind == "value":
        told = told[~(told["of"] < needed)]
    if told.empty:
        why = f"its fullest {bucket} holds {fullest:g} observations; {needed} are needed" if fullest > 0 else NOTHING
        return [], (pd.NaT, pd.NaT, 0, 0, 0, None, None, 0, None, why)
    first, last = told.index[0], told.index[-1]
    length, silent = int((last - first) / step) + 1, max(int((through - last) / step - 0.5), 0)
    longest = int(max(np.diff(told.index.to_numpy()) / step, default=0))
    is_silent = silent + 1 > 2 * longest + 1 if len(told) >= FEWEST else None
    warm = max(2 * 1440 // MINUTES[bucket], 21)
    seen = (first, last, length, length - len(told), 0, silent, is_silent, 0, None)
    refused = _refusal(told["value"], length=length, warm=warm, bucket=bucket, kind=kind)
    if refused:
        return [], (*seen, refused)
    place = ((told.index - first) / step).to_numpy().round().astype(int)
    value, failed, of = np.full((3, length), np.nan)
    value[place], failed[place], of[place] = (told[c].to_numpy(dtype=float) for c in ("value", "failed", "of"))
    buckets = _Buckets(value, failed, of, kind, worse)
    day = 1440 // MINUTES[bucket]
    limit = math.log(30 * day * CHANNELS / budget)
    found = _detected(buckets, day=day, limit=limit, warm=warm, fewest=needed)
    if not found.judged:
        held = f"{np.nanmedian(buckets.of):g} observations in half of its buckets of {bucket}"
        return [], (*seen, f"{held}; {needed} are needed in {MEANS[-1]} of them")
    incidents, free = [], 0
    for start, told_at, end in found.incidents:
        start = max(start, free)  # a mean over many buckets remembers those of the incident before
        end = _last_strange(found.own[told_at:end], limit=limit, after=told_at, end=end, is_open=end == length)
        free = end
        run = slice(start, max(end, told_at + 1))
        strange = found.score[told_at : run.stop].max() / math.log(10)
        level, usual, size = _levels(buckets, found.expected, run)
        over = pd.NaT if end == length else first + end * step
        times = (first + start * step, first + told_at * step, over)
        incidents.append((*times, float(strange), level - usual, level, usual, size))
    now = bool(incidents) and found.incidents[-1][2] == length and not is_silent
    return incidents, (*seen[:4], found.judged, *seen[5:7], len(incidents), now, None)


def _bucketed(one: pd.DataFrame, *, step: pd.Timedelta, through: pd.Timestamp) -> tuple[pd.DataFrame, str, str]:
    """Known buckets by their start: value, failed, of; and what kind of numbers they are. A rate of unknown
    observations is a value.
    """
    value = pd.to_numeric(one["value"], errors="coerce").astype(float).replace([np.inf, -np.inf], np.nan)
    of = pd.to_numeric(one.get("observations", pd.Series(np.nan, one.index)), errors="coerce").astype(float)
    kind, worse = (str(one[c].iloc[0]) if c in one else other for c, other in (("kind", "value"), ("worse", "both")))
    if kind == "rate" and not ((of > 0) & value.between(0, 1) | value.isna()).all():
        kind = "value"
    at = pd.to_datetime(one["at"]).dt.floor(step)  # an instant that is not known is in no bucket
    if kind == "value":
        mean = value.groupby(at.to_numpy()).mean()
        told = pd.DataFrame({"value": mean, "failed": np.nan, "of": of.groupby(at.to_numpy()).sum(min_count=1)})
    else:
        rows = value * of if kind == "rate" else value
        sums = pd.DataFrame({"failed": rows, "of": of.where(value.notna()) if kind == "rate" else 1.0})
        told = sums.groupby(at.to_numpy()).sum(min_count=1)
        told["value"] = told["failed"] / told["of"] if kind == "rate" else told["failed"]
        told["of"] = told["of"] if kind == "rate" else 1.0
    known = told[told["value"].notna()]
    # Rows of a bucket that is not over are fewer than it will have.
    return known[known.index + (step if kind == "count" else step / 2) <= through], kind, worse


def _detected(buckets: _Buckets, *, day: int, limit: float, warm: int, fewest: int) -> _Told:
    length = len(buckets.value)
    quiet = {"up": 1, "down": 0, "both": -1}[buckets.worse]
    rules = (day, limit, warm, max(1, day // 4), max(day, 7), quiet)
    if buckets.kind == "value":
        score, own, expected, *found = surprises(buckets.value, *rules)
        judged = np.isfinite(buckets.value)
    else:
        is_rate = buckets.kind == "rate"
        bad = np.round(buckets.failed)
        score, own, expected, *found, judged = counted_surprises(bad, buckets.of, is_rate, *rules, fewest)
    began, detected, ended = found
    incidents = [(b, d, min(e, length)) for b, d, e in zip(began, detected, ended, strict=True)]
    return _Told(score, own, expected, incidents, int(judged[warm:].sum()))


def _levels(buckets: _Buckets, expected: np.ndarray, run: slice) -> tuple[float, float, float | None]:
    """Value and expectation of a run, and its observations (None where they are not known): rates and counts over all
    of it, other values of the bucket farthest from what was expected.
    """
    of = np.nansum(buckets.of[run])
    known = float(of) if of else None
    if buckets.kind == "value":
        worst = run.start + int(np.nanargmax(np.abs(buckets.value[run] - expected[run])))
        return float(buckets.value[worst]), float(expected[worst]), known
    rated = (np.nansum(buckets.failed[run]) / of, np.nansum(expected[run]) / of)
    return float(rated[0]), float(rated[1]), known if buckets.kind == "rate" else float(np.nansum(buckets.failed[run]))


def _last_strange(own: np.ndarray, *, limit: float, after: int, end: int, is_open: bool) -> int:
    """The end of an incident without what only the means over more buckets still remember of it."""
    strange = np.flatnonzero(own >= 0.6 * limit)
    return end if is_open or not len(strange) else after + int(strange[-1]) + 1


def _refusal(told: pd.Series, *, length: int, warm: int, bucket: str, kind: str) -> str | None:
    if length > MOST_BUCKETS:
        return f"it spans {length:,} buckets of {bucket}; at most {MOST_BUCKETS:,} are looked at: correct its times"
    if len(told) < FEWEST or length <= warm:
        return f"{len(told)} known buckets of {bucket} over {length}; more than {warm} are needed"
    if kind == "value" and told.nunique() == 1:
        return f"it is constant: every bucket is {told.iloc[0]:g}"
    return None
