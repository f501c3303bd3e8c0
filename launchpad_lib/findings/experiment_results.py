"""What the experiments page counts: its plan, checked against the log, and its result tables, whole or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

import ibis.expr.types as ir
import pandas as pd

from launchpad_lib.contract.catalogue import experiments as tables
from launchpad_lib.contract.durations import parse_window
from launchpad_lib.contract.estimates import Estimate, estimate_of, refusal
from launchpad_lib.contract.names import nearest
from launchpad_lib.contract.sentences import counted, named, span_words
from launchpad_lib.findings.rows import declared, not_asked, refused_rows
from launchpad_lib.inference import Decision, best_first, compare_variants, decide, sample_ratio_mismatch
from launchpad_lib.inference.sample_ratio import SampleRatio
from launchpad_lib.metrics.exposures import (
    Outcome,
    conversions,
    experiment_units,
    exposed_between,
    nobody_exposed,
    units_by_standing,
)

NO_TEST = SampleRatio(None, None, False, "there are no units to count")


class ExperimentPlan(NamedTuple):
    """One experiment as it was planned; `refused_because` where it is not asked, or the log does not hold it."""

    experiment_id: str | None
    control: str | None
    metric_event: str | None
    guardrail_events: tuple[str, ...] = ()
    guardrail_margin: float = 0.1
    window: str = "7d"
    immature_units: Literal["leave_out", "count"] = "leave_out"
    shares: tuple[tuple[str, float], ...] = ()
    design: Literal["fixed", "sequential"] = "fixed"
    planned_units: int = 5000
    min_cell: int = 30
    report_timezone: str = "UTC"
    observed_through: datetime | None = None
    refused_because: str | None = None

    @property
    def is_asked(self) -> bool:
        """Whether an experiment is declared with its control and its success metric."""
        return None not in (self.experiment_id, self.control, self.metric_event)

    @property
    def within(self) -> str:
        """The window as it is read."""
        return span_words(self.window)


class ExperimentResults(NamedTuple):
    """The page's tables (`contract.catalogue.experiments`), the sample ratio, and the decision on every variant, best
    first.
    """

    plan: ExperimentPlan
    rows: pd.DataFrame
    units: pd.DataFrame
    ratio: SampleRatio
    decisions: tuple[Decision, ...]
    exposed_on: tuple[date | None, date | None]

    @property
    def lifts(self) -> dict[str, Estimate]:
        """The success metric of every variant against control, by variant."""
        return self._by_variant(value="lift")

    @property
    def relative_lifts(self) -> dict[str, Estimate]:
        """The same relative to the control's rate; refused where that is not clearly above 0."""
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
    def sample_ratio(self) -> Estimate:
        """The p value of the planned split."""
        n = int(self._assigned["units"].sum()) if len(self.rows) else 0
        shares = "the planned split" if self.plan.shares else "an equal split"
        if self.ratio.p_value is None:
            return refusal(self.plan.refused_because or str(self.ratio.refused_because), n=n, shares=shares)
        return Estimate(self.ratio.p_value, n=n, rules={"shares": shares})

    @property
    def forest(self) -> pd.DataFrame:
        """Grain: one row per line of the chart: row, kind (reported or beside it), absolute_lift, ci_low, ci_high."""
        drawn = self.rows[self.rows["lift"].notna()]
        found = [
            (
                f"{named(r.metric, cells=24)}: {named(r.variant, cells=24)}",
                "reported" if r.role == "success" else "beside it",
                r.lift,
                r.ci_low,
                r.ci_high,
            )
            for r in drawn.itertuples()
        ]
        return pd.DataFrame(found, columns=["row", "kind", "absolute_lift", "ci_low", "ci_high"])

    @property
    def _assigned(self) -> pd.DataFrame:
        return self.units[self.units["standing"] == "assigned"]

    def _by_variant(self, *, value: str, ci: tuple[str, str] = ("ci_low", "ci_high")) -> dict[str, Estimate]:
        """An estimate of each variant's success metric; n counts its own arm and the control's only."""
        own = self.rows[(self.rows["role"] == "success") & (self.rows["variant"] != self.plan.control)]
        found = {}
        for row in own[own["variant"].notna()].to_dict("records"):
            both = row | {"both": row["n"] + row["n_control"]}
            if self.ratio.is_mismatch:
                both["refused_because"] = "units were not assigned in the planned ratio"
            found[row["variant"]] = estimate_of(both, value=value, n="both", ci=ci, **self._words(row["variant"]))
        return found

    def _words(self, variant: str) -> dict[str, str]:
        variants = self.rows.loc[self.rows["role"] == "success", "variant"].nunique() - 1
        kind = "Newcombe 95 %" if self.plan.design == "fixed" else "confidence sequence 95 %, valid at every look"
        late = "window over" if self.plan.immature_units == "leave_out" else "all, since the log has ended"
        return {
            "metric": named(self.plan.metric_event),
            "variant": named(variant),
            "control": named(self.plan.control),
            "window": self.plan.within,
            "units": late,
            "interval": f"{kind}, Bonferroni over {variants} variants" if variants > 1 else kind,
        }


