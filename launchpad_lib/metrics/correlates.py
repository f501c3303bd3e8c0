"""What goes with going on to the next step of a funnel, or with stopping: values at a step, events after it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from launchpad_lib.contract.arguments import whole_number
from launchpad_lib.contract.durations import utc_instant, window_us
from launchpad_lib.metrics.asked import Asked, answers
from launchpad_lib.metrics.chains import ChainFold, units_of
from launchpad_lib.metrics.checks import name_list, never_empty, refused_table, unknown_names, with_columns
from launchpad_lib.metrics.kernels.reading import micros_of
from launchpad_lib.metrics.reported_chains import FoundRows
from launchpad_lib.metrics.steps import Entry, Exclusion, Mode, Rules, Step, checked_log, checked_rules
from launchpad_lib.metrics.windows import property_value

AT_A_STEP = ("feature_id", "platform", "country", "app_version")
MOST_NAMES = 10_000  # of events, times steps: what is kept of each takes seven kilobytes
KINDS = {
    "step": dt.int64, "step_name": dt.string, "next_step_name": dt.string, "kind": dt.string, "property": dt.string,
    "value": dt.string, "users": dt.int64, "users_on": dt.int64, "all_users": dt.int64, "all_users_on": dt.int64,
    "on_in": "array<int64>", "at_risk": "array<int64>", "all_on_in": "array<int64>", "all_at_risk": "array<int64>",
}  # fmt: skip
NOBODY = (
    "no mature unit reached a step and at least {} of them a value or an event after it, so nothing can be compared"
)


def funnel_correlates(
    events: ir.Table,
    *,
    steps: Sequence[Step | str],
    window: str | None,
    observed_through: datetime,
    mode: Mode = "ordered",
    entry: Entry = "any",
    by: str = "user_id",
    exclusions: Sequence[Exclusion | str] = (),
    hold_constant: str | None = None,
    properties: Sequence[str] | None = None,
    at_least: int = 30,
) -> ir.Table:
    """Counts of what may go with going on from a step to the next required one. Grain: one row per step but the last,
    and value that a property has at the step, or event that units did after it and before they went on.

    Units are mature and have no excluded event between. A value is that of the very event that was the step; NULL is a
    value of its own. An event counts from the first time that a unit does it; steps and exclusions are none. Units that
    go on soon have had less time to do anything than those that stop, so of events it is told, for each stretch of the
    time since the step (edges: `kernels.between_steps.EDGES_MS`), who had done it when the stretch began: they are to
    be compared at equal times, as `inference.compare_correlates` does. What goes with going on is not its cause.

    Args:
        properties: whose values are counted; None for feature, platform, country and version, as far as the log has
            them.
        at_least: values and events of fewer units are left out.

    Returns:
        step, step_name, next_step_name, kind ("value" or "event"), property (of a value), value (it, or the event's
        name), users (units with it), users_on (of them went on), all_users, all_users_on (all at the step); and of
        events, per stretch: at_risk (units still on their way when it began that had done the event), on_in (of them
        went on in it), all_at_risk, all_on_in (all units). refused_because (NULL where the row stands).

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", "visit", 9), ("a", "help", 10), ("a", "buy", 11), ("b", "visit", 9)]
    >>> events = ibis.memtable(
    ...     [{"user_id": u, "event_name": n, "event_at": datetime(2026, 1, 1, h), "platform": "web"} for u, n, h in log]
    ... )
    >>> found = funnel_correlates(
    ...     events, steps=["visit", "buy"], window="3h", observed_through=datetime(2026, 1, 2), at_least=1
    ... ).order_by("kind")
    >>> found.select("value", "users", "users_on", "all_users", "all_users_on").to_pandas().values.tolist()
    [['help', 1, 1, 2, 1], ['web', 2, 1, 2, 1]]
    """
    at_least = whole_number(at_least, argument="at_least")
    rules = checked_rules(
        steps=steps, window=window, mode=mode, entry=entry, by=by, exclusions=exclusions, hold_constant=hold_constant
    )
    through = utc_instant(observed_through)
    log, unknown = checked_log(events, rules)
    asked = [str(name) for name in name_list(properties or (), argument="properties")]
    unknown = unknown or unknown_names(log, properties=asked)
    log, unit = units_of(log if unknown is None else with_columns(log, asked), by)
    fold = ChainFold(log, rules, observed_through=through)
    wanted = asked if properties is not None else at_a_step(log)
    parts = [asked_values(fold, unknown, properties=wanted, at_least=at_least)]
    parts.append(asked_events_between(fold, unknown, at_least=at_least))
    found = answers(log, parts, unit=unit)
    return found[0] if unknown else never_empty(found[0].union(found[1]), NOBODY.format(at_least))


def at_a_step(log: ir.Table) -> list[str]:
    """The columns whose values are counted where nobody says which."""
    return [name for name in AT_A_STEP if name in log.columns]


def asked_values(fold: ChainFold, unknown: str | None, *, properties: Sequence[str], at_least: int = 30) -> Asked:
    """The rows of values of `funnel_correlates`, to be read with other questions by `answers`."""
    values = _Values(fold.rules, properties)
    if unknown is None:
        held = {values.key(k): property_value(fold.events, name) for k, name in enumerate(properties)}
        fold.each_with_rows(values.add, held)

    def answer() -> ir.Table:
        found = _table(values.rows(at_least), fold.rules)
        return found if unknown is None else refused_table(found, unknown)

    return Asked([fold] if unknown is None else [], answer)


def asked_events_between(fold: ChainFold, unknown: str | None, *, at_least: int = 30) -> Asked:
    """The rows of events of `funnel_correlates`, to be read with other questions by `answers`.

    None are told of the strict modes, where any other event ends the chain by the rules.
    """
    between = _Between(fold)
    is_asked = unknown is None and fold.rules.mode not in ("strict", "strict_order")
    if is_asked:
        fold.reads_all = True
        fold.each_with_rows(between.add, {})

    def answer() -> ir.Table:
        found, reason = _table(between.rows(at_least), fold.rules), unknown or between.too_many
        return found if reason is None else refused_table(found, reason)

    return Asked([fold] if is_asked else [], answer)


def _table(rows: list[dict[str, Any]], rules: Rules) -> ir.Table:
    label = {k: rules.steps[k - 1].label for k in rules.required}
    following = dict(pairwise(rules.required))
    for row in rows:
        row |= {"step_name": label[row["step"]], "next_step_name": label[following[row["step"]]]}
    schema = ibis.schema({**KINDS, "refused_because": dt.string})
    rows.sort(
        key=lambda row: (row["step"], row["kind"], row.get("property") or "", row["value"] or "", row["value"] is None)
    )
    arrays = {field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in schema.to_pyarrow()}
    return ibis.memtable(pa.table(arrays), schema=schema)


class _Values:
    """Units at each required step but the last, and those of them that went on, by value of each property there."""

    def __init__(self, rules: Rules, properties: Sequence[str]) -> None:
        self.required, self.properties = rules.required, properties
        self._counts: dict[tuple[int, int], np.ndarray] = {}
        self._texts: dict[int, list[str]] = {}

    def key(self, place: int) -> str:
        """The name of a property's column in the fold: whatever the property is called, it meets no other."""
        return f"value of {self.properties[place]}"

    def add(self, part: FoundRows) -> None:
        """Adds the units of a part."""
        counted = part.chains.is_counted
        for place in range(len(self.properties)):
            codes, self._texts[place] = part.columns[self.key(place)], part.texts[self.key(place)]
            for step, following in pairwise(self.required):
                rows = part.rows[counted & (part.rows[:, step - 1] >= 0)]
                value = codes[rows[:, step - 1]] + 1
                told = [np.bincount(value[on], minlength=1) for on in (slice(None), rows[:, following - 1] >= 0)]
                self._counts[step, place] = _added(self._counts.get((step, place)), told)

    def rows(self, at_least: int) -> list[dict[str, Any]]:
        """A row per step, property and value of at least so many units."""
        rows = []
        for (step, place), (units, went_on) in self._counts.items():
            known = {"step": step, "kind": "value", "property": self.properties[place]}
            known |= {"all_users": int(units.sum()), "all_users_on": int(went_on.sum())}
            for code in np.flatnonzero(units >= at_least):
                value = self._texts[place][code - 1] if code else None
                rows.append({**known, "value": value, "users": int(units[code]), "users_on": int(went_on[code])})
        return rows


