"""Did it work: experiments."""

from __future__ import annotations

from launchpad_lib.contract.catalogue.metric import Metric, ResultTable
from launchpad_lib.contract.tables import Column, ColumnType

EXPERIMENTS_SOURCE = "definitions, Experiments"
OUTCOME = "units with {metric} within {window} after their first exposure, {variant} minus {control}"

EXPERIMENT_LIFT = Metric(
    name="experiment_lift",
    label="{metric}: {variant} against {control}",
    question="How much more often do units of the variant do it?",
    numerator=f"difference of the shares of {OUTCOME}",
    denominator="the units of these two arms: {units}",
    interval="{interval}",
    unit="points",
    direction="higher",
    maturity="Outcomes before the first exposure do not count",
    source=EXPERIMENTS_SOURCE,
)
EXPERIMENT_RELATIVE_LIFT = Metric(
    name="experiment_relative_lift",
    label="{metric}: relative lift of {variant}",
    question="By what part of the control's rate does the variant differ?",
    numerator=f"difference of the shares of {OUTCOME}, divided by the share of {{control}}",
    denominator="the units of these two arms: {units}",
    interval="Fieller; refused where the control's rate is not clearly above 0",
    unit="fraction",
    direction="higher",
    maturity="Outcomes before the first exposure do not count",
    source=f"{EXPERIMENTS_SOURCE}; Fieller 1954",
)
DETECTABLE_LIFT = Metric(
    name="detectable_lift",
    label="{metric}: detectable lift",
    question="How large must a difference be for these units to find it 8 times in 10?",
    numerator="(z(0.975) + z(0.8)) sqrt(p (1 - p) (1 / n1 + 1 / n0)) at the control's rate p",
    denominator="the units of these two arms: {units}",
    interval="",
    unit="points",
    direction="lower",
    maturity="It depends on the units, not on the result",
    source=EXPERIMENTS_SOURCE,
)
SAMPLE_RATIO_P = Metric(
    name="sample_ratio_p",
    label="Sample ratio, p value",
    question="Were units assigned in the planned ratio?",
    numerator="Pearson chi-square of exposed units per variant against {shares}; alert under 0.001",
    denominator="exposed units of the planned variants, each seen in one variant only",
    interval="",
    unit="score",
    direction="neither",
    maturity="",
    source=f"{EXPERIMENTS_SOURCE}: SRM",
)

METRICS: tuple[Metric, ...] = (EXPERIMENT_LIFT, EXPERIMENT_RELATIVE_LIFT, DETECTABLE_LIFT, SAMPLE_RATIO_P)


def _columns(kind: ColumnType, **described: str) -> tuple[Column, ...]:
    """Columns of one type; none is required, because a refused row has no numbers."""
    return tuple(Column(name, kind, False, text) for name, text in described.items())


EXPERIMENTS = ResultTable(
    "experiments",
    "one row per experiment, metric and variant; the control first",
    (
        *_columns("string", experiment_id="the experiment", variant="its variant", metric="the event of the outcome"),
        *_columns("string", role="success or guardrail"),
        *_columns("float64", value="share of units that did it, a fraction", lift="value minus that of the control"),
        *_columns("float64", ci_low="lower limit of the lift", ci_high="upper limit of the lift"),
        *_columns("float64", p="two-sided p value, corrected over the variants; empty for a sequential design"),
        *_columns("int64", n="units of the variant", n_control="units of the control"),
        *_columns("string", decision="of the variant, on its success rows"),
        *_columns("string", reading="above, below, within the margin, open or not measured"),
        *_columns("string", refused_because="why the row has no lift; empty where it stands, and for the control"),
        *_columns("float64", value_low="lower 95 % limit of the value", value_high="upper 95 % limit of the value"),
        *_columns("float64", relative_lift="lift / value of the control"),
        *_columns("float64", relative_low="lower limit, Fieller", relative_high="upper limit, Fieller"),
        *_columns("float64", detectable_lift="difference that these units find 8 times in 10"),
        *_columns("float64", margin="largest fall of a guardrail that is tolerated"),
        *_columns("int64", converted="units that did it", naive_converted="counted by a join on the user alone"),
        *_columns("int64", events_before_exposure="events of these units before their first exposure"),
    ),
)
EXPERIMENT_UNITS = ResultTable(
    "experiment_units",
    "one row per experiment, standing and variant of exposed units",
    (
        *_columns("string", experiment_id="the experiment"),
        *_columns("string", standing="assigned, several variants, outside the plan or no variant"),
        *_columns("string", variant="the variant, where it is one"),
        *_columns("float64", planned_share="of the plan, a fraction; empty outside it"),
        *_columns("int64", units="exposed units", units_immature="of them, window not over: in no rate"),
    ),
)

TABLES: tuple[ResultTable, ...] = (EXPERIMENTS, EXPERIMENT_UNITS)
