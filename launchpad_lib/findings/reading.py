"""Parts of a page that wait for one reading of the log, and the reading."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import ibis.expr.types as ir
import pandas as pd

from launchpad_lib.contract.catalogue import ResultTable
from launchpad_lib.findings.rows import answered, refused_rows
from launchpad_lib.metrics.asked import Asked, answers

Tables = Sequence[ir.Table]


class Waiting(NamedTuple):
    """A part of a page: the questions it asks of the log, and what it makes of their tables."""

    asked: Sequence[Asked]
    finish: Callable[[Tables], Any]


def waiting(
    table: ResultTable,
    ask: Callable[[], Sequence[Asked]],
    finish: Callable[[Tables], pd.DataFrame],
    *,
    refused_because: str | None,
) -> Waiting:
    """A part that is one declared table; a refused row where it cannot be asked or made."""
    reason = refused_because
    asked: Sequence[Asked] = ()
    if reason is None:
        try:
            asked = ask()
        except ValueError as error:
            reason = str(error)
    if reason is not None:
        return already(refused_rows(table, reason))
    return Waiting(asked, lambda found: answered(table, lambda: finish(found), refused_because=None))


def already(result: Any) -> Waiting:
    """A part that needs no reading."""
    return Waiting((), lambda _: result)


def read_together(events: ir.Table, parts: Sequence[Waiting], *, unit: str = "user_id") -> list[Any]:
    """Every part, in their order, from one reading of the log."""
    found = iter(answers(events, [question for part in parts for question in part.asked], unit=unit))
    return [part.finish([next(found) for _ in part.asked]) for part in parts]
