"""What the retention lift page counts: its question, asked of each feature, and every result table, whole
or refused.
"""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from launchpad_lib.contract.catalogue import lift as tables
from launchpad_lib.contract.estimates import Estimate, estimate_of
from launchpad_lib.contract.sentences import counted, named
from launchpad_lib.findings.lift_design import PLACEBOS, Design, designed
from launchpad_lib.findings.lift_questions import LiftQuestion, LiftRules
from launchpad_lib.findings.lift_verdicts import lift_verdict
from launchpad_lib.findings.rows import declared, refused_rows
from launchpad_lib.inference import (
    ESTIMANDS,
    Benchmark,
    CrossFit,
    Effect,
    benchmark,
    crossfit_effects,
    doubt_table,
    e_value,
    newcombe,
    robustness_value,
)
from launchpad_lib.metrics.trials import Naive, Trials, start_trials

TRIALS, EVERYBODY = "start trials", "everybody (not causal)"
DIFFERENCE, ATE, ATT, ATO = "difference", *ESTIMANDS
REPORTED, BESIDE = "reported", "beside it"
ALPHA = 0.05
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
                rows.append((self._of(r.feature_id, words or r.estimand), kind, r.estimate, r.ci_low, r.ci_high))
        for r in self.doubts.itertuples():
            rows.append((self._of(r.feature_id, r.check), BESIDE, r.estimate, r.ci_low, r.ci_high))
        drawn = pd.DataFrame(rows, columns=["row", "kind", "absolute_lift", "ci_low", "ci_high"])
        return drawn[drawn["absolute_lift"].notna()].reset_index(drop=True)

    @property
    def balance_by_name(self) -> pd.DataFrame:
        """The balance table as a chart draws it: each covariate with its feature, since two may have the same."""
        names = [self._of(r.feature_id, r.covariate) for r in self.balance.itertuples()]
        return self.balance.assign(covariate=names)

    def _of(self, feature_id: str, words: str) -> str:
        """The name of a feature, and what of it."""
        name = next(q.feature_name for q in self.questions if q.feature_id == feature_id)
        return f"{named(name, cells=24)}: {words}"

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
    answers = {q.feature_id: _answered(q, t, rules) for q, t in zip(asked, found, strict=True)}
    compared = sum(answer.fitted.best.absolute_lift is not None for answer in answers.values())
    level = 1 - ALPHA / max(compared, 1)
    parts = [
        _unanswered(question)
        if question.refused_because
        else _rows(question, answers[question.feature_id], level, rules)
        for question in questions
    ]
    return LiftResults(questions, rules, *(_stacked(t, [part[i] for part in parts]) for i, t in enumerate(TABLES)))


def _stacked(table, frames: list[pd.DataFrame]) -> pd.DataFrame:
    """The declared columns of all frames, one below the other."""
    rows = [row for frame in frames for row in declared(table, frame).to_dict("records")]
    return pd.DataFrame(rows, columns=[c.name for c in table.columns])


class _Answer(NamedTuple):
    """What is known of one feature before its limits are corrected."""

    counted: Trials
    fitted: CrossFit
    doubts: pd.DataFrame
    mark: Benchmark


def _answered(question: LiftQuestion, trials: Trials, rules: LiftRules) -> _Answer:
    # A feature's luck depends on its name only, so that its number does not hang on which others are asked.
    rng = np.random.default_rng([rules.seed, zlib.crc32(question.feature_id.encode(errors="replace"))])
    design = designed(trials.table)
    shared: dict[str, Any] = {"rng": rng, "cluster": "user", "min_group": rules.min_cell}
    fitted = _explained(crossfit_effects(design.table, covariates=design.covariates, **shared), trials)
    best = fitted.best
    doubts = pd.DataFrame()
    if best.absolute_lift is not None:
        doubts = doubt_table(
            design.table,
            covariates=design.placebo_covariates,
            placebos=PLACEBOS,
            estimate=best.absolute_lift,
            estimand=best.estimand,
            **shared,
        )
    # The table is large, and done with.
    return _Answer(trials._replace(table=trials.table.iloc[:0]), fitted, doubts, _benchmark(design, best))


def _benchmark(design: Design, effect: Effect) -> Benchmark:
    return benchmark(
        design.table,
        groups=design.groups,
        outcome="returned",
        estimate=effect.absolute_lift,
        standard_error=effect.standard_error,
    )


def _explained(fitted: CrossFit, trials: Trials) -> CrossFit:
    """The refusal of a feature whose trials are not observed to the end says so."""
    if fitted.best.refused_because is None or not trials.window_open:
        return fitted
    told = f"; the outcome of {counted(trials.window_open, 'trial')} is not over yet"
    ate, att, ato = (
        e._replace(refused_because=e.refused_because + told) if e.refused_because else e for e in fitted[:3]
    )
    return fitted._replace(ate=ate, att=att, ato=ato)


