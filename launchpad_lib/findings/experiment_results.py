"""What the experiments page counts of each experiment: comparisons, decisions and result tables, whole or refused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple

import ibis.expr.types as ir
import pandas as pd

from launchpad_lib.contract.catalogue import experiments as tables
from launchpad_lib.contract.estimates import Estimate, estimate_of, refusal
from launchpad_lib.contract.experiments import PlannedExperiment
from launchpad_lib.contract.sentences import named
from launchpad_lib.findings.experiment_arms import (
    Arms,
    Part,
    arms_of_aggregates,
    arms_of_log,
    days_apart,
    segments_apart,
    values_by_standing,
)
from launchpad_lib.findings.experiment_due import no_arms_because, not_yet_because, split_of, tuning_units
from launchpad_lib.findings.experiment_plans import ExperimentPlan, ask_experiment, ask_experiments
from launchpad_lib.findings.rows import declared, refused_rows
from launchpad_lib.inference import Decision, best_first, compare_variants, decide
from launchpad_lib.inference.estimators import estimates_beside
from launchpad_lib.inference.sample_ratio import MovedSplit, SampleRatio
from launchpad_lib.inference.variants import ALPHA, COMPARED, compare_exploratory
from launchpad_lib.metrics.experiment_sums import NO_UNIT, counted

__all__ = ["ExperimentPlan", "ExperimentResults", "ask_experiment", "ask_experiments", "experiment_results"]

NO_TEST = SampleRatio(None, None, False, "there are no units to count")


class ExperimentResults(NamedTuple):
    """The page's tables (`contract.catalogue.experiments`), the sample ratio, and the decision on every variant, best
    first. `not_yet`: why a fixed design must not be read yet. `moved`: how the split changed over time; then `ratio` is
    a mismatch, whatever the sizes are.
    """

    plan: ExperimentPlan
    rows: pd.DataFrame
    units: pd.DataFrame
    ratio: SampleRatio
    decisions: tuple[Decision, ...]
    exposed_on: tuple[date | None, date | None]
    estimates: pd.DataFrame
    segments: pd.DataFrame
    days: pd.DataFrame
    not_yet: str | None = None
    too_many: tuple[str, ...] = ()
    caps: tuple[tuple[str, float], ...] = ()
    moved: MovedSplit | None = None

    @property
    def lifts(self) -> dict[str, Estimate]:
        """The first success metric of every variant against control, by variant."""
        return self._by_variant(value="lift")

    @property
    def relative_lifts(self) -> dict[str, Estimate]:
        """The same relative to the control's value; refused where that is not clearly above 0."""
        limits = ("relative_low", "relative_high")
        found = self._by_variant(value="relative_lift", ci=limits)
        why = "the control's rate is not clearly above 0, or the design is sequential"
        is_unsaid = {v: e.is_refused and not self.lifts[v].is_refused for v, e in found.items()}
        return {v: e._replace(refused_because=why) if is_unsaid[v] else e for v, e in found.items()}

    @property
    def detectable_lifts(self) -> dict[str, Estimate]:
        """The difference that the units of a variant and the control find 8 times in 10."""
        return self._by_variant(value="detectable_lift", ci=("-", "-"))

    @property
    def is_rate(self) -> bool:
        """Whether the first success metric is a share of units."""
        return bool(self.plan.success) and self.plan.success[0].kind in ("conversion", "retention")

    @property
    def sample_ratio(self) -> Estimate:
        """The p value of the planned split."""
        n = int(self.assigned["units"].sum()) if len(self.rows) else 0
        shares = "the planned split" if self.plan.shares else "an equal split"
        if self.ratio.p_value is None:
            return refusal(self.plan.refused_because or str(self.ratio.refused_because), n=n, shares=shares)
        return Estimate(self.ratio.p_value, n=n, rules={"shares": shares})

    @property
    def assigned(self) -> pd.DataFrame:
        """The units that are compared, by variant."""
        return self.units[self.units["standing"] == "assigned"]

    def _by_variant(self, *, value: str, ci: tuple[str, str] = ("ci_low", "ci_high")) -> dict[str, Estimate]:
        """An estimate of each variant's first success metric; n counts its own arm and the control's only."""
        is_first = (self.rows["role"] == "success") & (self.rows["metric"] == self.plan.metric_name)
        own = self.rows[is_first & (self.rows["variant"] != self.plan.control)]
        found = {}
        for row in own[own["variant"].notna()].to_dict("records"):
            both = row | {"both": row["n"] + row["n_control"]}
            if self.ratio.is_mismatch:
                both["refused_because"] = "units were not assigned in the planned ratio"
            found[row["variant"]] = estimate_of(both, value=value, n="both", ci=ci, **self._words(row["variant"]))
        return found

    def _words(self, variant: str) -> dict[str, str]:
        comparisons = comparisons_of(self.rows)
        is_simple = self.is_rate and self.plan.planned is not None and self.plan.planned.cluster is None
        fixed = "Newcombe 95 %" if is_simple else "Welch 95 %"
        kind = fixed if self.plan.design == "fixed" else "confidence sequence 95 %, valid at every look"
        late = "window over" if self.plan.immature_units == "leave_out" else "all, since the log has ended"
        over = "variants" if len(self.plan.success) < 2 else "variants and success metrics"
        return {
            "metric": named(self.plan.metric_name),
            "variant": named(variant),
            "control": named(self.plan.control),
            "window": self.plan.within,
            "units": late,
            "interval": f"{kind}, Bonferroni over {comparisons} {over}" if comparisons > 1 else kind,
        }


