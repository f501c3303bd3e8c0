"""What the risk page says: what is degraded now, then what may be next, and nothing from a score that could not be
tested.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from launchpad_lib.contract.catalogue.health_tables import RISK_SCORES
from launchpad_lib.contract.estimates import Estimate, estimate_of, refusal
from launchpad_lib.contract.findings import Conclusion, Finding, conclusion
from launchpad_lib.contract.sentences import counted, listed, named
from launchpad_lib.contract.wording import is_missing, percent
from launchpad_lib.contract.worst import Worst, worst_of
from launchpad_lib.findings.rows import declared, not_answered, not_asked, refused_rows
from launchpad_lib.risk import Evaluation, is_first_known, state_days

NOW, TESTED, NEXT = "what-is-degraded-now", "does-the-score-know-more-than-its-baselines", "what-may-be-next"
NO_OBJECTIVE = not_asked("no feature declares an objective")
NOT_TESTABLE = "Not testable: no probability is published"


def risk_conclusion(
    states: pd.DataFrame,
    evaluation: Evaluation,
    ranked: pd.DataFrame,
    *,
    users_per_week: pd.Series,
    called: Mapping[str, str],
    horizon_days: int,
) -> Conclusion:
    """State before prediction: the verdict is about now; the findings add what may be next, as far as it could be
    tested.

    Args:
        states: of `state_table`. ranked: of `published_scores`, in the order to look.
        users_per_week: by feature_id. called: what people call a feature, by id.
    """
    ids = {*states["feature_id"], *ranked["feature_id"]}
    names = {str(f): named(called.get(str(f), str(f))) for f in ids}
    if ranked.empty and not (states["state"] != "not asked").any():
        return not_answered(NO_OBJECTIVE, verdict=risk_verdict(states, evaluation, users_per_week, names))
    return conclusion(
        risk_verdict(states, evaluation, users_per_week, names),
        [
            *what_is_degraded(states, users_per_week, names),
            *what_may_be_next(ranked, evaluation, names, horizon_days),
            *which_score(evaluation),
            *what_cannot_be_judged(states, names),
            *what_is_fine(states),
        ],
    )


def risk_verdict(
    states: pd.DataFrame, evaluation: Evaluation, users_per_week: pd.Series, names: Mapping[str, str]
) -> str:
    """At most 16 words beside names: what is degraded now, and whether anything is said about later."""
    kinds = states["state"].value_counts()
    degraded = _by_users(states[states["state"] == "degraded now"], users_per_week)
    if not kinds.get("degraded now", 0) + kinds.get("healthy", 0):
        if kinds.get("cannot tell", 0):
            return "No feature with an objective can be judged now, so nothing is ranked."
        return "No feature declares an objective, so nothing can be degraded."
    later = "" if evaluation.refused_because is None else "; no probability is published"
    if degraded:
        verb = "is" if len(degraded) == 1 else "are"
        return f"{listed([names[f] for f in degraded], most=2)} {verb} degraded now{later}."
    whose = "No feature that could be judged" if kinds.get("cannot tell", 0) else "No feature with an objective"
    return f"{whose} is degraded now{later}."


def _by_users(rows: pd.DataFrame, users_per_week: pd.Series) -> list[str]:
    """Ids, most users first."""
    users = rows["feature_id"].map(users_per_week).fillna(0)
    return rows.assign(users=users).sort_values(["users", "feature_id"], ascending=[False, True])["feature_id"].tolist()


def degraded_count(states: pd.DataFrame, *, min_breach_days: int) -> Estimate:
    """How many features are degraded now, of those with an objective that could be judged."""
    rules = {"breach_days": min_breach_days, "state_days": state_days(min_breach_days)}
    judged = states["state"].isin(["degraded now", "healthy"])
    if not judged.any():
        asked = states[states["state"] == "cannot tell"]
        return refusal(str(asked["reason"].iloc[0]) if len(asked) else NO_OBJECTIVE, n=0, **rules)
    return Estimate(float((states["state"] == "degraded now").sum()), n=int(judged.sum()), rules=rules)


def score_estimate(evaluation: Evaluation, value: str, *, top: int) -> Estimate:
    """One measure of the score that is used, on later days; refused where the score could not be tested."""
    rules = {"score": evaluation.chosen or "none", "top": top}
    if evaluation.refused_because is not None:
        return refusal(evaluation.refused_because, n=0, **rules)
    row = evaluation.table.set_index("name").loc[evaluation.chosen]
    return estimate_of(row, value=value, n="n_test", ci=(f"{value}_low", f"{value}_high"), **rules)


def highest_impact(
    scored: pd.DataFrame, evaluation: Evaluation, *, called: Mapping[str, str], horizon_days: int
) -> Worst:
    """The feature whose degrading would hurt most; refused where no score could be tested."""
    untested = evaluation.refused_because and f"{NOT_TESTABLE}: {evaluation.refused_because}"
    reason = untested or "no healthy feature has a history to be scored by"
    counted_in = scored.assign(features=len(scored))
    return worst_of(
        counted_in,
        value="impact_score",
        n="features",
        worst="highest",
        reason=reason,
        names=called,
        horizon_days=horizon_days,
    )


def scores_table(evaluation: Evaluation) -> pd.DataFrame:
    """Grain: one row per score, or one row that says why none could be tested."""
    if evaluation.refused_because is not None:
        return refused_rows(RISK_SCORES, evaluation.refused_because)
    return declared(RISK_SCORES, evaluation.table)


def what_is_degraded(states: pd.DataFrame, users_per_week: pd.Series, names: Mapping[str, str]) -> list[Finding]:
    """One finding per feature that misses an objective now, most users first."""
    rows = states.set_index("feature_id")
    found = []
    for feature in _by_users(states[states["state"] == "degraded now"], users_per_week):
        row, users = rows.loc[feature], int(users_per_week.get(feature, 0))
        missed = f"its objective for {row['missed']}" if row["missed"] else "an objective"
        days = f"{row['days_missed']} of the last {counted(row['days_known'], 'day')} that can be judged"
        sentence = (
            f"{names[feature]} is degraded now: it missed {missed} on {days}, since {row['since_on']:%d %b %Y};"
            f" {counted(users, 'user')} in the last 7 days."
        )
        since = f"{row['since_on']:%Y-%m-%d}"
        found.append(Finding("act", "fix", sentence, feature_id=feature, anchor=NOW, users=users, since=since))
    return found


def what_may_be_next(
    ranked: pd.DataFrame, evaluation: Evaluation, names: Mapping[str, str], horizon_days: int
) -> list[Finding]:
    """Which of the healthy features to look at first, where the ranks can be told apart; otherwise that they cannot."""
    if evaluation.refused_because is not None:
        said = f"{NOT_TESTABLE}. {evaluation.refused_because[:1].upper()}{evaluation.refused_because[1:]}."
        return [Finding("unknown", "wait", said, anchor=NEXT)]
    if ranked.empty:
        return [Finding("unknown", "wait", "No healthy feature has a history to be scored by.", anchor=NEXT)]
    row = ranked.iloc[0]
    if is_first_known(ranked):
        said = (
            f"Of the healthy features look at {names[row['feature_id']]} first: {_chance(row)} probability of "
            "degrading in the"
            f" next {counted(horizon_days, 'day')}, {counted(row['users_per_week'], 'user')} a week; {row['because']}."
        )
        return [
            Finding("watch", "look", said, feature_id=row["feature_id"], anchor=NEXT, users=int(row["users_per_week"]))
        ]
    low, high, count = int(ranked["rank_low"].min()), int(ranked["rank_high"].max()), len(ranked)
    if count == 1:
        said = f"Only {names[row['feature_id']]} can be scored: {_chance(row)} probability of degrading."
        return [Finding("watch", "look", said, feature_id=row["feature_id"], anchor=NEXT)]
    said = (
        f"Which of the {count} healthy features degrades first cannot be told: their ranks run from {low} to {high} of"
        f" {count}, and no feature is surely first. The table is in the order of users."
    )
    return [Finding("unknown", "wait", said, anchor=NEXT)]


def _chance(row: pd.Series) -> str:
    return f"{percent(row['p_degrade'])} ({100 * row['p_low']:.1f} to {100 * row['p_high']:.1f} %)"


def which_score(evaluation: Evaluation) -> list[Finding]:
    """Which score is used, and whether the model is shown to be better than its baselines."""
    if evaluation.refused_because is not None:
        return []
    gain = "its gain has no interval"
    if not is_missing(evaluation.gain_low):
        span = f"95 % interval {evaluation.gain_low:+.3f} to {evaluation.gain_high:+.3f}"
        gain = f"Brier score better by {evaluation.gain:+.3f}, {span}"
    if evaluation.chosen == "model":
        return [Finding("fine", "nothing", f"The model is shown to beat its baselines: {gain}.", anchor=TESTED)]
    said = f"The score used is the {evaluation.chosen}: the model is not shown to beat it, {gain}."
    return [Finding("watch", "look", said, anchor=TESTED)]


def what_cannot_be_judged(states: pd.DataFrame, names: Mapping[str, str]) -> list[Finding]:
    """Features with an objective that cannot be judged now, and features without one."""
    found = []
    unknown = states[states["state"] == "cannot tell"]
    if len(unknown):
        why = [f"{names[r['feature_id']]} ({r['reason']})" for r in unknown.to_dict("records")]
        found.append(Finding("unknown", "find out", f"State cannot be told: {listed(why)}.", anchor=NOW))
    unasked = states.loc[states["state"] == "not asked", "feature_id"]
    if len(unasked):
        whose = listed([names[f] for f in unasked])
        verb = "declares" if len(unasked) == 1 else "declare"
        found.append(Finding("unknown", "declare", f"Not asked: {whose} {verb} no objective.", anchor=NOW))
    return found


def what_is_fine(states: pd.DataFrame) -> list[Finding]:
    """How many features meet their objectives now."""
    healthy, asked = (states["state"] == "healthy").sum(), (states["state"] != "not asked").sum()
    if not healthy:
        return []
    whose = f"{healthy} of {counted(asked, 'feature')} with an objective"
    return [Finding("fine", "nothing", f"{whose} {'meets' if healthy == 1 else 'meet'} them now.", anchor=NOW)]
