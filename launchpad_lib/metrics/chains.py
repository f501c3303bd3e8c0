"""For every unit the chain of steps that is reported: several funnels, spans and periods from one reading."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

import ibis
import ibis.expr.types as ir
import numpy as np

from launchpad_lib.contract.durations import window_us
from launchpad_lib.metrics.steps import Exclusion, Rules, Step, matches
from launchpad_lib.metrics.windows import (
    Period,
    Weekday,
    is_one_of,
    is_storable,
    local_date,
    period_number,
    property_value,
    unit_column,
)

if TYPE_CHECKING:
    from launchpad_lib.metrics.kernels.chains import Automaton, Found
    from launchpad_lib.metrics.kernels.unit_rows import UnitRows

NEVER = np.iinfo(np.int64).min
ALWAYS = np.iinfo(np.int64).max
NO_ROW = -2  # the code of a next event where there is none


class Entries(NamedTuple):
    """Local periods, each of which has the chains of its own entries."""

    period: Period
    report_timezone: str
    week_starts_on: Weekday


class Chains(NamedTuple):
    """Reported chains of a part of the units. Grain: one row per unit and span or period that the unit entered.

    The reported chain is the deepest one a unit has; among those the one that is complete first; among those the one
    that began last. Instants are microseconds since 1970.

    `unit` numbers the units of the reading; `group` is the number of the period, or the place of the span; `at[:, k]`
    is the instant of step k + 1 (NEVER: not reached); `values[:, k]` the code of the breakdown's value there (-1: none)
    into `names`. `next_event` is the code, into `event_names`, of the unit's very next event after the last required
    step (-1: without a name, NO_ROW: none) and `next_at` its instant.
    """

    unit: np.ndarray
    group: np.ndarray
    first_entry_at: np.ndarray
    at: np.ndarray
    is_removed: np.ndarray
    is_mature: np.ndarray
    values: np.ndarray | None
    names: list[str]
    next_event: np.ndarray
    next_at: np.ndarray
    event_names: list[str]

    @property
    def is_counted(self) -> np.ndarray:
        """Mature and not removed by an exclusion."""
        return self.is_mature & ~self.is_removed

    def segment(self, rules: Rules) -> np.ndarray:
        """Code of the unit's value of the breakdown: of its first or last reached step that has one, or of the chosen
        step.
        """
        if self.values is None:
            return np.full(len(self.unit), -1, np.int32)
        if isinstance(rules.attribution, int):
            return self.values[:, rules.attribution - 1]
        order = self.values if rules.attribution == "first_touch" else self.values[:, ::-1]
        return order[np.arange(len(order)), (order >= 0).argmax(axis=1)]


class Question(NamedTuple):
    """A funnel that is asked of a log. `spans`: the entries that count, None for all; or those of each period."""

    rules: Rules
    spans: tuple[tuple[datetime, datetime] | None, ...] = (None,)
    entries: Entries | None = None
    needs_next: bool = False


def reported_chains(
    events: ir.Table, questions: Sequence[Question], *, observed_through: datetime
) -> Iterator[list[Chains]]:
    """Reads the log once; for every part of the units the chains of each question. All questions count the same units.

    The order of a unit's events is (event_at, rank, received_at, event_id): rank is the first step the event matches,
    so that at one instant the order of the steps wins; events that match no step come before the steps of their instant
    (both as in ClickHouse's `windowFunnel`).
    """
    from launchpad_lib.metrics.kernels.unit_rows import unit_rows

    by = questions[0].rules.by
    unit = by
    if by == "session_id":  # a client's session id is unique within its user only
        unit = _free_name(events, "unit")
        events = events.mutate(**{unit: unit_column(events, by)})
    asked = _Columns(events, questions)
    before = 0
    for part in unit_rows(events, asked.columns, unit=unit, where=asked.where):
        yield [_of_part(part, asked, place, before, observed_through) for place in range(len(questions))]
        before += part.units


def _free_name(events: ir.Table, name: str) -> str:
    while name in events.columns:
        name += "_"
    return name


class _Columns:
    """The columns that the questions need of the log, each once, and under which name a question has them."""

    def __init__(self, events: ir.Table, questions: Sequence[Question]) -> None:
        self.questions = questions
        at = events.event_at
        self.columns: dict[str, ir.Value] = {
            "at": at.cast("timestamp") if at.type().is_date() else at,
            "event": events.event_name,
        }
        self._known: dict[tuple, str] = {}
        self.bits = [self._bits(events, q.rules) for q in questions]
        self.held = [self._property(events, q.rules.hold_constant) for q in questions]
        self.segment = [self._property(events, q.rules.breakdown) for q in questions]
        self.period = [self._period(events, q) for q in questions]
        is_whole = any(q.needs_next or q.rules.mode in ("strict", "strict_order") for q in questions)
        names = {n.event_name for q in questions for n in (*q.rules.steps, *q.rules.exclusions)}
        matching = is_one_of(events.event_name, sorted(names)).fill_null(False)
        self.where = events.event_at.notnull() if is_whole else events.event_at.notnull() & matching

    def _named(self, key: tuple, value: ir.Value) -> str:
        name = self._known.setdefault(key, f"asked_{len(self._known)}")
        self.columns.setdefault(name, value)
        return name

    def _property(self, events: ir.Table, name: str | None) -> str | None:
        return self._named(("property", name), property_value(events, name)) if name else None

    def _bits(self, events: ir.Table, rules: Rules) -> str | None:
        """What only the properties can tell: bits of steps and exclusions that have filters."""
        flags: dict[int, list[Step | Exclusion]] = {}
        for bit, one in _bits_of(rules):
            if one.filters:
                flags.setdefault(bit, []).append(one)
        if not flags:
            return None
        zero, key = (
            ibis.literal(0, "int64"),
            tuple((bit, *((o.event_name, o.filters) for o in v)) for bit, v in flags.items()),
        )
        bits = [
            ibis.ifelse(
                ibis.or_(*(matches(events, o.event_name, o.filters) for o in ones)), ibis.literal(bit, "int64"), zero
            )
            for bit, ones in flags.items()
        ]
        return self._named(("bits", repr(key)), reduce(lambda a, b: a + b, bits))

    def _period(self, events: ir.Table, question: Question) -> str | None:
        if question.entries is None:
            return None
        rules, entries = question.rules, question.entries
        first = rules.steps if rules.mode == "any_order" else rules.steps[:1]
        names = sorted({s.event_name for s in first})
        number = period_number(
            local_date(events.event_at, entries.report_timezone), entries.period, entries.week_starts_on
        )
        value = ibis.ifelse(is_one_of(events.event_name, names).fill_null(False), number, 0)
        return self._named(("period", entries, tuple(names)), value.cast("int64").fill_null(0))


def _bits_of(rules: Rules) -> list[tuple[int, Step | Exclusion]]:
    from launchpad_lib.metrics.kernels.chains import BLOCKS, REMOVES

    effects = {"remove_user": REMOVES, "block_progress": BLOCKS}
    steps: list[tuple[int, Step | Exclusion]] = [(1 << k, step) for k, step in enumerate(rules.steps)]
    return [*steps, *((effects[e.effect], e) for e in rules.exclusions)]


def _of_part(part: UnitRows, asked: _Columns, place: int, before: int, observed_through: datetime) -> Chains:
    from launchpad_lib.metrics.kernels import chains as kernel

    question = asked.questions[place]
    rules = question.rules

    def column(name: str | None, kind: type) -> np.ndarray:
        if name is None:
            return np.empty(0, kind)
        return np.require(part.columns[name], kind, ["C", "W"])

    at, codes = column("at", np.int64), column("event", np.int32)
    held, segment = column(asked.held[place], np.int32), column(asked.segment[place], np.int32)
    bits, period = column(asked.bits[place], np.int64), column(asked.period[place], np.int64)
    automaton = _automaton(question)
    match = np.empty(len(at), np.int64)
    event_names = part.texts.get("event", [])
    table = _table(rules, event_names)
    disordered = kernel.match_rows(part.starts, at, codes, table, bits, held, automaton.steps, match)  # type: ignore[call-arg]
    if disordered:
        places, rows = kernel.step_order(part.starts, at, match, automaton.steps, disordered)  # type: ignore[call-arg]
        match[places] = match[rows]
        codes, held, segment, period = (_moved(c, places, rows) for c in (codes, held, segment, period))
    values = len(part.texts[asked.held[place]]) if asked.held[place] else 0
    found = kernel.find_chains(
        part.starts, at, match, automaton, width=len(rules.steps), held=held, values=values, period=period
    )
    reached = found.rows >= 0
    window = window_us(rules.window)
    first_entry_at = at[found.entry]
    limit = _micros(observed_through) - (window or 0)
    next_event, next_at = _next(part, found, at, codes, rules) if question.needs_next else (_EMPTY, _EMPTY)
    return Chains(
        found.unit + before,
        found.group,
        first_entry_at,
        np.where(reached, at[found.rows] if len(at) else 0, NEVER),
        found.removed,
        np.full(len(first_entry_at), True) if window is None else first_entry_at <= limit,
        np.where(reached, segment[found.rows], -1) if rules.breakdown and len(at) else None,
        part.texts[asked.segment[place]] if asked.segment[place] else [],
        next_event,
        next_at,
        event_names,
    )


_EMPTY = np.empty(0, np.int64)


def _moved(column: np.ndarray, places: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """A copy with the rows of equal instants in the order of the steps; other questions have another order."""
    if not len(column):
        return column
    moved = column.copy()
    moved[places] = column[rows]
    return moved


def _next(
    part: UnitRows, found: Found, at: np.ndarray, codes: np.ndarray, rules: Rules
) -> tuple[np.ndarray, np.ndarray]:
    required = [k - 1 for k in rules.required]
    following = found.rows[:, required].max(axis=1, initial=-1) + 1
    is_there = following < part.starts[found.unit + 1]
    row = np.where(is_there, following, 0)
    if not len(at):
        return _EMPTY, _EMPTY
    return np.where(is_there, codes[row], NO_ROW), np.where(is_there, at[row], NEVER)


def _micros(instant: datetime) -> int:
    since = instant - datetime(1970, 1, 1)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _table(rules: Rules, names: list[str]) -> np.ndarray:
    """What an event is by its name alone; the last element is for events without one."""
    table = np.zeros(len(names) + 1, np.int64)
    code = {name: k for k, name in enumerate(names)}
    for bit, one in _bits_of(rules):
        if not one.filters and is_storable(one.event_name) and one.event_name in code:
            table[code[one.event_name]] |= bit
    return table


def _automaton(question: Question) -> Automaton:
    from launchpad_lib.metrics.kernels.chains import MODES, MOST_STEPS, Automaton

    rules = question.rules
    if len(rules.steps) > MOST_STEPS:
        raise ValueError(f"steps: {len(rules.steps)} given; a funnel takes at most {MOST_STEPS}, leave some out")
    window = window_us(rules.window)
    required = rules.required
    optional = [k for k in range(1, len(rules.steps) + 1) if k not in required]
    low, high = zip(
        *((NEVER, ALWAYS) if span is None else (_micros(span[0]), _micros(span[1])) for span in question.spans),
        strict=True,
    )
    lists = (
        [k - 1 for k in required],
        [k - 1 for k in optional],
        [max(r for r in required if r < k) - 1 for k in optional],
        [min(r for r in required if r > k) - 1 for k in optional],
        low,
        high,
    )
    return Automaton(
        MODES[rules.mode],
        ALWAYS if window is None else window,
        rules.entry == "first",
        rules.same_instant == "does_not_count",
        (1 << len(rules.steps)) - 1,
        *(np.array(numbers, np.int64) for numbers in lists),
    )
