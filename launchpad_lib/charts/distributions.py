"""Charts of shares: retention curves and cohorts, survival, distributions, paths, and how well a score is
calibrated.
"""

from __future__ import annotations

import altair as alt
import pandas as pd

from launchpad_lib.charts.bounds import (
    LINE_CELLS,
    MOST_LINES,
    MOST_NAMES,
    apart,
    drawn,
    first_names,
    labels,
    largest_names,
    named,
    notes,
    thinned,
)
from launchpad_lib.charts.comparisons import where_known
from launchpad_lib.charts.courses import LINES
from launchpad_lib.charts.theme import BLUE, GREY, INK, height_of, layered, nothing, themed, themed_multiples

MOST_TOGETHER = 2  # lines with bands in one frame
MOST_COHORTS = 26
MOST_PERIODS = 31
MOST_BINS = 40
DARK_INK = "#1f2937"
BLUES = alt.Scale(scheme="blues", domain=[0, 1])
SHARE = alt.Axis(format="%")


def retention_chart(
    result: pd.DataFrame, *, period: str, group: str | None = None, title: str = "What share comes back?"
) -> alt.LayerChart | alt.FacetChart:
    """Retention per asked period with its interval as a band: the ten first groups.

    Two are lines in one frame; more stand beside each other on one scale, for their bands would cover each other.
    """
    columns = {"value": "retention_rate", "low": "ci_low", "high": "ci_high", "after": "period_from"}
    found = drawn(result, columns | ({"line": group} if group else {}))
    if found.nothing_because:
        return nothing(title, found.nothing_because)
    rows, more = (
        first_names(found.rows, most=MOST_LINES, column="line", cells=LINE_CELLS) if group else (found.rows, "")
    )
    shown, note = thinned(rows, at="after")
    names = list(dict.fromkeys(shown["line"])) if group else []
    is_apart = len(names) > MOST_TOGETHER
    colour = LINES if group and not is_apart else alt.value(BLUE)
    along, up = f"{period.capitalize()}s after the start", "Share of mature users"
    base = alt.Chart(shown).encode(
        x=alt.X("after:Q", title=None if is_apart else along, axis=alt.Axis(tickMinStep=1)), color=colour
    )
    y = alt.Y("low:Q", title=None if is_apart else up, axis=SHARE)
    band = base.mark_area(opacity=0.2, tooltip=None).encode(y=y, y2="high:Q")
    whom = [alt.Tooltip("line:N", title=str(group).replace("_", " "))] if group else []
    line = base.mark_line(point=True).encode(
        y=alt.Y("value:Q", title=None if is_apart else up, axis=SHARE),
        tooltip=[
            *whom,
            alt.Tooltip("after:Q", title=f"{period}s after"),
            alt.Tooltip("value:Q", title="share", format=".1%"),
            alt.Tooltip("low:Q", title="lower limit", format=".1%"),
            alt.Tooltip("high:Q", title="upper limit", format=".1%"),
        ],
    )
    layers = layered(*where_known(shown, band), line)
    if is_apart:
        said = notes(f"{up.lower()}, by {along.lower()}", more, note)
        return themed_multiples(layers, title, by="line", order=names, columns=3, note=said)
    return themed(layers, title, note=notes(more, note))


def cohort_matrix(
    result: pd.DataFrame, *, period: str, min_cell: int, title: str = "Does a later cohort come back more?"
) -> alt.LayerChart:
    """Cohorts by periods since the start; cells without a mature user stay empty, cells under `min_cell` are faint.

    Where there are too many dated cohorts to be told apart, those of a week, month, quarter or year are put together:
    the sum of who came back over the sum of mature users.
    """
    columns = {"value": "retention_rate", "users": "users", "after": "period_from", "name": "cohort"}
    found = drawn(result, columns)
    if found.nothing_because:
        return nothing(title, found.nothing_because)
    rows = found.rows[(found.rows["users"] > 0) & found.rows["value"].notna()]
    if rows.empty:
        return nothing(title, "no cohort has a mature user")
    cohorts, note = _fewer_cohorts(rows)
    cells, every = _fewer_periods(cohorts.drop_duplicates(["name", "after"]))
    cells = cells.assign(
        weight=(cells["users"] >= min_cell).map({True: 1.0, False: 0.35}), text=cells["value"].map("{:.0%}".format)
    )
    base = alt.Chart(cells).encode(
        x=alt.X(
            "after:O", title=f"{period.capitalize()}s after the start", axis=alt.Axis(labelAngle=0, labelOverlap=True)
        ),
        y=alt.Y("name:N", sort=None, title="Cohort"),
        tooltip=[
            alt.Tooltip("name:N", title="cohort"),
            alt.Tooltip("after:O", title=f"{period}s after"),
            alt.Tooltip("value:Q", title="share that came back", format=".1%"),
            alt.Tooltip("users:Q", title="users", format=",.0f"),
        ],
    )
    colour = alt.Color("value:Q", title="Share that came back", legend=alt.Legend(format="%"), scale=BLUES)
    squares = base.mark_rect().encode(color=colour, opacity=alt.Opacity("weight:Q", scale=None, legend=None))
    # Faint cells have the page's ground behind them, dark at night: their text takes the colour that pages change.
    ink = (
        alt.when("datum.weight < 1")
        .then(alt.value(INK))
        .when("datum.value > 0.55")
        .then(alt.value("white"))
        .otherwise(alt.value(DARK_INK))
    )
    text = base.mark_text(fontSize=11 if cells["after"].nunique() <= 20 else 9).encode(text="text:N", color=ink)
    return themed(squares + text, title, note=notes(note, every), height=height_of(cells["name"].nunique()))


