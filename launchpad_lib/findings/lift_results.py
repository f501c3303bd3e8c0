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
from launchpad_lib.findings.lift_questions import LiftQuestion, LiftRules
from launchpad_lib.findings.lift_verdicts import lift_verdict
from launchpad_lib.findings.rows import declared, refused_rows
from launchpad_lib.inference import (
    LiftEstimate,
    Placebo,
    adjusted_lift,
    benchmark,
    crossfit_effects,
    difference_lift,
    doubt_table,
    e_value,
    robustness_value,
)
from launchpad_lib.inference.weighting import CrossFit
from launchpad_lib.metrics.starters import (
    ACTIVITY,
    FIRST_DAY,
    TRAITS,
    everybody,
    newcomers,
    starters,
    starters_by_standing,
)

STARTERS, FIRST_EVENT, EVERYBODY = "starters", "first event", "everybody (not causal)"
# Both lie before the first start, so that finishing cannot have caused them.
PLACEBOS = (
    Placebo("active_before", "active a landmark before the start"),
    Placebo("was_busy_before", "busy in the day before the start"),
)
DIFFERENCE, PARAMETRIC, ATE, ATT = "difference", "ATE, parametric", "ATE", "ATT"
REPORTED, BESIDE = "reported", "beside it"
FOREST = (
    (STARTERS, ATE, "adjusted", REPORTED),
    (EVERYBODY, DIFFERENCE, "naive, not causal", BESIDE),
)


class LiftResults(NamedTuple):
    """The result tables of the page (`contract.catalogue.lift`), one row or more per feature asked."""

    questions: tuple[LiftQuestion, ...]
    rules: LiftRules
    lifts: pd.DataFrame
    starters: pd.DataFrame
    balance: pd.DataFrame
    doubts: pd.DataFrame
    strength: pd.DataFrame

    def estimates(self, design: str, estimand: str) -> dict[str, Estimate]:
        """The estimates of one design and estimand by feature."""
        rows = self.lifts[(self.lifts["design"] == design) & (self.lifts["estimand"] == estimand)]
        return self._by_feature(rows, value="estimate")

    @property
    def asked(self) -> tuple[LiftQuestion, ...]:
        """The features that declare a start and a finish."""
        return tuple(q for q in self.questions if q.is_asked)

    @property
    def forest(self) -> pd.DataFrame:
        """Grain: one row per line of the chart, the reported ones first: row, kind, absolute_lift, ci_low, ci_high.

        A chart of many features draws the first rows only: these are then the reported ones.
        """
        rows: list[tuple] = []
        for design, estimand, words, kind in FOREST:
            shown = self.lifts[(self.lifts["design"] == design) & (self.lifts["estimand"] == estimand)]
            rows += [(self._of(r.feature_id, words), kind, r.estimate, r.ci_low, r.ci_high) for r in shown.itertuples()]
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
        sizes = self.starters.set_index("feature_id")["compared"]
        found = {}
        for row in rows[rows["feature_id"].isin([q.feature_id for q in self.asked])].to_dict("records"):
            sized = row if "n" in row else row | {"n": sizes.get(row["feature_id"])}
            found[row["feature_id"]] = estimate_of(sized, n="n", **asked, **self._words(row["feature_id"]))
        return found

    def _words(self, feature_id: str) -> dict[str, Any]:
        question = next(q for q in self.questions if q.feature_id == feature_id)
        return {
            "start_event": named(question.start_event),
            "complete_event": named(question.complete_event),
            "landmark": self.rules.landmark,
            "outcome": self.rules.outcome,
            "late": self.rules.late,
        }


def lift_results(events: ir.Table, questions: tuple[LiftQuestion, ...], rules: LiftRules) -> LiftResults:
    """Every table of the page for every feature; a feature that cannot be asked has one refused row in each."""
    parts = [_of_feature(events, question, rules) for question in questions]
    declarations = (tables.LIFT, tables.LIFT_STARTERS, tables.LIFT_BALANCE, tables.LIFT_DOUBTS, tables.LIFT_STRENGTH)
    whole = [_stacked(table, [part[i] for part in parts]) for i, table in enumerate(declarations)]
    return LiftResults(questions, rules, *whole)


def _stacked(table, frames: list[pd.DataFrame]) -> pd.DataFrame:
    """The declared columns of all frames, one below the other."""
    rows = [row for frame in frames for row in declared(table, frame).to_dict("records")]
    return pd.DataFrame(rows, columns=[c.name for c in table.columns])


