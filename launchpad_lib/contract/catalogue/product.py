"""Did it work: engagement, funnels, cohorts."""

from __future__ import annotations

from launchpad_lib.contract.catalogue import cohort_tables, engagement_tables, funnel_tables
from launchpad_lib.contract.catalogue.metric import Metric, ResultTable

MATURE = "In neither count are {units_whose_window_is_open}"
PRODUCT = "definitions, Product metrics"

ADOPTION_RATE_DAILY_MEAN = Metric(
    name="adoption_rate_daily_mean",
    label="Adoption, mean of daily rates",
    question="On a day, what share of active users touches the feature?",
    numerator=(
        "mean over local days ({report_timezone}) of distinct users of {feature} / distinct users active that day"
    ),
    denominator="the user-days of active users",
    interval="",
    unit="fraction",
    direction="higher",
    maturity="",
    source=f"{PRODUCT}: adoption rate",
)
ADOPTION_RATE_WEEKLY = Metric(
    name="adoption_rate_weekly",
    label="Adoption in the last complete week",
    question="In a week, what share of active users touches the feature?",
    numerator="distinct users of {feature} in the last complete local week ({report_timezone})",
    denominator="distinct users active in that week",
    interval="Wilson 95 %",
    unit="fraction",
    direction="higher",
    maturity="A week that is not over is left out",
    source=f"{PRODUCT}: adoption rate",
)
COMPLETION_RATE_SESSION = Metric(
    name="completion_rate_session",
    label="Completion rate per session",
    question="Of the sessions with a start, how many are finished?",
    numerator="sessions with {start_event} followed by {complete_event} within {window}",
    denominator="mature sessions with {start_event}",
    interval="Wilson 95 %",
    unit="fraction",
    direction="higher",
    maturity=MATURE,
    source=f"{PRODUCT}: completion rate",
)
COMPLETION_RATE_USER = Metric(
    name="completion_rate_user",
    label="Completion rate per user",
    question="Of the users who start, how many finish?",
    numerator="users with {start_event} followed by {complete_event} within {window}",
    denominator="mature users with {start_event}",
    interval="Wilson 95 %",
    unit="fraction",
    direction="higher",
    maturity=MATURE,
    source=f"{PRODUCT}: completion rate",
)
INTERACTIONS_PER_SESSION_MEAN = Metric(
    name="interactions_per_session_mean",
    label="Interactions per started session",
    question="How deeply do people engage once they have started?",
    numerator="mean number of interaction events ({interaction_events})",
    denominator="sessions with {start_event}, those without an interaction included",
    interval="",
    unit="count",
    direction="higher",
    maturity="",
    source=f"{PRODUCT}: engagement depth",
)
SESSION_DURATION_MEDIAN = Metric(
    name="session_duration_median",
    label="Session duration, median",
    question="How long does a session last?",
    numerator="median of last minus first event; a session of one event lasts 0",
    denominator="all sessions",
    interval="",
    unit="seconds",
    direction="neither",
    maturity="",
    source=f"{PRODUCT}: session",
)
SHARE_RATE = Metric(
    name="share_rate",
    label="Share rate",
    question="Of those who see a result, how many pass it on?",
    numerator="distinct users with {share_event} within {window} after {view_event}",
    denominator="distinct mature users with {view_event}",
    interval="Wilson 95 %",
    unit="fraction",
    direction="higher",
    maturity=MATURE,
    source=f"{PRODUCT}: share rate",
)
SHARES_PER_VIEWER = Metric(
    name="shares_per_viewer",
    label="Shares per viewer",
    question="How often does a viewer pass a result on?",
    numerator="shares ({share_event}) within {window} of a user's first view ({view_event})",
    denominator="distinct mature users with {view_event}",
    interval="delta method over viewers, 95 %",
    unit="count",
    direction="higher",
    maturity=MATURE,
    source=f"{PRODUCT}: share rate",
)
STICKINESS = Metric(
    name="stickiness",
    label="Stickiness (mean DAU / MAU)",
    question="How much of the month's audience comes on a day?",
    numerator="mean of daily active users over those of the trailing 28 local days ({report_timezone}) that have data",
    denominator="distinct users of those days",
    interval="",
    unit="fraction",
    direction="higher",
    maturity="",
    source=f"{PRODUCT}: stickiness",
)
FUNNEL_CONVERSION = Metric(
    name="funnel_conversion",
    label="Funnel conversion",
    question="Of those who enter, how many reach the last step in time?",
    numerator="{units} that reach {last_step} within {window} after an entry, under {rules_in_force}",
    denominator="{units} that enter at {first_step} and are mature",
    interval="Wilson 95 %",
    unit="fraction",
    direction="higher",
    maturity=MATURE,
    source="definitions, Funnel",
)
FUNNEL_SECONDS_MEDIAN = Metric(
    name="funnel_seconds_median",
    label="Time from entry to the last step, median",
    question="How long do those who convert take?",
    numerator="median time from {first_step} to {last_step} on the path completed first, within {window}",
    denominator="{units} that reach {last_step} and are mature",
    interval="",
    unit="seconds",
    direction="lower",
    maturity=MATURE,
    source="definitions, Funnel",
)
FUNNEL_CONVERSION_CHANGE = Metric(
    name="funnel_conversion_change",
    label="Change of funnel conversion",
    question="Do those who entered lately convert more than those before?",
    numerator="conversion of {units} that entered in {later_period} minus that of {earlier_period}",
    denominator="{units} that entered in either period and are mature, counted in each",
    interval="Newcombe 95 % with the correlation of units that are in both periods",
    unit="points",
    direction="higher",
    maturity="The newer period ends where windows are over",
    source="definitions, Funnel: drop-off comparison",
)
RETENTION_RATE = Metric(
    name="retention_rate",
    label="Retention on {period_asked}",
    question="Of those who begin, how many come back?",
    numerator=(
        "users back on {period_asked} after {start_event}, with {return_event} ({kind_of_period}, {report_timezone})"
    ),
    denominator="users who began and are mature",
    interval="Wilson 95 %",
    unit="fraction",
    direction="higher",
    maturity="In neither count are {users_whose_period_is_open}",
    source="definitions, Retention",
)
RESURRECTED_SHARE = Metric(
    name="resurrected_share",
    label="Resurrected among active users",
    question="How much of the audience are people who had been away?",
    numerator="users active in {last_complete_period}, not in the one before, but earlier",
    denominator="users active in that period",
    interval="Wilson 95 %",
    unit="fraction",
    direction="neither",
    maturity="A period that is not over is left out",
    source=f"{PRODUCT}: lifecycle",
)
LIFETIME_DAYS_MEDIAN = Metric(
    name="lifetime_days_median",
    label="Time until users are gone, median",
    question="How long do users stay?",
    numerator="Kaplan-Meier median of days from first to last event; gone after {churn_gap} without one",
    denominator="users seen first at least {churn_gap} before the end of the data",
    interval="Brookmeyer and Crowley 95 %",
    unit="days",
    direction="higher",
    maturity="Who is still active {churn_gap} before the end of the data is censored there",
    source="definitions, Retention: survival view",
)

METRICS: tuple[Metric, ...] = (
    ADOPTION_RATE_DAILY_MEAN,
    ADOPTION_RATE_WEEKLY,
    COMPLETION_RATE_SESSION,
    COMPLETION_RATE_USER,
    INTERACTIONS_PER_SESSION_MEAN,
    SESSION_DURATION_MEDIAN,
    SHARE_RATE,
    SHARES_PER_VIEWER,
    STICKINESS,
    FUNNEL_CONVERSION,
    FUNNEL_SECONDS_MEDIAN,
    FUNNEL_CONVERSION_CHANGE,
    RETENTION_RATE,
    RESURRECTED_SHARE,
    LIFETIME_DAYS_MEDIAN,
)

TABLES: tuple[ResultTable, ...] = (*engagement_tables.TABLES, *funnel_tables.TABLES, *cohort_tables.TABLES)
