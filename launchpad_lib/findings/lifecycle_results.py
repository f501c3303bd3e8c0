"""What the cohort page counts about who is active, who is gone, and what they do on the way."""

from __future__ import annotations

from typing import Literal, NamedTuple

import ibis.expr.types as ir
import pandas as pd

from launchpad_lib.contract.catalogue import cohort_tables as tables
from launchpad_lib.contract.estimates import Estimate, estimate_of, refusal
from launchpad_lib.contract.sentences import span_words
from launchpad_lib.findings.reading import Tables, Waiting, already, waiting
from launchpad_lib.findings.retention_results import RetentionQuestion
from launchpad_lib.findings.rows import declared, not_asked, reason_in, refused_rows
from launchpad_lib.inference import kaplan_meier, log_rank, median_survival, wilson
from launchpad_lib.metrics import unknown_names
from launchpad_lib.metrics.cohorts import asked_lifetimes
from launchpad_lib.metrics.lifecycle import asked_lifecycle
from launchpad_lib.metrics.paths import asked_path_steps, asked_transitions
from launchpad_lib.metrics.windows import Period

ALL_USERS, GROUP = "all users", "group"
MOST_GROUPS, MOST_TIMES = 8, 200


def lifecycle_result(events: ir.Table, asked: RetentionQuestion, *, lifecycle_period: Period) -> Waiting:
    """The table `lifecycle`."""
    place = {k: getattr(asked, k) for k in ("observed_through", "report_timezone", "week_starts_on")}

    def finish(found: Tables) -> pd.DataFrame:
        rows = found[0].order_by("period_on").to_pandas()
        return rows.assign(period_on=rows["period_on"].astype(str))

    return waiting(
        tables.LIFECYCLE,
        lambda: [asked_lifecycle(events, period=lifecycle_period, **place)],
        finish,
        refused_because=asked.no_events_because,
    )


def last_complete(life: pd.DataFrame) -> pd.Series | None:
    """The newest period that is over; None where none is."""
    whole = life[life["is_complete"].fillna(False).astype(bool)]
    return None if whole.empty else whole.iloc[-1]


def resurrected_share(life: pd.DataFrame, asked: RetentionQuestion, *, lifecycle_period: str) -> Estimate:
    """Resurrected users among those active in the last complete period."""
    newest = last_complete(life)
    if newest is None:
        return refusal(reason_in(life) or f"no local {lifecycle_period} is complete yet")
    rules = {"last_complete_period": f"the {lifecycle_period} from {newest['period_on']} ({asked.report_timezone})"}
    active = int(newest["active"])
    if not active:
        return refusal(f"nobody was active in the last complete {lifecycle_period}", n=0, **rules)
    found = wilson(int(newest["resurrected"]), active)
    return Estimate(found.estimate, found.ci_low, found.ci_high, active, None, rules)


class Lifetimes(NamedTuple):
    """How long users stay: medians, and curves to draw."""

    lifetime: pd.DataFrame
    survival: pd.DataFrame

    @property
    def curves(self) -> pd.DataFrame:
        """As they are drawn: one line per group, or one for all users where there are no groups."""
        groups = self.survival[self.survival["scope"] == GROUP]
        everybody = self.survival.assign(group=ALL_USERS)
        return (everybody if groups.empty else groups).rename(columns={"time_days": "time"})


def lifetimes(events: ir.Table, asked: RetentionQuestion, *, churn_gap: str, cohort_property: str | None) -> Waiting:
    """The tables `lifetime` and `survival`: all users, and the largest groups of at least `min_cell` users.

    An unknown property leaves the groups out; all users stand.
    """
    reason = asked.no_events_because
    if reason:
        return already(Lifetimes(refused_rows(tables.LIFETIME, reason, scope=[ALL_USERS]), _no_curve()))
    is_known = bool(cohort_property) and unknown_names(events, event_names=[], properties=[cohort_property]) is None
    through, split = asked.observed_through, cohort_property if is_known else None
    question = asked_lifetimes(events, gap=churn_gap, observed_through=through, group_property=split)
    return Waiting([question], lambda found: _lifetimes(found[0].to_pandas(), asked.min_cell, is_known))


def _no_curve() -> pd.DataFrame:
    return refused_rows(tables.SURVIVAL, "").head(0)


