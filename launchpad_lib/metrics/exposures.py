"""Who was exposed to which variant of an experiment, and what these units did before and after it: one row per unit,
from one reading of the exposures and the outcomes of all metrics.

Counts and sums only; no estimate is made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, get_args

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.contract.names import nearest
from launchpad_lib.contract.tables import EXPOSURE_EVENT
from launchpad_lib.contract.zones import zone
from launchpad_lib.metrics.checks import known_table, unknown_names
from launchpad_lib.metrics.kernels.exposed import NO_VARIANT, SEVERAL, fold_exposed
from launchpad_lib.metrics.kernels.reading import micros_of
from launchpad_lib.metrics.kernels.unit_rows import UnitRows, unit_rows
from launchpad_lib.metrics.windows import is_one_of, property_value

Standing = Literal["assigned", "several variants", "outside the plan", "no variant"]
"""assigned: compared. The others are counted, named and left out."""
STANDINGS: tuple[str, ...] = get_args(Standing)
MOST_OUTCOMES = 62
PRE_PERIOD = timedelta(days=14)


class Outcome(NamedTuple):
    """What is counted of each unit: an event, from `begins` to `ends` after the first exposure, both included.

    `value`: the property whose numbers are summed besides; what is no number counts 0.
    """

    event_name: str
    ends: timedelta
    begins: timedelta = timedelta(0)
    value: str | None = None


class ExposedUnits(NamedTuple):
    """One experiment. Grain of the arrays: one value per exposed unit; of the matrices: unit x outcome.

    `variant`: code into `variants`, -1 where the unit is in none; `standing`: code into `STANDINGS`; `exposed_at`:
    first exposure that names a variant (else the first), microseconds since 1970; `is_over`: all windows are observed.
    `inside`: events in the outcome's window; `before`: events before the exposure; `pre`: those of them within the
    pre-period; `ever`: whether it ever did it. `value_inside`, `value_pre`: sums, 0 for outcomes without a value.
    `refused`: per outcome, why it cannot be counted (the event does not occur in the log), else None.
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
    refused: tuple[str | None, ...]


def nobody_exposed(events: ir.Table, *, experiment_id: str) -> str | None:
    """None where somebody was exposed to the experiment; else one sentence with the nearest experiments of the log."""
    seen = events.filter(events.event_name == EXPOSURE_EVENT)
    known = seen.select(experiment=property_value(seen, "experiment_id")).distinct().to_pandas()["experiment"]
    names = set(known.dropna())
    if experiment_id in names:
        return None
    return f"experiment {experiment_id!r}: nobody was exposed to it; {nearest(experiment_id, names)}"


