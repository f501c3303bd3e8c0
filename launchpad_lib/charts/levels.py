"""Levels of a daily series, when they moved, and the days that are of no level."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from launchpad_lib.charts.bounds import LINE_CELLS, drawn, labels, named, thinned
from launchpad_lib.charts.courses import DAY, LINES
from launchpad_lib.charts.marks import mark_rules
from launchpad_lib.charts.theme import dated, layered, nothing, themed

MOST_STEPS = 60


def level_chart(
    daily: pd.DataFrame,
    changes: pd.DataFrame,
    left_out: pd.DataFrame,
    *,
    most: int = 3,
    annotations: pd.DataFrame | None = None,
) -> alt.LayerChart:
    """Daily p95 of the features whose level moved most lately.

    Each level is a line, each move a band from the old to the new level over the days on which it may have been, a day
    that is of no level (an incident) a hollow triangle.

    Args:
        daily: feature_id, observed_on, p95_latency_ms.
        changes, left_out: of `trends.level_tables`.
        annotations: deployments and incidents, drawn as dotted lines.
    """
    title = "Where did the level of the daily p95 latency move?"
    moves = changes.dropna(subset=["changed_at"]).assign(line=changes["feature_id"].map(named))
    moves = moves.sort_values(["is_current", "changed_at", "line"], ascending=[False, False, True], kind="stable")
    found = drawn(daily, {"value": "p95_latency_ms", "at": "observed_on", "line": "feature_id"})
    chosen = list(dict.fromkeys(moves["line"]))[:most]
    points = found.rows[found.rows["line"].isin(chosen) & (found.rows["value"] > 0)]
    if found.nothing_because or points.empty:
        return nothing(title, found.nothing_because or "no feature's level moved that these data could show")
    moves = moves[moves["line"].isin(points["line"])].head(MOST_STEPS)
    names = dict(zip(points["line"], labels(points["line"], cells=LINE_CELLS), strict=True))
    out = set(zip(left_out["feature_id"].map(named), pd.to_datetime(left_out["observed_on"]), strict=True))
    is_out = np.array([key in out for key in zip(points["line"], points["at"], strict=True)], dtype=bool)
    is_out = is_out & (not is_out.all())  # of a feature that has no other day they are its level
    levels = _levels(points[~is_out], moves)
    bands = _bands(levels, moves)
    levels, bands = (t.assign(line=t["line"].map(names)) for t in (levels, bands))
    shown, note = thinned(points[~is_out].assign(line=lambda t: t["line"].map(names)))
    single = points[is_out].assign(line=lambda t: t["line"].map(names))
    tips = [
        DAY,
        alt.Tooltip("line:N", title="feature"),
        alt.Tooltip("value:Q", title="p95 latency (ms)", format=",.0f"),
    ]
    value = alt.Y("value:Q", title="p95 latency (ms)", scale=alt.Scale(zero=False))
    dots = (
        alt.Chart(shown)
        .mark_circle(size=22, opacity=0.6)
        .encode(x=dated(shown["at"]), y=value, color=LINES, tooltip=tips)
    )
    lines = (
        alt.Chart(levels)
        .mark_line(strokeWidth=2, tooltip=None)
        .encode(x=dated(points["at"]), y="value:Q", color=LINES, detail="step:N")
    )
    # A band reaches from the old level to the new one, so that it is seen whose it is.
    band = (
        alt.Chart(bands)
        .mark_rect(opacity=0.25, tooltip=None)
        .encode(x=alt.X("first:T", title="Date"), x2="last:T", y="before:Q", y2="after:Q", color=LINES)
    )
    incidents = (
        alt.Chart(single)
        .mark_point(shape="triangle-up", size=70, filled=False, strokeWidth=2)
        .encode(x=dated(points["at"]), y=value, color=LINES, tooltip=tips)
    )
    said = "triangles: days out of line that were over at once" if len(single) else ""
    behind, marked = mark_rules(annotations, points["at"])
    layers = [*behind, *[band] * bool(len(bands)), dots, lines, *[incidents] * bool(len(single))]
    return themed(layered(*layers), title, note="; ".join(p for p in (marked, note, said) if p))


def _levels(points: pd.DataFrame, moves: pd.DataFrame) -> pd.DataFrame:
    """Two ends of a straight line per level: its geometric mean over its days."""
    rows = []
    for line, own in points.sort_values("at", kind="stable").groupby("line", sort=False):
        starts = np.sort(moves.loc[moves["line"] == line, "changed_at"].to_numpy(dtype="datetime64[ns]"))
        step = np.searchsorted(starts, own["at"].to_numpy(dtype="datetime64[ns]"), side="right")
        for place, days in own.groupby(step, sort=True):
            level = float(np.exp(np.log(days["value"]).mean()))
            rows += [(line, place, at, level) for at in (days["at"].iloc[0], days["at"].iloc[-1])]
    return pd.DataFrame(rows, columns=["line", "step", "at", "value"])


def _bands(levels: pd.DataFrame, moves: pd.DataFrame) -> pd.DataFrame:
    """The days on which each move may have been, half a day to either side, and the levels before and after it."""
    rows = []
    for move in moves.to_dict("records"):
        own = levels[levels["line"] == move["line"]]
        before, after = own[own["at"] < move["changed_at"]], own[own["at"] >= move["changed_at"]]
        if len(before) and len(after):
            first, last = (move[c] if pd.notna(move[c]) else move["changed_at"] for c in ("first_at", "last_at"))
            half = pd.Timedelta(hours=12)
            rows.append((move["line"], first - half, last + half, before["value"].iloc[-1], after["value"].iloc[0]))
    return pd.DataFrame(rows, columns=["line", "first", "last", "before", "after"])
