"""The reported chains of a part of the units, as a fold hands them to those who count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from launchpad_lib.metrics.steps import Rules

NEVER = np.iinfo(np.int64).min
NO_ROW = -2  # the code of a next event where there is none


class Chains(NamedTuple):
    """Reported chains of a part of the units. Grain: one row per unit and span or period that the unit entered.

    The reported chain is the deepest one a unit has; among those the one that is complete first; among those the one
    that began last. Instants are microseconds since 1970.

    `unit` numbers the units of the reading; `group` is the number of the period, or the place of the span; `at[:, k]`
    is the instant of step k + 1 (NEVER: not reached); `values[:, k]` the code of the breakdown's value there (-1: none)
    into `names`. `next_event` is the code, into `event_names`, of the unit's very next event after the last required
    step (-1: without a name, NO_ROW: none) and `next_at` its instant.
    """

    unit: np.ndarray
    group: np.ndarray
    first_entry_at: np.ndarray
    at: np.ndarray
    is_removed: np.ndarray
    is_mature: np.ndarray
    values: np.ndarray | None
    names: list[str]
    next_event: np.ndarray
    next_at: np.ndarray
    event_names: list[str]

    @property
    def is_counted(self) -> np.ndarray:
        """Mature and not removed by an exclusion."""
        return self.is_mature & ~self.is_removed

    def segment(self, rules: Rules) -> np.ndarray:
        """Code of the unit's value of the breakdown: of its first or last reached step that has one, or of the chosen
        step.
        """
        if self.values is None:
            return np.full(len(self.unit), -1, np.int32)
        if isinstance(rules.attribution, int):
            return self.values[:, rules.attribution - 1]
        order = self.values if rules.attribution == "first_touch" else self.values[:, ::-1]
        return order[np.arange(len(order)), (order >= 0).argmax(axis=1)]


class FoundRows(NamedTuple):
    """Reported chains and the rows they were found in, of a part.

    `unit` numbers the units of the part, `rows[:, k]` is the row of step k + 1 of each chain (-1: not reached). Rows of
    unit number i are `starts[i] : starts[i + 1]`, in the order in which the funnel reads them; `match` is what each is
    (bits of `kernels.step_rows`), `codes` its name; `columns` are codes of further texts into `texts` (-1: NULL).
    """

    chains: Chains
    unit: np.ndarray
    rows: np.ndarray
    starts: np.ndarray
    at: np.ndarray
    codes: np.ndarray
    match: np.ndarray
    columns: Mapping[str, np.ndarray]
    texts: Mapping[str, list[str]]
