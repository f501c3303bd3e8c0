"""What the product pages count for every declared feature: one row each, or why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import ibis.expr.types as ir
import pandas as pd

from launchpad_lib.contract.catalogue import ResultTable
from launchpad_lib.contract.catalogue import product_tables as tables
from launchpad_lib.contract.features import Feature, not_declared
from launchpad_lib.contract.names import nearest
from launchpad_lib.contract.sentences import named
from launchpad_lib.findings.funnel_question import FunnelQuestion, ask_funnel, feature_steps
from launchpad_lib.findings.funnel_results import funnel_result
from launchpad_lib.findings.retention_results import RetentionQuestion, ask_retention, retention_result
from launchpad_lib.findings.rows import answered, refused_rows
from launchpad_lib.inference import compare_rates, wilson
from launchpad_lib.metrics import completion, feature_adoption, nobody_mature, share_rate, unknown_names

NO_FEATURE = (
    "not asked: no feature is declared; declare one under `features:` in the params file or in the table `features`"
)
NO_EVENTS = "the log holds no events; ingest some"
COUNTED = {"user_id": "users", "session_key": "sessions"}


def feature_adoptions(
    events: ir.Table,
    features: Sequence[Feature],
    *,
    observed_through: datetime | None,
    report_timezone: str,
    min_cell: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables `adoption` and `adoption_changes`: the last complete local week, and it against the one before."""
    both = tables.ADOPTION, tables.ADOPTION_CHANGES
    reason = NO_FEATURE if not features else NO_EVENTS if observed_through is None else None
    if reason:
        return tuple(
            refused_rows(table, reason, feature_id=[f.feature_id for f in features] or [None]) for table in both
        )
    ids = [f.feature_id for f in features]
    found = feature_adoption(
        events, feature_ids=ids, observed_through=observed_through, report_timezone=report_timezone
    )
    known = set(events.select("feature_id").distinct().to_pandas()["feature_id"].dropna())
    counts = found.to_pandas()
    counts = counts.assign(
        week_on=counts["week_on"].astype(str),
        unknown=[None if i in known else f"feature {i!r}: has no event in the log; {nearest(i, known)}" for i in ids],
    )
    return _adoption(counts), _adoption_changes(counts, min_cell)


def _adoption(counts: pd.DataFrame) -> pd.DataFrame:
    reasons = [
        row.unknown or (None if row.n_after else "no local week with active users is complete yet")
        for row in counts.itertuples()
    ]
    stands = [reason is None for reason in reasons]
    limits = [wilson(row.converted_after, row.n_after) for row in counts.itertuples()]
    numbers = (
        pd.DataFrame(limits, columns=["adoption_rate", "ci_low", "ci_high"]).astype(float).where(pd.Series(stands))
    )
    rows = counts.assign(users=counts["converted_after"], active_users=counts["n_after"], **numbers)
    return answered(
        tables.ADOPTION, lambda: rows.assign(refused_because=pd.Series(reasons, dtype=object)), refused_because=None
    )


def _adoption_changes(counts: pd.DataFrame, min_cell: int) -> pd.DataFrame:
    """Benjamini-Hochberg over the features that can be compared."""
    compared = compare_rates(counts[counts["unknown"].isna()], min_cell=min_cell)
    rows = counts.join(compared.drop(columns=counts.columns))
    small = rows["is_small"].fillna(True).astype(bool)
    few = f"fewer than {min_cell} active users in one of the two weeks"
    rows = rows.assign(refused_because=rows["unknown"].where(rows["unknown"].notna() | ~small, few))
    numbers = ["absolute_lift", "ci_low", "ci_high", "p_adjusted"]
    rows = rows.assign(
        **{name: pd.to_numeric(rows[name]).mask(small) for name in numbers},
        is_changed=rows["is_changed"].astype(object).where(~small, None),
    )
    return answered(tables.ADOPTION_CHANGES, lambda: rows, refused_because=None)


def feature_completions(
    events: ir.Table,
    features: Sequence[Feature],
    *,
    detail: Feature | None,
    window: str,
    observed_through: datetime | None,
) -> pd.DataFrame:
    """The table `completion`: per user for every declared feature; per session too for the one in detail."""
    asked = [(f, "user_id") for f in features] + ([(detail, "session_key")] if detail else [])

    def row(feature: Feature, by: str) -> pd.DataFrame:
        said = {"start_event": feature.start_event, "complete_event": feature.complete_event}
        about = {"feature_id": feature.feature_id, "counted": COUNTED[by], **said}
        return _one_rate(
            tables.COMPLETION,
            lambda: completion(events, **said, window=window, observed_through=observed_through, by=by),
            about,
            n="starts",
            reason=_undeclared(feature, events, observed_through, "start_event", "complete_event"),
            observed_through=observed_through,
        )

    return _stacked(tables.COMPLETION, [row(feature, by) for feature, by in asked])