def experiment_units(
    events: ir.Table,
    *,
    experiment_id: str | None,
    outcomes: Sequence[Outcome],
    observed_through: datetime | None,
    planned: Sequence[str] = (),
    pre_period: timedelta = PRE_PERIOD,
) -> ExposedUnits:
    """Every exposed unit of the experiment with its variant, its standing, and what it did before and after.

    Variants and ids compare by their text, so `1` and `true` in the data are '1' and 'true' here. A unit that saw
    several variants is in none of them, whether or not they were planned.

    Args:
        experiment_id: None asks for no experiment: no units.
        observed_through: last instant of the data; None takes every window for over (a log that has ended).
        planned: the variants of the plan; empty takes every variant that was seen as planned.

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
    >>> found = experiment_units(log, experiment_id="e", **asked)
    >>> found.variants, found.inside.tolist(), found.before.tolist()
    (['b'], [[1]], [[1]])
    """
    if len(outcomes) > MOST_OUTCOMES:
        raise ValueError(f"outcomes: {len(outcomes)} given; one reading counts at most {MOST_OUTCOMES}, ask in turns")
    known = known_table(events, needs=("user_id", "event_name", "event_at"))
    # Outcomes with a value come first, so that the kernel's columns of values are theirs.
    order = sorted(range(len(outcomes)), key=lambda k: outcomes[k].value is None)
    asked = [outcomes[k] for k in order]
    texts: list[str] = []
    parts = []
    columns, where = _columns(known, experiment_id, asked)
    for part in unit_rows(known, columns, where=where):
        parts.append(_folded(part, asked, pre_period))
        texts = part.texts["variant"]
    if not parts:
        parts = [_folded(_nothing(asked), asked, pre_period)]
    exposed_at, code, *matrices = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    inside, before, pre, ever, value_inside, value_pre = matrices
    place = np.argsort(np.array(order, np.int64))
    longest = max((o.ends for o in outcomes), default=timedelta(0))
    is_over = np.ones(len(exposed_at), np.bool_)
    if observed_through is not None:
        is_over = exposed_at + _micros(longest) <= micros_of(utc_instant(observed_through))
    is_planned = np.array([not planned or text in planned for text in texts] + [False, False])
    standing = np.select([code == NO_VARIANT, code == SEVERAL, is_planned[code]], [3, 1, 0], 2).astype(np.int8)
    reasons = tuple(unknown_names(events, event_names=[o.event_name]) for o in outcomes)
    return ExposedUnits(
        tuple(outcomes), list(texts), standing, np.maximum(code, -1), exposed_at, is_over, inside[:, place],
        before[:, place], pre[:, place], ever[:, place], value_inside[:, place], value_pre[:, place], reasons,
    )  # fmt: skip


def _columns(
    events: ir.Table, experiment_id: str | None, outcomes: Sequence[Outcome]
) -> tuple[dict[str, ir.Value], ir.BooleanValue]:
    """What the kernel needs of each row, and which rows it needs."""
    of_experiment = property_value(events, "experiment_id") == ibis.literal(experiment_id, "string")
    is_exposure = ((events.event_name == EXPOSURE_EVENT) & of_experiment).fill_null(False)
    bits: dict[str, int] = {}
    for place, outcome in enumerate(outcomes):
        bits[outcome.event_name] = bits.get(outcome.event_name, 0) | 1 << place
    none = ibis.literal(0, "int64")
    cases = [(is_one_of(events.event_name, [n]).fill_null(False), ibis.literal(m, "int64")) for n, m in bits.items()]
    mask = ibis.cases(*cases, else_=none) if cases else none
    variant = ibis.ifelse(is_exposure, property_value(events, "variant"), ibis.null("string"))
    columns = {"at": events.event_at, "is_exposure": is_exposure, "variant": variant, "outcomes": mask}
    for place, outcome in enumerate(o for o in outcomes if o.value is not None):
        number = property_value(events, str(outcome.value)).try_cast("float64")
        columns[f"value_{place}"] = ibis.ifelse((mask & (1 << place)) != 0, number, 0.0).fill_null(0.0)
    return columns, (is_exposure | (mask != 0)) & events.event_at.notnull()


def _nothing(outcomes: Sequence[Outcome]) -> UnitRows:
    """A part without rows."""
    kinds: dict[str, type] = {"at": np.int64, "is_exposure": np.uint8, "variant": np.int32, "outcomes": np.int64}
    kinds |= {f"value_{k}": np.float64 for k, _ in enumerate(o for o in outcomes if o.value is not None)}
    return UnitRows(np.zeros(1, np.int64), {n: np.empty(0, kind) for n, kind in kinds.items()}, {"variant": []})


