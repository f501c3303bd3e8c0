"""The result tables of the engagement page."""

from __future__ import annotations

from launchpad_lib.contract.catalogue.metric import ResultTable
from launchpad_lib.contract.catalogue.product_columns import EVENT_COUNTS, LIMITS, WHY, columns, rate

EVENTS_BY_NAME = ResultTable("events_by_name", "one row per event name, most frequent first", EVENT_COUNTS)
ADOPTION = ResultTable(
    "adoption",
    "one row per declared feature: the last complete local week",
    (
        *columns("string", feature_id="the feature", week_on="first date of the week"),
        *columns("int64", users="distinct users of the feature", active_users="distinct active users"),
        *rate("adoption_rate", "users / active_users, fraction"),
        *WHY,
    ),
)
ADOPTION_CHANGES = ResultTable(
    "adoption_changes",
    "one row per declared feature: the last complete local week against the one before; of a log that does not hold "
    "both, its last complete days against the same weekdays of the week before",
    (
        *columns("string", feature_id="the feature", week_on="first date of the later days"),
        *columns("int64", days="how many: 7 are a week", n_before="users active in the earlier days"),
        *columns("float64", rate_before="of them with the feature, fraction"),
        *columns("int64", n_after="users active in the later days"),
        *columns("float64", rate_after="of them with the feature, fraction", absolute_lift="later minus earlier"),
        *LIMITS,
        *columns("float64", p_value="of no change", p_adjusted="Benjamini-Hochberg over the features"),
        *columns("boolean", is_changed="p_adjusted is at most 0.05"),
        *WHY,
    ),
)
ADOPTION_DAILY = ResultTable(
    "adoption_daily",
    "one row per local day, of the feature in detail",
    (
        *columns("string", feature_id="the feature", active_on="local date"),
        *columns("int64", users="distinct users of the feature", active_users="distinct active users"),
        *rate("adoption_rate", "users / active_users, fraction"),
    ),
)
COMPLETION = ResultTable(
    "completion",
    "one row per declared feature and unit that is counted (user, session)",
    (
        *columns("string", feature_id="the feature", counted="users or sessions"),
        *columns("string", start_event="an attempt begins", complete_event="it is complete"),
        *columns("int64", starts="mature starts", completed="of them complete in time"),
        *rate("completion_rate", "completed / starts, fraction"),
        *columns("int64", immature="starts whose window is open"),
        *WHY,
    ),
)
SHARING = ResultTable(
    "sharing",
    "one row per declared feature: of those who see its value, who passes it on",
    (
        *columns("string", feature_id="the feature", view_event="its value is seen", share_event="it is passed on"),
        *columns("int64", viewers="mature viewers", sharers="of them with a share in time"),
        *rate("share_rate", "sharers / viewers, fraction"),
        *columns("int64", immature="viewers whose window is open"),
        *WHY,
    ),
)
ENGAGEMENT = ResultTable(
    "engagement",
    "one row per quantity of the feature in detail",
    (
        *columns("string", quantity="what is counted", unit="its unit"),
        *columns("float64", value="the number", ci_low="lower 95 % limit", ci_high="upper 95 % limit"),
        *columns("int64", n="units counted"),
        *WHY,
    ),
)
ACTIVE_USERS = ResultTable(
    "active_users",
    "one row per local day",
    (
        *columns("string", active_on="local date"),
        *columns("int64", dau="users of the day", wau="of the trailing 7 days", mau="of the trailing 28 days"),
        *columns("float64", stickiness="dau / mau"),
        *columns("int64", days_observed="days of data up to 28; under 28 mau does not cover its window"),
    ),
)
ACTIVE_DAYS = ResultTable(
    "active_days",
    "one row per number of active days",
    (
        *columns("int64", days="active days in the window", users="users"),
        *columns("float64", share="of users active in the window"),
    ),
)
FREQUENCY = ResultTable(
    "frequency",
    "one row per bucket of times",
    (
        *columns("string", times="how often"),
        *columns("int64", users="users"),
        *columns("float64", share="of users who did it in the window"),
        *WHY,
    ),
)
FEATURE_OVERLAP = ResultTable(
    "feature_overlap",
    "one row per other feature",
    (
        *columns("string", feature_a="the feature in detail", feature_b="the other"),
        *columns("int64", users_a="users of the first", users_b="of the other", users_both="of both"),
        *rate("share_of_a", "users_both / users_a, fraction"),
        *columns("float64", overlap_lift="1 where using one tells nothing about the other"),
        *WHY,
    ),
)

TABLES: tuple[ResultTable, ...] = (
    EVENTS_BY_NAME,
    ADOPTION,
    ADOPTION_CHANGES,
    ADOPTION_DAILY,
    COMPLETION,
    SHARING,
    ENGAGEMENT,
    ACTIVE_USERS,
    ACTIVE_DAYS,
    FREQUENCY,
    FEATURE_OVERLAP,
)
