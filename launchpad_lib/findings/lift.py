"""What the retention lift page says: every sentence from results, none stronger than they are."""

from __future__ import annotations

from typing import Any, get_args

import pandas as pd

from launchpad_lib.contract.findings import (
    Apart,
    Conclusion,
    Finding,
    LiftVerdict,
    Severity,
    Verb,
    conclusion,
)
from launchpad_lib.contract.sentences import counted, ended, listed, named
from launchpad_lib.contract.wording import percent, points
from launchpad_lib.findings.lift_answers import is_control_exposure
from launchpad_lib.findings.lift_experiments import EXPERIMENT, experiment_finding
from launchpad_lib.findings.lift_questions import LiftQuestion
from launchpad_lib.findings.lift_results import ATO, TRIALS, LiftResults
from launchpad_lib.findings.lift_rollouts import ROLLOUT, rollout_finding, unanswered_rollout
from launchpad_lib.findings.rows import not_answered
from launchpad_lib.findings.rows import not_asked as asked_nothing

SEVERITIES: dict[str, tuple[Severity, Verb]] = {
    "hurt": ("act", "stop"),
    "worked": ("fine", "nothing"),
    "likely hurt": ("watch", "look"),
    "likely helped": ("fine", "nothing"),
    "no effect larger than": ("fine", "nothing"),
    "not settled": ("unknown", "find out"),
    "refused": ("unknown", "wait"),
    "not asked": ("unknown", "declare"),
}
SHOWN: tuple[LiftVerdict, ...] = ("hurt", "likely hurt", "worked", "likely helped")
NOT_RANDOMISED = "Users chose themselves whether to {do}, so something that was not measured can be behind it"
PERHAPS_NOT_CAUGHT = "which the adjustment may not have caught in full"
DOING = {"finished": "Finishing", "used": "Using"}
DOING_OF_DESIGN = {ROLLOUT: "Switching on", EXPERIMENT: "Showing"}
CHOSEN = "users chose themselves"
STANDS_ON = {ROLLOUT: "by where it was switched on", EXPERIMENT: "users were drawn to be shown it"}
DO = {"finished": "finish", "used": "use it"}
DID = {"finished": "finished", "used": "used it"}
MOMENT = {"finished": "starts", "used": "days"}
NOT_DECLARED = {
    "finished": ("no start_event and complete_event together", "a start and a finish"),
    "used": ("no event", "an event"),
}


def lift_conclusion(found: LiftResults) -> Conclusion:
    """The verdict over the features that are asked; a finding for each, and one for those that are not."""
    if not found.asked:
        return not_asked(found)
    reported = found.reported
    if len(found.asked) == 1:
        findings = _about(found.asked[0], found)
    else:
        findings = [
            _in_short(question, reported.loc[question.feature_id], found)._replace(anchor=_place(number))
            for number, question in enumerate(found.asked, 1)
        ]
    verdicts = {q.feature_id: reported.loc[q.feature_id, "verdict"] for q in found.asked}
    said = conclusion(lift_sentence(found, verdicts), [*findings, *_left_out(found)])
    reasons = [str(reported.loc[q.feature_id, "refused_because"]) for q in found.asked]
    if set(verdicts.values()) == {"refused"}:
        return said._replace(refused_because=reasons[0])
    return said


def lift_apart(found: LiftResults) -> list[Apart]:
    """Everything that is said of each of several features, under its own heading; nothing where one is asked only, of
    which the page's conclusion holds it all.
    """
    if len(found.asked) < 2:
        return []
    return [
        Apart(named(question.feature_name), _place(number), conclusion("", _about(question, found)).findings)
        for number, question in enumerate(found.asked, 1)
    ]


def _place(number: int) -> str:
    """The id of a feature's heading; names are no ids, and two may look alike."""
    return f"feature-{number}"


def _about(question: LiftQuestion, found: LiftResults) -> list[Finding]:
    """The finding of one feature, and why a stronger design that is declared for it has no number."""
    row = found.reported.loc[question.feature_id]
    said = [_of_feature(question, row, found)]
    rollout, experiment = found.rollouts.get(question.feature_id), found.experiments.get(question.feature_id)
    if rollout and rollout.effect.refused_because and row["design"] != ROLLOUT:
        said.append(unanswered_rollout(named(question.feature_name), rollout))
    if experiment and experiment.refused_because and row["design"] != EXPERIMENT:
        said.append(_of_experiment(question, found))
    return said


