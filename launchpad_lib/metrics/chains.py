"""For every unit the chain of steps that is reported: several funnels, spans and periods from one reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np

from launchpad_lib.contract.durations import check_timezone, window_us
from launchpad_lib.metrics.checks import READ
from launchpad_lib.metrics.kernels.reading import micros_of
from launchpad_lib.metrics.reported_chains import NEVER, NO_ROW, Chains, FoundRows
from launchpad_lib.metrics.steps import Exclusion, Rules, Step, matches
from launchpad_lib.metrics.windows import (
    Period,
    Weekday,
    is_one_of,
    is_storable,
    property_value,
    unit_column,
)

if TYPE_CHECKING:
    from launchpad_lib.metrics.kernels.chains import Automaton, Found
    from launchpad_lib.metrics.kernels.local_days import Calendar
    from launchpad_lib.metrics.kernels.one_reading import Part

ALWAYS = np.iinfo(np.int64).max


class Entries(NamedTuple):
    """Local periods, each of which has the chains of its own entries."""

    period: Period
    report_timezone: str
    week_starts_on: Weekday


class ChainFold:
    """The reported chains of one funnel, handed part by part to those who count them; a fold of `one_reading`.

    The order of a unit's events is (event_at, rank, received_at, event_id): rank is the first step the event matches,
    so that at one instant the order of the steps wins; events that match no step come before the steps of their instant
    (both as in ClickHouse's `windowFunnel`).

    Args:
        events: the log.
        spans: the entries that count, None for all; every span has the chains of its own entries.
        entries: or local periods, each of which has the chains of its own entries.
    """

    def __init__(
        self,
        events: ir.Table,
        rules: Rules,
        *,
        observed_through: datetime,
        spans: Sequence[tuple[datetime, datetime] | None] = (None,),
        entries: Entries | None = None,
    ) -> None:
        self.rules, self.spans, self.observed_through = rules, spans, observed_through
        self.needs_next = self.reads_all = False
        self.events = events
        self._takers: list[Callable[[Chains], None]] = []
        self._row_takers: list[tuple[Callable[[FoundRows], None], tuple[str, ...]]] = []
        self._units = 0
        self.columns: dict[str, ir.Value] = {"event": events.event_name}
        for name, key in (("held", rules.hold_constant), ("segment", rules.breakdown)):
            if key:
                self.columns[name] = property_value(events, key)
        self._entries: tuple[str, Calendar] | None = None
        if entries:
            from launchpad_lib.metrics.kernels.local_days import calendar_of

            check_timezone(entries.report_timezone)
            self._entries = entries.report_timezone, calendar_of(entries.period, entries.week_starts_on)

    def each(self, take: Callable[[Chains], None]) -> None:
        """Hands the chains of every part to one more who counts."""
        self._takers.append(take)

    def each_with_rows(self, take: Callable[[FoundRows], None], columns: Mapping[str, ir.Value]) -> None:
        """Hands every part's rows, too, with further texts of a row; a name given before must mean the same."""
        self.columns |= columns
        self._row_takers.append((take, tuple(columns)))

    @property
    def flags(self) -> dict[str, ir.BooleanValue | None]:
        """What only the properties can tell: the bits of steps and exclusions that have filters."""
        said: dict[int, list[Step | Exclusion]] = {}
        for bit, one in _bits_of(self.rules):
            if one.filters:
                said.setdefault(bit, []).append(one)
        found: dict[str, ir.BooleanValue | None] = {
            str(bit): ibis.or_(*(matches(self.events, one.event_name, one.filters) for one in ones))
            for bit, ones in said.items()
        }
        names = {one.event_name for _, one in _bits_of(self.rules)}
        return found | {READ: None if self.is_whole else is_one_of(self.events.event_name, sorted(names))}

    @property
    def is_whole(self) -> bool:
        """Whether every row of a unit is looked at, not only steps and exclusions."""
        return self.needs_next or self.reads_all or self.rules.mode in ("strict", "strict_order")

    def fold(self, part: Part) -> None:
        """Finds the chains of a part's units."""
        from launchpad_lib.metrics.kernels import step_rows
        from launchpad_lib.metrics.kernels.chains import find_chains
        from launchpad_lib.metrics.kernels.local_days import clock_of

        rules = self.rules
        held, segment = (_codes(part.columns.get(n, _NO_CODES)) for n in ("held", "segment"))
        codes, at, starts = _codes(part.columns["event"]), _numbers(part.at), _numbers(part.starts)
        bits = np.zeros(len(at) if part.flags else 0, np.int64)
        for name, (flags, flag) in part.flags.items():
            step_rows.add_bits(_codes(flags), flag, int(name), bits)
        event_names = part.texts["event"]
        automaton = _automaton(rules, self.spans)
        match = np.empty(len(at), np.int64)
        more = {n: part.columns[n] for _, names in self._row_takers for n in names}
        disordered = step_rows.match_rows(
            starts, at, codes, _table(rules, event_names), bits, held, automaton.steps, match
        )
        if disordered:
            places, rows = step_rows.step_order(starts, at, match, automaton.steps, disordered)
            match[places] = match[rows]
            codes, held, segment = (_moved(c, places, rows) for c in (codes, held, segment))
            more = {name: _moved(column, places, rows) for name, column in more.items()}
        period = _NO_NUMBERS
        if self._entries:
            zone, calendar = self._entries
            clock = clock_of(zone, *part.ends)
            entries = automaton.steps if rules.mode == "any_order" else 1
            period = step_rows.entry_periods(at, match, entries, clock.edges, clock.offsets, *calendar)
        found = find_chains(
            starts,
            at,
            match,
            automaton,
            width=len(rules.steps),
            held=held,
            values=len(part.texts.get("held", ())),
            period=period,
        )
        reached = found.rows >= 0
        window = window_us(rules.window)
        first_entry_at = at[found.entry]
        next_event, next_at = _next(starts, found, at, codes, rules) if self.needs_next else (_NO_NUMBERS, _NO_NUMBERS)
        chains = Chains(
            found.unit + self._units,
            found.group,
            first_entry_at,
            np.where(reached, at[found.rows], NEVER),
            found.removed,
            np.full(len(first_entry_at), True)
            if window is None
            else first_entry_at <= micros_of(self.observed_through) - window,
            np.where(reached, segment[found.rows], -1) if rules.breakdown else None,
            part.texts["segment"] if rules.breakdown else [],
            next_event,
            next_at,
            event_names,
        )
        self._units += len(starts) - 1
        for take in self._takers:
            take(chains)
        for take_rows, names in self._row_takers:
            of_part = FoundRows(
                chains, found.unit, found.rows, starts, at, codes, match, {n: more[n] for n in names}, part.texts
            )
            take_rows(of_part)


_NO_CODES, _NO_NUMBERS = np.empty(0, np.int32), np.empty(0, np.int64)


def _codes(column: np.ndarray) -> np.ndarray:
    """Codes as a kernel is compiled for them: 32 bits, one after the other, not read-only."""
    return np.require(column, np.int32, ["C", "W"])


def _numbers(column: np.ndarray) -> np.ndarray:
    """Instants and places, likewise, of 64 bits."""
    return np.require(column, np.int64, ["C", "W"])


def units_of(events: ir.Table, by: str) -> tuple[ir.Table, str]:
    """The log with a column of the units counted, and its name; an instant is always an instant.

    A client's session id is unique within its user only.
    """
    if events.event_at.type().is_date():
        events = events.mutate(event_at=events.event_at.cast(dt.timestamp))
    unit = unit_column(events, by)
    if by != "session_id":
        return events, by
    name = "unit"
    while name in events.columns:
        name += "_"
    return events.mutate(**{name: unit}), name


def _bits_of(rules: Rules) -> list[tuple[int, Step | Exclusion]]:
    from launchpad_lib.metrics.kernels.step_rows import BLOCKS, REMOVES

    effects = {"remove_user": REMOVES, "block_progress": BLOCKS}
    steps: list[tuple[int, Step | Exclusion]] = [(1 << k, step) for k, step in enumerate(rules.steps)]
    return [*steps, *((effects[e.effect], e) for e in rules.exclusions)]


def _moved(column: np.ndarray, places: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """A copy with the rows of equal instants in the order of the steps; other questions have another order."""
    if not len(column):
        return column
    moved = column.copy()
    moved[places] = column[rows]
    return moved


def _next(
    starts: np.ndarray, found: Found, at: np.ndarray, codes: np.ndarray, rules: Rules
) -> tuple[np.ndarray, np.ndarray]:
    required = [k - 1 for k in rules.required]
    following = found.rows[:, required].max(axis=1, initial=-1) + 1
    is_there = following < starts[found.unit + 1]
    row = np.where(is_there, following, 0)
    return np.where(is_there, codes[row], NO_ROW), np.where(is_there, at[row], NEVER)


def _table(rules: Rules, names: list[str]) -> np.ndarray:
    """What an event is by its name alone; the last element is for events without one."""
    table = np.zeros(len(names) + 1, np.int64)
    code = {name: k for k, name in enumerate(names)}
    for bit, one in _bits_of(rules):
        if not one.filters and is_storable(one.event_name) and one.event_name in code:
            table[code[one.event_name]] |= bit
    return table


def _automaton(rules: Rules, spans: Sequence[tuple[datetime, datetime] | None]) -> Automaton:
    from launchpad_lib.metrics.kernels.chain_modes import MODES
    from launchpad_lib.metrics.kernels.chains import Automaton
    from launchpad_lib.metrics.kernels.step_rows import MOST_STEPS

    if len(rules.steps) > MOST_STEPS:
        raise ValueError(f"steps: {len(rules.steps)} given; a funnel takes at most {MOST_STEPS}, leave some out")
    window = window_us(rules.window)
    required = rules.required
    optional = [k for k in range(1, len(rules.steps) + 1) if k not in required]
    low, high = zip(
        *((NEVER, ALWAYS) if span is None else (micros_of(span[0]), micros_of(span[1])) for span in spans),
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
