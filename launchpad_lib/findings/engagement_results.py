"""What the engagement page counts about the feature in detail and about everybody's activity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import ibis.expr.types as ir
import pandas as pd

from launchpad_lib.contract.catalogue import engagement_tables as tables
from launchpad_lib.contract.estimates import Estimate, estimate_of, refusal
from launchpad_lib.contract.features import Feature
from launchpad_lib.contract.sentences import counted, named
from launchpad_lib.contract.wording import single
from launchpad_lib.findings.engagement_question import EngagementQuestion
from launchpad_lib.findings.releases import NOT_RELEASED, reason_of
from launchpad_lib.findings.rows import NO_FEATURE, answered, declared, refused_rows
from launchpad_lib.metrics import (
    active_days,
    active_users,
    adoption,
    depth,
    feature_overlap,
    frequency,
    nobody_mature,
    session_duration,
    shares_per_viewer,
    stickiness,
)

INTERACTIONS = "interactions per started session, mean"
KINDS = "distinct kinds of interaction per started session, mean"
DURATION = "session duration, median"
DURATION_P90 = "session duration, nine in ten are shorter"
SHARES = "shares per viewer"
DAILY_ADOPTION = "adoption, mean of daily rates"
STICKINESS = "stickiness, mean DAU / MAU"
MAU = "users of the trailing 28 days"
DAYS = "days of the trailing 28 that are observed"


def daily_adoption(events: ir.Table, asked: EngagementQuestion) -> pd.DataFrame:
    """The table `adoption_daily` of the feature in detail; no rows without one."""
    if asked.detail is None or asked.refused_because:
        return refused_rows(tables.ADOPTION_DAILY, "").head(0)
    name = asked.detail.feature_id
    rows = adoption(events, feature_id=name, report_timezone=asked.report_timezone).order_by("active_on").to_pandas()
    rows = rows.assign(feature_id=name, active_on=rows["active_on"].astype(str))
    if asked.detail.released_on is None:
        return rows
    # A day on which it was not there yet, and nobody used it, is a gap, and no day of 0 %.
    is_before = (rows["active_on"] < str(asked.detail.released_on)) & (rows["adoption_rate"] == 0)
    return rows.assign(**{name: rows[name].mask(is_before) for name in ("adoption_rate", "ci_low", "ci_high")})


def engagement_table(events: ir.Table, asked: EngagementQuestion, daily: pd.DataFrame) -> pd.DataFrame:
    """The table `engagement`: depth, duration, sharing, daily adoption and stickiness; what cannot be told says why."""
    detail = asked.detail or Feature(feature_id="none")
    deep, long = Part("count", "sessions"), Part("seconds", "sessions")
    rows = [
        *_rows(
            {INTERACTIONS: deep._replace(value="mean_interactions"), KINDS: deep._replace(value="mean_kinds")},
            lambda: depth(events, start_event=detail.start_event or "", interaction_events=detail.interaction_events),
            asked.undeclared(events, "start_event", "interaction_events"),
        ),
        *_rows(
            {DURATION: long._replace(value="median_seconds"), DURATION_P90: long._replace(value="p90_seconds")},
            lambda: session_duration(events),
            asked.refused_because,
        ),
        *_sharing(events, asked, detail),
        *_daily(asked, daily),
        *_coming(events, asked),
    ]
    return declared(tables.ENGAGEMENT, pd.DataFrame(rows))


class Part(NamedTuple):
    """Where a quantity stands in a metric's only row: its unit, its n, its value and its limits."""

    unit: str
    n: str
    value: str = ""
    ci: tuple[str, str] = ("", "")


def _rows(parts: dict[str, Part], question: Callable[[], ir.Table], reason: str | None) -> list[dict]:
    """A row per quantity of one metric."""
    row = None if reason else single(question())
    found = {
        name: refusal(reason) if reason else estimate_of(row, value=part.value, n=part.n, ci=part.ci)
        for name, part in parts.items()
    }
    return [_row(name, parts[name].unit, estimate) for name, estimate in found.items()]


def _row(quantity: str, unit: str, found: Estimate) -> dict:
    numbers = {"value": found.value, "ci_low": found.ci_low, "ci_high": found.ci_high, "n": found.n}
    return {"quantity": quantity, "unit": unit, **numbers, "refused_because": found.refused_because}


def _sharing(events: ir.Table, asked: EngagementQuestion, detail: Feature) -> list[dict]:
    reason = asked.undeclared(events, "view_event", "share_event")
    if reason:
        return [_row(SHARES, "count", refusal(reason))]
    said: dict[str, Any] = {
        "view_event": detail.view_event,
        "share_event": detail.share_event,
        "observed_through": asked.observed_through,
    }
    found = single(shares_per_viewer(events, **said, window=asked.window))
    nobody = nobody_mature(
        found.viewers, immature=found.immature, what="sharing", observed_through=asked.observed_through
    )
    return [_row(SHARES, "count", estimate_of(found, value="shares_per_viewer", n="viewers").refused(nobody))]