def _in_short(question: LiftQuestion, row: pd.Series, found: LiftResults) -> Finding:
    """One feature among several in a line: the word, the difference with its interval, and what it stands on."""
    verdict, name = row["verdict"], named(question.feature_name)
    severity, verb = SEVERITIES[verdict]
    users = None
    if verdict == "refused":
        sentence = f"{name}: no difference is given, {ended(str(row['refused_because']))}"
    else:
        differs = points(row["estimate"], row["ci_low"], row["ci_high"])
        limit = f" {_limit(found)}" if verdict == "no effect larger than" else ""
        sentence = f"{name}: {verdict}{limit}, {differs}; {STANDS_ON.get(row['design'], CHOSEN)}."
        users = int(row["users"]) if verdict in ("likely hurt", "hurt") and not pd.isna(row["users"]) else None
    more = len(_about(question, found)) - 1
    if more:
        sentence += " A stronger design that is declared has no number yet; see below."
    return Finding(severity, verb, sentence, feature_id=question.feature_id, users=users)


def not_asked(found: LiftResults) -> Conclusion:
    """What the page concludes whose question nobody declared."""
    what, briefly = NOT_DECLARED[found.rules.compare]
    needed = what.replace("no start_event and complete_event together", "both a start_event and a complete_event")
    reason = asked_nothing(
        f"no feature declares {needed.replace('no event', 'an event')}; "
        "declare them under `features:` in the params file or in the table `features`"
    )
    return not_answered(reason, verdict=f"Not asked: no feature declares {briefly}.")


def lift_sentence(found: LiftResults, verdicts: dict[str, LiftVerdict]) -> str:
    """At most 16 words beside names: the verdict of one feature, or who likely helped or hurt among several."""
    if len(verdicts) == 1:
        ((feature_id, verdict),) = verdicts.items()
        doing = DOING_OF_DESIGN.get(found.reported.loc[feature_id, "design"], DOING[found.rules.compare])
        return _single(named(_question(found, feature_id).feature_name), verdict, found, doing=doing)
    by_word = {
        word: [named(_question(found, f).feature_name) for f, v in verdicts.items() if v == word]
        for word in get_args(LiftVerdict)
    }
    parts = [f"{word.capitalize()}: {listed(by_word[word], most=2)}." for word in SHOWN if by_word[word]]
    others = len(verdicts) - sum(len(by_word[word]) for word in SHOWN)
    if parts:
        return " ".join([*parts, f"{counted(others, 'other')}: neither shown."] if others else parts)
    return f"None of {len(verdicts)} features is shown to have helped or hurt."


def _single(name: str, verdict: LiftVerdict, found: LiftResults, *, doing: str) -> str:
    said = {
        "worked": f"{doing} {name} worked: people came back more.",
        "hurt": f"{doing} {name} hurt: people came back less.",
        "likely helped": f"{doing} {name} likely helped people come back.",
        "likely hurt": f"{doing} {name} likely hurt: people came back less.",
        "no effect larger than": f"{doing} {name} has no effect larger than {_limit(found)} on coming back.",
        "not settled": f"Whether {doing.lower()} {name} makes people come back is not settled.",
        "refused": f"These data cannot say whether {doing.lower()} {name} makes people come back.",
    }
    return said[verdict]


def _limit(found: LiftResults) -> str:
    size = 100 * found.rules.smallest_lift
    return f"{size:g} {'point' if size == 1 else 'points'}"


def _question(found: LiftResults, feature_id: str) -> LiftQuestion:
    return next(q for q in found.questions if q.feature_id == feature_id)


def _of_feature(question: LiftQuestion, row: pd.Series, found: LiftResults) -> Finding:
    """The estimate of one feature, and what keeps it from being more, or what it survived."""
    name, verdict = named(question.feature_name), row["verdict"]
    severity, verb = SEVERITIES[verdict]
    if row["design"] == EXPERIMENT:
        return _of_experiment(question, found)
    if row["design"] == ROLLOUT:
        answer = found.rollouts[question.feature_id]
        return rollout_finding(name, answer, row, severity=severity, verb=verb, limit=_limit(found))
    if verdict == "refused":
        sentence = f"No difference is given for {name}: {ended(str(row['refused_because']))}"
        return Finding(severity, verb, sentence, feature_id=question.feature_id)
    own = found.doubts[(found.doubts["feature_id"] == question.feature_id) & (found.doubts["design"] == TRIALS)]
    checks = own.to_dict("records")
    strength = found.strength[found.strength["feature_id"] == question.feature_id].iloc[0]
    if verdict == "not settled":
        why = f"Not settled: {'; '.join(_open_reasons(row, checks, strength))}."
        if not row["ci_low"] <= 0 <= row["ci_high"]:
            why += f" {NOT_RANDOMISED.format(do=DO[question.compare])}."
    elif verdict == "no effect larger than":
        why = f"The whole interval is within ±{_limit(found)}, and every {_kind_of(checks)} passes."
    else:
        chose = NOT_RANDOMISED.format(do=DO[question.compare])
        why = f"Every {_kind_of(checks)} passes. {chose}: {_strength_words(strength)}."
    users = int(row["users"]) if verdict == "likely hurt" else None
    told = _estimate_words(name, row, question)
    return Finding(severity, verb, f"{told} {why}", feature_id=question.feature_id, users=users)


