"""Funnel steps and exclusions, the options that contradict each other, and the log of events they match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

import ibis.expr.types as ir

from launchpad_lib.contract.arguments import shown
from launchpad_lib.contract.durations import parse_window, utc_instant
from launchpad_lib.contract.names import nearest, quoted
from launchpad_lib.metrics.checks import known_table, name_list, unknown_names, with_columns
from launchpad_lib.metrics.windows import is_one_of, property_value, unit_column

Mode = Literal["ordered", "strict", "any_order", "strict_order"]
Entry = Literal["any", "first"]
Attribution = Literal["first_touch", "last_touch"] | int
Value = str | int | float | bool


class Step(NamedTuple):
    """A funnel step: an event name, and property filters as (property, value) pairs or (property, (value, value, ...)).

    An optional step is counted where a unit did it between the required steps around it, and is never asked for.
    """

    event_name: str
    filters: tuple[tuple[str, Value | tuple[Value, ...]], ...] = ()
    is_optional: bool = False

    @property
    def label(self) -> str:
        """The event with its filters: steps of one event are told apart by them.

        >>> Step("cart", (("plan", ("pro", "team")), ("trial", False))).label
        'cart (plan: pro or team, trial: false)'
        """
        return _label(self.event_name, self.filters)


class Exclusion(NamedTuple):
    """An event that must not occur between entry and the last reached step.

    `remove_user` takes the unit out of every count (Mixpanel and PostHog); `block_progress` ends the chain there, so
    the unit counts up to the step before and may enter again.
    """

    event_name: str
    filters: tuple[tuple[str, Value | tuple[Value, ...]], ...] = ()
    effect: Literal["remove_user", "block_progress"] = "remove_user"

    @property
    def label(self) -> str:
        """The event with its filters, as of a step."""
        return _label(self.event_name, self.filters)


def _label(event_name: str, filters: tuple[tuple[str, Value | tuple[Value, ...]], ...]) -> str:
    def text(value: Value) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)

    said = [
        f"{name}: {' or '.join(text(v) for v in (value if isinstance(value, tuple) else (value,)))}"
        for name, value in filters
    ]
    return f"{event_name} ({', '.join(said)})" if said else event_name


def as_step(said: Step | str | Mapping[str, Any]) -> Step:
    """A step as a params file says it: an event name, or {event, where: {property: value or [values]}, optional}.

    >>> as_step({"event": "cart", "where": {"plan": ["pro", "team"]}, "optional": True})
    Step(event_name='cart', filters=(('plan', ('pro', 'team')),), is_optional=True)
    """
    if isinstance(said, Mapping):
        _known_keys(said, "event", "where", "optional")
        return Step(said["event"], _filters(said), bool(said.get("optional", False)))
    return said if isinstance(said, Step) else Step(said)


def as_exclusion(said: Exclusion | str | Mapping[str, Any]) -> Exclusion:
    """An exclusion as a params file says it: an event name, or {event, where, effect}.

    >>> as_exclusion({"event": "refund", "effect": "block_progress"})
    Exclusion(event_name='refund', filters=(), effect='block_progress')
    """
    if isinstance(said, Mapping):
        _known_keys(said, "event", "where", "effect")
        return Exclusion(said["event"], _filters(said), said.get("effect", "remove_user"))
    return said if isinstance(said, Exclusion) else Exclusion(said)


def _known_keys(said: Mapping[str, Any], *keys: str) -> None:
    """Raises where a mapping lacks its event, or says something that nobody would read."""
    strange = next((key for key in said if key not in keys), None)
    if strange is not None:
        raise ValueError(f"{shown(dict(said))}: {quoted(strange)} is not taken; {nearest(str(strange), keys)}")
    if "event" not in said:
        raise ValueError(f"{shown(dict(said))}: names no event; add `event`")


def _filters(said: Mapping[str, Any]) -> tuple[tuple[str, Value | tuple[Value, ...]], ...]:
    where = said.get("where") or {}
    return tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in where.items())


class Rules(NamedTuple):
    """Everything that decides a funnel, checked by `checked_rules`."""

    steps: tuple[Step, ...]
    exclusions: tuple[Exclusion, ...]
    window: str | None
    mode: Mode
    entry: Entry
    by: str
    hold_constant: str | None
    breakdown: str | None
    attribution: Attribution
    same_instant: Literal["counts", "does_not_count"]
    entered: tuple[datetime, datetime] | None

    @property
    def required(self) -> list[int]:
        """Numbers (from 1) of the steps that a unit must do."""
        return [k for k, step in enumerate(self.steps, start=1) if not step.is_optional]


def checked_rules(
    *,
    steps: Sequence[Step | str | Mapping[str, Any]],
    window: str | None,
    mode: Mode = "ordered",
    entry: Entry = "any",
    by: str = "user_id",
    exclusions: Sequence[Exclusion | str | Mapping[str, Any]] = (),
    hold_constant: str | None = None,
    breakdown: str | None = None,
    attribution: Attribution = "first_touch",
    same_instant: Literal["counts", "does_not_count"] = "counts",
    entered: tuple[datetime, datetime] | None = None,
) -> Rules:
    """The rules of a funnel, or one sentence on what contradicts what.

    Raises:
        ValueError: argument, value, rule, remedy.
    """
    wanted = tuple(as_step(s) for s in name_list(steps, argument="steps"))
    barred = tuple(as_exclusion(e) for e in name_list(exclusions, argument="exclusions"))
    for kind, names in (("steps", wanted), ("exclusions", barred)):
        for named in names:
            if not isinstance(named.event_name, str):
                raise ValueError(
                    f"{kind}: {named.event_name!r} is no event name; write text, or Step(...) with filters"
                )
    if sum(not s.is_optional for s in wanted) < 2:
        raise ValueError(
            f"steps={shown(list(steps))}: a funnel needs at least two steps that are not optional; name another event"
        )
    if window is not None:
        parse_window(window)
    for name, value, allowed in (
        ("mode", mode, ("ordered", "strict", "any_order", "strict_order")),
        ("entry", entry, ("any", "first")),
        ("same_instant", same_instant, ("counts", "does_not_count")),
    ):
        if value not in allowed:
            raise ValueError(f"{name}={shown(value)}: must be one of {', '.join(map(repr, allowed))}; choose one")
    if wanted[0].is_optional or wanted[-1].is_optional:
        raise ValueError(
            f"steps={shown([s.event_name for s in wanted])}: the first and the last step cannot be optional; make "
            "them required or leave them out"
        )
    if mode != "ordered":
        if any(s.is_optional for s in wanted):
            raise ValueError(
                f"mode={shown(mode)}: optional steps need an order with room between steps; use mode='ordered' or "
                "drop the optional steps"
            )
        if barred:
            why = (
                "has no last step to exclude events before"
                if mode == "any_order"
                else "already excludes every other event"
            )
            raise ValueError(
                f"mode={shown(mode)}: {why}, so exclusions say nothing; use mode='ordered' or drop the exclusions"
            )
    if mode == "strict_order" and hold_constant:
        raise ValueError(
            "mode='strict_order': is ClickHouse's rule, which holds no property constant; use mode='strict' or "
            "'ordered'"
        )
    if mode == "any_order":
        if len({(s.event_name, s.filters) for s in wanted}) < len(wanted):
            raise ValueError(
                "mode='any_order': a step is named twice, which has no meaning without an order; name it once "
                "or use mode='ordered'"
            )
        if same_instant != "counts":
            raise ValueError(
                "same_instant='does_not_count': says nothing where any order counts; use mode='ordered' or "
                "same_instant='counts'"
            )
        if breakdown and attribution != "first_touch":
            raise ValueError(
                f"attribution={shown(attribution)}: steps without an order have no last or k-th one; use "
                "attribution='first_touch'"
            )
    for e in barred:
        if e.effect not in ("remove_user", "block_progress"):
            raise ValueError(
                f"exclusions={e.event_name!r}: effect={e.effect!r} must be 'remove_user' or 'block_progress'; "
                "choose one"
            )
        if any(s.event_name == e.event_name and s.filters == e.filters for s in wanted):
            raise ValueError(
                f"exclusions={e.event_name!r}: is a step too, so nobody could pass it; take it out of one of the two"
            )
    if isinstance(attribution, bool) or not (
        attribution in ("first_touch", "last_touch")
        or (isinstance(attribution, int) and 1 <= attribution <= len(wanted))
    ):
        raise ValueError(
            f"attribution={shown(attribution)}: must be 'first_touch', 'last_touch' or a step number from 1 to "
            f"{len(wanted)}; choose one"
        )
    if entered is not None:
        if not isinstance(entered, tuple | list) or len(entered) != 2:
            raise ValueError(f"entered={shown(entered)}: must be the two instants of a period; write (start, end)")
        start, end = (utc_instant(instant, argument="entered") for instant in entered)
        entered = (start, end)
        if not entered[0] < entered[1]:
            raise ValueError(f"entered={shown(entered)}: the start must come before the end; swap them")
    # An empty name of a property is no property, as in a params file; a filter can ask for the key "".
    held, split = hold_constant or None, breakdown or None
    return Rules(wanted, barred, window, mode, entry, by, held, split, attribution, same_instant, entered)


def unknown_in(events: ir.Table, rules: Rules) -> str | None:
    """One sentence on a name of the rules that the log does not know, else None."""
    return unknown_names(
        events,
        event_names=[*(s.event_name for s in rules.steps), *(e.event_name for e in rules.exclusions)],
        properties=properties_of(rules),
    )


def properties_of(rules: Rules) -> list[str]:
    """The properties that the rules name."""
    named: list[Step | Exclusion] = [*rules.steps, *rules.exclusions]
    filtered = [name for one in named for name, _ in one.filters]
    return [*filtered, *(p for p in (rules.hold_constant, rules.breakdown) if p)]


def checked_log(events: object, rules: Rules) -> tuple[ir.Table, str | None]:
    """The table with every column that the rules name, and why it cannot answer them (else None).

    Raises:
        ValueError: no table, or without the columns that every funnel needs.
    """
    table = known_table(events, needs=("event_name", "event_at"))
    unit_column(table, rules.by)
    sentence = unknown_in(table, rules)
    return (table if sentence is None else with_columns(table, properties_of(rules))), sentence


def matches(events: ir.Table, event_name: str, filters: tuple) -> ir.BooleanValue:
    """Whether an event is the named one and passes every filter; an absent property passes none."""
    hit = is_one_of(events.event_name, [event_name])
    for name, value in filters:
        wanted = value if isinstance(value, tuple | list | set | frozenset) else (value,)
        hit = hit & is_one_of(property_value(events, name), wanted)
    return hit.fill_null(False)


def asked_of(events: object, steps: Sequence, properties: Sequence[str | None]) -> tuple[ir.Table, str | None]:
    """The table with every column that is named, and why it cannot answer (else None)."""
    table = known_table(events, needs=("user_id", "event_name", "event_at") if any(steps) else ("user_id", "event_at"))
    wanted = [s if isinstance(s, Step) else Step(s) for s in steps if s is not None]
    names = [*properties, *(name for step in wanted for name, _ in step.filters)]
    unknown = unknown_names(table, event_names=[s.event_name for s in wanted], properties=names)
    return (table if unknown is None else with_columns(table, names)), unknown


def is_step(events: ir.Table, wanted: str | Step | None) -> ir.BooleanValue:
    if wanted is None:
        return events.user_id.notnull()
    step = wanted if isinstance(wanted, Step) else Step(wanted)
    return matches(events, step.event_name, step.filters) & events.user_id.notnull()
