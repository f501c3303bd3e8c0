"""Charts of experiments: lifts with the margins of guardrails, and their course since exposure."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt
import pandas as pd

from launchpad_lib.charts.bounds import LINE_CELLS, MOST_LINES, apart, drawn, first_names
from launchpad_lib.charts.comparisons import ROWS, _line_at, where_known
from launchpad_lib.charts.courses import LINES
from launchpad_lib.charts.theme import BLUE, GREY, RED, height_of, layered, nothing, themed

SIGNED = "+.1%"
OF_CONTROL = alt.Axis(format="+%", tickCount=8)
MOST_DAYS = 60


def lift_chart(rows: pd.DataFrame, *, title: str) -> alt.LayerChart:
    """Lifts as parts of the control's value with their intervals, one row per metric and variant; the margin of a
    guardrail is a red tick that the interval must not reach.

    Args:
        rows: row, kind ("success" or another), lift, ci_low, ci_high, limit (NULL where there is none).
    """
    columns = {"name": "row", "value": "lift", "low": "ci_low", "high": "ci_high", "limit": "limit", "line": "kind"}
    found = drawn(rows, columns)
    if found.nothing_because:
        return nothing(title, found.nothing_because)
    shown, more = first_names(apart(found.rows))
    x_title = "Difference, in % of the control's value"
    color = alt.condition("datum.line == 'success'", alt.value(BLUE), alt.value(GREY))
    tips = [
        alt.Tooltip("name:N", title="metric and variant"),
        alt.Tooltip("line:N", title="role"),
        *(
            alt.Tooltip(f"{own}:Q", title=told, format=SIGNED)
            for own, told in (("value", "difference"), ("low", "lower limit"), ("high", "upper limit"))
        ),
    ]
    base = alt.Chart(shown).encode(y=ROWS, color=color, tooltip=tips)
    x = alt.X("low:Q", title=x_title, axis=OF_CONTROL)
    rules = base.mark_rule(strokeWidth=2).encode(x=x, x2="high:Q")
    points = base.mark_point(filled=True, size=90).encode(x=alt.X("value:Q", title=x_title, axis=OF_CONTROL))
    limits = []
    if shown["limit"].notna().any():
        tick = alt.Chart(shown).mark_tick(color=RED, thickness=2, size=18, tooltip=None).encode(y=ROWS, x="limit:Q")
        limits = [tick.transform_filter("isValid(datum.limit)")]
    return themed(
        layered(_line_at(0), *limits, *where_known(shown, rules), points),
        title,
        note=more,
        height=height_of(len(shown)),
    )


def effect_by_day(rows: pd.DataFrame, *, title: str) -> alt.LayerChart:
    """A lift by days since exposure with its interval.

    Args:
        rows: day (a number), lift, ci_low, ci_high.
    """
    found = drawn(rows, {"value": "lift", "day": "day", "low": "ci_low", "high": "ci_high"})
    if found.nothing_because:
        return nothing(title, found.nothing_because)
    shown = found.rows.head(MOST_DAYS)
    base = alt.Chart(shown).encode(
        x=alt.X("day:Q", title="Days since first exposure"),
        tooltip=[alt.Tooltip("day:Q", title="from day"), alt.Tooltip("value:Q", title="difference", format="+,.4~g")],
    )
    y = alt.Y("low:Q", title="Difference to control")
    rules = base.mark_rule(color=BLUE, strokeWidth=2).encode(y=y, y2="high:Q")
    points = base.mark_point(color=BLUE, filled=True, size=80).encode(y=alt.Y("value:Q", title="Difference to control"))
    zero = alt.Chart(pd.DataFrame({"zero": [0]})).mark_rule(color=GREY, strokeDash=[4, 4], tooltip=None)
    return themed(layered(zero.encode(y="zero:Q"), *where_known(shown, rules), points), title)


def effects_by_day(courses: Mapping[str, pd.DataFrame]) -> list[alt.LayerChart]:
    """`effect_by_day` of each of several, by its title."""
    return [effect_by_day(rows, title=title) for title, rows in courses.items()]


def detectable_chart(rows: pd.DataFrame, *, title: str) -> alt.LayerChart:
    """The relative difference that is found, by days of exposures, one line per metric.

    Args:
        rows: metric, days, relative.
    """
    found = drawn(rows, {"value": "relative", "day": "days", "line": "metric"})
    if found.nothing_because:
        return nothing(title, found.nothing_because)
    shown, more = first_names(found.rows, column="line", cells=LINE_CELLS, most=MOST_LINES)
    shown = shown.head(MOST_LINES * MOST_DAYS)
    drawing = (
        alt.Chart(shown)
        .mark_line(point=True)
        .encode(
            x=alt.X("day:Q", title="Days of exposures"),
            y=alt.Y("value:Q", title="Difference that is found", axis=alt.Axis(format="%")),
            color=LINES,
            tooltip=[
                alt.Tooltip("line:N", title="metric"),
                alt.Tooltip("day:Q", title="days"),
                alt.Tooltip("value:Q", title="difference that is found", format=".1%"),
            ],
        )
    )
    return themed(drawing, title, note=more)
