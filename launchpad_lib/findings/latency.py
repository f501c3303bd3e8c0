"""What the latency page says: what got slower, what fell silent, what burns its budget, and what these data cannot
show.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from launchpad_lib.contract.estimates import Estimate, refusal
from launchpad_lib.contract.findings import Conclusion, Finding, conclusion
from launchpad_lib.contract.sentences import counted, listed, named
from launchpad_lib.contract.wording import amount, is_missing, percent, rate
from launchpad_lib.contract.worst import Worst
from launchpad_lib.findings.budgets import what_burns

SLOWER, SINCE, SILENT = "which-features-became-slower", "since-when", "who-fell-silent"
STABLE = "how-stable-is-each-feature"


def latency_conclusion(
    health: pd.DataFrame,
    regressions: pd.DataFrame,
    silence: pd.DataFrame,
    budgets: pd.DataFrame,
    *,
    outages: pd.DataFrame,
    left_out: pd.DataFrame,
    crashiest: Worst,
    called: Mapping[str, str],
    window_days: int,
    smallest_rise: float,
) -> Conclusion:
    """The verdict says what got slower; the findings say how much, since when, and what could not be judged.

    Args:
        health: of `health_table`. regressions, silence, budgets: the tables of the page. outages: silences that are
            over. left_out: days of no level.
        crashiest: the lowest share of crash-free users.
        called: what people call a feature, by id.
    """
    names = {str(f): named(called.get(str(f), str(f))) for f in health["feature_id"]}
    burning = list(dict.fromkeys(budgets.loc[budgets["is_alert"].fillna(False).astype(bool), "feature_id"]))
    return conclusion(
        latency_verdict(health, _worse(regressions, health), silence, burning, names),
        [
            *what_got_slower(regressions, health, names, smallest_rise),
            *what_fell_silent(silence, names),
            *what_was_silent(outages, names),
            *what_burns(budgets, names),
            *largest_rise(regressions, names, window_days),
            *slow_days(left_out, regressions, names),
            *what_crashes(crashiest),
            *what_cannot_be_told(health, silence, names),
            *what_is_healthy(health),
        ],
    )


def latency_verdict(
    health: pd.DataFrame, worse: list[str], silence: pd.DataFrame, burning: list[str], names: Mapping[str, str]
) -> str:
    """At most 16 words beside names: what got slower and what fell silent; else how far the data could see."""
    slow = [names[f] for f in worse]
    silent = [names[f] for f in _silent(silence)]
    parts = [f"{listed(slow, most=2)} got slower"] if slow else []
    parts += [f"{listed(silent, most=2)} fell silent"] if silent else []
    if parts:
        return f"{' and '.join(parts)}."
    judged, total = int((health["state"] == "healthy").sum()), len(health)
    if burning:
        verb = "burns its" if len(burning) == 1 else "burn their"
        said = "; nothing got slower that these data could show" if judged else "; slowness cannot be told"
        return f"{listed([names[f] for f in burning], most=2)} {verb} error budget{said}."
    if not judged:
        return "These data cannot show whether a feature got slower."
    missed = f"; {total - judged} of {total} features could not be judged" if judged < total else ""
    return f"Nothing got slower that these data could show{missed}."


def regression_count(health: pd.DataFrame, *, window_days: int, sustained_days: int, smallest_rise: float) -> Estimate:
    """How many features got slower, of those that could be judged; refused where none could."""
    judged = int(health["state"].isin(["worse", "healthy"]).sum())
    rules = {
        "smallest_rise": percent(smallest_rise),
        "window_days": window_days,
        "sustained_days": sustained_days,
        "unjudged": len(health) - judged,
    }
    if not judged:
        reason = str(health["reason"].iloc[0]) if len(health) else "telemetry has no row"
        return refusal(f"no feature could be judged: {reason}", n=0, **rules)
    return Estimate(float((health["state"] == "worse").sum()), n=judged, rules=rules)


def silent_count(silence: pd.DataFrame) -> Estimate:
    """How many features fell silent, of those whose usual rhythm is known."""
    known = silence["is_silent"].dropna()
    if known.empty:
        return refusal("no feature has telemetry on enough days to say when it would be silent", n=0)
    return Estimate(float(known.sum()), n=len(known))


def what_got_slower(
    regressions: pd.DataFrame, health: pd.DataFrame, names: Mapping[str, str], smallest_rise: float
) -> list[Finding]:
    """One finding per feature that is worse, with its size and its date."""
    users = health.set_index("feature_id")["users"]
    worse = _worse(regressions, health)
    found = []
    for row in regressions[regressions["feature_id"].isin(worse)].to_dict("records"):
        hurt = users[row["feature_id"]]
        found.append(
            Finding(
                "act",
                "fix",
                f"{names[row['feature_id']]}: {_level_words(row, smallest_rise)}.",
                feature_id=row["feature_id"],
                anchor=SLOWER,
                users=None if is_missing(hurt) else int(hurt),
                since=f"{row['shift_on']:%Y-%m-%d}",
            )
        )
    return found


def _worse(regressions: pd.DataFrame, health: pd.DataFrame) -> list[str]:
    """Ids of the features that are worse, largest change first."""
    worse = set(health.loc[health["state"] == "worse", "feature_id"])
    return [f for f in regressions["feature_id"] if f in worse]


def _level_words(row: dict, smallest_rise: float) -> str:
    first, last = row["shift_first_on"], row["shift_last_on"]
    between = "dated to the day" if first == last else f"between {first:%d %b} and {last:%d %b}"
    near = "" if is_missing(row.get("annotation")) else f", near {named(row['annotation'])}"
    span = f"95 % interval {row['shift_low']:.2f} to {row['shift_high']:.2f}"
    return (
        f"the daily p95 latency is {row['shift_ratio']:.2f} times what it was ({span})"
        f" since {row['shift_on']:%d %b %Y} ({between}){near};"
        f" a rise of over {percent(smallest_rise)} has a probability of {_probability(row['shift_probability'])}"
    )


def _probability(p: float) -> str:
    """Whole percent, and never sure."""
    return "over 99 %" if p >= 0.995 else "under 1 %" if p < 0.005 else f"{100 * p:.0f} %"


def slow_days(left_out: pd.DataFrame, regressions: pd.DataFrame, names: Mapping[str, str]) -> list[Finding]:
    """Days out of line by themselves: incidents, which move no level."""
    rows = left_out[left_out["feature_id"].isin(regressions["feature_id"])]
    if rows.empty:
        return []
    newest = rows.sort_values(["observed_on", "feature_id"], ascending=[False, True])
    said = listed([f"{names[r['feature_id']]} on {r['observed_on']:%d %b %Y}" for r in newest.to_dict("records")])
    was = f"{counted(len(rows), 'day')} {'was' if len(rows) == 1 else 'were'} out of line"
    sentence = f"{was} and over at once ({said}): an incident, no change of level."
    return [Finding("watch", "look", sentence, anchor=SINCE)]


def _ratio_words(row: dict) -> str:
    span = f"95 % interval {row['ci_low']:.2f} to {row['ci_high']:.2f}"
    return f"{amount(row['before'], 'ms')} to {amount(row['after'], 'ms')}, times {row['ratio']:.2f} ({span})"


def _days(days: int) -> str:
    return counted(days, "day")


def _silent(silence: pd.DataFrame) -> list[str]:
    return silence.loc[silence["is_silent"].fillna(False).astype(bool), "feature_id"].tolist()


def what_fell_silent(silence: pd.DataFrame, names: Mapping[str, str]) -> list[Finding]:
    """One finding per silent feature: a missing day is no healthy one."""
    found = []
    for row in silence[silence["feature_id"].isin(_silent(silence))].to_dict("records"):
        usual = f"its longest gap before was {_days(row['longest_gap_days'] - 1)}"
        usual = "it had sent some every day before" if row["longest_gap_days"] == 1 else usual
        sentence = f"{names[row['feature_id']]} sent no telemetry for {_days(row['days_silent'])}; {usual}."
        since = f"{row['last_on'] + pd.Timedelta(days=1):%Y-%m-%d}"
        found.append(Finding("act", "find out", sentence, feature_id=row["feature_id"], anchor=SILENT, since=since))
    return found


def what_was_silent(outages: pd.DataFrame, names: Mapping[str, str]) -> list[Finding]:
    """One finding per silence that is over, newest first; features that were silent together share one."""
    found = []
    for (start, end), rows in outages.groupby(["started_at", "ended_at"]):
        whose = listed([names.get(f, named(f)) for f in rows["feature_id"]])
        until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%d %b %H:%M}"
        usual = f"about {rows['expected'].sum():,.0f} observations are usual then"
        sentence = f"{whose} sent no telemetry from {start:%d %b %Y %H:%M} to {until}; {usual}: silence, no errors."
        only = rows["feature_id"].iloc[0] if len(rows) == 1 else None
        since = f"{start:%Y-%m-%d}"
        found.append(Finding("watch", "find out", sentence, feature_id=only, anchor=SILENT, since=since))
    return found[::-1]


def largest_rise(regressions: pd.DataFrame, names: Mapping[str, str], window_days: int) -> list[Finding]:
    """The largest change between the two windows, where it is no regression."""
    known = regressions[regressions["ratio"].notna()].sort_values(["ratio", "feature_id"], ascending=[False, True])
    if known.empty or known["is_regression"].iloc[0]:
        return []
    row = known.iloc[0].to_dict()
    caution = "; the largest of several overstates" if len(known) > 1 else ""
    said = f"The largest change over the last {_days(window_days)} is that of {names[row['feature_id']]}"
    open_words = "; these data cannot tell it from none" if row["ci_low"] <= 1 <= row["ci_high"] else ""
    sentence = f"{said}: p95 latency {_ratio_words(row)}{open_words}{caution}."
    told = Finding("watch", "look", sentence, feature_id=row["feature_id"], anchor=SLOWER)
    return [told._replace(severity="unknown", verb="wait") if open_words else told]


def what_crashes(crashiest: Worst) -> list[Finding]:
    """The lowest share of crash-free users, or that crashes are not known."""
    found = crashiest.estimate
    if found.is_refused:
        return [Finding("unknown", "find out", f"Crashes cannot be told: {found.refused_because}.", anchor=STABLE)]
    numbers = rate(found.value, found.ci_low, found.ci_high, found.n)
    if found.value == 1:
        return [Finding("fine", "nothing", f"No crash was observed: crash-free users are {numbers}.", anchor=STABLE)]
    said = f"The lowest share of crash-free users is {numbers}, in {named(crashiest.segment)}."
    return [Finding("watch", "look", said, anchor=STABLE)]


def what_cannot_be_told(health: pd.DataFrame, silence: pd.DataFrame, names: Mapping[str, str]) -> list[Finding]:
    """Which features could not be judged, and why; those that fell silent have a finding of their own."""
    silent = set(_silent(silence))
    rows = health[(health["state"] == "cannot tell") & ~health["feature_id"].isin(silent)]
    if rows.empty:
        return []
    why = [f"{names[r['feature_id']]} ({r['reason']})" for r in rows.to_dict("records")]
    said = f"{len(rows)} of {counted(len(health), 'feature')} could not be judged: {listed(why)}."
    return [Finding("unknown", "wait", said, anchor=SLOWER)]


def what_is_healthy(health: pd.DataFrame) -> list[Finding]:
    """Of how many features it can be said that no rise was found, and how large one had to be."""
    rows = health[health["state"] == "healthy"]
    if rows.empty:
        return []
    rise = 100 * (rows["detectable_ratio"].astype(float).median() - 1)
    typical = "" if len(rows) == 1 else " in half of them"
    least = f"{rise:.0f} %" if rise >= 0.5 else "under 1 %"
    seen = f"a rise of {least} would be found 8 times in 10{typical}"
    said = f"In {len(rows)} of {counted(len(health), 'feature')} no rise was found; {seen}."
    return [Finding("fine", "nothing", said, anchor=SLOWER)]