def ask_experiment(
    events: ir.Table,
    *,
    experiment_id: str | None,
    control: str | None,
    metric_event: str | None,
    guardrail_events: Sequence[str] = (),
    shares: Mapping[str, float] | None = None,
    **rules: Any,
) -> ExperimentPlan:
    """The plan, checked against the log: an experiment that nobody declared is not asked, one that nobody saw is
    refused.
    """
    guardrails = tuple(dict.fromkeys(guardrail_events))
    split = tuple((shares or {}).items())
    plan = ExperimentPlan(experiment_id, control, metric_event, guardrail_events=guardrails, shares=split, **rules)
    if experiment_id is None or not plan.is_asked:
        remedy = "declare experiment_id, control and metric_event of this notebook in the params file"
        return plan._replace(refused_because=not_asked(f"no experiment is declared; {remedy}"))
    return plan._replace(refused_because=nobody_exposed(events, experiment_id=experiment_id))


def experiment_results(events: ir.Table, plan: ExperimentPlan) -> ExperimentResults:
    """Counts from one reading of the log, comparisons from the counts, and a decision on every variant."""
    if plan.refused_because:
        return _refused(plan)
    names = [name for name in (plan.metric_event, *plan.guardrail_events) if name]
    units = experiment_units(
        events,
        experiment_id=plan.experiment_id,
        outcomes=[Outcome(name, parse_window(plan.window)) for name in dict.fromkeys(names)],
        observed_through=plan.observed_through if plan.immature_units == "leave_out" else None,
        planned=[v for v, _ in plan.shares],
    )
    standing = units_by_standing(units).to_pandas()
    assigned = standing[standing["standing"] == "assigned"]
    reason = _cannot_be_compared(
        plan, {str(v): int(u) for v, u in zip(assigned["variant"], assigned["units"], strict=True)}
    )
    if reason:
        return _refused(plan._replace(refused_because=reason))._replace(units=_unit_rows(plan, standing))
    roles: list[tuple[str, Literal["success", "guardrail"]]] = [(names[0], "success")]
    roles += [(guardrail, "guardrail") for guardrail in plan.guardrail_events]
    counts = conversions(units).to_pandas()
    compared = pd.concat(
        [
            compare_variants(
                counts[counts["metric"] == name],
                role=role,
                margin=plan.guardrail_margin if role == "guardrail" else None,
                min_units=plan.min_cell,
                control=str(plan.control),
                design=plan.design,
                planned_units=plan.planned_units,
            )
            for name, role in roles
        ],
        ignore_index=True,
    )
    ratio = _ratio(plan, assigned)
    variants = [v for v in dict.fromkeys(compared["variant"]) if v != plan.control]
    decisions = best_first([decide(compared, variant=v, ratio=ratio) for v in variants], compared)
    period = exposed_between(units, report_timezone=plan.report_timezone).to_pandas().iloc[0]
    return ExperimentResults(
        plan,
        _rows(plan, compared, counts, decisions),
        _unit_rows(plan, standing),
        ratio,
        tuple(decisions),
        tuple(period),
    )


