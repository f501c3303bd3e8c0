"""Charts along the time: rates, counts and latencies by day, week or month."""

from __future__ import annotations

import altair as alt
import pandas as pd

from launchpad_lib.charts.bounds import (
    apart,
    drawn,
    largest_names,
    notes,
    thinned,
)
from launchpad_lib.charts.comparisons import size_colour, sized, where_known
from launchpad_lib.charts.marks import mark_rules
from launchpad_lib.charts.theme import BLUE, GREEN, GREY, ORANGE, RED, SOLID, dated, layered, nothing, themed

MOST_BARS = 120  # along the time: thinner ones cannot be told apart
MOST_DOTS = 200  # on lines: a line of one day is seen by its dot only
# The page knows the first three by name and gives them other colours in the dark; the rest reads on both grounds.
LINE_COLOURS = [BLUE, ORANGE, GREEN, "#a67c00", "#8457b0", "#4f8cc9", "#b0517a", "#75862f", "#94705c", "#6b7684"]
LINES = alt.Color("line:N", title=None, scale=alt.Scale(range=LINE_COLOURS), legend=SOLID)
DAY = alt.Tooltip("at:T", title="date", format="%d %b %Y")


def rate_by_period(
    result: pd.DataFrame,
    *,
    period: str,
    rate: str,
    n: str,
    min_cell: int,
    title: str,
    y_title: str,
    annotations: pd.DataFrame | None = None,
    of: str | None = None,
) -> alt.LayerChart:
    """A rate over periods with its interval; periods with fewer than `min_cell` units are grey.

    Args:
        annotations: deployments and incidents, drawn as dotted lines. of: only those of this feature and of none.
    """
    found = drawn(result, {"at": period, "value": rate, "low": "ci_low", "high": "ci_high", "n": n})
    if found.nothing_because:
        return nothing(title, found.nothing_because)
    rows, note = thinned(found.rows)
    shown = sized(rows, min_cell=min_cell)
    share = alt.Axis(format="%")
    tips = [
        DAY,
        alt.Tooltip("value:Q", title=y_title, format=".1%"),
        alt.Tooltip("low:Q", title="lower limit", format=".1%"),
        alt.Tooltip("high:Q", title="upper limit", format=".1%"),
        alt.Tooltip("n:Q", title="n", format=",.0f"),
    ]
    base = alt.Chart(shown).encode(x=dated(shown["at"]))
    rules = base.mark_rule(strokeWidth=2, opacity=0.6).encode(
        y=alt.Y("low:Q", title=y_title, axis=share), y2="high:Q", color=size_colour(shown, min_cell)
    )
    value = alt.Y("value:Q", title=y_title, axis=share)
    line = base.mark_line(color=BLUE, tooltip=None).encode(y=value)
    points = base.mark_point(filled=True, size=50, opacity=1).encode(
        y=value, color=size_colour(shown, min_cell), tooltip=tips
    )
    behind, said = mark_rules(annotations, shown["at"], of=of)
    return themed(layered(*behind, line, *where_known(shown, rules), points), title, note=notes(said, note))


def active_users_chart(result: pd.DataFrame, *, annotations: pd.DataFrame | None = None) -> alt.LayerChart:
    """Daily, weekly and monthly active users."""
    title = "How many users are active?"
    names = {"dau": "day (DAU)", "wau": "7 days (WAU)", "mau": "28 days (MAU)"}
    found = drawn(result, {"at": "active_on", **{name: name for name in names}})
    if found.nothing_because:
        return nothing(title, found.nothing_because)
    long = found.rows.rename(columns=names).melt("at", var_name="line", value_name="value")
    shown, note = thinned(long)
    lines = (
        alt.Chart(shown)
        .mark_line(point=len(shown) <= MOST_DOTS)
        .encode(
            x=dated(shown["at"]),
            y=alt.Y("value:Q", title="Distinct users"),
            color=alt.Color(
                "line:N",
                title="active within",
                scale=alt.Scale(domain=list(names.values()), range=[BLUE, ORANGE, GREEN]),
            ),
            tooltip=[
                DAY,
                alt.Tooltip("line:N", title="active within"),
                alt.Tooltip("value:Q", title="users", format=",.0f"),
            ],
        )
    )
    behind, said = mark_rules(annotations, shown["at"])
    return themed(layered(*behind, lines), title, note=notes(said, note))


