"""Small charts side by side, one for each feature, all on one scale: lines that would cross each other in one frame."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt
import pandas as pd

from launchpad_lib.charts.bounds import drawn, labels, named, notes, thinned
from launchpad_lib.charts.courses import DAY
from launchpad_lib.charts.theme import BLUE, GREY, RED, layered, nothing, themed_multiples

MOST_MULTIPLES, COLUMNS = 12, 3
MOST_RULES = 30
RECENT_DAYS = 7  # known days of which the present level is the median
NAME_CELLS = 20


def latency_chart(
    daily: pd.DataFrame,
    *,
    annotations: pd.DataFrame,
    objectives: Mapping[str, float] | None = None,
    called: Mapping[str, str] | None = None,
) -> alt.FacetChart | alt.LayerChart:
    """Daily p95 latency, one small chart a feature, on one scale from 0: the worst against its objective first.

    A feature whose last days lie over its objective is drawn in red. Its objective, and its own deployments and
    incidents (those of no feature are everybody's), are dashed lines.

    Args:
        objectives: the highest p95 latency in ms that each feature allows itself, by its id.
        called: what people call a feature, by its id.
    """
    title = "How slow is each feature for its slowest twentieth?"
    found = drawn(daily, {"value": "p95_latency_ms", "at": "observed_on", "line": "feature_id"})
    if found.nothing_because:
        return nothing(title, found.nothing_because)
    rows = found.rows.sort_values("at", kind="stable")
    recent = rows.dropna(subset=["value"]).groupby("line", sort=False)["value"].apply(_recent)
    limits = pd.Series({named(k): float(v) for k, v in (objectives or {}).items() if v}, dtype="float64")
    limit = recent.index.to_series().map(limits)
    over = recent / limit
    order = pd.DataFrame({"over": over, "recent": recent}).sort_values(
        ["over", "recent"], ascending=False, na_position="last", kind="stable"
    )
    kept = list(order.index[:MOST_MULTIPLES])
    names = {named(k): v for k, v in (called or {}).items()}
    heads = labels(pd.Series([names.get(k, k) for k in kept], dtype=object), cells=NAME_CELLS)
    head = {k: f"{h}, {recent[k]:,.0f} ms" for k, h in zip(kept, heads, strict=True)}
    shown, note = thinned(rows[rows["line"].isin(kept)])
    shown = shown.assign(state=["over" if over[k] > 1 else "within" for k in shown["line"]])
    frame = pd.concat(
        [
            shown,
            pd.DataFrame({"line": kept, "limit": [limit[k] for k in kept]}).dropna(),
            _annotated(annotations, kept, shown["at"]),
        ]
    ).assign(line=lambda f: f["line"].map(head))
    frame = frame.reindex(columns=["line", "at", "value", "state", "limit", "mark"])
    months = alt.X("at:T", title=None, axis=alt.Axis(format="%d %b", tickCount=3, labelOverlap=True))
    height = alt.Y("value:Q", title=None, axis=alt.Axis(tickCount=3, format="~s"))
    tips = [DAY, alt.Tooltip("value:Q", title="p95 latency (ms)", format=",.0f")]
    colour = alt.Color("state:N", legend=None, scale=alt.Scale(domain=["within", "over"], range=[BLUE, RED]))
    base = alt.Chart(frame)
    known = base.transform_filter("isValid(datum.value)")
    line = known.mark_line(strokeWidth=1.5, tooltip=None).encode(x=months, y=height, color=colour)
    dots = known.mark_point(size=8, filled=True, opacity=0.8).encode(x=months, y=height, color=colour, tooltip=tips)
    objective = (
        base.transform_filter("isValid(datum.limit)")
        .mark_rule(color=GREY, strokeDash=[4, 3])
        .encode(y="limit:Q", tooltip=[alt.Tooltip("limit:Q", title="objective (ms)", format=",.0f")])
    )
    rules = (
        base.transform_filter("isValid(datum.mark)")
        .mark_rule(color=GREY, strokeDash=[1, 3])
        .encode(x="at:T", tooltip=[DAY, alt.Tooltip("mark:N", title="what")])
    )
    more = f"and {len(order) - len(kept):,} more in the table" if len(order) > len(kept) else ""
    said = notes("ms; dashed: objective; dotted: own deployments and incidents", more, note)
    return themed_multiples(
        layered(rules, objective, line, dots), title, by="line", order=list(head.values()), columns=COLUMNS, note=said
    )


def _recent(values: pd.Series) -> float:
    return float(values.tail(RECENT_DAYS).median())


def _annotated(annotations: pd.DataFrame, kept: list[str], at: pd.Series) -> pd.DataFrame:
    """The newest deployments and incidents within the days shown, of each feature its own and those of none."""
    known = pd.DataFrame({"at": pd.to_datetime(annotations["at"], errors="coerce"), "mark": annotations["label"]})
    own = annotations["feature_id"] if "feature_id" in annotations.columns else pd.Series(None, index=known.index)
    known = known.assign(mark=labels(known["mark"]), own=own).dropna(subset=["at"])
    known = known[(known["at"] >= at.min()) & (known["at"] <= at.max() + pd.Timedelta(days=1))]
    parts = []
    for line in kept:
        of = known[known["own"].isna() | (known["own"].map(named) == line)].sort_values("at", kind="stable")
        parts.append(of.tail(MOST_RULES)[["at", "mark"]].assign(line=line))
    return pd.concat(parts) if parts else pd.DataFrame({"line": [], "at": [], "mark": []})
