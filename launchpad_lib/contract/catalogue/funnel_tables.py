"""The result tables of the funnel page."""

from __future__ import annotations

from launchpad_lib.contract.catalogue.metric import ResultTable
from launchpad_lib.contract.catalogue.product_columns import EVENT_COUNTS, LIMITS, WHY, columns, rate

FUNNEL_EVENTS = ResultTable("funnel_events", "one row per event of a step that occurs", EVENT_COUNTS)
FUNNEL = ResultTable(
    "funnel",
    "one row per step",
    (
        *columns("int64", step="number of the step, from 1"),
        *columns("string", step_name="the event of the step"),
        *columns("int64", users="mature units that reached it", lost="reached the step before, but not this one"),
        *rate("conversion_rate", "of step 1, fraction"),
        *columns("float64", step_conversion_rate="of the step before, fraction"),
        *columns("float64", median_seconds="from the step before", median_seconds_from_entry="from step 1"),
        *columns("float64", p90_seconds_from_entry="from step 1, nine in ten are faster"),
        *columns("int64", entrants_immature="units whose window is open", users_removed="removed by an exclusion"),
        *WHY,
    ),
)
FUNNEL_TIMES = ResultTable(
    "funnel_times",
    "one row per bucket of time from entry to the last step",
    (
        *columns("string", time="bucket"),
        *columns("int64", users="mature converters"),
        *columns("float64", share="of converters"),
        *WHY,
    ),
)
FUNNEL_SEGMENTS = ResultTable(
    "funnel_segments",
    "one row per segment, at the last step; most entrants first",
    (
        *columns("string", segment="value of the property; empty is a segment of its own, values of few are one"),
        *columns("int64", entrants="mature entrants", users="of them at the last step"),
        *rate("conversion_rate", "of entrants, fraction"),
        *WHY,
    ),
)
FUNNEL_TREND = ResultTable(
    "funnel_trend",
    "one row per local period of entry, at the last step",
    (
        *columns("string", period_on="first date of the period"),
        *columns("int64", entrants="mature entrants", users="of them at the last step"),
        *rate("conversion_rate", "of entrants, fraction"),
        *columns("int64", entrants_immature="units whose window is open"),
        *WHY,
    ),
)
FUNNEL_CHANGES = ResultTable(
    "funnel_changes",
    "one row for the whole funnel, per step, and per segment and step: entered lately against before",
    (
        *columns("string", scope="whole, step or segment", segment="value of the property, for a segment"),
        *columns("int64", step="number of the step"),
        *columns("string", step_name="the event of the step"),
        *columns("int64", n_before="units before"),
        *columns("float64", rate_before="their rate, fraction"),
        *columns("int64", n_after="units lately"),
        *columns("float64", rate_after="their rate, fraction", absolute_lift="lately minus before, fraction"),
        *LIMITS,
        *columns("float64", p_adjusted="Benjamini-Hochberg over steps and segments"),
        *columns("boolean", is_changed="p_adjusted is at most 0.05"),
        *WHY,
    ),
)
FUNNEL_NEXT_EVENTS = ResultTable(
    "funnel_next_events",
    "one row per step and next event of the units that stopped there",
    (
        *columns("int64", step="number of the last step reached"),
        *columns("string", step_name="its event", next_event="the very next event; empty is none"),
        *columns("int64", users="units", dropped="units that stopped after the step"),
        *columns("float64", share="of dropped, fraction", median_seconds="until the next event"),
        *WHY,
    ),
)
FUNNEL_CORRELATES = ResultTable(
    "funnel_correlates",
    "one row per value at a step, or event after it, that can be compared: does it go with going on? The surest first",
    (
        *columns("int64", step="number of the step, from 1"),
        *columns("string", step_name="its event", next_step_name="the event to go on with"),
        *columns("string", property="whose value; empty for an event"),
        *columns("string", value="the value at the step, or the event done before going on"),
        *columns("int64", users="units with it", users_on="of them went on"),
        *columns("int64", others="units without it", others_on="of them went on"),
        *columns("float64", ratio="with against without: of shares for a value, of odds at equal times for an event"),
        *LIMITS,
        *columns("float64", p_adjusted="Benjamini-Hochberg over all that were compared"),
        *columns("string", goes_with="going on or stopping; empty where it cannot be told"),
        *columns("int64", compared="how many were compared"),
        *WHY,
    ),
)
FUNNEL_RULES = ResultTable(
    "funnel_rules",
    "one row per product whose documented rules are applied to the same log",
    (
        *columns("string", rule="product and mode"),
        *columns("int64", entrants="units that enter", users="of them at the last step"),
        *rate("conversion_rate", "of entrants, fraction"),
        *columns("string", why="why its number differs"),
        *WHY,
    ),
)

FEATURE_FUNNELS = ResultTable(
    "feature_funnels",
    "one row per declared feature: from its first declared event to its last",
    (
        *columns("string", feature_id="the feature", steps="its events in order"),
        *columns("int64", entrants="mature entrants", users="of them at the last step"),
        *rate("conversion_rate", "of entrants, fraction"),
        *WHY,
    ),
)

TABLES: tuple[ResultTable, ...] = (
    FUNNEL_EVENTS,
    FUNNEL,
    FUNNEL_TIMES,
    FUNNEL_SEGMENTS,
    FUNNEL_TREND,
    FUNNEL_CHANGES,
    FUNNEL_NEXT_EVENTS,
    FUNNEL_CORRELATES,
    FUNNEL_RULES,
    FEATURE_FUNNELS,
)
