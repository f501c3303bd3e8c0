"""Questions that are asked together and answered from one reading of the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import ibis.expr.types as ir

from launchpad_lib.metrics.checks import READ


class Asked(NamedTuple):
    """A question that waits for its reading: the folds that must see the log, and the table they then make.

    A refused question has no folds.
    """

    folds: Sequence
    answer: Callable[[], ir.Table]


def answers(events: ir.Table, asked: Sequence[Asked], *, unit: str = "user_id") -> list[ir.Table]:
    """The table of every question, in their order; arguments and reading are those of `read_for`."""
    read_for(events, asked, unit=unit)
    return [question.answer() for question in asked]


def read_for(events: ir.Table, asked: Sequence[Asked], *, unit: str = "user_id") -> None:
    """Reads the log for all questions; each can then make its table, when it is wanted.

    It is read once; folds that need few rows are read apart from those that need all, and the wide columns only of
    their rows.

    Args:
        events: the log that the questions were made of.
        unit: the column whose values they count.
    """
    from launchpad_lib.metrics.kernels.one_reading import read_once

    # Questions that look at one thing from several sides share its fold.
    folds = list({id(fold): fold for question in asked for fold in question.folds}.values())
    few = [fold for fold in folds if fold.flags.get(READ) is not None]
    for together in (few, [fold for fold in folds if fold not in few]):
        if together:
            read_once(events, together, unit=unit)
