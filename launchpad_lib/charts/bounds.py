"""What of a result table is drawn: finite numbers, names that can be read, and never more marks than a reader can tell
apart.

Every chart goes through `drawn`: the columns that it needs come out under names of its own (`name`, `value`, `low`,
...), so that no name from the data ever stands where the drawing program reads fields and expressions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from wcwidth import wcswidth

from launchpad_lib.contract.legible import LABEL_CELLS, shortened, visible

MOST_NAMES = 20
MOST_LINES = 10
LINE_CELLS = 22  # letters of a line's name: four stand side by side under a chart
MOST_POINTS = 360  # of one line; a chart is 640 pixels wide
NO_VALUE, BLANK = "(no value)", "(blank)"
# The drawing program keeps groups in JavaScript objects, in which these names are taken.
OBJECT_NAMES = frozenset(
    "__proto__ __defineGetter__ __defineSetter__ __lookupGetter__ __lookupSetter__ constructor hasOwnProperty "
    "isPrototypeOf "
    "propertyIsEnumerable toLocaleString toString valueOf".split()
)
TEXTS, INSTANTS = ("name", "line", "across"), ("at",)


class Drawn(NamedTuple):
    """The rows that are drawn under the chart's own column names, or one sentence that says why there are none."""

    rows: pd.DataFrame
    nothing_because: str | None


def drawn(result: pd.DataFrame, columns: dict[str, str]) -> Drawn:
    """The rows of a result that can be drawn.

    Infinite numbers are gaps; a table without any number has nothing to draw.

    Args:
        columns: the chart's own name -> the result's column. `name`, `line`, `across` are text, `at` is a date, the
            others are numbers, and the first of these is the one without which a chart is empty.

    Raises:
        ValueError: a column is missing.
    """
    missing = [c for c in columns.values() if c not in result.columns]
    if missing:
        raise ValueError(f"chart: the table lacks {', '.join(missing)}; it has {', '.join(map(str, result.columns))}")
    rows = pd.DataFrame(
        {own: _texts(result[given]) if own in TEXTS else result[given].array for own, given in columns.items()}
    )
    for own in set(columns) - set(TEXTS):
        numbers = pd.to_datetime(rows[own], errors="coerce") if own in INSTANTS else _finite(rows[own])
        rows[own] = numbers
    for own in INSTANTS:
        rows = rows[rows[own].notna()] if own in rows else rows
    first = next(own for own in columns if own not in (*TEXTS, *INSTANTS))
    if rows[first].notna().any():
        return Drawn(rows.reset_index(drop=True), None)
    return Drawn(rows, _reason(result) or ("no row has a number" if len(rows) else "there are no rows"))


def _texts(names: pd.Series) -> pd.Series:
    """Names as text; dates stay dates, so that they can be put together by week or month."""
    return pd.Series([n if hasattr(n, "year") and n is not pd.NaT else named(n) for n in names], dtype=object)


def _finite(values: pd.Series) -> pd.Series:
    return pd.to_numeric(values, errors="coerce").astype("float64").replace([np.inf, -np.inf], np.nan)


def _reason(result: pd.DataFrame) -> str | None:
    """Why the table was refused, where it says so."""
    reasons = result["refused_because"].dropna() if "refused_because" in result.columns else pd.Series(dtype=object)
    return str(reasons.iloc[0]) if len(reasons) else None


def named(value: object) -> str:
    """One name as text: a date by its day, what is missing by a word in brackets.

    >>> named(None), named(3.0), named(pd.Timestamp("2026-01-05")), named("a")
    ('(no value)', '3', '2026-01-05', 'a')
    """
    if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return NO_VALUE
    if hasattr(value, "year"):
        return f"{pd.Timestamp(value):%Y-%m-%d}"
    return f"{value:g}" if isinstance(value, float) else visible(str(value))


