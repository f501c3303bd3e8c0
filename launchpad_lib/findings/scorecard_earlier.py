"""What the cells of a scorecard are made of: the earlier pages of a run, and cells without a number."""

from __future__ import annotations

from typing import Any, NamedTuple

from launchpad_lib.contract.findings import Finding, Verb
from launchpad_lib.contract.legible import shortened
from launchpad_lib.contract.manifest import Cell, DaySaid
from launchpad_lib.contract.sentences import sentence
from launchpad_lib.contract.wording import is_missing
from launchpad_lib.findings.rows import NOT_ASKED
from launchpad_lib.findings.scorecard_correction import Family
from launchpad_lib.page.run_results import RunResults

REASON_CELLS = 200


class Told(NamedTuple):
    """A cell, and what to do about it."""

    cell: Cell
    verb: Verb


class Earlier(NamedTuple):
    """The pages of a run so far, as cells are made of them.

    `missing`: why a table is not there, by its notebook; `last_day`: the last local day of telemetry that is over.
    """

    results: RunResults
    family: Family
    smallest_change: float
    last_day: str | None

    def row(self, table: str, feature_id: str, **which: Any) -> dict[str, Any] | None:
        """The row of a feature in a result table; None where there is none."""
        rows = self.results.tables.get(table)
        if rows is None:
            return None
        own = rows[rows["feature_id"] == feature_id]
        for column, value in which.items():
            own = own[own[column] == value]
        return own.iloc[0].to_dict() if len(own) else None

    def missing(self, notebook: str) -> str:
        """Why a notebook has nothing to say of a feature."""
        page = self.results.pages.get(notebook)
        if page is None:
            where = "is not in this run; add it to `sequence`" if self.results.is_run else "is read from a run"
            return f"{notebook} {where}" if self.results.is_run else f"{notebook} {where}; start one with a params file"
        if page.reason is None:
            return f"{notebook} says nothing of it"
        if page.reason.startswith(NOT_ASKED):
            return page.reason
        return f"{notebook} {page.status}, {shortened(page.reason, cells=REASON_CELLS)}"

    def findings(self, notebook: str, feature_id: str) -> list[Finding]:
        """What a page found of a feature, gravest first."""
        page = self.results.pages.get(notebook)
        return [f for f in page.findings if f.feature_id == feature_id] if page else []


def without_number(reason: str, *, page: str, anchor: str | None, series: tuple[DaySaid, ...] = ()) -> Told:
    """A cell without a number: not asked, or refused; and why."""
    is_open = reason.startswith(NOT_ASKED)
    cell = Cell(
        word=NOT_ASKED if is_open else "refused",
        severity="unknown",
        says=sentence(reason),
        page=page,
        anchor=anchor,
        series=series,
    )
    return Told(cell, "declare" if is_open else "find out")


def number(value: Any) -> float | None:
    """A number of a result table; None where it is missing."""
    return None if is_missing(value) else float(value)
