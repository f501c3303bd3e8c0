"""The funnel automaton as windows over the log: for every unit the chain of steps that is reported."""

from __future__ import annotations

from datetime import datetime
from functools import reduce
from typing import Literal

import ibis
import ibis.expr.types as ir

from launchpad_lib.contract.durations import parse_window
from launchpad_lib.metrics.steps import Rules, event_log, order_of

ALL = {"preceding": None, "following": None}


def funnel_chains(log: ir.Table, rules: Rules, *, keys: tuple[str, ...] = ("unit",)) -> ir.Table:
    """Grain: one row per unit that entered. The reported chain of each unit under the rules.

    The reported chain is the deepest one a unit has; among those the one that is complete first; among those the one
    that began last. Columns: the keys, first_entry_at (the unit's first entry), step_1_at .. step_K_at (NULL where not
    reached), last_position, is_removed, segment.

    Cost: one sort of the log by unit and time, then one window pass per step for the automaton (f_k = start of the
    latest-started chain of length k) and one per step to read the times: linear in the events after the sort, in every
    mode. A bot with many events costs its share and no more.

    Args:
        log: from `event_log`; more key columns (a period) may be added, and `may_enter` to bar entries.
    """
    may_enter = log["may_enter"] if "may_enter" in log.columns else ibis.literal(True)
    if rules.entered:
        low, high = (ibis.literal(v, "timestamp") for v in rules.entered)
        may_enter = may_enter & (log.at >= low) & (log.at < high)
    state = log.mutate(may_enter=may_enter)
    state = state.mutate(position=ibis.row_number().over(ibis.window(group_by=keys, order_by=order_of(state))))
    # Columns that are no longer needed are dropped as the table grows: every one is written out in each nested query.
    state = state.drop(*(n for n in ("event_name", "received_at", "event_id") if n in state.columns))
    blocked = ibis.cumulative_window(group_by=keys, order_by=state.position)
    state = state.mutate(epoch=state.is_blocking.cast("int64").sum().over(blocked))
    if rules.mode == "strict_order":
        state = _cut_at_first_other(state, rules, keys)
    if rules.mode == "any_order":
        state = _any_order(state, rules, keys)
    elif rules.mode == "strict":
        state = _strict(state, rules, keys)
    else:
        state = _ordered(state, rules, keys)
    return _per_unit(state, rules, keys)


def _length(rules: Rules):
    return None if rules.window is None else ibis.interval(seconds=int(parse_window(rules.window).total_seconds()))


def _in_time(at: ir.TimestampValue, start: ir.TimestampValue, rules: Rules) -> ir.BooleanValue:
    length = _length(rules)
    return ibis.literal(True) if length is None else at <= start + length


def _entries(state: ir.Table, rules: Rules, keys: tuple[str, ...], is_entry: ir.BooleanValue) -> ir.Table:
    """Adds is_entry (an entry that counts) and first_entry_at (of the unit)."""
    state = state.mutate(is_entry=is_entry & state.may_enter)
    whole = ibis.window(group_by=keys, **ALL)
    state = state.mutate(
        first_entry_at=state.at.min(where=state.is_entry).over(whole),
        first_position=state.position.min(where=state.is_entry).over(whole),
    )
    if rules.entry == "first":
        state = state.mutate(is_entry=state.is_entry & (state.position == state.first_position))
    return state


def _deepest(
    state: ir.Table, rules: Rules, keys: tuple[str, ...], depth: ir.IntegerValue, **carried: ir.Value
) -> ir.Table:
    """Adds, for every row of a unit, the carried values of its deepest and then earliest row."""
    state = state.mutate(depth=depth, **carried)
    best = ibis.window(group_by=keys, order_by=[ibis.desc(state.depth), state.position], **ALL)
    return state.mutate(
        deepest=state.depth.max().over(ibis.window(group_by=keys, **ALL)),
        **{f"best_{n}": state[n].first().over(best) for n in carried},
    )


