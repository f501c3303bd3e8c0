"""What the experiments page says: one decision, three ways, and every sentence from results."""

from __future__ import annotations

from collections.abc import Sequence

from launchpad_lib.contract.findings import Apart, Conclusion, Finding, Severity, Verb, conclusion
from launchpad_lib.contract.sentences import counted, ended, listed, named
from launchpad_lib.findings.experiment_overview import choice_of, nothing_decided_because
from launchpad_lib.findings.experiment_plans import ExperimentPlan
from launchpad_lib.findings.experiment_results import ExperimentResults
from launchpad_lib.findings.experiment_units_said import about_ratio, about_units, only_one_can
from launchpad_lib.findings.experiment_words import is_share, metric_words, needs_words
from launchpad_lib.findings.releases import TO_COME
from launchpad_lib.findings.rows import not_answered
from launchpad_lib.inference import Decision, holm
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
        return not_answered(str(plan.refused_because), verdict="Not asked: no experiment is declared.")
    reason = nothing_decided_because(found)
    if reason:
        verb: Verb = "wait" if reason.startswith(TO_COME) else "find out"
        said = [Finding("unknown", verb, f"Nothing is decided: {ended(reason)}"), *about_units(found)]
        return conclusion(f"These data cannot decide {named(plan.experiment_id)}.", said)._replace(
            refused_because=reason
        )
    said = [
        *_about_variants(found),
        *about_units(found),
        about_ratio(found),
        *only_one_can(found),
        *_before(found),
        *_naive(found),
    ]
    return conclusion(experiment_sentence(found), [*said, *_about_looks(found)])


def experiments_conclusion(found: Sequence[ExperimentResults]) -> Conclusion:
    """The page's verdict: of one experiment its own, of several how many may be shipped, stopped, go on, or are
    refused; then one finding for each, which begins with its name.
    """
    own = [experiment_conclusion(one) for one in found]
    if len(own) == 1:
        return own[0]
    choices = [choice_of(one) for one in found]
    told = [_in_one(one, said, place) for place, (one, said) in enumerate(zip(found, own, strict=True), 1)]
    choices = ["ended" if c == "keep running" and _is_over(one) else c for c, one in zip(choices, found, strict=True)]
    words = [f"{choices.count(c)} {word}" for c, word in WORDS.items() if c in choices]
    verdict = f"Of {counted(len(own), 'experiment')} {listed(words, most=len(words))}."
    reasons = [c.refused_because for c in own]
    return conclusion(verdict, told)._replace(refused_because=str(reasons[0]) if all(reasons) else None)


def experiments_apart(found: Sequence[ExperimentResults]) -> list[Apart]:
    """Everything that is found of each experiment, under its own heading; nothing where there is one experiment only,
    of which the page's conclusion holds it all.
    """
    if len(found) == 1:
        return []
    return [
        Apart(named(one.plan.experiment_id), _place(number), experiment_conclusion(one).findings)
        for number, one in enumerate(found, 1)
    ]


def _in_one(found: ExperimentResults, said: Conclusion, place: int) -> Finding:
    """An experiment in one finding: its decision, and what is to be looked at before anybody acts on it.

    A decision that is fine by itself is to be looked at where something else is: "ship" is not fine where the arms
    differed before already.
    """
    verb = _standing(choice_of(found), found)[1]
    decision = next((f for f in said.findings if f.verb == verb), said.findings[0])
    graver = [f for f in said.findings if f.severity in ("act", "watch") and f is not decision]
    notes = [f.sentence for f in graver if f.verb in ("look", "declare")]
    also = f" {notes[0]}" if notes else ""
    if len(graver) > len(notes[:1]):
        also += f" {counted(len(graver) - len(notes[:1]), 'more thing')} to look at below."
    severity: Severity = "watch" if graver and decision.severity == "fine" else decision.severity
    sentence = f"{named(found.plan.experiment_id, cells=24)}: {decision.sentence}{also}"
    return decision._replace(severity=severity, sentence=sentence, anchor=_place(place))


def _place(number: int) -> str:
    """The id of an experiment's heading; names are no ids, and two may look alike."""
    return f"experiment-{number}"


WORDS = {
    "ship": "can be shipped",
    "do not ship: harm shown": "must not be shipped",
    "keep running": "should keep running",
    "ended": "ended undecided",
    "refused": "cannot be decided",
}


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
    if _is_over(found):
        return f"Not settled at its planned end: {_missing_first(best, plan).removesuffix(' yet')}."
    return f"Keep running {named(plan.experiment_id)}: {_missing_first(best, plan)}."


