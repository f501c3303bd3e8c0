"""Every sentence of the funnel page's parts from tables made by hand, with its severity, verb and users; words are those of the rules."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from launchpad_lib.contract.catalogue import funnel_tables as tables
from launchpad_lib.contract.estimates import Estimate
from launchpad_lib.contract.findings import Finding
from launchpad_lib.findings import funnel_results as results
from launchpad_lib.findings import funnels
from launchpad_lib.findings.funnel_question import FunnelQuestion, ask_funnel
from launchpad_lib.findings.funnel_reading import read_funnel
from launchpad_lib.findings.funnel_results import compared_periods
from launchpad_lib.findings.rows import declared, refused_rows
from launchpad_lib.metrics.steps import Step
from tests.findings.hand_log import log

THROUGH = datetime(2026, 2, 2)


def question(*names: str, **rules) -> FunnelQuestion:
    known = {"window": "1d", "min_cell": 30} | rules
    return FunnelQuestion(tuple(Step(n) for n in names or ("a", "b", "c")), observed_through=THROUGH, **known)


def steps(*users: int, **more) -> pd.DataFrame:
    names = "abcdef"[: len(users)]
    lost = [None, *(a - b for a, b in zip(users, users[1:], strict=False))]
    rows = pd.DataFrame({"step": range(1, len(users) + 1), "step_name": list(names), "users": users, "lost": lost})
    given = {"entrants_immature": 0, "users_removed": 0, "median_seconds_from_entry": 60.0} | more
    return declared(tables.FUNNEL, rows.assign(**given))


def nexts(*rows: tuple) -> pd.DataFrame:
    names = ["step", "next_event", "users", "dropped"]
    return declared(tables.FUNNEL_NEXT_EVENTS, pd.DataFrame(rows, columns=names).astype({"next_event": object}))


NOTHING = nexts()


def test_the_verdict_has_a_rate_from_enough_units_on():
    found, asked = Estimate(0.25, 0.2, 0.3, 30), question()
    assert funnels.funnel_verdict(found, asked) == "25.0 % of the users that enter at a reach c within 1 day."
    assert funnels.funnel_verdict(found._replace(n=29), asked) == "Only 29 users entered: too few to say how many reach the last step."  # fmt: skip
    assert funnels.funnel_verdict(found._replace(n=1), asked).startswith("Only 1 user entered: ")
    assert funnels.funnel_verdict(found._replace(n=None), asked).startswith("Only 0 users entered: ")
    assert (
        funnels.funnel_verdict(found._replace(value=0.0), asked) == "No user that enters at a reaches c within 1 day."
    )
    any_order = question(mode="any_order", by="session_key", window=None)
    assert (
        funnels.funnel_verdict(found, any_order) == "25.0 % of the sessions that do one of 3 steps do all at any time."
    )
    assert funnels.funnel_verdict(found._replace(value=0.0), any_order) == "No session that does one of 3 steps does all at any time."  # fmt: skip


def test_the_headline_tells_who_is_not_counted():
    found, asked = Estimate(0.5, 0.4, 0.6, 100), question()
    said = "Of those that enter, 50.0 % (40.0 to 60.0 %, n = 100) reach c within 1 day"
    assert funnels.headline(found, asked, steps(100, 60, 50)) == Finding("fine", "nothing", f"{said}; half of those in 60.0 s or less.")  # fmt: skip
    assert funnels.headline(found, asked, steps(100, 60, 0)).sentence == f"{said}."
    assert funnels.headline(found, asked, steps(100, 60, 1, median_seconds_from_entry=None)).sentence == f"{said}."
    more = steps(100, 60, 0, entrants_immature=1, users_removed=2)
    assert funnels.headline(found, asked, more).sentence == (
        f"{said}. 1 user entered too late to be judged and is not counted. 2 users did an excluded event and are not counted."
    )
    more = steps(100, 60, 0, entrants_immature=2, users_removed=1)
    assert funnels.headline(found, asked, more).sentence == (
        f"{said}. 2 users entered too late to be judged and are not counted. 1 user did an excluded event and is not counted."
    )
    few = funnels.headline(found._replace(n=29), asked, steps(29, 20, 10))
    assert (few.severity, few.verb) == ("unknown", "wait")
    assert funnels.headline(found._replace(n=30), asked, steps(30, 20, 10)).severity == "fine"
    every = funnels.headline(found, question(mode="any_order"), steps(100, 60, 0))
    assert every.sentence == "Of those that enter, 50.0 % (40.0 to 60.0 %, n = 100) reach all steps within 1 day."


def stops(*users: int, instead: pd.DataFrame = NOTHING, **rules) -> Finding:
    (found,) = funnels.where_they_stop(question(*"abcdef"[: len(users)], **rules), steps(*users), instead)
    return found


def test_where_they_stop_is_told_where_it_can_be():
    assert stops(9) == Finding(
        "unknown", "declare", "A funnel of one step cannot lose anybody: name at least two steps."
    )
    whole = "Nobody was lost: of {} that entered, all reached the last step."
    assert stops(30, 30) == Finding("fine", "nothing", whole.format("30 users"))
    assert stops(1, 1) == Finding("unknown", "wait", whole.format("1 user") + " That is too few to say that nobody is.")
    assert stops(29, 29).verb == "wait"
    assert stops(29, 20) == Finding(
        "unknown",
        "wait",
        "Where most stop cannot be told: 9 of 29 users stop between a and b, too few to judge.",
        users=9,
    )
    assert stops(1, 0).sentence == "Where most stop cannot be told: 1 of 1 user stop between a and b, too few to judge."
    assert stops(30, 20) == Finding(
        "watch", "look", "10 users, 33.3 % of the 30 that got there, stop between a and b.", users=10
    )
    assert stops(100, 90, 40) == Finding(
        "watch", "look", "The largest loss is between b and c: 50 users, 55.6 % of the 90 that got there.", users=50
    )
    assert (
        stops(100, 40, 30).sentence
        == "The largest loss is between a and b: 60 users, 60.0 % of the 100 that got there."
    )
    assert stops(100, 80, 60) == Finding(
        "watch", "look", "About as many are lost between a and b, 20, as between b and c, 20; which is worse cannot be told.", users=20
    )  # fmt: skip
    together = "sessions of one user belong together, so no test is made"
    assert stops(100, 90, 40, by="session_key").sentence == (
        f"50 sessions, 55.6 % of the 90 that got there, stop between b and c, more than elsewhere; {together}."
    )
    any_order = stops(100, 90, 40, mode="any_order")
    assert any_order.sentence == "The largest loss is after 2 of 3 steps: 50 users, 55.6 % of the 90 that got there."


def test_what_they_do_next_is_told_where_it_stands_out():
    said = "The largest loss is between b and c: 50 users, 55.6 % of the 90 that got there."
    for instead, words in (
        (nexts((2, "help", 40, 50), (2, "home", 10, 50)), " Most often they do help next: 40 of 50."),
        (nexts((2, "home", 10, 50), (2, "help", 40, 50)), " Most often they do help next: 40 of 50."),
        (nexts((2, "help", 50, 50)), " Most often they do help next: 50 of 50."),
        (nexts((2, "(other)", 45, 50), (2, "help", 5, 50)), " No next event of theirs stands out."),
        (nexts((2, "(other)", 41, 50), (2, "help", 9, 50)), " Most often they do help next: 9 of 50."),
        (nexts((2, None, 1_040, 1_250), (2, "help", 10, 1_250)), " Most often they do nothing next: 1,040 of 1,250."),
        (nexts((2, "help", 26, 50), (2, "home", 24, 50)), " No next event of theirs stands out."),
        (nexts((1, "help", 10, 10)), ""),
        (nexts((2, "(other)", 50, 50)), ""),
        (nexts((2, "help", 40, 50)).assign(refused_because="left out"), ""),
    ):
        assert stops(100, 90, 40, instead=instead).sentence == said + words
    assert stops(30, 20, instead=nexts((1, "help", 9, 10))).sentence.endswith("stop between a and b. Most often they do help next: 9 of 10.")  # fmt: skip


def changes(*rows: dict) -> pd.DataFrame:
    usual = {
        "scope": "step", "segment": None, "step": 2, "step_name": "b", "n_before": 400, "rate_before": 0.5, "n_after": 500, "rate_after": 0.6,
        "absolute_lift": 0.1, "ci_low": 0.04, "ci_high": 0.16, "p_adjusted": 0.01, "is_changed": True,
    }  # fmt: skip
    return declared(tables.FUNNEL_CHANGES, pd.DataFrame([usual | row for row in rows], dtype=object))


def test_since_when_a_change_is_told_with_its_date_its_users_and_its_severity():
    asked = question()
    periods = compared_periods(asked, days=7)  # windows of a day are over on the 1st: 25 January to 1 February
    when = "in the 7 days of entries up to 01 Feb 2026, against the 7 days before"
    moved = "{}, from 50.0 % of 400 to 60.0 % of 500."

    def told(low: float, high: float, *, asked=asked, **more) -> Finding:
        row = changes({"scope": "whole", "absolute_lift": (low + high) / 2, "ci_low": low, "ci_high": high} | more)
        (found,) = funnels.since_when(asked, row, periods, 0.02)
        return found

    assert told(0.04, 0.16) == Finding(
        "fine",
        "nothing",
        f"Conversion rose {when}: " + moved.format("+10.0 points (+4.0 to +16.0)"),
        since="2026-01-25",
    )
    assert told(-0.16, -0.04) == Finding(
        "act", "find out", f"Conversion fell {when}: " + moved.format("-10.0 points (-16.0 to -4.0)"), users=500, since="2026-01-25"
    )  # fmt: skip
    assert told(-0.01, 0.01) == Finding(
        "fine",
        "nothing",
        f"Conversion moved by less than 2 points {when}: " + moved.format("+0.0 points (-1.0 to +1.0)"),
    )
    assert told(-0.05, 0.05) == Finding(
        "unknown", "wait", f"These data cannot tell whether conversion moved {when}: " + moved.format("+0.0 points (-5.0 to +5.0)")
    )  # fmt: skip
    note = " Sessions of one user belong together, so the interval is too narrow."
    by_session = question(by="session_key")
    for low, high, kind in ((0.04, 0.16, ("watch", "look")), (-0.16, -0.04, ("watch", "look")), (-0.05, 0.05, ("unknown", "wait"))):  # fmt: skip
        found = told(low, high, asked=by_session)
        assert (found.severity, found.verb) == kind and found.sentence.endswith(f"of 500.{note}")
    refused = refused_rows(tables.FUNNEL_CHANGES, "fewer than 30 mature users in one of the two periods")
    (found,) = funnels.since_when(asked, refused, periods, 0.02)
    assert found == Finding(
        "unknown", "wait", f"Whether conversion moved {when} cannot be said: fewer than 30 mature users in one of the two periods."
    )  # fmt: skip
    (one_day,) = funnels.since_when(asked, refused, compared_periods(asked, days=1), 0.02)
    assert one_day.sentence.startswith(
        "Whether conversion moved in the 1 day of entries up to 01 Feb 2026, against the 1 day before "
    )


def test_step_rates_that_changed_are_told_surest_first_and_one_fall_is_grave():
    asked = question()
    whole = {"scope": "whole", "absolute_lift": -0.5}
    fall = {
        "scope": "segment",
        "segment": None,
        "absolute_lift": -0.1,
        "ci_low": -0.16,
        "ci_high": -0.04,
        "p_adjusted": 0.001,
    }
    quiet = {"step_name": "c", "is_changed": False, "p_adjusted": 0.6}
    untold = {"step_name": "c", "is_changed": None}
    refused = {"refused_because": "too few"}
    (found,) = funnels.which_steps_changed(asked, changes(whole, {}, fall, quiet, untold, refused))
    assert found == Finding(
        "act", "find out",
        "Of 3 step rates compared, 2 changed after correction: b for no value -10.0 points (-16.0 to -4.0) and b +10.0 points (+4.0 to +16.0).",
    )  # fmt: skip
    (found,) = funnels.which_steps_changed(asked, changes(whole, {"scope": "segment", "segment": "web"}))
    assert found == Finding(
        "fine",
        "nothing",
        "Of 1 step rate compared, 1 changed after correction: b for web +10.0 points (+4.0 to +16.0).",
    )
    (found,) = funnels.which_steps_changed(asked, changes(whole, quiet, quiet))
    assert found == Finding(
        "unknown", "wait", "Of 2 step rates compared, none can be said to have changed after correction."
    )
    assert funnels.which_steps_changed(asked, changes(whole, untold)) == []
    assert funnels.which_steps_changed(question(by="session_key"), changes(whole, {})) == []


def segments(*rows: tuple) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["segment", "entrants", "users"])
    return declared(tables.FUNNEL_SEGMENTS, table.assign(conversion_rate=table["users"] / table["entrants"]))


def test_segments_are_compared_from_thirty_entrants_on():
    asked = question()
    (found,) = funnels.for_whom(asked, segments(("web", 30, 27), (None, 1_000, 300), ("ios", 29, 0)), "platform")
    assert found == Finding(
        "watch", "look",
        "By platform, conversion differs by more than chance, from 30.0 % of 1,000 for no value to 90.0 % of 30 for web; that is no effect of"
        " platform.",
    )  # fmt: skip
    (found,) = funnels.for_whom(asked, segments(("web", 30, 15), ("ios", 40, 19)), "platform")
    assert found == Finding(
        "unknown",
        "wait",
        "By platform, segments cannot be told apart: from 47.5 % of 40 for ios to 50.0 % of 30 for web.",
    )
    (found,) = funnels.for_whom(asked, segments(("web", 30, 15), ("ios", 29, 1)), "platform")
    assert found == Finding(
        "unknown", "wait", "By platform, fewer than two segments have 30 entrants, so none are compared."
    )
    (found,) = funnels.for_whom(question(by="session_key"), segments(("web", 30, 15), ("ios", 40, 1)), "platform")
    assert found == Finding(
        "unknown", "look",
        "By platform, conversion runs from 2.5 % of 40 for ios to 50.0 % of 30 for web; sessions of one user belong together, so no test is made.",
    )  # fmt: skip
    assert funnels.for_whom(asked, refused_rows(tables.FUNNEL_SEGMENTS, "not asked: give it"), None) == []
    (found,) = funnels.for_whom(asked, refused_rows(tables.FUNNEL_SEGMENTS, "nobody entered"), "platform")
    assert found == Finding("unknown", "find out", "By platform: nobody entered.")


def panel(*rows: tuple) -> pd.DataFrame:
    return declared(tables.FUNNEL_RULES, pd.DataFrame(rows, columns=["rule", "conversion_rate", "refused_because"]))


def test_other_products_rules_are_told_from_the_lowest_to_the_highest():
    ours = ("ours", 0.99, None)
    (found,) = funnels.by_other_rules(
        panel(ours, ("P", 0.5, None), ("Q", 0.25, None), ("R", 0.75, None), ("S", 0.01, "refused"), ("T", None, None))
    )
    said = "Under other products' rules the same log gives 25.0 % (Q) to 75.0 % (R)."
    assert found == Finding("fine", "nothing", said)
    (found,) = funnels.by_other_rules(panel(ours, ("P", 0.5, None), ("Q", 0.5, None)))
    assert found.sentence == "Under other products' rules the same log gives 50.0 %, whichever is asked."
    (found,) = funnels.by_other_rules(
        panel(ours, ("P", 0.2, None), ("Q", 0.2, None), ("R", 0.75, None), ("U", 0.75, None))
    )
    assert found.sentence == "Under other products' rules the same log gives 20.0 % (P) to 75.0 % (U)."
    assert funnels.by_other_rules(panel(ours)) == []
    assert funnels.by_other_rules(panel(ours, ("S", 0.01, "refused"))) == []


def test_those_without_a_value_are_a_segment_with_its_entrants_and_its_change():
    """Per week 40 on web and 60 whose platform is missing enter; of web 10 pay, of the others 30 in the first week and 45 in the second."""
    rows = []
    for week, others in enumerate((30, 45)):
        for user in range(100):
            more = {"platform": "web" if user < 40 else None}
            hours, pays = 168.0 * week, user < 10 or 40 <= user < 40 + others
            rows.append((f"u{week}-{user}", "a", hours, more))
            rows += [(f"u{week}-{user}", "b", hours + 1, more)] if pays else []
    events = log(rows)
    asked = ask_funnel(events, steps=["a", "b"], observed_through=datetime(2026, 1, 19), window="1d")
    found = read_funnel(events, asked, periods=results.compared_periods(asked, days=7), breakdown="platform")
    split = results.funnel_segments(found, asked).astype(object)
    split = split.where(split.notna(), None)
    assert split[["segment", "entrants", "users"]].values.tolist() == [[None, 120, 75], ["web", 80, 20]]
    moved = results.funnel_shift(found, asked)
    own = moved[moved["scope"] == "segment"].set_index(moved[moved["scope"] == "segment"]["segment"].fillna("missing"))
    assert own.loc["missing", ["n_before", "rate_before", "n_after", "rate_after"]].tolist() == [60, 0.5, 60, 0.75]
    assert own.loc["web", ["n_before", "rate_before", "n_after", "rate_after"]].tolist() == [40, 0.25, 40, 0.25]
