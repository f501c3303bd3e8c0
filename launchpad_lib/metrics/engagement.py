"""Adoption, completion, depth, duration, sharing, stickiness, frequency and overlap of features."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import ibis
import ibis.expr.types as ir

from launchpad_lib.contract.durations import parse_window, utc_instant
from launchpad_lib.contract.names import quoted
from launchpad_lib.metrics.checks import (
    because,
    known_table,
    name_list,
    nobody_counted,
    refused_table,
    unknown_names,
)
from launchpad_lib.metrics.funnel import funnel
from launchpad_lib.metrics.windows import (
    is_one_of,
    ratio_limits,
    wilson_limits,
)


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
    steps = funnel(events, steps=[start_event, complete_event], window=window, observed_through=observed_through, by=by)
    wide = steps.agg(
        starts=steps.users.sum(where=steps.step == 1),
        completed=steps.users.sum(where=steps.step == 2),
        immature=steps.entrants_immature.max(),
        refused_because=steps.refused_because.max(),
    )
    return wide.select(
        "starts",
        "completed",
        "immature",
        completion_rate=wide.completed / wide.starts.nullif(0),
        **wilson_limits(wide.completed, wide.starts),
        refused_because=wide.refused_because,
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
    is_interaction = is_one_of(log.event_name, kinds).fill_null(False)
    per = log.group_by(["user_id", "session_key"]).agg(
        starts=is_one_of(log.event_name, [start_event]).sum(),
        interactions=is_interaction.sum(),
        kinds=log.event_name.nunique(where=is_interaction),
    )
    per = per.filter((per.starts > 0) & per.user_id.notnull() & per.session_key.notnull())
    own = per.group_by("user_id").agg(x=per.count(), y=per.interactions.sum())
    sums = own.agg(
        persons=own.count(),
        x=own.x.sum(),
        y=own.y.sum(),
        yy=(own.y * own.y).sum(),
        yx=(own.y * own.x).sum(),
        xx=(own.x * own.x).sum(),
    )
    limits = sums.select(**_from_zero(ratio_limits(sums.y, sums.x, (sums.yy, sums.yx, sums.xx), sums.persons)))
    found = per.agg(
        sessions=per.count(),
        mean_interactions=per.interactions.mean(),
        median_interactions=per.interactions.quantile(0.5),
        p90_interactions=per.interactions.quantile(0.9),
        mean_kinds=per.kinds.mean(),
        median_kinds=per.kinds.quantile(0.5),
        p90_kinds=per.kinds.quantile(0.9),
    ).cross_join(limits)
    rows = found.mutate(refused_because=because(found.sessions == 0, f"no session has {quoted(start_event)}"))
    unknown = unknown_names(events, event_names=[start_event, *kinds])
    return rows if unknown is None else refused_table(rows, unknown)


def session_duration(sessions: ir.Table) -> ir.Table:
    """One row: sessions, median_seconds, p90_seconds of last minus first event, refused_because (NULL where the row
    stands); a single-event session lasts 0."""
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
    length, through = parse_window(window), utc_instant(observed_through)
    log = known_table(events, needs=("user_id", "event_name", "event_at"))
    log = log.filter(log.user_id.notnull() & is_one_of(log.event_name, [view_event, share_event]))
    whole = ibis.window(group_by="user_id", preceding=None, following=None)
    log = log.select(
        user_id=log.user_id,
        at=log.event_at,
        is_view=log.event_name == view_event,
        is_share=log.event_name == share_event,
    )
    log = log.mutate(first_at=log.at.min(where=log.is_view).over(whole))
    log = log.filter(log.first_at.notnull())
    inside = (log.at >= log.first_at) & (log.at <= log.first_at + ibis.interval(seconds=int(length.total_seconds())))
    own = log.group_by("user_id").agg(
        first_at=log.first_at.min(),
        x=(inside & log.is_view).sum().cast("int64"),
        y=(inside & log.is_share).sum().cast("int64"),
    )
    own = own.mutate(is_mature=own.first_at <= ibis.literal(through - length, "timestamp"))
    counted = own.is_mature
    sums = own.agg(
        viewers=counted.sum().fill_null(0).cast("int64"),
        views=own.x.sum(where=counted).fill_null(0),
        shares=own.y.sum(where=counted).fill_null(0),
        yy=(own.y * own.y).sum(where=counted),
        yx=(own.y * own.x).sum(where=counted),
        xx=(own.x * own.x).sum(where=counted),
        immature=(~counted).sum().fill_null(0).cast("int64"),
    )
    per_viewer = ratio_limits(sums.shares, sums.viewers, (sums.yy, sums.shares, sums.viewers), sums.viewers)
    per_view = ratio_limits(sums.shares, sums.views, (sums.yy, sums.yx, sums.xx), sums.viewers)
    found = sums.select(
        viewers=sums.viewers,
        views=sums.views.cast("int64"),
        shares=sums.shares.cast("int64"),
        shares_per_viewer=sums.shares / sums.viewers.nullif(0),
        **_from_zero(per_viewer),
        shares_per_view=sums.shares / sums.views.nullif(0),
        **{f"per_view_{k}": v for k, v in _from_zero(per_view).items()},
        immature=sums.immature,
        refused_because=nobody_counted(sums.viewers, immature=sums.immature, what="sharing", observed_through=through),
    )
    unknown = unknown_names(events, event_names=[view_event, share_event])
    return found if unknown is None else refused_table(found, unknown)


def _from_zero(limits: dict[str, ir.NumericValue]) -> dict[str, ir.NumericValue]:
    """Limits of a count per unit do not lie under 0; NULL stays NULL."""
    low = limits["ci_low"]
    return {
        "ci_low": ibis.ifelse(low.isnull(), ibis.null("float64"), ibis.greatest(low, 0.0)),
        "ci_high": limits["ci_high"],
    }