def feature_sharing(
    events: ir.Table, features: Sequence[Feature], *, window: str, observed_through: datetime | None
) -> pd.DataFrame:
    """The table `sharing`."""

    def row(feature: Feature) -> pd.DataFrame:
        said = {"view_event": feature.view_event, "share_event": feature.share_event}
        return _one_rate(
            tables.SHARING,
            lambda: share_rate(events, **said, window=window, observed_through=observed_through),
            {"feature_id": feature.feature_id, **said},
            n="viewers",
            reason=_undeclared(feature, events, observed_through, "view_event", "share_event"),
            observed_through=observed_through,
        )

    return _stacked(tables.SHARING, [row(feature) for feature in features])


def _undeclared(feature: Feature, events: ir.Table, observed_through: datetime | None, *fields: str) -> str | None:
    """Why a rate of one feature is not asked, or cannot be told."""
    reason = not_declared([feature], *fields)
    if reason:
        missing = [name for name in fields if getattr(feature, name) is None]
        return f"not asked: {named(feature.feature_id)} declares no {' and no '.join(missing)}"
    if observed_through is None:
        return NO_EVENTS
    return unknown_names(events, event_names=[getattr(feature, name) for name in fields])


def _one_rate(
    table: ResultTable,
    question: Callable[[], ir.Table],
    about: dict[str, Any],
    *,
    n: str,
    reason: str | None,
    observed_through: datetime | None,
) -> pd.DataFrame:
    """One row of a table of rates, refused where nobody is mature."""
    known = {name: [value] for name, value in about.items()}
    if reason:
        return refused_rows(table, reason, **known)
    found = answered(table, lambda: question().to_pandas(), refused_because=None)
    row = found.iloc[0]
    if row["refused_because"] is None:
        name = about["feature_id"]
        nobody = nobody_mature(row[n], immature=row["immature"], what=name, observed_through=observed_through)
        found = found.assign(refused_because=nobody)
    return found.assign(**about)


def _stacked(table: ResultTable, rows: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(rows, ignore_index=True) if rows else refused_rows(table, NO_FEATURE)


def feature_funnels(events: ir.Table, asked: FunnelQuestion, features: Sequence[Feature]) -> pd.DataFrame:
    """The table `feature_funnels`: the funnel each feature declares, under the rules of the page."""
    rules = {k: v for k, v in asked.arguments.items() if k in ("window", "mode", "entry", "by", "observed_through")}

    def row(feature: Feature) -> pd.DataFrame:
        steps = feature_steps(feature)
        about = {"feature_id": [feature.feature_id], "steps": [" > ".join(steps)]}
        if len(steps) < 2:
            few = f"not asked: {named(feature.feature_id)} declares fewer than two events of a funnel"
            return refused_rows(tables.FEATURE_FUNNELS, few, **about)
        result = funnel_result(events, ask_funnel(events, steps=steps, **rules, min_cell=asked.min_cell))
        last = result.iloc[[-1]].assign(entrants=result["users"].iloc[0], **about)
        return answered(tables.FEATURE_FUNNELS, lambda: last, refused_because=None)

    return _stacked(tables.FEATURE_FUNNELS, [row(feature) for feature in features])


def feature_retention(events: ir.Table, asked: RetentionQuestion, features: Sequence[Feature]) -> pd.DataFrame:
    """The table `feature_retention`: who comes back with any event after the first start of each feature."""
    rules = {k: getattr(asked, k) for k in ("observed_through", "counting", "period", "report_timezone", "min_cell")}

    def rows(feature: Feature) -> pd.DataFrame:
        about = {"feature_id": feature.feature_id, "start_event": feature.start_event}
        own = ask_retention(events, returns=asked.returns, feature=feature, **rules)
        reason = asked.no_events_because or own.refused_because
        if not feature.start_event:
            reason = f"not asked: {named(feature.feature_id)} declares no start_event"
        if reason:
            return refused_rows(tables.FEATURE_RETENTION, reason, **{name: [value] for name, value in about.items()})
        found = retention_result(events, own, starts="first")
        single = found[(found["period_from"] == found["period_to"]) & found["period_from"].isin(asked.returns)]
        return answered(tables.FEATURE_RETENTION, lambda: single.assign(**about), refused_because=None)

    return _stacked(tables.FEATURE_RETENTION, [part for part in map(rows, features)])
