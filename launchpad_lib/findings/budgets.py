"""What the latency page says of error budgets: what burns, what burned and is over, what is left, and until when."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from launchpad_lib.contract.estimates import Estimate, refusal
from launchpad_lib.contract.findings import Finding
from launchpad_lib.contract.sentences import counted, listed, named
from launchpad_lib.contract.wording import is_missing, percent

BUDGETS = "is-an-error-budget-burning"
NOT_ASKED = "no feature declares an objective for errors, latency, crashes or availability"
WORDS: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "errors": ("error budget", "observation", "failed"),
        "latency": ("latency budget", "observation", "were slower than its limit"),
        "crashes": ("crash budget", "user-day", "had a crash"),
        "availability": ("availability budget", "observation", "failed"),
    }
)
"""How the budget of each objective is called, what it counts, and what went wrong with it."""

STATES = ("burns now", "burned before", "spent", "cannot tell", "within")
SHOWN = ("feature_id", "signal", "state", "sli_rate", "objective_rate", "budget_left_share", "used_up")
SHOWN_WINDOWS = ("feature_id", "signal", "long_hours", "burn_long", "burn_short", "factor", "is_alert")


def objectives_table(budgets: pd.DataFrame) -> pd.DataFrame:
    """Grain: one row per feature and objective, the worst first: its state, what was reached, what is left and when it
    is used up.

    `state`: burns now, burned before, spent (the objective is missed), cannot tell, within. The burn of the date is
    that of the alert that fires now, otherwise that of the longest window.

    Args:
        budgets: of `trends.budget_table`.
    """
    rows = []
    for (feature, signal), windows in budgets.groupby(["feature_id", "signal"], sort=False):
        now = windows[_true(windows["is_alert"])]
        before = windows[_true(windows["was_alert"])]
        row = (now.iloc[0] if len(now) else windows.iloc[-1]).to_dict()
        worst = before.loc[before["worst_burn"].astype(float).fillna(0).idxmax()] if len(before) else windows.iloc[-1]
        rows.append(
            {
                "feature_id": feature,
                "signal": signal,
                "state": _state(windows, row),
                "sli_rate": row["sli"],
                "objective_rate": 1 - row["budget"],
                "observations": row["events"],
                "budget_left_share": row["budget_left"],
                "worst_burn": worst["worst_burn"],
                "worst_at": worst["worst_at"],
                "used_up": _used_up_cell(row),
                **{c: row[c] for c in ("used_up_at", "used_up_first_at", "used_up_last_at")},
            }
        )
    names = (
        "feature_id signal state sli_rate objective_rate observations budget_left_share worst_burn worst_at used_up "
        "used_up_at used_up_first_at used_up_last_at"
    )
    table = pd.DataFrame(rows, columns=names.split())
    return table.sort_values("state", key=lambda c: c.map(STATES.index), kind="stable").reset_index(drop=True)


def _true(flags: pd.Series) -> pd.Series:
    return flags.fillna(False).astype(bool)


def _state(windows: pd.DataFrame, row: Mapping) -> str:
    if _true(windows["is_alert"]).any():
        return "burns now"
    if _true(windows["was_alert"]).any():
        return "burned before"
    if windows["is_alert"].isna().all():
        return "cannot tell"
    return "spent" if not is_missing(row["budget_left"]) and row["budget_left"] <= 0 else "within"


def _used_up_cell(row: Mapping) -> str:
    if not is_missing(row["used_up_refused"]):
        return str(row["used_up_refused"])
    return _used_up_words(row) or "not at this rate"


def _used_up_words(row: Mapping) -> str | None:
    """The date and its interval; None where it is not used up within a period.

    >>> dates = {f"used_up_{c}": pd.Timestamp(d) for c, d in {"at": "2026-01-12", "first_at": "2026-01-09"}.items()}
    >>> _used_up_words({**dates, "used_up_last_at": pd.Timestamp("2026-01-20")})
    '12 Jan 2026, 9 to 20 Jan'
    >>> _used_up_words({**dates, "used_up_last_at": None})
    '12 Jan 2026, 9 Jan or later, or never'
    """
    if is_missing(row["used_up_at"]):
        return None
    first, last = row["used_up_first_at"], row["used_up_last_at"]
    date = f"{row['used_up_at']:%-d %b %Y}"
    if is_missing(last):
        return f"{date}, {first:%-d %b} or later, or never"
    if first.date() == last.date():
        return date
    begin = f"{first:%-d}" if (first.year, first.month) == (last.year, last.month) else f"{first:%-d %b}"
    return f"{date}, {begin} to {last:%-d %b}"


def alert_count(budgets: pd.DataFrame) -> Estimate:
    """How many features burn an error budget, of those with an objective that could be judged."""
    if budgets.empty:
        return refusal(f"not asked: {NOT_ASKED}", n=0)
    judged = budgets[budgets["is_alert"].notna()]
    if judged.empty:
        return refusal(str(budgets["refused_because"].iloc[-1]), n=0)
    alerts = judged.loc[judged["is_alert"].astype(bool), "feature_id"].nunique()
    return Estimate(float(alerts), n=int(judged["feature_id"].nunique()))


def what_burns(budgets: pd.DataFrame, names: Mapping[str, str]) -> list[Finding]:
    """One finding per objective with an alert, now or over; otherwise of how many features it could be said that there
    is none.
    """
    if budgets.empty:
        return [Finding("unknown", "declare", f"Error budgets are not asked: {NOT_ASKED}.", anchor=BUDGETS)]
    found: list[Finding] = []
    quiet, unjudged = 0, []
    for feature, objectives in budgets.groupby("feature_id"):
        whose, told = names.get(feature, named(feature)), len(found)
        for _, rows in objectives.groupby("signal", sort=False):
            alerts = rows[_true(rows["is_alert"])]
            if len(alerts):
                sentence = f"{whose} {_burn_words(alerts.iloc[0])}."
                found.append(Finding("act", "fix", sentence, feature_id=feature, anchor=BUDGETS))
            elif _true(rows["was_alert"]).any():
                sentence = f"{whose} {_over_words(rows)}."
                found.append(Finding("watch", "look", sentence, feature_id=feature, anchor=BUDGETS))
        if len(found) == told and objectives["is_alert"].notna().any():
            quiet += 1
        elif len(found) == told:
            unjudged.append(whose)
    if quiet:
        of = f"{quiet} of {counted(budgets['feature_id'].nunique(), 'feature')} with an objective"
        found.append(Finding("fine", "nothing", f"No error budget burns too fast in {of}.", anchor=BUDGETS))
    if unjudged:
        said = f"Whether an error budget burns cannot be told for {listed(unjudged)}: too few observations lately."
        found.append(Finding("unknown", "wait", said, anchor=BUDGETS))
    return found


def _burn_words(row: pd.Series) -> str:
    budget, unit, went_wrong = WORDS[row["signal"]]
    failures = f"{int(row['bad_long']):,} of {counted(row['events_long'], unit)}"
    hours = f"in the last {row['long_hours']:g} h"
    if not row["budget"]:
        return f"has an objective that allows no failure, and {failures} {went_wrong} {hours}"
    burn = f"{row['burn_long']:.1f} times as fast as its objective allows"
    date = None if not is_missing(row["used_up_refused"]) else _used_up_words(row)
    until = f"; at this rate used up on {date}" if date else ""
    is_spent = not is_missing(row["budget_left"]) and row["budget_left"] <= 0
    until = "; the period's budget is spent" if is_spent else until
    return f"burns its {budget} {burn}: {failures} {went_wrong} {hours}{until}"


def _over_words(rows: pd.DataFrame) -> str:
    """Of an alert that ended: how fast, when, and what is left of the budget."""
    row = rows[_true(rows["was_alert"])].iloc[0]
    when = f"on {row['worst_at']:%d %b %Y %H:%M}"
    if not row["budget"]:
        return f"has an objective that allows no failure, and one failed last {when}"
    left = row["budget_left"]
    rest = f"{percent(left)} of the period's budget is left" if left > 0 else "the period's budget is spent"
    budget = WORDS[row["signal"]][0]
    return f"burned its {budget} {row['worst_burn']:.1f} times as fast as its objective allows {when}; {rest}"
