"""The lift of one feature: its trials, what is estimated from them, and its rows of every table of the page."""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from launchpad_lib.contract.catalogue import lift as tables
from launchpad_lib.contract.sentences import counted, named
from launchpad_lib.findings.lift_design import PLACEBOS, Design, designed
from launchpad_lib.findings.lift_questions import LiftQuestion, LiftRules
from launchpad_lib.findings.lift_verdicts import lift_verdict
from launchpad_lib.findings.rows import refused_rows
from launchpad_lib.inference import (
    ESTIMANDS,
    Benchmark,
    CrossFit,
    Effect,
    benchmark,
    control_exposure,
    crossfit_effects,
    doubt_table,
    e_value,
    newcombe,
    robustness_value,
)
from launchpad_lib.metrics.trials import Naive, Trials

TRIALS, EVERYBODY = "start trials", "everybody (not causal)"
CONTROL = "coming back after "
DIFFERENCE, ATE, ATT, ATO = "difference", *ESTIMANDS


class Answer(NamedTuple):
    """What is known of one feature before its limits are corrected."""

    counted: Trials
    fitted: CrossFit
    doubts: pd.DataFrame
    mark: Benchmark


def answered(question: LiftQuestion, trials: Trials, rules: LiftRules) -> Answer:
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
        if question.negative_control is not None:
            doubts = pd.concat([doubts, _control(question, design, best, shared)], ignore_index=True)
        doubts["refused_because"] = [reason and of_trials(reason) for reason in doubts["refused_because"]]
    # The table is large, and done with.
    return Answer(trials._replace(table=trials.table.iloc[:0]), fitted, doubts, _benchmark(design, best))


def _control(question: LiftQuestion, design: Design, best: Effect, shared: dict[str, Any]) -> pd.DataFrame:
    """The negative-control exposure that the feature declares."""
    return control_exposure(
        design.table,
        covariates=design.covariates,
        exposure="did_control",
        label=f"{CONTROL}{named(question.negative_control)}, which cannot matter",
        estimate=best.absolute_lift,
        estimand=best.estimand,
        **shared,
    )


def is_control_exposure(check: str) -> bool:
    """Whether a check is one of what came after something that cannot matter, and not of the time before."""
    return check.startswith(CONTROL)


def _benchmark(design: Design, effect: Effect) -> Benchmark:
    return benchmark(
        design.table,
        groups=design.groups,
        outcome="returned",
        estimate=effect.absolute_lift,
        standard_error=effect.standard_error,
    )


def _explained(fitted: CrossFit, trials: Trials) -> CrossFit:
    """The units of a refusal are trials, and of a feature whose trials are not observed to the end it says so."""
    if fitted.best.refused_because is None:
        return fitted
    told = f"; the outcome of {counted(trials.window_open, 'trial')} is not over yet" if trials.window_open else ""
    ate, att, ato = (
        e._replace(refused_because=of_trials(e.refused_because) + told) if e.refused_because else e for e in fitted[:3]
    )
    return fitted._replace(ate=ate, att=att, ato=ato)


def of_trials(reason: str) -> str:
    """A reason of `inference`, which holds no name of the data, in the words of this page.

    >>> of_trials("0 treated and 40 untreated units; each group needs 30")
    '0 treated and 40 untreated trials; each group needs 30'
    """
    return reason.replace(" units", " trials")


def unanswered(question: LiftQuestion) -> tuple[pd.DataFrame, ...]:
    """The tables of a feature that cannot be asked."""
    why = str(question.refused_because)
    known: dict[str, list[Any]] = {"feature_id": [question.feature_id], "compare": [question.compare]}
    verdict = "refused" if question.is_tried else "not asked"
    return (
        refused_rows(tables.LIFT, why, **known, design=[TRIALS], estimand=[ATE]).assign(verdict=verdict),
        refused_rows(tables.LIFT_TRIALS, why, **known),
        pd.DataFrame(),
        pd.DataFrame(),
        refused_rows(tables.LIFT_STRENGTH, why, **known),
    )


def feature_rows(question: LiftQuestion, answer: Answer, level: float, rules: LiftRules) -> tuple[pd.DataFrame, ...]:
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
    frames = (
        pd.DataFrame(rows),
        pd.DataFrame([counts]),
        balance,
        answer.doubts.assign(design=TRIALS),
        _strength(best, mark),
    )
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
