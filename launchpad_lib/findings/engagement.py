"""What the engagement page says: every sentence from results, none stronger than they are."""

from __future__ import annotations

import pandas as pd

from launchpad_lib.contract.estimates import Estimate
from launchpad_lib.contract.findings import Conclusion, Finding, Verb, conclusion
from launchpad_lib.contract.sentences import counted, ended, listed, without_subject
from launchpad_lib.contract.wording import amount, duration, percent, rate
from launchpad_lib.findings import engagement_results as results
from launchpad_lib.findings.change import SEVERITIES, Change, change_words, changed, days_compared, moved_words
from launchpad_lib.findings.engagement_question import EngagementQuestion
from launchpad_lib.findings.engagement_results import of_the_detail, quantity
from launchpad_lib.findings.releases import NOT_RELEASED
from launchpad_lib.findings.rows import NOT_ASKED, not_answered, of_enough, proved_at, standing


def engagement_conclusion(
    asked: EngagementQuestion,
    *,
    adoption: pd.DataFrame,
    changes: pd.DataFrame,
    completion: pd.DataFrame,
    sharing: pd.DataFrame,
    engagement: pd.DataFrame,
    smallest_change: float,
) -> Conclusion:
    """The verdict is about the feature in detail; the findings are about every declared feature."""
    if asked.refused_because:
        return not_answered(asked.refused_because)
    adopted = of_the_detail(adoption, asked, rate="adoption_rate", n="active_users")
    finished = of_the_detail(completion, asked, rate="completion_rate", n="starts", counted="users")
    return conclusion(
        engagement_verdict(asked, adopted, finished, engagement),
        [
            *proved_at("every-declared-feature", adoption_changes(changes, smallest_change, asked)),
            *proved_at("every-declared-feature", refused_features(asked, adoption, completion, sharing)),
            *proved_at("every-declared-feature", undeclared_features(asked, completion)),
            *proved_at("every-declared-feature", how_it_is_used(asked, adopted, adoption)),
            *proved_at("every-declared-feature", how_it_is_finished(asked, completion)),
            *proved_at("the-feature-in-detail", how_deep(asked, engagement)),
            *proved_at("the-feature-in-detail", how_it_is_shared(asked, sharing, engagement)),
            *proved_at("how-often-do-they-come", how_often_they_come(asked, engagement)),
        ],
    )


def engagement_verdict(
    asked: EngagementQuestion, adopted: Estimate, finished: Estimate, engagement: pd.DataFrame
) -> str:
    """Who used the feature last week and who of those that start finish; rates only from `min_cell` users on."""
    if asked.detail is None:
        users = counted(quantity(engagement, results.MAU, asked).value or 0, "user")
        return f"No feature is declared; {users} were active in {results.observed_days(engagement, asked)}."
    name = asked.name_of(asked.detail.feature_id)
    is_used, is_finished = (not e.is_refused and (e.n or 0) >= asked.min_cell for e in (adopted, finished))
    if is_used and is_finished:
        return (
            f"Last full week {percent(adopted.value)} of active users used {name}; "
            f"of all starters {percent(finished.value)} finished."
        )
    if is_used:
        return f"In the last full week {percent(adopted.value)} of active users used {name}."
    if is_finished:
        return f"Of those that start {name}, {percent(finished.value)} finish; adoption by week cannot be told."
    return f"Too few users are observed to say how many use or finish {name}."


def adoption_changes(changes: pd.DataFrame, smallest_change: float, asked: EngagementQuestion) -> list[Finding]:
    """Features whose adoption changed after correction for all; and the feature in detail, whatever it did."""
    rows = standing(changes)
    found = []
    for _, row in rows.iterrows():
        is_detail = asked.detail is not None and row["feature_id"] == asked.detail.feature_id
        kind = changed(Estimate(row["absolute_lift"], row["ci_low"], row["ci_high"]), smallest_change)
        if kind in (Change.UP, Change.DOWN) and not row["is_changed"]:
            kind = Change.OPEN  # its own interval excludes 0, but not after correction for the number of features
        if kind not in (Change.UP, Change.DOWN) and not is_detail:
            continue
        severity, verb = SEVERITIES[kind]
        words = change_words(f"adoption of {asked.name_of(row['feature_id'])}", kind, smallest_change)
        sentence = f"{words} in {days_compared(row)}: {moved_words(row)} active users."
        users = int(row["n_after"]) if kind is Change.DOWN else None
        since = row["week_on"] if kind in (Change.UP, Change.DOWN) else None
        found.append(Finding(severity, verb, sentence, feature_id=row["feature_id"], users=users, since=since))
    return found


def refused_features(asked: EngagementQuestion, *parts: pd.DataFrame) -> list[Finding]:
    """Features of which something that is declared cannot be told: a misspelt event, nobody observed to the end."""
    reasons: dict[str, str] = {}
    for part in parts:
        for row in part[part["refused_because"].notna()].itertuples():
            if not str(row.refused_because).startswith(NOT_ASKED):
                reasons.setdefault(str(row.feature_id), str(row.refused_because))
    # Several features often share one reason: it is said once.
    by_reason: dict[str, list[str]] = {}
    for feature, reason in reasons.items():
        by_reason.setdefault(without_subject(reason), []).append(asked.name_of(feature))
    said = [f"{listed(names)} ({reason.rstrip('.')})" for reason, names in by_reason.items()]
    verb: Verb = "wait" if all(reason.startswith(NOT_RELEASED) for reason in by_reason) else "find out"
    return [Finding("unknown", verb, f"Not all can be told of {listed(said)}.")] if said else []


