"""What the funnel page says: every sentence from results, none stronger than they are."""

from __future__ import annotations

import pandas as pd

from launchpad_lib.contract.estimates import Estimate
from launchpad_lib.contract.findings import Conclusion, Finding, Severity, Verb, conclusion
from launchpad_lib.contract.sentences import counted, ended, listed, named, without_subject
from launchpad_lib.contract.wording import duration, is_missing, percent, points, rate
from launchpad_lib.findings.change import SEVERITIES, Change, change_words, changed, moved_words
from launchpad_lib.findings.funnel_losses import Loss, losses
from launchpad_lib.findings.funnel_question import FunnelQuestion, Periods
from launchpad_lib.findings.funnel_results import conversion_change, funnel_conversion
from launchpad_lib.findings.rows import NOT_ASKED, not_answered, of_enough, proved_at, reason_in, standing
from launchpad_lib.inference import largest_differs_p, unequal_rates_p

SURE = 0.05
OTHER = "(other)"
TOGETHER = "sessions of one user belong together, so no test is made"


def funnel_conclusion(
    asked: FunnelQuestion,
    *,
    result: pd.DataFrame,
    segments: pd.DataFrame,
    changes: pd.DataFrame,
    instead: pd.DataFrame,
    correlates: pd.DataFrame,
    panel: pd.DataFrame,
    periods: Periods,
    breakdown: str | None,
    smallest_change: float,
) -> Conclusion:
    """The verdict is the conversion to the last step; the findings are where people stop, since when, and for whom."""
    reason = reason_in(result)
    if reason:
        return not_answered(reason)
    found = funnel_conversion(result, asked)
    return conclusion(
        funnel_verdict(found, asked),
        [
            *proved_at("how-many-reach-each-step", where_they_stop(asked, result, instead)),
            *proved_at("since-when", since_when(asked, changes, periods, smallest_change)),
            *proved_at("since-when", which_steps_changed(asked, changes)),
            *proved_at("what-goes-with-going-on", what_goes_with_it(correlates, asked)),
            *proved_at("for-whom", for_whom(asked, segments, breakdown)),
            *proved_at("how-many-reach-each-step", [headline(found, asked, result)]),
            *proved_at("doubt-check-the-rules-of-other-products", by_other_rules(panel)),
        ],
    )


def funnel_verdict(found: Estimate, asked: FunnelQuestion) -> str:
    """The conversion in one sentence; no rate where fewer than `min_cell` units entered."""
    first, last, count = named(asked.step_names[0]), named(asked.step_names[-1]), len(asked.steps)
    entered = found.n or 0
    if entered < asked.min_cell:
        return f"Only {counted(entered, asked.unit)} entered: too few to say how many reach the last step."
    if found.value == 0:
        enters = f"does one of {count} steps" if asked.mode == "any_order" else f"enters at {first}"
        return (
            f"No {asked.unit} that {enters} {'does all' if asked.mode == 'any_order' else f'reaches {last}'} "
            f"{asked.within}."
        )
    share = f"{percent(found.value)} of the {asked.unit}s that"
    if asked.mode == "any_order":
        return f"{share} do one of {count} steps do all {asked.within}."
    return f"{share} enter at {first} reach {last} {asked.within}."


def headline(found: Estimate, asked: FunnelQuestion, result: pd.DataFrame) -> Finding:
    """The conversion with its interval and base, the time it took, and who is not counted yet."""
    last = result.iloc[-1]
    took = ""
    if last["users"] and not is_missing(last["median_seconds_from_entry"]):
        took = f"; half of those in {duration(last['median_seconds_from_entry'])} or less"
    open_ones, removed = int(last["entrants_immature"]), int(last["users_removed"])
    are = {True: "is", False: "are"}
    late, out = "", ""
    if open_ones:
        late = f" {counted(open_ones, asked.unit)} entered too late to be judged and {are[open_ones == 1]} not counted."
    if removed:
        out = f" {counted(removed, asked.unit)} did an excluded event and {are[removed == 1]} not counted."
    target = "all steps" if asked.mode == "any_order" else named(asked.step_names[-1])
    numbers = rate(found.value, found.ci_low, found.ci_high, found.n)
    said = f"Of those that enter, {numbers} reach {target} {asked.within}{took}.{late}{out}"
    return of_enough(said, n=found.n, min_cell=asked.min_cell)


