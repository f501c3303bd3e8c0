"""The result tables of engagement, funnels and cohorts."""

from __future__ import annotations

from launchpad_lib.contract.catalogue.metric import ResultTable
from launchpad_lib.contract.tables import Column, ColumnType


def _columns(kind: ColumnType, **described: str) -> tuple[Column, ...]:
    """Columns of one type; none is required, because a refused row has no numbers."""
    return tuple(Column(name, kind, False, text) for name, text in described.items())


LIMITS = _columns("float64", ci_low="lower 95 % limit", ci_high="upper 95 % limit")
WHY = _columns("string", refused_because="why the row has no numbers; empty where it stands")


def _rate(name: str, text: str) -> tuple[Column, ...]:
    return (*_columns("float64", **{name: text}), *LIMITS)


FUNNEL = ResultTable(
    "funnel",
    "one row per step",
    (
        *_columns("int64", step="number of the step, from 1"),
        *_columns("string", step_name="the event of the step"),
        *_columns("int64", users="mature units that reached it", lost="reached the step before, but not this one"),
        *_rate("conversion_rate", "of step 1, fraction"),
        *_columns("float64", step_conversion_rate="of the step before, fraction"),
        *_columns("float64", median_seconds="from the step before", median_seconds_from_entry="from step 1"),
        *_columns("float64", p90_seconds_from_entry="from step 1, nine in ten are faster"),
        *_columns("int64", entrants_immature="units whose window is open", users_removed="removed by an exclusion"),
        *WHY,
    ),
)
FUNNEL_TIMES = ResultTable(
    "funnel_times",
    "one row per bucket of time from entry to the last step",
    (
        *_columns("string", time="bucket"),
        *_columns("int64", users="mature converters"),
        *_columns("float64", share="of converters"),
        *WHY,
    ),
)
FUNNEL_SEGMENTS = ResultTable(
    "funnel_segments",
    "one row per segment, at the last step; most entrants first",
    (
        *_columns("string", segment="value of the property; empty is a segment of its own"),
        *_columns("int64", entrants="mature entrants", users="of them at the last step"),
        *_rate("conversion_rate", "of entrants, fraction"),
        *WHY,
    ),
)
FUNNEL_TREND = ResultTable(
    "funnel_trend",
    "one row per local period of entry, at the last step",
    (
        *_columns("string", period_on="first date of the period"),
        *_columns("int64", entrants="mature entrants", users="of them at the last step"),
        *_rate("conversion_rate", "of entrants, fraction"),
        *_columns("int64", entrants_immature="units whose window is open"),
        *WHY,
    ),
)
FUNNEL_CHANGES = ResultTable(
    "funnel_changes",
    "one row for the whole funnel, per step, and per segment and step: entered lately against before",
    (
        *_columns("string", scope="whole, step or segment", segment="value of the property, for a segment"),
        *_columns("int64", step="number of the step"),
        *_columns("string", step_name="the event of the step"),
        *_columns("int64", n_before="units before"),
        *_columns("float64", rate_before="their rate, fraction"),
        *_columns("int64", n_after="units lately"),
        *_columns("float64", rate_after="their rate, fraction", absolute_lift="lately minus before, fraction"),
        *LIMITS,
        *_columns("float64", p_adjusted="Benjamini-Hochberg over steps and segments"),
        *_columns("boolean", is_changed="p_adjusted is at most 0.05"),
        *WHY,
    ),
)
FUNNEL_NEXT_EVENTS = ResultTable(
    "funnel_next_events",
    "one row per step and next event of the units that stopped there",
    (
        *_columns("int64", step="number of the last step reached"),
        *_columns("string", step_name="its event", next_event="the very next event; empty is none"),
        *_columns("int64", users="units", dropped="units that stopped after the step"),
        *_columns("float64", share="of dropped, fraction", median_seconds="until the next event"),
        *WHY,
    ),
)
FUNNEL_RULES = ResultTable(
    "funnel_rules",
    "one row per product whose documented rules are applied to the same log",
    (
        *_columns("string", rule="product and mode"),
        *_columns("int64", entrants="units that enter", users="of them at the last step"),
        *_rate("conversion_rate", "of entrants, fraction"),
        *_columns("string", why="why its number differs"),
        *WHY,
    ),
)

