"""What the cohort page counts about coming back: its question, and every result table, whole or refused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import ibis.expr.types as ir
import pandas as pd

from launchpad_lib.contract.catalogue import cohort_tables as tables
from launchpad_lib.contract.durations import parse_window
from launchpad_lib.contract.estimates import Estimate, estimate_of, refusal
from launchpad_lib.contract.features import Feature, not_declared
from launchpad_lib.contract.sentences import counted, named, span_words
from launchpad_lib.findings.reading import Tables, Waiting, already, waiting
from launchpad_lib.findings.rows import answered, declared, not_asked, of_many, refused_rows
from launchpad_lib.inference import compare_rates
from launchpad_lib.metrics import nobody_mature, on_or_after, unknown_names
from launchpad_lib.metrics.asked import Asked
from launchpad_lib.metrics.cohorts import asked_users_seen
from launchpad_lib.metrics.returning import asked_retention, asked_retention_by_deed
from launchpad_lib.metrics.windows import Period, Weekday

FIRST, RECURRING = "first start", "every active period"
EARLY_DEED = "what users did early"
PERIOD_DAYS: dict[Period, int] = {"day": 1, "week": 7, "month": 30}
MOST_COHORTS = 60
NO_EVENTS = datetime(1970, 1, 1)  # the end of a log without events


class RetentionQuestion(NamedTuple):
    """Who begins, who comes back, in which periods; and why it cannot be asked of this log, if so."""

    returns: tuple[int, ...]
    observed_through: datetime
    counting: str = "calendar"
    period: Period = "day"
    start_event: str | None = None
    return_event: str | None = None
    report_timezone: str = "UTC"
    week_starts_on: Weekday = "monday"
    min_cell: int = 30
    refused_because: str | None = None

    @property
    def horizon(self) -> int:
        """The last period asked; one for all cohorts."""
        return self.returns[-1]

    @property
    def no_events_because(self) -> str | None:
        """Why nothing about activity can be counted; a misspelt start or return event does not stop that."""
        return self.refused_because if self.observed_through == NO_EVENTS else None

    @property
    def arguments(self) -> dict[str, Any]:
        """As `retention` takes them."""
        return {k: v for k, v in self._asdict().items() if k not in ("returns", "min_cell", "refused_because")}

    @property
    def every_period(self) -> list[int]:
        """Every period up to the horizon, from 1, and what else is asked."""
        return sorted({*range(1, self.horizon + 1), *self.returns})


def ask_retention(
    events: ir.Table,
    *,
    returns: Sequence[int],
    observed_through: datetime | None,
    start_event: str | None = None,
    return_event: str | None = None,
    feature: Feature | None = None,
    **rules: Any,
) -> RetentionQuestion:
    """The question, checked against the log: names that do not occur refuse it.

    Args:
        feature: whose users are asked about, where no start event is named: they begin with its start event.
    """
    begins = start_event or (feature.start_event if feature else None)
    asked = RetentionQuestion(
        tuple(returns),
        observed_through=observed_through or NO_EVENTS,
        start_event=begins,
        return_event=return_event or None,
        **rules,
    )
    if observed_through is None:
        return asked._replace(refused_because="the log holds no events, so nobody began; ingest some")
    if feature and not begins:
        return asked._replace(refused_because=not_declared([feature], "start_event"))
    names = [name for name in (asked.start_event, asked.return_event) if name]
    return asked._replace(refused_because=unknown_names(events, event_names=names))


def retention_result(events: ir.Table, asked: RetentionQuestion) -> Waiting:
    """The table `retention`: every period up to the horizon, and any return from the first asked period to the horizon.

    First starts, and beside them every active calendar period as a start.
    """
    if asked.refused_because:
        known: dict[str, list[Any]] = {
            "starts": [FIRST] * len(asked.returns),
            "period_from": list(asked.returns),
            "period_to": list(asked.returns),
        }
        return already(refused_rows(tables.RETENTION, asked.refused_because, **known))
    ever = [on_or_after(asked.returns[0], horizon=asked.horizon)] if asked.returns[0] < asked.horizon else []
    first = asked_retention(events, returns=[*asked.every_period, *ever], **asked.arguments)
    calendar = asked._replace(counting="calendar").arguments
    again = asked_retention(events, returns=asked.every_period, **calendar, start="recurring")

    def finish(found: Tables) -> pd.DataFrame:
        both = zip(found, (FIRST, RECURRING), strict=True)
        return pd.concat([periods_told(rows, asked).assign(starts=said) for rows, said in both], ignore_index=True)

    return Waiting([first, again], finish)


def periods_told(found: ir.Table, asked: RetentionQuestion) -> pd.DataFrame:
    """Rows of the table `retention`; a period that nobody has been observed to the end of says so."""
    rows = found.order_by(["period_from", "period_to"]).to_pandas()
    reasons = [
        nobody_mature(
            row.users,
            immature=row.users_immature,
            what=f"{asked.period} {row.period_from}",
            observed_through=asked.observed_through,
        )
        for row in rows.itertuples()
    ]
    return declared(tables.RETENTION, rows.assign(refused_because=pd.Series(reasons, dtype=object)))


def retention_on(result: pd.DataFrame, asked: RetentionQuestion, number: int, until: int | None = None) -> Estimate:
    """Retention of first starts in one period, or in a bracket of periods."""
    rows = result[(result["starts"] == FIRST) & (result["period_from"] == number)]
    rows = rows[rows["period_to"] == (number if until is None else until)]
    if rows.empty:
        return refusal(f"{asked.period} {number} is not asked")
    row = rows.iloc[0].to_dict()
    immature = 0 if pd.isna(row["users_immature"]) else row["users_immature"]
    rules: dict[str, Any] = {
        "period_asked": f"{asked.period} {number}",
        "start_event": named(asked.start_event) if asked.start_event else "their first event",
        "return_event": named(asked.return_event) if asked.return_event else "any event",
        "kind_of_period": f"{asked.counting} periods",
        "report_timezone": asked.report_timezone,
        "users_whose_period_is_open": f"{counted(immature, 'user')} whose {asked.period} {number} is not over",
    }
    return estimate_of(row, value="retention_rate", n="users", **rules)


def cohort_period(users: int, days: int, *, asked: Period, min_cell: int) -> Period:
    """The period of the cohorts: the one asked, or a longer one where there would be too many or too small ones.

    >>> cohort_period(5_000, 14, asked="day", min_cell=30), cohort_period(5_000, 400, asked="day", min_cell=30)
    ('day', 'week')
    """
    names = list(PERIOD_DAYS)
    for name, longer in zip(names, [*names[1:], None], strict=True):
        if names.index(name) < names.index(asked):
            continue
        cohorts = max(days / PERIOD_DAYS[name], 1)
        is_thin = longer and users / cohorts < min_cell and days / PERIOD_DAYS[longer] >= 3
        if longer is None or not (cohorts > MOST_COHORTS or is_thin):
            return name
    return asked


def retention_cohorts(events: ir.Table, asked: RetentionQuestion, *, cohort_by: Period) -> Waiting:
    """The table `retention_cohorts`: users who began in the same local period; longer periods where cells would be
    thin.
    """
    # Which period is right shows only when the log has been read, so the longer ones are counted too.
    periods = list(PERIOD_DAYS)[list(PERIOD_DAYS).index(cohort_by) :]

    def ask() -> Sequence[Asked]:
        returns = asked.every_period
        cohorts = [asked_retention(events, returns=returns, cohort_by=name, **asked.arguments) for name in periods]
        return [asked_users_seen(events), *cohorts]

    def finish(found: Tables) -> pd.DataFrame:
        seen = found[0].to_pandas().iloc[0]
        days = (asked.observed_through - seen["first_seen_at"]).days + 1 if seen["users"] else 1
        period = cohort_period(int(seen["users"]), days, asked=cohort_by, min_cell=asked.min_cell)
        rows = found[1 + periods.index(period)].order_by(["cohort", "period_from"]).to_pandas()
        return rows.assign(cohort=rows["cohort"].astype(str))

    return waiting(tables.RETENTION_COHORTS, ask, finish, refused_because=asked.refused_because)


def retention_shift(cohorts: pd.DataFrame, asked: RetentionQuestion, *, number: int | None = None) -> pd.DataFrame:
    """The table `retention_changes`: later cohorts against earlier ones, at the first asked period or another one.

    Cohorts that began less than a horizon after the data begin are left out: users who were there before look new in
    them, so they would make every later cohort look worse.
    """
    at = asked.returns[0] if number is None else number
    known = {"period_from": [at]}

    def shift() -> pd.DataFrame:
        rows = cohorts[(cohorts["period_from"] == at) & (cohorts["users"] > 0)]
        begin = pd.Timestamp(cohorts["cohort"].min()) + pd.Timedelta(days=asked.horizon * PERIOD_DAYS[asked.period])
        rows = rows[pd.to_datetime(rows["cohort"]) >= begin].sort_values("cohort")
        if len(rows) < 2:
            raise ValueError(
                "fewer than two mature cohorts began a horizon or more after the data begin; earlier ones mix "
                "old and new users"
            )
        half = len(rows) // 2
        sides = {"before": rows.iloc[:half], "after": rows.iloc[half:]}
        counts = {f"n_{side}": int(own["users"].sum()) for side, own in sides.items()}
        counts |= {f"converted_{side}": int(own["retained"].sum()) for side, own in sides.items()}
        found = compare_rates(pd.DataFrame([counts]), min_cell=asked.min_cell)
        if found["is_small"].iloc[0]:
            raise ValueError(f"fewer than {asked.min_cell} mature users in the earlier or the later cohorts")
        return found.assign(period_from=at, later_from=sides["after"]["cohort"].iloc[0])

    found = answered(tables.RETENTION_CHANGES, shift, refused_because=asked.refused_because)
    return found if found["refused_because"].isna().all() else found.assign(**known)


def retention_segments(
    events: ir.Table,
    asked: RetentionQuestion,
    *,
    cohort_property: str | None,
    behaviour_event: str | None,
    behaviour_within: str,
    behaviour_at_least: int,
) -> Waiting:
    """The table `retention_segments`: by a property at the start, and by what users did soon after it."""
    by_value = waiting(
        tables.RETENTION_SEGMENTS,
        lambda: [
            asked_retention(events, returns=asked.every_period, cohort_property=cohort_property, **asked.arguments)
        ],
        lambda found: of_many(_by_property(found), n="users", min_cell=asked.min_cell, per="period_from"),
        refused_because=asked.refused_because or _unknown_property(events, cohort_property),
    )
    by_deed = waiting(
        tables.RETENTION_SEGMENTS,
        lambda: [
            asked_retention_by_deed(
                events,
                event=behaviour_event or "",
                at_least=behaviour_at_least,
                within=behaviour_within,
                returns=later_returns(asked, behaviour_within),
                **asked.arguments,
            )
        ],
        lambda found: found[0].order_by(["cohort", "period_from"]).to_pandas().rename(columns={"cohort": "segment"}),
        refused_because=asked.refused_because or _unknown_deed(events, asked, behaviour_event, behaviour_within),
    )

    def finish(found: Tables) -> pd.DataFrame:
        of_value, of_deed = found[: len(by_value.asked)], found[len(by_value.asked) :]
        parts = [
            by_value.finish(of_value).assign(split_by=cohort_property),
            by_deed.finish(of_deed).assign(split_by=EARLY_DEED),
        ]
        return pd.concat(parts, ignore_index=True)

    return Waiting([*by_value.asked, *by_deed.asked], finish)


def _unknown_property(events: ir.Table, name: str | None) -> str | None:
    if not name:
        return not_asked("give `cohort_property` a property")
    return unknown_names(events, event_names=[], properties=[name])


def _by_property(found: Tables) -> pd.DataFrame:
    rows = found[0].order_by(["cohort", "period_from"]).to_pandas().rename(columns={"cohort": "segment"})
    return rows.assign(place=rows.groupby("segment", dropna=False)["users"].transform("max")).sort_values(
        ["place", "segment", "period_from"], ascending=[False, True, True], kind="stable"
    )


def later_returns(asked: RetentionQuestion, within: str) -> list[int]:
    """The asked periods that lie wholly after the time in which users had the chance to qualify."""
    days = parse_window(within).total_seconds() / 86_400
    # A calendar period begins up to one period earlier than a rolling one: a start late on its day.
    early = 1 if asked.counting == "calendar" else 0
    return [number for number in asked.returns if (number - early) * PERIOD_DAYS[asked.period] >= days]


def _unknown_deed(events: ir.Table, asked: RetentionQuestion, event: str | None, within: str) -> str | None:
    if not event:
        return not_asked("give `behaviour_event` an event")
    if not later_returns(asked, within):
        return f"no asked period lies wholly after the {span_words(within)} in which users qualify; ask for a later one"
    return unknown_names(events, event_names=[event])
