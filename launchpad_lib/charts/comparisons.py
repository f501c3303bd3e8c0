"""Charts with one row per name: a number with its interval for each step, segment, feature, method or column."""

from __future__ import annotations

import altair as alt
import pandas as pd

from launchpad_lib.charts.bounds import (
    LINE_CELLS,
    MOST_LINES,
    apart,
    drawn,
    first_names,
    labels,
    largest_names,
    named,
)
from launchpad_lib.charts.theme import BLUE, GREY, INK, ORANGE, SOLID, height_of, layered, nothing, themed

ROWS = alt.Y("name:N", sort=None, title=None)
MOST_PERIODS = 62  # of one feature, those nearest the switch
PERCENT, POINTS = alt.Axis(format="%"), alt.Axis(labelExpr="format(100 * datum.value, '+~f')", tickCount=8)


def _line_at(value: float, *, colour: str = GREY, scale: alt.Scale | None = None) -> alt.Chart:
    """An upright dashed line: no effect, no change, a limit."""
    at = alt.X("at:Q", scale=scale) if scale else alt.X("at:Q")
    return (
        alt.Chart(pd.DataFrame({"at": [value]})).mark_rule(color=colour, strokeDash=[4, 4], tooltip=None).encode(x=at)
    )


def _tips(name: str, value: str, *, number: str, more: tuple[alt.Tooltip, ...] = ()) -> list[alt.Tooltip]:
    """What pointing at a mark tells: the name, the number, its interval."""
    return [
        alt.Tooltip("name:N", title=name),
        alt.Tooltip("value:Q", title=value, format=number),
        alt.Tooltip("low:Q", title="lower limit", format=number),
        alt.Tooltip("high:Q", title="upper limit", format=number),
        *more,
    ]


def where_known(rows: pd.DataFrame, intervals: alt.Chart) -> list[alt.Chart]:
    """The layer of intervals, of the rows that have one; no layer where none has: an axis cannot be made of nothing."""
    is_known = rows["low"].notna() & rows["high"].notna()
    return [intervals.transform_filter("isValid(datum.low) && isValid(datum.high)")] if is_known.any() else []


def funnel_chart(result: pd.DataFrame) -> alt.LayerChart:
    """Conversion of step 1 per step with its Wilson interval."""
    title = "How many of those who enter reach each step?"
    steps = drawn(result, {"name": "step_name", "value": "conversion_rate", "low": "ci_low", "high": "ci_high"})
    if steps.nothing_because:
        return nothing(title, steps.nothing_because)
    return _bars(steps.rows, title, x_title="Share of mature entrants", axis=PERCENT, number=".1%", name="step")


def interval_bars(result: pd.DataFrame, *, category: str, value: str, title: str, value_title: str) -> alt.LayerChart:
    """A value per category as a bar with its interval (`ci_low, ci_high`)."""
    found = drawn(result, {"name": category, "value": value, "low": "ci_low", "high": "ci_high"})
    if found.nothing_because:
        return nothing(title, found.nothing_because)
    return _bars(
        found.rows, title, x_title=value_title, axis=alt.Axis(), number=",.4~g", name=category.replace("_", " ")
    )


def _bars(rows: pd.DataFrame, title: str, *, x_title: str, axis: alt.Axis, number: str, name: str) -> alt.LayerChart:
    """Bars from 0 with their intervals."""
    shown, more = first_names(apart(rows))
    tips = _tips(name, x_title, number=number)
    base = alt.Chart(shown).encode(y=ROWS, tooltip=tips)
    bars = base.mark_bar(color=BLUE).encode(x=alt.X("value:Q", title=x_title, axis=axis, stack=None))
    rules = base.mark_rule(color=INK, strokeWidth=1.5).encode(x="low:Q", x2="high:Q")
    return themed(layered(bars, *where_known(shown, rules)), title, note=more, height=height_of(len(shown)))


def difference_chart(result: pd.DataFrame, *, category: str, title: str) -> alt.LayerChart:
    """Absolute lifts with their intervals and the line of no effect."""
    found = drawn(result, {"name": category, "value": "absolute_lift", "low": "ci_low", "high": "ci_high"})
    if found.nothing_because:
        return nothing(title, found.nothing_because)
    shown, more = first_names(apart(found.rows))
    x_title = "Difference (percentage points)"
    base = alt.Chart(shown).encode(y=ROWS, tooltip=_tips(category.replace("_", " "), "difference", number="+.1%"))
    rules = base.mark_rule(color=BLUE, strokeWidth=2).encode(x=alt.X("low:Q", title=x_title, axis=POINTS), x2="high:Q")
    points = base.mark_point(color=BLUE, filled=True, size=90).encode(x=alt.X("value:Q", title=x_title, axis=POINTS))
    return themed(
        layered(_line_at(0), *where_known(shown, rules), points), title, note=more, height=height_of(len(shown))
    )


