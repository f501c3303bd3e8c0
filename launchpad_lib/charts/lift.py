"""Charts of lift: what is reported beside what is not, and balance before and after weighting."""

from __future__ import annotations

import altair as alt
import pandas as pd

from launchpad_lib.charts import BLUE, GREY, ORANGE, _themed

MOST_ROWS = 40
ROW_PX = 24


def forest_chart(rows: pd.DataFrame, *, title: str) -> alt.LayerChart:
    """Differences with their intervals, one row each, at most `MOST_ROWS`; grey is what stands beside the reported one.

    Args:
        rows: row, kind ("reported" or another), absolute_lift, ci_low, ci_high.
    """
    drawn = rows.head(MOST_ROWS).astype({"absolute_lift": float, "ci_low": float, "ci_high": float})
    color = alt.condition("datum.kind == 'reported'", alt.value(BLUE), alt.value(GREY))
    base = alt.Chart(drawn).encode(y=alt.Y("row:N", sort=None, title=None), color=color)
    zero = alt.Chart(pd.DataFrame({"zero": [0]})).mark_rule(color=GREY, strokeDash=[4, 4]).encode(x="zero:Q")
    axis = alt.Axis(labelExpr="format(100 * datum.value, '+~f')", tickCount=8)
    limits = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("ci_low:Q", title="Difference (percentage points)", axis=axis), x2="ci_high:Q"
    )
    points = base.mark_point(filled=True, size=90).encode(x="absolute_lift:Q")
    return _themed(zero + limits + points, title).properties(height=ROW_PX * max(len(drawn), 4))


def balance_chart(balance: pd.DataFrame, *, limit: float = 0.1) -> alt.LayerChart:
    """Absolute standardised mean differences of each covariate before and after weighting, and the limit they must stay under."""
    rows = pd.concat(
        [
            balance[["covariate"]].assign(stage=name, smd=balance[column].abs())
            for name, column in (("before weighting", "smd_before"), ("after weighting", "smd_after"))
        ]
    )
    line = alt.Chart(pd.DataFrame({"limit": [limit]})).mark_rule(color=GREY, strokeDash=[4, 4]).encode(x="limit:Q")
    colors = alt.Color(
        "stage:N",
        title=None,
        sort=None,
        scale=alt.Scale(domain=["before weighting", "after weighting"], range=[ORANGE, BLUE]),
    )
    points = (
        alt.Chart(rows)
        .mark_point(filled=True, size=90)
        .encode(
            y=alt.Y("covariate:N", sort=None, title=None),
            x=alt.X("smd:Q", title="Standardised mean difference (absolute)"),
            color=colors,
        )
    )
    return _themed(line + points, "Are the two groups alike before the exposure?")