def comparisons_of(rows: pd.DataFrame) -> int:
    """Over how many comparisons the success metrics are corrected: variants times success metrics."""
    own = rows[rows["role"] == "success"]
    return max(own["variant"].nunique() - 1, 1) * max(own["metric"].nunique(), 1)


def experiment_results(events: ir.Table, plan: ExperimentPlan) -> ExperimentResults:
    """Counts from one reading of the log (or from aggregates), comparisons from the counts, a decision on every
    variant.
    """
    if plan.refused_because or plan.planned is None:
        return _refused(plan)
    try:
        arms = (
            arms_of_aggregates(plan.planned)
            if plan.planned.aggregates
            else arms_of_log(
                counted(
                    events, plan.planned, observed_through=plan.observed_through, report_timezone=plan.report_timezone
                ),
                plan.planned,
            )
        )
    except ValueError as error:
        return _refused(plan._replace(refused_because=str(error)))
    reason = no_arms_because(plan, arms.randomised)
    if reason:
        return _refused(plan._replace(refused_because=reason))._replace(units=_unit_rows(plan, arms))
    not_yet = not_yet_because(plan, plan.planned, arms)
    compared = _compared(plan, plan.planned, arms, not_yet)
    ratio, moved = split_of(plan, arms)
    variants = [v for v in dict.fromkeys(compared["variant"]) if v != plan.control]
    decisions = best_first([decide(compared, variant=v, ratio=ratio) for v in variants], compared)
    beside = {"control": str(plan.control), "design": plan.design, "min_units": plan.min_cell, "not_yet": not_yet}
    beside |= {"unit": plan.counted_as}
    return ExperimentResults(
        plan,
        _rows(plan, compared, arms, decisions),
        _unit_rows(plan, arms),
        ratio,
        tuple(decisions),
        arms.exposed_on,
        _estimates(plan, plan.planned, arms, not_yet),
        _apart(plan, tables.EXPERIMENT_SEGMENTS, segments_apart(arms, plan.planned), beside),
        _days(plan, days_apart(arms, plan.planned), beside),
        not_yet,
        arms.too_many,
        tuple(arms.caps.items()),
        moved,
    )


def _compared(plan: ExperimentPlan, planned: PlannedExperiment, arms: Arms, not_yet: str | None) -> pd.DataFrame:
    """Every metric of every variant against control."""
    variants = list(arms.randomised)
    comparisons = max(len(variants) - 1, 1) * max(len(plan.success), 1)
    rules: dict[str, Any] = {
        "control": planned.control,
        "design": planned.design,
        "min_units": plan.min_cell,
        "not_yet": not_yet,
        "decide_on": planned.decide_on,
        "unit": plan.counted_as,
        "planned_units": tuning_units(plan, variants, next((v for v in variants if v != planned.control), "")),
    }
    found: dict[str, pd.DataFrame] = {}
    for metric in (m for m in planned.metrics if m.role != "exploratory"):
        own: dict[str, Any] = {
            "role": metric.role,
            "margin": metric.margin,
            "relative_margin": metric.relative_margin,
            "direction": metric.direction,
            "comparisons": comparisons if metric.role == "success" else 1,
        }
        found[metric.called] = compare_variants(arms.counts[metric.called], **own, **rules)
    others = [m for m in planned.metrics if m.role == "exploratory"]
    ready = compare_exploratory([arms.counts[m.called].to_dict("records") for m in others], **rules)
    for metric, told in zip(others, ready, strict=True):
        found[metric.called] = pd.DataFrame(told, columns=list(COMPARED)).assign(direction=metric.direction)
    ordered = sorted(planned.metrics, key=lambda m: ("success", "guardrail", "exploratory").index(m.role))
    return pd.concat([found[m.called] for m in ordered], ignore_index=True)


