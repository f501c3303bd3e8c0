"""The same log under the funnel rules of other products, beside ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from launchpad_lib.contract.arguments import shown
from launchpad_lib.contract.durations import utc_instant
from launchpad_lib.metrics.asked import Asked, answers
from launchpad_lib.metrics.chains import ChainFold, units_of
from launchpad_lib.metrics.funnel import asked_counts
from launchpad_lib.metrics.steps import Rules, Step, checked_log, checked_rules


class FunnelRule(NamedTuple):
    """A product's rule as options of `funnel`, and one sentence on why its number differs from ours."""

    name: str
    options: dict[str, Any]
    why: str


RULES = (
    FunnelRule(
        "this report",
        {"mode": "ordered", "entry": "any", "immature": "left_out"},
        "Any entry may lead there, and a user whose window is still open is in neither count.",
    ),
    FunnelRule(
        "Mixpanel, uniques",
        {"mode": "ordered", "entry": "first", "immature": "counted"},
        "The window starts at the first entry and later entries do not reset it, so who comes back and "
        "converts counts as lost; so does who may still convert.",
    ),
    FunnelRule(
        "Mixpanel, optimized re-entry",
        {"mode": "ordered", "entry": "any", "immature": "counted"},
        "Every entry is tried as here, but users whose window is still open already count as lost.",
    ),
    FunnelRule(
        "Amplitude, this order",
        {"mode": "ordered", "entry": "any", "immature": "counted"},
        "The longest path of a user counts, the earliest among equals, as here; users whose window is still "
        "open already count as lost.",
    ),
    FunnelRule(
        "Amplitude, exact order; PostHog, strict",
        {"mode": "strict", "entry": "any", "immature": "counted"},
        "Any other event between two steps ends the path, so ordinary browsing counts as dropping off.",
    ),
    FunnelRule(
        "PostHog, sequential",
        {"mode": "ordered", "entry": "any", "immature": "counted"},
        "Other events may come between and users may enter again, as here; users whose window is still open "
        "already count as lost.",
    ),
)


def funnel_rules(
    events: ir.Table,
    *,
    steps: Sequence[Step | str],
    window: str,
    observed_through: datetime,
    by: str = "user_id",
    rules: Sequence[FunnelRule] = RULES,
) -> ir.Table:
    """The funnel of the same log and window under each rule. Grain: one row per rule and step.

    Columns: place (order of the rules), rule, why, step, step_name, users, n (that rule's entrants), conversion_rate,
    ci_low, ci_high, refused_because. The rules are
    those of the products' public documentation, read in 2026: docs.mixpanel.com/docs/reports/funnels/funnels-advanced
    (conversion window; optimized re-entry), amplitude.com/docs/analytics/charts/funnel-analysis/
    funnel-analysis-how-amplitude-computes (this order, exact order) and amplitude.com/docs/faq/funnel-analysis
    (earliest-longest path), posthog.com/docs/product-analytics/funnels (sequential, strict). All get the window given
    here; their own defaults differ (Mixpanel 7 days, PostHog 14), and none of them leaves out open windows.

    >>> from datetime import datetime
    >>> import ibis
    >>> log = [("A", 13, 0), ("A", 13, 30), ("B", 13, 45), ("C", 14, 15)]
    >>> events = ibis.memtable(
    ...     [{"user_id": "u", "event_name": n, "event_at": datetime(2026, 1, 1, h, m)} for n, h, m in log]
    ... )
    >>> found = funnel_rules(events, steps=["A", "B", "C"], window="1h", observed_through=datetime(2026, 1, 2))
    >>> found.filter(found.step == 3).order_by("place").to_pandas()["users"].tolist()
    [1, 0, 1, 1, 1, 1]
    """
    through = utc_instant(observed_through)
    own = checked_rules(steps=steps, window=window, by=by)
    log, _ = checked_log(events, own)
    log, unit = units_of(log, by)
    return answers(log, [asked_rules(log, own, rules, observed_through=through)], unit=unit)[0]


def asked_rules(log: ir.Table, own: Rules, rules: Sequence[FunnelRule], *, observed_through: datetime) -> Asked:
    """The steps, window and units of a funnel under each rule, to be read with other questions by `answers`."""
    folds: dict[str, ChainFold] = {}
    asked: dict[tuple[str, Any], Asked] = {}
    places = []
    if isinstance(rules, str) or not isinstance(rules, Iterable):
        raise ValueError(f"rules={shown(rules)}: must be a list of FunnelRule; write for example RULES")
    for rule in rules:
        if not isinstance(rule, FunnelRule):
            raise ValueError(f"rules: {shown(rule)} is no FunnelRule; see RULES")
        options = dict(rule.options)
        immature = options.pop("immature", "left_out")
        if immature not in ("left_out", "counted"):
            raise ValueError(f"immature={shown(immature)}: must be 'left_out' or 'counted'; choose one")
        theirs = checked_rules(steps=own.steps, window=own.window, by=own.by, **options)
        # Several products share a rule: it is computed once. By its text, for to Python 1 and True are equal.
        key = repr(theirs)
        if key not in folds:
            folds[key] = ChainFold(log, theirs, observed_through=observed_through, spans=(theirs.entered,))
        if (key, immature) not in asked:
            _, unknown = checked_log(log, theirs)
            asked[key, immature] = asked_counts(folds[key], unknown, immature=immature)
        places.append((rule, (key, immature)))

    def answer() -> ir.Table:
        counted = {key: question.answer() for key, question in asked.items()}
        parts = [_under(rule, place, counted[key]) for place, (rule, key) in enumerate(places, start=1)]
        return parts[0].union(*parts[1:]) if len(parts) > 1 else parts[0]

    if not places:
        raise ValueError("rules=[]: names no rule; give for example RULES")
    return Asked([fold for question in asked.values() for fold in question.folds], answer)


def _under(rule: FunnelRule, place: int, found: ir.Table) -> ir.Table:
    return found.select(
        place=ibis.literal(place, dt.int64),
        rule=ibis.literal(rule.name),
        why=ibis.literal(rule.why),
        step=found.step,
        step_name=found.step_name,
        users=found.users,
        n=found.n,
        conversion_rate=found.conversion_rate,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        refused_because=found.refused_because,
    )
