"""What the funnel page counts: every result table, whole or refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd

from launchpad_lib.contract.catalogue import funnel_tables as tables
from launchpad_lib.contract.durations import parse_window
from launchpad_lib.contract.estimates import Estimate, estimate_of
from launchpad_lib.contract.sentences import counted, named, span_words
from launchpad_lib.findings.funnel_losses import losses
from launchpad_lib.findings.funnel_question import MODE_WORDS, FunnelQuestion, Periods
from launchpad_lib.findings.funnel_reading import FunnelReading
from launchpad_lib.findings.rows import answered, declared, of_many, reason_in, refused_rows
from launchpad_lib.inference import compare_correlates, compare_rates
from launchpad_lib.metrics import (
    nobody_mature,
)

MOST_CORRELATES = 20


def funnel_result(read: FunnelReading, asked: FunnelQuestion) -> pd.DataFrame:
    """The table `funnel`: one row per step; refused as a whole where nobody can be counted."""
    return steps_of(read, "steps", asked)


def steps_of(read: FunnelReading, part: str, asked: FunnelQuestion) -> pd.DataFrame:
    """The columns of `funnel` for the page's funnel or for that of a feature."""
    known: dict[str, list[Any]] = {"step": list(range(1, len(asked.steps) + 1)), "step_name": list(asked.step_names)}
    if asked.refused_because:
        return refused_rows(tables.FUNNEL, asked.refused_because, **(known if asked.steps else {}))
    found = read.table(part).order_by("step").to_pandas()
    first = found.iloc[0]
    reason = nobody_mature(
        first["users"], immature=first["entrants_immature"], what="the funnel", observed_through=asked.observed_through
    )
    is_asked = (found["step"] > 1) & ~found["is_optional"].astype(bool)  # who leaves an optional step out is not lost
    lost = (found["users_at_risk"] - found["users"]).where(is_asked)
    found = declared(tables.FUNNEL, found.assign(lost=lost, refused_because=reason))
    return found if reason is None else found.assign(lost=float("nan"))


def funnel_conversion(result: pd.DataFrame, asked: FunnelQuestion) -> Estimate:
    """Conversion to the last step over mature entrants."""
    row = result.iloc[-1].to_dict() | {"n": result["users"].iloc[0]}
    return estimate_of(row, value="conversion_rate", n="n", **_rules(result, asked))


def funnel_seconds(result: pd.DataFrame, asked: FunnelQuestion) -> Estimate:
    """Median time from entry to the last step of those who got there."""
    row = result.iloc[-1].to_dict()
    is_reached = row["users"] != 0 or reason_in(result) is not None
    nobody = None if is_reached else f"no {asked.unit} reached the last step"
    found = estimate_of(row, value="median_seconds_from_entry", n="users", ci=("", ""), **_rules(result, asked))
    return found.refused(nobody)


def _rules(result: pd.DataFrame, asked: FunnelQuestion) -> dict[str, Any]:
    """What fills the blanks of the funnel's definitions; nothing where no funnel is asked."""
    if not asked.steps:
        return {}
    immature = result["entrants_immature"].iloc[0]
    open_ones = counted(0 if pd.isna(immature) else immature, asked.unit)
    also = [
        *(["without " + ", ".join(named(e.label) for e in asked.exclusions)] if asked.exclusions else []),
        *([f"with {named(asked.hold_constant)} equal on every step"] if asked.hold_constant else []),
    ]
    return {
        "units": f"{asked.unit}s",
        "first_step": "any step" if asked.mode == "any_order" else named(asked.step_names[0]),
        "last_step": "all steps" if asked.mode == "any_order" else named(asked.step_names[-1]),
        "window": span_words(asked.window),
        "rules_in_force": ", ".join([MODE_WORDS[asked.mode], f"{asked.entry} entry", *also]),
        "units_whose_window_is_open": f"{open_ones} whose window is open",
    }


