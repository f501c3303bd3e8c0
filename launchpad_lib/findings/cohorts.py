"""What the cohort page says: every sentence from results, none stronger than they are."""

from __future__ import annotations

import pandas as pd

from launchpad_lib.contract.estimates import Estimate
from launchpad_lib.contract.findings import Conclusion, Finding, conclusion
from launchpad_lib.contract.sentences import counted, ended, named, without_subject
from launchpad_lib.contract.wording import amount, is_missing, percent, rate
from launchpad_lib.findings.change import SEVERITIES, Change, change_words, changed, moved_words
from launchpad_lib.findings.lifecycle_results import ALL_USERS, GROUP, last_complete
from launchpad_lib.findings.retention_results import EARLY_DEED, RetentionQuestion, retention_on
from launchpad_lib.findings.rows import NOT_ASKED, not_answered, of_enough, proved_at, reason_in, standing
from launchpad_lib.inference import unequal_rates_p
from launchpad_lib.metrics.returning import FEWER

SURE = 0.05


def cohort_conclusion(
    asked: RetentionQuestion,
    *,
    result: pd.DataFrame,
    shift: pd.DataFrame,
    segments: pd.DataFrame,
    life: pd.DataFrame,
    lifetime: pd.DataFrame,
    cohort_property: str | None,
    lifecycle_period: str,
    smallest_change: float,
) -> Conclusion:
    """The verdict is who comes back; the findings are whether later cohorts do better, for whom, and who is gone."""
    if asked.refused_because:
        return not_answered(asked.refused_because)
    return conclusion(
        cohort_verdict(asked, result),
        [
            *proved_at("do-later-cohorts-do-better", later_cohorts(asked, shift, smallest_change)),
            *proved_at("for-whom", who_comes_back_by(asked, segments, cohort_property)),
            *proved_at("for-whom", by_early_deed(asked, segments)),
            *proved_at("who-comes-back-and-when", who_comes_back(asked, result)),
            *proved_at("new-returning-resurrected-dormant", where_users_come_from(life, lifecycle_period)),
            *proved_at("how-long-do-they-stay", how_long_they_stay(lifetime, cohort_property)),
        ],
    )


def cohort_verdict(asked: RetentionQuestion, result: pd.DataFrame) -> str:
    """Retention in the first and in the last asked period; rates only from `min_cell` users on."""
    first = retention_on(result, asked, asked.returns[0])
    last = retention_on(result, asked, asked.horizon)
    of = f"users that start with {named(asked.start_event)}" if asked.start_event else "users"
    if first.is_refused:
        return f"No {of} have been observed to the end of {asked.period} {asked.returns[0]}."
    if first.n is None or first.n < asked.min_cell:
        return f"Too few {of} are observed to say how many come back: {first.n:,}."
    after = f"After {named(asked.start_event)} " if asked.start_event else ""
    one = f"{after}{percent(first.value)} of users come back on {asked.period} {asked.returns[0]}"
    if asked.horizon == asked.returns[0] or last.is_refused or last.n is None or last.n < asked.min_cell:
        return f"{one}."
    return f"{one}, {percent(last.value)} on {asked.period} {asked.horizon}."


def who_comes_back(asked: RetentionQuestion, result: pd.DataFrame) -> list[Finding]:
    """Each asked period with its interval and its own base, and any return up to the horizon."""
    found = {number: retention_on(result, asked, number) for number in asked.returns}
    told = [
        f"{asked.period} {k}: {rate(e.value, e.ci_low, e.ci_high, e.n)}" for k, e in found.items() if not e.is_refused
    ]
    open_ones = [f"{asked.period} {k}" for k, e in found.items() if e.is_refused]
    sentences = [f"Came back on {'; '.join(told)}."] if told else []
    if asked.returns[0] < asked.horizon:
        ever = retention_on(result, asked, asked.returns[0], asked.horizon)
        span = f"any {asked.period} from {asked.returns[0]} to {asked.horizon}"
        if not ever.is_refused:
            sentences.append(f"On {span}: {rate(ever.value, ever.ci_low, ever.ci_high, ever.n)}.")
    if open_ones:
        sentences.append(f"Nobody has been observed to the end of {', '.join(open_ones)}.")
    most = max((e.n or 0 for e in found.values() if not e.is_refused), default=0)
    return [of_enough(" ".join(sentences), n=most, min_cell=asked.min_cell)]


def later_cohorts(asked: RetentionQuestion, shift: pd.DataFrame, smallest_change: float) -> list[Finding]:
    """Whether later cohorts come back more or less: yes, by less than what matters, or these data cannot tell."""
    row, when = shift.iloc[0], f"on {asked.period} {asked.returns[0]}"
    if not is_missing(row["refused_because"]):
        said = ended(f"Whether later cohorts come back more {when} cannot be said: {row['refused_because']}")
        return [Finding("unknown", "wait", said)]
    kind = changed(Estimate(row["absolute_lift"], row["ci_low"], row["ci_high"]), smallest_change)
    severity, verb = SEVERITIES[kind]
    words = change_words(f"retention {when}", kind, smallest_change)
    sentence = f"{words} in the cohorts from {row['later_from']}, against earlier ones: {moved_words(row)} users."
    since = row["later_from"] if kind in (Change.UP, Change.DOWN) else None
    users = int(row["n_after"]) if kind is Change.DOWN else None
    return [Finding(severity, verb, sentence, users=users, since=since)]