def _unanswered(question: LiftQuestion) -> tuple[pd.DataFrame, ...]:
    """The tables of a feature that cannot be asked."""
    why = str(question.refused_because)
    known: dict[str, list[Any]] = {"feature_id": [question.feature_id], "compare": [question.compare]}
    verdict = "refused" if question.is_asked else "not asked"
    return (
        refused_rows(tables.LIFT, why, **known, design=[TRIALS], estimand=[ATE]).assign(verdict=verdict),
        refused_rows(tables.LIFT_TRIALS, why, **known),
        pd.DataFrame(),
        pd.DataFrame(),
        refused_rows(tables.LIFT_STRENGTH, why, **known),
    )


def _rows(question: LiftQuestion, answer: _Answer, level: float, rules: LiftRules) -> tuple[pd.DataFrame, ...]:
    """The five tables of one feature, in the order of the catalogue."""
    fitted, trials = answer.fitted, answer.counted
    best = fitted.best.at_level(level)
    checks = answer.doubts["verdict"].tolist() if len(answer.doubts) else []
    mark = _at_level(answer.mark, fitted.best, best)
    verdict = lift_verdict(
        best, checks=checks, is_benchmark_survived=mark.is_survived, smallest_lift=rules.smallest_lift
    )
    rows = [_naive(trials.naive)]
    for estimand in ESTIMANDS:
        effect = fitted.of(estimand).at_level(level)
        rows.append(_row(effect) | {"verdict": verdict if estimand == best.estimand else None})
    counts = {
        "start_event": question.start_event,
        "complete_event": question.complete_event,
        "compared": trials.compared,
        "window_open": trials.window_open,
        "done_before": trials.done_before,
        "user_share": trials.user_share,
        "users": fitted.best.users,
        "models": "; ".join(dict.fromkeys(fitted.models)) or None,
    }
    balance = fitted.balance.assign(smd_after=fitted.balance[f"smd_{best.estimand.lower()}"])
    frames = (pd.DataFrame(rows), pd.DataFrame([counts]), balance, answer.doubts, _strength(best, mark))
    known = {"feature_id": question.feature_id, "compare": question.compare}
    return tuple(frame.assign(**known) for frame in frames)


def _at_level(mark: Benchmark, plain: Effect, corrected: Effect) -> Benchmark:
    """The benchmark with limits as wide as the corrected ones."""
    if mark.left is None or plain.ci_high is None or corrected.ci_high is None or plain.absolute_lift is None:
        return mark
    wider = (corrected.ci_high - plain.absolute_lift) / (plain.ci_high - plain.absolute_lift)
    half = (mark.left.ci_high - mark.left.estimate) * wider
    left = mark.left._replace(ci_low=mark.left.estimate - half, ci_high=mark.left.estimate + half)
    is_survived = left.ci_low > 0 if plain.absolute_lift >= 0 else left.ci_high < 0
    return mark._replace(left=left, is_survived=is_survived)


def _naive(naive: Naive) -> dict[str, Any]:
    """Users who ever did it against those who never did; not causal."""
    found = newcombe(naive.treated_returned, naive.treated, naive.control_returned, naive.control)
    return {
        "design": EVERYBODY,
        "estimand": DIFFERENCE,
        "estimate": found.absolute_lift,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "n": naive.treated + naive.control,
        "n_treated": naive.treated,
        "n_control": naive.control,
        "refused_because": None if found.absolute_lift is not None else "one of the two groups is empty",
    }


def _row(effect: Effect) -> dict[str, Any]:
    """An effect as columns of the table `lift`."""
    return {
        "design": TRIALS,
        "estimand": effect.estimand,
        "estimate": effect.absolute_lift,
        "ci_low": effect.ci_low,
        "ci_high": effect.ci_high,
        "n": effect.n_treated + effect.n_control,
        "n_treated": effect.n_treated,
        "n_control": effect.n_control,
        "users": effect.users,
        "effective_treated": effect.effective_treated,
        "effective_control": effect.effective_control,
        "largest_smd": effect.largest_smd,
        "refused_because": effect.refused_because,
    }


def _strength(effect: Effect, mark: Benchmark) -> pd.DataFrame:
    """How strong something unmeasured would have to be; one row."""
    value = e_value(effect.ratio, ratio_low=effect.ratio_low, ratio_high=effect.ratio_high)
    robustness = robustness_value(effect.absolute_lift, standard_error=mark.plain_error, freedom=mark.freedom)
    left = mark.left or (None, None, None)
    row = {
        "e_value": value.estimate,
        "e_value_limit": value.limit,
        "robustness_value": robustness,
        "benchmark_covariate": mark.covariate,
        "benchmark_estimate": left[0],
        "benchmark_low": left[1],
        "benchmark_high": left[2],
        "is_benchmark_survived": mark.is_survived,
        "refused_because": effect.refused_because,
    }
    return pd.DataFrame([row])
