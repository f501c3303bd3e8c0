"""Crash-free users and sessions and Apdex of a lake's telemetry as a fold: a later day adds to what the days before
gave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from launchpad_lib.contract.sql import literal

NEVER = -(2**62)
USER_BITS = 40
KNOWN_FLAGS = """
    SELECT feature_id, user_id, epoch_us(observed_at) AS instant, crashed FROM {rows}
    WHERE crashed IS NOT NULL AND user_id IS NOT NULL{of_feature} ORDER BY instant"""
# What `metrics.reliability.apdex_counts` counts.
LATENCIES = """
    SELECT feature_id, count(*) FILTER (latency_ms IS NOT NULL OR error_count > 0) AS observations,
        count(*) FILTER (latency_ms <= {satisfied} AND NOT coalesce(error_count > 0, false)) AS satisfied,
        count(*) FILTER (latency_ms > {satisfied} AND latency_ms <= {tolerated}
            AND NOT coalesce(error_count > 0, false)) AS tolerating
    FROM {rows} WHERE true{of_feature} GROUP BY feature_id"""


@njit(cache=True, nogil=True)
def _fold(  # pragma: no cover (compiled)
    users, pairs, features, instants, crashed, gap, last, session, pair_session, pair_crash, counts
):
    """`pair_session` is the session of its user that a pair was last counted in, `pair_crash` whether as crashed."""
    for i in range(len(users)):
        user, pair, feature = users[i], pairs[i], features[i]
        if last[user] == NEVER or instants[i] - last[user] > gap:
            session[user] += 1
        last[user] = instants[i]
        if pair_session[pair] != session[user]:
            pair_session[pair] = session[user]
            pair_crash[pair] = 0
            counts[feature, 0] += 1
        if crashed[i] and not pair_crash[pair]:
            pair_crash[pair] = 1
            counts[feature, 1] += 1


class StabilityFold:
    """State, per user `last, session`: the microsecond of the last row and the number of the session.

    Per pair of feature and user `keys, pair_session, pair_crash, pair_crashed`; per feature `counts` (sessions, crashed
    sessions, observations, satisfied, tolerating); and the names of users and features.
    """

    def __init__(self, *, threshold_ms: float, gap_minutes: int = 30, feature_id: str | None = None) -> None:
        self.threshold_ms, self.gap_minutes, self.feature_id = threshold_ms, gap_minutes, feature_id
        self.restore({})

    @property
    def spec(self) -> dict[str, Any]:
        """What the state depends on beside the days."""
        asked = {"threshold_ms": self.threshold_ms, "gap_minutes": self.gap_minutes, "feature_id": self.feature_id}
        return {"kind": "stability", "revision": 1, **asked}

    def arrays(self) -> dict[str, np.ndarray]:
        """The state, to be saved."""
        names = {"users": self._user_names, "features": self._feature_names}
        packed = {f"{n}_{part}": v for n, text in names.items() for part, v in _packed(text).items()}
        return {**self._state, **packed}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes up a saved state; no arrays is the empty state."""
        none = pa.array([], pa.large_string())
        self._user_names = _unpacked(arrays, "users") if arrays else none
        self._feature_names = _unpacked(arrays, "features") if arrays else none
        empty = {
            "last": np.zeros(0, np.int64),
            "session": np.zeros(0, np.int64),
            "keys": np.zeros(0, np.int64),
            "pair_session": np.zeros(0, np.int64),
            "pair_crash": np.zeros(0, np.int8),
            "pair_crashed": np.zeros(0, np.int8),
            "counts": np.zeros((0, 5), np.int64),
        }
        self._state = {name: np.array(arrays.get(name, value)) for name, value in empty.items()}

    def fold(self, paths: Sequence[str], *, users: int) -> None:
        """Folds further days, in their order; a path is the day's rows in SQL."""
        con = duckdb.connect(config={"threads": 2})
        try:
            con.execute("SET TimeZone = 'UTC'")
            con.execute("SET enable_progress_bar = false")
            for rows in paths:
                self._fold_day(con, rows)
        finally:
            con.close()

    def result(self) -> pd.DataFrame:
        """Grain: one row per feature: users, crashed_users, sessions, crashed_sessions, observations, satisfied,
        tolerating.
        """
        state, count = self._state, len(self._feature_names)
        feature = state["keys"] >> USER_BITS
        told = dict(
            zip(
                ("sessions", "crashed_sessions", "observations", "satisfied", "tolerating"),
                state["counts"].T,
                strict=True,
            )
        )
        return pd.DataFrame(
            {
                "feature_id": self._feature_names.to_pandas().astype(object),
                "users": np.bincount(feature, minlength=count),
                "crashed_users": np.bincount(feature[state["pair_crashed"] > 0], minlength=count),
                **told,
            }
        )

    def _fold_day(self, con: duckdb.DuckDBPyConnection, rows: str) -> None:
        of_feature = "" if self.feature_id is None else f" AND feature_id = {literal(self.feature_id)}"
        limits = {"satisfied": repr(float(self.threshold_ms)), "tolerated": repr(4 * float(self.threshold_ms))}
        latencies = con.sql(LATENCIES.format(rows=rows, of_feature=of_feature, **limits)).to_arrow_table()
        feature, self._feature_names = _numbered(latencies["feature_id"], self._feature_names)
        state = self._state
        state["counts"] = np.pad(state["counts"], ((0, len(self._feature_names) - len(state["counts"])), (0, 0)))
        for place, name in enumerate(("observations", "satisfied", "tolerating"), start=2):
            state["counts"][feature, place] += latencies[name].to_numpy()
        flags = con.sql(KNOWN_FLAGS.format(rows=rows, of_feature=of_feature)).to_arrow_table()
        if not flags.num_rows:
            return
        feature, _ = _numbered(flags["feature_id"], self._feature_names)
        user, self._user_names = _numbered(flags["user_id"], self._user_names)
        new = len(self._user_names) - len(state["last"])
        state["last"] = np.concatenate([state["last"], np.full(new, NEVER)])
        state["session"] = np.concatenate([state["session"], np.zeros(new, np.int64)])
        keys, inverse = np.unique(feature << USER_BITS | user, return_inverse=True)
        self._grow(keys)
        pair = np.searchsorted(state["keys"], keys)[inverse]
        crashed = flags["crashed"].to_numpy().astype(bool)
        state["pair_crashed"][pair[crashed]] = 1
        _fold(
            user,
            pair,
            feature,
            flags["instant"].to_numpy(),
            crashed,
            60_000_000 * self.gap_minutes,
            state["last"],
            state["session"],
            state["pair_session"],
            state["pair_crash"],
            state["counts"],
        )

    def _grow(self, keys: np.ndarray) -> None:
        """Makes room for pairs that were not met before."""
        state = self._state
        met = state["keys"]
        place = np.searchsorted(met, keys)
        is_new = place == len(met)
        is_new[~is_new] = met[place[~is_new]] != keys[~is_new]
        for name in ("pair_session", "pair_crash", "pair_crashed"):
            state[name] = np.insert(state[name], place[is_new], 0)
        state["keys"] = np.insert(met, place[is_new], keys[is_new])


