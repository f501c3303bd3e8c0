"""Writes a simulated product's files: events a day, telemetry, annotations, features."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from launchpad_lib.simulation.event_files import ROW_GROUP_ROWS, EventFile, plain_texts
from launchpad_lib.simulation.event_rows import Place, event_rows, sizes
from launchpad_lib.simulation.experiments import Experiments, plans
from launchpad_lib.simulation.sessions import History, draw_users
from launchpad_lib.simulation.telemetry import PER_DAY, SCHEMA, telemetry_tables, usual_latency_ms
from launchpad_lib.simulation.texts import user_digits
from launchpad_lib.simulation.truth import TRUTH, Truth

USERS_AT_ONCE = 50_000
MOST_EVENTS_A_DAY = 250  # of one user; keeps the ids of two parts apart
THREADS = 2
PILOT_USERS = 2_000
# The seed's branches: what is drawn for one part of the users on one day depends on nothing else.
_TRAITS, _DAYS, _FAULTS, _TELEMETRY, _EXPERIMENTS = range(5)
FileFormat = Literal["jsonl.gz", "jsonl", "parquet"]


class SimulationResult(NamedTuple):
    """Where the files are and how many rows each kind has."""

    paths: dict[str, Path]
    rows: dict[str, int]


def simulate(
    out: Path,
    *,
    seed: int = 20260101,
    users: int = 500,
    days: int = 14,
    telemetry_days: int = 60,
    telemetry_per_day: int = PER_DAY,
    start_on: date = date(2026, 1, 5),
    file_format: FileFormat = "jsonl.gz",
    truth: Truth = TRUTH,
) -> SimulationResult:
    """Simulates a product and writes its files under `out`; the same seed writes the same bytes.

    Events cover `days` days from `start_on`, a file a day and part of the users; telemetry covers `telemetry_days` days
    and ends on the same day, with about `telemetry_per_day` observations per feature and day. Users are drawn in parts
    of 50,000, so memory does not grow with them.

    Raises:
        ValueError: `users`, `days`, `telemetry_days` or `telemetry_per_day` out of range.
    """
    limits = (
        ("users", users, 10),
        ("days", days, 2),
        ("telemetry_days", telemetry_days, 14),
        ("telemetry_per_day", telemetry_per_day, 1),
    )
    for name, value, low in limits:
        if value < low:
            raise ValueError(f"{name}={value}: must be at least {low}; raise it")
    out.mkdir(parents=True, exist_ok=True)
    paths = {
        "events": out / "events",
        "telemetry": out / "telemetry",
        "annotations": out / "annotations.csv",
        "features": out / "features.csv",
        "experiment_events": out / "experiment_events.jsonl.gz",
        "experiments": out / "experiments.csv",
        "truth": out / "truth.csv",
    }
    last_on = start_on + timedelta(days=days - 1)
    telemetry_start = last_on - timedelta(days=telemetry_days - 1)
    paths["events"].mkdir(exist_ok=True)
    whole = _Whole(paths["events"], seed, users, days, start_on, file_format, truth)
    with ThreadPoolExecutor(THREADS) as pool:
        rows = {"events": sum(pool.map(whole.write_part, range(whole.parts)))}
    rows["experiment_events"] = whole.write_experiments(paths["experiment_events"])
    planned = plans(truth.experiments, start_on=start_on, days=days)
    pd.DataFrame(planned, columns=["experiment_id", "control", "plan"]).to_csv(paths["experiments"], index=False)
    paths["telemetry"].mkdir(exist_ok=True)
    rows["telemetry"] = _write_telemetry(
        paths["telemetry"] / "telemetry.parquet",
        telemetry_tables(
            np.random.default_rng([seed, _TELEMETRY]),
            users=users,
            days=telemetry_days,
            start_on=telemetry_start,
            truth=truth,
            per_day=telemetry_per_day,
        ),
    )
    annotations = _annotations(telemetry_start, telemetry_days, truth)
    annotations.to_csv(paths["annotations"], index=False)
    features = _features(truth, last_on=last_on)
    features.to_csv(paths["features"], index=False)
    pd.DataFrame(truth.by_feature()).to_csv(paths["truth"], index=False)
    return SimulationResult(paths, rows | {"annotations": len(annotations), "features": len(features)})


def users_for(events: int, *, days: int, truth: Truth = TRUTH) -> int:
    """How many users make about so many events in so many days, by a pilot of 2,000 users; never under 10.

    Raises:
        ValueError: `events` or `days` out of range.
    """
    for name, value, low in (("events", events, 1), ("days", days, 2)):
        if value < low:
            raise ValueError(f"{name}={value}: must be at least {low}; raise it")
    people = draw_users(np.random.default_rng(0), users=PILOT_USERS, truth=truth)
    history = History(people, days=days, truth=truth)
    pilot = sum(int(sizes(history.draw_day(np.random.default_rng([0, d]), d)).sum()) for d in range(days))
    return max(round(events * PILOT_USERS / pilot), 10)


def _write_telemetry(path: Path, tables: Iterator[pa.Table]) -> int:
    """How many rows there are."""
    written = 0
    with pq.ParquetWriter(path, SCHEMA) as file:
        waiting: list[pa.Table] = []
        for table in chain(tables, [None]):
            if waiting and (table is None or sum(t.num_rows for t in waiting) >= ROW_GROUP_ROWS):
                file.write_table(pa.concat_tables(waiting))
                written += sum(t.num_rows for t in waiting)
                waiting = []
            if table is not None:
                waiting.append(table)
    return written


class _Whole(NamedTuple):
    """All events of a product, written part by part of its users."""

    folder: Path
    seed: int
    users: int
    days: int
    start_on: date
    file_format: FileFormat
    truth: Truth

    @property
    def parts(self) -> int:
        return -(-self.users // USERS_AT_ONCE)

    def write_part(self, part: int) -> int:
        """One file a day for these users; how many rows."""
        first_user = part * USERS_AT_ONCE
        here = min(USERS_AT_ONCE, self.users - first_user)
        people = draw_users(np.random.default_rng([self.seed, _TRAITS, part]), users=here, truth=self.truth)
        history = History(people, days=self.days, truth=self.truth)
        stride = USERS_AT_ONCE * self.days * MOST_EVENTS_A_DAY
        last_event = part * stride + (stride if part + 1 < self.parts else here * self.days * MOST_EVENTS_A_DAY)
        faults = _Faults(np.random.default_rng([self.seed, _FAULTS, part]), self, part)
        event, written = part * stride, 0
        for day in range(self.days):
            rng = np.random.default_rng([self.seed, _DAYS, part, day])
            on = self.start_on + timedelta(days=day)
            place = Place(
                day=day,
                on=on,
                first_user=first_user,
                user_digits=user_digits(self.users),
                first_event=event,
                event_digits=max(8, len(str(last_event))),
            )
            version = "2.1.0" if day >= self.days // 2 else "2.0.0"
            rows = event_rows(rng, history.draw_day(rng, day), people, place, app_version=version, truth=self.truth)
            event += rows.num_rows
            name = f"{on}" if self.parts == 1 else f"{on}-{part:04d}"
            with EventFile(self.folder / f"{name}.{self.file_format}", self.file_format) as file:
                file.write(rows)
                written += rows.num_rows + file.write_planted(faults.of_day(day, rows))
        faults.check_all_are_planted(event - part * stride)
        return written

    def write_experiments(self, path: Path) -> int:
        """The experiments on the first part of the users, in a file of their own; how many rows."""
        here = min(USERS_AT_ONCE, self.users)
        people = draw_users(np.random.default_rng([self.seed, _TRAITS, 0]), users=here, truth=self.truth)
        history = History(people, days=self.days, truth=self.truth)
        drawn = Experiments(
            np.random.default_rng([self.seed, _EXPERIMENTS, 0]), people, self.truth.experiments, days=self.days
        )
        written = 0
        with EventFile(path, "jsonl.gz") as file:
            for day in range(self.days):
                sessions = history.draw_day(np.random.default_rng([self.seed, _DAYS, 0, day]), day)
                rng = np.random.default_rng([self.seed, _EXPERIMENTS, 1 + day])
                on, version = self.start_on + timedelta(days=day), "2.1.0" if day >= self.days // 2 else "2.0.0"
                digits = user_digits(self.users)
                rows = drawn.rows_of_day(rng, sessions, day=day, on=on, user_digits=digits, app_version=version)
                written += file.write_planted(rows)
        return written


class _Faults:
    """The declared numbers of duplicated and malformed rows, spread over parts and days."""

    def __init__(self, rng: np.random.Generator, whole: _Whole, part: int) -> None:
        self._rng, self._days = rng, whole.days
        self._duplicates = _share(whole.truth.duplicate_rows, part, whole.parts)
        self._malformed = _share(whole.truth.malformed_rows, part, whole.parts)
        self._wanted = self._duplicates + self._malformed
        self._planted = 0
        self._first_bad = sum(_share(whole.truth.malformed_rows, p, whole.parts) for p in range(part))

    def of_day(self, day: int, rows: pa.Table) -> list[dict]:
        """Rows of this day that are written once more, each as it is or damaged; every row is taken once at most.

        A malformed row has no user, or a time of receipt that is none.
        """
        so_far = _share_through(self._wanted, day, self._days)
        count = min(so_far - self._planted, rows.num_rows)
        picks = self._rng.choice(rows.num_rows, size=count, replace=False)
        planted = plain_texts(rows.take(pa.array(np.sort(picks))))
        self._rng.shuffle(planted)
        for number, row in enumerate(planted, start=self._planted):
            # Spread evenly: the malformed ones are every so manieth.
            before = number * self._malformed // self._wanted
            if (number + 1) * self._malformed // self._wanted > before:
                bad = self._first_bad + before
                row |= {"event_id": f"bad{bad:05d}"} | ({"user_id": None} if bad % 2 else {"received_at": "yesterday"})
        self._planted += count
        return planted

    def check_all_are_planted(self, events: int) -> None:
        if self._planted < self._wanted:
            raise ValueError(f"users, days: make only {events} events, fewer than are to be damaged; raise one of them")


def _share(whole: int, part: int, parts: int) -> int:
    return whole * (part + 1) // parts - whole * part // parts


def _share_through(whole: int, part: int, parts: int) -> int:
    return whole * (part + 1) // parts


def _annotations(start_on: date, days: int, truth: Truth) -> pd.DataFrame:
    marks = [(r.day, "deployment", r.feature_id, f"{r.feature_id} release") for r in truth.regressions if r.day < days]
    marks += [
        (days - f.last_days, "deployment", f.feature_id, f"{f.feature_id} release")
        for f in truth.flows
        if f.last_days is not None
    ]
    marks.append((truth.incident_days[0], "incident", truth.incident_feature, "crash wave"))
    return pd.DataFrame(
        [
            {"at": f"{start_on + timedelta(days=d)}T00:00:00Z", "kind": k, "feature_id": f, "label": text}
            for d, k, f, text in sorted(marks)
        ]
    )


def _features(truth: Truth, *, last_on: date) -> pd.DataFrame:
    """One row per feature; one released within the log has no objectives yet."""
    table = pd.DataFrame(
        [
            {
                "feature_id": feature,
                "feature_name": feature.replace("_", " ").capitalize(),
                "owner_team": ("growth", "core", "payments")[index % 3],
                "lifecycle_stage": "beta" if feature == "configurator" else "ga",
                "released_on": "2025-11-01",
                "slo_p95_latency_ms": float(round(usual_latency_ms(index) * 2.05)),
                "slo_crash_free_users": 0.96,
                "slo_error_rate": 0.08,
                "slo_feedback_score": 3.5,
            }
            for index, feature in enumerate(truth.features)
        ]
    ).set_index("feature_id")
    for feature in truth.features:
        released_days_ago = truth.days_before_the_end(feature)
        if released_days_ago is not None:
            table.loc[feature, "lifecycle_stage"] = "alpha"
            table.loc[feature, "released_on"] = str(last_on - timedelta(days=released_days_ago - 1))
            table.loc[feature, [c for c in table if c.startswith("slo_")]] = np.nan
    return table.reset_index()
