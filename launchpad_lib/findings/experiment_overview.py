"""Every experiment in a row: its decision and its three lights."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pandas as pd

from launchpad_lib.contract.catalogue import experiments as tables
from launchpad_lib.contract.sentences import listed, named
from launchpad_lib.contract.wording import percent
from launchpad_lib.findings.experiment_results import ExperimentResults
from launchpad_lib.findings.rows import declared
from launchpad_lib.inference import Decision
from launchpad_lib.inference.sample_ratio import MovedSplit


def choice_of(found: ExperimentResults) -> str:
    return "refused" if nothing_decided_because(found) or not found.decisions else found.decisions[0].choice


def overview(found: Sequence[ExperimentResults]) -> pd.DataFrame:
    """The table `experiment_overview`: one row per experiment, its three lights and how far it is."""
    rows = []
    for one in found:
        best = one.decisions[0] if one.decisions else None
        choice = choice_of(one) if one.plan.is_asked else "not asked"
        planned = one.plan.planned
        rows.append(
            {
                "experiment_id": one.plan.experiment_id,
                "decision": choice,
                "variant": best.variant if best and choice != "refused" else None,
                "success": _light(one, best, "success"),
                "guardrails": _light(one, best, "guardrail"),
                "sample_ratio": _ratio_light(one),
                "units": int(one.assigned["units"].sum()) if len(one.units) else None,
                "planned_units": planned.planned_units if planned else None,
            }
        )
    return declared(tables.EXPERIMENT_OVERVIEW, pd.DataFrame(rows))


def _light(found: ExperimentResults, best: Decision | None, role: str) -> str:
    """A glyph, a word and how many metrics of that role stand so."""
    if best is None or found.plan.planned is None:
        return "○ not known"
    own = found.rows[(found.rows["variant"] == best.variant) & (found.rows["role"] == role)]
    if own.empty:
        return "○ none declared"
    if best.choice == "refused":
        return "○ not read"
    harmed = [m for m in own["metric"] if m in best.harmed]
    if harmed:
        return f"▲ harmed: {listed([named(m, cells=24) for m in harmed])}"
    if (own["reading"] == "not yet").all():
        return "◆ not yet"
    fine = own["metric"].isin(best.better) if role == "success" else own["reading"] == "within the margin"
    glyph = "✓" if (fine.any() if role == "success" else fine.all()) else "◆"
    return f"{glyph} {int(fine.sum())} of {len(own)} {'better' if role == 'success' else 'within the margin'}"


def _ratio_light(found: ExperimentResults) -> str:
    if found.ratio.p_value is None:
        return "○ not tested"
    if found.moved:
        return "▲ changed over time"
    p = "p < 0.001" if found.ratio.p_value < 0.001 else f"p = {found.ratio.p_value:.3f}"
    return f"▲ broken, {p}" if found.ratio.is_mismatch else f"✓ {p}"


def nothing_decided_because(found: ExperimentResults) -> str | None:
    """Why nothing can be decided; None where at least one variant can."""
    if found.plan.refused_because:
        return found.plan.refused_because
    if found.ratio.is_mismatch:
        return _mismatch(found)
    reasons = [d.refused_because for d in found.decisions]
    return str(reasons[0]) if all(reasons) else None


def _mismatch(found: ExperimentResults) -> str:
    """Units per variant against what was planned, and what to state if no split was planned; or when the split was
    another one.
    """
    if found.moved:
        return _moved(found.moved)
    assigned = found.units[found.units["standing"] == "assigned"]
    total = int(assigned["units"].sum())
    seen = [
        f"{named(r.variant)} {r.units:,} where {r.planned_share * total:,.0f} are due" for r in assigned.itertuples()
    ]
    said = f"units were not assigned in the planned ratio, {listed(seen)}, so no difference can be trusted"
    if found.plan.shares:
        return said
    return f"{said}; no shares are planned, so an equal split was expected: state `shares` if another one was meant"


def _moved(moved: MovedSplit) -> str:
    """How far the split went while units came, and which days to read."""
    first, second = sorted((moved.lowest, moved.highest), key=lambda period: period[1])
    (was, *then), (became, *later) = first, second
    return (
        f"the split changed while units came, {named(moved.variant)} was {percent(was)} of those first exposed "
        f"{_days(*then)} and {percent(became)} {_days(*later)}, so what changed with the calendar would be taken for "
        "an effect; state `starts_on` and `ends_on` of days with one split"
    )


def _days(first: date, last: date) -> str:
    return f"on {first}" if first == last else f"from {first} to {last}"