def funnel_time_buckets(read: FunnelReading, asked: FunnelQuestion) -> pd.DataFrame:
    """The table `funnel_times`."""
    return answered(
        tables.FUNNEL_TIMES,
        lambda: read.table("times").order_by("place").to_pandas(),
        refused_because=asked.refused_because,
    )


def funnel_segments(read: FunnelReading, asked: FunnelQuestion) -> pd.DataFrame:
    """The table `funnel_segments`: most entrants first; every unit is in one segment, the missing value is one too, and
    values of fewer than `min_cell` units are one together.
    """

    def segments() -> pd.DataFrame:
        rows = read.table("segments").order_by(["segment", "step"]).to_pandas()
        ordered = _at_the_end(rows, "segment").sort_values("entrants", ascending=False, kind="stable")
        return of_many(ordered, n="entrants", min_cell=asked.min_cell)

    return answered(tables.FUNNEL_SEGMENTS, segments, refused_because=asked.refused_because)


def _at_the_end(rows: pd.DataFrame, key: str) -> pd.DataFrame:
    """The last step of every segment or period, with its entrants."""
    entrants = rows.groupby(key, dropna=False, sort=False)["users"].transform("first")
    return rows.assign(entrants=entrants)[rows["step"] == rows["step"].max()]


def funnel_course(read: FunnelReading, asked: FunnelQuestion) -> pd.DataFrame:
    """The table `funnel_trend`: a unit counts in every period it enters."""

    def course() -> pd.DataFrame:
        rows = _at_the_end(read.table("course").order_by(["period_on", "step"]).to_pandas(), "period_on")
        return rows.assign(period_on=rows["period_on"].astype(str))

    return answered(tables.FUNNEL_TREND, course, refused_because=asked.refused_because)


def compared_periods(asked: FunnelQuestion, *, days: int) -> Periods:
    """The last `days` days of entries whose windows are over, and as many before."""
    end = asked.observed_through - (parse_window(asked.window) if asked.window else timedelta(0))
    length = timedelta(days=days)
    return Periods((end - 2 * length, end - length), (end - length, end), days)


def funnel_shift(read: FunnelReading, asked: FunnelQuestion) -> pd.DataFrame:
    """The table `funnel_changes`: the whole funnel, its steps, and its steps by segment where a breakdown is asked.

    Benjamini-Hochberg runs over all rows of steps and segments; the whole funnel is the one comparison that was asked
    first. Rows with fewer than `min_cell` units in a period are refused; values with fewer in both together are left
    out.
    """

    def shift() -> pd.DataFrame:
        parts = [read.table("changes").order_by(["scope", "step"]).to_pandas().assign(segment=None)]
        if read.is_split:
            rows = read.table("changes_by_segment").order_by(["segment", "step"]).to_pandas()
            rows = rows[rows["scope"] == "step"].assign(scope="segment")
            units = (rows["n_before"] + rows["n_after"]).groupby(rows["segment"], dropna=False).transform("max")
            parts.append(rows[rows["segment"].isna() | (units >= asked.min_cell)])
        counts = pd.concat(parts, ignore_index=True)
        whole = compare_rates(counts[counts["scope"] == "whole"], min_cell=asked.min_cell).assign(p_adjusted=None)
        rows = pd.concat([whole, compare_rates(counts[counts["scope"] != "whole"], min_cell=asked.min_cell)])
        few = f"fewer than {asked.min_cell} mature {asked.unit}s in one of the two periods"
        rows = rows.assign(
            refused_because=pd.Series(few, index=rows.index, dtype=object).where(rows["is_small"].astype(bool), None)
        )
        small = rows["is_small"].astype(bool)
        numbers = ["absolute_lift", "ci_low", "ci_high", "p_adjusted"]
        return rows.assign(
            **{name: pd.to_numeric(rows[name]).mask(small) for name in numbers},
            is_changed=rows["is_changed"].astype(object).where(~small & (rows["scope"] != "whole"), None),
        )

    return answered(tables.FUNNEL_CHANGES, shift, refused_because=asked.refused_because)


