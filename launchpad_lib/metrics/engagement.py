"""Adoption, completion, depth, duration, sharing, stickiness, frequency and overlap of features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from launchpad_lib.contract.arguments import shown
from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.contract.names import quoted
from launchpad_lib.metrics.checks import (
    because,
    counted_table,
    known_table,
    name_list,
    nobody_counted,
    refused_table,
    unknown_names,
)
from launchpad_lib.metrics.kernels.attempts import attempts
from launchpad_lib.metrics.kernels.exact import quantiles_of
from launchpad_lib.metrics.kernels.session_facts import session_depth, session_lengths
from launchpad_lib.metrics.windows import ratio_limits, unit_column, wilson_limits


def completion(
    events: ir.Table,
    *,
    start_event: str,
    complete_event: str,
    window: str,
    observed_through: datetime,
    by: str = "user_id",
) -> ir.Table:
    """One row: starts (mature units that started), completed, completion_rate (completed / starts, fraction), ci_low,
    ci_high (Wilson), immature, refused_because (NULL where the rate stands; counts are NULL where a name is unknown).
    """
    found = completions(
        events, pairs=[(start_event, complete_event)], window=window, observed_through=observed_through, by=by
    )
    return found.drop("start_event", "complete_event")


def completions(
    events: ir.Table, *, pairs: Sequence[tuple[str, str]], window: str, observed_through: datetime, by: str = "user_id"
) -> ir.Table:
    """`completion` of many pairs (start event, completing event) in one reading. Grain: one row per pair, in order.

    Columns: start_event, complete_event and those of `completion`.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", "go", 9), ("a", "done", 10), ("b", "go", 9), ("b", "seen", 9)]
    >>> events = ibis.memtable(
    ...     [{"user_id": u, "event_name": n, "event_at": datetime(2026, 1, 1, h)} for u, n, h in log]
    ... )
    >>> asked = {"window": "1d", "observed_through": datetime(2026, 1, 9)}
    >>> completions(events, pairs=[("go", "done"), ("go", "seen")], **asked).to_pandas()["completed"].tolist()
    [1, 1]
    """
    log, through = known_table(events, needs=("event_name", "event_at")), utc_instant(observed_through)
    if isinstance(pairs, str) or not isinstance(pairs, Iterable):
        raise ValueError(
            f"pairs={shown(pairs)}: must be a list of pairs of events; write [(start, completion)] for one"
        )
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(name, str) for name in pair):
            raise ValueError(f"pairs: {shown(pair)} is no pair of event names; write (start, completion), both as text")
    unit_column(log, by)
    unknown = [unknown_names(log, event_names=pair) for pair in pairs]
    known = [pair for place, pair in enumerate(pairs) if unknown[place] is None]
    found = iter(attempts(log, known, window=window, observed_through=through, by=by))
    counts = [None if why else next(found) for why in unknown]
    rows = counted_table(
        {"start_event": dt.string, "complete_event": dt.string, "unknown": dt.string}
        | dict.fromkeys(("starts", "completed", "immature"), dt.int64),
        start_event=[start for start, _ in pairs],
        complete_event=[complete for _, complete in pairs],
        unknown=unknown,
        starts=[one and one.began for one in counts],
        completed=[one and one.finished for one in counts],
        immature=[one and one.immature for one in counts],
    )
    nobody = nobody_counted(rows.starts, immature=rows.immature, what="the funnel", observed_through=through)
    return rows.select(
        "start_event",
        "complete_event",
        "starts",
        "completed",
        "immature",
        completion_rate=rows.completed / rows.starts.nullif(0),
        **wilson_limits(rows.completed, rows.starts),
        refused_because=ibis.ifelse(rows.unknown.isnull(), nobody, rows.unknown),
    )


def depth(events: ir.Table, *, start_event: str, interaction_events: Sequence[str]) -> ir.Table:
    """One row over started sessions, zeros included: sessions; mean, median and p90 of interactions and of distinct
    kinds.

    Columns: sessions, mean_interactions, ci_low, ci_high (95 % of the mean, users as clusters), median_interactions,
    p90_interactions, mean_kinds, median_kinds, p90_kinds, refused_because (NULL where the row stands).

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("s1", "start"), ("s1", "slide"), ("s1", "slide"), ("s2", "start")]
    >>> events = ibis.memtable(
    ...     [{"user_id": "u", "session_key": s, "event_name": n, "event_at": datetime(2026, 1, 1)} for s, n in log]
    ... )
    >>> float(depth(events, start_event="start", interaction_events=["slide"]).to_pandas()["mean_interactions"][0])
    1.0
    """
    log = known_table(events, needs=("user_id", "session_key", "event_name"))
    kinds = name_list(interaction_events, argument="interaction_events")
    deep = session_depth(log, start_event=start_event, interaction_events=kinds)
    x, y, sessions = deep.sessions, deep.total, len(deep.interactions)
    quantiles: dict[str, list[float | None]] = {}
    for what, values in (("interactions", deep.interactions), ("kinds", deep.kinds)):
        median, p90 = quantiles_of(values.copy(), (0.5, 0.9))
        quantiles |= {f"median_{what}": [median], f"p90_{what}": [p90]}
    sums = counted_table(
        dict.fromkeys(("sessions", "interactions", "kinds", "persons", "yy", "yx", "xx"), dt.int64)
        | dict.fromkeys(quantiles, dt.float64),
        sessions=[sessions],
        interactions=[int(deep.interactions.sum())],
        kinds=[int(deep.kinds.sum())],
        persons=[len(x)],
        yy=[int((y * y).sum())],
        yx=[int((y * x).sum())],
        xx=[int((x * x).sum())],
        **quantiles,
    )
    n, squares = sums.sessions.nullif(0), (sums.yy, sums.yx, sums.xx)
    found = sums.select(
        sessions=sums.sessions,
        mean_interactions=sums.interactions / n,
        median_interactions=sums.median_interactions,
        p90_interactions=sums.p90_interactions,
        mean_kinds=sums.kinds / n,
        median_kinds=sums.median_kinds,
        p90_kinds=sums.p90_kinds,
        **_from_zero(ratio_limits(sums.interactions, sums.sessions, squares, sums.persons)),
    )
    rows = found.mutate(refused_because=because(found.sessions == 0, f"no session has {quoted(start_event)}"))
    unknown = unknown_names(events, event_names=[start_event, *kinds])
    return rows if unknown is None else refused_table(rows, unknown)


def session_duration(sessions: ir.Table) -> ir.Table:
    """One row: sessions, median_seconds, p90_seconds of last minus first event, refused_because (NULL where the row
    stands); a single-event session lasts 0.

    Args:
        sessions: one row per session with duration_seconds; or the event log, whose sessions (user_id, session_key) are
            then read.
    """
    if isinstance(sessions, ir.Table) and {"session_key", "event_at"} <= set(sessions.columns):
        seconds = session_lengths(sessions) / 1e6
        median, p90 = quantiles_of(seconds, (0.5, 0.9))
        kinds = {"sessions": dt.int64, "median_seconds": dt.float64, "p90_seconds": dt.float64}
        found = counted_table(kinds, sessions=[len(seconds)], median_seconds=[median], p90_seconds=[p90])
    else:
        table = known_table(sessions, needs=("duration_seconds",), argument="sessions")
        found = table.agg(
            sessions=table.count(),
            median_seconds=table.duration_seconds.quantile(0.5),
            p90_seconds=table.duration_seconds.quantile(0.9),
        )
    return found.mutate(refused_because=because(found.sessions == 0, "there is no session"))


def share_rate(
    events: ir.Table, *, view_event: str, share_event: str, window: str, observed_through: datetime
) -> ir.Table:
    """One row: viewers (mature), sharers, share_rate (sharers / viewers, fraction), ci_low, ci_high (Wilson), immature,
    refused_because (NULL where the rate stands)."""
    done = completion(
        events, start_event=view_event, complete_event=share_event, window=window, observed_through=observed_through
    )
    return done.rename(viewers="starts", sharers="completed", share_rate="completion_rate")


def shares_per_viewer(
    events: ir.Table, *, view_event: str, share_event: str, window: str, observed_through: datetime
) -> ir.Table:
    """How often a result is passed on. One row over mature viewers (first view + window <= observed_through).

    Views and shares are those from a viewer's first view to the end of its window. shares_per_viewer = shares /
    viewers; shares_per_view = shares / views, a ratio of sums. Both with 95 % limits by the delta method over viewers,
    who are independent (their views are not). Columns: viewers, views, shares, shares_per_viewer, ci_low, ci_high,
    shares_per_view, per_view_ci_low, per_view_ci_high, immature, refused_because (NULL where the row stands).

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", "view"), ("a", "share"), ("a", "share"), ("b", "view"), ("b", "view")]
    >>> events = ibis.memtable(
    ...     [{"user_id": u, "event_name": n, "event_at": datetime(2026, 1, 1, i)} for i, (u, n) in enumerate(log)]
    ... )
    >>> row = (
    ...     shares_per_viewer(
    ...         events, view_event="view", share_event="share", window="1d", observed_through=datetime(2026, 1, 9)
    ...     )
    ...     .to_pandas()
    ...     .iloc[0]
    ... )
    >>> float(row["shares_per_viewer"]), round(float(row["shares_per_view"]), 3)
    (1.0, 0.667)
    """
    through = utc_instant(observed_through)
    log = known_table(events, needs=("user_id", "event_name", "event_at"))
    unknown = unknown_names(log, event_names=[view_event, share_event])
    one = attempts(log, [(view_event, share_event)], window=window, observed_through=through)[0]
    sums = counted_table(
        dict.fromkeys(("viewers", "views", "shares", "yy", "yx", "xx", "immature"), dt.int64),
        viewers=[one.began],
        views=[one.begins],
        shares=[one.ends],
        yy=[one.ends_squared],
        yx=[one.ends_begins],
        xx=[one.begins_squared],
        immature=[one.immature],
    )
    per_viewer = ratio_limits(sums.shares, sums.viewers, (sums.yy, sums.shares, sums.viewers), sums.viewers)
    per_view = ratio_limits(sums.shares, sums.views, (sums.yy, sums.yx, sums.xx), sums.viewers)
    found = sums.select(
        viewers=sums.viewers,
        views=sums.views,
        shares=sums.shares,
        shares_per_viewer=sums.shares / sums.viewers.nullif(0),
        **_from_zero(per_viewer),
        shares_per_view=sums.shares / sums.views.nullif(0),
        **{f"per_view_{k}": v for k, v in _from_zero(per_view).items()},
        immature=sums.immature,
        refused_because=nobody_counted(sums.viewers, immature=sums.immature, what="sharing", observed_through=through),
    )
    return found if unknown is None else refused_table(found, unknown)


def _from_zero(limits: dict[str, ir.NumericValue]) -> dict[str, ir.NumericValue]:
    """Limits of a count per unit do not lie under 0; NULL stays NULL."""
    low = limits["ci_low"]
    return {
        "ci_low": ibis.ifelse(low.isnull(), ibis.null(dt.float64), ibis.greatest(low, 0.0)),
        "ci_high": limits["ci_high"],
    }
