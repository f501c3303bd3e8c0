"""What the product pages count for every declared feature: one row each, or why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import ibis.expr.types as ir
import pandas as pd

from launchpad_lib.contract.catalogue import ResultTable
from launchpad_lib.contract.catalogue.cohort_tables import FEATURE_RETENTION
from launchpad_lib.contract.catalogue.engagement_tables import ADOPTION, ADOPTION_CHANGES, COMPLETION, SHARING
from launchpad_lib.contract.catalogue.funnel_tables import FEATURE_FUNNELS
from launchpad_lib.contract.features import Feature
from launchpad_lib.contract.names import nearest, quoted
from launchpad_lib.contract.sentences import named
from launchpad_lib.findings.engagement_question import EngagementQuestion
from launchpad_lib.findings.funnel_question import feature_steps
from launchpad_lib.findings.funnel_reading import FunnelReading
from launchpad_lib.findings.funnel_results import steps_of
from launchpad_lib.findings.reading import Tables, Waiting
from launchpad_lib.findings.releases import NOT_RELEASED, reason_of, released_after
from launchpad_lib.findings.retention_results import RetentionQuestion, ask_retention, periods_told
from launchpad_lib.findings.rows import NO_FEATURE, declared, not_asked, refused_rows
from launchpad_lib.inference import Interval, compare_rates, wilson
from launchpad_lib.metrics import completions, feature_adoption, unknown_names
from launchpad_lib.metrics.checks import names_in
from launchpad_lib.metrics.compared_days import compared_days, last_complete_day, too_short
from launchpad_lib.metrics.returning import asked_retention_by_start
from launchpad_lib.metrics.windows import is_one_of, local_date

COUNTED = {"user_id": "users", "session_key": "sessions"}
AS_SHARING = {"starts": "viewers", "completed": "sharers", "completion_rate": "share_rate"}


def feature_adoptions(events: ir.Table, asked: EngagementQuestion) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables `adoption` and `adoption_changes`: the last complete local week, and it against the one before."""
    ids = [f.feature_id for f in asked.features]
    reason = asked.refused_because or (None if ids else NO_FEATURE)
    if reason:
        both = ADOPTION, ADOPTION_CHANGES
        return tuple(refused_rows(table, reason, feature_id=ids or [None]) for table in both)
    rules: dict[str, Any] = {"feature_ids": ids, "week_starts_on": asked.week_starts_on, **asked.place}
    weeks = feature_adoption(events, **rules).to_pandas()
    begins, known = first_local_day(events, asked.report_timezone), names_in(events, "feature_id")
    counts = _with_reasons(weeks.assign(days=7), asked, known)
    changes, short = counts, None
    if asked.observed_through is not None and begins > pd.Timestamp(weeks["week_on"].iloc[0]).date() - timedelta(
        days=7
    ):
        ends = last_complete_day(asked.observed_through, asked.report_timezone)
        compared = compared_days(begins, ends)
        if compared is None:
            short = too_short(begins, ends)
        else:
            days = feature_adoption(events, **rules, compared=compared).to_pandas()
            changes = _with_reasons(days.assign(days=compared.days), asked, known)
    return _adoption(counts, asked), _adoption_changes(changes, short, asked.min_cell)


def first_local_day(events: ir.Table, report_timezone: str) -> date:
    """The local day of the first event of a log that holds some."""
    first = events.agg(at=events.event_at.min())
    return pd.Timestamp(first.select(on=local_date(first.at, report_timezone)).to_pandas()["on"].iloc[0]).date()


def _with_reasons(counts: pd.DataFrame, asked: EngagementQuestion, known: set[str]) -> pd.DataFrame:
    """Counts as the tables take them, with the reason of a feature that has none, and its release."""
    return counts.assign(
        **{name: counts[name].astype(float) for name in counts.columns if name.startswith(("n_", "converted_"))},
        week_on=counts["week_on"].astype(str),
        unknown=pd.Series(
            [reason_of(f, _unknown_feature(f.feature_id, known), **asked.until) for f in asked.features], dtype=object
        ),
        released_on=pd.Series([f.released_on for f in asked.features], dtype=object),
    )