def lifecycle_chart(result: pd.DataFrame) -> alt.LayerChart:
    """New, returning and resurrected users above the line, dormant ones below."""
    title = "Where do each period's users come from, and who went?"
    names = ["returning", "resurrected", "new", "dormant"]
    found = drawn(result, {"at": "period_on", **{name: name for name in names}})
    if found.nothing_because:
        return nothing(title, found.nothing_because)
    rows = found.rows.sort_values("at", kind="stable")
    note = f"the newest {MOST_BARS} of {len(rows):,} periods" if len(rows) > MOST_BARS else ""
    long = rows.tail(MOST_BARS).assign(dormant=-rows["dormant"]).melt("at", var_name="state", value_name="users")
    long["place"] = long["state"].map(names.index)
    bars = (
        alt.Chart(long)
        .mark_bar()
        .encode(
            x=alt.X(
                "yearmonthdate(at):O",
                title="Start of the period",
                axis=alt.Axis(format="%d %b", labelAngle=0, labelOverlap=True),
            ),
            y=alt.Y("users:Q", title="Users (dormant below zero)"),
            color=alt.Color("state:N", title=None, scale=alt.Scale(domain=names, range=[BLUE, ORANGE, GREEN, RED])),
            order="place:Q",
            tooltip=[
                DAY,
                alt.Tooltip("state:N", title="state"),
                alt.Tooltip("users:Q", title="users", format=",.0f"),
            ],
        )
    )
    zero = alt.Chart(pd.DataFrame({"zero": [0]})).mark_rule(color=GREY, tooltip=None).encode(y="zero:Q")
    return themed(bars + zero, title, note=note)


def bar_counts(
    result: pd.DataFrame,
    *,
    category: str,
    value: str,
    title: str,
    value_title: str = "Rows",
    annotations: pd.DataFrame | None = None,
) -> alt.LayerChart:
    """Counts per category, or per date where the category is one; too many days are counted by month or year.

    Args:
        annotations: deployments and incidents, drawn across dates as dotted lines.
    """
    is_date = pd.api.types.is_datetime64_any_dtype(result[category])
    found = drawn(result, {"value": value, "at" if is_date else "name": category})
    if found.nothing_because:
        return nothing(title, found.nothing_because)
    if is_date:
        return _bars_in_time(found.rows, title, value_title=value_title, annotations=annotations)
    rows, more = largest_names(apart(found.rows), by="value")
    bars = (
        alt.Chart(rows)
        .mark_bar(color=BLUE)
        .encode(
            x=alt.X("name:N", title=None, sort=None),
            y=alt.Y("value:Q", title=value_title),
            tooltip=[
                alt.Tooltip("name:N", title=category.replace("_", " ")),
                alt.Tooltip("value:Q", title=value_title, format=",.4~g"),
            ],
        )
    )
    return themed(bars, title, note=more)


def _bars_in_time(
    rows: pd.DataFrame, title: str, *, value_title: str, annotations: pd.DataFrame | None
) -> alt.LayerChart:
    unit, letter, axis, note = (
        "yearmonthdate",
        "D",
        alt.Axis(format="%d %b", tickCount="day", labelOverlap="greedy"),
        "",
    )
    days = rows["at"].dt.tz_localize(None) if rows["at"].dt.tz is not None else rows["at"]
    if days.dt.to_period("D").nunique() > MOST_BARS:
        unit, letter, axis, note = "yearmonth", "M", alt.Axis(format="%b %Y", labelOverlap="greedy"), "by month"
    if days.dt.to_period("M").nunique() > MOST_BARS:
        unit, letter, axis, note = "year", "Y", alt.Axis(format="%Y", labelOverlap="greedy"), "by year"
    periods = days.dt.to_period(letter)
    counted = rows["value"].groupby(periods).sum().sort_index().tail(MOST_BARS)
    shown = pd.DataFrame({"at": counted.index.to_timestamp(), "value": counted.to_numpy()})
    bars = (
        alt.Chart(shown)
        .mark_bar(color=BLUE)
        .encode(
            x=alt.X(f"{unit}(at):T", title="Date", axis=axis),
            y=alt.Y("value:Q", title=value_title),
            tooltip=[DAY, alt.Tooltip("value:Q", title=value_title, format=",.0f")],
        )
    )
    behind, said = mark_rules(annotations, shown["at"])
    return themed(layered(bars, *behind), title, note=notes(said, note))
