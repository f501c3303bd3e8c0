"""Charts of lift: balance before and after weighting."""

from __future__ import annotations

import altair as alt
import pandas as pd

from launchpad_lib.charts import BLUE, GREY, ORANGE, _themed


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