def _ordered(state: ir.Table, rules: Rules, keys: tuple[str, ...]) -> ir.Table:
    required = rules.required
    state = _entries(state, rules, keys, state.is_1)
    state = state.mutate(chain_1=ibis.cases((state.is_entry, state.at)))
    together = [*keys, *(["held"] if rules.hold_constant else []), "epoch"]
    for before, k in zip(required, required[1:], strict=False):
        # Rows before this one only: an event that matches two steps can be but one of them.
        earlier = ibis.window(group_by=together, order_by=state.position, preceding=(None, 1))
        state = state.mutate(previous=state[f"chain_{before}"].max().over(earlier))
        if rules.same_instant == "does_not_count":
            state = state.mutate(
                previous=state.previous.first().over(
                    ibis.window(group_by=[*together, "at"], order_by=state.position, **ALL)
                )
            )
        fits = state[f"is_{k}"] & state.previous.notnull() & _in_time(state.at, state.previous, rules)
        state = state.mutate(**{f"chain_{k}": ibis.cases((fits, state.previous))}).drop("previous")
    depth = ibis.cases(
        *((state[f"chain_{k}"].notnull(), number) for number, k in reversed(list(enumerate(required, start=1)))),
        else_=0,
    )
    start = ibis.coalesce(*(state[f"chain_{k}"] for k in reversed(required)))
    state = state.mutate(depth_here=depth, start_here=start).drop(*(f"chain_{k}" for k in required))
    state = _deepest(state, rules, keys, state.depth_here, start=state.start_here, held=state.held, epoch=state.epoch)
    same = (state.held == state.best_held) & (state.epoch == state.best_epoch)
    whole = ibis.window(group_by=keys, **ALL)
    state = state.mutate(is_same=same.fill_null(False))
    flags = [f"is_{k}" for k in range(1, len(rules.steps) + 1)]
    state = state.select(
        *keys, "at", "position", "first_entry_at", "best_start", "is_same", "is_entry", "is_removing", "segment", *flags
    )
    at_start = state.is_same & state.is_entry & (state.at == state.best_start)
    state = state.mutate(
        position_1=state.position.min(where=at_start).over(whole), at_1=state.at.min(where=at_start).over(whole)
    )
    for before, k in zip(required, required[1:], strict=False):
        next_one = (
            state.is_same
            & state[f"is_{k}"]
            & (state.position > state[f"position_{before}"])
            & _in_time(state.at, state.best_start, rules)
        )
        if rules.same_instant == "does_not_count":
            next_one = next_one & (state.at > state[f"at_{before}"])
        state = state.mutate(
            **{
                f"position_{k}": state.position.min(where=next_one).over(whole),
                f"at_{k}": state.at.min(where=next_one).over(whole),
            }
        )
    for k in (k for k in range(1, len(rules.steps) + 1) if k not in required):
        after, until = max(r for r in required if r < k), min(r for r in required if r > k)
        between = (
            state.is_same
            & state[f"is_{k}"]
            & (state.position > state[f"position_{after}"])
            & _in_time(state.at, state.best_start, rules)
        )
        between = between & (state[f"position_{until}"].isnull() | (state.position < state[f"position_{until}"]))
        state = state.mutate(**{f"position_{k}": state.position.min(where=between).over(whole)})
    return state


def _cut_at_first_other(state: ir.Table, rules: Rules, keys: tuple[str, ...]) -> ir.Table:
    """No row is a step from the first one on, after the unit's first entry, that is neither a step already reached nor
    the next.
    """
    numbers = range(1, len(rules.steps) + 1)
    farthest = ibis.cases(*((state[f"is_{k}"], k) for k in reversed(numbers)), else_=0)
    state = state.mutate(
        farthest=farthest,
        first_position=state.position.min(where=state.is_1 & state.may_enter).over(ibis.window(group_by=keys, **ALL)),
    )
    inside = state.position >= state.first_position
    so_far = state.farthest.max(where=inside).over(
        ibis.window(group_by=keys, order_by=state.position, preceding=(None, 1))
    )
    state = state.mutate(is_other=inside & ((state["rank"] == 0) | (state["rank"] > ibis.coalesce(so_far, 0) + 1)))
    state = state.mutate(cut=state.position.min(where=state.is_other).over(ibis.window(group_by=keys, **ALL)))
    before = state.cut.isnull() | (state.position < state.cut)
    return state.mutate(**{f"is_{k}": state[f"is_{k}"] & before for k in numbers})


def _strict(state: ir.Table, rules: Rules, keys: tuple[str, ...]) -> ir.Table:
    count = len(rules.steps)
    state = _entries(state, rules, keys, state.is_1)
    state = state.mutate(chain_1=ibis.cases((state.is_entry, state.at)))
    in_order = ibis.window(group_by=keys, order_by=state.position)
    state = state.mutate(held_before=state.held.lag().over(in_order), at_before=state.at.lag().over(in_order))
    linked = (state.held == state.held_before) if rules.hold_constant else ibis.literal(True)
    if rules.same_instant == "does_not_count":
        linked = linked & (state.at > state.at_before)
    state = state.mutate(is_linked=linked.fill_null(False))
    for k in range(2, count + 1):
        state = state.mutate(
            previous=state[f"chain_{k - 1}"].lag().over(ibis.window(group_by=keys, order_by=state.position))
        )
        fits = state[f"is_{k}"] & state.is_linked & state.previous.notnull() & _in_time(state.at, state.previous, rules)
        state = state.mutate(**{f"chain_{k}": ibis.cases((fits, state.previous))})
    depth = ibis.cases(*((state[f"chain_{k}"].notnull(), k) for k in range(count, 0, -1)), else_=0)
    state = _deepest(state, rules, keys, depth, end=state.position)
    return state.mutate(
        **{
            f"position_{k}": ibis.cases((state.deepest >= k, state.best_end - state.deepest + k))
            for k in range(1, count + 1)
        }
    )


