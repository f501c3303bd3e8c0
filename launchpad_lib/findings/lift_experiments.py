"""What the retention lift page counts and says of a feature that an experiment showed to some users only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

import ibis.expr.types as ir

from launchpad_lib.contract.features import ShownBy
from launchpad_lib.contract.findings import Finding, LiftVerdict, Severity, Verb
from launchpad_lib.contract.sentences import counted, ended, named
from launchpad_lib.contract.wording import percent, points
from launchpad_lib.findings.lift_questions import LiftQuestion, LiftRules
from launchpad_lib.inference import Difference, newcombe, sample_ratio_mismatch
from launchpad_lib.inference.complier import AssignedArm, ComplierEffect, complier_effect
from launchpad_lib.metrics.exposure_period import nobody_exposed
from launchpad_lib.metrics.exposures import STANDINGS, Outcome, experiment_units

EXPERIMENT, ASSIGNED, COMPLIERS = "experiment", "ITT", "compliers"
DAY = timedelta(days=1)
NOBODY = AssignedArm(0, 0, 0, 0)


class ExperimentAnswer(NamedTuple):
    """What is known of one feature's experiment; limits are those of the level it was asked with."""

    feature_id: str
    compare: str
    declared: ShownBy
    variant: AssignedArm
    control: AssignedArm
    several: int
    window_open: int
    refused_because: str | None

    def effect(self, level: float) -> Difference:
        """Difference of return, by assignment."""
        (v, c) = (self.variant, self.control)
        return newcombe(v.returned, v.users, c.returned, c.users, level=level)

    def compliers(self, level: float, min_cell: int) -> ComplierEffect:
        """The effect on those who did it because of their variant."""
        return complier_effect(self.variant, self.control, level=level, min_users=min_cell)

    def verdict(self, level: float, smallest_lift: float) -> LiftVerdict:
        """The word for it. Users were randomised, so what differs was caused."""
        found = self.effect(level)
        if self.refused_because or found.ci_low is None or found.ci_high is None:
            return "refused"
        if found.ci_low > 0:
            return "worked"
        if found.ci_high < 0:
            return "hurt"
        is_small = -smallest_lift <= found.ci_low and found.ci_high <= smallest_lift
        return "no effect larger than" if is_small else "not settled"


def answered_experiment(
    events: ir.Table,
    declared: ShownBy,
    *,
    question: LiftQuestion,
    rules: LiftRules,
) -> ExperimentAnswer:
    """Users by their first exposure: who did it within a day of it, and who had any event in the days of the outcome
    after that day. Users of several variants, and those whose time is not over, are in neither arm.
    """
    nobody = nobody_exposed(events, experiment_id=declared.experiment_id)
    if nobody:
        return ExperimentAnswer(question.feature_id, question.compare, declared, NOBODY, NOBODY, 0, 0, nobody)
    later = Outcome(None, begins=DAY + timedelta(microseconds=1), ends=DAY + timedelta(days=rules.outcome_days))
    arms = {name: [0, 0, 0, 0] for name in (declared.variant, declared.control)}
    several = window_open = 0
    for part in experiment_units(
        events,
        experiment_id=declared.experiment_id,
        outcomes=[later, *(Outcome(name, ends=DAY) for name in question.done_events)],
        observed_through=rules.observed_through,
        planned=tuple(arms),
    ):
        assigned = part.standing == STANDINGS.index("assigned")
        several += int((part.standing == STANDINGS.index("several variants")).sum())
        window_open += int((assigned & ~part.is_over).sum())
        inside = part.matrix("inside")
        returned, did = inside[:, 0] > 0, (inside[:, 1:] > 0).any(axis=1)
        for name, counts in arms.items():
            if name not in part.variants:
                continue
            own = assigned & part.is_over & (part.variant == part.variants.index(name))
            for place, held in enumerate((own, own & did, own & returned, own & did & returned)):
                counts[place] += int(held.sum())
    variant, control = (AssignedArm(*arms[name]) for name in (declared.variant, declared.control))
    reason = _cannot_be_compared(declared, variant, control, window_open, rules.min_cell)
    return ExperimentAnswer(
        question.feature_id, question.compare, declared, variant, control, several, window_open, reason
    )