def undeclared_features(asked: EngagementQuestion, completion: pd.DataFrame) -> list[Finding]:
    """Features that do not say when they are started and finished."""
    reasons = completion["refused_because"].astype(str).str.startswith(NOT_ASKED)
    names = completion[reasons & completion["feature_id"].notna()]["feature_id"].drop_duplicates().tolist()
    if not names:
        return []
    said = listed([asked.name_of(name) for name in names])
    return [Finding("unknown", "declare", f"Completion is not asked of {said}: no start and completion are declared.")]


def how_it_is_used(asked: EngagementQuestion, adopted: Estimate, adoption: pd.DataFrame) -> list[Finding]:
    """Adoption of the feature in detail, and the range over all declared ones."""
    found = []
    if not adopted.is_refused and asked.detail is not None:
        week = adoption["week_on"].iloc[0]
        numbers = rate(adopted.value, adopted.ci_low, adopted.ci_high, adopted.n)
        sentence = (
            f"{asked.name_of(asked.detail.feature_id)} was used by {numbers} of the users active in the week from "
            f"{week}."
        )
        found.append(of_enough(sentence, n=adopted.n, min_cell=asked.min_cell, feature_id=asked.detail.feature_id))
    rows = standing(adoption).dropna(subset=["adoption_rate"]).sort_values("adoption_rate", kind="stable")
    rows = rows[rows["active_users"] >= asked.min_cell]
    if rows["adoption_rate"].nunique() > 1:
        low, high = (
            (percent(r["adoption_rate"]), asked.name_of(r["feature_id"])) for r in (rows.iloc[0], rows.iloc[-1])
        )
        span = f"from {low[0]} for {low[1]} to {high[0]} for {high[1]}"
        found.append(Finding("fine", "nothing", f"Over {len(rows)} declared features adoption runs {span}."))
    return found


def how_it_is_finished(asked: EngagementQuestion, completion: pd.DataFrame) -> list[Finding]:
    """Completion of the feature in detail, both ways."""
    per = {
        counted_by: of_the_detail(completion, asked, rate="completion_rate", n="starts", counted=counted_by)
        for counted_by in ("sessions", "users")
    }
    if asked.detail is None or any(found.is_refused for found in per.values()):
        return []
    said = {k: rate(found.value, found.ci_low, found.ci_high, found.n) for k, found in per.items()}
    window = asked.rules["window"]
    sentence = (
        f"{said['sessions']} of started sessions of {asked.name_of(asked.detail.feature_id)} are finished "
        f"within {window};"
        f" counted per user, who may try again, it is {said['users']}."
    )
    fewest = min(found.n or 0 for found in per.values())
    return [of_enough(sentence, n=fewest, min_cell=asked.min_cell, feature_id=asked.detail.feature_id)]


def how_deep(asked: EngagementQuestion, engagement: pd.DataFrame) -> list[Finding]:
    """Interactions of a started session, and how long sessions last."""
    deep, kinds = (quantity(engagement, name, asked) for name in (results.INTERACTIONS, results.KINDS))
    half, most = (quantity(engagement, name, asked) for name in (results.DURATION, results.DURATION_P90))
    found = []
    if not deep.is_refused:
        per = f"{amount(deep.value, digits=1)} interactions of {amount(kinds.value, digits=1)} kinds"
        found.append(
            Finding(
                "fine", "nothing", f"A started session has {per} on average, over {counted(deep.n or 0, 'session')}."
            )
        )
    if not half.is_refused and (half.n or 0) > 1:  # "half of 1 session" tells nothing
        lasts = f"at least {duration(half.value)}, one in ten at least {duration(most.value)}"
        found.append(Finding("fine", "nothing", f"Half of all {counted(half.n or 0, 'session')} last {lasts}."))
    return found


def how_it_is_shared(asked: EngagementQuestion, sharing: pd.DataFrame, engagement: pd.DataFrame) -> list[Finding]:
    """Who passes on what they saw, and how often."""
    found = of_the_detail(sharing, asked, rate="share_rate", n="viewers")
    often = quantity(engagement, results.SHARES, asked)
    if found.is_refused or asked.detail is None:
        return []
    # The share counts from any view on, the mean from the first one only: each says its own.
    within = asked.rules["window"]
    times = (
        ""
        if often.is_refused
        else f"; within {within} of the first view {amount(often.value, digits=2)} times a viewer"
    )
    numbers = rate(found.value, found.ci_low, found.ci_high, found.n)
    name = asked.name_of(asked.detail.feature_id)
    sentence = f"{numbers} of those that see the value of {name} share it within {within}{times}."
    return [of_enough(sentence, n=found.n, min_cell=asked.min_cell, feature_id=asked.detail.feature_id)]


def how_often_they_come(asked: EngagementQuestion, engagement: pd.DataFrame) -> list[Finding]:
    """Stickiness of the whole product."""
    found = quantity(engagement, results.STICKINESS, asked)
    if found.is_refused:
        return [Finding("unknown", "wait", ended(f"How often people come cannot be told: {found.refused_because}"))]
    users, days = counted(found.n or 0, "user"), results.observed_days(engagement, asked)
    return [Finding("fine", "nothing", f"A mean day sees {percent(found.value)} of the {users} of {days}.")]
