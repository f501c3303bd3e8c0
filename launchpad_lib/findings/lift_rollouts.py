"""What the retention lift page counts and says of a feature that was switched on by place."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, NamedTuple

import ibis.expr.types as ir
import pandas as pd

from launchpad_lib.contract.catalogue import lift as tables
from launchpad_lib.contract.features import Rollout
from launchpad_lib.contract.findings import Finding, LiftVerdict, Severity, Verb
from launchpad_lib.contract.sentences import counted, ended, listed, named
from launchpad_lib.contract.wording import points
from launchpad_lib.findings.lift_questions import LiftQuestion, LiftRules
from launchpad_lib.findings.lift_verdicts import lift_verdict
from launchpad_lib.findings.rows import refused_rows
from launchpad_lib.inference.rollout import RolloutEffect, RolloutPanel, rollout_effect
from launchpad_lib.metrics.rollouts import RolloutCounts, rollout_counts

ROLLOUT, SWITCHED = "roll-out", "ATT"


class RolloutAnswer(NamedTuple):
    """What is known of one feature's roll-out; limits of the effect are not corrected yet."""

    feature_id: str
    compare: str
    declared: Rollout
    counts: RolloutCounts
    effect: RolloutEffect

    @property
    def missing(self) -> list[str]:
        """Places that are declared and at which nobody was before."""
        return [name for name in self.declared.switched_on if name not in self.counts.places]

    def verdict(self, smallest_lift: float) -> LiftVerdict:
        """The word for it: not randomised, so never stronger than likely."""
        effect, checks = self.effect, self.effect.checks["verdict"].tolist()
        lift = _Lift(effect.estimate, effect.ci_low, effect.ci_high)
        return lift_verdict(lift, checks=checks, is_benchmark_survived=True, smallest_lift=smallest_lift)


class _Lift(NamedTuple):
    absolute_lift: float | None
    ci_low: float | None
    ci_high: float | None


def answered_rollout(events: ir.Table, declared: Rollout, *, question: LiftQuestion, rules: LiftRules) -> RolloutAnswer:
    """Counts and effect of one roll-out; what cannot be asked of this log is refused in both."""
    counts = rollout_counts(
        events,
        by=declared.by,
        switched_on=declared.switched_on,
        period_days=declared.period_days,
        observed_through=rules.observed_through,
    )
    effect = rollout_effect(
        RolloutPanel(counts.places, counts.switched_on, counts.users, counts.active, counts.both),
        min_users=rules.min_cell,
    )
    if counts.refused_because:
        effect = effect._replace(refused_because=counts.refused_because)
    return RolloutAnswer(question.feature_id, question.compare, declared, counts, effect)


def rollout_row(answer: RolloutAnswer, verdict: LiftVerdict) -> dict[str, Any]:
    """The row of the table `lift`."""
    effect = answer.effect
    sizes = {} if effect.estimate is None else {
        "n": int(answer.counts.users.sum()),
        "n_treated": effect.n_treated,
        "n_control": effect.n_control,
        "users": int(answer.counts.users.sum()),
    }  # fmt: skip
    return {
        "feature_id": answer.feature_id,
        "compare": answer.compare,
        "design": ROLLOUT,
        "estimand": SWITCHED,
        "estimate": effect.estimate,
        "ci_low": effect.ci_low,
        "ci_high": effect.ci_high,
        "verdict": verdict,
        "refused_because": effect.refused_because,
        **sizes,
    }


def rollout_cells(answer: RolloutAnswer) -> pd.DataFrame:
    """The rows of the table `lift_rollout`."""
    if answer.effect.refused_because:
        return refused_rows(tables.LIFT_ROLLOUT, answer.effect.refused_because, feature_id=[answer.feature_id])
    cells = answer.effect.cells.copy()
    cells["feature_id"] = answer.feature_id
    cells["places"] = [json.dumps(_wave(answer, g), ensure_ascii=False) for g in cells["switched_on"]]
    cells["period_on"] = [_begins(answer, k) for k in cells["period"]]
    cells["switched_on"] = [_begins(answer, k) for k in cells["switched_on"]]
    return cells