def _unknown_feature(feature_id: str, known: set[str]) -> str | None:
    if feature_id in known:
        return None
    if not known:
        return "no event of the log names a feature; map `feature_id`"
    return f"no event of the log names feature {quoted(feature_id)}; {nearest(feature_id, known)}"


def _adoption(counts: pd.DataFrame, asked: EngagementQuestion) -> pd.DataFrame:
    """Nobody used a feature in a week before its release: that is no 0 %. Where somebody did, the number stands."""
    reasons = [
        row.unknown
        or (None if row.n_after else "no local week with active users is complete yet")
        or (None if row.converted_after else released_after(feature, date.fromisoformat(row.week_on) + timedelta(6)))
        for row, feature in zip(counts.itertuples(), asked.features, strict=True)
    ]
    limits = [
        wilson(row.converted_after, row.n_after) if reason is None else Interval(None, None, None)
        for row, reason in zip(counts.itertuples(), reasons, strict=True)
    ]
    numbers = pd.DataFrame(limits, columns=["adoption_rate", "ci_low", "ci_high"]).astype(float)
    why = pd.Series(reasons, dtype=object)
    rows = counts.assign(
        users=counts["converted_after"], active_users=counts["n_after"], refused_because=why, **numbers
    )
    return declared(ADOPTION, rows)


def _adoption_changes(counts: pd.DataFrame, too_few_days: str | None, min_cell: int) -> pd.DataFrame:
    """Benjamini-Hochberg over the features that can be compared: those that were there in both weeks."""
    counts = counts.assign(unknown=[row.unknown or _released_within(row) for row in counts.itertuples()])
    counts["unknown"] = counts["unknown"].astype(object).where(counts["unknown"].notna(), None)
    compared = compare_rates(counts[counts["unknown"].isna()], min_cell=min_cell)
    rows = counts.join(compared.drop(columns=counts.columns))
    small = rows["is_small"].astype("boolean").fillna(True).astype(bool)
    periods = "weeks" if (rows["days"] == 7).all() else "periods"
    few = f"fewer than {min_cell} active users in one of the two {periods}"
    if too_few_days is not None:
        few, small = too_few_days, small | True
    rows = rows.assign(refused_because=rows["unknown"].where(rows["unknown"].notna() | ~small, few))
    numbers = ["absolute_lift", "ci_low", "ci_high", "p_value", "p_adjusted"]
    rows = rows.assign(
        **{name: pd.to_numeric(rows[name]).mask(small) for name in numbers},
        is_changed=rows["is_changed"].astype(object).where(~small, None),
    )
    return declared(ADOPTION_CHANGES, rows)


def _released_within(row: Any) -> str | None:
    """Why two weeks of a feature are not compared: it was not there all the time."""
    begins = pd.Timestamp(row.week_on) - pd.Timedelta(days=7)
    if row.released_on is None or pd.isna(begins) or pd.Timestamp(row.released_on) <= begins:
        return None
    return f"{NOT_RELEASED} {row.released_on}, so it was not there in all of both weeks"


def feature_completions(events: ir.Table, asked: EngagementQuestion) -> pd.DataFrame:
    """The table `completion`: per user for every declared feature; per session too for the one in detail."""
    by_user = _rates(COMPLETION, events, asked, asked.features, "start_event", "complete_event", by="user_id")
    if asked.detail is None:
        return by_user
    detail = [asked.detail]
    by_session = _rates(COMPLETION, events, asked, detail, "start_event", "complete_event", by="session_key")
    return pd.concat([by_user, by_session], ignore_index=True)


def feature_sharing(events: ir.Table, asked: EngagementQuestion) -> pd.DataFrame:
    """The table `sharing`."""
    return _rates(SHARING, events, asked, asked.features, "view_event", "share_event", by="user_id")


