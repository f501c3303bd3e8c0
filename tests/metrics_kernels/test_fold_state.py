"""Saved states: the same answers as a fold from nothing, whatever was restated, and no more days read than needed."""

from __future__ import annotations

import hashlib
import random
import tempfile
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_logs import START, write_days

from launchpad_lib.lake.day_files import DayFile
from launchpad_lib.lake.fold_state import FoldStates

CODES = {"A": 1, "B": 2, "C": 3}


class Log(NamedTuple):
    days: tuple[DayFile, ...]
    users: int
    event_codes: dict[str, int] = CODES
    table_version: int = 0

    @property
    def paths(self) -> list[str]:
        return [d.path for d in self.days]


def log_of(folder: Path, rows: list[tuple[int, int, datetime]]) -> Log:
    folder.mkdir(exist_ok=True)
    plain = write_days(folder, rows, event_codes=CODES)
    files = [
        DayFile(date.fromisoformat(Path(p).stem), p, 0, hashlib.sha256(Path(p).read_bytes()).hexdigest(), "")
        for p in plain.paths
    ]
    return Log(tuple(files), plain.users)


class Orders:
    """A fold whose state hangs on the order of the days: of each user a number that every event changes."""

    def __init__(self, base: int) -> None:
        self.spec = {"fold": "orders", "base": base}
        self.base = base
        self.told = np.zeros(0, np.int64)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"told": self.told}

    def restore(self, arrays) -> None:
        self.told = np.array(arrays.get("told", np.zeros(0, np.int64)))

    def fold(self, paths, *, users: int) -> None:
        self.told = np.concatenate([self.told, np.zeros(max(users - len(self.told), 0), np.int64)])
        for path in paths:
            table = pq.read_table(path)
            for user, code in zip(table["user_number"].to_pylist(), table["event_code"].to_pylist(), strict=True):
                self.told[user] = (int(self.told[user]) * self.base + code) % 1_000_003


def folds():
    return [Orders(7), Orders(11)]


def one_a_day(days: int) -> list[tuple[int, int, datetime]]:
    return [(0, 1 + n % 3, START + timedelta(days=n)) for n in range(days)]


EVENT = st.tuples(st.integers(0, 5), st.integers(1, 3), st.integers(0, 14 * 24))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(EVENT, min_size=1, max_size=40), st.lists(st.lists(EVENT, min_size=1, max_size=6), min_size=1, max_size=4)
)
def test_folded_in_runs_with_late_events_it_is_the_fold_from_nothing(first, later):
    """Each run adds events anywhere in the past or the future: late ones, new days, new users."""
    with tempfile.TemporaryDirectory() as folder:
        states = FoldStates(Path(folder) / "states")
        rows: list[tuple[int, int, datetime]] = []
        for run, added in enumerate([first, *later]):
            rows += [(u, c, START + timedelta(hours=h)) for u, c, h in added]
            log = log_of(Path(folder) / f"days{run}", rows)
            for saved, fresh in zip(folds(), folds(), strict=True):
                states.advance(saved, log)
                fresh.fold(log.paths, users=log.users)
                for name, array in fresh.arrays().items():
                    np.testing.assert_array_equal(saved.arrays()[name], array)


def test_a_week_later_only_the_new_week_is_read(tmp_path):
    states = FoldStates(tmp_path / "states")
    states.advance(folds()[0], log_of(tmp_path / "a", one_a_day(60)))
    done = states.advance(folds()[0], log_of(tmp_path / "b", one_a_day(67)))
    assert done.from_snapshot == START.date() + timedelta(days=59)
    assert len(done.days_read) == 7


def test_nothing_new_reads_nothing(tmp_path):
    states, log = FoldStates(tmp_path / "states"), log_of(tmp_path / "a", one_a_day(60))
    states.advance(folds()[0], log)
    assert states.advance(folds()[0], log).days_read == ()


@pytest.mark.parametrize(("age_days", "most_read"), [(0, 6), (3, 6), (6, 30), (20, 30), (40, 60)])
def test_a_restated_day_costs_the_days_since_the_snapshot_before_it(tmp_path, age_days, most_read):
    states, rows = FoldStates(tmp_path / "states"), one_a_day(60)
    states.advance(folds()[0], log_of(tmp_path / "a", rows))
    late = (1, 1, START + timedelta(days=59 - age_days, hours=1))
    done = states.advance(folds()[0], log_of(tmp_path / "b", [*rows, late]))
    assert age_days < len(done.days_read) <= most_read


def test_snapshots_stay_few_over_a_year_of_weekly_runs(tmp_path):
    states, year = FoldStates(tmp_path / "states"), log_of(tmp_path / "days", one_a_day(7 * 52))
    for week in range(1, 53):
        done = states.advance(folds()[0], year._replace(days=year.days[: 7 * week]))
        assert len(done.days_read) == 7
    assert len(list((tmp_path / "states").glob("*/*"))) <= 5


def test_a_damaged_snapshot_is_not_used(tmp_path):
    states, log = FoldStates(tmp_path / "states"), log_of(tmp_path / "a", one_a_day(3))
    states.advance(folds()[0], log)
    for path in (tmp_path / "states").glob("*/*/told.npy"):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    fold = folds()[0]
    assert len(states.advance(fold, log).days_read) == 3
    assert fold.told.tolist() == [(1 * 7 + 2) * 7 + 3]


def test_two_questions_do_not_share_a_state(tmp_path):
    states, log = FoldStates(tmp_path / "states"), log_of(tmp_path / "a", one_a_day(3))
    for fold in folds():
        states.advance(fold, log)
        assert fold.told.tolist() == [(1 * fold.base + 2) * fold.base + 3]


def test_many_random_weeks_with_restatements_equal_the_fold_from_nothing(tmp_path):
    rng, rows = random.Random(7), []
    states = FoldStates(tmp_path / "states")
    for week in range(12):
        rows += [
            (rng.randrange(20 + week), rng.randrange(1, 4), START + timedelta(days=7 * week, hours=rng.randrange(168)))
            for _ in range(60)
        ]
        rows += [
            (rng.randrange(20), rng.randrange(1, 4), START + timedelta(hours=rng.randrange(168 * (week + 1))))
            for _ in range(rng.randrange(3))
        ]
        log = log_of(tmp_path / f"{week}", rows)
        saved, fresh = folds()[0], folds()[0]
        states.advance(saved, log)
        fresh.fold(log.paths, users=log.users)
        assert saved.told.tolist() == fresh.told.tolist()