def _cannot_be_compared(
    declared: ShownBy, variant: AssignedArm, control: AssignedArm, window_open: int, min_cell: int
) -> str | None:
    if min(variant.users, control.users) < min_cell:
        sizes = (
            f"{variant.users:,} users of {named(declared.variant)} and {control.users:,} of {named(declared.control)}"
        )
        wait = f"; the time of {counted(window_open, 'user')} is not over yet" if window_open else ""
        return f"{sizes} can be compared, each arm needs {min_cell}{wait}"
    ratio = sample_ratio_mismatch([variant.users, control.users], weights=[declared.share, 1 - declared.share])
    if ratio.is_mismatch:
        return (
            f"{variant.users:,} users of {named(declared.variant)} and {control.users:,} of {named(declared.control)} "
            f"do not fit a share of {percent(declared.share)}: the assignment, or what is logged of it, is broken"
        )
    return None


def experiment_rows(
    answer: ExperimentAnswer, *, level: float, smallest_lift: float, min_cell: int
) -> list[dict[str, Any]]:
    """The rows of the table `lift`: by assignment, which carries the verdict, and of those who complied."""
    known = {"feature_id": answer.feature_id, "compare": answer.compare, "design": EXPERIMENT}
    sizes = {
        "n": answer.variant.users + answer.control.users,
        "users": answer.variant.users + answer.control.users,
        "n_treated": answer.variant.users,
        "n_control": answer.control.users,
    }
    if answer.refused_because:
        return [
            {**known, "estimand": ASSIGNED, "verdict": "refused", "refused_because": answer.refused_because},
        ]
    found, complied = answer.effect(level), answer.compliers(level, min_cell)
    return [
        {
            **known, **sizes, "estimand": ASSIGNED, "estimate": found.absolute_lift, "ci_low": found.ci_low,
            "ci_high": found.ci_high, "verdict": answer.verdict(level, smallest_lift), "refused_because": None,
        },
        {
            **known, **sizes, "estimand": COMPLIERS, "estimate": complied.estimate, "ci_low": complied.ci_low,
            "ci_high": complied.ci_high, "verdict": None, "refused_because": complied.refused_because,
        },
    ]  # fmt: skip


def experiment_finding(
    name: str,
    answer: ExperimentAnswer,
    *,
    level: float,
    smallest_lift: float,
    min_cell: int,
    severity: Severity,
    verb: Verb,
    limit: str,
) -> Finding:
    """The difference by assignment, and what it says of those who did it because of it."""
    shown = f"the experiment {named(answer.declared.experiment_id)}"
    if answer.refused_because:
        sentence = f"No difference is given for {name} from {shown}: {ended(answer.refused_because)}"
        return Finding("unknown", "wait", sentence, feature_id=answer.feature_id)
    found, complied = answer.effect(level), answer.compliers(level, min_cell)
    verdict = answer.verdict(level, smallest_lift)
    differs = points(found.absolute_lift, found.ci_low, found.ci_high)
    told = (
        f"In {shown} coming back differs by {differs} between {answer.variant.users:,} users who were shown {name} and "
        f"{answer.control.users:,} who were not."
    )
    why = {
        "worked": " Who was shown it was drawn, so this is its effect.",
        "hurt": " Who was shown it was drawn, so this is its effect.",
        "no effect larger than": f" The whole interval is within ±{limit}.",
        "not settled": " Not settled: a difference of 0 fits these data too.",
    }[verdict]
    did = "finished" if answer.compare == "finished" else "used"
    if complied.refused_because:
        also = f" What it did to those who {did} it because of that is not told: {ended(complied.refused_because)}"
    else:
        size = points(complied.estimate, complied.ci_low, complied.ci_high)
        also = f" Of those who {did} it because they were shown it ({percent(complied.share)}): {size}."
    users = answer.variant.users if verdict == "hurt" else None
    return Finding(severity, verb, f"{told}{why}{also}", feature_id=answer.feature_id, users=users)