RETENTION_COLUMNS = (
    *_columns("int64", period_from="first period after the start", period_to="last one", users="mature users"),
    *_columns("int64", retained="of them back"),
    *_rate("retention_rate", "retained / users, fraction"),
    *_columns("int64", users_immature="users whose period is not over"),
    *WHY,
)
RETENTION = ResultTable(
    "retention",
    "one row per kind of start and asked periods, all users together",
    (*_columns("string", starts="first start, or every active period (n are user-periods)"), *RETENTION_COLUMNS),
)
RETENTION_COHORTS = ResultTable(
    "retention_cohorts",
    "one row per cohort of the local period of the start and asked period",
    (*_columns("string", cohort="first date of the cohort"), *RETENTION_COLUMNS),
)
RETENTION_SEGMENTS = ResultTable(
    "retention_segments",
    "one row per segment and asked period",
    (*_columns("string", split_by="a property, or what users did early", segment="its value"), *RETENTION_COLUMNS),
)
RETENTION_CHANGES = ResultTable(
    "retention_changes",
    "one row: the later half of the cohorts against the earlier half, at the first asked period",
    (
        *_columns("int64", period_from="the period asked"),
        *_columns("string", later_from="first cohort of the later half"),
        *_columns("int64", n_before="users of the earlier half"),
        *_columns("float64", rate_before="their retention, fraction"),
        *_columns("int64", n_after="users of the later half"),
        *_columns("float64", rate_after="their retention, fraction", absolute_lift="later minus earlier, fraction"),
        *LIMITS,
        *WHY,
    ),
)
LIFECYCLE = ResultTable(
    "lifecycle",
    "one row per local period",
    (
        *_columns("string", period_on="first date of the period"),
        *_columns("int64", active="users active", new="first time", returning="active the period before too"),
        *_columns(
            "int64", resurrected="active earlier, not the period before", dormant="active the period before only"
        ),
        *_columns("boolean", is_complete="the period is over"),
        *WHY,
    ),
)
LIFETIME = ResultTable(
    "lifetime",
    "one row for all users and one per group that is large enough",
    (
        *_columns("string", scope="all users or group", group="value of the property, for a group"),
        *_columns("int64", users="users that can be judged", gone="of them gone"),
        *_columns("float64", median_days="Kaplan-Meier median of days until gone"),
        *LIMITS,
        *_columns("float64", log_rank_p="p-value that the groups share one curve, in the row of all users"),
        *WHY,
    ),
)
SURVIVAL = ResultTable(
    "survival",
    "one row per group and time, at most 200 times a group",
    (
        *_columns("string", scope="all users or group", group="value of the property, for a group"),
        *_columns("float64", time_days="days since the first event"),
        *_columns("float64", survival="share not gone yet"),
        *LIMITS,
    ),
)
PATHS = ResultTable(
    "paths",
    "one row per direction, position and event, within sessions",
    (
        *_columns("string", direction="after or before", anchor="the event told from"),
        *_columns("int64", position="steps away from the anchor"),
        *_columns("string", event_name="the event; rare ones together"),
        *_columns("int64", units="sessions"),
        *_columns("float64", share="of sessions with the anchor, fraction"),
        *WHY,
    ),
)
TRANSITIONS = ResultTable(
    "transitions",
    "one row per event and next event of the same session",
    (
        *_columns("string", from_event="the event", to_event="the next one, or (end)"),
        *_columns("int64", transitions="times", from_count="times the first event occurs"),
        *_columns("float64", share="of from_count, fraction", median_seconds="between the two"),
    ),
)

