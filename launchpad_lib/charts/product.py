"""Charts of product metrics: funnels by segment and period, cohorts, lifecycle, survival, activity and paths.

Each takes a result table as the metrics give it. Units fewer than `min_cell` are drawn grey, with their interval.
"""

from __future__ import annotations

import altair as alt
import pandas as pd

from launchpad_lib.charts import BLUE, GREY, INK, ORANGE, _themed

GREEN, RED = "#3f9b6c", "#c2504d"
NO_VALUE = "(no value)"
SOLID = alt.Legend(symbolOpacity=1)


def _sized(result: pd.DataFrame, *, n: str, min_cell: int) -> pd.DataFrame:
    """Marks rows with fewer units than `min_cell`, for colour and legend."""
    return result.assign(
        size=(result[n] < min_cell).map({True: f"under {min_cell} units", False: f"{min_cell} units or more"})
    )


def _size_colour(data: pd.DataFrame, min_cell: int) -> alt.Color:
    """Grey for small cells; explained only where there is one."""
    names = [f"{min_cell} units or more", f"under {min_cell} units"]
    return alt.Color(
        "size:N",
        title=None,
        scale=alt.Scale(domain=names, range=[BLUE, GREY]),
        legend=SOLID if (data["size"] == names[1]).any() else None,
    )


def _plain(value: object) -> object:
    """A date as text, a missing category by its name."""
    if value is None or pd.isna(value):
        return NO_VALUE
    return f"{pd.Timestamp(value):%Y-%m-%d}" if hasattr(value, "year") else value


def rates_by(
    result: pd.DataFrame, *, category: str, rate: str, n: str, min_cell: int, title: str, x_title: str
) -> alt.LayerChart:
    """A rate with its interval per category, in the order of the table."""
    data = _sized(result, n=n, min_cell=min_cell).assign(**{category: result[category].map(_plain)})
    base = alt.Chart(data[[category, rate, "ci_low", "ci_high", n, "size"]]).encode(
        y=alt.Y(f"{category}:N", sort=None, title=None)
    )
    rules = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("ci_low:Q", title=x_title, axis=alt.Axis(format="%"), scale=alt.Scale(zero=True)),
        x2="ci_high:Q",
        color=_size_colour(data, min_cell),
    )
    points = base.mark_point(filled=True, size=80, opacity=1).encode(x=f"{rate}:Q", color=_size_colour(data, min_cell))
    return _themed(rules + points, title)


def rate_by_period(
    result: pd.DataFrame, *, period: str, rate: str, n: str, min_cell: int, title: str, y_title: str
) -> alt.LayerChart:
    """A rate over periods with its interval; periods with few units are grey."""
    data = _sized(result, n=n, min_cell=min_cell).assign(**{period: pd.to_datetime(result[period])})
    base = alt.Chart(data[[period, rate, "ci_low", "ci_high", n, "size"]]).encode(
        x=alt.X(f"{period}:T", title="Date", axis=alt.Axis(format="%d %b"))
    )
    rules = base.mark_rule(strokeWidth=2, opacity=0.6).encode(
        y=alt.Y("ci_low:Q", title=y_title, axis=alt.Axis(format="%")),
        y2="ci_high:Q",
        color=_size_colour(data, min_cell),
    )
    line = base.mark_line(color=BLUE).encode(y=f"{rate}:Q")
    points = base.mark_point(filled=True, size=50, opacity=1).encode(y=f"{rate}:Q", color=_size_colour(data, min_cell))
    return _themed(line + rules + points, title)


def retention_chart(
    result: pd.DataFrame, *, period: str, group: str | None = None, title: str = "What share comes back?"
) -> alt.LayerChart:
    """Retention per asked period with its interval as a band; one line per group."""
    data = result.assign(**({group: result[group].map(_plain)} if group else {}))
    columns = ["period_from", "retention_rate", "ci_low", "ci_high", *([group] if group else [])]
    colour = (
        {"color": alt.Color(f"{group}:N", title=None, scale=alt.Scale(scheme="tableau10"), legend=SOLID)}
        if group
        else {"color": alt.value(BLUE)}
    )
    base = alt.Chart(data[columns]).encode(
        x=alt.X("period_from:Q", title=f"{period.capitalize()}s after the start", axis=alt.Axis(tickMinStep=1)),
        **colour,
    )
    band = base.mark_area(opacity=0.2).encode(
        y=alt.Y("ci_low:Q", title="Share of mature users", axis=alt.Axis(format="%")), y2="ci_high:Q"
    )
    line = base.mark_line(point=True).encode(y="retention_rate:Q")
    return _themed(band + line, title)


