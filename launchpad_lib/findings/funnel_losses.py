"""Between which steps of a funnel units are lost."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from launchpad_lib.contract.sentences import named
from launchpad_lib.findings.funnel_question import FunnelQuestion


class Loss(NamedTuple):
    """Who is lost between two steps: how many of how many, and the words for the place."""

    step_before: int
    where: str
    lost: int
    at_risk: int


def losses(asked: FunnelQuestion, result: pd.DataFrame) -> list[Loss]:
    """The losses between consecutive steps, largest first; who leaves an optional step out is not lost."""
    found = []
    asked_for = result[[not step.is_optional for step in asked.steps]]
    for before, after in zip(asked_for.iloc[:-1].itertuples(), asked_for.iloc[1:].itertuples(), strict=True):
        where = f"between {named(before.step_name)} and {named(after.step_name)}"
        if asked.mode == "any_order":
            where = f"after {before.step} of {len(result)} steps"
        found.append(Loss(int(before.step), where, int(after.lost), int(after.lost + after.users)))
    return sorted(found, key=lambda loss: -loss.lost)