def who_comes_back_by(asked: RetentionQuestion, segments: pd.DataFrame, cohort_property: str | None) -> list[Finding]:
    """Whether segments come back differently in the first asked period; a difference is no effect of the segment."""
    own = segments[segments["split_by"] != EARLY_DEED]
    reason = reason_in(own)
    if reason:
        if reason.startswith(NOT_ASKED):
            return []
        return [Finding("unknown", "find out", ended(f"By {named(cohort_property)}: {without_subject(reason)}"))]
    when = f"on {asked.period} {asked.returns[0]}"
    rows = standing(own)
    rows = rows[(rows["period_from"] == asked.returns[0]) & (rows["users"] >= asked.min_cell)]
    rows = rows.sort_values("retention_rate", kind="stable")
    by = named(cohort_property)
    if len(rows) < 2:
        few = f"By {by}, fewer than two segments have {asked.min_cell} mature users, so none are compared."
        return [Finding("unknown", "wait", few)]
    span = f"from {_of_segment(rows.iloc[0])} to {_of_segment(rows.iloc[-1])}"
    p = unequal_rates_p(rows["retained"].astype(int).tolist(), rows["users"].astype(int).tolist())
    if p is not None and p <= SURE:
        said = f"By {by}, retention {when} differs by more than chance, {span}; that is no effect of {by}."
        return [Finding("watch", "look", said)]
    return [Finding("unknown", "wait", f"By {by}, segments cannot be told apart {when}: {span}.")]


def _of_segment(row: pd.Series) -> str:
    name = "no value" if is_missing(row["segment"]) else named(row["segment"])
    return f"{percent(row['retention_rate'])} of {int(row['users']):,} for {name}"


def by_early_deed(asked: RetentionQuestion, segments: pd.DataFrame) -> list[Finding]:
    """Those who did something early beside those who did not; they chose to, so the difference is no effect of it."""
    own = segments[segments["split_by"] == EARLY_DEED]
    reason = reason_in(own)
    if reason:
        if reason.startswith(NOT_ASKED):
            return []
        return [Finding("unknown", "find out", ended(f"By early behaviour: {without_subject(reason)}"))]
    rows = standing(own)
    rows = rows[(rows["users"] >= asked.min_cell) & (rows["period_from"] == rows["period_from"].min())]
    if len(rows) < 2:
        few = f"By early behaviour, fewer than two groups have {asked.min_cell} mature users, so none are compared."
        return [Finding("unknown", "wait", few)]
    when = f"on {asked.period} {int(rows['period_from'].iloc[0])}"
    said = " and ".join(_of_doers(row) for _, row in rows.iterrows())
    sentence = f"By early behaviour, retention {when} is {said}; users chose, so this is no effect."
    return [Finding("fine", "nothing", sentence)]


def _of_doers(row: pd.Series) -> str:
    who = "others" if row["segment"] == FEWER else f"with {named(row['segment'])} of their start"
    return f"{percent(row['retention_rate'])} of {int(row['users']):,} {who}"


def where_users_come_from(life: pd.DataFrame, lifecycle_period: str) -> list[Finding]:
    """The accounts of the last complete period."""
    newest = last_complete(life)
    if newest is None:
        return [
            Finding("unknown", "wait", f"No local {lifecycle_period} is complete yet, so nobody can be called dormant.")
        ]
    active = counted(newest["active"], "user")
    parts = ", ".join(f"{int(newest[state]):,} {state}" for state in ("new", "returning", "resurrected"))
    went = f"{int(newest['dormant']):,} of the {lifecycle_period} before stayed away"
    return [
        Finding("fine", "nothing", f"{active} in the {lifecycle_period} from {newest['period_on']}: {parts}; {went}.")
    ]


def how_long_they_stay(lifetime: pd.DataFrame, cohort_property: str | None) -> list[Finding]:
    """The median lifetime, and whether groups differ in it."""
    everybody = lifetime[lifetime["scope"] == ALL_USERS].iloc[0]
    if not is_missing(everybody["refused_because"]):
        found = [
            Finding("unknown", "wait", ended(f"How long users stay cannot be said: {everybody['refused_because']}"))
        ]
    else:
        low, high = (None if is_missing(everybody[k]) else everybody[k] for k in ("ci_low", "ci_high"))
        span = "" if low is None or high is None else f" ({amount(low, digits=1)} to {amount(high, digits=1)})"
        days = f"{amount(everybody['median_days'], digits=1)}{span} days"
        found = [Finding("fine", "nothing", f"Half of {counted(everybody['users'], 'user')} are gone after {days}.")]
    p = everybody["log_rank_p"]
    if is_missing(p):
        return found
    groups = counted((lifetime["scope"] == GROUP).sum(), "group")
    by = named(cohort_property)
    if p is not None and p <= SURE:
        said = f"By {by}, how long users stay differs by more than chance over {groups}; that is no effect of {by}."
        return [*found, Finding("watch", "look", said)]
    return [*found, Finding("unknown", "wait", f"By {by}, {groups} cannot be told apart in how long users stay.")]