def labels(names: pd.Series, *, cells: int = LABEL_CELLS) -> pd.Series:
    """The names as labels that fit; two names never share one, because they would share a place.

    >>> labels(pd.Series(["a", "x" * 60 + "1" * 20, "x" * 60 + "1" * 21, "a", "", " "]), cells=9).tolist()
    ['a', 'xxxx…1111', 'xxxx…1111 (2)', 'a', '(blank)', '(blank) (2)']
    """
    known: dict[str, str] = {}
    taken: dict[str, int] = {}
    for name in dict.fromkeys(names.map(named)):
        short = shortened(name, cells=cells)
        short = f'"{short}"' if short in OBJECT_NAMES else short if wcswidth(short) else BLANK
        taken[short] = taken.get(short, 0) + 1
        known[name] = short if taken[short] == 1 else f"{short} ({taken[short]})"
    return names.map(named).map(known)


def apart(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table whose grain is one row per name, each under a name of its own: a funnel may have one step
    twice.

    >>> apart(pd.DataFrame({"name": ["a", "b", "a"]}))["name"].tolist()
    ['a', 'b', 'a (2)']
    """
    place = rows.groupby(rows["name"].map(named)).cumcount() + 1
    names = rows["name"].map(named)
    return rows.assign(name=names.where(place == 1, names + " (" + place.astype(str) + ")"))


def first_names(
    rows: pd.DataFrame, *, most: int = MOST_NAMES, column: str = "name", cells: int = LABEL_CELLS
) -> tuple[pd.DataFrame, str]:
    """The rows of the first `most` names in the table's order, and a note on how many more there are ("" for none)."""
    keys = rows[column].map(named)
    order = list(dict.fromkeys(keys))
    kept = rows[keys.isin(order[:most])]
    kept = kept.assign(**{column: labels(kept[column], cells=cells)})
    return kept, f"and {len(order) - most:,} more" if len(order) > most else ""


def largest_names(
    rows: pd.DataFrame, *, by: str, most: int = MOST_NAMES, column: str = "name"
) -> tuple[pd.DataFrame, str]:
    """Like `first_names`, of those with the largest absolute sum of a column; in the table's order."""
    size = rows[by].abs().groupby(rows[column].map(named)).sum()
    large = size.sort_values(ascending=False, kind="stable").index[:most]
    kept = rows[rows[column].map(named).isin(large)]
    kept = kept.assign(**{column: labels(kept[column])})
    return kept, f"the largest; and {len(size) - most:,} more" if len(size) > most else ""


def thinned(
    rows: pd.DataFrame, *, value: str = "value", at: str = "at", most: int = MOST_POINTS
) -> tuple[pd.DataFrame, str]:
    """A line with fewer points: of each so many in a row the lowest and the highest, so that no peak is lost.

    Each `line`, where there are several, is thinned by itself.
    """
    if "line" in rows.columns:
        parts = [thinned(own.drop(columns="line"), value=value, at=at, most=most) for _, own in _lines(rows)]
        whole = pd.concat([part.assign(line=name) for (part, _), (name, _) in zip(parts, _lines(rows), strict=True)])
        return whole.reset_index(drop=True), next((note for _, note in parts if note), "")
    rows = rows.sort_values(at, kind="stable").reset_index(drop=True)
    if len(rows) <= most:
        return rows, ""
    size = -(-2 * len(rows) // most)
    is_gap = rows[value].isna()
    known, missing = rows[~is_gap], rows[is_gap]
    buckets = known.groupby(known.index // size)[value]
    gaps = missing.groupby(missing.index // size).head(1).index  # a gap stays one: no line is drawn across it
    chosen = sorted({*buckets.idxmin(), *buckets.idxmax(), *gaps, 0, len(rows) - 1})
    return rows.loc[chosen].reset_index(drop=True), f"of every {size} points the lowest and the highest"


def _lines(rows: pd.DataFrame) -> list[tuple[object, pd.DataFrame]]:
    return list(rows.groupby("line", sort=False))


def notes(*parts: str) -> str:
    """What a chart leaves out, in one line.

    >>> notes("", "and 4 more", "by month")
    'and 4 more; by month'
    """
    return "; ".join(part for part in parts if part)
