"""What the page of incidents says: what is out of the ordinary now, what was and is over, who fell silent, and what
could not be judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

import pandas as pd

from launchpad_lib.contract.estimates import Estimate, refusal
from launchpad_lib.contract.findings import Conclusion, Finding, conclusion, refused_conclusion
from launchpad_lib.contract.sentences import counted, listed, named
from launchpad_lib.contract.wording import is_missing, percent
from launchpad_lib.trends import BUDGETS, Watched, watched
from launchpad_lib.trends.incidents import Bucket

WHEN, WATCHED = "when-was-a-signal-out-of-the-ordinary", "what-was-watched"
MOST_NAMED = 8
WORDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "p95_latency_ms": ("p95 latency", "ms"),
        "error_rate": ("error rate", "%"),
        "crash_rate": ("crash rate", "%"),
        "mean_feedback_score": ("mean feedback score", ""),
        "observations": ("number of observations", ""),
    }
)
"""How signals of observations are called in a sentence, and their unit; others are called by their own names."""

RECENT = pd.Timedelta(days=7)


def incident_results(
    series: pd.DataFrame, *, bucket: Bucket, through: datetime, false_alarms: float | None, min_observations: int = 1
) -> Watched:
    """Incidents of every series (`trends.watched`); the budget of a feature is shared by its signals.

    Args:
        series: of `metrics.signals.signal_series`.
        false_alarms: budget of a healthy feature in 30 days; `trends.BUDGETS` where none is named.
        min_observations: fewer say nothing.
    """
    allowed = BUDGETS[bucket] if false_alarms is None else false_alarms
    signals = series.groupby("feature_id")["signal"].nunique()
    parts = [
        watched(
            series[series["feature_id"].isin(signals.index[signals == n])],
            bucket=bucket,
            through=through,
            budget=allowed / n,
            min_observations=min_observations,
        )
        for n in sorted(signals.unique())
    ] or [watched(series, bucket=bucket, through=through)]
    keys = ["feature_id", "signal"]
    return Watched(
        pd.concat([p.incidents for p in parts]).sort_values([*keys, "started_at"]).reset_index(drop=True),
        pd.concat([p.series for p in parts]).sort_values(keys).reset_index(drop=True),
    )


def now_count(found: Watched, *, bucket: str) -> Estimate:
    """How many series are in an incident now, of those that could be judged."""
    judged = found.series[found.series["refused_because"].isna()]
    silent = int(found.series["is_silent"].fillna(False).sum())
    rules = {"bucket": bucket, "unjudged": len(found.series) - len(judged), "silent": silent}
    if judged.empty:
        return refusal(_why_nothing(found), n=0, **rules)
    return Estimate(float(judged["is_incident_now"].sum()), n=len(judged), rules=rules)


def seen_count(found: Watched, *, bucket: str, false_alarms: float | None) -> Estimate:
    """How many incidents the whole history has, of so many judged buckets."""
    judged = int(found.series["judged"].sum())
    rules = {"budget": f"{BUDGETS[bucket] if false_alarms is None else false_alarms:g}"}
    if not judged:
        return refusal(_why_nothing(found), n=0, **rules)
    return Estimate(float(len(found.incidents)), n=judged, rules=rules)


def incidents_conclusion(
    found: Watched, *, bucket: str, false_alarms: float | None, through: datetime, called: Mapping[str, str]
) -> Conclusion:
    """The verdict says what is out of the ordinary now, or else lately; a page on which nothing could be judged is
    refused.
    """
    judged = found.series[found.series["refused_because"].isna()]
    if judged.empty:
        return refused_conclusion(_why_nothing(found))
    names = {f: named(called.get(f, f)) for f in found.series["feature_id"]}
    current = found.incidents[found.incidents["ended_at"].isna()].merge(
        judged.loc[judged["is_incident_now"], ["feature_id", "signal"]], on=["feature_id", "signal"]
    )
    recent = found.incidents[found.incidents["ended_at"] > pd.Timestamp(through) - RECENT]
    is_silent = found.series["is_silent"].fillna(False).astype(bool)
    unknown = found.series["is_silent"].isna()
    whole = (is_silent | unknown).groupby(found.series["feature_id"]).transform("all")
    silent = found.series.assign(is_all_of_it=whole)[is_silent]
    budget = BUDGETS[bucket] if false_alarms is None else false_alarms
    return conclusion(
        _verdict(current, recent, silent, names, found.series),
        [
            *_incident_findings(current, names, going_on=True),
            *_silent_findings(silent, names, bucket=bucket),
            *_incident_findings(recent, names, going_on=False),
            *_unjudged_findings(found.series, names),
            *_quiet_findings(judged, found.incidents, bucket=bucket, budget=budget),
        ],
    )


def _verdict(
    current: pd.DataFrame, recent: pd.DataFrame, silent: pd.DataFrame, names: Mapping[str, str], series: pd.DataFrame
) -> str:
    now, quiet, lately = (list(dict.fromkeys(names[f] for f in one["feature_id"])) for one in (current, silent, recent))
    parts = [f"{listed(now, most=2)} {'is' if len(now) == 1 else 'are'} out of the ordinary now"] if now else []
    parts += [f"{listed(quiet, most=2)} fell silent"] if quiet else []
    if parts:
        return f"{' and '.join(parts)}."
    judged = int(series["refused_because"].isna().sum())
    among = "" if judged == len(series) else f" among the {judged:,} of {len(series):,} signals that could be judged"
    if lately:
        return f"Nothing is out of the ordinary now{among}; {listed(lately, most=2)} had an incident in the last week."
    return f"Nothing is out of the ordinary now, nor was in the last week{among}."


def _incident_findings(rows: pd.DataFrame, names: Mapping[str, str], *, going_on: bool) -> list[Finding]:
    found = []
    newest = rows.sort_values(["detected_at", "feature_id", "signal"], ascending=[False, True, True], kind="stable")
    for row in newest.head(MOST_NAMED).to_dict("records"):
        users = None if is_missing(row.get("users")) else int(row["users"])
        since = f"{row['started_at']:%Y-%m-%d}"
        said = f"{_out_of_the_ordinary(row, names, going_on=going_on)}{_met_by(users)}."
        severity, verb = ("act", "find out") if going_on else ("watch", "look")
        found.append(
            Finding(severity, verb, said, feature_id=row["feature_id"], anchor=WHEN, users=users, since=since)  # type: ignore[arg-type]
        )
    if len(rows) > MOST_NAMED:
        more = (
            f"{counted(len(rows) - MOST_NAMED, 'more incident')} {'go on' if going_on else 'ended in the last week'}."
        )
        found.append(Finding("watch", "look", more, anchor=WHEN))
    return found


def _out_of_the_ordinary(row: dict, names: Mapping[str, str], *, going_on: bool) -> str:
    """What was how far from what was expected, and from when to when."""
    what, unit = WORDS.get(row["signal"], (named(row["signal"]), ""))
    of = "" if unit != "%" or is_missing(row.get("observations")) else f" of {int(row['observations']):,} observations"
    level = f"{_level(row['value'], unit)}{of} where {_level(row['expected'], unit)} was expected"
    side = "high" if row["size"] > 0 else "low"
    begun = f"{row['started_at']:%d %b %Y %H:%M}"
    subject = (
        f"The {what} of {names[row['feature_id']]}"
        if row["signal"] in WORDS
        else f"{what} of " + names[row["feature_id"]]
    )
    if going_on:
        return f"{subject} is unusually {side} since {begun}: {level}"
    return f"{subject} was unusually {side} from {begun} to {row['ended_at']:%d %b %Y %H:%M}: {level}; it is over"


def _level(value: float, unit: str) -> str:
    return percent(value) if unit == "%" else f"{value:,.4g} {unit}".strip()


def _met_by(users: int | None) -> str:
    return "" if users is None else f"; {counted(users, 'user')} met it"


def _silent_findings(silent: pd.DataFrame, names: Mapping[str, str], *, bucket: str) -> list[Finding]:
    found = []
    for feature_id, rows in silent.groupby("feature_id", sort=True):
        signals = listed([WORDS.get(s, (named(s), ""))[0] for s in rows["signal"]])
        last = rows["last_at"].max()
        whole = f"{names[feature_id]} fell silent: it has no value after the {bucket} of {last:%d %b %Y %H:%M}."
        verb = "has" if len(rows) == 1 else "have"
        part = f"{signals} of {names[feature_id]} {verb} no value after the {bucket} of {last:%d %b %Y %H:%M}."
        said = whole if rows["is_all_of_it"].all() else part
        found.append(Finding("act", "find out", said, feature_id=feature_id, anchor=WATCHED, since=f"{last:%Y-%m-%d}"))
    return found


def _unjudged_findings(series: pd.DataFrame, names: Mapping[str, str]) -> list[Finding]:
    rows = series[series["refused_because"].notna()]
    if rows.empty:
        return []
    why = [
        f"{named(r['signal'])} of {names[r['feature_id']]} ({r['refused_because']})" for r in rows.to_dict("records")
    ]
    said = f"{len(rows)} of {counted(len(series), 'series', 'series')} could not be judged: {listed(why)}."
    return [Finding("unknown", "wait", said, anchor=WATCHED)]


def _quiet_findings(judged: pd.DataFrame, incidents: pd.DataFrame, *, bucket: str, budget: float) -> list[Finding]:
    n = int((judged["incidents"] == 0).sum())
    alarms = "false alarm" if budget == 1 else "false alarms"
    allowed = f"a healthy feature may raise up to {budget:g} {alarms} in 30 days"
    if n == len(judged):
        said = f"No incident was found in {counted(n, 'series', 'series')}; {allowed}."
        return [Finding("fine", "nothing", said, anchor=WHEN)]
    total = counted(len(incidents), "incident")
    over = counted(len(judged), "series", "series")
    said = f"{total} in the whole history of {over}, in buckets of {bucket}; {allowed}."
    return [Finding("watch", "look", said, anchor=WHEN)]


def _why_nothing(found: Watched) -> str:
    reasons = found.series["refused_because"].dropna()
    if reasons.empty:
        return "neither telemetry nor the table series has a row"
    return f"no series could be judged: {reasons.iloc[0]}"
