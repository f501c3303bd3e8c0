"""Who was exposed to which variant of an experiment, and what these units did after it.

Counts only; no estimate is made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import ibis
import ibis.expr.types as ir

from launchpad_lib.contract.names import nearest
from launchpad_lib.contract.tables import EXPOSURE_EVENT
from launchpad_lib.metrics.checks import unknown_names
from launchpad_lib.metrics.windows import local_date, property_value

Standing = Literal["assigned", "several variants", "outside the plan", "no variant"]
"""assigned: compared. The others are counted, named and left out."""


def exposures(events: ir.Table, *, experiment_id: str | None) -> ir.Table:
    """Grain: one row per exposure of the experiment: user_id, event_at, variant (as text; NULL where the event names
    none).

    Variants and ids compare by their text, so `1` and `true` in the data are '1' and 'true' here. None asks for no
    experiment.
    """
    seen = events.filter(events.event_name == EXPOSURE_EVENT)
    of_experiment = seen.filter(property_value(seen, "experiment_id") == ibis.literal(experiment_id, "string"))
    return of_experiment.select("user_id", "event_at", variant=property_value(of_experiment, "variant"))


def nobody_exposed(events: ir.Table, *, experiment_id: str) -> str | None:
    """None where somebody was exposed to the experiment; else one sentence with the nearest experiments of the log."""
    seen = events.filter(events.event_name == EXPOSURE_EVENT)
    known = seen.select(experiment=property_value(seen, "experiment_id")).distinct().to_pandas()["experiment"]
    names = set(known.dropna())
    if experiment_id in names:
        return None
    return f"experiment {experiment_id!r}: nobody was exposed to it; {nearest(experiment_id, names)}"


def experiment_units(exposed: ir.Table, *, planned: Sequence[str] = ()) -> ir.Table:
    """Grain: one row per exposed unit: user_id, exposed_at (first exposure that names a variant), variant, standing.

    A unit that saw several variants is in none of them, whether or not they were planned; `variant` is then NULL. A
    unit without any variant has no `exposed_at` of a variant: its first exposure stands there.

    Args:
        exposed: the table of `exposures`.
        planned: the variants of the plan; empty takes every variant that was seen as planned.
    """
    units = exposed.group_by("user_id").agg(
        exposed_at=ibis.coalesce(
            exposed.event_at.min(where=exposed.variant.notnull()),
            exposed.event_at.min(),
        ),
        variants=exposed.variant.nunique(),
        seen=exposed.variant.min(),
    )
    is_planned = units.seen.isin(list(planned)) if planned else ibis.literal(True)
    standing = ibis.cases(
        (units.variants == 0, "no variant"),
        (units.variants > 1, "several variants"),
        (is_planned, "assigned"),
        else_="outside the plan",
    )
    variant = ibis.ifelse(units.variants == 1, units.seen, ibis.null("string"))
    return units.select("user_id", "exposed_at", variant=variant, standing=standing)


def units_by_standing(units: ir.Table, *, window: timedelta, observed_through: datetime | None) -> ir.Table:
    """Grain: one row per standing and variant: standing, variant, units, units_immature (of them, window not over).

    `units` is the table of `experiment_units`; `observed_through` None takes every window for over.
    """
    is_over = _is_over(units, window, observed_through)
    counted = units.group_by("standing", "variant").agg(
        units=units.count(), units_immature=(~is_over).cast("int64").sum()
    )
    return counted.order_by("standing", "variant")


def exposed_between(units: ir.Table, *, report_timezone: str) -> ir.Table:
    """Grain: one row: first_on and last_on, the local dates of the first and the last first exposure; NULL without
    units.
    """
    on = local_date(units.exposed_at, report_timezone)
    return units.aggregate(first_on=on.min(), last_on=on.max())


def _is_over(units: ir.Table, window: timedelta, observed_through: datetime | None) -> ir.BooleanValue:
    """Whether the window after the first exposure was observed to its end."""
    if observed_through is None:
        return units.exposed_at.notnull()
    return units.exposed_at + ibis.literal(window) <= ibis.literal(observed_through)


def conversions(
    events: ir.Table,
    units: ir.Table,
    *,
    event_names: Sequence[str],
    window: timedelta,
    observed_through: datetime | None,
) -> ir.Table:
    """Grain: one row per event name and variant of the assigned units.

    Columns: metric (the event name), variant, units (window over at `observed_through`), units_immature (in no other
    count), converted (units that did it from the first exposure to `window` after it, both ends included),
    naive_converted (units that did it at any time: what a join on the user alone counts), events_in_window,
    events_before_exposure (events of all assigned units before their first exposure), refused_because (the event does
    not occur in the log, so a misspelt name is never a 0).

    Args:
        observed_through: last instant of the data; None takes every window for over (a log that has ended).
    """
    names = list(dict.fromkeys(event_names))
    reasons = [unknown_names(events, event_names=[name]) for name in names]
    asked = ibis.memtable(
        {"metric": names, "refused_because": reasons}, schema={"metric": "string", "refused_because": "string"}
    )
    chosen = units.filter(units.standing == "assigned")
    assigned = chosen.mutate(is_over=_is_over(chosen, window, observed_through))
    arms = assigned.group_by("variant").agg(
        units=assigned.is_over.cast("int64").sum(),
        units_immature=(~assigned.is_over).cast("int64").sum(),
    )
    done = events.filter(events.event_name.isin(names)).select("user_id", "event_at", metric=events.event_name)
    log = done.inner_join(assigned, "user_id")
    is_after = log.event_at >= log.exposed_at
    in_window = is_after & (log.event_at <= log.exposed_at + ibis.literal(window)) & log.is_over
    did = log.group_by(log.metric, log.variant).agg(
        converted=log.user_id.nunique(where=in_window),
        naive_converted=log.user_id.nunique(where=log.is_over),
        events_in_window=log.count(where=in_window),
        events_before_exposure=log.count(where=~is_after),
    )
    cells = asked.cross_join(arms)
    joined = cells.left_join(did, ["metric", "variant"])
    counts = ("converted", "naive_converted", "events_in_window", "events_before_exposure")
    table = joined.select(
        "metric",
        "variant",
        "units",
        "units_immature",
        *(joined[c].fill_null(0).name(c) for c in counts),
        "refused_because",
    )
    return table.order_by("metric", "variant")