def _fewer_cohorts(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """At most `MOST_COHORTS`: dates by week, month, quarter or year; other names by the most users."""
    if rows["name"].map(named).nunique() <= MOST_COHORTS:
        return rows.assign(name=labels(rows["name"])), ""
    if not rows["name"].map(lambda name: hasattr(name, "year")).all():
        return largest_names(rows, by="users", most=MOST_COHORTS)
    days = pd.to_datetime(rows["name"]).dt.tz_localize(None)
    units = (("W-SUN", "week"), ("M", "month"), ("Q", "quarter"), ("Y", "year"))
    letter, word = next((u for u in units if days.dt.to_period(u[0]).nunique() <= MOST_COHORTS), units[-1])
    summed = (
        rows.assign(name=days.dt.to_period(letter).dt.start_time, came_back=rows["value"] * rows["users"])
        .groupby(["name", "after"], as_index=False)[["came_back", "users"]]
        .sum()
    )
    summed = summed.assign(value=summed["came_back"] / summed["users"])
    newest = sorted(summed["name"].unique())[-MOST_COHORTS:]
    kept = summed[summed["name"].isin(newest)]
    return kept.assign(name=labels(kept["name"])).drop(columns="came_back"), f"cohorts by {word}"


def _fewer_periods(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """At most `MOST_PERIODS` columns: every second, third and so on."""
    periods = sorted(rows["after"].dropna().unique())
    step = -(-len(periods) // MOST_PERIODS)
    kept = rows[rows["after"].isin(periods[::step])]
    return kept, f"1 of {step} periods is shown" if step > 1 else ""


def survival_chart(points: pd.DataFrame, *, group: str | None = None) -> alt.LayerChart:
    """Kaplan-Meier curves with their limits; points from `inference.kaplan_meier` as rows, with time 0 added."""
    title = "How long do users stay?"
    columns = {"value": "survival", "low": "ci_low", "high": "ci_high", "time": "time"}
    found = drawn(points, columns | ({"line": group} if group else {}))
    if found.nothing_because:
        return nothing(title, found.nothing_because)
    rows = found.rows if group else found.rows.assign(line="all users")
    lines, more = first_names(rows, most=MOST_LINES, column="line", cells=LINE_CELLS)
    start = {"time": 0.0, "value": 1.0, "low": 1.0, "high": 1.0}
    begun = pd.DataFrame([start | {"line": name} for name in dict.fromkeys(lines["line"])])
    shown, note = thinned(pd.concat([begun, lines], ignore_index=True), at="time")
    base = alt.Chart(shown).encode(x=alt.X("time:Q", title="Days since the first event"), color=LINES)
    band = base.mark_area(opacity=0.18, interpolate="step-after", tooltip=None).encode(
        y=alt.Y("low:Q", title="Share not gone yet", axis=SHARE), y2="high:Q"
    )
    line = base.mark_line(interpolate="step-after").encode(
        y=alt.Y("value:Q", title="Share not gone yet", axis=SHARE),
        tooltip=[
            alt.Tooltip("line:N", title=(group or "users").replace("_", " ")),
            alt.Tooltip("time:Q", title="days", format=".3~g"),
            alt.Tooltip("value:Q", title="not gone yet", format=".1%"),
        ],
    )
    return themed(layered(*where_known(shown, band), line), title, note=notes(more, note))


def distribution_chart(result: pd.DataFrame, *, category: str, title: str, x_title: str) -> alt.LayerChart:
    """Share of users per ordered category; what lies beyond the first forty is one bar."""
    found = drawn(result, {"name": category, "value": "share", "users": "users"})
    if found.nothing_because:
        return nothing(title, found.nothing_because)
    shown, note = first_names(apart(found.rows), most=MOST_BINS)
    if note:
        rest = found.rows.drop(shown.index)
        others = pd.DataFrame([{"name": "all others", "value": rest["value"].sum(), "users": rest["users"].sum()}])
        shown, note = pd.concat([shown, others], ignore_index=True), f"{note}, in the last bar"
    bars = (
        alt.Chart(shown)
        .mark_bar(color=BLUE)
        .encode(
            x=alt.X("name:O", sort=None, title=x_title, axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            y=alt.Y("value:Q", title="Share of users", axis=SHARE),
            tooltip=[
                alt.Tooltip("name:N", title=x_title),
                alt.Tooltip("value:Q", title="share of users", format=".1%"),
                alt.Tooltip("users:Q", title="users", format=",.0f"),
            ],
        )
    )
    return themed(bars, title, note=note)


def matrix_chart(
    result: pd.DataFrame, *, x: str, y: str, value: str, title: str, x_title: str, y_title: str | None, value_title: str
) -> alt.LayerChart:
    """Shares of two categories as a heat map with the share written in; of each the twenty with the largest shares."""
    found = drawn(result, {"across": x, "name": y, "value": value})
    if found.nothing_because:
        return nothing(title, found.nothing_because)
    is_counted = pd.api.types.is_numeric_dtype(result[x])
    rows = found.rows.dropna(subset=["value"])
    rows, more = largest_names(rows, by="value", most=MOST_NAMES)
    if is_counted:
        rows, wider = first_names(rows, most=MOST_NAMES, column="across")
    else:
        rows, wider = largest_names(rows, by="value", most=MOST_NAMES, column="across")
    rows = rows.drop_duplicates(["across", "name"])
    cells = rows.assign(text=rows["value"].map("{:.0%}".format))
    base = alt.Chart(cells).encode(
        x=alt.X("across:N", sort=None, title=x_title, axis=alt.Axis(labelAngle=0 if is_counted else -30)),
        y=alt.Y("name:N", sort=None, title=y_title),
        tooltip=[
            alt.Tooltip("name:N", title=(y_title or y).replace("_", " ")),
            alt.Tooltip("across:N", title=x_title),
            alt.Tooltip("value:Q", title=value_title, format=".1%"),
        ],
    )
    colour = alt.Color("value:Q", title=value_title, legend=alt.Legend(format="%"), scale=BLUES)
    ink = alt.condition("datum.value > 0.55", alt.value("white"), alt.value(DARK_INK))
    text = base.mark_text(fontSize=11).encode(text="text:N", color=ink)
    return themed(
        base.mark_rect().encode(color=colour) + text,
        title,
        note=notes(more and f"down: {more}", wider and f"across: {wider}"),
        height=max(height_of(cells["name"].nunique()), 120),
    )


def reliability_diagram(bins: pd.DataFrame) -> alt.LayerChart:
    """Observed share of degradations per bin of predicted probability, with its interval, against the diagonal of a
    calibrated score.
    """
    title = "Does what the score calls 60 % happen 60 % of the time?"
    columns = {"value": "observed", "predicted": "predicted", "low": "ci_low", "high": "ci_high", "n": "n"}
    found = drawn(bins, columns)
    if found.nothing_because:
        return nothing(title, found.nothing_because)
    shown, note = thinned(found.rows, at="predicted", most=MOST_BINS)
    whole = alt.Scale(domain=[0, 1])
    base = alt.Chart(shown).encode(x=alt.X("predicted:Q", title="Predicted probability", axis=SHARE, scale=whole))
    ends = pd.DataFrame({"at": [0.0, 1.0]})
    diagonal = alt.Chart(ends).mark_line(color=GREY, strokeDash=[4, 4], tooltip=None).encode(x="at:Q", y="at:Q")
    y = alt.Y("low:Q", title="Observed share degraded", axis=SHARE, scale=whole)
    rules = base.mark_rule(color=BLUE, strokeWidth=2).encode(y=y, y2="high:Q")
    points = base.mark_point(color=BLUE, filled=True, size=90, clip=True).encode(
        y=alt.Y("value:Q", title="Observed share degraded", axis=SHARE, scale=whole),
        tooltip=[
            alt.Tooltip("predicted:Q", title="predicted", format=".1%"),
            alt.Tooltip("value:Q", title="observed", format=".1%"),
            alt.Tooltip("low:Q", title="lower limit", format=".1%"),
            alt.Tooltip("high:Q", title="upper limit", format=".1%"),
            alt.Tooltip("n:Q", title="n", format=",.0f"),
        ],
    )
    return themed(layered(diagonal, *where_known(shown, rules), points), title, note=note)