def _rates(
    table: ResultTable,
    events: ir.Table,
    asked: EngagementQuestion,
    features: Sequence[Feature],
    begin: str,
    end: str,
    *,
    by: str,
) -> pd.DataFrame:
    """A row of a table of rates per feature, refused where it declares too little or nobody is mature; all features are
    counted in one reading of the log.
    """
    reasons = [_undeclared(feature, events, asked, begin, end) for feature in features]
    told = [feature for feature, why in zip(features, reasons, strict=True) if why is None]
    rules: dict[str, Any] = {"window": asked.window, "observed_through": asked.observed_through, "by": by}
    pairs = [(getattr(feature, begin), getattr(feature, end)) for feature in told]

    counts: list[pd.DataFrame] = []
    try:
        found = completions(events, pairs=pairs, **rules).to_pandas()
        counts = [found.iloc[[place]] for place in range(len(told))]
    except ValueError as error:  # of the rules, which all rows share
        reasons = [why or str(error) for why in reasons]
    rows, counted = [], iter(counts)
    for feature, why in zip(features, reasons, strict=True):
        about = {"feature_id": feature.feature_id, begin: getattr(feature, begin), end: getattr(feature, end)}
        about |= {"counted": COUNTED[by]} if table is COMPLETION else {}
        if why:
            rows.append(refused_rows(table, why, **{name: [value] for name, value in about.items()}))
            continue
        row = next(counted)
        rows.append(declared(table, row.rename(columns=AS_SHARING if table is SHARING else {}).assign(**about)))
    return _stacked(table, rows)


def _undeclared(feature: Feature, events: ir.Table, asked: EngagementQuestion, *fields: str) -> str | None:
    """Why a rate of one feature is not asked, or cannot be told."""
    missing = [name for name in fields if getattr(feature, name) is None]
    if missing:
        return not_asked(f"{named(feature.feature_id)} declares no {' and no '.join(missing)}")
    unknown = unknown_names(events, event_names=[getattr(feature, name) for name in fields])
    return asked.refused_because or reason_of(feature, unknown, **asked.until)


def _stacked(table: ResultTable, rows: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(rows, ignore_index=True) if rows else refused_rows(table, NO_FEATURE)


def feature_funnels(read: FunnelReading, features: Sequence[Feature]) -> pd.DataFrame:
    """The table `feature_funnels`: the funnel each feature declares, under the rules of the page."""

    def row(feature: Feature) -> pd.DataFrame:
        about = {"feature_id": [feature.feature_id], "steps": [" > ".join(feature_steps(feature))]}
        if feature.feature_id not in read.features:
            few = not_asked(f"{named(feature.feature_id)} declares fewer than two events of a funnel")
            return refused_rows(FEATURE_FUNNELS, few, **about)
        result = steps_of(read, f"feature {feature.feature_id}", read.features[feature.feature_id])
        last = result.iloc[[-1]].assign(entrants=result["users"].iloc[0], **about)
        return declared(FEATURE_FUNNELS, last)

    return _stacked(FEATURE_FUNNELS, [row(feature) for feature in features])


def feature_retention(events: ir.Table, asked: RetentionQuestion, features: Sequence[Feature]) -> Waiting:
    """The table `feature_retention`: who comes back with any event after the first start of each feature."""
    rules = {
        k: getattr(asked, k)
        for k in ("observed_through", "counting", "period", "report_timezone", "week_starts_on", "min_cell")
    }
    known: dict[str, str] = {}
    reasons: dict[str, str | None] = {}
    for feature in features:
        reason = (
            asked.no_events_because
            or ask_retention(events, returns=asked.returns, feature=feature, **rules).refused_because
        )
        if not feature.start_event:
            reason = not_asked(f"{named(feature.feature_id)} declares no start_event")
        elif not reason:
            known[feature.feature_id] = feature.start_event
        else:
            own = reason_of(feature, reason, through=asked.observed_through, report_timezone=asked.report_timezone)
            reason = asked.no_events_because or own
        reasons[feature.feature_id] = reason
    place = {k: v for k, v in rules.items() if k != "min_cell"}
    question = (
        asked_retention_by_start(events, start_events=list(known.values()), returns=asked.returns, **place)
        if known
        else None
    )

    def row(feature: Feature, found: Tables) -> pd.DataFrame:
        about = {"feature_id": feature.feature_id, "start_event": feature.start_event}
        reason = reasons[feature.feature_id]
        if reason:
            return refused_rows(FEATURE_RETENTION, reason, **{name: [value] for name, value in about.items()})
        own = found[0].filter(is_one_of(found[0].cohort, [feature.start_event]))
        return declared(FEATURE_RETENTION, periods_told(own, asked).assign(**about))

    def finish(found: Tables) -> pd.DataFrame:
        return _stacked(FEATURE_RETENTION, [row(feature, found) for feature in features])

    return Waiting([question] if question else [], finish)
