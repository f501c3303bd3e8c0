"""The headline numbers of the engagement page against the days before, and by day."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, NamedTuple

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from launchpad_lib.contract.durations import parse_window
from launchpad_lib.contract.estimates import Estimate
from launchpad_lib.contract.manifest import ChangeSaid, DaySaid
from launchpad_lib.contract.wording import percent
from launchpad_lib.findings.engagement_question import EngagementQuestion
from launchpad_lib.findings.feature_results import first_local_day
from launchpad_lib.findings.headline_changes import Moved, changes_said, course, not_moved, rates_moved
from launchpad_lib.inference import RatioSums, compare_rates, ratio_change, wilson
from launchpad_lib.metrics import adoption_weekly
from launchpad_lib.metrics.compared_days import ComparedDays, compared_days, days_words, last_complete_day, too_short
from launchpad_lib.metrics.period_rates import PeriodRates, period_rates

ADOPTION, BY_USER, BY_SESSION, SHARING = "adoption", "completion by user", "completion by session", "sharing"
PAIRS = {BY_USER: ("start_event", "complete_event"), SHARING: ("view_event", "share_event")}
UNITS = {BY_USER: "users who started", BY_SESSION: "sessions with a start", SHARING: "users who viewed"}
DAYS_READ = 62


class OverTime(NamedTuple):
    """Changes and courses of headline numbers, by what they are of."""

    changes: dict[str, ChangeSaid]
    courses: dict[str, tuple[DaySaid, ...]]

    def of(self, name: str, found: Estimate) -> Estimate:
        """The number with its change and its course; a refused one as it is."""
        if found.is_refused:
            return found
        return found._replace(change=self.changes.get(name), series=self.courses.get(name, ()))


def engagement_changes(
    events: ir.Table, asked: EngagementQuestion, *, adoption_changes: pd.DataFrame, smallest_change: float
) -> OverTime:
    """Adoption, completion and sharing of the feature in detail: the last complete days whose windows are over, against
    the same weekdays of the week before, with users as clusters over both.
    """
    if asked.detail is None or asked.refused_because or asked.observed_through is None:
        return OverTime({}, {})
    own = adoption_changes[adoption_changes["feature_id"] == asked.detail.feature_id].iloc[0].to_dict()
    moved = {ADOPTION: _adoption(own)}
    found, begins, ends = _rates(events, asked)
    compared = compared_days(begins, ends)
    for name, rates in found.items():
        moved[name] = not_moved(too_short(begins, ends)) if compared is None else _moved(name, rates, compared, asked)
    courses = {name: _course(rates, begins, ends) for name, rates in found.items()}
    courses[ADOPTION] = _by_week(events, asked)
    return OverTime(changes_said(moved, smallest=smallest_change), courses)


def _adoption(row: dict[str, Any]) -> Moved:
    if pd.isna(row["days"]):
        return rates_moved(row, period="", against="", units="")
    first, days = date.fromisoformat(str(row["week_on"])[:10]), int(row["days"])
    words = [days_words(on, days) for on in (first, first - timedelta(days=7))]
    return rates_moved(row, period=words[0], against=words[1], units="active users")


def _by_week(events: ir.Table, asked: EngagementQuestion) -> tuple[DaySaid, ...]:
    """Adoption on its own base: weeks, by their first day; a week that is not over is not complete."""
    place: dict[str, Any] = {"week_starts_on": asked.week_starts_on, **asked.place}
    found = adoption_weekly(events, feature_id=str(asked.feature_id), **place)
    rows = found.filter(found.refused_because.isnull()).order_by("week_on").to_pandas()
    whole = rows.loc[rows["is_complete"].astype(bool), "week_on"]
    last = str(whole.iloc[-1])[:10] if len(whole) else ""
    return course(rows, day="week_on", value="adoption_rate", n="active_users", last_complete=last)


def _rates(events: ir.Table, asked: EngagementQuestion) -> tuple[dict[str, PeriodRates], date, date]:
    """What came of the declared pairs, and the first and the last local day on which their windows are over."""
    zone, ends_at = asked.report_timezone, pd.Timestamp(asked.observed_through).to_pydatetime()
    mature = ends_at - parse_window(asked.window)
    begins, ends = first_local_day(events, zone), last_complete_day(mature, zone)
    told = {name: fields for name, fields in PAIRS.items() if asked.undeclared(events, *fields) is None}
    pairs = {name: (str(getattr(asked.detail, a)), str(getattr(asked.detail, b))) for name, (a, b) in told.items()}
    recent = events.filter(events.event_at >= ends_at - timedelta(days=DAYS_READ))
    rules: dict[str, Any] = {
        "window": asked.window,
        "observed_through": ends_at,
        "compared": compared_days(begins, ends),
        "report_timezone": zone,
    }
    found = dict(zip(pairs, period_rates(recent, pairs=list(pairs.values()), **rules), strict=True)) if pairs else {}
    if BY_USER in pairs:
        (found[BY_SESSION],) = period_rates(recent, pairs=[pairs[BY_USER]], by="session_key", **rules)
    return found, begins, ends


def _moved(name: str, rates: PeriodRates, compared: ComparedDays, asked: EngagementQuestion) -> Moved:
    clusters = rates.clusters if rates.clusters is not None else np.zeros((0, 4), np.int64)
    users = (clusters[:, 0] > 0).sum(), (clusters[:, 2] > 0).sum()
    words = {"period": compared.later, "against": compared.earlier}
    if min(users) < asked.min_cell:
        return not_moved(f"fewer than {asked.min_cell} users in one of the two periods")
    if name != BY_SESSION:  # a user counts once in a period: a rate of units
        row = compare_rates(pd.DataFrame([_counts(clusters)]), min_cell=asked.min_cell).iloc[0].to_dict()
        return rates_moved(row, units=UNITS[name], **words)
    found = ratio_change(RatioSums.of(clusters))
    if found.ci_low is None or found.ci_high is None or found.estimate is None:
        return not_moved(str(found.refused_because))
    n = clusters.sum(axis=0)
    bases = [f"{percent(done / begun)} of {begun:,}" for begun, done in ((n[0], n[1]), (n[2], n[3]))]
    said = f"from {bases[0]} to {bases[1]} {UNITS[name]}"
    return Moved(found.estimate, found.ci_low, found.ci_high, found.p_value, bases=said, **words)


def _counts(clusters: np.ndarray) -> dict[str, int]:
    """Users of both periods as `inference.compare_rates` takes them."""
    before, done_before, after, done_after = (clusters > 0).T
    both = before & after
    return {
        "n_before": int(before.sum()),
        "converted_before": int(done_before.sum()),
        "n_after": int(after.sum()),
        "converted_after": int(done_after.sum()),
        "n_both": int(both.sum()),
        "converted_both": int((both & done_before & done_after).sum()),
        "converted_before_of_both": int((both & done_before).sum()),
        "converted_after_of_both": int((both & done_after).sum()),
    }


def _course(rates: PeriodRates, begins: date, ends: date) -> tuple[DaySaid, ...]:
    """By local day; a day whose windows are still open has only its mature begins, and is not complete."""
    days = rates.days.assign(day=[date(1969, 12, 29) + timedelta(days=int(d)) for d in rates.days["day"]])
    days = days[days["day"] >= begins]
    limits = [wilson(int(done), int(began)) for began, done in zip(days["began"], days["finished"], strict=True)]
    numbers = pd.DataFrame(limits, columns=["value", "ci_low", "ci_high"], index=days.index)
    return course(days.join(numbers), day="day", value="value", n="began", last_complete=str(ends))
