"""Questions that are asked together and answered from one reading of the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import ibis.expr.types as ir


class Asked(NamedTuple):
    """A question that waits for its reading: the folds that must see the log, and the table they then make.

    A refused question has no folds.
    """

    folds: Sequence
    answer: Callable[[], ir.Table]


def answers(events: ir.Table, asked: Sequence[Asked], *, unit: str = "user_id") -> list[ir.Table]:
    """The table of every question, in their order; the log is read once.

    Args:
        events: the log that the questions were made of.
        unit: the column whose values they count.
    """
    from launchpad_lib.metrics.kernels.one_reading import read_once

    # Questions that look at one thing from several sides share its fold.
    folds = list({id(fold): fold for question in asked for fold in question.folds}.values())
    if folds:
        read_once(events, folds, unit=unit)
    return [question.answer() for question in asked]