def _is_rise_good(plan: ExperimentPlan, metric: str) -> bool:
    declared_ = plan.metric(metric)
    return declared_ is None or declared_.direction == "increase"


def _side_of(plan: ExperimentPlan, metric: str) -> str:
    return "above" if _is_rise_good(plan, metric) else "below"


def _missing_first(best: Decision, plan: ExperimentPlan) -> str:
    """What the best variant lacks, in a few words."""
    first = best.missing[0]
    metric, variant = named(first.metric), named(best.variant)
    if first.reading == "not yet":
        return "it is read at its planned end, which is not reached"
    if first.reading == "not measured":
        return f"{metric} was not measured, no unit did it"
    if first.reading == "too few units":
        return f"too few {plan.counted_as}s of {variant} or its control yet"
    if first.role == "guardrail":
        return f"{metric} of {variant} is not shown to be within its margin"
    return f"{metric} of {variant} is not shown to differ from control"


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
    severity, verb = _standing(decision.choice, found)
    name = named(decision.variant)
    if decision.choice == "refused":
        return Finding(severity, verb, f"Nothing is decided about {name}: {ended(str(decision.refused_because))}")
    own = found.rows[found.rows["variant"] == decision.variant].to_dict("records")
    base = found.rows[found.rows["variant"] == found.plan.control].set_index("metric")["value"]
    told = {
        "ship": f"Ship {name}",
        "do not ship: harm shown": f"Do not ship {name}, harm is shown",
        "keep running": f"{name} is not settled" if _is_over(found) else f"Keep running {name}",
    }[decision.choice]
    needs = needs_words(decision.missing, found)
    if decision.choice == "keep running" and _is_over(found):
        needs.append(PLANNED_END_OVER)
    missing = "".join(f" {need}" for need in needs)
    guards = "" if found.plan.guardrails else " No guardrail was declared, so none was measured."
    if found.not_yet:
        return Finding(severity, verb, f"{told}.{missing}{guards}")
    # Whoever reads that harm is shown reads first where.
    deciding = sorted(
        (row for row in own if row["role"] != "exploratory"), key=lambda row: row["metric"] not in decision.harmed
    )
    shown = "; ".join(metric_words(row, base, found.plan) for row in deciding[:MOST_METRICS_TOLD])
    more = len(deciding) - MOST_METRICS_TOLD
    numbers = shown + (f"; {counted(more, 'more metric')} in the table" if more > 0 else "")
    users = int(own[0]["n"]) if decision.choice == "do not ship: harm shown" else None
    return Finding(severity, verb, f"{told}: {numbers}.{missing}{guards}", users=users)


PLANNED_END_OVER = "Its planned end is over, so a later reading is a second look: plan a new experiment for it."


def _standing(choice: str, found: ExperimentResults) -> tuple[Severity, Verb]:
    """How grave a decision is and what to do: whoever is later than the planned end is in no number, so that to keep
    running would change none.
    """
    return ("watch", "find out") if choice == "keep running" and _is_over(found) else SEVERITIES[choice]


def _is_over(found: ExperimentResults) -> bool:
    """Whether a fixed design was read at the end that was planned for it."""
    plan = found.plan.planned
    is_counted = plan is not None and plan.design == "fixed" and not plan.aggregates
    return is_counted and not found.plan.is_short and found.not_yet is None


def _naive(found: ExperimentResults) -> list[Finding]:
    """What a join on the user alone would have counted, where it differs."""
    success = found.rows[(found.rows["role"] == "success") & (found.rows["metric"] == found.plan.metric_name)]
    success = success.dropna(subset=["converted"])
    if success.empty or not is_share(found.plan, str(found.plan.metric_name)) or found.not_yet:
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
        # Whoever ships by a reading that was not the only one ships a chance find more often than 1 in 20.
        sentence = (
            "No planned end is declared, so this may be one look of many, and chance finds pass more often than the "
            "5 % of a single reading; declare planned_units or ends_on in its plan."
        )
        said.append(Finding("watch", "declare", sentence))
    for name in found.too_many:
        said.append(
            Finding("watch", "look", f"{named(name)} has more than {MOST_LEVELS} values, so it is not shown apart.")
        )
    return said