def _lifetimes(spans: pd.DataFrame, min_cell: int, is_known: bool) -> Lifetimes:
    nobody = reason_in(spans)
    if nobody:
        return Lifetimes(refused_rows(tables.LIFETIME, nobody, scope=[ALL_USERS]), _no_curve())
    named_groups = list(spans.groupby("group_name", dropna=False)) if is_known else []
    large = [(name, own) for name, own in named_groups if len(own) >= min_cell]
    large = sorted(large, key=lambda group: -len(group[1]))[:MOST_GROUPS]
    parts = [(ALL_USERS, None, spans), *((GROUP, name, own) for name, own in large)]
    curves = [(scope, name, own, kaplan_meier(own["duration_days"], own["is_churned"])) for scope, name, own in parts]
    rows = pd.DataFrame([_lifetime(*curve) for curve in curves])
    test = log_rank([(own["duration_days"], own["is_churned"]) for _, own in large]) if len(large) > 1 else None
    rows["log_rank_p"] = [test.p_value if test else None, *([None] * len(large))]
    lines = [_thinned(points).assign(scope=scope, group=name) for scope, name, _, points in curves if points]
    survival = pd.concat(lines, ignore_index=True) if lines else _no_curve()
    return Lifetimes(
        declared(tables.LIFETIME, rows),
        survival[[c.name for c in tables.SURVIVAL.columns]],
    )


def _lifetime(scope: str, name: object, own: pd.DataFrame, points: list) -> dict:
    middle, low, high = median_survival(points)
    gone = int(own["is_churned"].sum())
    reason = None
    if middle is None:
        reason = f"{gone:,} of {len(own):,} users are gone, so the median is not reached yet"
    numbers = {"median_days": middle, "ci_low": low if middle else None, "ci_high": high if middle else None}
    return {"scope": scope, "group": name, "users": len(own), "gone": gone, **numbers, "refused_because": reason}


def _thinned(points: list) -> pd.DataFrame:
    """At most so many points of a curve: the last one of each of equal stretches of time."""
    rows = pd.DataFrame(points, columns=["time_days", "at_risk", "events", "survival", "ci_low", "ci_high"])
    stretch = max(rows["time_days"].iloc[-1] / MOST_TIMES, 1e-9)
    return rows.assign(bucket=(rows["time_days"] / stretch).astype(int)).drop_duplicates("bucket", keep="last")


def lifetime_median(lifetime: pd.DataFrame, *, churn_gap: str) -> Estimate:
    """The median of all users."""
    row = lifetime.iloc[0].to_dict()
    return estimate_of(row, value="median_days", n="users", churn_gap=span_words(churn_gap))


def session_paths(
    events: ir.Table, asked: RetentionQuestion, *, path_anchor: str | None, path_end: str | None
) -> Waiting:
    """The table `paths`: the steps after the anchor, and those before the end; what is not given is not asked."""
    after = _one_path(events, asked, "after", path_anchor, "path_anchor")
    before = _one_path(events, asked, "before", path_end, "path_end")

    def finish(found: Tables) -> pd.DataFrame:
        parts = [
            after.finish(found[: len(after.asked)]).assign(direction="after", anchor=path_anchor),
            before.finish(found[len(after.asked) :]).assign(direction="before", anchor=path_end),
        ]
        return pd.concat(parts, ignore_index=True)

    return Waiting([*after.asked, *before.asked], finish)


def _one_path(
    events: ir.Table, asked: RetentionQuestion, direction: Literal["after", "before"], anchor: str | None, argument: str
) -> Waiting:
    reason = asked.no_events_because
    if reason is None:
        reason = unknown_names(events, event_names=[anchor]) if anchor else not_asked(f"give `{argument}` an event")
    return waiting(
        tables.PATHS,
        lambda: [asked_path_steps(events, anchor=anchor or "", direction=direction, length=5, most=6)],
        lambda found: found[0].order_by(["position", lambda t: t.units.desc(), "event_name"]).to_pandas(),
        refused_because=reason,
    )


def session_transitions(events: ir.Table, asked: RetentionQuestion) -> Waiting:
    """The table `transitions`; no rows where there are no events."""
    if asked.no_events_because:
        return already(refused_rows(tables.TRANSITIONS, "").head(0))

    def finish(found: Tables) -> pd.DataFrame:
        return found[0].order_by(["from_event", lambda t: t.share.desc(), "to_event"]).to_pandas()

    return Waiting([asked_transitions(events, most=10)], finish)
