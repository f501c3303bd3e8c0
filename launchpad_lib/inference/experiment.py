"""One rule that decides an experiment, from its comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log10
from typing import Any, Literal, NamedTuple

import pandas as pd

from launchpad_lib.contract.findings import ExperimentVerdict
from launchpad_lib.contract.planned_metrics import Role
from launchpad_lib.inference.sample_ratio import SampleRatio
from launchpad_lib.inference.variants import Reading


class Shortfall(NamedTuple):
    """What keeps a variant from being shipped; `more_units`: roughly how many further units of both arms would show it,
    if the difference stays as it is; None where more units alone would not.
    """

    metric: str
    role: Role
    reading: Reading
    more_units: int | None


class Decision(NamedTuple):
    """Of one variant: the verdict; which metrics are shown to be harmed; what is missing; why nothing can
    be decided; which success metrics are shown to be better.
    """

    variant: str
    choice: ExperimentVerdict
    harmed: tuple[str, ...] = ()
    missing: tuple[Shortfall, ...] = ()
    refused_because: str | None = None
    better: tuple[str, ...] = ()


def decide(compared: pd.DataFrame, *, variant: str, ratio: SampleRatio) -> Decision:
    """One rule, three ways.

    Ship: units were assigned as planned, a success metric is better than control and none is worse, and every guardrail
    was measured and lies within its margin. Do not ship: a success metric or a guardrail is shown to be harmed.
    Otherwise keep running. Exploratory metrics decide nothing.

    Refused where units were not assigned as planned, and where a metric cannot be read: a guardrail that does not occur
    in the data is an error in the plan, never a pass.

    Args:
        compared: the rows of `compare_variants`, of all metrics.
    """
    if ratio.is_mismatch:
        reason = "units were not assigned in the planned ratio, so no difference can be trusted"
        return Decision(variant, "refused", refused_because=reason)
    own = compared[(compared["variant"] == variant) & compared["role"].isin(["success", "guardrail"])]
    if own.empty or not (own["role"] == "success").any():
        return Decision(variant, "refused", refused_because="the variant has no success metric to be judged by")
    reasons = own.loc[own["reading"] != "not yet", "refused_because"].dropna()
    if len(reasons):
        return Decision(variant, "refused", refused_because=str(reasons.iloc[0]))
    rows = own.to_dict("records")
    harmed = tuple(r["metric"] for r in rows if _side(r) == "worse")
    if harmed:
        return Decision(variant, "do not ship: harm shown", harmed=harmed)
    better = tuple(r["metric"] for r in rows if r["role"] == "success" and _side(r) == "better")
    is_missing = [
        r["reading"] != "within the margin" if r["role"] == "guardrail" else not better and _side(r) != "better"
        for r in rows
    ]
    missing = tuple(
        Shortfall(r["metric"], r["role"], r["reading"], more_units(r))
        for r, lacks in zip(rows, is_missing, strict=True)
        if lacks
    )
    if missing:
        return Decision(variant, "keep running", missing=missing, better=better)
    return Decision(variant, "ship", better=better)


def _side(row: dict[str, Any]) -> Literal["better", "worse"] | None:
    """What a reading means, given which way is good."""
    if row["reading"] not in ("above", "below"):
        return None
    return "better" if (row["reading"] == "above") == (row.get("direction") != "decrease") else "worse"


def more_units(row: dict[str, Any]) -> int | None:
    """Roughly how many further units of both arms would settle a row, if its difference stays as it is; two digits.

    The distance from the lift to its limit on the harmful side shrinks with the root of the units; it has to become
    smaller than the distance to 0, or of a guardrail to its margin. None where the lift lies on the wrong side, and
    beyond a hundredfold.

    >>> half = {"lift": 0.01, "ci_low": -0.01, "n": 500, "n_control": 500, "role": "success", "margin": None}
    >>> more_units(half)
    3000
    """
    if row["lift"] is None or pd.isna(row["lift"]):
        return None
    is_rise = row.get("direction") != "decrease"
    lift, limit = (row["lift"], row["ci_low"]) if is_rise else (-row["lift"], -row["ci_high"])
    room = lift + (_tolerated(row) if row["role"] == "guardrail" else 0.0)
    width = lift - limit
    if room <= 0 or not width > 0:
        return None
    further = ((width / room) ** 2 - 1) * (row["n"] + row["n_control"])
    if not 0 < further <= 100 * (row["n"] + row["n_control"]):
        return None
    size = 10 ** max(int(log10(further)) - 1, 0)
    return int(ceil(further / size - 1e-9) * size)


def _tolerated(row: dict[str, Any]) -> float:
    """The margin in the metric's own unit."""
    if row["margin"] is not None and not pd.isna(row["margin"]):
        return float(row["margin"])
    return float(row["relative_margin"]) * abs(row["value"] - row["lift"])


def best_first(decisions: Sequence[Decision], compared: pd.DataFrame) -> list[Decision]:
    """The decisions by verdict (ship, keep running, do not ship, refused), the largest gain of the first success metric
    first.
    """
    order = ("ship", "keep running", "do not ship: harm shown", "refused")
    success = compared[(compared["role"] == "success") & compared["lift"].notna()]
    first = success.drop_duplicates("variant").set_index("variant")
    gains = {
        v: -x if way == "decrease" else x
        for v, x, way in zip(first.index, first["lift"], first["direction"], strict=True)
    }
    return sorted(decisions, key=lambda d: (order.index(d.choice), -gains.get(d.variant, 0.0), d.variant))
