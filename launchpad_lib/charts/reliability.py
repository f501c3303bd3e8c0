"""Charts of latency, risk and data quality; each takes a result table."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from launchpad_lib.charts import BLUE, GREY, ORANGE, _themed


def ratio_chart(
    result: pd.DataFrame, *, title: str, x_title: str, category: str = "feature_id", value: str = "ratio"
) -> alt.LayerChart:
    """Ratios with their intervals (`ci_low, ci_high`) on a log axis and the line of no change."""
    rows = result.dropna(subset=[value])[[category, value, "ci_low", "ci_high"]]
    base = alt.Chart(rows).encode(y=alt.Y(f"{category}:N", sort=None, title=None))
    scale = alt.Scale(type="log", nice=False, padding=12)
    one = (
        alt.Chart(pd.DataFrame({"one": [1.0]}))
        .mark_rule(color=GREY, strokeDash=[4, 4])
        .encode(x=alt.X("one:Q", scale=scale))
    )
    rules = base.mark_rule(color=BLUE, strokeWidth=2).encode(
        x=alt.X("ci_low:Q", title=x_title, scale=scale), x2="ci_high:Q"
    )
    points = base.mark_point(color=ORANGE, filled=True, size=90).encode(x=alt.X(f"{value}:Q", scale=scale))
    return _themed(one + rules + points, title)


def level_chart(daily: pd.DataFrame, shifts: pd.DataFrame, *, most: int = 3) -> alt.LayerChart:
    """Daily p95 of the features with the best supported shift of level, and the two levels as lines with the shift's interval drawn."""
    chosen = shifts.dropna(subset=["shift_p"]).sort_values(["shift_p", "feature_id"]).head(most)
    points = daily[daily["feature_id"].isin(chosen["feature_id"])][["feature_id", "observed_on", "p95_latency_ms"]]
    points = points.assign(observed_on=pd.to_datetime(points["observed_on"]))
    merged = points.merge(chosen[["feature_id", "shift_on", "shift_ratio", "shift_low", "shift_high"]], on="feature_id")
    merged = merged.assign(
        is_later=merged["observed_on"] >= merged["shift_on"], log_value=np.log(merged["p95_latency_ms"])
    )
    old = np.exp(merged[~merged["is_later"]].groupby("feature_id")["log_value"].mean())
    level = merged["feature_id"].map(old) * merged["shift_ratio"].where(merged["is_later"], 1.0)
    ends = {
        "low": merged["feature_id"].map(old) * merged["shift_low"],
        "high": merged["feature_id"].map(old) * merged["shift_high"],
    }
    lines = merged[["feature_id", "observed_on", "is_later"]].assign(
        level=level, **{k: v.where(merged["is_later"]) for k, v in ends.items()}
    )
    x = alt.X("observed_on:T", title="Date", axis=alt.Axis(format="%d %b"))
    color = alt.Color(
        "feature_id:N", title=None, scale=alt.Scale(scheme="tableau10"), legend=alt.Legend(symbolOpacity=1)
    )
    dots = (
        alt.Chart(points)
        .mark_circle(size=22, opacity=0.6)
        .encode(x=x, y=alt.Y("p95_latency_ms:Q", title="p95 latency (ms)", scale=alt.Scale(zero=False)), color=color)
    )
    steps = alt.Chart(lines).mark_line(strokeWidth=2).encode(x=x, y="level:Q", color=color, detail="is_later:N")
    band = (
        alt.Chart(lines.dropna(subset=["low"])).mark_area(opacity=0.15).encode(x=x, y="low:Q", y2="high:Q", color=color)
    )
    return _themed(band + dots + steps, "Where did the level of the daily p95 latency move?")


def reliability_diagram(bins: pd.DataFrame) -> alt.LayerChart:
    """Observed share of degradations per bin of predicted probability, with its interval, against the diagonal of a calibrated score."""
    base = alt.Chart(bins[["predicted", "observed", "ci_low", "ci_high", "n"]]).encode(
        x=alt.X("predicted:Q", title="Predicted probability", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1]))
    )
    diagonal = (
        alt.Chart(pd.DataFrame({"at": [0.0, 1.0]})).mark_line(color=GREY, strokeDash=[4, 4]).encode(x="at:Q", y="at:Q")
    )
    y = alt.Y("ci_low:Q", title="Observed share degraded", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1]))
    rules = base.mark_rule(color=BLUE, strokeWidth=2).encode(y=y, y2="ci_high:Q")
    points = base.mark_point(color=ORANGE, filled=True, size=90).encode(y="observed:Q", tooltip=["n:Q"])
    return _themed(diagonal + rules + points, "Does what the score calls 60 % happen 60 % of the time?")


def interval_bars(result: pd.DataFrame, *, category: str, value: str, title: str, value_title: str) -> alt.LayerChart:
    """A value per category as a bar with its interval (`ci_low, ci_high`)."""
    base = alt.Chart(result[[category, value, "ci_low", "ci_high"]]).encode(
        y=alt.Y(f"{category}:N", sort=None, title=None)
    )
    bars = base.mark_bar(color=BLUE).encode(x=alt.X(f"{value}:Q", title=value_title))
    rules = base.mark_rule(color=ORANGE, strokeWidth=2).encode(x="ci_low:Q", x2="ci_high:Q")
    return _themed(bars + rules, title)


def drift_chart(result: pd.DataFrame) -> alt.LayerChart:
    """PSI of each column as a share of the value that chance alone exceeds 5 times in 100 at these sample sizes."""
    rows = result.dropna(subset=["psi"])
    rows = rows[["column"]].assign(share=rows["psi"] / rows["psi_critical"])
    limit = alt.Chart(pd.DataFrame({"limit": [1.0]})).mark_rule(color=ORANGE, strokeDash=[4, 4]).encode(x="limit:Q")
    bars = (
        alt.Chart(rows)
        .mark_bar(color=BLUE)
        .encode(
            y=alt.Y("column:N", sort=None, title=None),
            x=alt.X("share:Q", title="PSI / its critical value at these sample sizes"),
        )
    )
    return _themed(bars + limit, "Which columns look different from before?")
