"""What the retention lift page counts: its question, asked of each feature, and every result table, whole
or refused.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import ibis.expr.types as ir
import pandas as pd

from launchpad_lib.contract.catalogue import lift as tables
from launchpad_lib.contract.estimates import Estimate, estimate_of
from launchpad_lib.contract.sentences import named
from launchpad_lib.findings.lift_answers import (
    ATE,
    ATO,
    ATT,
    DIFFERENCE,
    EVERYBODY,
    TRIALS,
    answered,
    feature_rows,
    unanswered,
)
from launchpad_lib.findings.lift_experiments import (
    ASSIGNED,
    COMPLIERS,
    EXPERIMENT,
    ExperimentAnswer,
    answered_experiment,
    experiment_rows,
)
from launchpad_lib.findings.lift_questions import LiftQuestion, LiftRules
from launchpad_lib.findings.lift_rollouts import (
    ROLLOUT,
    RolloutAnswer,
    answered_rollout,
    rollout_cells,
    rollout_checks,
    rollout_row,
)
from launchpad_lib.findings.rows import declared, not_asked, refused_rows
from launchpad_lib.inference.rollout import STUDY_COLUMNS
from launchpad_lib.metrics.trials import start_trials

__all__ = [
    "ATE",
    "ATO",
    "ATT",
    "ASSIGNED",
    "COMPLIERS",
    "DIFFERENCE",
    "EVERYBODY",
    "EXPERIMENT",
    "ROLLOUT",
    "TRIALS",
    "LiftResults",
    "lift_results",
]

REPORTED, BESIDE = "reported", "beside it"
ALPHA = 0.05
NO_ROLLOUT = not_asked("no feature declares where it was switched on; give one a `rollout` under `features:`")
TABLES = (tables.LIFT, tables.LIFT_TRIALS, tables.LIFT_BALANCE, tables.LIFT_DOUBTS, tables.LIFT_STRENGTH)


class LiftResults(NamedTuple):
    """The result tables of the page (`contract.catalogue.lift`), one row or more per feature asked."""

    questions: tuple[LiftQuestion, ...]
    rules: LiftRules
    lifts: pd.DataFrame
    trials: pd.DataFrame
    balance: pd.DataFrame
    doubts: pd.DataFrame
    strength: pd.DataFrame
    cells: pd.DataFrame
    rollouts: dict[str, RolloutAnswer]
    experiments: dict[str, ExperimentAnswer]
    level: float

    def estimates(self, design: str, estimand: str) -> dict[str, Estimate]:
        """The estimates of one design and estimand by feature."""
        rows = self.lifts[(self.lifts["design"] == design) & (self.lifts["estimand"] == estimand)]
        return self._by_feature(rows, value="estimate")

    @property
    def asked(self) -> tuple[LiftQuestion, ...]:
        """The features that declare what is compared."""
        return tuple(q for q in self.questions if q.is_asked)

    @property
    def reported(self) -> pd.DataFrame:
        """The row of each feature that carries its verdict, by feature."""
        return self.lifts[self.lifts["verdict"].notna()].set_index("feature_id")

    @property
    def forest(self) -> pd.DataFrame:
        """Grain: one row per line of the chart, the reported ones first: row, kind, absolute_lift, ci_low, ci_high.

        A chart of many features draws the first rows only: these are then the reported ones.
        """
        naive = self.lifts[self.lifts["design"] == EVERYBODY]
        rows: list[tuple] = []
        for shown, words, kind in ((self.reported.reset_index(), None, REPORTED), (naive, "naive, not causal", BESIDE)):
            for r in shown.itertuples():
                said = words or (r.estimand if r.design == TRIALS else r.design)
                rows.append((self._of(r.feature_id, said), kind, r.estimate, r.ci_low, r.ci_high))
        for r in self.doubts.itertuples():
            rows.append((self._of(r.feature_id, r.check), BESIDE, r.estimate, r.ci_low, r.ci_high))
        drawn = pd.DataFrame(rows, columns=["row", "kind", "absolute_lift", "ci_low", "ci_high"])
        return drawn[drawn["absolute_lift"].notna()].reset_index(drop=True)

    @property
    def event_study(self) -> pd.DataFrame:
        """Grain: one row per feature that was switched on by place and period since the switch: feature, since_switch,
        estimate, ci_low, ci_high; without any, one row that says so (refused_because).
        """
        if not self.rollouts:
            return pd.DataFrame(
                [{"refused_because": NO_ROLLOUT}], columns=["feature", *STUDY_COLUMNS, "refused_because"]
            )
        studies = [a.effect.study.assign(feature=self._name(feature_id)) for feature_id, a in self.rollouts.items()]
        return pd.concat(studies, ignore_index=True)

    @property
    def balance_by_name(self) -> pd.DataFrame:
        """The balance table as a chart draws it: each covariate with its feature, since two may have the same."""
        names = [self._of(r.feature_id, r.covariate) for r in self.balance.itertuples()]
        return self.balance.assign(covariate=names)

    def _of(self, feature_id: str, words: str) -> str:
        """The name of a feature, and what of it."""
        return f"{named(self._name(feature_id), cells=24)}: {words}"

    def _name(self, feature_id: str) -> str:
        return next(q.feature_name for q in self.questions if q.feature_id == feature_id)

    @property
    def e_values(self) -> dict[str, Estimate]:
        """The E-values by feature; the lower limit is that of the limit nearer 0."""
        return self._by_feature(self.strength, value="e_value", ci=("e_value_limit", "-"))

    @property
    def robustness_values(self) -> dict[str, Estimate]:
        """The robustness values by feature."""
        return self._by_feature(self.strength, value="robustness_value", ci=("-", "-"))

    def _by_feature(self, rows: pd.DataFrame, **asked: Any) -> dict[str, Estimate]:
        """An estimate of each row; a feature that is not asked has none."""
        sizes = self.trials.set_index("feature_id")["compared"]
        found = {}
        for row in rows[rows["feature_id"].isin([q.feature_id for q in self.asked])].to_dict("records"):
            sized = row if "n" in row else row | {"n": sizes.get(row["feature_id"])}
            words: dict[str, Any] = self.rules.words
            found[row["feature_id"]] = estimate_of(sized, n="n", **asked, **words)
        return found


def lift_results(events: ir.Table, questions: tuple[LiftQuestion, ...], rules: LiftRules) -> LiftResults:
    """Every table of the page for every feature, from one reading of the log; a feature that cannot be asked has one
    refused row in each.

    The limits of all features are corrected together (Bonferroni over those that have an estimate).
    """
    asked = [question for question in questions if question.refused_because is None]
    found = start_trials(
        events,
        [question.trials for question in asked],
        outcome_days=rules.outcome_days,
        observed_through=rules.observed_through,
        grace=rules.grace,
        report_timezone=rules.report_timezone,
        most_trials=max(rules.most_trials // max(len(asked), 1), 1),
        seed=rules.seed,
    ) if asked else []  # fmt: skip
    answers = {q.feature_id: answered(q, t, rules) for q, t in zip(asked, found, strict=True)}
    rollouts = {
        q.feature_id: answered_rollout(events, q.rollout, question=q, rules=rules)
        for q in questions
        if q.rollout is not None
    }
    experiments = {
        q.feature_id: answered_experiment(events, q.experiment, question=q, rules=rules)
        for q in questions
        if q.experiment is not None
    }
    compared = sum(answer.fitted.best.absolute_lift is not None for answer in answers.values())
    compared += sum(answer.effect.estimate is not None for answer in rollouts.values())
    compared += sum(answer.refused_because is None for answer in experiments.values())
    level = 1 - ALPHA / max(compared, 1)
    parts = [
        unanswered(question)
        if question.refused_because
        else feature_rows(question, answers[question.feature_id], level, rules)
        for question in questions
    ]
    switched = {name: a._replace(effect=a.effect.at_level(level)) for name, a in rollouts.items()}
    parts = [
        _ranked(part, switched.get(q.feature_id), experiments.get(q.feature_id), level, rules)
        for part, q in zip(parts, questions, strict=True)
    ]
    counted_cells = [rollout_cells(a) for a in switched.values()] or [refused_rows(tables.LIFT_ROLLOUT, NO_ROLLOUT)]
    cells = _stacked(tables.LIFT_ROLLOUT, counted_cells)
    lifts, tried, balance, doubts, strength = (_stacked(t, [part[i] for part in parts]) for i, t in enumerate(TABLES))
    return LiftResults(questions, rules, lifts, tried, balance, doubts, strength, cells, switched, experiments, level)


def _ranked(
    part: tuple[pd.DataFrame, ...],
    rollout: RolloutAnswer | None,
    experiment: ExperimentAnswer | None,
    level: float,
    rules: LiftRules,
) -> tuple[pd.DataFrame, ...]:
    """The tables of one feature with the designs that outrank its trials: an experiment, then a roll-out, which nobody
    chose for themselves. The verdict is that of the first of them that has an estimate; where none has, of the trials.
    """
    lifts, trials, balance, doubts, strength = part
    if rollout is not None:
        lifts = _with_design(lifts, [rollout_row(rollout, rollout.verdict(rules.smallest_lift))])
        doubts = pd.concat([doubts, rollout_checks(rollout)], ignore_index=True)
    if experiment is not None:
        rows = experiment_rows(experiment, level=level, smallest_lift=rules.smallest_lift, min_cell=rules.min_cell)
        lifts = _with_design(lifts, rows)
    return lifts, trials, balance, doubts, strength


def _with_design(lifts: pd.DataFrame, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The rows of a design besides; the verdict is theirs where they have one, or where nothing else was asked."""
    first = rows[0]
    if first["refused_because"] is None or set(lifts["verdict"].dropna()) == {"not asked"}:
        lifts = lifts[lifts["verdict"] != "not asked"].assign(verdict=None)
    else:
        first = first | {"verdict": None}
    return pd.concat([lifts, pd.DataFrame([first, *rows[1:]])], ignore_index=True)


def _stacked(table, frames: list[pd.DataFrame]) -> pd.DataFrame:
    """The declared columns of all frames, one below the other."""
    rows = [row for frame in frames for row in declared(table, frame).to_dict("records")]
    return pd.DataFrame(rows, columns=[c.name for c in table.columns])