def folded(fold: StabilityFold, log: Any) -> None:
    """Brings a fold to the end of a lake's telemetry; where its state cannot be saved, over all days."""
    try:
        log.states.advance(fold, log)
    except OSError:
        fold.restore({})
        fold.fold([d.path for d in log.days], users=log.users)


def _numbered(texts: pa.ChunkedArray, names: pa.LargeStringArray) -> tuple[np.ndarray, pa.LargeStringArray]:
    """The number of each text, and the names with those that are new behind them."""
    coded = pc.dictionary_encode(texts.cast(pa.large_string())).combine_chunks()
    coded = coded.chunk(0) if isinstance(coded, pa.ChunkedArray) else coded
    known = pc.index_in(coded.dictionary, value_set=names).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    is_new = known < 0
    known[is_new] = len(names) + np.arange(int(is_new.sum()))
    if is_new.any():
        names = pa.concat_arrays([names, coded.dictionary.filter(pa.array(is_new))])
    return known[coded.indices.to_numpy(zero_copy_only=False)], names


def _packed(names: pa.LargeStringArray) -> dict[str, np.ndarray]:
    """Texts as the bytes of all and where each ends."""
    whole = pa.concat_arrays([names])
    lengths = pc.binary_length(whole).to_numpy(zero_copy_only=False).astype(np.int64)
    data = b"".join(v.encode() for v in whole.to_pylist())
    return {"ends": np.cumsum(lengths), "bytes": np.frombuffer(data, np.uint8)}


def _unpacked(arrays: Mapping[str, np.ndarray], name: str) -> pa.LargeStringArray:
    ends = np.concatenate([np.zeros(1, np.int64), arrays[f"{name}_ends"]])
    data = np.ascontiguousarray(arrays[f"{name}_bytes"])
    return pa.LargeStringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(data))