def _of_feature(events: ir.Table, question: LiftQuestion, rules: LiftRules) -> tuple[pd.DataFrame, ...]:
    """The five tables of one feature, in the order of the catalogue."""
    known = {"feature_id": [question.feature_id]}
    if question.refused_because:
        why = question.refused_because
        places = known | {"compare": ["finished"], "design": [STARTERS], "estimand": [ATE]}
        verdict = "refused" if question.is_asked else "not asked"
        return (
            refused_rows(tables.LIFT, why, **places).assign(verdict=verdict),
            refused_rows(tables.LIFT_STARTERS, why, **known),
            pd.DataFrame(),
            pd.DataFrame(),
            refused_rows(tables.LIFT_STRENGTH, why, **known),
        )
    # A feature's luck depends on its name only, so that its number does not hang on which others are asked.
    rng = np.random.default_rng([rules.seed, zlib.crc32(question.feature_id.encode())])
    window: dict[str, Any] = {
        "complete_event": question.complete_event,
        "outcome_days": rules.outcome_days,
        "observed_through": rules.observed_through,
    }
    began = window | {
        "start_event": question.start_event,
        "landmark_days": rules.landmark_days,
        "report_timezone": rules.report_timezone,
    }
    compared = starters(events, **began).to_pandas()
    standing = starters_by_standing(events, **began).to_pandas()
    early = newcomers(events, landmark_days=rules.late_days, **window).to_pandas()
    anybody = everybody(events, complete_event=window["complete_event"], landmark_days=rules.late_days).to_pandas()
    fitted = crossfit_effects(compared, covariates=TRAITS + ACTIVITY, rng=rng, min_group=rules.min_cell)
    fitted = _explained(fitted, standing)
    doubts = doubt_table(
        compared,
        covariates=TRAITS,
        placebos=PLACEBOS,
        estimate=fitted.ate.absolute_lift,
        rng=rng,
        min_group=rules.min_cell,
    )
    strength = _strength(compared, fitted)
    rows = _lift_rows(compared, early, anybody, fitted, rules)
    verdict = lift_verdict(
        fitted.ate,
        checks=doubts["verdict"].tolist(),
        is_benchmark_survived=bool(strength["is_benchmark_survived"].iloc[0]),
        smallest_lift=rules.smallest_lift,
    )
    is_reported = (rows["design"] == STARTERS) & (rows["estimand"] == ATE)
    lifts = rows.assign(compare="finished", verdict=pd.Series(verdict, index=rows.index).where(is_reported, None))
    events_named = {"start_event": question.start_event, "complete_event": question.complete_event}
    return tuple(
        frame.assign(feature_id=question.feature_id)
        for frame in (lifts, standing.assign(**events_named), fitted.balance, doubts, strength)
    )


def _explained(fitted: CrossFit, standing: pd.DataFrame) -> CrossFit:
    """The refusal of a feature whose starters are not observed to the end says so."""
    still_open = int(standing["window_open"].iloc[0])
    reason = fitted.ate.refused_because
    if reason is None or not still_open:
        return fitted
    told = f"{reason}; the outcome of {counted(still_open, 'starter')} is not over yet"
    return fitted._replace(ate=fitted.ate._replace(refused_because=told), att=fitted.att._replace(refused_because=told))


def _lift_rows(
    compared: pd.DataFrame, early: pd.DataFrame, anybody: pd.DataFrame, fitted: CrossFit, rules: LiftRules
) -> pd.DataFrame:
    """One row per design and estimand; the one that the page reports is the ATE among starters."""
    covariates = TRAITS + ACTIVITY
    found: list[tuple[str, str, Any]] = [
        (EVERYBODY, DIFFERENCE, difference_lift(anybody, method=EVERYBODY)),
        (FIRST_EVENT, PARAMETRIC, adjusted_lift(early, covariates=FIRST_DAY, min_group=rules.min_cell)),
        (STARTERS, DIFFERENCE, difference_lift(compared, method=STARTERS)),
        (STARTERS, PARAMETRIC, adjusted_lift(compared, covariates=covariates, min_group=rules.min_cell)),
        (STARTERS, ATE, fitted.ate),
        (STARTERS, ATT, fitted.att),
    ]
    return pd.DataFrame([{"design": d, "estimand": e, **_row(effect)} for d, e, effect in found])


def _row(effect: LiftEstimate | Any) -> dict[str, Any]:
    """An effect of any estimator as columns of the table `lift`."""
    return {
        "estimate": effect.absolute_lift,
        "ci_low": effect.ci_low,
        "ci_high": effect.ci_high,
        "n": effect.n_treated + effect.n_control,
        "n_treated": effect.n_treated,
        "n_control": effect.n_control,
        "refused_because": effect.refused_because,
    }


def _strength(compared: pd.DataFrame, fitted: CrossFit) -> pd.DataFrame:
    """How strong something unmeasured would have to be; one row."""
    effect = fitted.ate
    covariates = TRAITS + ACTIVITY
    error = None if effect.ci_low is None or effect.ci_high is None else (effect.ci_high - effect.ci_low) / 3.92
    freedom = effect.n_treated + effect.n_control - len(covariates) - 2
    value = e_value(effect.ratio, ratio_low=effect.ratio_low, ratio_high=effect.ratio_high)
    mark = benchmark(
        compared, covariates=covariates, outcome="returned", estimate=effect.absolute_lift, standard_error=error
    )
    left = mark.left or (None, None, None)
    row = {
        "e_value": value.estimate,
        "e_value_limit": value.limit,
        "robustness_value": robustness_value(effect.absolute_lift, standard_error=error, freedom=freedom),
        "benchmark_covariate": mark.covariate,
        "benchmark_estimate": left[0],
        "benchmark_low": left[1],
        "benchmark_high": left[2],
        "is_benchmark_survived": mark.is_survived,
        "refused_because": effect.refused_because,
    }
    return pd.DataFrame([row])
