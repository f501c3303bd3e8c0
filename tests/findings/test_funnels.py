"""The sentences of the funnel page, in every world; counts by hand."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

import pandas as pd
import pytest

from launchpad_lib.contract.catalogue import funnel_tables as tables
from launchpad_lib.contract.features import Feature
from launchpad_lib.findings import funnel_results as results
from launchpad_lib.findings.funnel_question import FunnelQuestion, ask_funnel
from launchpad_lib.findings.funnel_reading import read_funnel
from launchpad_lib.findings.funnels import funnel_conclusion, what_goes_with_it
from launchpad_lib.findings.rows import declared, refused_rows
from launchpad_lib.inference import compare_rates, wilson
from launchpad_lib.metrics.steps import Step
from tests.findings.hand_log import log
from tests.findings.saying import HOSTILE, held, sentences

STEPS = ("cart", "address", "paid")


def funnel_log(counts: tuple[int, ...], steps=STEPS, *, platforms=("web",), last: str | None = "help", hour: float = 0):
    """`counts[k]` users reach step k, an hour apart; who stops does `last` next, if anything."""
    rows = []
    for user in range(counts[0]):
        more = {"platform": platforms[user % len(platforms)]}
        depth = sum(user < count for count in counts)
        rows += [(f"u{user}", step, hour + k, more) for k, step in enumerate(steps[:depth])]
        if depth < len(steps) and last is not None:
            rows.append((f"u{user}", last, hour + depth, more))
    return rows


def told(
    counts,
    through,
    *,
    steps=STEPS,
    nexts=(("help", 1.0),),
    segments=(("web", 60, 30), ("ios", 40, 20)),
    change=((400, 200), (400, 200)),
    breakdown="platform",
    smallest_change=0.02,
    **rules,
):
    """The conclusion of tables made by hand from counts: who reached each step, what they did next, segments, periods."""
    known = {"window": "1d", "min_cell": 30} | rules
    asked = FunnelQuestion(tuple(Step(s) for s in steps), observed_through=through, **known)
    limits = pd.DataFrame([wilson(k, counts[0]) for k in counts], columns=["conversion_rate", "ci_low", "ci_high"])
    lost = [float("nan"), *(a - b for a, b in pairwise(counts))]
    shown = {"step": range(1, len(counts) + 1), "step_name": steps, "users": counts, "lost": lost}
    rest = {"entrants_immature": 0, "users_removed": 0, "median_seconds_from_entry": 90.0}
    result = declared(tables.FUNNEL, pd.DataFrame(shown).assign(**limits, **rest))
    next_rows = [
        {"step": k, "next_event": name, "users": round(share * n), "dropped": n}
        for k, n in enumerate(lost[1:], start=1)
        for name, share in nexts
    ]
    periods = results.compared_periods(asked, days=7)
    (n_b, k_b), (n_a, k_a) = change
    moved = pd.DataFrame([{"n_before": n_b, "converted_before": k_b, "n_after": n_a, "converted_after": k_a}])
    changes = compare_rates(pd.concat([moved, moved], ignore_index=True)).assign(
        scope=["whole", "step"], step_name="paid"
    )
    few = "fewer than 30 mature users in one of the two periods" if min(n_b, n_a) < 30 else None
    split = pd.DataFrame(segments, columns=["segment", "entrants", "users"])
    split["conversion_rate"] = split["users"] / split["entrants"]
    said = funnel_conclusion(
        asked,
        result=result,
        segments=declared(tables.FUNNEL_SEGMENTS, split),
        changes=declared(tables.FUNNEL_CHANGES, changes.assign(refused_because=few)),
        instead=declared(tables.FUNNEL_NEXT_EVENTS, pd.DataFrame(next_rows)),
        correlates=refused_rows(tables.FUNNEL_CORRELATES, "left out"),
        panel=refused_rows(tables.FUNNEL_RULES, "left out"),
        periods=periods,
        breakdown=breakdown,
        smallest_change=smallest_change,
    )
    return held(said, *steps, *(str(name) for name, *_ in (*segments, *nexts)), *([breakdown] if breakdown else []))


def concluded(rows, through, *, steps=STEPS, breakdown="platform", smallest_change=0.02, days=7, **rules):
    events = log(rows)
    asked = ask_funnel(events, steps=list(steps), observed_through=through, **{"window": "1d"} | rules)
    periods = results.compared_periods(asked, days=days)
    read = read_funnel(events, asked, periods=periods, breakdown=breakdown)
    result = results.funnel_result(read, asked)
    said = funnel_conclusion(
        asked,
        result=result,
        segments=results.funnel_segments(read, asked),
        changes=results.funnel_shift(read, asked),
        instead=results.funnel_instead(read, asked),
        correlates=results.funnel_correlates(read, asked, result),
        panel=results.funnel_by_other_rules(read, asked, result),
        periods=periods,
        breakdown=breakdown,
        smallest_change=smallest_change,
    )
    names = [s if isinstance(s, str) else s["event"] for s in steps]
    return held(said, *names, *([breakdown] if breakdown else []), "help", "web", "ios")


def test_the_verdict_is_the_conversion_and_the_largest_loss_is_named_with_its_base(through):
    """100 enter, 60 go on, 50 pay: 40 lost of 100, then 10 of 60; 40 against 10 is no chance."""
    said = concluded(funnel_log((100, 60, 50)), through)
    assert said.verdict == "50.0 % of the users that enter at cart reach paid within 1 day."
    assert said.findings[0].sentence == (
        "The largest loss is between cart and address: 40 users, 40.0 % of the 100 that got there."
        " Most often they do help next: 40 of 40."
    )
    assert said.findings[0].users == 40


def test_two_losses_that_chance_can_swap_are_about_as_many(through):
    """25 of 100 and 23 of 75: by the binomial test of 25 in 48 p = 0.89."""
    (sentence,) = sentences(told((100, 75, 52), through), "About as many")
    assert sentence.startswith(
        "About as many are lost between cart and address, 25, as between address and paid, 23; which is worse cannot be told."
    )


def test_with_nobody_lost_no_step_is_the_worst(through):
    said = told((40, 40, 40), through)
    assert said.verdict == "100.0 % of the users that enter at cart reach paid within 1 day."
    assert sentences(said, "Nobody was lost: of 40 users that entered, all reached the last step.")
    assert not sentences(said, "largest") and not sentences(said, "Most often")


def test_who_does_nothing_next_is_said_to_do_nothing(through):
    assert sentences(told((40, 10, 10), through, nexts=((None, 1.0),)), "Most often they do nothing next: 30 of 30.")


def test_a_next_event_that_does_not_stand_out_is_not_named(through):
    """20 do help next and 20 do search next: neither is the most frequent."""
    said = told((60, 20, 20), through, nexts=(("help", 0.5), ("search", 0.5)))
    assert sentences(said, "No next event of theirs stands out.") and not sentences(said, "Most often")


def test_a_funnel_of_two_steps_has_one_loss_and_no_worst(through):
    said = told((50, 30), through, steps=STEPS[:2])
    assert sentences(said, "20 users, 40.0 % of the 50 that got there, stop between cart and address.")
    assert not sentences(said, "largest")


def test_one_step_is_no_funnel(through):
    said = concluded(funnel_log((50, 30)), through, steps=STEPS[:1])
    assert said.verdict == "These data cannot answer the question."
    assert "at least two steps" in said.findings[0].sentence


def test_too_few_entrants_give_no_rate_in_the_verdict(through):
    said = told((12, 6, 3), through)
    assert said.verdict == "Only 12 users entered: too few to say how many reach the last step."


def test_too_few_entrants_make_no_finding_fine_or_watched(through):
    """12 enter and 6 are lost first: nothing to act on, and nothing that is fine; nor is it where nobody of 12 was lost."""
    lost, whole = told((12, 6, 3), through), told((12, 12, 12), through)
    assert sentences(
        lost, "Where most stop cannot be told: 6 of 12 users stop between cart and address, too few to judge."
    )
    assert sentences(whole, "Nobody was lost: of 12 users", "That is too few to say that nobody is.")
    for said in (lost, whole):
        about = [f for f in said.findings if f.anchor == "how-many-reach-each-step"]
        assert [f.severity for f in about] == ["unknown", "unknown"], about


def test_nobody_at_the_last_step_is_none_and_its_time_is_refused(through):
    said = told((50, 20, 0), through)
    assert said.verdict == "No user that enters at cart reaches paid within 1 day."
    events = log(funnel_log((50, 20, 0)) + [("late", "paid", 1)])
    asked = ask_funnel(events, steps=STEPS, window="1d", observed_through=through)
    found = results.funnel_seconds(results.funnel_result(read_funnel(events, asked), asked), asked)
    assert found.refused_because == "no user reached the last step"


def test_a_misspelt_step_and_an_empty_log_are_refused_with_one_sentence(through):
    said = concluded(funnel_log((50, 20, 9)), through, steps=("crat", "paid"))
    assert said.verdict == "These data cannot answer the question."
    assert said.findings[0].sentence == "Event 'crat': does not occur in the log; did you mean 'cart'?"
    assert "holds no events" in concluded([], None).findings[0].sentence


def test_entrants_whose_window_is_open_are_refused_as_a_whole(through):
    said = concluded(funnel_log((50, 20, 9)), datetime(2026, 1, 5, 12))
    assert said.verdict == "These data cannot answer the question."
    assert "50 still open" in said.findings[0].sentence


def test_what_is_not_declared_is_not_asked(through):
    said = concluded(funnel_log((50, 20, 9)), through, steps=())
    assert said.verdict == "Nothing was asked of this page."
    assert said.findings[0].sentence.startswith("Not asked: no feature declares start_event")
    assert said.findings[0].verb == "declare"


def test_a_declared_feature_gives_its_steps(through):
    events = log(funnel_log((50, 20, 9)))
    features = [Feature(feature_id="menu"), Feature(feature_id="shop", start_event="cart", complete_event="paid")]
    asked = ask_funnel(events, steps=[], features=features, window="1d", observed_through=through)
    assert asked.step_names == ("cart", "paid") and asked.refused_because is None


def test_segments_are_told_apart_only_beyond_chance_and_never_as_an_effect(through):
    """Even users web, odd ones ios. All convert alike; then only web pays: 50 of 50 against 0 of 50."""
    alike = told((100, 60, 50), through, segments=(("web", 50, 25), ("ios", 50, 25)))
    assert sentences(
        alike, "By platform, segments cannot be told apart: from 50.0 % of 50 for ios to 50.0 % of 50 for web."
    )
    apart = told((100, 60, 50), through, segments=(("web", 50, 50), ("ios", 50, 0)))
    (sentence,) = sentences(apart, "differs by more than chance")
    assert "from 0.0 % of 50 for ios to 100.0 % of 50 for web; that is no effect of platform." in sentence


def test_a_segment_that_is_small_or_unknown_is_not_compared(through):
    small = told((50, 30, 20), through, segments=(("web", 48, 20), (None, 2, 1)))
    assert sentences(small, "By platform, fewer than two segments have 30 entrants, so none are compared.")
    assert sentences(concluded(funnel_log((50, 30, 20)), through, breakdown="plattform"), "did you mean 'platform'?")


@pytest.mark.parametrize(
    ("before", "after", "severity", "words"),
    [
        ((400, 200), (400, 100), "act", "Conversion fell"),
        ((400, 100), (400, 200), "fine", "Conversion rose"),
        ((400, 200), (400, 200), "unknown", "These data cannot tell whether conversion moved"),
        ((20, 10), (400, 200), "unknown", "fewer than 30 mature users in one of the two periods"),
    ],
)
def test_a_change_is_told_three_ways_with_both_bases(through, before, after, severity, words):
    said = told((900, 400, 400), through, change=(before, after))
    found = next(f for f in said.findings if words in f.sentence)
    assert found.severity == severity
    if severity != "unknown" or "cannot tell" in words:
        shares = f"from {before[1] / before[0]:.1%} of 400 to {after[1] / after[0]:.1%} of 400".replace("%", " %")
        assert shares in found.sentence


def test_a_change_inside_the_stated_margin_is_none(through):
    """400 against 400 at one half: the interval is about +-7 points, so it lies inside a margin of 10."""
    said = told((900, 400, 400), through, smallest_change=0.1)
    assert sentences(said, "Conversion moved by less than 10 points")


def test_no_step_changed_is_never_said_of_steps_that_cannot_be_told(through):
    found = next(f for f in told((900, 400, 400), through).findings if "step rate compared" in f.sentence)
    assert found.severity == "unknown"
    assert found.sentence == "Of 1 step rate compared, none can be said to have changed after correction."


def test_sessions_of_one_user_belong_together_so_nothing_is_tested(through):
    said = told((100, 60, 50), through, by="session_key")
    assert said.verdict.startswith("50.0 % of the sessions that enter")
    assert len(sentences(said, "sessions of one user belong together, so no test is made")) == 2
    assert not sentences(said, "largest") and not sentences(said, "chance")


def test_steps_in_any_order_have_no_names_of_their_own(through):
    said = told((100, 60, 50), through, mode="any_order")
    assert said.verdict == "50.0 % of the users that do one of 3 steps do all within 1 day."
    assert sentences(said, "The largest loss is after 1 of 3 steps: 40 users, 40.0 % of the 100 that got there.")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stands_in_the_sentence_and_breaks_none(through, name):
    steps = ("cart", name, f"{name} paid")
    said = told((100, 60, 50), through, steps=steps, segments=((name, 60, 30), ("ios", 40, 2)), nexts=((name, 1.0),))
    assert "34" not in said.verdict and said.verdict.startswith("50.0 % of the users that enter at cart reach ")
    assert len(said.verdict) < 200


def test_a_step_may_have_filters(through):
    rows = funnel_log((100, 60, 50), platforms=("web", "ios"))
    steps = ({"event": "cart", "where": {"platform": ["web"]}}, "address", "paid")
    said = concluded(rows, through, steps=steps, breakdown=None)
    assert sentences(said, "The largest loss is between “cart (platform: web)” and address: 20 users, 40.0 % of the 50")


def test_the_panel_of_other_rules_begins_with_this_page_s_own_numbers(through):
    events = log(funnel_log((100, 60, 50)))
    asked = ask_funnel(events, steps=STEPS, window="1d", observed_through=through, mode="strict")
    read = read_funnel(events, asked)
    result = results.funnel_result(read, asked)
    panel = results.funnel_by_other_rules(read, asked, result)
    own = panel.iloc[0]
    assert (own["rule"], own["why"], own["users"]) == ("this page", "strictly, any entry", result["users"].iloc[-1])
    assert isinstance(panel, pd.DataFrame) and len(panel) == 6


def correlated(*, ios=(100, 30), web=(200, 120), extra=(), **rules):
    """The table of correlates of cart and paid: (entrants, of them paid) by platform; `extra` rows more."""
    rows = list(extra)
    for platform, (entrants, paid) in {"ios": ios, "web": web}.items():
        for user in range(entrants):
            rows.append((f"{platform}{user}", "cart", 0, {"platform": platform}))
            rows += [(f"{platform}{user}", "paid", 5, {"platform": platform})] if user < paid else []
    asked = ask_funnel(log(rows), steps=["cart", "paid"], window="1d", **rules)
    read = read_funnel(log(rows), asked)
    result = results.funnel_result(read, asked)
    return lambda **more: results.funnel_correlates(read, asked, result, **more), asked


def test_what_goes_with_going_on_is_said_with_its_interval_and_that_it_is_no_cause(through):
    """By hand: 30 of 100 against 120 of 200 is 0.5; help an hour after the cart by 90 that stop, by none of the 150."""
    helped = [(f"web{user}", "help", 1, {"platform": "web"}) for user in range(120, 200)]
    table, asked = correlated(extra=helped, observed_through=through)
    found = table()
    assert found[["value", "users", "users_on", "goes_with"]].values.tolist()[0] == ["help", 80, 0, "stopping"]
    ios = found[found["value"] == "ios"].iloc[0]
    assert (ios["ratio"], ios["goes_with"], ios["compared"]) == (0.5, "stopping", 3)
    (finding,) = what_goes_with_it(found, asked)
    assert finding.sentence.startswith(
        "Of 3 values and events compared between cart and paid, 3 go with going on or stopping: "
        "0.0 % of 80 users that did help go on, 68.2 % of 220 others (under 0.01 times the odds at equal times, 0.00 to "
    )
    assert (
        "30.0 % of 100 users with ios as platform go on, 60.0 % of 200 others (0.50 times the share, 0.3"
        in finding.sentence
    )
    assert finding.sentence.endswith("). What goes with it need not be its cause.")


def test_what_goes_with_nothing_and_what_cannot_be_compared_is_told_by_the_table_alone(through):
    same, asked = correlated(ios=(100, 50), web=(200, 100), observed_through=through)
    assert same()["goes_with"].isna().all() and not what_goes_with_it(same(), asked)
    for how, words in (
        ({"ios": (20, 10), "web": (20, 5)}, "no value and no event has 30 with it and without it"),
        ({"ios": (40, 40), "web": (40, 40)}, "nobody is lost between cart and paid"),
        ({"ios": (40, 0), "web": (40, 1), "extra": [("z", "paid", 9)], "min_cell": 41}, "no value and no event has 41"),
    ):
        table, asked = correlated(observed_through=through, **how)
        (reason,) = table()["refused_because"]
        assert words in reason and not what_goes_with_it(table(), asked)
    assert "step=2: must be a step that is asked for and not the last; choose one of 1" in same(step=2).iloc[0, -1]


def test_who_leaves_an_optional_step_out_is_not_lost(through):
    """By hand: of 100 carts 10 take a gift, 80 give an address: the largest loss is 20, and the gift has none."""
    rows = [(f"u{u}", "cart", 0) for u in range(100)] + [(f"u{u}", "gift", 1) for u in range(10)]
    rows += [(f"u{u}", "address", 2) for u in range(80)] + [(f"u{u}", "paid", 3) for u in range(79)]
    steps = ["cart", {"event": "gift", "optional": True}, "address", "paid"]
    said = concluded(rows, through, steps=steps, breakdown=None)
    assert said.findings[0].sentence.startswith(
        "The largest loss is between cart and address: 20 users, 20.0 % of the 100 that got there."
    )
    asked = ask_funnel(log(rows), steps=steps, window="1d", observed_through=through)
    result = results.funnel_result(read_funnel(log(rows), asked), asked)
    assert result["lost"].fillna(-1).tolist() == [-1, -1, 20, 1]