def where_they_stop(asked: FunnelQuestion, result: pd.DataFrame, instead: pd.DataFrame) -> list[Finding]:
    """Where most are lost, if one place stands out from the next; and what they do next."""
    places = losses(asked, result)
    if not places:
        return [Finding("unknown", "declare", "A funnel of one step cannot lose anybody: name at least two steps.")]
    worst = places[0]
    if worst.lost == 0:
        entered = int(result["users"].iloc[0])
        said = f"Nobody was lost: of {counted(entered, asked.unit)} that entered, all reached the last step."
        if entered < asked.min_cell:
            return [Finding("unknown", "wait", f"{said} That is too few to say that nobody is.")]
        return [Finding("fine", "nothing", said)]
    if worst.at_risk < asked.min_cell:
        said = (
            f"Where most stop cannot be told: {worst.lost:,} of {counted(worst.at_risk, asked.unit)} stop {worst.where}"
        )
        return [Finding("unknown", "wait", f"{said}, too few to judge.", users=worst.lost)]
    share = (
        f"{counted(worst.lost, asked.unit)}, {percent(worst.lost / worst.at_risk)} of the {worst.at_risk:,} that "
        "got there"
    )
    next_words = what_they_do_next(worst, instead)
    if len(places) == 1:
        said = f"{share}, stop {worst.where}."
    elif not asked.is_independent:
        said = f"{share}, stop {worst.where}, more than elsewhere; {TOGETHER}."
    elif _stands_out(worst.lost, places[1].lost):
        said = f"The largest loss is {worst.where}: {share}."
    else:
        second = f"{places[1].where}, {places[1].lost:,}"
        said = f"About as many are lost {worst.where}, {worst.lost:,}, as {second}; which is worse cannot be told."
    return [Finding("watch", "look", f"{said}{next_words}", users=worst.lost)]


def what_they_do_next(worst: Loss, instead: pd.DataFrame) -> str:
    """The next event of those that stopped there, if one stands out; nothing where that is not known."""
    rows = standing(instead)
    own = rows[(rows["step"] == worst.step_before) & (rows["next_event"] != OTHER)]
    if own.empty:
        return ""
    own = own.assign(users=own["users"].astype(int)).sort_values("users", ascending=False, kind="stable")
    top, dropped = own.iloc[0], int(own["dropped"].iloc[0])
    second = int(own["users"].iloc[1]) if len(own) > 1 else 0
    if not _stands_out(int(top["users"]), second):
        return " No next event of theirs stands out."
    if is_missing(top["next_event"]):
        return f" Most often they do nothing next: {top['users']:,} of {dropped:,}."
    return f" Most often they do {named(top['next_event'])} next: {top['users']:,} of {dropped:,}."


def what_goes_with_it(correlates: pd.DataFrame, asked: FunnelQuestion) -> list[Finding]:
    """What goes with going on or stopping at a step, after correction; nothing where that is told of nothing."""
    rows = standing(correlates)
    sure = rows[rows["goes_with"].notna()]
    if sure.empty:
        return []
    # One value of a property says what the others say, too.
    words = [
        _correlate_words(row, asked)
        for row in sure[~sure["property"].duplicated() | sure["property"].isna()].itertuples()
    ]
    first, many = sure.iloc[0], counted(int(sure["compared"].iloc[0]), "value or event", "values and events")
    where = f"between {named(first['step_name'])} and {named(first['next_step_name'])}"
    said = f"Of {many} compared {where}, {len(sure)} {'goes' if len(sure) == 1 else 'go'} with going on or stopping"
    return [Finding("watch", "look", f"{said}: {listed(words)}. What goes with it need not be its cause.")]


def _correlate_words(row, asked: FunnelQuestion) -> str:
    """Who goes on, of those with it and of the others, and the ratio that is compared: of shares for a value, of the
    odds at equal times since the step for an event.
    """
    users, others = int(row.users), int(row.others)
    if is_missing(row.property):
        who, ratio = f"that did {named(row.value)}", "the odds at equal times"
    else:
        who, ratio = f"with {segment_words(row.value)} as {named(row.property)}", "the share"
    limits = f"over {row.ci_low:.2f}" if is_missing(row.ci_high) else f"{row.ci_low:.2f} to {row.ci_high:.2f}"
    times = "under 0.01" if row.ratio < 0.005 else f"{row.ratio:.2f}"
    return (
        f"{percent(int(row.users_on) / users)} of {users:,} {asked.unit}s {who} go on, "
        f"{percent(int(row.others_on) / others)} of {others:,} others ({times} times {ratio}, {limits})"
    )


