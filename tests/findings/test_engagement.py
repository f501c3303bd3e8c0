"""The sentences of the engagement page, in every world; counts by hand."""

from __future__ import annotations

from datetime import date, datetime

import pandas as pd
import pytest

from launchpad_lib.contract.catalogue import engagement_tables as tables
from launchpad_lib.contract.features import Feature
from launchpad_lib.findings import engagement_results as results
from launchpad_lib.findings import feature_results
from launchpad_lib.findings.engagement import engagement_conclusion
from launchpad_lib.findings.engagement_question import ask_engagement
from launchpad_lib.findings.rows import declared
from launchpad_lib.inference import compare_rates
from tests.findings.hand_log import log
from tests.findings.saying import HOSTILE, held, sentences

THROUGH = datetime(2026, 1, 19)
QUIZ = Feature(
    feature_id="quiz",
    start_event="go",
    complete_event="done",
    view_event="seen",
    share_event="sent",
    interaction_events=("pick",),
)
MENU = Feature(feature_id="menu", feature_name="Main menu")


def quiz_log(users: int = 40, *, weeks: int = 2) -> list[tuple]:
    """Each week every user opens the menu; half do the quiz, a quarter finish it, see the result and send it twice."""
    rows = []
    for week in range(weeks):
        for user in range(users):
            at, quiz = 168 * week + user % 12, {"feature_id": "quiz"}
            rows.append((f"u{user}", "open", at, {"feature_id": "menu"}))
            if user % 2 == 0:
                rows += [(f"u{user}", name, at + 1, quiz) for name in ("go", "pick", "pick")]
            if user % 4 == 0:
                rows += [(f"u{user}", name, at + 2, quiz) for name in ("done", "seen", "sent", "sent")]
    return rows


def concluded(rows, features, through=THROUGH, *, smallest_change=0.02, changes=None, adopted=None, names=()):
    events = log(rows)
    asked = ask_engagement(features, window="1d", observed_through=through)
    seen, moved = feature_results.feature_adoptions(events, asked)
    adopted = seen if adopted is None else adopted
    engagement = results.engagement_table(events, asked, results.daily_adoption(events, asked))
    said = engagement_conclusion(
        asked,
        adoption=adopted,
        changes=moved if changes is None else changes,
        completion=feature_results.feature_completions(events, asked),
        sharing=feature_results.feature_sharing(events, asked),
        engagement=engagement,
        smallest_change=smallest_change,
    )
    return held(said, "quiz", "menu", "Main menu", *names)


def sessions(events):
    """One session a user, as long as from its first event to its last."""
    own = events.group_by("user_id").agg(first=events.event_at.min(), last=events.event_at.max())
    return own.mutate(duration_seconds=(own.last.epoch_seconds() - own.first.epoch_seconds()).cast("float64"))


def test_the_verdict_is_about_the_feature_in_detail_and_every_declared_one_has_its_row():
    """20 of 40 users do the quiz in the last week; 10 of the 20 that start finish; menu declares nothing."""
    said = concluded(quiz_log(), [QUIZ, MENU])
    assert (
        said.verdict == "In the last full week 50.0 % of active users used quiz."
    )  # 20 starters: too few for a second rate
    assert sentences(
        said, "quiz was used by 50.0 % (35.2 to 64.8 %, n = 40) of the users active in the week from 2026-01-12."
    )
    assert sentences(said, "Over 2 declared features adoption runs from 50.0 % for quiz to 100.0 % for “Main menu”.")
    assert sentences(said, "Completion is not asked of “Main menu”: no start and completion are declared.")
    assert sentences(said, "counted per user, who may try again, it is 50.0 % (29.9 to 70.1 %, n = 20).")
    assert sentences(said, "A started session has 4.0 interactions of 1.0 kinds on average, over 20 sessions.")
    assert sentences(
        said,
        "100.0 % (72.2 to 100.0 %, n = 10) of those that see the value of quiz share it within 1 day; "
        "within 1 day of the first view 2.00 times a viewer.",
    )