def conversion_change(changes: pd.DataFrame, asked: FunnelQuestion, periods: Periods) -> Estimate:
    """The change of the whole funnel's conversion; n counts the entrants of both periods."""
    row = changes.iloc[0].to_dict()
    row["n"] = row["n_before"] + row["n_after"]
    when: dict[str, Any] = {
        "units": f"{asked.unit}s",
        "later_period": f"the {counted(periods.days, 'day')} up to {periods.later[1]:%Y-%m-%d %H:%M} UTC",
        "earlier_period": f"the {counted(periods.days, 'day')} before",
    }
    return estimate_of(row, value="absolute_lift", n="n", **when)


def funnel_instead(read: FunnelReading, asked: FunnelQuestion) -> pd.DataFrame:
    """The table `funnel_next_events`."""
    return answered(
        tables.FUNNEL_NEXT_EVENTS,
        lambda: read.table("next_events").order_by(["step", lambda t: t.users.desc(), "next_event"]).to_pandas(),
        refused_because=asked.refused_because,
    )


def funnel_correlates(
    read: FunnelReading, asked: FunnelQuestion, result: pd.DataFrame, *, step: int | None = None
) -> pd.DataFrame:
    """The table `funnel_correlates` of a step: the surest `MOST_CORRELATES` first.

    Args:
        step: the number of a required step but the last; None for the one after which most are lost.
    """

    def compared() -> pd.DataFrame:
        places = losses(asked, result)
        own = next((place for place in places if step in (None, place.step_before)), None)
        if own is None:
            known = ", ".join(str(place.step_before) for place in sorted(places))
            raise ValueError(f"step={step}: must be a step that is asked for and not the last; choose one of {known}")
        if not asked.is_independent:
            raise ValueError("sessions of one user belong together, so nothing is compared; count by user_id")
        if not own.lost or own.lost == own.at_risk:
            nobody = "nobody is lost" if not own.lost else "nobody goes on"
            raise ValueError(f"{nobody} {own.where}, so nothing can go with it; choose another step")
        counts = pd.concat([read.table(part).to_pandas() for part in ("values", "events_between")])
        of_step = counts[(counts["step"] == own.step_before) & counts["refused_because"].isna()]
        rows = compare_correlates(of_step, min_cell=asked.min_cell)
        if rows.empty:
            raise ValueError(
                f"{own.where}: of {counted(own.at_risk, asked.unit)} no value and no event has {asked.min_cell} with "
                "it and without it, and by chance 5 that go on and 5 that stop; wait for more"
            )
        held = rows.head(MOST_CORRELATES).assign(compared=len(rows))
        return held.assign(ci_high=held["ci_high"].replace(float("inf"), None))

    return answered(tables.FUNNEL_CORRELATES, compared, refused_because=asked.refused_because or reason_in(result))


def funnel_by_other_rules(read: FunnelReading, asked: FunnelQuestion, result: pd.DataFrame) -> pd.DataFrame:
    """The table `funnel_rules`: this page's own conversion, then the same log and window under other
    products' rules.
    """

    def panel() -> pd.DataFrame:
        rows = read.table("rules").order_by(["place", "step"]).to_pandas()
        last = result.iloc[-1]
        own = {name: last[name] for name in ("users", "conversion_rate", "ci_low", "ci_high")}
        mine = pd.DataFrame(
            [
                {
                    "rule": "this page",
                    "entrants": result["users"].iloc[0],
                    "why": _rules(result, asked)["rules_in_force"],
                    **own,
                }
            ]
        )
        return pd.concat([mine, _at_the_end(rows, "rule")], ignore_index=True)

    return answered(tables.FUNNEL_RULES, panel, refused_because=reason_in(result))