def forest_chart(rows: pd.DataFrame, *, title: str) -> alt.LayerChart:
    """Differences with their intervals, one row each; grey is what stands beside the reported one.

    Args:
        rows: row, kind ("reported" or another), absolute_lift, ci_low, ci_high.
    """
    columns = {"name": "row", "value": "absolute_lift", "low": "ci_low", "high": "ci_high", "line": "kind"}
    found = drawn(rows, columns)
    if found.nothing_because:
        return nothing(title, found.nothing_because)
    shown, more = first_names(apart(found.rows))
    x_title = "Difference (percentage points)"
    color = alt.condition("datum.line == 'reported'", alt.value(BLUE), alt.value(GREY))
    base = alt.Chart(shown).encode(y=ROWS, color=color, tooltip=_tips("row", "difference", number="+.1%"))
    rules = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=x_title, axis=POINTS), x2="high:Q")
    points = base.mark_point(filled=True, size=90).encode(x=alt.X("value:Q", title=x_title, axis=POINTS))
    return themed(
        layered(_line_at(0), *where_known(shown, rules), points), title, note=more, height=height_of(len(shown))
    )


def event_study_chart(rows: pd.DataFrame, *, title: str) -> alt.LayerChart:
    """Differences by period since the switch with their intervals; what lies before the switch should be near 0.

    Args:
        rows: feature, since_switch, estimate, ci_low, ci_high.
    """
    columns = {"value": "estimate", "line": "feature", "since": "since_switch", "low": "ci_low", "high": "ci_high"}
    found = drawn(rows, columns)
    if found.nothing_because:
        return nothing(title, found.nothing_because)
    names = found.rows["line"].map(named)
    kept = found.rows[names.isin(names.drop_duplicates().head(MOST_LINES))]
    kept = kept.sort_values("since", key=abs, kind="stable").groupby("line", sort=False).head(MOST_PERIODS)
    more = f"the first {MOST_LINES} of {names.nunique():,} features" if names.nunique() > MOST_LINES else ""
    shown = kept.assign(line=labels(kept["line"], cells=LINE_CELLS))
    tips = [
        alt.Tooltip("line:N", title="feature"),
        alt.Tooltip("since:Q", title="periods since the switch"),
        *_tips("", "difference", number="+.1%")[1:],
    ]
    offset = alt.XOffset("line:N")
    base = alt.Chart(shown).encode(
        x=alt.X("since:O", title="Periods since the switch (0 is the first with it)", axis=alt.Axis(labelAngle=0)),
        xOffset=offset,
        color=alt.Color("line:N", title=None, scale=alt.Scale(scheme="tableau10"), legend=SOLID),
        tooltip=tips,
    )
    y = alt.Y("low:Q", title="Difference (percentage points)", axis=POINTS)
    rules = base.mark_rule(strokeWidth=2).encode(y=y, y2="high:Q")
    points = base.mark_point(filled=True, size=70).encode(
        y=alt.Y("value:Q", title="Difference (percentage points)", axis=POINTS)
    )
    zero = (
        alt.Chart(pd.DataFrame({"zero": [0]})).mark_rule(color=GREY, strokeDash=[4, 4], tooltip=None).encode(y="zero:Q")
    )
    return themed(layered(zero, *where_known(shown, rules), points), title, note=more)


def rates_by(
    result: pd.DataFrame, *, category: str, rate: str, n: str, min_cell: int, title: str, x_title: str
) -> alt.LayerChart:
    """A rate with its interval per category, in the order of the table; fewer than `min_cell` units are grey."""
    found = drawn(result, {"name": category, "value": rate, "low": "ci_low", "high": "ci_high", "n": n})
    if found.nothing_because:
        return nothing(title, found.nothing_because)
    rows, more = first_names(apart(found.rows))
    shown = sized(rows, min_cell=min_cell)
    tips = _tips(
        category.replace("_", " "), "share", number=".1%", more=(alt.Tooltip("n:Q", title="n", format=",.0f"),)
    )
    base = alt.Chart(shown).encode(y=ROWS, color=size_colour(shown, min_cell), tooltip=tips)
    x = alt.X("low:Q", title=x_title, axis=PERCENT, scale=alt.Scale(zero=True))
    rules = base.mark_rule(strokeWidth=2).encode(x=x, x2="high:Q")
    points = base.mark_point(filled=True, size=80, opacity=1).encode(x=alt.X("value:Q", title=x_title, axis=PERCENT))
    return themed(layered(*where_known(shown, rules), points), title, note=more, height=height_of(len(shown)))


