"""Rows of result tables without numbers: refused, or not asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from launchpad_lib.contract.catalogue import ResultTable
from launchpad_lib.contract.findings import Conclusion, Finding, refused_conclusion
from launchpad_lib.contract.sentences import counted, sentence

NUMBERS = ("int64", "float64")
NOT_ASKED = "not asked"
NOTHING_ASKED = "Nothing was asked of this page."
NO_EVENTS = "the log holds no events; ingest some"
NO_FEATURE = (
    "not asked: no feature is declared; declare one under `features:` in the params file or in the table `features`"
)


def refused_rows(table: ResultTable, reason: str, **known: list[Any]) -> pd.DataFrame:
    """Rows of a declared table whose numbers are missing for a reason; one row, or one per value of what is known.

    >>> from launchpad_lib.contract.catalogue.funnel_tables import FUNNEL_SEGMENTS
    >>> refused_rows(FUNNEL_SEGMENTS, "nobody entered")[["users", "refused_because"]].values.tolist()
    [[nan, 'nobody entered']]
    """
    count = max((len(v) for v in known.values()), default=1)
    kinds = {c.name: float if c.type in NUMBERS else object for c in table.columns}
    columns = {
        name: pd.Series(known.get(name, [reason if name == "refused_because" else None] * count), dtype=kind)
        for name, kind in kinds.items()
    }
    return pd.DataFrame(columns)


def of_enough(sentence: str, *, n: int | None, min_cell: int, feature_id: str | None = None) -> Finding:
    """A rate that asks for nothing; of fewer than `min_cell` units it is not known whether it does.

    >>> (
    ...     of_enough("50.0 % share it.", n=40, min_cell=30).severity,
    ...     of_enough("100.0 % share it.", n=1, min_cell=30).severity,
    ... )
    ('fine', 'unknown')
    """
    if (n or 0) < min_cell:
        return Finding("unknown", "wait", sentence, feature_id=feature_id)
    return Finding("fine", "nothing", sentence, feature_id=feature_id)


def not_asked(remedy: str) -> str:
    """The reason of a row that nobody asked for.

    >>> not_asked("give `breakdown` a property")
    'not asked: give `breakdown` a property'
    """
    return f"{NOT_ASKED}: {remedy}"


def answered(table: ResultTable, question: Callable[[], pd.DataFrame], *, refused_because: str | None) -> pd.DataFrame:
    """The declared columns of an answer; a refused row where the whole question is refused, or where this part cannot
    be.

    A part of a page that cannot be computed is a row that says why: the other parts stand.
    """
    if refused_because:
        return refused_rows(table, refused_because)
    try:
        found = question()
    except ValueError as error:
        return refused_rows(table, str(error))
    return declared(table, found)


def declared(table: ResultTable, found: pd.DataFrame) -> pd.DataFrame:
    """The columns a table declares, in its order; what it declares and the answer lacks is empty."""
    missing = {c.name: None for c in table.columns if c.name not in found.columns}
    return found.assign(**missing)[[c.name for c in table.columns]].reset_index(drop=True)


def of_many(rows: pd.DataFrame, *, n: str, min_cell: int, per: str | None = None) -> pd.DataFrame:
    """Rows by `segment`, a value that users gave, without the values of fewer than `min_cell` units.

    What few gave, an address say, could tell who they are. Their values are one row, or one for each `per`, at the end
    that has their number and no rate. The missing value tells nothing, and stays.

    >>> rows = pd.DataFrame({"segment": ["ios", "a@x.org", "b@x.org"], "entrants": [80, 1, 2], "users": [40, 0, 2]})
    >>> of_many(rows, n="entrants", min_cell=30)[["segment", "entrants", "users"]].values.tolist()
    [['ios', 80, 40.0], ['2 values of fewer than 30 each', 3, nan]]
    """
    most = rows.groupby("segment", dropna=False)[n].transform("max")
    few = rows["segment"].notna() & (most < min_cell)
    if not few.any():
        return rows
    values = counted(rows.loc[few, "segment"].nunique(), "value")
    told = {
        "segment": f"{values} of fewer than {min_cell} each",
        "refused_because": f"values of fewer than {min_cell} are not shown apart: they could tell who somebody is",
    }
    sums = rows[few].groupby(per)[n].sum().reset_index() if per else pd.DataFrame({n: [rows.loc[few, n].sum()]})
    return pd.concat([rows[~few], sums.assign(**told)], ignore_index=True)


def reason_in(rows: pd.DataFrame) -> str | None:
    """Why none of the rows stands; None where one does, or where there is no row."""
    reasons = rows["refused_because"].dropna()
    return str(reasons.iloc[0]) if len(rows) and len(reasons) == len(rows) else None


def standing(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that are not refused."""
    return rows[rows["refused_because"].isna()]


def not_answered(reason: str, *, verdict: str = NOTHING_ASKED) -> Conclusion:
    """What a page concludes that has no answer: nothing was asked, or these data cannot answer; and why.

    Every page of which nothing is asked is refused alike, with one finding and a reason that begins with "not asked":
    it holds no number, so calling it well would be untrue, and nothing of it is to be mended.

    Args:
        verdict: of a page of which nothing is asked, where it can say more.

    >>> said = not_answered("not asked: no experiment is declared", verdict="No experiment is declared.")
    >>> said.verdict, said.findings[0].sentence, said.refused_because
    ('No experiment is declared.', 'Not asked: no experiment is declared.', 'not asked: no experiment is declared')
    """
    if reason.startswith(NOT_ASKED):
        return Conclusion(verdict, (Finding("unknown", "declare", sentence(reason)),), reason)
    return refused_conclusion(reason)


def proved_at(anchor: str, findings: Iterable[Finding]) -> list[Finding]:
    """The findings with the heading that proves them, by its id on the page."""
    return [finding._replace(anchor=anchor) for finding in findings]
