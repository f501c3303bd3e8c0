"""The result tables of the cohort page."""

from __future__ import annotations

from launchpad_lib.contract.catalogue.metric import ResultTable
from launchpad_lib.contract.catalogue.product_columns import LIMITS, WHY, columns, rate

USERS_SEEN = ResultTable(
    "users_seen",
    "one row: everybody in the log",
    (
        *columns("int64", users="distinct users"),
        *columns("string", first_seen="first instant, UTC", last_seen="last instant, UTC"),
        *columns("int64", seen_once="users active on one day"),
        *columns("float64", mean_active_days="active days per user"),
    ),
)
RETENTION_COLUMNS = (
    *columns("int64", period_from="first period after the start", period_to="last one", users="mature users"),
    *columns("int64", retained="of them back"),
    *rate("retention_rate", "retained / users, fraction"),
    *columns("int64", users_immature="users whose period is not over"),
    *WHY,
)
RETENTION = ResultTable(
    "retention",
    "one row per kind of start and asked periods, all users together",
    (*columns("string", starts="first start, or every active period (n are user-periods)"), *RETENTION_COLUMNS),
)
RETENTION_COHORTS = ResultTable(
    "retention_cohorts",
    "one row per cohort of the local period of the start and asked period",
    (*columns("string", cohort="first date of the cohort"), *RETENTION_COLUMNS),
)
RETENTION_SEGMENTS = ResultTable(
    "retention_segments",
    "one row per segment and asked period",
    (*columns("string", split_by="a property, or what users did early", segment="its value"), *RETENTION_COLUMNS),
)
RETENTION_CHANGES = ResultTable(
    "retention_changes",
    "one row: the later half of the cohorts against the earlier half, at the first asked period",
    (
        *columns("int64", period_from="the period asked"),
        *columns("string", later_from="first cohort of the later half"),
        *columns("int64", n_before="users of the earlier half"),
        *columns("float64", rate_before="their retention, fraction"),
        *columns("int64", n_after="users of the later half"),
        *columns("float64", rate_after="their retention, fraction", absolute_lift="later minus earlier, fraction"),
        *LIMITS,
        *columns("float64", p_value="of no change"),
        *WHY,
    ),
)
FEATURE_RETENTION = ResultTable(
    "feature_retention",
    "one row per declared feature and asked period: back with any event after the first start of the feature",
    (*columns("string", feature_id="the feature", start_event="begins a user's time"), *RETENTION_COLUMNS),
)
LIFECYCLE = ResultTable(
    "lifecycle",
    "one row per local period",
    (
        *columns("string", period_on="first date of the period"),
        *columns("int64", active="users active", new="first time", returning="active the period before too"),
        *columns("int64", resurrected="active earlier, not the period before", dormant="active the period before only"),
        *columns("boolean", is_complete="the period is over"),
        *WHY,
    ),
)
LIFETIME = ResultTable(
    "lifetime",
    "one row for all users and one per group that is large enough",
    (
        *columns("string", scope="all users or group", group="value of the property, for a group"),
        *columns("int64", users="users that can be judged", gone="of them gone"),
        *columns("float64", median_days="Kaplan-Meier median of days until gone"),
        *LIMITS,
        *columns("float64", log_rank_p="p-value that the groups share one curve, in the row of all users"),
        *WHY,
    ),
)
SURVIVAL = ResultTable(
    "survival",
    "one row per group and time, at most 200 times a group",
    (
        *columns("string", scope="all users or group", group="value of the property, for a group"),
        *columns("float64", time_days="days since the first event"),
        *columns("float64", survival="share not gone yet"),
        *LIMITS,
    ),
)
PATHS = ResultTable(
    "paths",
    "one row per direction, position and event, within sessions",
    (
        *columns("string", direction="after or before", anchor="the event told from"),
        *columns("int64", position="steps away from the anchor"),
        *columns("string", event_name="the event; rare ones together"),
        *columns("int64", units="sessions"),
        *columns("float64", share="of sessions with the anchor, fraction"),
        *WHY,
    ),
)
TRANSITIONS = ResultTable(
    "transitions",
    "one row per event and next event of the same session",
    (
        *columns("string", from_event="the event", to_event="the next one, or (end)"),
        *columns("int64", transitions="times", from_count="times the first event occurs"),
        *columns("float64", share="of from_count, fraction", median_seconds="between the two"),
    ),
)


TABLES: tuple[ResultTable, ...] = (
    USERS_SEEN,
    RETENTION,
    RETENTION_COHORTS,
    RETENTION_SEGMENTS,
    RETENTION_CHANGES,
    FEATURE_RETENTION,
    LIFECYCLE,
    LIFETIME,
    SURVIVAL,
    PATHS,
    TRANSITIONS,
)