def test_enough_starters_bring_their_rate_into_the_verdict():
    said = concluded(quiz_log(80), [QUIZ])
    assert said.verdict == "Last full week 50.0 % of active users used quiz; of all starters 50.0 % finished."


def test_too_few_users_give_no_rate_in_the_verdict():
    said = concluded(quiz_log(8), [QUIZ])
    assert said.verdict == "Too few users are observed to say how many use or finish quiz."


def test_without_a_declared_feature_only_activity_is_told():
    said = concluded(quiz_log(), [])
    assert said.verdict == "No feature is declared; 40 users were active in the 14 days observed so far."
    assert not sentences(said, "used") and sentences(said, "A mean day sees")


def test_an_empty_log_is_refused_with_one_sentence():
    said = concluded([], [QUIZ], None)
    assert said.verdict == "These data cannot answer the question."
    assert said.findings[0].sentence == "The log holds no events; ingest some."


def test_a_misspelt_event_and_an_unknown_feature_are_told_and_the_rest_stands():
    wrong = QUIZ.model_copy(update={"complete_event": "dnoe"})
    said = concluded(quiz_log(), [wrong, Feature(feature_id="qiuz", start_event="go", complete_event="done")])
    (sentence,) = sentences(said, "Not all can be told of")
    assert "event 'dnoe': does not occur in the log; did you mean 'done' or 'open'?" in sentence
    assert "no event of the log names feature 'qiuz'; did you mean 'quiz'?" in sentence
    assert sentences(said, "quiz was used by 50.0 %")


@pytest.mark.parametrize(
    ("released_on", "reason"),
    [
        (None, "feature 'map': does not occur in the log; there are menu, quiz"),
        (date(2026, 1, 6), "feature 'map': does not occur in the log; there are menu, quiz"),
        (date(2027, 1, 6), "not released until 2027-01-06"),
    ],
)
def test_a_feature_that_no_event_names_is_not_called_unreleased(released_on, reason):
    """Its release is unknown, long past, or still to come."""
    asked = ask_engagement(
        [Feature(feature_id="map", start_event="open", released_on=released_on)], window="1d", observed_through=THROUGH
    )
    events = log(quiz_log())
    daily = results.daily_adoption(events, asked)
    (row,) = results._daily(asked, daily)
    assert row["refused_because"].startswith(reason)


def test_a_log_of_one_complete_week_has_no_week_before():
    asked = ask_engagement([QUIZ], window="1d", observed_through=datetime(2026, 1, 12))
    adopted, changes = feature_results.feature_adoptions(log(quiz_log(weeks=1)), asked)
    assert adopted["adoption_rate"].tolist() == [0.5]
    assert changes["refused_because"].tolist() == [
        "the log begins on 2026-01-05, so it holds 7 complete days up to 2026-01-11; a comparison needs 10"
    ]


def test_a_log_that_does_not_hold_two_whole_weeks_compares_the_same_weekdays_of_both():
    """Two weeks up to Saturday: Monday to Saturday against Monday to Saturday; the headline stays that of the week."""
    asked = ask_engagement([QUIZ], window="1d", observed_through=datetime(2026, 1, 18))
    adopted, changes = feature_results.feature_adoptions(log(quiz_log(weeks=2)), asked)
    assert adopted["week_on"].tolist() == ["2026-01-05"]
    row = changes.iloc[0]
    assert (row["week_on"], row["days"], row["n_before"], row["n_after"]) == ("2026-01-12", 6, 40, 40)
    assert row["refused_because"] is None


def moved_rows(*features: tuple[str, int, int]) -> pd.DataFrame:
    """(feature, users before, users after) of 400 active users in either week, nobody in both."""
    counts = pd.DataFrame(features, columns=["feature_id", "converted_before", "converted_after"])
    rows = compare_rates(counts.assign(n_before=400, n_after=400, week_on="2026-01-12"))
    return declared(tables.ADOPTION_CHANGES, rows)


