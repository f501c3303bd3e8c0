"""Incidents along the time."""

from __future__ import annotations

import altair as alt
import pandas as pd

from launchpad_lib.charts.bounds import LABEL_CELLS, drawn, labels, notes
from launchpad_lib.charts.marks import mark_rules
from launchpad_lib.charts.theme import ORANGE, RED, dated, height_of, layered, nothing, themed

MOST_ROWS, MOST_INCIDENTS = 20, 300


def incident_chart(
    incidents: pd.DataFrame, *, through: pd.Timestamp, annotations: pd.DataFrame | None = None
) -> alt.LayerChart:
    """When was which signal of which feature out of the ordinary? A bar from start to end, a dot where it was told."""
    title = "When was a signal out of the ordinary?"
    columns = {"score": "score", "size": "size", "at": "started_at", "line": "feature_id", "across": "signal"}
    found = drawn(incidents, columns)
    if found.nothing_because:
        return nothing(title, "no feature had an incident" if incidents.empty else found.nothing_because)
    ends = incidents[incidents["started_at"].notna()].reset_index(drop=True)
    rows = found.rows.assign(
        end=pd.to_datetime(ends["ended_at"]).fillna(pd.Timestamp(through)),
        state=["goes on" if e is pd.NaT else "over" for e in pd.to_datetime(ends["ended_at"])],
        name=found.rows["line"] + ": " + found.rows["across"].astype(str),
    )
    newest = rows.sort_values("at", kind="stable").tail(MOST_INCIDENTS)
    most = newest["name"].value_counts().index[:MOST_ROWS]
    shown = newest[newest["name"].isin(most)]
    note = f"{len(shown):,} of {len(rows):,} incidents" if len(shown) < len(rows) else ""
    shown = shown.assign(name=labels(shown["name"], cells=LABEL_CELLS))
    colour = alt.Color("state:N", title=None, scale=alt.Scale(domain=["over", "goes on"], range=[ORANGE, RED]))
    base = alt.Chart(shown).encode(
        y=alt.Y("name:N", title=None),
        color=colour,
        tooltip=[
            alt.Tooltip("at:T", title="from", format="%d %b %Y %H:%M"),
            alt.Tooltip("end:T", title="to", format="%d %b %Y %H:%M"),
            alt.Tooltip("size:Q", title="value - expected", format=",.3~g"),
            alt.Tooltip("score:Q", title="score", format=".1f"),
        ],
    )
    bars = base.mark_rule(strokeWidth=6, opacity=0.6).encode(x=dated(shown["at"]), x2="end:T")
    dots = base.mark_point(filled=True, size=50, opacity=1).encode(x=dated(shown["at"]))
    behind, said = mark_rules(annotations, pd.concat([shown["at"], shown["end"]]))
    return themed(
        layered(*behind, bars, dots), title, note=notes(said, note), height=height_of(shown["name"].nunique())
    )
