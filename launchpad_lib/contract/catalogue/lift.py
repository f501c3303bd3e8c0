"""Did it work: retention lift."""

from __future__ import annotations

from launchpad_lib.contract.catalogue.metric import Metric, ResultTable
from launchpad_lib.contract.tables import Column, ColumnType

LIFT_SOURCE = "definitions, Retention lift"

RETENTION_LIFT_NAIVE = Metric(
    name="retention_lift_naive",
    label="Retention lift, naive (not causal)",
    question="How much more often do those who ever do it come back?",
    numerator=(
        "share of users who ever {do} that are active later than {late} after their first event, minus that of the "
        "others"
    ),
    denominator="all users of the log",
    interval="Newcombe 95 %",
    unit="points",
    direction="higher",
    maturity="Not causal: who stays longer has more time to do it",
    source=f"{LIFT_SOURCE}, point 1",
)
RETENTION_LIFT_ADJUSTED = Metric(
    name="retention_lift_adjusted",
    label="Retention lift, adjusted",
    question="How much more often do people come back after a trial in which they do it?",
    numerator=(
        "trials in which they {do} within {grace} minus those in which they do not, active in the {outcome} after the "
        "grace; average over all trials (ATE) by cross-fitted AIPW on what was known before the trial"
    ),
    denominator="trials whose outcome is over; a trial is a {trial}",
    interval="influence function, clustered by user, 95 % corrected over the features",
    unit="points",
    direction="higher",
    maturity="A trial whose longest grace and outcome are not over is in neither count",
    source="Hernan and Robins 2016; Chernozhukov et al. 2018; docs/studies.md",
)
RETENTION_LIFT_COMPLETERS = RETENTION_LIFT_ADJUSTED._replace(
    name="retention_lift_completers",
    label="Retention lift of those who did it, adjusted",
    question="How much more often did those who did it come back than they would have?",
    numerator=RETENTION_LIFT_ADJUSTED.numerator.replace("all trials (ATE)", "those in which they do (ATT)"),
)
RETENTION_LIFT_OVERLAP = RETENTION_LIFT_ADJUSTED._replace(
    name="retention_lift_overlap",
    label="Retention lift of those who could have gone either way, adjusted",
    question="How much more often do those come back who could have gone either way?",
    numerator=RETENTION_LIFT_ADJUSTED.numerator.replace(
        "all trials (ATE) by cross-fitted AIPW", "those who could have gone either way (ATO), cross-fitted,"
    ),
    source="Li, Morgan and Zaslavsky 2018; Robinson 1988; docs/studies.md",
)
RETENTION_LIFT_ROLLOUT = Metric(
    name="retention_lift_rollout",
    label="Retention lift where it was switched on",
    question="How many more of those who were there come back where it is switched on?",
    numerator=(
        "change of the share of users active in a period since the last period before the switch, minus that change "
        "where it is not switched on yet; average over places and periods"
    ),
    denominator="users with an event before the first period, by the last place known before it",
    interval="users, and what happens to whole places beyond chance; 95 % corrected over the features",
    unit="points",
    direction="higher",
    maturity="Only periods that are over count; places without anybody left to compare with are left out",
    source="Callaway and Sant'Anna 2021; docs/studies.md",
)
RETENTION_LIFT_SHOWN = Metric(
    name="retention_lift_shown",
    label="Retention lift of being shown it (experiment)",
    question="How much more often do those come back who were drawn to be shown it?",
    numerator=(
        "share of the variant's users active in the {outcome} after the day of their first exposure, minus that of the "
        "control (intention to treat)"
    ),
    denominator="users exposed to one of the two variants only, whose time is over",
    interval="Newcombe, 95 % corrected over the features",
    unit="points",
    direction="higher",
    maturity="Users whose outcome is not over are in neither arm; a broken assignment is refused",
    source=f"{LIFT_SOURCE}, point 5",
)
RETENTION_LIFT_COMPLIERS = Metric(
    name="retention_lift_compliers",
    label="Retention lift of those who did it because they were shown it",
    question="How much more often do those come back who did it because they were shown it?",
    numerator="the difference of return over the difference of doing it within a day of the exposure",
    denominator="users exposed to one of the two variants only, whose time is over",
    interval="Anderson and Rubin (holds however few complied), 95 % corrected over the features",
    unit="points",
    direction="higher",
    maturity="Being shown it must change return only by doing it",
    source="Angrist, Imbens and Rubin 1996; Anderson and Rubin 1949",
)
RETENTION_LIFT_E_VALUE = Metric(
    name="retention_lift_e_value",
    label="E-value of the lift",
    question="How strong would something unmeasured have to be to explain the lift?",
    numerator="RR + sqrt(RR (RR - 1)) of the adjusted return rates",
    denominator="trials whose outcome is over",
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
    numerator="share of what is left of doing it and of returning that it must explain of both",
    denominator="trials whose outcome is over",
    interval="",
    unit="fraction",
    direction="higher",
    maturity="",
    source="Cinelli and Hazlett 2020",
)

