"""The cells of the scorecard: each says what an earlier page says, in that page's words, and where it is proved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launchpad_lib.contract.estimates import Estimate
from launchpad_lib.contract.features import Feature
from launchpad_lib.contract.findings import Severity, Verb
from launchpad_lib.contract.manifest import Cell, DaySaid
from launchpad_lib.contract.sentences import named, sentence
from launchpad_lib.contract.wording import amount, is_missing, percent, rate
from launchpad_lib.findings.budgets import BUDGETS
from launchpad_lib.findings.change import SEVERITIES as CHANGE_SEVERITIES
from launchpad_lib.findings.change import Change, change_words, changed, days_compared, moved_words
from launchpad_lib.findings.latency import SILENT, SLOWER
from launchpad_lib.findings.risk import NOW
from launchpad_lib.findings.rows import NOT_ASKED, not_asked
from launchpad_lib.findings.scorecard_correction import ADOPTION, LEVEL, WINDOW
from launchpad_lib.findings.scorecard_earlier import Earlier, Told, number, without_number

USED_AT = "every-declared-feature"
STATES: dict[str, tuple[Severity, Verb]] = {
    "degraded now": ("act", "fix"),
    "worse": ("act", "fix"),
    "fell silent": ("act", "find out"),
    "burns its budget": ("act", "fix"),
    "cannot tell": ("unknown", "wait"),
    "healthy": ("fine", "nothing"),
    "not asked": ("unknown", "declare"),
    "refused": ("unknown", "find out"),
}
"""State words, gravest first."""
DAYS_DRAWN = 60


def used_cell(feature: Feature, earlier: Earlier) -> Told:
    """The share of the users active in the last complete week who used it."""
    at: dict[str, Any] = {"page": "engagement", "anchor": USED_AT}
    row = earlier.row("adoption", feature.feature_id)
    if row is None:
        return without_number(earlier.missing("engagement"), page="engagement", anchor=None)
    if not is_missing(row["refused_because"]):
        return without_number(str(row["refused_because"]), **at)
    numbers = rate(row["adoption_rate"], row["ci_low"], row["ci_high"], row["active_users"])
    says = f"{named(feature.name)} was used by {numbers} of the users active in the week from {row['week_on']}."
    cell = Cell(
        word=percent(row["adoption_rate"]),
        severity="fine",
        value=row["adoption_rate"],
        ci_low=row["ci_low"],
        ci_high=row["ci_high"],
        unit="fraction",
        n=float(row["active_users"]),
        says=says,
        series=_adoption_by_day(earlier, feature.feature_id),
        **at,
    )
    return Told(cell, "nothing")


def _adoption_by_day(earlier: Earlier, feature_id: str) -> tuple[DaySaid, ...]:
    """Of the feature that the page tells in detail."""
    rows = earlier.results.tables.get("adoption_daily")
    own = [] if rows is None else rows[rows["feature_id"] == feature_id].to_dict("records")[-DAYS_DRAWN:]
    return tuple(
        DaySaid(
            day=str(r["active_on"])[:10],
            value=number(r["adoption_rate"]),
            ci_low=number(r["ci_low"]),
            ci_high=number(r["ci_high"]),
            n=number(r["active_users"]),
            is_complete=earlier.last_day is None or str(r["active_on"])[:10] <= earlier.last_day,
        )
        for r in own
    )


def health_cell(feature: Feature, earlier: Earlier) -> Told:
    """The gravest state that the health pages say of a feature; its value counts the users hurt."""
    found = _states(feature.feature_id, earlier)
    # That nobody asked for an objective does not stand for a page that could not say whether it got worse.
    is_silent = all(word == NOT_ASKED for word, *_ in found) and earlier.row("health", feature.feature_id) is None
    if is_silent:
        return without_number(earlier.missing("latency_trends"), page="latency_trends", anchor=None)
    word, page, anchor, says, users = min(found, key=lambda one: list(STATES).index(one[0]))
    severity, verb = STATES[word]
    name = named(feature.name)
    says = says or f"{name}: {word}."
    is_worse = word == "worse"
    if is_worse and not earlier.family.is_shown(feature.feature_id, WINDOW, LEVEL):
        severity, verb = "watch", "look"
        says = f"{says} Corrected together with the changes of adoption it is not shown."
    counts: dict[str, Any] = {} if users is None else {"value": float(users), "unit": "users"}
    return Told(Cell(word=word, severity=severity, says=says, page=page, anchor=anchor, **counts), verb)


def _states(feature_id: str, earlier: Earlier) -> list[tuple[str, str, str, str | None, int | None]]:
    """What the health pages say of a feature: word, page, heading, sentence, users hurt."""
    found: list[tuple[str, str, str, str | None, int | None]] = []
    acting = {
        (page, f.anchor): f
        for page in ("latency_trends", "risk_scoring")
        for f in earlier.findings(page, feature_id)
        if f.severity == "act"
    }
    for page, table, anchor in (("risk_scoring", "states", NOW), ("latency_trends", "health", SLOWER)):
        row = earlier.row(table, feature_id)
        if row is not None:
            own = acting.get((page, anchor))
            reason = sentence(str(row["reason"]))
            found.append((str(row["state"]), page, anchor, own.sentence if own else reason, own.users if own else None))
    for anchor, word in ((SILENT, "fell silent"), (BUDGETS, "burns its budget")):
        own = acting.get(("latency_trends", anchor))
        if own is not None:
            found.append((word, "latency_trends", anchor, own.sentence, own.users))
    return found


def objective_cell(feature: Feature, earlier: Earlier) -> Told:
    """p95 latency of the last window beside the declared objective, and by day."""
    series, name = _p95_by_day(earlier, feature.feature_id), named(feature.name)
    at: dict[str, Any] = {"page": "latency_trends", "anchor": SLOWER, "series": series}
    row = earlier.row("regressions", feature.feature_id)
    limit = feature.slo_p95_latency_ms
    if row is None:
        reason = earlier.missing("latency_trends")
        return without_number(reason, page="latency_trends", anchor=None, series=series)
    if is_missing(row["after"]):
        reason = row["refused_because"] or "no telemetry with a latency"
        return without_number(str(reason), **at)
    span = "" if is_missing(row["after_low"]) else f" ({amount(row['after_low'])} to {amount(row['after_high'])})"
    said = f"p95 latency of {name} was {amount(row['after'], 'ms')}{span} in the last window"
    numbers: dict[str, Any] = {
        "value": number(row["after"]),
        "ci_low": number(row["after_low"]),
        "ci_high": number(row["after_high"]),
        "unit": "ms",
        "n": number(row["n_after"]),
    }
    if limit is None:
        says = sentence(not_asked(f"{name} declares no slo_p95_latency_ms; {said}"))
        return Told(Cell(word=NOT_ASKED, severity="unknown", says=says, **numbers, **at), "declare")
    severity, verb, how = _against(row, limit)
    says = f"{said}, {how} its objective of {amount(limit, 'ms')}."
    return Told(Cell(word=amount(row["after"], "ms"), severity=severity, limit=limit, says=says, **numbers, **at), verb)


def _against(row: Mapping[str, Any], limit: float) -> tuple[Severity, Verb, str]:
    if row["after"] <= limit:
        return "fine", "nothing", "within"
    if not is_missing(row["after_low"]) and row["after_low"] > limit:
        return "act", "fix", "over"
    return "watch", "look", "over, though not by more than chance allows,"


def _p95_by_day(earlier: Earlier, feature_id: str) -> tuple[DaySaid, ...]:
    rows = earlier.results.tables.get("latency_daily")
    own = [] if rows is None else rows[rows["feature_id"] == feature_id].to_dict("records")[-DAYS_DRAWN:]
    return tuple(
        DaySaid(
            day=str(r["observed_on"])[:10],
            value=number(r["p95_latency_ms"]),
            n=number(r["latency_observations"]),
            is_complete=earlier.last_day is None or str(r["observed_on"])[:10] <= earlier.last_day,
        )
        for r in own
    )


def change_cell(feature: Feature, earlier: Earlier) -> Told:
    """Adoption of the last complete week against the week before; after correction over all changes of the run."""
    at: dict[str, Any] = {"page": "engagement", "anchor": USED_AT}
    row = earlier.row("adoption_changes", feature.feature_id)
    if row is None:
        return without_number(earlier.missing("engagement"), page="engagement", anchor=None)
    if not is_missing(row["refused_because"]):
        return without_number(str(row["refused_because"]), **at)
    kind = changed(Estimate(row["absolute_lift"], row["ci_low"], row["ci_high"]), earlier.smallest_change)
    if kind in (Change.UP, Change.DOWN) and not earlier.family.is_shown(feature.feature_id, ADOPTION):
        kind = Change.OPEN
    severity, verb = CHANGE_SEVERITIES[kind]
    words = change_words(f"adoption of {named(feature.name)}", kind, earlier.smallest_change)
    says = f"{words} in {days_compared(row)}: {moved_words(row)} active users."
    cell = Cell(
        word=kind.value,
        severity=severity,
        value=number(row["absolute_lift"]),
        ci_low=number(row["ci_low"]),
        ci_high=number(row["ci_high"]),
        unit="points",
        n=number(row["n_after"]),
        says=says,
        **at,
    )
    return Told(cell, verb)
