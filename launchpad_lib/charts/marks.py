"""Deployments, incidents and campaigns as dotted lines across a chart along the time."""

from __future__ import annotations

import altair as alt
import pandas as pd

from launchpad_lib.charts.bounds import labels, named
from launchpad_lib.charts.theme import GREY

MOST_MARKS = 30
SAID = "dotted: deployments, incidents and other marks"


def marks_within(annotations: pd.DataFrame | None, at: pd.Series, *, of: str | None = None) -> pd.DataFrame:
    """The newest marks within the days shown, columns `at` and `mark`; with `of` those of that feature and of none."""
    if annotations is None or annotations.empty or not len(at):
        return pd.DataFrame({"at": pd.to_datetime([]), "mark": []})
    own = annotations["feature_id"] if "feature_id" in annotations.columns else pd.Series(None, index=annotations.index)
    known = pd.DataFrame({"at": pd.to_datetime(annotations["at"], errors="coerce"), "mark": annotations["label"]})
    known = known.assign(mark=labels(known["mark"])).dropna(subset=["at"])
    if of is not None:
        known = known[own.reindex(known.index).isna() | (own.reindex(known.index).map(named) == named(of))]
    at = at.dt.tz_localize(None) if at.dt.tz is not None else at
    first, last = at.min(), at.max() + pd.Timedelta(days=1)
    within = known[(known["at"] >= first) & (known["at"] <= last)]
    return within.sort_values("at", kind="stable").tail(MOST_MARKS)[["at", "mark"]]


def mark_rules(
    annotations: pd.DataFrame | None, at: pd.Series, *, of: str | None = None
) -> tuple[list[alt.Chart], str]:
    """The dotted lines, to stand behind the other layers, and what the chart says of them; nothing without marks."""
    found = marks_within(annotations, at, of=of)
    if found.empty:
        return [], ""
    tips = [alt.Tooltip("at:T", title="date", format="%d %b %Y"), alt.Tooltip("mark:N", title="what")]
    rules = alt.Chart(found).mark_rule(color=GREY, strokeDash=[1, 3])
    return [rules.encode(x=alt.X("at:T", title="Date"), tooltip=tips)], SAID
