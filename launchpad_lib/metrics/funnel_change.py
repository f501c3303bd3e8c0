"""Who entered in one period beside who entered in another: counts with the units that are in both."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.types as ir

from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.metrics.chains import funnel_units
from launchpad_lib.metrics.checks import never_empty, refused_table
from launchpad_lib.metrics.funnel import ENTRANTS
from launchpad_lib.metrics.steps import (
    Attribution,
    Entry,
    Exclusion,
    Mode,
    Step,
    checked_log,
    checked_rules,
    kept_by,
)

SIDES = ("before", "after")
BASES = {
    "whole": (ENTRANTS, "no mature unit entered"),
    "step": ("mature units at the previous step", "no mature unit reached the previous step"),
}


def funnel_changes(
    events: ir.Table,
    *,
    steps: Sequence[Step | str],
    window: str,
    observed_through: datetime,
    before: tuple[datetime, datetime],
    after: tuple[datetime, datetime],
    mode: Mode = "ordered",
    entry: Entry = "any",
    by: str = "user_id",
    exclusions: Sequence[Exclusion | str] = (),
    hold_constant: str | None = None,
    breakdown: str | None = None,
    attribution: Attribution = "first_touch",
) -> ir.Table:
    """Conversion of those who entered in one period beside another's: counts only; the test is inference's.

    Grain: one row for the whole funnel (scope "whole", from step 1 to the last) and one per step from the second (scope
    "step", from the previous required step); with `breakdown` so for every segment. Columns: [segment,] scope, step,
    step_name, base (what n is, in words), n_before, converted_before, n_after, converted_after of mature units; and of
    the units that are in both periods: n_both, converted_both (in both), converted_before_of_both,
    converted_after_of_both. The same people come back, so the two rates are not independent: `inference.compare_rates`
    needs the counts of those who are in both. refused_because is NULL where the row stands; it says which of the two
    periods has nobody, or which name is unknown (one row per scope and step, without numbers). The row of scope "whole"
    has the base of `funnel` and `funnel_trend`: its n is that of `funnel` with `entered` set to the period, and of the
    trend's row of that period.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("a", "visit", 1), ("a", "buy", 2), ("a", "visit", 9), ("b", "visit", 8)]
    >>> events = ibis.memtable([{"user_id": u, "event_name": n, "event_at": datetime(2026, 1, d)} for u, n, d in log])
    >>> weeks = {
    ...     "before": (datetime(2026, 1, 1), datetime(2026, 1, 8)),
    ...     "after": (datetime(2026, 1, 8), datetime(2026, 1, 15)),
    ... }
    >>> found = funnel_changes(
    ...     events, steps=["visit", "buy"], window="1d", observed_through=datetime(2026, 1, 20), **weeks
    ... )
    >>> row = found.filter(found.scope == "whole").to_pandas().iloc[0]
    >>> [int(row[c]) for c in ("converted_before", "n_before", "converted_after", "n_after", "n_both")]
    [1, 1, 0, 2, 1]
    """
    parts, log, unknown = [], None, None
    through = utc_instant(observed_through)
    for side, span in zip(SIDES, (before, after), strict=True):
        rules = checked_rules(
            steps=steps,
            window=window,
            mode=mode,
            entry=entry,
            by=by,
            exclusions=exclusions,
            hold_constant=hold_constant,
            breakdown=breakdown,
            attribution=attribution,
            entered=span,
        )
        if log is None:
            log, unknown = checked_log(events, rules)
        units = funnel_units(log, rules=rules, observed_through=through, keep=kept_by(mode))
        units = units.filter(units.is_mature & ~units.is_removed)
        reached = {f"reached_{k}": units[f"step_{k}_at"].notnull() for k in range(1, len(rules.steps) + 1)}
        parts.append(units.select(unit=units.unit, segment=units.segment, side=ibis.literal(side), **reached))
    both = parts[0].union(parts[1])
    numbers = range(1, len(rules.steps) + 1)
    own = both.group_by(["unit", "segment"]).agg(
        **{f"{s}_{k}": ((both.side == s) & both[f"reached_{k}"]).any() for s in SIDES for k in numbers}
    )
    previous = {k: max(r for r in rules.required if r < k) for k in numbers[1:]}
    asked = [("whole", 1, len(rules.steps)), *(("step", previous[k], k) for k in numbers[1:])]
    sums: dict[str, ir.Value] = {}
    for place, (_, low, high) in enumerate(asked):
        in_both = own[f"before_{low}"] & own[f"after_{low}"]
        counted = {
            "n_before": own[f"before_{low}"],
            "converted_before": own[f"before_{high}"],
            "n_after": own[f"after_{low}"],
            "converted_after": own[f"after_{high}"],
            "n_both": in_both,
            "converted_both": in_both & own[f"before_{high}"] & own[f"after_{high}"],
            "converted_before_of_both": in_both & own[f"before_{high}"],
            "converted_after_of_both": in_both & own[f"after_{high}"],
        }
        sums |= {f"{name}_{place}": flag.sum().fill_null(0).cast("int64") for name, flag in counted.items()}
    wide = own.group_by("segment").agg(**sums) if breakdown else own.agg(**sums)
    places = range(len(asked))
    long = wide.mutate(place=ibis.array([ibis.literal(k, "int64") for k in places]).unnest())

    def of_place(values: Sequence[ir.Value | str | int]) -> ir.Value:
        return ibis.cases(*((long.place == k, values[k]) for k in places))

    named: dict[str, Sequence[Any]] = {
        "scope": [scope for scope, _, _ in asked],
        "step": [high for _, _, high in asked],
        "step_name": [rules.steps[high - 1].event_name for _, _, high in asked],
        "base": [BASES[scope][0] for scope, _, _ in asked],
    }
    rows = long.select(
        **({"segment": long.segment} if breakdown else {}),
        **{name: of_place(values) for name, values in named.items()},
        **{name: of_place([long[f"{name}_{k}"] for k in places]) for name in counted},
    )
    rows = rows.mutate(step=rows.step.cast("int64"))
    empty = ibis.ifelse(rows.scope == "whole", BASES["whole"][1], BASES["step"][1])
    told = ibis.cases(
        (rows.n_before == 0, empty + " in the period before"),
        (rows.n_after == 0, empty + " in the period after"),
        else_=ibis.null("string"),
    )
    rows = rows.mutate(refused_because=told)
    if unknown is not None:
        return refused_table(rows, unknown, **named)
    return never_empty(rows, "nobody entered in either of the two periods")