METRICS: tuple[Metric, ...] = (
    RETENTION_LIFT_NAIVE,
    RETENTION_LIFT_ADJUSTED,
    RETENTION_LIFT_COMPLETERS,
    RETENTION_LIFT_OVERLAP,
    RETENTION_LIFT_ROLLOUT,
    RETENTION_LIFT_SHOWN,
    RETENTION_LIFT_COMPLIERS,
    RETENTION_LIFT_E_VALUE,
    ROBUSTNESS_VALUE,
)


def _columns(kind: ColumnType, **described: str) -> tuple[Column, ...]:
    """Columns of one type; none is required, because a refused row has no numbers."""
    return tuple(Column(name, kind, False, text) for name, text in described.items())


FEATURE = _columns("string", feature_id="the feature", compare="finished or used: who did it against who did not")
LIMITS = _columns("float64", ci_low="lower 95 % limit", ci_high="upper 95 % limit")
WHY = _columns("string", refused_because="why the row has no numbers; empty where it stands")

LIFT = ResultTable(
    "lift",
    "one row per feature, comparison, design and estimand",
    (
        *FEATURE,
        *_columns(
            "string",
            design="experiment, roll-out, start trials, or everybody (not causal)",
            estimand=(
                "ITT (by assignment), compliers (who did it because of it), ATE (all), ATT (who did it, or where it "
                "was switched on), ATO (who could have gone either way), difference (unadjusted)"
            ),
        ),
        *_columns("float64", estimate="difference of return rates, a fraction"),
        *_columns(
            "float64", ci_low="lower limit, 95 % over all features", ci_high="upper limit, 95 % over all features"
        ),
        *_columns("int64", n="trials compared (users, of a roll-out and where not causal)"),
        *_columns("string", verdict="of the row that the page reports; empty on the others"),
        *WHY,
        *_columns("int64", n_treated="of them did it", n_control="of them did not", users="whose trials they are"),
        *_columns(
            "float64",
            effective_treated="users who did it, after weighting (Kish)",
            effective_control="users who did not, after weighting (Kish)",
            largest_smd="largest standardised difference of a covariate after weighting",
        ),
    ),
)
LIFT_TRIALS = ResultTable(
    "lift_trials",
    "one row per feature: its trials, and which of them are compared",
    (
        *FEATURE,
        *_columns("string", start_event="begins an attempt", complete_event="finishes it"),
        *_columns(
            "int64",
            compared="trials whose outcome is over",
            window_open="their outcome is not over: in neither count",
            done_before="would have begun after the user had done it: left out",
            users="of the trials that were computed with",
        ),
        *_columns("float64", user_share="of the users, the part whose trials were computed with"),
        *_columns("string", models="the models chosen by their loss on users they had not seen"),
        *WHY,
    ),
)
LIFT_BALANCE = ResultTable(
    "lift_balance",
    "one row per feature and covariate",
    (
        *FEATURE,
        *_columns("string", covariate="known before the trial"),
        *_columns(
            "float64",
            mean_treated="mean of who did it",
            mean_control="mean of who did not",
            smd_before="standardised mean difference",
            smd_after="the same after weighting for the estimand that is reported",
        ),
    ),
)
LIFT_DOUBTS = ResultTable(
    "lift_doubts",
    "one row per feature and check: on what lies before the trial, or before a place was switched on, or on something "
    "that cannot matter",
    (
        *FEATURE,
        *_columns(
            "string",
            design="start trials or roll-out",
            check="the outcome before the exposure, or the exposure that cannot matter",
        ),
        *_columns("float64", estimate="difference of its shares, a fraction"),
        *LIMITS,
        *_columns("float64", limit="the interval must lie within plus or minus this"),
        *_columns("int64", n="trials for which it is known, or users of the places"),
        *_columns("string", verdict="passes, fails, too wide to tell or cannot be checked"),
        *WHY,
    ),
)
LIFT_ROLLOUT = ResultTable(
    "lift_rollout",
    "one row per feature that declares a roll-out, wave (places switched on in one period) and period",
    (
        *_columns("string", feature_id="the feature", places="the places of the wave, as JSON"),
        *_columns("timestamp", switched_on="beginning of the period in which they are switched on (UTC)"),
        *_columns("timestamp", period_on="beginning of the period (UTC)"),
        *_columns("int64", since_switch="periods since the switch; negative before it"),
        *_columns(
            "float64", estimate="change since the last period before the switch minus that of the others, a fraction"
        ),
        *LIMITS,
        *_columns("int64", n_treated="users of the wave", n_control="users of places not switched on yet"),
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
            e_value="risk ratio with doing it and with returning that explains the lift",
            e_value_limit="the same for the limit nearer 0",
            robustness_value="share of what is left of both that brings the lift to 0",
        ),
        *_columns("string", benchmark_covariate="the measured covariates whose like would change most"),
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

TABLES: tuple[ResultTable, ...] = (LIFT, LIFT_TRIALS, LIFT_BALANCE, LIFT_DOUBTS, LIFT_STRENGTH, LIFT_ROLLOUT)
