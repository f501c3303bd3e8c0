"""Variants against their control from counts, and one rule that decides. No joins: the counts come from the engine."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log10
from typing import Any, Literal, NamedTuple

import pandas as pd

from launchpad_lib.contract.findings import ExperimentVerdict
from launchpad_lib.inference.comparison import score_test_p
from launchpad_lib.inference.means import Moments, detectable_difference, fieller_difference, sequential_difference
from launchpad_lib.inference.proportions import newcombe, wilson
from launchpad_lib.inference.sample_ratio import SampleRatio

ALPHA = 0.05
Role = Literal["success", "guardrail"]
Design = Literal["fixed", "sequential"]
Reading = Literal["above", "below", "within the margin", "open", "not measured", "too few units"]

COMPARED = (
    "metric",
    "variant",
    "role",
    "margin",
    "value",
    "value_low",
    "value_high",
    "lift",
    "ci_low",
    "ci_high",
    "p",
    "n",
    "n_control",
    "relative_lift",
    "relative_low",
    "relative_high",
    "detectable_lift",
    "reading",
    "refused_because",
)


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
    be decided.
    """

    variant: str
    choice: ExperimentVerdict
    harmed: tuple[str, ...] = ()
    missing: tuple[Shortfall, ...] = ()
    refused_because: str | None = None


def compare_variants(
    counts: pd.DataFrame,
    *,
    control: str,
    role: Role,
    margin: float | None = None,
    design: Design = "fixed",
    planned_units: int = 5000,
    min_units: int = 2,
) -> pd.DataFrame:
    """Grain: one row per variant of one metric, the control first: the columns of `COMPARED`.

    The lift is variant minus control, with Newcombe's limits and the score test's p; in a sequential design with the
    limits of a confidence sequence that is tightest at `planned_units` and without p. Where several variants are
    compared, limits and p of a success metric are Bonferroni's: each variant has to win at level 0.05 / variants. A
    guardrail has to hold for the one variant that is shipped, so its limits are those of 95 %.

    `reading` of a success metric: above or below (limits on one side of 0), open. Of a guardrail: within the margin
    (lower limit above -margin), below (upper limit under 0, and not within the margin), open. Of either: not measured
    where no unit of the two arms did it, too few units where an arm has fewer than `min_units`.

    Args:
        counts: metric, variant, units, converted, refused_because; one row per variant.
    """
    by_variant = {str(row["variant"]): row for row in counts.to_dict("records")}
    names = sorted(by_variant, key=lambda v: (v != control, v))
    comparisons = max(len(names) - 1, 1) if role == "success" else 1
    rows = []
    for name in names:
        row, base = by_variant[name], by_variant.get(control)
        n, n_control = int(row["units"]), int(base["units"]) if base else 0
        told = {
            "metric": row["metric"],
            "variant": name,
            "role": role,
            "margin": margin,
            "n": n,
            "n_control": n_control,
        }
        reason = _text(row.get("refused_because"))
        if reason is None:
            rate = wilson(int(row["converted"]), n)
            told |= {"value": rate.estimate, "value_low": rate.ci_low, "value_high": rate.ci_high}
            if name != control and min(n, n_control) < 2:
                reason = (
                    f"{n} units of the variant and {n_control} of the control have a window that is over; needs two"
                )
            elif name != control and design == "sequential" and base and _is_constant(row) and _is_constant(base):
                reason = "in neither arm does the outcome vary, so a confidence sequence has no width"
            elif name != control and base:
                pair = ((int(row["converted"]), n), (int(base["converted"]), n_control))
                told |= _lift(*pair, design=design, planned_units=planned_units, comparisons=comparisons)
                told["reading"] = _reading(told, role, is_measured=pair[0][0] + pair[1][0] > 0, min_units=min_units)
        rows.append(told | {"refused_because": reason})
    return pd.DataFrame(rows, columns=list(COMPARED))


def _text(value: Any) -> str | None:
    """A reason, or None where there is none (None or NaN)."""
    return value if isinstance(value, str) else None


def _is_constant(row: dict[str, Any]) -> bool:
    return int(row["converted"]) in (0, int(row["units"]))


