"""What is asked of every row of a log about exposures and outcomes, computed by the engine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np

from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.contract.tables import EXPOSURE_EVENT
from launchpad_lib.metrics.kernels.session_facts import sessions_of
from launchpad_lib.metrics.kernels.unit_rows import UnitRows
from launchpad_lib.metrics.windows import is_one_of, property_value

ALL = "all"
UNIT = "unit of the experiment"


class Outcome(NamedTuple):
    """What is counted of each unit: an event, from `begins` to `ends` after the first exposure, both included.

    `event_name`: EXPOSURE_EVENT stands for the exposure itself, None for any other event. `value`: the property whose
    numbers are summed besides (true is 1); what is no finite number counts 0. `keeps_values`: the values themselves are
    wanted too. `parts`: edges of equal lengths since exposure (the last may be shorter); what falls between two of
    them, the later one left out, is counted apart besides.
    """

    event_name: str | None
    ends: timedelta
    begins: timedelta = timedelta(0)
    value: str | None = None
    keeps_values: bool = False
    parts: tuple[timedelta, ...] = ()


def exposure_columns(
    events: ir.Table,
    experiment_id: str | None,
    outcomes: Sequence[Outcome],
    labels: Sequence[str],
    instead: tuple[str, datetime] | None,
) -> tuple[dict[str, ir.Value], ir.BooleanValue]:
    """What the kernel needs of each row, and which rows it needs."""
    if instead is None:
        # In a case, so that the engine parses the properties of exposures only.
        is_told = events.event_name == EXPOSURE_EVENT
        of_experiment = ibis.ifelse(is_told, property_value(events, "experiment_id"), ibis.null(dt.string))
        is_exposure = (of_experiment == ibis.literal(experiment_id, dt.string)).fill_null(False)
        name_of_variant = property_value(events, "variant")
    else:
        is_late = events.event_at >= ibis.literal(utc_instant(instead[1]), dt.timestamp)
        is_exposure = (is_one_of(events.event_name, [instead[0]]) & is_late).fill_null(False)
        name_of_variant = ibis.literal(ALL)
    variant = ibis.ifelse(is_exposure, name_of_variant, ibis.null(dt.string))
    columns: dict[str, ir.Value] = {
        "at": events.event_at,
        "event": events.event_name,
        "is_exposure": is_exposure,
        "variant": variant,
    }
    for place, name in enumerate(summed(outcomes)):
        of_events = {o.event_name for o in outcomes if o.value == name}
        named = is_one_of(events.event_name, [n for n in of_events if n not in (None, EXPOSURE_EVENT)])
        is_wanted = (named.fill_null(False) | is_exposure) if None not in of_events else ibis.literal(True)
        columns[f"value_{place}"] = ibis.ifelse(is_wanted, _number(property_value(events, name)), 0.0)
    for place, name in enumerate(labels):
        text = ibis.ifelse(is_exposure, property_value(events, name), ibis.null(dt.string))
        columns[f"label_{place}"] = text
    where = events.event_at.notnull()
    if not any(o.event_name is None for o in outcomes):
        # By names only, so that the engine need not parse what it leaves out.
        names = {o.event_name for o in outcomes} | {EXPOSURE_EVENT if instead is None else instead[0]}
        where &= is_one_of(events.event_name, sorted(str(n) for n in names))
    return columns, where


def masks_of(outcomes: Sequence[Outcome], names: Sequence[str], event: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Of each row a bit for every outcome that it is one of.

    Args:
        names: the texts of the codes `event`; -1 is a row without a name.
        shown: whether a row is an exposure to this experiment, which is no other event but one that is asked for.

    >>> day = timedelta(days=1)
    >>> asked = [Outcome("buy", day), Outcome(None, day), Outcome(EXPOSURE_EVENT, day)]
    >>> masks_of(asked, ["look", "buy", EXPOSURE_EVENT], np.array([0, 1, 2, 2, -1]), np.array([0, 0, 1, 0, 0])).tolist()
    [2, 3, 4, 2, 2]
    """
    anything = sum(1 << k for k, o in enumerate(outcomes) if o.event_name is None)
    of_exposure = sum(1 << k for k, o in enumerate(outcomes) if o.event_name == EXPOSURE_EVENT)
    own = np.zeros(len(names) + 1, np.int64)
    for k, outcome in enumerate(outcomes):
        if outcome.event_name in names and outcome.event_name != EXPOSURE_EVENT:
            own[list(names).index(outcome.event_name)] |= 1 << k
    of_others = np.where(own > 0, own | anything, anything)
    of_exposures = np.where(own > 0, own | anything, of_exposure)
    found = of_others[event]
    is_exposure = np.flatnonzero(shown)
    found[is_exposure] = of_exposures[event[is_exposure]]
    return found


def _number(text: ir.StringValue) -> ir.FloatingValue:
    """The number that a text is; true is 1; what is none, or not finite, is 0."""
    number = text.try_cast(dt.float64)
    known = ibis.ifelse(number.abs() < 1e300, number, ibis.null(dt.float64))  # NaN is not less
    return ibis.coalesce(known, ibis.ifelse(text == "true", 1.0, 0.0), 0.0)


def summed(outcomes: Sequence[Outcome]) -> list[str]:
    """The properties that are summed, each once."""
    return list(dict.fromkeys(o.value for o in outcomes if o.value is not None))


def no_rows(columns: dict[str, ir.Value]) -> UnitRows:
    """A part without rows."""
    kinds: dict[str, type] = {"at": np.int64, "is_exposure": np.uint8}
    of = {n: kinds.get(n, np.float64 if n.startswith("value_") else np.int32) for n in columns}
    texts: dict[str, list[str]] = {n: [] for n in columns if n in ("event", "variant") or n.startswith("label_")}
    return UnitRows(np.zeros(1, np.int64), {n: np.empty(0, kind) for n, kind in of.items()}, texts)


def of_units(events: ir.Table, unit: str | None) -> tuple[ir.Table, str]:
    """The log with a column whose values are the units, and that column's name: the user's, the session's (one of two
    users is two), else the text of a column or property.
    """
    if unit is None or unit == "user_id":
        return events, "user_id"
    if unit == "session_key":
        return sessions_of(events)
    return events.mutate(**{UNIT: property_value(events, unit)}), UNIT


def users_without_unit(events: ir.Table, *, experiment_id: str, unit: str) -> int:
    """Users who were exposed to an experiment in rows that name no unit: nobody can say what they did."""
    known, by = of_units(events, unit)
    seen = known.filter(known.event_name == EXPOSURE_EVENT)
    lost = seen.filter(seen[by].isnull() & (property_value(seen, "experiment_id") == experiment_id))
    return int(lost.user_id.nunique().execute())
