"""Has the distribution of a column moved between two periods? Thresholds follow from the sample sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from launchpad_lib.contract.sentences import listed, named
from launchpad_lib.contract.wording import percent
from launchpad_lib.trends.drift_tests import (
    ALPHA,
    Difference,
    category_difference,
    missing_difference,
    number_difference,
)

FEWEST_ROWS = 30
FEWEST_OF_A_VALUE, SMALLEST_SHARE_OF_A_VALUE = 5, 0.01


def drift_table(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    *,
    columns: Sequence[str],
    alpha: float = ALPHA,
    min_rows: int = FEWEST_ROWS,
) -> pd.DataFrame:
    """Grain: one row per column and aspect: its values, and its share of missing values where some are missing.

    Rows must be independent: pass one row per user and period (`one_row_per_unit`). Columns: the fields of
    `Difference`. Numbers: Kolmogorov-Smirnov. Categories: chi-square. Missing: chi-square or Fisher. `q_value`:
    Benjamini-Hochberg over all rows; `is_drifted` where it is under `alpha`. A column whose test fails is refused with
    the reason.
    """
    rows = [one for name in columns for one in _differences(name, reference[name], current[name], min_rows=min_rows)]
    table = pd.DataFrame(rows, columns=list(Difference._fields))
    p = table["p_value"].to_numpy(dtype=float)
    q = np.full(len(p), np.nan)
    if np.isfinite(p).any():
        q[np.isfinite(p)] = false_discovery_control(p[np.isfinite(p)])
    return table.assign(q_value=q, is_drifted=q < alpha)


def _differences(name: str, old: pd.Series, new: pd.Series, *, min_rows: int) -> Iterator[Difference]:
    """The aspects of one column. A number that is not finite is no value."""
    sides = [_known(one) for one in (old, new)]
    try:
        yield _values_difference(name, *sides, min_rows=min_rows)
    except (ValueError, TypeError, ArithmeticError) as error:
        counts = (len(sides[0]), len(sides[1]))
        yield Difference(name, "values", None, *counts, refused_because=f"the test failed: {error}")
    rows = (len(old), len(new))
    missing = (rows[0] - len(sides[0]), rows[1] - len(sides[1]))
    if min(rows) >= min_rows and 0 < sum(missing) < sum(rows):
        yield missing_difference(name, missing=missing, rows=rows)


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _known(values: pd.Series) -> pd.Series:
    known = values.dropna()
    return known[np.isfinite(known.to_numpy(dtype=float))] if _is_number(known) else known


def _values_difference(name: str, old: pd.Series, new: pd.Series, *, min_rows: int) -> Difference:
    if min(len(old), len(new)) < min_rows:
        reason = f"{len(old):,} values before and {len(new):,} in the last days; each period needs {min_rows}"
        return Difference(name, "values", None, len(old), len(new), refused_because=reason)
    if _is_number(old) and _is_number(new):
        return number_difference(name, old.to_numpy(dtype=float), new.to_numpy(dtype=float))
    return category_difference(name, old.to_numpy(dtype=str), new.to_numpy(dtype=str))


def new_values(before: pd.Series, after: pd.Series) -> str | None:
    """Values of `after` that `before` does not have, most frequent first, each with its share; None where there are
    none.

    Told are those with at least 5 rows and 1 %: rare ones come and go. Numbers have no such values.
    """
    known = after.dropna()
    if _is_number(known) or before.dropna().empty:
        return None
    counts = known.astype(str).value_counts()
    counts = counts[~counts.index.isin(before.dropna().astype(str).unique())]
    counts = counts[(counts >= FEWEST_OF_A_VALUE) & (counts >= SMALLEST_SHARE_OF_A_VALUE * len(known))]
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return listed([f"{named(value)} {percent(count / len(known))}" for value, count in ordered]) or None


def one_row_per_unit(rows: pd.DataFrame, *, unit: str, time_column: str, rng: np.random.Generator) -> pd.DataFrame:
    """One random row of each unit, so that rows are independent; where the unit is unknown, one row of each hour."""
    units, _ = pd.factorize(rows[unit])
    hours = rows[time_column].dt.floor("h").astype("int64").to_numpy()
    key = np.where(units >= 0, units, -1 - pd.factorize(hours)[0])
    order = rng.permutation(len(rows))
    return rows.iloc[order[~pd.Series(key[order]).duplicated().to_numpy()]]


def drift_between(
    rows: pd.DataFrame,
    *,
    time_column: str,
    since: datetime,
    rng: np.random.Generator,
    unit: str = "user_id",
    min_rows: int = FEWEST_ROWS,
) -> pd.DataFrame:
    """Grain: as `drift_table`, of every column other than unit and time: rows after `since` against all rows before.

    The tests see one row per unit and period; `new_values, vanished_values` are read from all rows.
    """
    is_current = rows[time_column] > since
    before, after = rows[~is_current], rows[is_current]
    watched = [c for c in rows.columns if c not in (unit, time_column)]
    sides = [one_row_per_unit(one, unit=unit, time_column=time_column, rng=rng) for one in (before, after)]
    table = drift_table(*sides, columns=watched, min_rows=min_rows)
    new = {c: new_values(before[c], after[c]) for c in watched}
    vanished = {c: new_values(after[c], before[c]) for c in watched}
    is_values = table["aspect"] == "values"
    return table.assign(
        new_values=table["column"].map(new).where(is_values).astype(object),
        vanished_values=table["column"].map(vanished).where(is_values).astype(object),
    )