def since_when(asked: FunnelQuestion, changes: pd.DataFrame, periods: Periods, smallest: float) -> list[Finding]:
    """Whether conversion moved: yes, by less than what matters, or these data cannot tell; with both bases."""
    whole = changes.iloc[0]
    found = conversion_change(changes, asked, periods)
    days = counted(periods.days, "day")
    when = f"in the {days} of entries up to {periods.later[1]:%d %b %Y}, against the {days} before"
    if found.is_refused:
        return [
            Finding(
                "unknown", "wait", ended(f"Whether conversion moved {when} cannot be said: {found.refused_because}")
            )
        ]
    kind = changed(found, smallest)
    severity, verb = SEVERITIES[kind]
    since = f"{periods.later[0]:%Y-%m-%d}" if kind in (Change.UP, Change.DOWN) else None
    users = int(whole["n_after"]) if kind is Change.DOWN else None
    sentence = f"{change_words('conversion', kind, smallest)} {when}: {moved_words(whole)}."
    if not asked.is_independent:
        severity, verb = ("unknown", "wait") if kind is Change.OPEN else ("watch", "look")
        sentence += " Sessions of one user belong together, so the interval is too narrow."
    return [Finding(severity, verb, sentence, users=users, since=since)]


def which_steps_changed(asked: FunnelQuestion, changes: pd.DataFrame) -> list[Finding]:
    """Which step rates changed after correction for all of them; that none can be said to have is no proof of none."""
    rows = standing(changes)
    tested = rows[rows["scope"] != "whole"]
    tested = tested[tested["is_changed"].notna()]
    if tested.empty or not asked.is_independent:
        return []
    moved = tested[tested["is_changed"].astype(bool)].sort_values("p_adjusted")
    many = counted(len(tested), "step rate")
    if moved.empty:
        return [Finding("unknown", "wait", f"Of {many} compared, none can be said to have changed after correction.")]
    words = [_step_words(row) for row in moved.itertuples()]
    grave: Severity = "act" if (moved["absolute_lift"] < 0).any() else "fine"
    verb: Verb = "find out" if grave == "act" else "nothing"
    return [Finding(grave, verb, f"Of {many} compared, {len(moved)} changed after correction: {listed(words)}.")]


def _step_words(row) -> str:
    of = f" for {segment_words(row.segment)}" if row.scope == "segment" else ""
    return f"{named(row.step_name)}{of} {points(row.absolute_lift, row.ci_low, row.ci_high)}"


def segment_words(segment: object) -> str:
    """A segment's value inside a sentence; the missing value has words of its own."""
    return "no value" if is_missing(segment) else named(segment)


def for_whom(asked: FunnelQuestion, segments: pd.DataFrame, breakdown: str | None) -> list[Finding]:
    """Whether segments convert differently; a difference between those who chose their segment is no effect of it."""
    reason = reason_in(segments)
    if reason:
        asks_nothing = reason.startswith(NOT_ASKED)
        by = "By segment" if asks_nothing else f"By {named(breakdown)}"
        return [] if asks_nothing else [Finding("unknown", "find out", ended(f"{by}: {without_subject(reason)}"))]
    large = standing(segments)
    large = large[large["entrants"] >= asked.min_cell].sort_values("conversion_rate", ascending=False, kind="stable")
    if len(large) < 2:
        few = f"By {named(breakdown)}, fewer than two segments have {asked.min_cell} entrants, so none are compared."
        return [Finding("unknown", "wait", few)]
    high, low = large.iloc[0], large.iloc[-1]
    span = f"from {_segment_rate(low)} to {_segment_rate(high)}"
    if not asked.is_independent:
        return [Finding("unknown", "look", f"By {named(breakdown)}, conversion runs {span}; {TOGETHER}.")]
    p = unequal_rates_p(large["users"].astype(int).tolist(), large["entrants"].astype(int).tolist())
    if p is not None and p <= SURE:
        said = (
            f"By {named(breakdown)}, conversion differs by more than chance, {span}; that is no effect of "
            f"{named(breakdown)}."
        )
        return [Finding("watch", "look", said)]
    return [Finding("unknown", "wait", f"By {named(breakdown)}, segments cannot be told apart: {span}.")]


def _segment_rate(row) -> str:
    numbers = f"{percent(row['conversion_rate'])} of {int(row['entrants']):,}"
    return f"{numbers} for {segment_words(row['segment'])}"


def by_other_rules(panel: pd.DataFrame) -> list[Finding]:
    """What other products would call the conversion of the same log."""
    rows = standing(panel).dropna(subset=["conversion_rate"]).iloc[1:]
    if rows.empty:
        return []
    rows = rows.sort_values("conversion_rate", kind="stable")
    low, high = rows.iloc[0], rows.iloc[-1]
    least, most = percent(low["conversion_rate"]), percent(high["conversion_rate"])
    span = f"{least}, whichever is asked" if least == most else f"{least} ({low['rule']}) to {most} ({high['rule']})"
    return [Finding("fine", "nothing", f"Under other products' rules the same log gives {span}.")]


def _stands_out(largest: int, second: int) -> bool:
    """Whether the largest count is larger than the next by more than chance."""
    p = largest_differs_p(largest, second)
    return p is not None and p <= SURE
