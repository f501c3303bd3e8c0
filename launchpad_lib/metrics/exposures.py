"""Who was exposed to which variant of an experiment, and what these units did before and after it: one row per unit,
from one reading of the exposures and the outcomes of all metrics, in parts of whole units.

Counts and sums only; no estimate is made here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, get_args

import ibis.expr.types as ir
import numpy as np

from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.contract.tables import EXPOSURE_EVENT
from launchpad_lib.metrics.checks import known_table, unknown_names
from launchpad_lib.metrics.exposure_period import ALWAYS, Period
from launchpad_lib.metrics.exposure_rows import ALL, Outcome, exposure_columns, masks_of, no_rows, of_units, summed
from launchpad_lib.metrics.kernels.exposed import NO_VARIANT, SEVERAL, Deeds, fold_exposed, values_inside
from launchpad_lib.metrics.kernels.exposed_sums import lay_out
from launchpad_lib.metrics.kernels.reading import micros_of
from launchpad_lib.metrics.kernels.unit_rows import UnitRows, unit_rows

__all__ = ["ALL", "STANDINGS", "ExposedUnits", "Outcome", "Standing", "experiment_units", "parts_of"]

Standing = Literal[
    "assigned", "several variants", "outside the plan", "no variant", "before the start", "after the end", "no cluster"
]
"""assigned: compared. The others are counted, named and left out."""
STANDINGS: tuple[str, ...] = get_args(Standing)
MOST_OUTCOMES = 62
PRE_PERIOD = timedelta(days=14)


class ExposedUnits(NamedTuple):
    """Some units of one experiment. Grain of the arrays: one value per exposed unit.

    `variant`: code into `variants`, -1 where the unit is in none; `standing`: code into `STANDINGS`; `exposed_at`:
    first exposure that names a variant (else the first), microseconds since 1970; `is_over`: all windows are observed.
    `deeds`: what they did; `matrix` lays it out. `labels`: property: codes into `label_texts` of it at the exposure, -1
    where it has none. `values`: outcome: (unit, value, microseconds since exposure) of each row in its window, where
    the outcome keeps them. `refused`: per outcome, why it cannot be counted (the event does not occur in the log), else
    None. `first_variant`: of a unit that saw several the first of them.
    """

    outcomes: tuple[Outcome, ...]
    variants: list[str]
    standing: np.ndarray
    variant: np.ndarray
    exposed_at: np.ndarray
    is_over: np.ndarray
    deeds: Deeds
    labels: dict[str, np.ndarray]
    label_texts: dict[str, list[str]]
    values: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]
    refused: tuple[str | None, ...]
    first_variant: np.ndarray

    def matrix(
        self, name: Literal["inside", "before", "pre", "value_inside", "value_pre"], units: np.ndarray | None = None
    ) -> np.ndarray:
        """Unit x outcome, of all units or of those with these numbers, 0 where a unit did nothing (`Deeds`)."""
        return self._laid_out(self.deeds.starts, self.deeds.outcome, getattr(self.deeds, name), units, self._all)

    def column(self, name: str, units: np.ndarray, outcome: int) -> np.ndarray:
        """The same of one outcome: one value per unit."""
        wanted = np.full(len(self.outcomes), -1)
        wanted[outcome] = 0
        return self._laid_out(self.deeds.starts, self.deeds.outcome, getattr(self.deeds, name), units, wanted)[:, 0]

    def of_part(self, name: Literal["part_count", "part_value"], units: np.ndarray, part: int) -> np.ndarray:
        """Count or sum of one part of the time since exposure (`parts_of`): one value per unit."""
        wanted = np.full(sum(len(own) for own in parts_of(self.outcomes)), -1)
        wanted[part] = 0
        return self._laid_out(self.deeds.part_starts, self.deeds.part, getattr(self.deeds, name), units, wanted)[:, 0]

    @property
    def _all(self) -> np.ndarray:
        return np.arange(len(self.outcomes))

    def _laid_out(
        self, starts: np.ndarray, of: np.ndarray, values: np.ndarray, units: np.ndarray | None, wanted: np.ndarray
    ) -> np.ndarray:
        chosen = np.arange(len(self.standing)) if units is None else units
        found = np.zeros((len(chosen), int(wanted.max(initial=-1)) + 1), values.dtype)
        lay_out(starts, of, values, chosen, wanted, found)
        return found


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
    unit: str | None = None,
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
        unit: the column or property whose values are the units, on exposures and outcomes alike; None: the user. Rows
            without it are no unit's.
        instead: an event, and the instant from which on the first one of a unit counts as its exposure to the one
            variant ALL: as if an experiment had begun there.

    Raises:
        ValueError: more than 62 outcomes.

    >>> import ibis
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
    >>> found.variants, found.matrix("inside").tolist(), found.matrix("before").tolist()
    (['b'], [[1]], [[1]])
    """
    if len(outcomes) > MOST_OUTCOMES:
        raise ValueError(f"outcomes: {len(outcomes)} given; one reading counts at most {MOST_OUTCOMES}, ask in turns")
    known = known_table(events, needs=("user_id", "event_name", "event_at"))
    known, by = of_units(known, unit)
    asked = tuple(outcomes)
    reasons = tuple(_unknown(events, o) for o in asked)
    longest = max((o.ends for o in asked), default=timedelta(0))
    through = None if observed_through is None else micros_of(utc_instant(observed_through)) - _micros(longest)
    columns, where = exposure_columns(known, experiment_id, asked, labels, instead)
    is_read = False
    for part in unit_rows(known, columns, where=where, unit=by):
        is_read = True
        yield _exposed(part, asked, pre_period, planned, period, through, labels, cluster, reasons)
    if not is_read:
        nothing = no_rows(columns)
        yield _exposed(nothing, asked, pre_period, planned, period, through, labels, cluster, reasons)