def cohort_matrix(
    result: pd.DataFrame, *, period: str, min_cell: int, title: str = "Does a later cohort come back more?"
) -> alt.LayerChart:
    """Cohorts by periods since the start; cells without a mature user stay empty, cells under `min_cell` are faint."""
    data = result[result["users"] > 0]
    data = data.assign(
        cohort=data["cohort"].map(_plain),
        weight=(data["users"] >= min_cell).map({True: 1.0, False: 0.35}),
        text=data["retention_rate"].map("{:.0%}".format),
    )
    base = alt.Chart(data[["cohort", "period_from", "retention_rate", "users", "text", "weight"]]).encode(
        x=alt.X("period_from:O", title=f"{period.capitalize()}s after the start", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("cohort:N", sort=None, title="Cohort"),
    )
    cells = base.mark_rect().encode(
        color=alt.Color(
            "retention_rate:Q",
            title="Share that came back",
            legend=alt.Legend(format="%"),
            scale=alt.Scale(scheme="blues", domain=[0, 1]),
        ),
        opacity=alt.Opacity("weight:Q", scale=None, legend=None),
        tooltip=["cohort:N", "period_from:O", alt.Tooltip("retention_rate:Q", format=".1%"), "users:Q"],
    )
    # Faint cells have the page's ground behind them, dark at night: their text takes the colour that pages change.
    ink = (
        alt.when("datum.weight < 1")
        .then(alt.value(INK))
        .when("datum.retention_rate > 0.55")
        .then(alt.value("white"))
        .otherwise(alt.value("#1f2937"))
    )
    return _themed(cells + base.mark_text(fontSize=11).encode(text="text:N", color=ink), title)


def lifecycle_chart(result: pd.DataFrame) -> alt.LayerChart:
    """New, returning and resurrected users above the line, dormant ones below."""
    names = ["returning", "resurrected", "new", "dormant"]
    data = result[["period_on", *names]].assign(
        period_on=pd.to_datetime(result["period_on"]), dormant=-result["dormant"]
    )
    long = data.melt("period_on", var_name="state", value_name="users")
    long["place"] = long["state"].map(names.index)
    bars = (
        alt.Chart(long)
        .mark_bar()
        .encode(
            x=alt.X(
                "yearmonthdate(period_on):O",
                title="Start of the period",
                axis=alt.Axis(format="%d %b", labelAngle=0, labelOverlap=True),
            ),
            y=alt.Y("users:Q", title="Users (dormant below zero)"),
            color=alt.Color("state:N", title=None, scale=alt.Scale(domain=names, range=[BLUE, ORANGE, GREEN, RED])),
            order="place:Q",
        )
    )
    zero = alt.Chart(pd.DataFrame({"zero": [0]})).mark_rule(color=GREY).encode(y="zero:Q")
    return _themed(bars + zero, "Where do each period's users come from, and who went?")


def active_users_chart(result: pd.DataFrame) -> alt.LayerChart:
    """Daily, weekly and monthly active users."""
    names = {"dau": "day (DAU)", "wau": "7 days (WAU)", "mau": "28 days (MAU)"}
    data = result[["active_on", *names]].assign(active_on=pd.to_datetime(result["active_on"])).rename(columns=names)
    long = data.melt("active_on", var_name="within", value_name="users")
    lines = (
        alt.Chart(long)
        .mark_line(point=True)
        .encode(
            x=alt.X("active_on:T", title="Date", axis=alt.Axis(format="%d %b")),
            y=alt.Y("users:Q", title="Distinct users"),
            color=alt.Color(
                "within:N",
                title="active within",
                scale=alt.Scale(domain=list(names.values()), range=[BLUE, ORANGE, GREEN]),
            ),
        )
    )
    return _themed(alt.layer(lines), "How many users are active?")


def distribution_chart(result: pd.DataFrame, *, category: str, title: str, x_title: str) -> alt.LayerChart:
    """Share of users per ordered category."""
    data = result[[category, "users", "share"]]
    bars = (
        alt.Chart(data)
        .mark_bar(color=BLUE)
        .encode(
            x=alt.X(f"{category}:O", sort=None, title=x_title, axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            y=alt.Y("share:Q", title="Share of users", axis=alt.Axis(format="%")),
            tooltip=["users:Q"],
        )
    )
    return _themed(alt.layer(bars), title)


def survival_chart(points: pd.DataFrame, *, group: str | None = None) -> alt.LayerChart:
    """Kaplan-Meier curves with their limits; points from `inference.kaplan_meier` as rows, with time 0 added."""
    groups = list(points.groupby(group, sort=False, dropna=False)) if group and len(points) else [(None, points)]
    start = {"time": 0.0, "survival": 1.0, "ci_low": 1.0, "ci_high": 1.0}
    named = [(_plain(name) if group and len(points) else "all users", own) for name, own in groups]
    data = pd.concat(
        [pd.DataFrame([start, *own[list(start)].to_dict("records")]).assign(line=name) for name, own in named],
        ignore_index=True,
    )
    base = alt.Chart(data[["time", "survival", "ci_low", "ci_high", "line"]]).encode(
        x=alt.X("time:Q", title="Days since the first event"),
        color=alt.Color("line:N", title=None, scale=alt.Scale(scheme="tableau10"), legend=SOLID),
    )
    band = base.mark_area(opacity=0.18, interpolate="step-after").encode(
        y=alt.Y("ci_low:Q", title="Share not gone yet", axis=alt.Axis(format="%")), y2="ci_high:Q"
    )
    line = base.mark_line(interpolate="step-after").encode(y="survival:Q")
    return _themed(band + line, "How long do users stay?")


def matrix_chart(
    result: pd.DataFrame, *, x: str, y: str, value: str, title: str, x_title: str, y_title: str, value_title: str
) -> alt.LayerChart:
    """Shares of two categories as a heat map with the share written in."""
    data = result[[x, y, value]].assign(text=result[value].map("{:.0%}".format))
    angle = 0 if pd.api.types.is_numeric_dtype(result[x]) else -30
    base = alt.Chart(data).encode(
        x=alt.X(f"{x}:N", sort=None, title=x_title, axis=alt.Axis(labelAngle=angle)),
        y=alt.Y(f"{y}:N", sort=None, title=y_title),
    )
    cells = base.mark_rect().encode(
        color=alt.Color(
            f"{value}:Q",
            title=value_title,
            legend=alt.Legend(format="%"),
            scale=alt.Scale(scheme="blues", domain=[0, 1]),
        )
    )
    ink = alt.condition(f"datum.{value} > 0.55", alt.value("white"), alt.value("#1f2937"))
    return _themed(cells + base.mark_text(fontSize=11).encode(text="text:N", color=ink), title)
