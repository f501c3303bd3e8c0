"""The numbers of one metric of a variant as they stand in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from launchpad_lib.contract.sentences import counted, named
from launchpad_lib.contract.wording import is_missing, percent, points
from launchpad_lib.findings.experiment_plans import ExperimentPlan
from launchpad_lib.findings.experiment_results import ExperimentResults
from launchpad_lib.inference import Shortfall
from launchpad_lib.metrics.experiment_sums import NO_UNIT


def metric_words(row: dict[str, Any], base: Any, plan: ExperimentPlan) -> str:
    """One metric of a variant with its base, beside the control."""
    metric, control = named(row["metric"]), named(plan.control)
    if is_share(plan, row["metric"]):
        of = f"{percent(row['value'])} of {counted(row['n'], plan.counted_as)}"
        shares = f"{of} against {percent(base[row['metric']])} of {control}"
        differs = adjusted_words(row) + points(row["lift"], row["ci_low"], row["ci_high"])
    else:
        of = f"{number(row['value'])} of {counted(row['n'], plan.counted_as)}"
        shares = f"{of} against {number(base[row['metric']])} of {control}"
        differs = f"{adjusted_words(row) or 'a difference of '}{number(row['lift'])}"
        if not is_missing(row["ci_low"]):
            differs += f" ({number(row['ci_low'])} to {number(row['ci_high'])})"
    if row["role"] == "guardrail":
        return f"guardrail {metric} {shares}, {differs}, {_guard_words(row, plan)}"
    return f"{metric} {shares}, {differs}"


def adjusted_words(row: dict[str, Any]) -> str:
    """What a difference that is not the one of the two values beside it is called; empty where it is.

    >>> adjusted_words({"estimator": "cuped"}), adjusted_words({"estimator": "unadjusted"})
    ('adjusted by CUPED a difference of ', '')
    """
    how = {"cuped": "adjusted by CUPED", "post-stratified": "adjusted for strata"}.get(str(row.get("estimator")))
    return f"{how} a difference of " if how else ""


def is_share(plan: ExperimentPlan, metric: str) -> bool:
    own = plan.metric(metric)
    return own is not None and own.kind in ("conversion", "retention")


def number(value: float | None) -> str:
    """A mean, a ratio or a difference to four digits.

    >>> number(0.76983), number(1234.5), number(None)
    ('0.7698', '1,234', 'an unknown number')
    """
    if is_missing(value) or value is None:
        return "an unknown number"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _guard_words(row: dict[str, Any], plan: ExperimentPlan) -> str:
    if not is_missing(row["relative_margin"]):
        margin = f"{100 * row['relative_margin']:g} % of control"
    else:
        margin = f"{100 * row['margin']:g} points" if is_share(plan, row["metric"]) else f"{row['margin']:g}"
    return {
        "within the margin": f"within the margin of {margin}",
        "below": f"below control and not within {margin}",
        "above": f"above control and not within {margin}",
        "open": f"not shown to be within {margin}",
        "not measured": "not measured",
        "too few units": f"too few {plan.counted_as}s to tell",
    }[row["reading"]]


def missing_words(missing: Shortfall, found: ExperimentResults) -> str:
    """What would settle it, roughly; more units where they would."""
    metric, plan = named(missing.metric), found.plan
    if missing.reading == "not yet":
        return f"{str(found.not_yet).removeprefix('not yet: ').capitalize()}."
    if missing.reading == "not measured":
        return f"No unit of these arms did {metric} within {plan.within}, so it was not measured."
    if missing.reading == "too few units":
        own, needed = plan.metric(missing.metric), counted(plan.min_cell, plan.counted_as)
        if own is not None and own.kind == "ratio":
            return f"Each arm needs {needed} that weigh in what {metric} is divided by."
        return f"Each arm needs {needed} whose window is over."
    if missing.more_units is None:
        return f"If {metric} stays as it is, more {plan.counted_as}s alone will hardly settle it."
    more = counted(missing.more_units, f"more {plan.counted_as}")
    return f"If {metric} stays as it is, about {more} of both arms would settle it."


def needs_words(missing: Sequence[Shortfall], found: ExperimentResults) -> list[str]:
    """What would settle a variant, each thing once. One success metric is enough, so of several that are open only the
    nearest is told.
    """
    several = [m for m in missing if m.role == "success" and m.reading in ("above", "below", "open")]
    if len(several) < 2:
        return list(dict.fromkeys(missing_words(m, found) for m in missing))
    nearest = min((m for m in several if m.more_units is not None), key=lambda m: int(m.more_units or 0), default=None)
    plan = found.plan
    said = (
        f"If all {len(several)} success metrics stay as they are, more {plan.counted_as}s alone will hardly settle it."
    )
    if nearest is not None:
        said = (
            f"One success metric is enough; {named(nearest.metric)} is nearest: if it stays as it is, about "
            f"{counted(int(nearest.more_units or 0), f'more {plan.counted_as}')} of both arms would settle it."
        )
    return list(dict.fromkeys([said, *(missing_words(m, found) for m in missing if m not in several)]))


def left_out(found: ExperimentResults) -> list[str]:
    """Exposed units that are not compared, counted and named."""
    units = found.units

    def of(standing: str) -> int:
        return int(units.loc[units["standing"] == standing, "units"].sum())

    said = [
        f"{counted(r.units, 'unit')} of the unplanned variant {named(r.variant)}"
        for r in units[units["standing"] == "outside the plan"].itertuples()
    ]
    words = {
        "no variant": "without a variant",
        "several variants": "that saw several variants",
        "before the start": "exposed before the planned start",
        "after the end": "exposed after the planned end",
        "no cluster": "without a cluster",
        "cluster in several variants": "of clusters that saw several variants",
    }
    said += [f"{counted(of(s), 'unit')} {text}" for s, text in words.items() if of(s)]
    if of(NO_UNIT) and found.plan.planned:
        said.append(f"{counted(of(NO_UNIT), 'user')} whose exposure names no {named(found.plan.planned.unit)}")
    return said


def share_left_out(found: ExperimentResults) -> str:
    """Which part of all exposed units that is."""
    units = found.units[found.units["standing"] != NO_UNIT]
    out, total = int(units.loc[units["standing"] != "assigned", "units"].sum()), int(units["units"].sum())
    part = "under 0.1 %" if 0 < out < 0.001 * total else percent(out / total)
    return f"{part} of {counted(total, 'exposed unit')}"