def _cannot_be_compared(plan: ExperimentPlan, units: dict[str, int]) -> str | None:
    """Why the arms of the plan are not there to be compared, else None."""
    expected = [plan.control, *(v for v, _ in plan.shares)]
    missing = next((v for v in expected if v not in units), None)
    if missing is not None:
        what = "control" if missing == plan.control else "planned variant"
        return f"{what} {missing!r}: no unit was exposed to it alone; {nearest(missing, units)}"
    return "only one variant was seen, so there is nothing to compare" if len(units) < 2 else None


def _ratio(plan: ExperimentPlan, assigned: pd.DataFrame) -> SampleRatio:
    """The test of the planned split, or of an equal one over the variants that were seen."""
    shares = dict(plan.shares)
    variants, units = assigned["variant"].tolist(), assigned["units"].astype(int).tolist()
    return sample_ratio_mismatch(units, weights=[shares[v] for v in variants] if shares else None)


def _rows(
    plan: ExperimentPlan, compared: pd.DataFrame, counts: pd.DataFrame, decisions: Sequence[Decision]
) -> pd.DataFrame:
    """The table `experiments`: comparisons with their counts, and the decision on the success rows."""
    beside = counts[["metric", "variant", "converted", "naive_converted", "events_before_exposure"]]
    rows = compared.merge(beside, on=["metric", "variant"], how="left")
    choices = {d.variant: d.choice for d in decisions}
    decision = rows["variant"].map(choices).where(rows["role"] == "success", None)
    return declared(tables.EXPERIMENTS, rows.assign(experiment_id=plan.experiment_id, decision=decision))


def _unit_rows(plan: ExperimentPlan, standing: pd.DataFrame) -> pd.DataFrame:
    """The table `experiment_units`, with the planned share of each assigned variant."""
    shares = dict(plan.shares)
    assigned = standing["standing"] == "assigned"
    equal = 1 / assigned.sum() if assigned.any() else None
    total = sum(shares.values())
    planned = [
        (shares[v] / total if shares else equal) if is_assigned else None
        for v, is_assigned in zip(standing["variant"], assigned, strict=True)
    ]
    planned_share = pd.Series(planned, index=standing.index, dtype=float)
    return declared(
        tables.EXPERIMENT_UNITS, standing.assign(experiment_id=plan.experiment_id, planned_share=planned_share)
    )


def _refused(plan: ExperimentPlan) -> ExperimentResults:
    """No comparison: one row that says why."""
    known: dict[str, list[Any]] = {
        "experiment_id": [plan.experiment_id],
        "metric": [plan.metric_event],
        "role": ["success"],
    }
    why = str(plan.refused_because)
    decision = "refused" if plan.is_asked else "not asked"
    rows = refused_rows(tables.EXPERIMENTS, why, **known, decision=[decision])
    units = pd.DataFrame(columns=[c.name for c in tables.EXPERIMENT_UNITS.columns])
    return ExperimentResults(plan, rows, units, NO_TEST, (), (None, None))


def left_out(found: ExperimentResults) -> list[str]:
    """Exposed units that are not compared, counted and named."""
    units = found.units
    several = int(units.loc[units["standing"] == "several variants", "units"].sum())
    nameless = int(units.loc[units["standing"] == "no variant", "units"].sum())
    said = [
        f"{counted(r.units, 'unit')} of the unplanned variant {named(r.variant)}"
        for r in units[units["standing"] == "outside the plan"].itertuples()
    ]
    said += [f"{counted(nameless, 'unit')} without a variant"] if nameless else []
    return said + ([f"{counted(several, 'unit')} that saw several variants"] if several else [])