def _coming(events: ir.Table, asked: EngagementQuestion) -> list[dict]:
    """Stickiness, and what it is counted over: that stands also where there is no stickiness yet."""
    counts = {MAU: "mau", DAYS: "days_observed"}
    if asked.refused_because:
        none = refusal(asked.refused_because)
        return [_row(STICKINESS, "fraction", none), *(_row(name, "count", none) for name in counts)]
    row = single(stickiness(events, **asked.place))
    over = {name: {"value": getattr(row, column) or None, "n": row.mau} for name, column in counts.items()}
    nobody = {} if row.mau else {"refused_because": row.refused_because}
    return [
        _row(STICKINESS, "fraction", estimate_of(row, value="stickiness", n="mau")),
        *(_row(name, "count", estimate_of(own | nobody, value="value", n="n")) for name, own in over.items()),
    ]


def observed_days(engagement: pd.DataFrame, asked: EngagementQuestion) -> str:
    """The days over which users of the month are counted, in words: the last 28, or as many as are observed."""
    days = int(quantity(engagement, DAYS, asked).value or 28)
    return f"the last {days} days" if days == 28 else f"the {counted(days, 'day')} observed so far"


def _daily(asked: EngagementQuestion, daily: pd.DataFrame) -> list[dict]:
    if daily.empty:
        return [_row(DAILY_ADOPTION, "fraction", refusal(asked.refused_because or NO_FEATURE))]
    known = daily[daily["adoption_rate"].notna()]
    if known.empty:
        detail = asked.detail or Feature(feature_id="none")
        unknown = next(iter(daily["refused_because"].dropna()), None)
        reason = reason_of(detail, unknown, **asked.until) or f"{NOT_RELEASED} {detail.released_on}"
        return [_row(DAILY_ADOPTION, "fraction", refusal(reason))]
    mean, days = float(known["adoption_rate"].mean()), int(known["active_users"].sum())
    return [_row(DAILY_ADOPTION, "fraction", Estimate(mean, n=days))]


def quantity(engagement: pd.DataFrame, name: str, asked: EngagementQuestion) -> Estimate:
    """One quantity of the table `engagement`, with what fills the blanks of its definition."""
    row = engagement[engagement["quantity"] == name].iloc[0].to_dict()
    return estimate_of(row, value="value", n="n", **asked.rules)


def of_the_detail(rows: pd.DataFrame, asked: EngagementQuestion, *, rate: str, n: str, **which: str) -> Estimate:
    """The rate of the feature in detail, in a table with a row per feature."""
    if asked.detail is None:
        return refusal(NO_FEATURE)
    own = rows[rows["feature_id"] == asked.detail.feature_id]
    for column, value in which.items():
        own = own[own[column] == value]
    row = own.iloc[0].to_dict()
    immature = row.get("immature")
    unit = which.get("counted", "users").removesuffix("s")
    open_ones = (
        f"{counted(0 if pd.isna(immature) else immature, unit)} whose window is open" if "immature" in row else ""
    )
    return estimate_of(row, value=rate, n=n, **asked.rules, units_whose_window_is_open=open_ones)


def activity(events: ir.Table, asked: EngagementQuestion) -> pd.DataFrame:
    """The table `active_users`; no rows without events."""
    if asked.refused_because:
        return refused_rows(tables.ACTIVE_USERS, "").head(0)
    rows = active_users(events, **asked.place).order_by("active_on").to_pandas()
    return rows.assign(active_on=rows["active_on"].astype(str))


def power_users(events: ir.Table, asked: EngagementQuestion) -> pd.DataFrame:
    """The table `active_days`; no rows without events."""
    if asked.refused_because:
        return refused_rows(tables.ACTIVE_DAYS, "").head(0)
    return active_days(events, window_days=asked.activity_days, **asked.place).order_by("days").to_pandas()


def how_often(events: ir.Table, asked: EngagementQuestion) -> pd.DataFrame:
    """The table `frequency` of the start event of the feature in detail."""
    started = asked.detail.start_event if asked.detail else None
    return answered(
        tables.FREQUENCY,
        lambda: (
            frequency(events, event_name=started or "", window_days=asked.activity_days, **asked.place)
            .order_by("place")
            .to_pandas()
        ),
        refused_because=asked.undeclared(events, "start_event"),
    )


def used_together(events: ir.Table, asked: EngagementQuestion) -> pd.DataFrame:
    """The table `feature_overlap` of the feature in detail, most common users first."""
    if asked.detail is None or asked.refused_because:
        return refused_rows(tables.FEATURE_OVERLAP, asked.refused_because or NO_FEATURE)
    name = asked.detail.feature_id

    def together() -> pd.DataFrame:
        pairs = feature_overlap(events, feature_id=name)
        return pairs.filter(pairs.feature_a == name).order_by([pairs.users_both.desc(), "feature_b"]).to_pandas()

    found = answered(tables.FEATURE_OVERLAP, together, refused_because=None)
    alone = f"no user of {named(name)} and no other feature can be paired: the log knows fewer than two features"
    return refused_rows(tables.FEATURE_OVERLAP, alone, feature_a=[name]) if found.empty else found