def _folded(part: UnitRows, outcomes: Sequence[Outcome], pre_period: timedelta) -> tuple[np.ndarray, ...]:
    """exposed_at, variant and the matrices of the exposed units of a part."""
    columns, units, metrics = part.columns, part.units, len(outcomes)
    valued = [columns[f"value_{k}"] for k in range(sum(o.value is not None for o in outcomes))]
    values = np.column_stack(valued).astype(np.float64) if valued else np.empty((len(columns["at"]), 0))
    begins = np.array([_micros(o.begins) for o in outcomes], np.int64)
    ends = np.array([_micros(o.ends) for o in outcomes], np.int64)
    exposed_at, variant = np.zeros(units, np.int64), np.empty(units, np.int32)
    is_exposed = np.zeros(units, np.bool_)
    inside, before, pre = (np.zeros((units, metrics), np.int32) for _ in range(3))
    ever = np.zeros((units, metrics), np.bool_)
    value_inside, value_pre = (np.zeros((units, metrics)) for _ in range(2))
    fold_exposed(
        part.starts, columns["at"], columns["is_exposure"], columns["variant"],
        columns["outcomes"].astype(np.int64, copy=False), values, begins, ends, _micros(pre_period),
        exposed_at, variant, is_exposed, inside, before, pre, ever, value_inside, value_pre,
    )  # fmt: skip
    found = (exposed_at, variant, inside, before, pre, ever, value_inside, value_pre)
    return tuple(array[is_exposed] for array in found)


def _micros(length: timedelta) -> int:
    return length // timedelta(microseconds=1)


def units_by_standing(units: ExposedUnits) -> ir.Table:
    """Grain: one row per standing and variant: standing, variant (NULL where it is none), units, units_immature (of
    them, window not over).
    """
    rows = []
    for standing, name in enumerate(STANDINGS):
        for code in range(-1, len(units.variants)):
            own = (units.standing == standing) & (units.variant == code)
            if own.any():
                variant = units.variants[code] if code >= 0 else None
                rows.append((name, variant, int(own.sum()), int((own & ~units.is_over).sum())))
    schema = {"standing": "string", "variant": "string", "units": "int64", "units_immature": "int64"}
    rows.sort(key=lambda row: (row[0], row[1] is None, row[1] or ""))
    return ibis.memtable(pd.DataFrame(rows, columns=list(schema)), schema=schema)


def exposed_between(units: ExposedUnits, *, report_timezone: str) -> ir.Table:
    """Grain: one row: first_on and last_on, the local dates of the first and the last first exposure; NULL without
    units.
    """
    at = units.exposed_at
    ends = [None, None] if not len(at) else [_local_date(int(t), report_timezone) for t in (at.min(), at.max())]
    frame = pd.DataFrame([ends], columns=["first_on", "last_on"], dtype=object)
    return ibis.memtable(frame, schema={"first_on": "date", "last_on": "date"})


def _local_date(at: int, report_timezone: str):
    return pd.Timestamp(at, unit="us", tz="UTC").tz_convert(zone(report_timezone)).date()


def conversions(units: ExposedUnits) -> ir.Table:
    """Grain: one row per outcome and variant of the assigned units.

    Columns: metric (the event name), variant, units (window over), units_immature (in no other count), converted (units
    that did it in the window), naive_converted (units that did it at any time: what a join on the user alone counts),
    events_in_window, events_before_exposure (events of all assigned units before their first exposure), refused_because
    (the event does not occur in the log, so a misspelt name is never a 0).
    """
    rows = []
    for place, outcome in enumerate(units.outcomes):
        for code, variant in enumerate(units.variants):
            own = (units.standing == 0) & (units.variant == code)
            over = own & units.is_over
            if not own.any():
                continue
            inside = units.inside[over, place]
            rows.append(
                (
                    outcome.event_name,
                    variant,
                    int(over.sum()),
                    int((own & ~units.is_over).sum()),
                    int((inside > 0).sum()),
                    int(units.ever[over, place].sum()),
                    int(inside.sum(dtype=np.int64)),
                    int(units.before[own, place].sum(dtype=np.int64)),
                    units.refused[place],
                )
            )
    counts = ("units", "units_immature", "converted", "naive_converted", "events_in_window", "events_before_exposure")
    schema = {"metric": "string", "variant": "string", **dict.fromkeys(counts, "int64"), "refused_because": "string"}
    rows.sort(key=lambda row: row[:2])
    return ibis.memtable(pd.DataFrame(rows, columns=list(schema)), schema=schema)