def _lift(
    one: tuple[int, int], zero: tuple[int, int], *, design: Design, planned_units: int, comparisons: int
) -> dict[str, float | None]:
    """The comparison of (converted, units) of a variant with that of the control."""
    level = 1 - ALPHA / comparisons
    treatment, control = (Moments(n, k, k) for k, n in (one, zero))
    relative = fieller_difference(treatment, control, level=level)
    if design == "fixed":
        absolute: tuple[Any, ...] = newcombe(*one, *zero, level=level)
        p = score_test_p(*one, *zero)
        p = None if p is None else min(1.0, p * comparisons)
    else:
        absolute = sequential_difference(treatment, control, tuning_n=planned_units, level=level)
        p, relative = None, relative._replace(estimate=None, ci_low=None, ci_high=None)
    rate, n = zero[0] / zero[1], (one[1], zero[1])
    return {
        "lift": absolute[0],
        "ci_low": absolute[1],
        "ci_high": absolute[2],
        "p": p,
        "relative_lift": relative.estimate,
        "relative_low": relative.ci_low,
        "relative_high": relative.ci_high,
        "detectable_lift": detectable_difference(rate=rate, n_treatment=n[0], n_control=n[1]) if 0 < rate < 1 else None,
    }


def _reading(told: dict[str, Any], role: Role, *, is_measured: bool, min_units: int) -> Reading:
    """What the limits show."""
    if not is_measured:
        return "not measured"
    if min(told["n"], told["n_control"]) < min_units:
        return "too few units"
    if role == "guardrail":
        if told["ci_low"] > -told["margin"]:
            return "within the margin"
        return "below" if told["ci_high"] < 0 else "open"
    if told["ci_low"] > 0:
        return "above"
    return "below" if told["ci_high"] < 0 else "open"


def decide(compared: pd.DataFrame, *, variant: str, ratio: SampleRatio) -> Decision:
    """One rule, three ways.

    Ship: units were assigned as planned, every success metric is above control and every guardrail was measured and
    lies within its margin. Do not ship: one of them is shown to be harmed. Otherwise keep running.

    Refused where units were not assigned as planned, and where a metric cannot be read: a guardrail that does not occur
    in the data is an error in the plan, never a pass.

    Args:
        compared: the rows of `compare_variants`, of all success metrics and guardrails.
    """
    if ratio.is_mismatch:
        reason = "units were not assigned in the planned ratio, so no difference can be trusted"
        return Decision(variant, "refused", refused_because=reason)
    own = compared[compared["variant"] == variant]
    if own.empty or not (own["role"] == "success").any():
        return Decision(variant, "refused", refused_because="the variant has no success metric to be judged by")
    reasons = own["refused_because"].dropna()
    if len(reasons):
        return Decision(variant, "refused", refused_because=str(reasons.iloc[0]))
    harmed = own[own["reading"] == "below"]
    if len(harmed):
        return Decision(variant, "do not ship: harm shown", harmed=tuple(harmed["metric"]))
    missing = own[~own["reading"].isin(["above", "within the margin"])]
    if len(missing):
        found = tuple(
            Shortfall(r["metric"], r["role"], r["reading"], more_units(r)) for r in missing.to_dict("records")
        )
        return Decision(variant, "keep running", missing=found)
    return Decision(variant, "ship")


def more_units(row: dict[str, Any]) -> int | None:
    """Roughly how many further units of both arms would settle a row, if its difference stays as it is; two digits.

    The distance from the lift to its lower limit shrinks with the root of the units; it has to become smaller than the
    distance to 0, or of a guardrail to -margin. None where the lift lies on the wrong side, and beyond a hundredfold.

    >>> half = {"lift": 0.01, "ci_low": -0.01, "n": 500, "n_control": 500, "role": "success", "margin": None}
    >>> more_units(half)
    3000
    """
    if row["lift"] is None or pd.isna(row["lift"]):
        return None
    room = row["lift"] + (row["margin"] if row["role"] == "guardrail" else 0.0)
    width = row["lift"] - row["ci_low"]
    if room <= 0 or width <= 0:
        return None
    further = ((width / room) ** 2 - 1) * (row["n"] + row["n_control"])
    if not 0 < further <= 100 * (row["n"] + row["n_control"]):
        return None
    size = 10 ** max(int(log10(further)) - 1, 0)
    return int(ceil(further / size - 1e-9) * size)


def best_first(decisions: Sequence[Decision], compared: pd.DataFrame) -> list[Decision]:
    """The decisions by verdict (ship, keep running, do not ship, refused), the largest lift of the first success metric
    first.
    """
    order = ("ship", "keep running", "do not ship: harm shown", "refused")
    success = compared[(compared["role"] == "success") & compared["lift"].notna()]
    lifts = success.drop_duplicates("variant").set_index("variant")["lift"].to_dict()
    return sorted(decisions, key=lambda d: (order.index(d.choice), -lifts.get(d.variant, 0.0), d.variant))