def _estimates(plan: ExperimentPlan, planned: PlannedExperiment, arms: Arms, not_yet: str | None) -> pd.DataFrame:
    """Adjusted and unadjusted estimates beside each other; only the time before exposure where it must not be read."""
    variants = list(arms.randomised)
    comparisons = max(len(variants) - 1, 1) * max(len(plan.success), 1)
    found = []
    for metric in planned.metrics:
        level = 1 - ALPHA / (comparisons if metric.role == "success" else 1)
        own = estimates_beside(
            arms.counts[metric.called],
            control=planned.control,
            level=level,
            design=planned.design,
            planned_units=tuning_units(plan, variants, variants[-1]),
        )
        found.append(own[own["estimator"] == "before exposure"] if not_yet else own)
    rows = pd.concat(found, ignore_index=True)
    return declared(tables.EXPERIMENT_ESTIMATES, rows.assign(experiment_id=plan.experiment_id))


def _apart(plan: ExperimentPlan, table: Any, parts: Sequence[Part], rules: dict) -> pd.DataFrame:
    """Parts of the units, or of the time, apart; p and limits corrected over all of them."""
    if not parts:
        return declared(table, pd.DataFrame(columns=["experiment_id"]))
    ready = compare_exploratory([counts for _, _, counts in parts], **rules)
    rows = pd.DataFrame(
        [row | keys | {"role": m.role} for (keys, m, _), own in zip(parts, ready, strict=True) for row in own]
    ).reindex(columns=[*(c for c in COMPARED if c not in parts[0][0]), *parts[0][0]])
    rows = rows[rows["variant"] != plan.control]
    return declared(table, rows.assign(experiment_id=plan.experiment_id))


def _days(plan: ExperimentPlan, parts: Sequence[Part], rules: dict) -> pd.DataFrame:
    """Parts of the time since exposure; those of metrics that decide corrected together, exploratory ones apart, so
    that many of these hide no fading of what decides.
    """
    deciding = [p for p in parts if p[1].role != "exploratory"]
    others = [p for p in parts if p[1].role == "exploratory"]
    found = [_apart(plan, tables.EXPERIMENT_DAYS, own, rules) for own in (deciding, others) if own]
    return pd.concat(found, ignore_index=True) if found else _apart(plan, tables.EXPERIMENT_DAYS, [], rules)


def _rows(plan: ExperimentPlan, compared: pd.DataFrame, arms: Arms, decisions: Sequence[Decision]) -> pd.DataFrame:
    """The table `experiments`: comparisons with their counts, and the decision on the success rows."""
    rows = compared.merge(arms.conversions, on=["metric", "variant"], how="left")
    choices = {d.variant: d.choice for d in decisions}
    decision = rows["variant"].map(choices).where(rows["role"] == "success", None)
    return declared(tables.EXPERIMENTS, rows.assign(experiment_id=plan.experiment_id, decision=decision))


def _unit_rows(plan: ExperimentPlan, arms: Arms) -> pd.DataFrame:
    """The table `experiment_units`, with the planned share of each assigned variant."""
    shares, standing = dict(plan.shares), arms.standing
    assigned = standing["standing"] == "assigned"
    equal = 1 / assigned.sum() if assigned.any() else None
    total = sum(shares.values())
    planned = [
        (shares[v] / total if shares else equal) if is_assigned else None
        for v, is_assigned in zip(standing["variant"], assigned, strict=True)
    ]
    exposed = standing["units"].astype(float).where(standing["standing"] != NO_UNIT)
    numbers = {
        "planned_share": pd.Series(planned, index=standing.index, dtype=float),
        "share": exposed / max(float(exposed.sum()), 1.0),
        "value": pd.Series(values_by_standing(arms, plan.planned), index=standing.index, dtype=float),
    }
    return declared(tables.EXPERIMENT_UNITS, standing.assign(experiment_id=plan.experiment_id, **numbers))


def _refused(plan: ExperimentPlan) -> ExperimentResults:
    """No comparison: one row that says why."""
    known: dict[str, list[Any]] = {
        "experiment_id": [plan.experiment_id],
        "metric": [plan.metric_name],
        "role": ["success"],
    }
    why = str(plan.refused_because)
    decision = "refused" if plan.is_asked else "not asked"
    rows = refused_rows(tables.EXPERIMENTS, why, **known, decision=[decision])
    units, estimates, segments, days = (
        pd.DataFrame(columns=[c.name for c in table.columns])
        for table in (
            tables.EXPERIMENT_UNITS,
            tables.EXPERIMENT_ESTIMATES,
            tables.EXPERIMENT_SEGMENTS,
            tables.EXPERIMENT_DAYS,
        )
    )
    return ExperimentResults(plan, rows, units, NO_TEST, (), (None, None), estimates, segments, days)
