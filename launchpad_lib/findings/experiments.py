"""What the experiments page says: one decision, three ways, and every sentence from results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from launchpad_lib.contract.catalogue import experiments as tables
from launchpad_lib.contract.findings import Conclusion, Finding, Severity, Verb, conclusion
from launchpad_lib.contract.sentences import counted, ended, listed, named
from launchpad_lib.contract.wording import is_missing, percent, points
from launchpad_lib.findings.experiment_plans import ExperimentPlan
from launchpad_lib.findings.experiment_results import ExperimentResults, left_out
from launchpad_lib.findings.rows import declared
from launchpad_lib.inference import Decision, Shortfall, holm
from launchpad_lib.metrics.experiment_sums import MOST_LEVELS

SEVERITIES: dict[str, tuple[Severity, Verb]] = {
    "ship": ("fine", "ship"),
    "do not ship: harm shown": ("act", "stop"),
    "keep running": ("watch", "keep running"),
    "refused": ("unknown", "find out"),
}
MOST_VARIANTS = 10
MOST_METRICS_TOLD = 6


def experiment_conclusion(found: ExperimentResults) -> Conclusion:
    """The verdict on the experiment; a finding on each variant, on who is left out, and on the sample ratio."""
    plan = found.plan
    if not plan.is_asked:
        sentence = "Not asked: no experiment is declared with its experiment_id, control and metrics."
        return conclusion("Not asked: no experiment is declared.", [Finding("unknown", "declare", sentence)])
    reason = _reason(found)
    if reason:
        said = [Finding("unknown", "find out", f"Nothing is decided: {ended(reason)}"), *_about_units(found)]
        return conclusion(f"These data cannot decide {named(plan.experiment_id)}.", said)._replace(
            refused_because=reason
        )
    said = [*_about_variants(found), *_about_units(found), _about_ratio(found), *_before(found), *_naive(found)]
    return conclusion(experiment_sentence(found), [*said, *_about_looks(found)])


def experiments_conclusion(found: Sequence[ExperimentResults]) -> Conclusion:
    """The page's verdict: of one experiment its own, of several how many may be shipped, stopped, go on, or are
    refused; the findings of each begin with its name.
    """
    own = [experiment_conclusion(one) for one in found]
    if len(own) == 1:
        return own[0]
    choices = [_choice(one) for one in found]
    said = [
        f"{named(one.plan.experiment_id, cells=24)}: {finding.sentence}"
        for one, conclusion_ in zip(found, own, strict=True)
        for finding in conclusion_.findings
    ]
    findings = [f for conclusion_ in own for f in conclusion_.findings]
    told = [finding._replace(sentence=text) for finding, text in zip(findings, said, strict=True)]
    words = [f"{choices.count(c)} {word}" for c, word in WORDS.items() if c in choices]
    verdict = f"Of {counted(len(own), 'experiment')} {listed(words, most=len(words))}."
    reasons = [c.refused_because for c in own]
    return conclusion(verdict, told)._replace(refused_because=str(reasons[0]) if all(reasons) else None)


WORDS = {
    "ship": "can be shipped",
    "do not ship: harm shown": "must not be shipped",
    "keep running": "should keep running",
    "refused": "cannot be decided",
}


def _choice(found: ExperimentResults) -> str:
    return "refused" if _reason(found) or not found.decisions else found.decisions[0].choice


def overview(found: Sequence[ExperimentResults]) -> pd.DataFrame:
    """The table `experiment_overview`: one row per experiment, its three lights and how far it is."""
    rows = []
    for one in found:
        best = one.decisions[0] if one.decisions else None
        choice = _choice(one) if one.plan.is_asked else "not asked"
        planned = one.plan.planned
        rows.append(
            {
                "experiment_id": one.plan.experiment_id,
                "decision": choice,
                "variant": best.variant if best and choice != "refused" else None,
                "success": _light(one, best, "success"),
                "guardrails": _light(one, best, "guardrail"),
                "sample_ratio": _ratio_light(one),
                "units": int(one.assigned["units"].sum()) if len(one.units) else None,
                "planned_units": planned.planned_units if planned else None,
            }
        )
    return declared(tables.EXPERIMENT_OVERVIEW, pd.DataFrame(rows))


def _light(found: ExperimentResults, best: Decision | None, role: str) -> str:
    """A glyph, a word and how many metrics of that role stand so."""
    if best is None or found.plan.planned is None:
        return "○ not known"
    own = found.rows[(found.rows["variant"] == best.variant) & (found.rows["role"] == role)]
    if own.empty:
        return "○ none declared"
    if best.choice == "refused":
        return "○ not read"
    harmed = [m for m in own["metric"] if m in best.harmed]
    if harmed:
        return f"▲ harmed: {listed([named(m, cells=24) for m in harmed])}"
    if (own["reading"] == "not yet").all():
        return "◆ not yet"
    fine = own["metric"].isin(best.better) if role == "success" else own["reading"] == "within the margin"
    glyph = "✓" if (fine.any() if role == "success" else fine.all()) else "◆"
    return f"{glyph} {int(fine.sum())} of {len(own)} {'better' if role == 'success' else 'within the margin'}"


def _ratio_light(found: ExperimentResults) -> str:
    if found.ratio.p_value is None:
        return "○ not tested"
    p = "p < 0.001" if found.ratio.p_value < 0.001 else f"p = {found.ratio.p_value:.3f}"
    return f"▲ broken, {p}" if found.ratio.is_mismatch else f"✓ {p}"


def experiment_sentence(found: ExperimentResults) -> str:
    """At most 16 words beside names: ship which, do not ship, or keep running and what is missing first."""
    best, plan = found.decisions[0], found.plan
    if best.choice == "ship":
        guards = "every guardrail is within its margin" if plan.guardrails else "no guardrail was declared"
        metric = best.better[0]
        return f"Ship {named(best.variant)}: {named(metric)} is {_side_of(plan, metric)} control, {guards}."
    if best.choice == "do not ship: harm shown":
        if len(found.decisions) > 1:
            return "Do not ship any variant: harm shown for each."
        fell = "fell" if all(_is_rise_good(plan, m) for m in best.harmed) else "got worse"
        return (
            f"Do not ship {named(best.variant)}: harm shown, {listed([named(m) for m in best.harmed], most=2)} {fell}."
        )
    return f"Keep running {named(plan.experiment_id)}: {_missing_first(best)}."


def _is_rise_good(plan: ExperimentPlan, metric: str) -> bool:
    declared_ = plan.metric(metric)
    return declared_ is None or declared_.direction == "increase"


def _side_of(plan: ExperimentPlan, metric: str) -> str:
    return "above" if _is_rise_good(plan, metric) else "below"


def _missing_first(best: Decision) -> str:
    """What the best variant lacks, in a few words."""
    first = best.missing[0]
    metric, variant = named(first.metric), named(best.variant)
    if first.reading == "not yet":
        return "it is read at its planned end, which is not reached"
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
    needs = dict.fromkeys(_missing_words(m, found) for m in decision.missing)  # several metrics may need the same
    missing = "".join(f" {need}" for need in needs)
    guards = "" if found.plan.guardrails else " No guardrail was declared, so none was measured."
    if found.not_yet:
        return Finding(severity, verb, f"{told}.{missing}{guards}")
    deciding = [row for row in own if row["role"] != "exploratory"]
    shown = "; ".join(_numbers(row, base, found.plan) for row in deciding[:MOST_METRICS_TOLD])
    more = len(deciding) - MOST_METRICS_TOLD
    numbers = shown + (f"; {counted(more, 'more metric')} in the table" if more > 0 else "")
    users = int(own[0]["n"]) if decision.choice == "do not ship: harm shown" else None
    return Finding(severity, verb, f"{told}: {numbers}.{missing}{guards}", users=users)


def _numbers(row: dict[str, Any], base: Any, plan: ExperimentPlan) -> str:
    """One metric of a variant with its base, beside the control."""
    metric, control = named(row["metric"]), named(plan.control)
    if _is_rate(plan, row["metric"]):
        of = f"{percent(row['value'])} of {counted(row['n'], 'unit')}"
        shares = f"{of} against {percent(base[row['metric']])} of {control}"
        differs = points(row["lift"], row["ci_low"], row["ci_high"])
    else:
        of = f"{number(row['value'])} of {counted(row['n'], 'unit')}"
        shares = f"{of} against {number(base[row['metric']])} of {control}"
        differs = f"a difference of {number(row['lift'])}"
        if not is_missing(row["ci_low"]):
            differs += f" ({number(row['ci_low'])} to {number(row['ci_high'])})"
    if row["role"] == "guardrail":
        return f"guardrail {metric} {shares}, {differs}, {_guard_words(row, plan)}"
    return f"{metric} {shares}, {differs}"


def _is_rate(plan: ExperimentPlan, metric: str) -> bool:
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
        margin = f"{100 * row['margin']:g} points" if _is_rate(plan, row["metric"]) else f"{row['margin']:g}"
    return {
        "within the margin": f"within the margin of {margin}",
        "below": f"below control and not within {margin}",
        "above": f"above control and not within {margin}",
        "open": f"not shown to be within {margin}",
        "not measured": "not measured",
        "too few units": "too few units to tell",
    }[row["reading"]]


def _missing_words(missing: Shortfall, found: ExperimentResults) -> str:
    """What would settle it, roughly; more units where they would."""
    metric, plan = named(missing.metric), found.plan
    if missing.reading == "not yet":
        return f"{str(found.not_yet).removeprefix('not yet: ').capitalize()}."
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
    success = found.rows[(found.rows["role"] == "success") & (found.rows["metric"] == found.plan.metric_name)]
    success = success.dropna(subset=["converted"])
    if success.empty or not _is_rate(found.plan, str(found.plan.metric_name)) or found.not_yet:
        return []
    naive, right = int(success["naive_converted"].sum()), int(success["converted"].sum())
    if naive == right:
        return []
    metric = named(found.plan.metric_name)
    return [
        Finding(
            "fine",
            "nothing",
            f"A join on the user alone would count {naive:,} units with {metric} instead of {right:,}: "
            "the others did it before their first exposure or after the window.",
        )
    ]


def _before(found: ExperimentResults) -> list[Finding]:
    """Metrics in which the arms differed before anything could have changed: corrected over all of them."""
    own = found.estimates[(found.estimates["estimator"] == "before exposure") & found.estimates["p"].notna()]
    if own.empty:
        return []
    adjusted = holm([float(p) for p in own["p"]])
    differs = own[[p <= PRE_ALPHA for p in adjusted]]
    if differs.empty:
        return []
    which = listed([f"{named(r.metric)} of {named(r.variant)}" for r in differs.itertuples()])
    sentence = (
        f"Before exposure the arms differ already in {which}; see how units were assigned before trusting a lift."
    )
    return [Finding("watch", "look", sentence)]


PRE_ALPHA = 0.01


def _about_looks(found: ExperimentResults) -> list[Finding]:
    """What a design without a planned end does not cover; what was left out of the segments."""
    said = []
    if found.plan.is_short and found.plan.design == "fixed":
        sentence = "No planned end is declared: the 5 % hold for one reading only, at an end that was fixed before."
        said.append(Finding("fine", "nothing", sentence))
    for name in found.too_many:
        said.append(
            Finding("watch", "look", f"{named(name)} has more than {MOST_LEVELS} values, so it is not shown apart.")
        )
    return said
