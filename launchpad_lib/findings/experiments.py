"""What the experiments page says: one decision, three ways, and every sentence from results."""

from __future__ import annotations

from typing import Any

from launchpad_lib.contract.findings import Conclusion, Finding, Severity, Verb, conclusion
from launchpad_lib.contract.sentences import counted, ended, listed, named
from launchpad_lib.contract.wording import is_missing, percent, points
from launchpad_lib.findings.experiment_results import ExperimentPlan, ExperimentResults, left_out
from launchpad_lib.inference import Decision, Shortfall

SEVERITIES: dict[str, tuple[Severity, Verb]] = {
    "ship": ("fine", "ship"),
    "do not ship: harm shown": ("act", "stop"),
    "keep running": ("watch", "keep running"),
    "refused": ("unknown", "find out"),
}
MOST_VARIANTS = 10


def experiment_conclusion(found: ExperimentResults) -> Conclusion:
    """The verdict on the experiment; a finding on each variant, on who is left out, and on the sample ratio."""
    plan = found.plan
    if not plan.is_asked:
        sentence = "Not asked: no experiment is declared with its experiment_id, control and metric_event."
        return conclusion("Not asked: no experiment is declared.", [Finding("unknown", "declare", sentence)])
    reason = _reason(found)
    if reason:
        said = [Finding("unknown", "find out", f"Nothing is decided: {ended(reason)}"), *_about_units(found)]
        return conclusion(f"These data cannot decide {named(plan.experiment_id)}.", said)._replace(
            refused_because=reason
        )
    return conclusion(
        experiment_sentence(found), [*_about_variants(found), *_about_units(found), _about_ratio(found), *_naive(found)]
    )


def experiment_sentence(found: ExperimentResults) -> str:
    """At most 16 words beside names: ship which, do not ship, or keep running and what is missing first."""
    best, metric = found.decisions[0], named(found.plan.metric_event)
    if best.choice == "ship":
        guards = "every guardrail is within its margin" if found.plan.guardrail_events else "no guardrail was declared"
        return f"Ship {named(best.variant)}: {metric} is above control, {guards}."
    if best.choice == "do not ship: harm shown":
        if len(found.decisions) > 1:
            return "Do not ship any variant: harm shown for each."
        return f"Do not ship {named(best.variant)}: harm shown, {listed([named(m) for m in best.harmed], most=2)} fell."
    return f"Keep running {named(found.plan.experiment_id)}: {_missing_first(best)}."


def _missing_first(best: Decision) -> str:
    """What the best variant lacks, in a few words."""
    first = best.missing[0]
    metric, variant = named(first.metric), named(best.variant)
    if first.reading == "not measured":
        return f"{metric} was not measured, no unit did it"
    if first.reading == "too few units":
        return f"too few units of {variant} or its control yet"
    if first.role == "guardrail":
        return f"{metric} of {variant} is not shown to be within its margin"
    return f"{metric} of {variant} is not shown to differ from control"


def _reason(found: ExperimentResults) -> str | None:
    """Why nothing can be decided; None where at least one variant can."""
    if found.plan.refused_because:
        return found.plan.refused_because
    if found.ratio.is_mismatch:
        return _mismatch(found)
    reasons = [d.refused_because for d in found.decisions]
    return str(reasons[0]) if all(reasons) else None


def _mismatch(found: ExperimentResults) -> str:
    """Units per variant against what was planned, and what to state if no split was planned."""
    assigned = found.units[found.units["standing"] == "assigned"]
    total = int(assigned["units"].sum())
    seen = [
        f"{named(r.variant)} {r.units:,} where {r.planned_share * total:,.0f} are due" for r in assigned.itertuples()
    ]
    said = f"units were not assigned in the planned ratio, {listed(seen)}, so no difference can be trusted"
    if found.plan.shares:
        return said
    return f"{said}; no shares are planned, so an equal split was expected: state `shares` if another one was meant"


def _about_variants(found: ExperimentResults) -> list[Finding]:
    """One finding a variant: its decision, and the numbers behind it."""
    said = [_about_variant(decision, found) for decision in found.decisions[:MOST_VARIANTS]]
    more = len(found.decisions) - MOST_VARIANTS
    if more > 0:
        said.append(
            Finding(
                "watch", "look", f"{counted(more, 'more variant')} {'is' if more == 1 else 'are'} in the table only."
            )
        )
    return said