def sized(rows: pd.DataFrame, *, min_cell: int) -> pd.DataFrame:
    """Marks rows with fewer units than `min_cell`, for colour and legend."""
    words = {True: f"under {min_cell} units", False: f"{min_cell} units or more"}
    return rows.assign(size=(rows["n"].fillna(0) < min_cell).map(words))


def size_colour(rows: pd.DataFrame, min_cell: int) -> alt.Color:
    """Grey for small cells; explained only where there is one."""
    names = [f"{min_cell} units or more", f"under {min_cell} units"]
    legend = SOLID if (rows["size"] == names[1]).any() else None
    return alt.Color("size:N", title=None, scale=alt.Scale(domain=names, range=[BLUE, GREY]), legend=legend)


def ratio_chart(
    result: pd.DataFrame, *, title: str, x_title: str, category: str = "feature_id", value: str = "ratio"
) -> alt.LayerChart:
    """Ratios with their intervals (`ci_low, ci_high`) on a log axis and the line of no change; a ratio is above 0."""
    found = drawn(result, {"name": category, "value": value, "low": "ci_low", "high": "ci_high"})
    ratios = found.rows.assign(**{c: found.rows[c].where(found.rows[c] > 0) for c in ("value", "low", "high")})
    ratios = ratios.dropna(subset=["value"])
    if found.nothing_because or ratios.empty:
        return nothing(title, found.nothing_because or "no ratio is above 0")
    shown, more = first_names(apart(ratios))
    scale = alt.Scale(type="log", nice=False, padding=12)
    base = alt.Chart(shown).encode(y=ROWS, tooltip=_tips(category.replace("_", " "), "ratio", number=".3~g"))
    rules = base.mark_rule(color=BLUE, strokeWidth=2).encode(x=alt.X("low:Q", title=x_title, scale=scale), x2="high:Q")
    points = base.mark_point(color=BLUE, filled=True, size=90).encode(x=alt.X("value:Q", title=x_title, scale=scale))
    return themed(
        layered(_line_at(1, scale=scale), *where_known(shown, rules), points),
        title,
        note=more,
        height=height_of(len(shown)),
    )


def drift_chart(result: pd.DataFrame) -> alt.LayerChart:
    """PSI of each column as a share of the value that chance alone exceeds 5 times in 100 at these sample sizes."""
    title = "Which columns look different from before?"
    found = drawn(result, {"name": "column", "value": "psi", "critical": "psi_critical"})
    share = found.rows["value"] / found.rows["critical"].where(found.rows["critical"] > 0)
    rows = found.rows.assign(value=share).dropna(subset=["value"])
    if found.nothing_because or rows.empty:
        return nothing(title, found.nothing_because or "no column has a critical value")
    shown, more = largest_names(apart(rows), by="value")
    x_title = "PSI / its critical value at these sample sizes"
    bars = (
        alt.Chart(shown[["name", "value"]])
        .mark_bar(color=BLUE)
        .encode(
            y=ROWS,
            x=alt.X("value:Q", title=x_title, stack=None),
            tooltip=[alt.Tooltip("name:N", title="column"), alt.Tooltip("value:Q", title=x_title, format=".2f")],
        )
    )
    return themed(bars + _line_at(1, colour=ORANGE), title, note=more, height=height_of(len(shown)))


def balance_chart(balance: pd.DataFrame, *, limit: float = 0.1) -> alt.LayerChart:
    """Absolute standardised mean differences of each covariate before and after weighting, and the limit they must stay
    under.
    """
    title = "Are the two groups alike before the exposure?"
    found = drawn(balance, {"name": "covariate", "before": "smd_before", "after": "smd_after"})
    if found.nothing_because:
        return nothing(title, found.nothing_because)
    shown, more = largest_names(apart(found.rows), by="before")
    stages = {"before": "before weighting", "after": "after weighting"}
    rows = shown.rename(columns=stages).melt("name", var_name="stage", value_name="smd")
    rows = rows.assign(smd=rows["smd"].abs())
    colours = alt.Scale(domain=list(stages.values()), range=[ORANGE, BLUE])
    x_title = "Standardised mean difference (absolute)"
    points = (
        alt.Chart(rows)
        .mark_point(filled=True, size=90)
        .encode(
            y=ROWS,
            x=alt.X("smd:Q", title=x_title),
            color=alt.Color("stage:N", title=None, sort=None, scale=colours),
            tooltip=[
                alt.Tooltip("name:N", title="covariate"),
                alt.Tooltip("stage:N", title="when"),
                alt.Tooltip("smd:Q", title=x_title, format=".3f"),
            ],
        )
    )
    return themed(_line_at(limit) + points, title, note=more, height=height_of(len(shown)))