def test_a_feature_whose_adoption_fell_is_named_and_one_that_cannot_be_told_only_in_detail():
    said = concluded(quiz_log(), [QUIZ, MENU], changes=moved_rows(("quiz", 200, 204), ("menu", 300, 200)))
    (fell,) = [f for f in said.findings if f.severity == "act"]
    assert (fell.feature_id, fell.users, fell.since) == ("menu", 400, "2026-01-12")
    assert fell.sentence.startswith(
        "Adoption of “Main menu” fell in the week from 2026-01-12, against the week before: -25.0 points"
    )
    assert fell.sentence.endswith("from 75.0 % of 400 to 50.0 % of 400 active users.")
    assert sentences(said, "These data cannot tell whether adoption of quiz moved")
    still = concluded(quiz_log(), [QUIZ, MENU], changes=moved_rows(("quiz", 200, 204), ("menu", 300, 302)))
    assert not sentences(still, "adoption of “Main menu” moved")


def test_a_change_among_many_features_is_none_before_correction_for_their_number():
    """One of 20 features with p about 0.03: its own interval excludes 0, Benjamini-Hochberg does not name it."""
    names = [f"f{k}" for k in range(19)]
    rows = moved_rows(("quiz", 200, 231), *((name, 200, 200) for name in names))
    assert rows["ci_low"].iloc[0] > 0 and not rows["is_changed"].iloc[0]
    said = concluded(quiz_log(), [QUIZ], changes=rows)
    assert sentences(said, "These data cannot tell whether adoption of quiz moved") and not sentences(said, "rose")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_feature_stands_in_the_sentences_and_breaks_none(name):
    """The counts are those of the quiz; only what the feature is called is hostile."""
    hostile = QUIZ.model_copy(update={"feature_name": name})
    said = concluded(quiz_log(8), [hostile], names=(name,))
    assert said.verdict.startswith("Too few users are observed to say how many use or finish ")


def test_the_engagement_table_says_why_a_quantity_is_missing():
    events = log(quiz_log())
    asked = ask_engagement([MENU], window="1d", observed_through=THROUGH)
    table = results.engagement_table(events, asked, results.daily_adoption(events, asked))
    rows = table.set_index("quantity")
    assert (
        rows.loc[results.INTERACTIONS, "refused_because"]
        == "not asked: menu declares no start_event and no interaction_events"
    )
    assert rows.loc[results.SHARES, "refused_because"] == "not asked: menu declares no view_event and no share_event"
    assert rows.loc[results.DAILY_ADOPTION, "value"] == 1.0
    assert results.used_together(events, asked).iloc[0]["users_both"] == 20
    alone = log([("u", "open", 0, {"feature_id": "menu"})])
    assert "fewer than two features" in results.used_together(alone, asked)["refused_because"].iloc[0]


def test_a_headline_s_definition_is_filled_with_the_feature_s_own_events():
    events = log(quiz_log())
    asked = ask_engagement([QUIZ], window="1d", observed_through=THROUGH)
    found = results.of_the_detail(
        feature_results.feature_completions(events, asked),
        asked,
        rate="completion_rate",
        n="starts",
        counted="sessions",
    )
    assert (found.value, found.n) == (0.5, 20)
    assert (
        found.rules["start_event"] == "go"
        and found.rules["units_whose_window_is_open"] == "0 sessions whose window is open"
    )


def test_on_a_log_of_one_day_nobody_is_told_how_often_people_come():
    """Hand count: 12 users, all on 5 January; 100 % of them come on that day whatever they do."""
    said = concluded([(f"u{u}", "open", u % 3) for u in range(12)], [], datetime(2026, 1, 5, 20))
    assert said.verdict == "No feature is declared; 12 users were active in the 1 day observed so far."
    told = [f for f in said.findings if "come" in f.sentence]
    assert [(f.severity, f.sentence) for f in told] == [
        (
            "unknown",
            "How often people come cannot be told: one day is observed, and of one day all users are users of that "
            "day; stickiness takes two days or more.",
        )
    ]