def _about_variant(decision: Decision, found: ExperimentResults) -> Finding:
    severity, verb = SEVERITIES[decision.choice]
    name = named(decision.variant)
    if decision.choice == "refused":
        return Finding(severity, verb, f"Nothing is decided about {name}: {ended(str(decision.refused_because))}")
    own = found.rows[found.rows["variant"] == decision.variant].to_dict("records")
    base = found.rows[found.rows["variant"] == found.plan.control].set_index("metric")["value"]
    told = {
        "ship": f"Ship {name}",
        "do not ship: harm shown": f"Do not ship {name}, harm is shown",
        "keep running": f"Keep running {name}",
    }[decision.choice]
    numbers = "; ".join(_numbers(row, base, found.plan) for row in own)
    needs = dict.fromkeys(_missing_words(m, found.plan) for m in decision.missing)  # several metrics may need the same
    missing = "".join(f" {need}" for need in needs)
    guards = "" if found.plan.guardrail_events else " No guardrail was declared, so none was measured."
    users = int(own[0]["n"]) if decision.choice == "do not ship: harm shown" else None
    return Finding(severity, verb, f"{told}: {numbers}.{missing}{guards}", users=users)


def _numbers(row: dict[str, Any], base: Any, plan: ExperimentPlan) -> str:
    """One metric of a variant with its base, beside the control."""
    metric, control = named(row["metric"]), named(plan.control)
    shares = (
        f"{percent(row['value'])} of {counted(row['n'], 'unit')} against {percent(base[row['metric']])} of {control}"
    )
    differs = points(row["lift"], row["ci_low"], row["ci_high"])
    if row["role"] == "guardrail":
        return f"guardrail {metric} {shares}, {differs}, {_guard_words(row)}"
    return f"{metric} {shares}, {differs}"


def _guard_words(row: dict[str, Any]) -> str:
    margin = f"{100 * row['margin']:g} points"
    return {
        "within the margin": f"within the margin of {margin}",
        "below": f"below control and not within {margin}",
        "open": f"not shown to be within {margin}",
        "not measured": "not measured",
        "too few units": "too few units to tell",
    }[row["reading"]]


def _missing_words(missing: Shortfall, plan: ExperimentPlan) -> str:
    """What would settle it, roughly; more units where they would."""
    metric = named(missing.metric)
    if missing.reading == "not measured":
        return f"No unit of these arms did {metric} within {plan.within}, so it was not measured."
    if missing.reading == "too few units":
        return f"Each arm needs {counted(plan.min_cell, 'unit')} whose window is over."
    if missing.more_units is None:
        return f"If {metric} stays as it is, more units alone will hardly settle it."
    return f"If {metric} stays as it is, about {counted(missing.more_units, 'more unit')} of both arms would settle it."


def _about_units(found: ExperimentResults) -> list[Finding]:
    """Who is exposed and not compared, and when the others were exposed."""
    said = []
    out = left_out(found)
    if out:
        said.append(Finding("watch", "look", f"Left out of every rate: {listed(out, most=5)}."))
    if found.units.empty:
        return said
    assigned = found.units[found.units["standing"] == "assigned"]
    first, last = found.exposed_on
    when = "" if is_missing(first) else _on(f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}")
    sentence = (
        f"{counted(assigned['units'].sum(), 'unit')} of {counted(len(assigned), 'variant')} were first exposed{when}"
    )
    still_open = int(assigned["units_immature"].sum())
    if still_open:
        sentence += f"; the window of {found.plan.within} is not over for {still_open:,}, which are in no rate"
    elif found.plan.immature_units == "count":
        sentence += f"; all count, with what they did within {found.plan.within} or until the log ended"
    return [*said, Finding("fine", "nothing", f"{sentence}.")]


def _on(first: str, last: str) -> str:
    return f" on {first}" if first == last else f" between {first} and {last}"


def _about_ratio(found: ExperimentResults) -> Finding:
    """Whether units were assigned as planned; where no plan is declared, against what they were tested."""
    plan = "the planned split" if found.plan.shares else "an equal split, since no shares are planned"
    p = (
        "under 0.001"
        if found.ratio.p_value is not None and found.ratio.p_value < 0.001
        else f"{found.ratio.p_value:.3f}"
    )
    return Finding("fine", "nothing", f"The numbers of units do not contradict {plan}: p = {p}.")


def _naive(found: ExperimentResults) -> list[Finding]:
    """What a join on the user alone would have counted, where it differs."""
    success = found.rows[found.rows["role"] == "success"]
    naive, right = int(success["naive_converted"].sum()), int(success["converted"].sum())
    if naive == right:
        return []
    metric = named(found.plan.metric_event)
    return [
        Finding(
            "fine",
            "nothing",
            f"A join on the user alone would count {naive:,} units with {metric} instead of {right:,}: "
            "the others did it before their first exposure or after the window.",
        )
    ]