def rollout_checks(answer: RolloutAnswer) -> pd.DataFrame:
    """The rows of the table `lift_doubts`: all places together, and each wave that went another way already."""
    words = [_check_words(answer, g) for g in answer.effect.checks["switched_on"]]
    known = {"feature_id": answer.feature_id, "compare": answer.compare, "design": ROLLOUT}
    return answer.effect.checks.assign(check=words, **known)


def _check_words(answer: RolloutAnswer, period: float | None) -> str:
    if period is None or pd.isna(period):
        return "before the switch, all places together"
    return f"before the switch, {listed([named(p) for p in _wave(answer, int(period))])}"


def _wave(answer: RolloutAnswer, period: int) -> list[str]:
    """The places that were switched on in a period and were compared."""
    left_out, counts = set(answer.effect.left_out), answer.counts
    return [
        name for name, g in zip(counts.places, counts.switched_on, strict=True) if g == period and name not in left_out
    ]


def _begins(answer: RolloutAnswer, period: int) -> pd.Timestamp | None:
    begins = answer.counts.begins
    return None if begins is None else pd.Timestamp(begins + timedelta(days=int(period) * answer.counts.period_days))


def rollout_finding(
    name: str, answer: RolloutAnswer, row: pd.Series, *, severity: Severity, verb: Verb, limit: str
) -> Finding:
    """The estimate of one roll-out, and what keeps it from being more, or what it survived."""
    verdict, effect = row["verdict"], answer.effect
    if verdict == "refused":
        return unanswered_rollout(name, answer)
    length = counted(answer.counts.period_days, "day")
    differs = points(row["estimate"], row["ci_low"], row["ci_high"])
    sizes = f"{row['n_treated']:,.0f} users who were there before, {row['n_control']:,.0f} to compare with"
    told = (
        f"Where {name} was switched on, the share of users active within {length} changed by {differs} against where "
        f"it was not yet ({sizes})."
    )
    if verdict == "not settled":
        why = f"Not settled: {'; '.join(_open_reasons(answer, row))}."
    elif verdict == "no effect larger than":
        why = f"The whole interval is within ±{limit}, and the places went alike before."
    else:
        why = (
            "The places went alike before. What else happened in these places at these times cannot be told apart "
            "from it."
        )
    left = [*answer.missing, *effect.left_out]
    also = f" Left out: {listed([named(p) for p in left])}, where nobody can be compared." if left else ""
    users = int(row["n_treated"]) if verdict == "likely hurt" else None
    return Finding(severity, verb, f"{told} {why}{also}", feature_id=answer.feature_id, users=users)


def unanswered_rollout(name: str, answer: RolloutAnswer) -> Finding:
    """Why a roll-out has no number."""
    why = ended(str(answer.effect.refused_because))
    sentence = f"No difference is given for where {name} was switched on: {why}"
    return Finding("unknown", "wait", sentence, feature_id=answer.feature_id)


def _open_reasons(answer: RolloutAnswer, row: pd.Series) -> list[str]:
    """Everything that keeps the estimate from a verdict."""
    said = ["a difference of 0 fits these data too"] if row["ci_low"] <= 0 <= row["ci_high"] else []
    checks = rollout_checks(answer).to_dict("records")
    for check in checks:
        differed = points(check["estimate"], check["ci_low"], check["ci_high"])
        if check["verdict"] == "fails":
            said.append(f"{check['check']}: these went another way already, {differed}")
        elif check["verdict"] == "too wide to tell":
            said.append(f"whether the places went alike before cannot be told, {differed}")
        elif check["verdict"] == "cannot be checked":
            said.append(f"whether the places went alike before cannot be checked, {check['refused_because']}")
    return said or ["the interval reaches beyond what would matter"]