def _any_order(state: ir.Table, rules: Rules, keys: tuple[str, ...]) -> ir.Table:
    count = len(rules.steps)
    is_step = reduce(lambda a, b: a | b, (state[f"is_{k}"] for k in range(1, count + 1)))
    state = _entries(state, rules, keys, is_step)
    together = [*keys, *(["held"] if rules.hold_constant else [])]
    onward = ibis.window(group_by=together, order_by=state.position, preceding=0, following=None)
    state = state.mutate(
        **{f"next_{k}": state.at.min(where=state[f"is_{k}"]).over(onward) for k in range(1, count + 1)},
        **{f"where_{k}": state.position.min(where=state[f"is_{k}"]).over(onward) for k in range(1, count + 1)},
    )
    inside = {
        k: (state[f"next_{k}"].notnull() & _in_time(state[f"next_{k}"], state.at, rules)) for k in range(1, count + 1)
    }
    state = state.mutate(
        **{f"found_{k}": ibis.cases((state.is_entry & inside[k], state[f"where_{k}"])) for k in range(1, count + 1)}
    )
    found = ibis.array([state[f"found_{k}"] for k in range(1, count + 1)]).filter(lambda x: x.notnull()).sort()
    depth = reduce(lambda a, b: a + b, (state[f"found_{k}"].notnull().cast("int64") for k in range(1, count + 1)))
    state = state.mutate(found=found)
    state = _deepest(state, rules, keys, depth, found=state.found)
    return state.mutate(
        **{f"position_{k}": ibis.cases((state.deepest >= k, state.best_found[k - 1])) for k in range(1, count + 1)}
    )


def _per_unit(state: ir.Table, rules: Rules, keys: tuple[str, ...]) -> ir.Table:
    numbers = range(1, len(rules.steps) + 1)
    at = {f"step_{k}_at": state.at.min(where=state.position == state[f"position_{k}"]) for k in numbers}
    # A NULL value is marked, because `min` would pass over it.
    marked = ibis.ifelse(state.segment.isnull(), "", "=" + state.segment)
    value = {f"value_{k}": marked.min(where=state.position == state[f"position_{k}"]) for k in numbers}
    last = state.mutate(
        last_position=ibis.greatest(*(ibis.coalesce(state[f"position_{k}"], -1) for k in rules.required))
    )
    removing = last.is_removing & (last.position > last.position_1) & (last.position < last.last_position)
    units = last.group_by(list(keys)).agg(
        first_entry_at=last.first_entry_at.min(),
        last_position=last.last_position.max(),
        is_removed=removing.any().fill_null(False),
        **at,
        **value,
    )
    units = units.filter(units.step_1_at.notnull())
    return units.mutate(segment=_attributed(units, rules)).drop(*value)


def _attributed(units: ir.Table, rules: Rules) -> ir.StringValue:
    """The unit's value of the breakdown: of its first or last reached step that has one, or of the chosen step."""
    if not rules.breakdown:
        return ibis.null("string")
    numbers = range(1, len(rules.steps) + 1)
    plain = {k: ibis.cases((units[f"value_{k}"] != "", units[f"value_{k}"].substr(1))) for k in numbers}
    if rules.attribution == "first_touch":
        return ibis.coalesce(*(plain[k] for k in numbers))
    if rules.attribution == "last_touch":
        return ibis.coalesce(*(plain[k] for k in reversed(numbers)))
    return plain[rules.attribution]


def funnel_units(
    events: ir.Table, *, rules: Rules, observed_through: datetime, keep: Literal["matching", "all"] = "matching"
) -> ir.Table:
    """Grain: one row per unit that entered, with is_mature: its first entry's window is over at `observed_through`."""
    return with_maturity(funnel_chains(event_log(events, rules, keep=keep), rules), rules, observed_through)


def with_maturity(units: ir.Table, rules: Rules, observed_through: datetime) -> ir.Table:
    """Adds is_mature: first entry + window <= observed_through."""
    if rules.window is None:
        return units.mutate(is_mature=ibis.literal(True))
    return units.mutate(
        is_mature=units.first_entry_at <= ibis.literal(observed_through - parse_window(rules.window), "timestamp")
    )
