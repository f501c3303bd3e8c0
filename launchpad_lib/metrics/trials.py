"""Start trials: every moment at which users could go on to finish (or to use) a feature, what they then did, and what
was known before.

One reading of the log answers for all features. No estimate is made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from launchpad_lib.contract.arguments import shown, whole_number
from launchpad_lib.contract.durations import utc_instant, window_us
from launchpad_lib.metrics.checks import known_table, name_list
from launchpad_lib.metrics.drawn_trials import Chunk, is_within, mixed, trial_table
from launchpad_lib.metrics.kernels.lake_log import is_fact_events
from launchpad_lib.metrics.kernels.local_days import local_days, local_times
from launchpad_lib.metrics.kernels.reading import micros_of
from launchpad_lib.metrics.kernels.trials import DAY_US, MINUTE_US, NEVER, WRITTEN, count_trials, fill_trials
from launchpad_lib.metrics.kernels.unit_rows import UnitRows, unit_rows
from launchpad_lib.metrics.windows import is_one_of, is_storable

Compare = Literal["finished", "used"]
MOST_QUESTIONS = 62
MOST_TRIALS = 2_000_000


class TrialQuestion(NamedTuple):
    """One comparison. finished: a trial begins at every `begin_events`; used: at the first event of every local day.

    Treated is who does one of `done_events` (or, where `feature_id` is given, has any event of it) within the grace.
    `control_events`: negative-control exposures, which cannot matter for coming back.
    """

    compare: Compare
    done_events: tuple[str, ...]
    begin_events: tuple[str, ...] = ()
    feature_id: str | None = None
    control_events: tuple[str, ...] = ()


class Naive(NamedTuple):
    """Users who ever did it and users who never did; of each, those active later than grace and outcome after their
    first event. Not causal: who stays longer has more time to do it.
    """

    treated: int
    treated_returned: int
    control: int
    control_returned: int


class Trials(NamedTuple):
    """Trials of one question. Grain of `table`: one row per trial that is compared.

    Columns of `table`: user (a number), began_at, treated, returned, those of `KNOWN` (what was known before the
    trial; counts and durations in days or minutes as ln(1 + x)), local hour and weekday (0 is Monday), platform and
    country of the row that begins it, and what the negative controls need: `LAGGED` (known before their window),
    active_before and was_busy_before (more events than half of those who were active; NaN where the user was not there
    before that window), and did_control (0 or 1: a control event within the grace).

    `compared`: trials whose outcome is over, all of them; `window_open`: not over; `done_before`: would have begun
    after the user had done it. `user_share`: the part of users whose trials are in `table` (1.0: all).
    """

    question: TrialQuestion
    table: pd.DataFrame
    compared: int
    window_open: int
    done_before: int
    user_share: float
    naive: Naive


def grace_us(grace: str) -> int:
    """The longest grace in microseconds.

    Raises:
        ValueError: longer than a day.

    >>> grace_us("session"), grace_us("1h")
    (86400000000, 3600000000)
    """
    if grace == "session":
        return DAY_US
    length = window_us(grace)
    if length > DAY_US:
        raise ValueError(
            f"grace={shown(grace)}: must be 'session' or at most 1d; within a longer one only those who stay can "
            "finish, and staying is the outcome (immortal time)"
        )
    return length


def start_trials(
    events: ir.Table,
    questions: Sequence[TrialQuestion],
    *,
    outcome_days: int,
    observed_through: datetime,
    grace: str = "session",
    report_timezone: str = "UTC",
    most_trials: int = MOST_TRIALS,
    seed: int = 0,
) -> list[Trials]:
    """The trials of every question, from one reading of the log.

    A trial begins at each instant with a begin event (used: at the first event of each local day) of a user who has not
    done it before that instant. The grace lasts to the last event of the same session, and at most `grace` long.
    Treated: did it from the beginning to the end of the grace, both included. Returned: any event in (end of the
    grace, end + `outcome_days`].
    Compared: trials with beginning + longest grace + outcome <= `observed_through`. A session is the client's
    (`session_id`, else `session_key`); events without one form sessions with gaps of at most 30 minutes.

    Where a question has more than `most_trials`, it keeps the trials of a part of the users: 1, 1/2, 1/4 ..., the
    largest that fits, drawn by `seed` from the user's id alone.

    Args:
        events: user_id, event_name, event_at; also session_id, platform, country, feature_id.

    Raises:
        ValueError: a grace of more than a day, an outcome under a day, or more than 62 questions.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", "go", 0), ("a", "end", 1), ("b", "go", 0), ("a", "go", 24), ("b", "look", 20)]
    >>> rows = [{"user_id": u, "event_name": n, "event_at": datetime(2026, 1, 1 + h // 24, h % 24)} for u, n, h in log]
    >>> asked = TrialQuestion("finished", ("end",), begin_events=("go",))
    >>> found = start_trials(ibis.memtable(rows), [asked], outcome_days=1, observed_through=datetime(2026, 1, 9))[0]
    >>> sorted(found.table[["user", "treated", "returned"]].to_numpy().tolist()), found.done_before
    ([[0, 0, 1], [1, 0, 1]], 1)
    """
    if len(name_list(questions, argument="questions")) > MOST_QUESTIONS:
        raise ValueError(
            f"questions: {len(questions)} given; one reading answers at most {MOST_QUESTIONS}, ask in turns"
        )
    outcome_days = whole_number(outcome_days, argument="outcome_days")
    reading = _Reading(questions, outcome_days, observed_through, grace_us(grace), most_trials, seed, report_timezone)
    known = known_table(events, needs=("user_id", "event_name", "event_at"))
    for part in unit_rows(known, trial_columns(known, questions), where=known.event_at.notnull()):
        reading.read(part)
    return reading.found()


def trial_columns(events: ir.Table, questions: Sequence[TrialQuestion]) -> dict[str, ir.Value]:
    """What the kernels need of each event, computed while the log is scanned."""
    return {
        "at": events.event_at,
        "session": _session(events),
        "kind": (events.event_name.hash() & 63).fill_null(0).cast(dt.int8),
        "begins": _mask(events, [q.begin_events if q.compare == "finished" else () for q in questions]),
        "control": _mask(events, [q.control_events for q in questions]),
        "done": _mask(events, [q.done_events for q in questions]) | _of_feature(events, questions),
        "luck": events.user_id.hash(),
        **{name: events[name] if name in events.columns else ibis.literal("") for name in ("platform", "country")},
    }


def _session(events: ir.Table) -> ir.IntegerValue:
    """A number that tells the sessions of a user apart; 0 of an event without one."""
    if is_fact_events(events.op()):  # its stretches without a client's session are those that are asked here
        return events.session_number
    name = next((c for c in ("session_id", "session_key") if c in events.columns), None)
    none = ibis.literal(0, dt.int64)
    return none if name is None else ibis.ifelse(events[name].notnull(), events[name].hash(), none)


def _mask(events: ir.Table, names: Sequence[Sequence[str]]) -> ir.IntegerValue:
    """A bit for each question whose events hold this one."""
    bits: dict[str, int] = {}
    for place, own in enumerate(names):
        for name in own:
            bits[name] = bits.get(name, 0) | 1 << place
    return _bits_of(events.event_name, bits)


def _of_feature(events: ir.Table, questions: Sequence[TrialQuestion]) -> ir.IntegerValue:
    bits: dict[str, int] = {}
    for place, question in enumerate(questions):
        if question.feature_id is not None and "feature_id" in events.columns:
            bits[question.feature_id] = bits.get(question.feature_id, 0) | 1 << place
    return _bits_of(events.feature_id, bits) if bits else ibis.literal(0, dt.int64)


def _bits_of(column: ir.StringValue, bits: dict[str, int]) -> ir.IntegerValue:
    cases = [
        (is_one_of(column, [name]), ibis.literal(mask, dt.int64)) for name, mask in bits.items() if is_storable(name)
    ]
    none = ibis.literal(0, dt.int64)
    return ibis.cases(*cases, else_=none) if cases else none


class _Reading:
    """What is kept of the parts that were read."""

    def __init__(
        self,
        questions: Sequence[TrialQuestion],
        outcome_days: int,
        observed_through: datetime,
        grace: int,
        most_trials: int,
        seed: int,
        report_timezone: str,
    ) -> None:
        self.report_timezone = report_timezone
        self.questions, self.most_trials, self.seed = questions, most_trials, seed
        self.grace, self.outcome = grace, outcome_days * DAY_US
        self.latest = micros_of(utc_instant(observed_through)) - grace - self.outcome
        self.daily = sum(1 << place for place, q in enumerate(questions) if q.compare == "used")
        self.users = 0
        self.halvings = np.zeros(len(questions), np.int64)
        self.counts = np.zeros((len(questions), 3), np.int64)
        self.naive = np.zeros((len(questions), 2, 2), np.int64)
        self.chunks: list[list[Chunk]] = [[] for _ in questions]

    def read(self, part: UnitRows) -> None:
        """Adds the trials of a part."""
        columns, units = part.columns, part.units
        at, starts = columns["at"], part.starts
        if not units:
            return
        day = local_days(at, self.report_timezone)
        first_done = np.empty((units, len(self.questions)), np.int64)
        counts = np.zeros((units, len(self.questions), 3), np.int64)
        begins, done, control = (columns[n].astype(np.int64) for n in ("begins", "done", "control"))
        count_trials(starts, at, day, begins, done, self.daily, self.latest, first_done, counts)
        self.counts += counts.sum(axis=0)
        self._count_naive(at[starts[:-1]], at[starts[1:] - 1], first_done)
        luck = mixed(columns["luck"][starts[:-1]], self.seed)
        kept = self._kept(luck, counts[:, :, 0])
        sizes = (counts[:, :, 0] * kept).sum(axis=0)
        ends = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        total = int(sizes.sum())
        unit_of, row_of, instant_of = np.empty(total, np.int64), np.empty(total, np.int64), np.empty(total, np.int64)
        treated, returned = np.empty(total, np.uint8), np.empty(total, np.uint8)
        known = np.empty((total, len(WRITTEN)), np.float32)
        fill_trials(
            starts, at, day, columns["session"], columns["kind"], begins, done, control,
            self.daily, self.latest, self.grace, self.outcome, first_done, kept, ends,
            unit_of, row_of, instant_of, treated, returned, known,
        )  # fmt: skip
        for place, size in enumerate(sizes):
            if not size:
                continue
            own = slice(ends[place] - size, ends[place])
            row = row_of[own]
            local = local_times(at[row], self.report_timezone)
            where = {name: columns[name][row] for name in ("platform", "country")}
            where |= {"day": local // DAY_US, "minute": local % DAY_US // MINUTE_US}
            self.chunks[place].append(
                Chunk(
                    self.users + unit_of[own], luck[unit_of[own]], instant_of[own], treated[own], returned[own],
                    known[own].copy(), where,
                )
            )  # fmt: skip
        self.users += units
        self.texts = part.texts

    def _count_naive(self, first_at: np.ndarray, last_at: np.ndarray, first_done: np.ndarray) -> None:
        is_back = last_at > first_at + self.grace + self.outcome
        for place in range(len(self.questions)):
            did = first_done[:, place] != NEVER
            for group, of_group in enumerate((did, ~did)):
                self.naive[place, group] += (int(of_group.sum()), int((of_group & is_back).sum()))

    def _kept(self, luck: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Which users' trials are written: halved until what is kept and what comes fits."""
        kept = np.ones((len(luck), len(self.questions)), np.bool_)
        for place in range(len(self.questions)):
            while True:
                kept[:, place] = is_within(luck, self.halvings[place])
                held = sum(len(chunk.user) for chunk in self.chunks[place])
                if held + int(counts[kept[:, place], place].sum()) <= self.most_trials or self.halvings[place] == 63:
                    break
                self.halvings[place] += 1
                self.chunks[place] = [chunk.within(self.halvings[place]) for chunk in self.chunks[place]]
        return kept

    def found(self) -> list[Trials]:
        """The trials of each question, users in the order of their luck: it hangs on their ids and the seed, not on how
        the log is stored.
        """
        result = []
        for place, question in enumerate(self.questions):
            compared, window_open, done_before = (int(n) for n in self.counts[place])
            share = 0.5 ** int(self.halvings[place])
            chunks, self.chunks[place] = self.chunks[place], []
            naive = Naive(*(int(n) for n in self.naive[place].ravel()))
            table = trial_table(chunks, self.texts if chunks else {})
            result.append(Trials(question, table, compared, window_open, done_before, share, naive))
        return result
