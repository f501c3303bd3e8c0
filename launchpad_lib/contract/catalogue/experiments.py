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
EXPERIMENT_MEAN_LIFT = Metric(
    name="experiment_mean_lift",
    label="{metric}: {variant} minus {control}",
    question="By how much does the variant's mean or ratio differ?",
    numerator="difference of the value of {metric} within {window} after first exposure, {variant} minus {control}",
    denominator="the units of these two arms: {units}",
    interval="{interval}",
    unit="score",
    direction="neither",
    maturity="Outcomes before the first exposure do not count",
    source=f"{EXPERIMENTS_SOURCE}; Deng, Knoblich and Lu 2018",
)
DETECTABLE_LIFT = Metric(
    name="detectable_lift",
    label="{metric}: detectable lift",
    question="How large must a difference be for these units to find it 8 times in 10?",
    numerator="(z(1 - a / 2) + z(0.8)) sqrt(p (1 - p) (1 / n1 + 1 / n0)) at the control's rate p, "
    "a = 0.05 corrected as the interval",
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

DESIGN_UNITS = Metric(
    name="design_units",
    label="{metric}: units needed",
    question="How many units does an experiment need to find {effect}?",
    numerator="units of all {arms} arms, each (z(1 - a / 2) + z({power}))^2 2 variance / difference^2, "
    "a = 0.05 / {comparisons}",
    denominator="users of the log who did {unit_event} first in its last mature days",
    interval="",
    unit="count",
    direction="lower",
    maturity="Units whose window of {window} is not over count in no rate",
    source=EXPERIMENTS_SOURCE,
)
DESIGN_EFFECT = Metric(
    name="design_detectable_effect",
    label="{metric}: found in {days} days",
    question="Which relative difference does an experiment of {days} days find {often} times in 100?",
    numerator="(z(1 - a / 2) + z({power})) sqrt(2 variance / n) / value at the units that {days} days bring",
    denominator="units of an arm: {n} of {arms} arms",
    interval="",
    unit="fraction",
    direction="lower",
    maturity="Rates and variances are those of the log before any experiment",
    source=EXPERIMENTS_SOURCE,
)

METRICS: tuple[Metric, ...] = (
    EXPERIMENT_LIFT,
    EXPERIMENT_RELATIVE_LIFT,
    EXPERIMENT_MEAN_LIFT,
    DETECTABLE_LIFT,
    SAMPLE_RATIO_P,
    DESIGN_UNITS,
    DESIGN_EFFECT,
)


def _columns(kind: ColumnType, **described: str) -> tuple[Column, ...]:
    """Columns of one type; none is required, because a refused row has no numbers."""
    return tuple(Column(name, kind, False, text) for name, text in described.items())


EXPERIMENTS = ResultTable(
    "experiments",
    "one row per experiment, metric and variant; the control first",
    (
        *_columns("string", experiment_id="the experiment", variant="its variant", metric="the event of the outcome"),
        *_columns("string", role="success, guardrail or exploratory"),
        *_columns("float64", value="share of units that did it, mean per unit, ratio or quantile"),
        *_columns("float64", lift="value minus that of the control"),
        *_columns("float64", ci_low="lower limit of the lift", ci_high="upper limit of the lift"),
        *_columns("float64", p="two-sided p value, corrected as the limits; empty for a sequential design"),
        *_columns("int64", n="units of the variant", n_control="units of the control"),
        *_columns("string", decision="of the variant, on its success rows"),
        *_columns("string", reading="above, below, within the margin, open, not measured, too few units or not yet"),
        *_columns("string", refused_because="why the row has no lift; empty where it stands, and for the control"),
        *_columns("float64", value_low="lower 95 % limit of the value", value_high="upper 95 % limit of the value"),
        *_columns("float64", relative_lift="lift / value of the control"),
        *_columns("float64", relative_low="lower limit, Fieller", relative_high="upper limit, Fieller"),
        *_columns("float64", detectable_lift="difference that these units find 8 times in 10"),
        *_columns("float64", margin="largest fall of a guardrail that is tolerated"),
        *_columns("int64", converted="units that did it", naive_converted="counted by a join on the user alone"),
        *_columns("int64", events_before_exposure="events of these units before their first exposure"),
        *_columns("string", direction="which way is good: increase or decrease"),
        *_columns("float64", relative_margin="largest tolerated harm to a guardrail, as a fraction of the control"),
        *_columns("float64", level="of the limits: 0.95, or more where it is corrected over comparisons"),
        *_columns("string", estimator="unadjusted, cuped or post-stratified"),
    ),
)
EXPERIMENT_UNITS = ResultTable(
    "experiment_units",
    "one row per experiment, standing and variant of exposed units",
    (
        *_columns("string", experiment_id="the experiment"),
        *_columns(
            "string",
            standing="assigned, or why left out: several variants, outside the plan, no variant, before the start, "
            "after the end, no cluster, cluster in several variants, no unit (users whose exposure names none)",
        ),
        *_columns("string", variant="the variant, where it is one; of a unit that saw several the first of them"),
        *_columns("float64", planned_share="of the plan, a fraction; empty outside it"),
        *_columns("int64", units="exposed units", units_immature="of them, window not over: in no rate"),
        *_columns("float64", share="of all exposed units, a fraction"),
        *_columns("float64", value="first success metric of those of the standing whose window is over"),
    ),
)

EXPERIMENT_OVERVIEW = ResultTable(
    "experiment_overview",
    "one row per experiment",
    (
        *_columns("string", experiment_id="the experiment", decision="of its best variant", variant="that variant"),
        *_columns("string", success="its success metrics", guardrails="its guardrails", sample_ratio="the split"),
        *_columns("int64", units="units that are compared", planned_units="of the plan; empty where none is planned"),
    ),
)
EXPERIMENT_ESTIMATES = ResultTable(
    "experiment_estimates",
    "one row per experiment, metric, variant and estimator",
    (
        *_columns("string", experiment_id="the experiment", metric="the metric", variant="the variant"),
        *_columns("string", estimator="unadjusted, cuped, post-stratified, winsorised, or before exposure"),
        *_columns("float64", lift="variant minus control", ci_low="lower limit", ci_high="upper limit"),
        *_columns("float64", p="two-sided p value, not corrected; empty for a sequential design"),
        *_columns("float64", variance_left="what is left of the variance of the unadjusted lift"),
        *_columns("string", refused_because="why there is none"),
    ),
)
EXPERIMENT_SEGMENTS = ResultTable(
    "experiment_segments",
    "one row per experiment, segment, metric and variant",
    (
        *_columns("string", experiment_id="the experiment", segment="the property", level="its value at exposure"),
        *_columns("string", metric="the success metric", variant="the variant"),
        *_columns("float64", value="of the variant", lift="variant minus control"),
        *_columns("float64", ci_low="lower limit, of the level at which p is 0.05", ci_high="upper limit"),
        *_columns("float64", p="two-sided, adjusted over all segments (Benjamini-Hochberg)"),
        *_columns("int64", n="units of the variant", n_control="units of the control"),
        *_columns("string", refused_because="why there is none"),
    ),
)
EXPERIMENT_DAYS = ResultTable(
    "experiment_days",
    "one row per experiment, metric, variant and days since exposure",
    (
        *_columns(
            "string", experiment_id="the experiment", metric="the metric", role="success, guardrail or exploratory"
        ),
        *_columns("string", variant="the variant"),
        *_columns("int64", day_from="first whole day since exposure, from 0", day_to="last of these days"),
        *_columns("float64", value="of the variant on these days", lift="variant minus control"),
        *_columns("float64", ci_low="lower limit, of the level at which p is 0.05", ci_high="upper limit"),
        *_columns("float64", p="two-sided, adjusted over all parts (Benjamini-Hochberg), exploratory metrics apart"),
        *_columns("int64", n="units of the variant", n_control="units of the control"),
        *_columns("string", refused_because="why there is none"),
    ),
)
DESIGN_DURATIONS = ResultTable(
    "experiment_design",
    "one row per metric and duration",
    (
        *_columns("string", metric="the metric"),
        *_columns("int64", days="days of exposures", units="units that come in so many days, of all arms"),
        *_columns("float64", value="of the log", sd="standard deviation over units"),
        *_columns("float64", detectable="difference that is found", relative="as a fraction of the value"),
        *_columns(
            "float64", relative_cuped="the same after CUPED", relative_sequential="the same at the last of all looks"
        ),
        *_columns("string", refused_because="why there is none"),
    ),
)
DESIGN_SIZES = ResultTable(
    "experiment_sizes",
    "one row per metric and relative difference",
    (
        *_columns("string", metric="the metric"),
        *_columns("float64", relative="relative difference to be found"),
        *_columns("int64", units="units of all arms", days="days that bring them; empty where no unit comes"),
        *_columns("int64", units_cuped="units after CUPED", units_sequential="units where every look counts"),
        *_columns("float64", variance_left="1 - rho^2: what CUPED leaves of the variance"),
        *_columns("string", refused_because="why there is none"),
    ),
)
DESIGN_LOOKS = ResultTable(
    "experiment_looks",
    "one row per look of a peeking plan",
    (
        *_columns("int64", look="number of the look", day="days since the start", units="units by then"),
        *_columns(
            "float64", sequential_width="half width of the interval that holds at every look, in standard errors"
        ),
        *_columns("float64", fixed_false_alarms="false alarms by then where a fixed interval is read at every look"),
    ),
)

TABLES: tuple[ResultTable, ...] = (
    EXPERIMENT_OVERVIEW,
    EXPERIMENTS,
    EXPERIMENT_UNITS,
    EXPERIMENT_ESTIMATES,
    EXPERIMENT_SEGMENTS,
    EXPERIMENT_DAYS,
    DESIGN_DURATIONS,
    DESIGN_SIZES,
    DESIGN_LOOKS,
)