def _of_experiment(question: LiftQuestion, found: LiftResults) -> Finding:
    answer, rules = found.experiments[question.feature_id], found.rules
    severity, verb = SEVERITIES[answer.verdict(found.level, rules.smallest_lift)]
    return experiment_finding(
        named(question.feature_name),
        answer,
        level=found.level,
        smallest_lift=rules.smallest_lift,
        min_cell=rules.min_cell,
        severity=severity,
        verb=verb,
        limit=_limit(found),
    )


def _estimate_words(name: str, row: pd.Series, question: LiftQuestion) -> str:
    """The adjusted difference with its base, and for whom it is where it is not for all."""
    differs = points(row["estimate"], row["ci_low"], row["ci_high"])
    moment, did = MOMENT[question.compare], DID[question.compare]
    treated, control = f"{row['n_treated']:,.0f}", f"{row['n_control']:,.0f}"
    those = f"{treated} {moment} of {name} in which users {did} and {control} in which they did not"
    if question.compare == "used":
        those = f"{treated} days on which users first {did}, {name}, and {control} without"
    said = f"Coming back differs by {differs} between {those}, adjusted for what was measured before."
    if row["estimand"] == ATO:
        said += " That is told for those who could have gone either way; for the others these data have no comparison."
    return said


def _open_reasons(row: pd.Series, checks: list[dict[str, Any]], strength: pd.Series) -> list[str]:
    """Everything that keeps an estimate from a verdict; a check that could not tell is never said to have passed."""
    said = []
    is_one_sided = not row["ci_low"] <= 0 <= row["ci_high"]
    if not is_one_sided:
        said.append("a difference of 0 fits these data too")
    before: list[str] = []
    after: list[str] = []
    for check in checks:
        if check["verdict"] == "fails":
            differed = points(check["estimate"], check["ci_low"], check["ci_high"])
            (after if is_control_exposure(check["check"]) else before).append(f"{check['check']}: {differed}")
    if before:
        said.append(f"the groups differed before already, {', '.join(before)}, {PERHAPS_NOT_CAUGHT}")
    said += [f"something unmeasured is at work, {told}" for told in after]
    wide = [c for c in checks if c["verdict"] == "too wide to tell"]
    if wide:
        on = _kind_of(checks).removeprefix("check")
        said.append(
            f"{len(wide)} of {counted(len(checks), 'check')}{on} {'is' if len(wide) == 1 else 'are'} too wide to tell"
        )
    said += [
        f"{c['check']} cannot be checked, {c['refused_because']}" for c in checks if c["verdict"] == "cannot be checked"
    ]
    if is_one_sided and not strength["is_benchmark_survived"]:
        said.append(_benchmark_words(strength))
    return said


def _kind_of(checks: list[dict[str, Any]]) -> str:
    """What the checks are, where there is no negative-control exposure among them: about the time before."""
    return "check" if any(is_control_exposure(c["check"]) for c in checks) else "check on the time before"


def _benchmark_words(strength: pd.Series) -> str:
    """What another confounder like the strongest measured one would leave."""
    like = named(strength["benchmark_covariate"])
    if pd.isna(strength["benchmark_estimate"]):
        return f"something unmeasured like {like} could explain all of it"
    left = points(strength["benchmark_estimate"], strength["benchmark_low"], strength["benchmark_high"])
    return f"something unmeasured as strong as {like} would leave {left}"


def _strength_words(strength: pd.Series) -> str:
    """Benchmark and E-value of a difference that survived its checks."""
    return (
        f"{_benchmark_words(strength)}; to explain the difference it would have to go with doing it and with "
        "coming back "
        f"by a risk ratio of {strength['e_value']:.2f} each, or explain {percent(strength['robustness_value'])} "
        f"of what is left of both"
    )


def _left_out(found: LiftResults) -> list[Finding]:
    """The features that are not asked, in one sentence."""
    names = [named(q.feature_name) for q in found.questions if not q.is_asked]
    if not names:
        return []
    verb = "declares" if len(names) == 1 else "declare"
    return [Finding("unknown", "declare", f"Not asked: {listed(names)} {verb} {NOT_DECLARED[found.rules.compare][0]}.")]
