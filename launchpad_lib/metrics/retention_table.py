"""The table that the counts of retention folds make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from launchpad_lib.metrics.checks import nobody_counted
from launchpad_lib.metrics.windows import Period, period_start, ratio_limits, wilson_limits

if TYPE_CHECKING:
    from launchpad_lib.metrics.kernels.return_fold import ReturnFold


def retention_table(
    folds: Sequence[ReturnFold],
    cohort_of: Callable[[np.ndarray], pa.Array] | None,
    *,
    cohort_by: Period | None,
    every: int,
) -> ir.Table:
    """One row per cohort and bracket."""
    rules = folds[0].rules
    counts, names = _counts(folds, every), []
    rows, several = len(counts["users"]), len(rules.brackets)
    columns = {
        "period_from": np.tile([low for low, _ in rules.brackets], rows),
        "period_to": np.tile([high for _, high in rules.brackets], rows),
        **{name: held.ravel() for name, held in counts.items() if held.ndim > 1 and held.shape[1]},
    }
    if cohort_of is not None:
        names = ["cohort"]
        columns["cohort"] = cohort_of(np.repeat(counts["cohorts"], several))
    table = ibis.memtable(pa.table(columns))
    if cohort_by:
        table = table.mutate(cohort=period_start(table.cohort, cohort_by, rules.week_starts_on))
    limits = wilson_limits(table.retained, table.users)
    if "persons" in table.columns:
        squares = (table.yy, table.yx, table.xx)
        limits = _recurring_limits(table.retained / table.users.nullif(0), table, squares)
    counted = nobody_counted(
        table.users, immature=table.users_immature, what=rules.period, observed_through=rules.observed_through
    )
    # The sentence begins with the kind of period; its number stands in the row.
    numbered = ibis.literal(f"{rules.period} ") + table.period_from.cast(dt.string)
    return table.select(
        *names,
        "period_from",
        "period_to",
        "users",
        "retained",
        retention_rate=table.retained / table.users.nullif(0),
        **limits,
        users_immature=table.users_immature,
        is_complete=table.users_immature == 0,
        refused_because=numbered + counted.substr(len(rules.period)),
    )


def _recurring_limits(
    rate: ir.FloatingValue, table: ir.Table, squares: tuple[ir.IntegerColumn, ...]
) -> dict[str, ir.FloatingValue]:
    """95 % limits of a rate whose starts are clustered in persons: delta method, within [0, 1].

    Where all persons have the same rate, as where nobody came back, they show no spread; then Wilson's limits with each
    person counted once. NULL under two persons.
    """
    delta = ratio_limits(table.retained, table.users, squares, table.persons)
    of_persons = wilson_limits(rate * table.persons, table.persons)
    several = table.persons > 1
    return {
        k: ibis.ifelse(several, v.clip(0.0, 1.0).fill_null(of_persons[k]), ibis.null(dt.float64))
        for k, v in delta.items()
    }


def _counts(folds: Sequence[ReturnFold], every: int) -> dict[str, np.ndarray]:
    """The counts of all folds by cohort: integers, so their order does not matter."""
    found = [fold.answer() for fold in folds]
    cohorts = np.unique(np.concatenate([np.arange(every), *(one.cohorts for one in found)]))
    counts: dict[str, np.ndarray] = {"cohorts": cohorts}
    for place, name in enumerate(("users", "retained", "users_immature", "persons", "yy", "yx", "xx"), start=1):
        total = np.zeros((len(cohorts), found[0][place].shape[1]), np.int64)
        for one in found:
            np.add.at(total, np.searchsorted(cohorts, one.cohorts), one[place])
        counts[name] = total
    return counts
