"""Result table in, chart out; the title is the question, intervals are drawn."""

from __future__ import annotations

import altair as alt
import pandas as pd

BLUE, ORANGE, GREY = "#4c8fd6", "#d9822b", "#8a8f98"
INK = "#5c636d"  # text of charts; pages give this very colour a lighter one in dark mode


def _themed(chart: alt.Chart | alt.LayerChart, title: str) -> alt.Chart | alt.LayerChart:
    """Transparent ground; the page recolours the text in dark mode, so that one picture reads on light and dark pages."""
    return (
        chart.properties(title=title, width=640, height=260, background="transparent")
        .configure_title(color=INK, fontSize=15, anchor="start", fontWeight=600)
        .configure_axis(
            labelColor=INK,
            titleColor=INK,
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            gridColor=GREY,
            gridOpacity=0.25,
            domainColor=GREY,
            tickColor=GREY,
            labelLimit=230,
            labelSeparation=8,
        )  # fmt: skip
        .configure_axisX(grid=False)
        .configure_axisY(ticks=False, domain=False)
        .configure_legend(
            labelColor=INK, titleColor=INK, labelFontSize=12, titleFontSize=12, orient="bottom", columns=4
        )
        .configure_mark(tooltip=True)
        .configure_view(strokeOpacity=0)
    )


def funnel_chart(result: pd.DataFrame) -> alt.LayerChart:
    """Conversion of step 1 per step with its Wilson interval."""
    base = alt.Chart(result).encode(y=alt.Y("step_name:N", sort=None, title=None))
    bars = base.mark_bar(color=BLUE).encode(
        x=alt.X("conversion_rate:Q", title="Share of mature entrants", axis=alt.Axis(format="%"))
    )
    rules = base.mark_rule(color=ORANGE, strokeWidth=2).encode(x="ci_low:Q", x2="ci_high:Q")
    return _themed(bars + rules, "How many of those who enter reach each step?")


def rate_over_time(result: pd.DataFrame, *, x: str, y: str, title: str, y_title: str) -> alt.LayerChart:
    """A daily rate as a line, its interval as a band."""
    data = result.assign(**{x: pd.to_datetime(result[x])})
    base = alt.Chart(data).encode(x=alt.X(f"{x}:T", title="Date", axis=alt.Axis(format="%d %b")))
    line = base.mark_line(color=BLUE, point=True).encode(y=alt.Y(f"{y}:Q", title=y_title, axis=alt.Axis(format="%")))
    band = base.mark_area(opacity=0.25, color=BLUE).encode(y="ci_low:Q", y2="ci_high:Q")
    return _themed(band + line, title)


def difference_chart(result: pd.DataFrame, *, category: str, title: str) -> alt.LayerChart:
    """Absolute lifts with their intervals and the line of no effect."""
    base = alt.Chart(result).encode(y=alt.Y(f"{category}:N", sort=None, title=None))
    zero = alt.Chart(pd.DataFrame({"zero": [0]})).mark_rule(color=GREY, strokeDash=[4, 4]).encode(x="zero:Q")
    points_axis = alt.Axis(labelExpr="format(100 * datum.value, '+~f')", tickCount=8)
    rules = base.mark_rule(color=BLUE, strokeWidth=2).encode(
        x=alt.X("ci_low:Q", title="Difference (percentage points)", axis=points_axis), x2="ci_high:Q"
    )
    points = base.mark_point(color=ORANGE, filled=True, size=90).encode(x="absolute_lift:Q")
    return _themed(zero + rules + points, title)


def latency_chart(daily: pd.DataFrame, *, annotations: pd.DataFrame) -> alt.LayerChart:
    """Daily p95 latency per feature; deployments and incidents as dashed lines."""
    data = daily.assign(observed_on=pd.to_datetime(daily["observed_on"]))[
        ["observed_on", "feature_id", "p95_latency_ms"]
    ]
    lines = (
        alt.Chart(data)
        .mark_line()
        .encode(
            x=alt.X("observed_on:T", title="Date", axis=alt.Axis(format="%d %b")),
            y=alt.Y("p95_latency_ms:Q", title="p95 latency (ms)"),
            color=alt.Color("feature_id:N", title=None, scale=alt.Scale(scheme="tableau10")),
        )
    )
    if annotations.empty:
        return _themed(alt.layer(lines), "How slow is each feature for its slowest twentieth?")
    marks = (
        alt.Chart(annotations[["at", "label"]])
        .mark_rule(color=GREY, strokeDash=[4, 4])
        .encode(x="at:T", tooltip="label:N")
    )
    return _themed(lines + marks, "How slow is each feature for its slowest twentieth?")


def bar_counts(
    result: pd.DataFrame, *, category: str, value: str, title: str, value_title: str = "Rows"
) -> alt.LayerChart:
    """Counts per category, or per date where the category is one."""
    is_date = pd.api.types.is_datetime64_any_dtype(result[category])
    days = alt.Axis(format="%d %b", tickCount="day", labelOverlap="greedy")
    x = (
        alt.X(f"yearmonthdate({category}):T", title="Date", axis=days)
        if is_date
        else alt.X(f"{category}:N", title=None, sort=None)
    )
    return _themed(
        alt.layer(alt.Chart(result).mark_bar(color=BLUE).encode(x=x, y=alt.Y(f"{value}:Q", title=value_title))), title
    )