ADOPTION = ResultTable(
    "adoption",
    "one row per declared feature: the last complete local week",
    (
        *_columns("string", feature_id="the feature", week_on="first date of the week"),
        *_columns("int64", users="distinct users of the feature", active_users="distinct active users"),
        *_rate("adoption_rate", "users / active_users, fraction"),
        *WHY,
    ),
)
ADOPTION_CHANGES = ResultTable(
    "adoption_changes",
    "one row per declared feature: the last complete local week against the one before",
    (
        *_columns("string", feature_id="the feature", week_on="first date of the later week"),
        *_columns("int64", n_before="users active in the earlier week"),
        *_columns("float64", rate_before="of them with the feature, fraction"),
        *_columns("int64", n_after="users active in the later week"),
        *_columns("float64", rate_after="of them with the feature, fraction", absolute_lift="later minus earlier"),
        *LIMITS,
        *_columns("float64", p_adjusted="Benjamini-Hochberg over the features"),
        *_columns("boolean", is_changed="p_adjusted is at most 0.05"),
        *WHY,
    ),
)
ADOPTION_DAILY = ResultTable(
    "adoption_daily",
    "one row per local day, of the feature in detail",
    (
        *_columns("string", feature_id="the feature", active_on="local date"),
        *_columns("int64", users="distinct users of the feature", active_users="distinct active users"),
        *_rate("adoption_rate", "users / active_users, fraction"),
    ),
)
COMPLETION = ResultTable(
    "completion",
    "one row per declared feature and unit that is counted (user, session)",
    (
        *_columns("string", feature_id="the feature", counted="users or sessions"),
        *_columns("string", start_event="an attempt begins", complete_event="it is complete"),
        *_columns("int64", starts="mature starts", completed="of them complete in time"),
        *_rate("completion_rate", "completed / starts, fraction"),
        *_columns("int64", immature="starts whose window is open"),
        *WHY,
    ),
)
SHARING = ResultTable(
    "sharing",
    "one row per declared feature: of those who see its value, who passes it on",
    (
        *_columns("string", feature_id="the feature", view_event="its value is seen", share_event="it is passed on"),
        *_columns("int64", viewers="mature viewers", sharers="of them with a share in time"),
        *_rate("share_rate", "sharers / viewers, fraction"),
        *_columns("int64", immature="viewers whose window is open"),
        *WHY,
    ),
)
FEATURE_FUNNELS = ResultTable(
    "feature_funnels",
    "one row per declared feature: from its first declared event to its last",
    (
        *_columns("string", feature_id="the feature", steps="its events in order"),
        *_columns("int64", entrants="mature entrants", users="of them at the last step"),
        *_rate("conversion_rate", "of entrants, fraction"),
        *WHY,
    ),
)
FEATURE_RETENTION = ResultTable(
    "feature_retention",
    "one row per declared feature and asked period: back with any event after the first start of the feature",
    (*_columns("string", feature_id="the feature", start_event="begins a user's time"), *RETENTION_COLUMNS),
)
ENGAGEMENT = ResultTable(
    "engagement",
    "one row per quantity of the feature in detail",
    (
        *_columns("string", quantity="what is counted", unit="its unit"),
        *_columns("float64", value="the number", ci_low="lower 95 % limit", ci_high="upper 95 % limit"),
        *_columns("int64", n="units counted"),
        *WHY,
    ),
)
ACTIVE_USERS = ResultTable(
    "active_users",
    "one row per local day",
    (
        *_columns("string", active_on="local date"),
        *_columns("int64", dau="users of the day", wau="of the trailing 7 days", mau="of the trailing 28 days"),
        *_columns("float64", stickiness="dau / mau"),
        *_columns("int64", days_observed="days of data up to 28; under 28 mau does not cover its window"),
    ),
)
ACTIVE_DAYS = ResultTable(
    "active_days",
    "one row per number of active days",
    (
        *_columns("int64", days="active days in the window", users="users"),
        *_columns("float64", share="of users active in the window"),
    ),
)
FREQUENCY = ResultTable(
    "frequency",
    "one row per bucket of times",
    (
        *_columns("string", times="how often"),
        *_columns("int64", users="users"),
        *_columns("float64", share="of users who did it in the window"),
        *WHY,
    ),
)
FEATURE_OVERLAP = ResultTable(
    "feature_overlap",
    "one row per other feature",
    (
        *_columns("string", feature_a="the feature in detail", feature_b="the other"),
        *_columns("int64", users_a="users of the first", users_b="of the other", users_both="of both"),
        *_rate("share_of_a", "users_both / users_a, fraction"),
        *_columns("float64", overlap_lift="1 where using one tells nothing about the other"),
        *WHY,
    ),
)

TABLES: tuple[ResultTable, ...] = (
    FUNNEL,
    FUNNEL_TIMES,
    FUNNEL_SEGMENTS,
    FUNNEL_TREND,
    FUNNEL_CHANGES,
    FUNNEL_NEXT_EVENTS,
    FUNNEL_RULES,
    RETENTION,
    RETENTION_COHORTS,
    RETENTION_SEGMENTS,
    RETENTION_CHANGES,
    LIFECYCLE,
    LIFETIME,
    SURVIVAL,
    PATHS,
    TRANSITIONS,
    ADOPTION,
    ADOPTION_CHANGES,
    ADOPTION_DAILY,
    COMPLETION,
    SHARING,
    FEATURE_FUNNELS,
    FEATURE_RETENTION,
    ENGAGEMENT,
    ACTIVE_USERS,
    ACTIVE_DAYS,
    FREQUENCY,
    FEATURE_OVERLAP,
)
