"""An experiment from raw exposures and events: first exposure, outcomes after it only, units whose window is over only."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import pandas as pd

from launchpad_lib.inference.means import Moments, detectable_difference, fieller_difference, sequential_difference
from launchpad_lib.inference.proportions import newcombe, wilson


class Experiment(NamedTuple):
    """`arms`: one row per variant, the control first. units, units_immature (exposed, window not over: in no count), converted,
    rate, ci_low, ci_high; against control absolute_lift (lift_low, lift_high), relative_lift (relative_low, relative_high; NULL
    where the control rate is not clearly above 0), corrected_low (lower limit of the lift at level 1 - 0.05 / comparisons, which the
    decision uses), detectable_lift; naive_converted: of these units, what a join on the user alone counts.
    `excluded`: users seen in several variants; `events_before_exposure`: outcome events a naive join would count;
    `refused_because`: why there is nothing to compare, else None."""

    arms: pd.DataFrame
    excluded: int
    events_before_exposure: int
    refused_because: str | None


ARM_COLUMNS = (
    "variant", "units", "units_immature", "converted", "rate", "ci_low", "ci_high", "absolute_lift", "lift_low", "lift_high",
    "relative_lift", "relative_low", "relative_high", "corrected_low", "detectable_lift", "naive_converted",
)  # fmt: skip


def experiment_result(
    exposures: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    control: str,
    window: timedelta,
    observed_through: datetime | None = None,
    design: Literal["fixed", "sequential"] = "fixed",
) -> Experiment:
    """Conversion per variant within `window` after first exposure, against control.

    Args:
        exposures: user_id, variant, event_at.
        outcomes: user_id, event_at of the outcome event.
        observed_through: last instant of the data; None takes every window for over.
        design: "fixed" is read once at a planned end (Newcombe); "sequential" may be read at any time (confidence sequence).
    """
    variants = exposures.groupby("user_id")["variant"].nunique()
    several = variants.index[variants > 1]
    single = exposures[~exposures["user_id"].isin(several)]
    first = single.groupby("user_id").agg(variant=("variant", "first"), exposed_at=("event_at", "min")).reset_index()
    is_mature = (
        first["exposed_at"] + window <= observed_through
        if observed_through is not None
        else first["exposed_at"].notna()
    )
    joined = outcomes.merge(first.assign(is_mature=is_mature), on="user_id")
    is_after = joined["event_at"] >= joined["exposed_at"]
    in_time = joined[is_after & joined["is_mature"] & (joined["event_at"] <= joined["exposed_at"] + window)]
    exposed = first.groupby("variant")["user_id"].nunique()
    units = first[is_mature].groupby("variant")["user_id"].nunique().reindex(exposed.index, fill_value=0)
    converted = in_time.groupby("variant")["user_id"].nunique().reindex(units.index, fill_value=0)
    naive = joined[joined["is_mature"]].groupby("variant")["user_id"].nunique().reindex(units.index, fill_value=0)
    names = sorted(units.index, key=lambda v: (v != control, str(v)))
    counts = {v: (int(converted[v]), int(units[v])) for v in names}
    rows = [
        (
            v,
            counts[v][1],
            int(exposed[v]) - counts[v][1],
            counts[v][0],
            *wilson(*counts[v]),
            *_lifts(v, control, counts, design),
            int(naive[v]),
        )
        for v in names
    ]
    reason = None
    if control not in counts:
        reason = f"no unit was exposed to the control {control!r}" + (
            f"; variants seen: {', '.join(map(str, names))}" if names else ""
        )
    elif len(names) < 2:
        reason = "only one variant was seen"
    elif min(n for _, n in counts.values()) < 2:
        reason = "a variant has fewer than two units whose window is over"
    return Experiment(pd.DataFrame(rows, columns=list(ARM_COLUMNS)), len(several), int((~is_after).sum()), reason)


def _lifts(variant: str, control: str, counts: dict[str, tuple[int, int]], design: str) -> tuple:
    """Absolute and relative lift with their limits, and the detectable difference; None for the control and where units lack."""
    if variant == control or control not in counts or min(counts[variant][1], counts[control][1]) < 2:
        return (None,) * 8
    (k1, n1), (k0, n0) = counts[variant], counts[control]
    one, zero = Moments(n1, k1, k1), Moments(n0, k0, k0)
    level = 1 - 0.05 / (len(counts) - 1)
    corrected = (
        newcombe(k1, n1, k0, n0, level=level)[1]
        if design == "fixed"
        else sequential_difference(one, zero, tuning_n=n1 + n0, level=level)[1]
    )
    absolute = newcombe(k1, n1, k0, n0) if design == "fixed" else sequential_difference(one, zero, tuning_n=n1 + n0)[:3]
    relative = fieller_difference(one, zero)[:3] if design == "fixed" else (None,) * 3
    return (
        *absolute,
        *relative,
        corrected,
        detectable_difference(rate=k0 / n0, n_treatment=n1, n_control=n0) if 0 < k0 < n0 else None,
    )


class Decision(NamedTuple):
    """`choice`: ship, do not ship, or no decision; `because`: the rule's reason in one sentence."""

    choice: Literal["ship", "do not ship", "no decision"]
    because: str


def decide(
    success: Experiment, guardrails: dict[str, Experiment], *, variant: str, is_ratio_broken: bool, margin: float
) -> Decision:
    """One rule: ship if the success metric is above control (interval above 0, Bonferroni over the variants), every guardrail is within `margin` below control
    (interval above -margin), and units were assigned as planned. A guardrail that no unit did was not measured: the name may be
    misspelt, so nothing is decided."""
    if is_ratio_broken:
        return Decision("no decision", "units were not assigned in the planned ratio, so no difference can be trusted")
    if success.refused_because:
        return Decision("no decision", success.refused_because)
    unmeasured = [name for name, e in guardrails.items() if e.refused_because or not e.arms["converted"].sum()]
    if unmeasured:
        return Decision(
            "no decision",
            f"the guardrail {', '.join(map(repr, unmeasured))} was not measured: no exposed user did it within the window; "
            "check its name or leave it out of the plan",
        )
    rows = {
        name: e.arms.set_index("variant").loc[variant]
        for name, e in guardrails.items()
        if variant in set(e.arms["variant"])
    }
    worse = [name for name, row in rows.items() if row["lift_high"] < 0]
    open_ones = [name for name, row in rows.items() if not row_is_within(row, margin)]
    own = success.arms.set_index("variant").loc[variant]
    if own["lift_high"] < 0 or worse:
        return Decision(
            "do not ship", f"{'the success metric' if own['lift_high'] < 0 else ', '.join(worse)} is below control"
        )
    if own["corrected_low"] <= 0:
        return Decision(
            "do not ship",
            "the success metric is not shown to be above control"
            + (" after correction for several variants" if own["lift_low"] > 0 else ""),
        )
    if open_ones:
        return Decision(
            "do not ship", f"{', '.join(open_ones)} is not shown to be within {100 * margin:g} points of control"
        )
    won = "the success metric is above control"
    if not rows:
        return Decision("ship", f"{won}; no guardrail was measured")
    return Decision("ship", f"{won} and no guardrail is worse by more than its margin")


def row_is_within(row: pd.Series, margin: float) -> bool:
    """Whether a guardrail's interval lies above -margin."""
    return bool(pd.notna(row["lift_low"]) and row["lift_low"] > -margin)
