"""The worst of several: which segment it is, and its number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import pandas as pd

from launchpad_lib.contract.estimates import Estimate, estimate_of, refusal


class Worst(NamedTuple):
    """The segment with the worst number, and that number; no segment where none has a number."""

    segment: str | None
    estimate: Estimate


def worst_of(
    table: pd.DataFrame,
    *,
    value: str,
    n: str,
    worst: Literal["lowest", "highest"],
    reason: str,
    segment: str = "feature_id",
    ci: tuple[str, str] = ("ci_low", "ci_high"),
    names: Mapping[str, str] | None = None,
    **rules: Any,
) -> Worst:
    """The row with the lowest or highest `value`; of equal ones the first by `segment`.

    Args:
        reason: why there is no number, where no row has one.
        names: what people call a segment; its own text where absent.

    >>> seen = pd.DataFrame({"feature_id": ["a", "b"], "rate": [0.9, 0.7], "users": [10, 20]})
    >>> worst_of(seen, value="rate", n="users", worst="lowest", reason="no user").segment
    'b'
    """
    known = table[table[value].notna()] if value in table.columns else table.iloc[:0]
    if known.empty:
        return Worst(None, refusal(reason, n=0, **rules))
    row = known.sort_values([value, segment], ascending=[worst == "lowest", True]).iloc[0]
    name = str(row[segment])
    return Worst((names or {}).get(name, name), estimate_of(row, value=value, n=n, ci=ci, **rules))
