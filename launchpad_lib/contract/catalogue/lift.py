"""Did it work: retention lift."""

from __future__ import annotations

from launchpad_lib.contract.catalogue.metric import Metric, ResultTable
from launchpad_lib.contract.tables import Column, ColumnType

LIFT_SOURCE = "definitions, Retention lift"
RETURNED = "active in the {outcome} after the {landmark} that follow"

RETENTION_LIFT_NAIVE = Metric(
    name="retention_lift_naive",
    label="Retention lift, naive (not causal)",
    question="How much more often do those who ever finish come back?",
    numerator=(
        "share of users with {complete_event} who are active later than {late} after their first event, "
        "minus that of the others"
    ),
    denominator="all users of the log",
    interval="Newcombe 95 %",
    unit="points",
    direction="higher",
    maturity="Not causal: who stays longer has more time to finish",
    source=f"{LIFT_SOURCE}, point 1",
)
RETENTION_LIFT_LANDMARK = Metric(
    name="retention_lift_landmark",
    label="Retention lift among all users, from their first event (overstated)",
    question="How much more often do those who finished early come back?",
    numerator=(
        "users with {complete_event} by {late} after their first event minus the others, active in the "
        "{outcome} after; "
        "adjusted for the first 24 hours"
    ),
    denominator="users whose {late} and {outcome} are over, without those who finished in the first 24 hours",
    interval="95 %, augmented inverse-probability weighting",
    unit="points",
    direction="higher",
    maturity="Who finished was there to do so, which nothing measured in the first 24 hours takes out",
    source=f"{LIFT_SOURCE}; docs/studies.md",
)
RETENTION_LIFT_ADJUSTED = Metric(
    name="retention_lift_adjusted",
    label="Retention lift among starters, adjusted",
    question="How much more often do starters come back if they finish?",
    numerator=(
        f"users with {{complete_event}} within {{landmark}} of their first {{start_event}} minus those "
        f"without, {RETURNED}; "
        "average over all starters (ATE) by cross-fitted AIPW on what was known before the start"
    ),
    denominator="starters whose outcome is over",
    interval="influence function 95 %",
    unit="points",
    direction="higher",
    maturity="A starter whose outcome is not over is in neither count",
    source="Chernozhukov et al. 2018; docs/studies.md",
)
RETENTION_LIFT_COMPLETERS = RETENTION_LIFT_ADJUSTED._replace(
    name="retention_lift_completers",
    label="Retention lift of those who finished, adjusted",
    question="How much more often did those who finished come back than they would have?",
    numerator=RETENTION_LIFT_ADJUSTED.numerator.replace("all starters (ATE)", "those who finished (ATT)"),
)
RETENTION_LIFT_E_VALUE = Metric(
    name="retention_lift_e_value",
    label="E-value of the lift",
    question="How strong would something unmeasured have to be to explain the lift?",
    numerator="RR + sqrt(RR (RR - 1)) of the adjusted return rates",
    denominator="starters whose outcome is over",
    interval="the lower limit is the E-value of the limit nearer 1",
    unit="score",
    direction="higher",
    maturity="",
    source="VanderWeele and Ding 2017",
)
ROBUSTNESS_VALUE = Metric(
    name="robustness_value",
    label="Robustness value of the lift",
    question="How much would something unmeasured have to explain to bring the lift to 0?",
    numerator="share of what is left of finishing and of returning that it must explain of both",
    denominator="starters whose outcome is over",
    interval="",
    unit="fraction",
    direction="higher",
    maturity="",
    source="Cinelli and Hazlett 2020",
)

METRICS: tuple[Metric, ...] = (
    RETENTION_LIFT_NAIVE,
    RETENTION_LIFT_LANDMARK,
    RETENTION_LIFT_ADJUSTED,
    RETENTION_LIFT_COMPLETERS,
    RETENTION_LIFT_E_VALUE,
    ROBUSTNESS_VALUE,
)


def _columns(kind: ColumnType, **described: str) -> tuple[Column, ...]:
    """Columns of one type; none is required, because a refused row has no numbers."""
    return tuple(Column(name, kind, False, text) for name, text in described.items())


FEATURE = _columns("string", feature_id="the feature")
LIMITS = _columns("float64", ci_low="lower 95 % limit", ci_high="upper 95 % limit")
WHY = _columns("string", refused_because="why the row has no numbers; empty where it stands")

LIFT = ResultTable(
    "lift",
    "one row per feature, comparison, design and estimand",
    (
        *FEATURE,
        *_columns(
            "string",
            compare="finished: who finished against who did not",
            design="starters, first event, or everybody (not causal)",
            estimand="difference (unadjusted), ATE or ATT; parametric: by statsmodels",
        ),
        *_columns("float64", estimate="difference of return rates, a fraction"),
        *LIMITS,
        *_columns("int64", n="users compared"),
        *_columns("string", verdict="of the row that the page reports; empty on the others"),
        *WHY,
        *_columns("int64", n_treated="of them finished", n_control="of them did not"),
    ),
)
LIFT_STARTERS = ResultTable(
    "lift_starters",
    "one row per feature: who started, and who of them is compared",
    (
        *FEATURE,
        *_columns("string", start_event="begins an attempt", complete_event="finishes it"),
        *_columns(
            "int64",
            compared="starters whose outcome is over",
            window_open="their outcome is not over: in neither count",
            completed_first="finished before their first start: left out",
        ),
        *WHY,
    ),
)
LIFT_BALANCE = ResultTable(
    "lift_balance",
    "one row per feature and covariate",
    (
        *FEATURE,
        *_columns("string", covariate="measured before the first start"),
        *_columns(
            "float64",
            mean_treated="mean of who finished",
            mean_control="mean of who did not",
            smd_before="standardised mean difference",
            smd_after="the same after weighting; refused from 0.1",
        ),
    ),
)
LIFT_DOUBTS = ResultTable(
    "lift_doubts",
    "one row per feature and check on what lies before the first start",
    (
        *FEATURE,
        *_columns("string", check="the outcome before the exposure"),
        *_columns("float64", estimate="difference of its shares, a fraction"),
        *LIMITS,
        *_columns("float64", limit="the interval must lie within plus or minus this"),
        *_columns("int64", n="users for whom it is known"),
        *_columns("string", verdict="passes, fails, too wide to tell or cannot be checked"),
        *WHY,
    ),
)
LIFT_STRENGTH = ResultTable(
    "lift_strength",
    "one row per feature: how strong something unmeasured would have to be",
    (
        *FEATURE,
        *_columns(
            "float64",
            e_value="risk ratio with finishing and with returning that explains the lift",
            e_value_limit="the same for the limit nearer 0",
            robustness_value="share of what is left of both that brings the lift to 0",
        ),
        *_columns("string", benchmark_covariate="the measured covariate whose like would change most"),
        *_columns(
            "float64",
            benchmark_estimate="what another one like it would leave",
            benchmark_low="lower 95 % limit of that",
            benchmark_high="upper 95 % limit of that",
        ),
        *_columns("boolean", is_benchmark_survived="that interval stays on the side of the estimate"),
        *WHY,
    ),
)

TABLES: tuple[ResultTable, ...] = (LIFT, LIFT_STARTERS, LIFT_BALANCE, LIFT_DOUBTS, LIFT_STRENGTH)