def _unknown(events: ir.Table, outcome: Outcome) -> str | None:
    if outcome.event_name in (None, EXPOSURE_EVENT):
        return None
    return unknown_names(events, event_names=[str(outcome.event_name)])


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
    columns = part.columns
    properties = summed(outcomes)
    values = np.empty((len(columns["at"]), len(properties)))
    for place in range(len(properties)):
        values[:, place] = columns[f"value_{place}"]
    value_of = np.array([-1 if o.value is None else properties.index(o.value) for o in outcomes], np.int64)
    begins = np.array([_micros(o.begins) for o in outcomes], np.int64)
    ends = np.array([_micros(o.ends) for o in outcomes], np.int64)
    masks = masks_of(outcomes, part.texts.get("event", []), columns["event"], columns["is_exposure"])
    of_unit, at, row, code, first, deeds = fold_exposed(
        part.starts, columns["at"], columns["is_exposure"], columns["variant"], masks, values, value_of, begins, ends,
        _micros(pre_period), _edges(outcomes),
    )  # fmt: skip
    kept = {}
    for k in (k for k, o in enumerate(outcomes) if o.keeps_values):
        kept[k] = values_inside(
            part.starts, columns["at"], masks, values, k, value_of[k], begins[k], ends[k], of_unit, at
        )
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
    names = {name: part.texts.get(f"label_{k}", []) for k, name in enumerate(labels)}
    return ExposedUnits(
        outcomes,
        list(texts),
        standing,
        np.maximum(code, -1),
        at,
        is_over,
        Deeds(*deeds),
        codes,
        names,
        kept,
        reasons,
        np.maximum(first, -1),
    )


def parts_of(outcomes: Sequence[Outcome]) -> list[list[int]]:
    """Of each outcome the columns of `course` that are its parts, in their order.

    >>> day = timedelta(days=1)
    >>> parts_of(
    ...     [
    ...         Outcome("buy", 2 * day, parts=(0 * day, day, 2 * day)),
    ...         Outcome("look", day),
    ...         Outcome("go", day, parts=(0 * day, day)),
    ...     ]
    ... )
    [[0, 1], [], [2]]
    """
    found, column = [], 0
    for outcome in outcomes:
        own = max(len(outcome.parts) - 1, 0)
        found.append(list(range(column, column + own)))
        column += own
    return found


def _edges(outcomes: Sequence[Outcome]) -> np.ndarray:
    """Of each outcome its first column of `course` (-1: no parts), then begin, end and length of its parts."""
    found = np.full((len(outcomes), 4), -1, np.int64)
    for place, (outcome, columns) in enumerate(zip(outcomes, parts_of(outcomes), strict=True)):
        if columns:
            edges = [_micros(e) for e in outcome.parts]
            found[place] = (columns[0], edges[0], edges[-1], edges[1] - edges[0])
    return found


def _micros(length: timedelta) -> int:
    return length // timedelta(microseconds=1)