def _added(counts: np.ndarray | None, more: Sequence[np.ndarray]) -> np.ndarray:
    """Counts by code, as wide as the larger of both."""
    width = max(len(m) for m in more) if counts is None else max(counts.shape[1], *(len(m) for m in more))
    total = np.zeros((len(more), width), np.int64)
    for line, own in enumerate(more):
        total[line, : len(own)] += own
    if counts is not None:
        total[:, : counts.shape[1]] += counts
    return total


class _Between:
    """Units by the events that they did after a required step and before they went on, in stretches of time."""

    def __init__(self, fold: ChainFold) -> None:
        from launchpad_lib.metrics.kernels.step_rows import BLOCKS, REMOVES

        self._required = [k - 1 for k in fold.rules.required]
        self._passed = sum(1 << k for k in self._required) | REMOVES | BLOCKS
        self._window, self._through = window_us(fold.rules.window), micros_of(fold.observed_through)
        self._names: list[str] = []
        self._state: dict[str, np.ndarray] = {}

    def add(self, part: FoundRows) -> None:
        """Adds the units of a part."""
        from launchpad_lib.metrics.kernels import between_steps as kernel

        self._names = part.chains.event_names
        if self.too_many is not None:
            return
        self._grow(len(self._names))
        seen = np.zeros(len(self._names), np.int64)
        rows = np.ascontiguousarray(part.rows[:, self._required])
        window = 2**62 if self._window is None else self._window
        kernel.count_between(
            part.starts, part.at, part.codes, part.match, self._passed, part.unit, rows, part.chains.is_counted,
            window, self._through, kernel.EDGES_MS, seen, *self._state.values(),
        )  # fmt: skip

    @property
    def too_many(self) -> str | None:
        """Why no events are told; None where they are."""
        names, stays = len(self._names), len(self._required) - 1
        if names * stays <= MOST_NAMES:
            return None
        return (
            f"events: {names:,} names of events are too many to compare after {stays} steps; at most "
            f"{MOST_NAMES // stays:,}, filter the log"
        )

    def _grow(self, names: int) -> None:
        """Room for so many names, and behind them for all units."""
        from launchpad_lib.metrics.kernels.between_steps import STRETCHES

        stays = len(self._required) - 1
        shapes: dict[str, tuple[int, ...]] = {
            "units": (),
            "went_on": (),
            "entered": (STRETCHES,),
            "on_in": (STRETCHES,),
        }
        for name, more in shapes.items():
            before, now = self._state.get(name), np.zeros((stays, names + 1, *more), np.int32)
            if before is not None:
                now[:, : before.shape[1] - 1], now[:, -1] = before[:, :-1], before[:, -1]
            self._state[name] = now

    def rows(self, at_least: int) -> list[dict[str, Any]]:
        """A row per step and event that at least so many units did after it."""
        if not self._state:
            return []
        units, went_on, entered, on_in = self._state.values()
        rows = []
        for stay, step in enumerate(self._required[:-1]):
            known = {"step": step + 1, "kind": "event", "all_users": int(units[stay, -1])}
            known |= {"all_users_on": int(went_on[stay, -1]), "all_on_in": on_in[stay, -1].tolist()}
            known |= {"all_at_risk": np.cumsum(entered[stay, -1]).tolist()}
            for name in np.flatnonzero(units[stay, :-1] >= at_least):
                own = {"value": self._names[name], "users": int(units[stay, name])}
                own |= {"users_on": int(went_on[stay, name]), "on_in": on_in[stay, name].tolist()}
                rows.append({**known, **own, "at_risk": np.cumsum(entered[stay, name]).tolist()})
        return rows
