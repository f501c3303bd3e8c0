"""Every sentence of the engagement page's parts from tables made by hand, with severity, verb, feature, users and date."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from launchpad_lib.contract.catalogue import engagement_tables as tables
from launchpad_lib.contract.estimates import Estimate, refusal
from launchpad_lib.contract.features import Feature
from launchpad_lib.contract.findings import Finding
from launchpad_lib.findings import engagement as page
from launchpad_lib.findings import engagement_results as results
from launchpad_lib.findings.engagement_question import ask_engagement
from launchpad_lib.findings.rows import declared, refused_rows

QUIZ, MENU, MAP = Feature(feature_id="quiz", feature_name="Quiz"), Feature(feature_id="menu"), Feature(feature_id="map")
ASKED = ask_engagement([QUIZ, MENU, MAP], window="1d", observed_through=datetime(2026, 1, 19))
NOBODY = ask_engagement([], window="1d", observed_through=datetime(2026, 1, 19))


def table(kind, *rows: dict) -> pd.DataFrame:
    return declared(kind, pd.DataFrame(list(rows), dtype=object))


def engagement(**numbers: tuple) -> pd.DataFrame:
    """value and n of each quantity; what is not given is refused."""
    names = {
        "deep": results.INTERACTIONS, "kinds": results.KINDS, "half": results.DURATION, "most": results.DURATION_P90, "shares": results.SHARES,
        "sticky": results.STICKINESS, "mau": results.MAU, "days": results.DAYS,
    }  # fmt: skip
    rows = []
    for short, name in names.items():
        value, n = numbers.get(short, (None, None))
        rows.append({"quantity": name, "unit": "count", "value": value, "n": n, "refused_because": None if short in numbers else "left out"})  # fmt: skip
    return table(tables.ENGAGEMENT, *rows)


def test_the_verdict_has_the_rates_that_enough_users_stand_behind():
    none = engagement()
    enough, few, unknown = Estimate(0.5, 0.4, 0.6, 30), Estimate(0.5, 0.4, 0.6, 29), refusal("left out")
    other = Estimate(0.25, 0.2, 0.3, 40)
    for adopted, finished, said in (
        (enough, other, "Last full week 50.0 % of active users used Quiz; of all starters 25.0 % finished."),
        (enough, few, "In the last full week 50.0 % of active users used Quiz."),
        (enough, unknown, "In the last full week 50.0 % of active users used Quiz."),
        (few, enough, "Of those that start Quiz, 50.0 % finish; adoption by week cannot be told."),
        (few, few, "Too few users are observed to say how many use or finish Quiz."),
        (Estimate(0.5, n=None), unknown, "Too few users are observed to say how many use or finish Quiz."),
    ):
        assert page.engagement_verdict(ASKED, adopted, finished, none) == said
    nobody = page.engagement_verdict(NOBODY, unknown, unknown, engagement(mau=(1_234.0, 5)))
    assert nobody == "No feature is declared; 1,234 users were active in the last 28 days."
    assert page.engagement_verdict(NOBODY, unknown, unknown, none).startswith("No feature is declared; 0 users were ")
    early = page.engagement_verdict(NOBODY, unknown, unknown, engagement(mau=(12.0, 12), days=(3.0, 12)))
    assert early == "No feature is declared; 12 users were active in the 3 days observed so far."


def moved(feature: str, low: float, high: float, *, is_changed: bool | None = True, **more) -> dict:
    return {
        "feature_id": feature, "week_on": "2026-01-12", "n_before": 400, "rate_before": 0.5, "n_after": 500, "rate_after": 0.6,
        "absolute_lift": (low + high) / 2, "ci_low": low, "ci_high": high, "is_changed": is_changed,
    } | more  # fmt: skip


def test_adoption_that_moved_after_correction_is_told_of_all_and_what_it_did_of_the_one_in_detail():
    found = page.adoption_changes(
        table(
            tables.ADOPTION_CHANGES, moved("quiz", -0.01, 0.01), moved("menu", 0.04, 0.16), moved("map", -0.16, -0.04),
            moved("a", 0.04, 0.16, is_changed=False), moved("b", -0.01, 0.01), moved("c", 0.04, 0.16, refused_because="few"),
        ),
        0.02, ASKED,
    )  # fmt: skip
    week = "in the week from 2026-01-12, against the week before:"
    bases = "from 50.0 % of 400 to 60.0 % of 500 active users."
    assert found == [
        Finding("fine", "nothing", f"Adoption of Quiz moved by less than 2 points {week} +0.0 points (-1.0 to +1.0), {bases}", feature_id="quiz"),
        Finding("fine", "nothing", f"Adoption of menu rose {week} +10.0 points (+4.0 to +16.0), {bases}", feature_id="menu", since="2026-01-12"),
        Finding("act", "find out", f"Adoption of map fell {week} -10.0 points (-16.0 to -4.0), {bases}", feature_id="map", users=500, since="2026-01-12"),
    ]  # fmt: skip
    (open_one,) = page.adoption_changes(
        table(tables.ADOPTION_CHANGES, moved("quiz", 0.04, 0.16, is_changed=False)), 0.02, ASKED
    )
    said = f"These data cannot tell whether adoption of Quiz moved {week} +10.0 points (+4.0 to +16.0), {bases}"
    assert open_one == Finding("unknown", "wait", said, feature_id="quiz")
    assert page.adoption_changes(table(tables.ADOPTION_CHANGES, moved("quiz", -0.01, 0.01)), 0.02, NOBODY) == []


def test_reasons_that_several_features_share_are_said_once():
    adoption = table(
        tables.ADOPTION, {"feature_id": "quiz", "refused_because": "no event of the log names it."}, {"feature_id": "menu", "refused_because": None},
        {"feature_id": "map", "refused_because": "not asked: declare it"},
    )  # fmt: skip
    completion = table(
        tables.COMPLETION, {"feature_id": "menu", "refused_because": "the funnel: nobody is mature"},
        {"feature_id": "map", "refused_because": "the funnel: nobody is mature"}, {"feature_id": "quiz", "refused_because": "another reason"},
    )  # fmt: skip
    (found,) = page.refused_features(ASKED, adoption, completion)
    said = "Not all can be told of Quiz (no event of the log names it) and menu and map (nobody is mature)."
    assert found == Finding("unknown", "find out", said)
    assert page.refused_features(ASKED, adoption.tail(2)) == []


def test_features_without_a_start_and_a_completion_are_named_once():
    rows = [
        {"feature_id": "menu", "refused_because": "not asked: menu declares no start_event"}, {"feature_id": "menu", "refused_because": "not asked: again"},
        {"feature_id": "quiz", "refused_because": None}, {"feature_id": None, "refused_because": "not asked: no feature is declared"},
        {"feature_id": "map", "refused_because": "event 'x': does not occur"},
    ]  # fmt: skip
    (found,) = page.undeclared_features(ASKED, table(tables.COMPLETION, *rows))
    assert found == Finding(
        "unknown", "declare", "Completion is not asked of menu: no start and completion are declared."
    )
    assert page.undeclared_features(ASKED, table(tables.COMPLETION, *rows[2:])) == []


def used(*rows: tuple) -> pd.DataFrame:
    names = ["feature_id", "adoption_rate", "active_users", "refused_because"]
    return declared(tables.ADOPTION, pd.DataFrame(rows, columns=names).assign(week_on="2026-01-12"))


def test_adoption_is_told_of_the_one_in_detail_and_its_span_over_those_with_enough_users():
    adopted = Estimate(0.5, 0.4, 0.6, 30)
    one = "Quiz was used by 50.0 % (40.0 to 60.0 %, n = 30) of the users active in the week from 2026-01-12."
    detail = Finding("fine", "nothing", one, feature_id="quiz")
    span = Finding("fine", "nothing", "Over 2 declared features adoption runs from 10.0 % for map to 50.0 % for Quiz.")
    three = used(("quiz", 0.5, 30, None), ("menu", 0.9, 29, None), ("map", 0.1, 30, None), ("x", 0.99, 90, "refused"))
    assert page.how_it_is_used(ASKED, adopted, three) == [detail, span]
    assert page.how_it_is_used(ASKED, refusal("left out"), three) == [span]
    assert page.how_it_is_used(NOBODY, adopted, three.head(1)) == []
    same = used(("quiz", 0.5, 30, None), ("menu", 0.5, 30, None))
    assert page.how_it_is_used(ASKED, adopted, same) == [detail]


def finished(counted: str, rate: float | None, n: int) -> dict:
    about = {"feature_id": "quiz", "counted": counted, "starts": n, "immature": 0}
    return about | {"completion_rate": rate, "ci_low": 0.2, "ci_high": 0.6, "refused_because": None if rate else "few"}


def test_completion_is_told_by_session_and_by_user_or_not_at_all():
    both = table(tables.COMPLETION, finished("users", 0.5, 40), finished("sessions", 0.25, 60))
    assert page.how_it_is_finished(ASKED, both) == [
        Finding(
            "fine", "nothing",
            "25.0 % (20.0 to 60.0 %, n = 60) of started sessions of Quiz are finished within 1 day; counted per user, who may try again, it is"
            " 50.0 % (20.0 to 60.0 %, n = 40).", feature_id="quiz",
        )
    ]  # fmt: skip
    for rows in ((finished("users", None, 40), finished("sessions", 0.25, 60)), (finished("users", 0.5, 40), finished("sessions", None, 60))):  # fmt: skip
        assert page.how_it_is_finished(ASKED, table(tables.COMPLETION, *rows)) == []


def test_depth_and_duration_are_told_where_they_are_known():
    whole = engagement(deep=(2.345, 1), kinds=(1.25, 1), half=(90.0, 1_200), most=(600.0, 1_200))
    deep = Finding("fine", "nothing", "A started session has 2.3 interactions of 1.2 kinds on average, over 1 session.")
    lasts = Finding("fine", "nothing", "Half of all 1,200 sessions last at least 90.0 s, one in ten at least 10.0 min.")
    assert page.how_deep(ASKED, whole) == [deep, lasts]
    assert page.how_deep(ASKED, engagement(half=(90.0, 1_200), most=(600.0, 1_200))) == [lasts]
    assert page.how_deep(ASKED, engagement(deep=(2.345, 1), kinds=(1.25, 1))) == [deep]
    one = engagement(half=(90.0, 1), most=(90.0, 1))
    assert page.how_deep(ASKED, one) == page.how_deep(ASKED, engagement()) == [], "half of one session tells nothing"
    assert len(page.how_deep(ASKED, engagement(half=(90.0, 2), most=(90.0, 2)))) == 1


def test_a_share_of_fewer_users_than_a_cell_needs_is_not_known_to_be_fine():
    """One viewer of one who shares: 100 %, of which nothing follows."""
    one = {"feature_id": "quiz", "share_rate": 1.0, "ci_low": 0.2, "ci_high": 1.0, "immature": 0}
    for viewers, grave in ((29, ("unknown", "wait")), (30, ("fine", "nothing"))):
        (found,) = page.how_it_is_shared(ASKED, table(tables.SHARING, one | {"viewers": viewers}), engagement())
        assert (found.severity, found.verb) == grave


def test_sharing_is_told_with_how_often_where_that_is_known():
    shared = table(
        tables.SHARING,
        {"feature_id": "quiz", "share_rate": 0.5, "ci_low": 0.4, "ci_high": 0.6, "viewers": 40, "immature": 1},
    )
    said = "50.0 % (40.0 to 60.0 %, n = 40) of those that see the value of Quiz share it within 1 day"
    assert page.how_it_is_shared(ASKED, shared, engagement()) == [
        Finding("fine", "nothing", f"{said}.", feature_id="quiz")
    ]
    often = page.how_it_is_shared(ASKED, shared, engagement(shares=(1.257, 40)))
    assert often == [
        Finding("fine", "nothing", f"{said}; within 1 day of the first view 1.26 times a viewer.", feature_id="quiz")
    ]
    assert page.how_it_is_shared(ASKED, refused_rows(tables.SHARING, "few", feature_id=["quiz"]), engagement()) == []
    assert page.how_it_is_shared(NOBODY, shared, engagement()) == []


def test_how_often_they_come_is_told_of_the_whole_product_over_the_days_observed():
    (found,) = page.how_often_they_come(ASKED, engagement(sticky=(0.123, 1_200), days=(28.0, 1_200)))
    assert found == Finding("fine", "nothing", "A mean day sees 12.3 % of the 1,200 users of the last 28 days.")
    (early,) = page.how_often_they_come(ASKED, engagement(sticky=(0.5, 1), days=(1.0, 1)))
    assert early == Finding("fine", "nothing", "A mean day sees 50.0 % of the 1 user of the 1 day observed so far.")
    (unknown,) = page.how_often_they_come(ASKED, engagement())
    assert unknown == Finding("unknown", "wait", "How often people come cannot be told: left out.")


def test_each_finding_names_the_heading_that_proves_it():
    sharing = table(
        tables.SHARING,
        {"feature_id": "quiz", "share_rate": 0.5, "ci_low": 0.4, "ci_high": 0.6, "viewers": 40, "immature": 1},
    )
    # The rows by session stand first here: the verdict takes those by user.
    completion = table(
        tables.COMPLETION, finished("sessions", 0.25, 60), finished("users", 0.5, 40), {"feature_id": "menu", "refused_because": "not asked: declare it"},
        {"feature_id": "map", "refused_because": "few"},
    )  # fmt: skip
    said = page.engagement_conclusion(
        ASKED, adoption=used(("quiz", 0.5, 30, None), ("menu", 0.1, 30, None), ("map", 0.2, 30, None)),
        changes=table(tables.ADOPTION_CHANGES, moved("quiz", -0.16, -0.04)), completion=completion, sharing=sharing,
        engagement=engagement(deep=(2.3, 9), kinds=(1.2, 9), half=(90.0, 30), most=(600.0, 30), shares=(1.2, 40), sticky=(0.1, 9)), smallest_change=0.02,
    )  # fmt: skip
    assert said.verdict == "Last full week 50.0 % of active users used Quiz; of all starters 50.0 % finished."
    assert [(f.anchor, f.severity, " ".join(f.sentence.split()[:3])) for f in said.findings] == [
        ("every-declared-feature", "act", "Adoption of Quiz"),
        ("every-declared-feature", "unknown", "Not all can"),
        ("every-declared-feature", "unknown", "Completion is not"),
        ("every-declared-feature", "fine", "Quiz was used"),
        ("every-declared-feature", "fine", "Over 3 declared"),
        ("every-declared-feature", "fine", "25.0 % (20.0"),
        ("the-feature-in-detail", "fine", "A started session"),
        ("the-feature-in-detail", "fine", "Half of all"),
        ("the-feature-in-detail", "fine", "50.0 % (40.0"),
        ("how-often-do-they-come", "fine", "A mean day"),
    ]
