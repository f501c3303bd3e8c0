"""Who was exposed to which variant of an experiment, and what these units did before and after it: one row per unit,
from one reading of the exposures and the outcomes of all metrics, in parts of whole units.

Counts and sums only; no estimate is made here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, get_args

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np

from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.contract.tables import EXPOSURE_EVENT
from launchpad_lib.metrics.checks import known_table, unknown_names
from launchpad_lib.metrics.exposure_period import ALWAYS, Period
from launchpad_lib.metrics.kernels.exposed import NO_VARIANT, SEVERAL, fold_exposed, values_inside
from launchpad_lib.metrics.kernels.reading import micros_of
from launchpad_lib.metrics.kernels.unit_rows import UnitRows, unit_rows
from launchpad_lib.metrics.windows import is_one_of, property_value

Standing = Literal[
    "assigned", "several variants", "outside the plan", "no variant", "before the start", "after the end", "no cluster"
]
"""assigned: compared. The others are counted, named and left out."""
STANDINGS: tuple[str, ...] = get_args(Standing)
MOST_OUTCOMES = 62
ALL = "all"
PRE_PERIOD = timedelta(days=14)


class Outcome(NamedTuple):
    """What is counted of each unit: an event, from `begins` to `ends` after the first exposure, both included.

    `event_name`: EXPOSURE_EVENT stands for the exposure itself, None for any other event. `value`: the property whose
    numbers are summed besides (true is 1); what is no finite number counts 0. `keeps_values`: the values themselves are
    wanted too.
    """

    event_name: str | None
    ends: timedelta
    begins: timedelta = timedelta(0)
    value: str | None = None
    keeps_values: bool = False


class ExposedUnits(NamedTuple):
    """Some units of one experiment. Grain of the arrays: one value per exposed unit; of the matrices: unit x outcome.

    `variant`: code into `variants`, -1 where the unit is in none; `standing`: code into `STANDINGS`; `exposed_at`:
    first exposure that names a variant (else the first), microseconds since 1970; `is_over`: all windows are observed.
    `inside`: events in the outcome's window; `before`: events before the exposure; `pre`: those of them within the
    pre-period; `ever`: whether it ever did it. `value_inside`, `value_pre`: sums, 0 for outcomes without a value.
    `labels`: property: codes into `label_texts` of it at the exposure, -1 where it has none. `values`: outcome: (unit,
    value) of each row in its window, where the outcome keeps them. `refused`: per outcome, why it cannot be counted
    (the event does not occur in the log), else None.
    """

    outcomes: tuple[Outcome, ...]
    variants: list[str]
    standing: np.ndarray
    variant: np.ndarray
    exposed_at: np.ndarray
    is_over: np.ndarray
    inside: np.ndarray
    before: np.ndarray
    pre: np.ndarray
    ever: np.ndarray
    value_inside: np.ndarray
    value_pre: np.ndarray
    labels: dict[str, np.ndarray]
    label_texts: dict[str, list[str]]
    values: dict[int, tuple[np.ndarray, np.ndarray]]
    refused: tuple[str | None, ...]


def experiment_units(
    events: ir.Table,
    *,
    experiment_id: str | None,
    outcomes: Sequence[Outcome],
    observed_through: datetime | None,
    planned: Sequence[str] = (),
    pre_period: timedelta = PRE_PERIOD,
    period: Period = ALWAYS,
    labels: Sequence[str] = (),
    cluster: str | None = None,
    instead: tuple[str, datetime] | None = None,
) -> Iterator[ExposedUnits]:
    """Every exposed unit of the experiment with its variant, its standing, and what it did before and after; in parts,
    at least one.

    Variants and ids compare by their text, so `1` and `true` in the data are '1' and 'true' here. A unit that saw
    several variants is in none of them, whether or not they were planned.

    Args:
        experiment_id: None asks for no experiment: no units.
        observed_through: last instant of the data; None takes every window for over (a log that has ended).
        planned: the variants of the plan; empty takes every variant that was seen as planned.
        period: first exposures that count.
        labels: properties of the exposure that are wanted.
        cluster: one of `labels` without which a unit is in no cluster.
        instead: an event, and the instant from which on the first one of a unit counts as its exposure to the one
            variant ALL: as if an experiment had begun there.

    Raises:
        ValueError: more than 62 outcomes.

    >>> rows = [("experiment_exposed", 1), ("buy", 2), ("buy", 0)]
    >>> plan = '{"experiment_id": "e", "variant": "b"}'
    >>> log = ibis.memtable(
    ...     [
    ...         {"user_id": "u", "event_name": n, "event_at": datetime(2026, 1, 1, h), "properties": plan}
    ...         for n, h in rows
    ...     ]
    ... )
    >>> asked = {"outcomes": [Outcome("buy", timedelta(days=1))], "observed_through": None}
    >>> found = next(experiment_units(log, experiment_id="e", **asked))
    >>> found.variants, found.inside.tolist(), found.before.tolist()
    (['b'], [[1]], [[1]])
    """
    if len(outcomes) > MOST_OUTCOMES:
        raise ValueError(f"outcomes: {len(outcomes)} given; one reading counts at most {MOST_OUTCOMES}, ask in turns")
    known = known_table(events, needs=("user_id", "event_name", "event_at"))
    asked = tuple(outcomes)
    reasons = tuple(_unknown(events, o) for o in asked)
    longest = max((o.ends for o in asked), default=timedelta(0))
    through = None if observed_through is None else micros_of(utc_instant(observed_through)) - _micros(longest)
    columns, where = _columns(known, experiment_id, asked, labels, instead)
    is_read = False
    for part in unit_rows(known, columns, where=where):
        is_read = True
        yield _exposed(part, asked, pre_period, planned, period, through, labels, cluster, reasons)
    if not is_read:
        nothing = _nothing(columns)
        yield _exposed(nothing, asked, pre_period, planned, period, through, labels, cluster, reasons)


def _unknown(events: ir.Table, outcome: Outcome) -> str | None:
    if outcome.event_name in (None, EXPOSURE_EVENT):
        return None
    return unknown_names(events, event_names=[str(outcome.event_name)])


def _columns(
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
    bits: dict[str, int] = {}
    of_exposure = anything = 0
    for place, outcome in enumerate(outcomes):
        if outcome.event_name is None:
            anything |= 1 << place
        elif outcome.event_name == EXPOSURE_EVENT:
            of_exposure |= 1 << place
        else:
            bits[outcome.event_name] = bits.get(outcome.event_name, 0) | 1 << place
    cases = [
        (is_one_of(events.event_name, [n]).fill_null(False), ibis.literal(m | anything, dt.int64))
        for n, m in bits.items()
    ]
    cases.append((is_exposure, ibis.literal(of_exposure, dt.int64)))
    mask = ibis.cases(*cases, else_=ibis.literal(anything, dt.int64))
    variant = ibis.ifelse(is_exposure, name_of_variant, ibis.null(dt.string))
    columns: dict[str, ir.Value] = {
        "at": events.event_at,
        "is_exposure": is_exposure,
        "variant": variant,
        "outcomes": mask,
    }
    for place, name in enumerate(_summed(outcomes)):
        wanted = sum(1 << k for k, o in enumerate(outcomes) if o.value == name)
        columns[f"value_{place}"] = ibis.ifelse((mask & wanted) != 0, _number(property_value(events, name)), 0.0)
    for place, name in enumerate(labels):
        text = ibis.ifelse(is_exposure, property_value(events, name), ibis.null(dt.string))
        columns[f"label_{place}"] = text
    return columns, (is_exposure | (mask != 0)) & events.event_at.notnull()


def _number(text: ir.StringValue) -> ir.FloatingValue:
    """The number that a text is; true is 1; what is none, or not finite, is 0."""
    number = text.try_cast(dt.float64)
    known = ibis.ifelse(number.abs() < 1e300, number, ibis.null(dt.float64))  # NaN is not less
    return ibis.coalesce(known, ibis.ifelse(text == "true", 1.0, 0.0), 0.0)


def _summed(outcomes: Sequence[Outcome]) -> list[str]:
    """The properties that are summed, each once."""
    return list(dict.fromkeys(o.value for o in outcomes if o.value is not None))


def _nothing(columns: dict[str, ir.Value]) -> UnitRows:
    """A part without rows."""
    kinds: dict[str, type] = {"at": np.int64, "is_exposure": np.uint8, "variant": np.int32, "outcomes": np.int64}
    of = {n: kinds.get(n, np.float64 if n.startswith("value_") else np.int32) for n in columns}
    texts: dict[str, list[str]] = {n: [] for n in columns if n == "variant" or n.startswith("label_")}
    return UnitRows(np.zeros(1, np.int64), {n: np.empty(0, kind) for n, kind in of.items()}, texts)


def _exposed(
    part: UnitRows,
    outcomes: tuple[Outcome, ...],
    pre_period: timedelta,
    planned: Sequence[str],
    period: Period,
    through: int | None,
    labels: Sequence[str],
    cluster: str | None,
    reasons: tuple[str | None, ...],
) -> ExposedUnits:
    """The exposed units of a part."""
    columns, units, metrics = part.columns, part.units, len(outcomes)
    summed = _summed(outcomes)
    values = np.empty((len(columns["at"]), len(summed)))
    for place in range(len(summed)):
        values[:, place] = columns[f"value_{place}"]
    value_of = np.array([-1 if o.value is None else summed.index(o.value) for o in outcomes], np.int64)
    begins = np.array([_micros(o.begins) for o in outcomes], np.int64)
    ends = np.array([_micros(o.ends) for o in outcomes], np.int64)
    exposed_at, row, code = np.zeros(units, np.int64), np.zeros(units, np.int64), np.empty(units, np.int32)
    is_exposed = np.zeros(units, np.bool_)
    inside, before, pre = (np.zeros((units, metrics), np.int32) for _ in range(3))
    ever = np.zeros((units, metrics), np.bool_)
    value_inside, value_pre = (np.zeros((units, metrics)) for _ in range(2))
    masks = columns["outcomes"].astype(np.int64)
    fold_exposed(
        part.starts, columns["at"], columns["is_exposure"], columns["variant"], masks, values, value_of, begins, ends,
        _micros(pre_period), exposed_at, row, code, is_exposed, inside, before, pre, ever, value_inside, value_pre,
    )  # fmt: skip
    kept = {}
    number = np.cumsum(is_exposed) - 1
    for k in (k for k, o in enumerate(outcomes) if o.keeps_values):
        of, value = values_inside(
            part.starts, columns["at"], masks, values, k, value_of[k], begins[k], ends[k], exposed_at, is_exposed
        )
        kept[k] = (number[of], value)
    at, code, row = exposed_at[is_exposed], code[is_exposed], row[is_exposed]
    codes = {name: columns[f"label_{k}"][row] for k, name in enumerate(labels)}
    texts = part.texts.get("variant", [])
    is_planned = np.array([not planned or text in planned for text in texts] + [False, False])
    late = np.iinfo(np.int64).max
    conditions = [
        code == NO_VARIANT,
        code == SEVERAL,
        ~is_planned[code],
        at < (-late if period.begins is None else period.begins),
        at >= (late if period.ends is None else period.ends),
        codes[cluster] < 0 if cluster is not None else np.zeros(len(at), np.bool_),
    ]
    standing = np.select(conditions, [3, 1, 2, 4, 5, 6], 0)
    is_over = np.ones(len(at), np.bool_) if through is None else at <= through
    inside, before, pre = (matrix[is_exposed] for matrix in (inside, before, pre))
    value_inside, value_pre = value_inside[is_exposed], value_pre[is_exposed]
    names = {name: part.texts.get(f"label_{k}", []) for k, name in enumerate(labels)}
    return ExposedUnits(
        outcomes,
        list(texts),
        standing,
        np.maximum(code, -1),
        at,
        is_over,
        inside,
        before,
        pre,
        ever[is_exposed],
        value_inside,
        value_pre,
        codes,
        names,
        kept,
        reasons,
    )


def _micros(length: timedelta) -> int:
    return length // timedelta(microseconds=1)
