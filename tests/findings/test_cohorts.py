"""The sentences of the cohort page, in every world; counts by hand."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import pytest

from launchpad_lib.contract.catalogue import cohort_tables as tables
from launchpad_lib.contract.features import Feature
from launchpad_lib.contract.sentences import named
from launchpad_lib.findings import lifecycle_results as life
from launchpad_lib.findings import retention_results as results
from launchpad_lib.findings.cohorts import cohort_conclusion
from launchpad_lib.findings.coming_back import coming_back, ways
from launchpad_lib.findings.reading import Waiting, read_together
from launchpad_lib.findings.rows import declared, refused_rows
from launchpad_lib.inference import wilson
from tests.findings.hand_log import log
from tests.findings.saying import HOSTILE, held, sentences

THROUGH = datetime(2026, 2, 2)


def read(events, part: Waiting):
    """One part alone."""
    return read_together(events, [part])[0]


NO_SEGMENTS = refused_rows(tables.RETENTION_SEGMENTS, "not asked: give it", split_by=["platform", results.EARLY_DEED])


def retention_rows(counts: dict[tuple[int, int], tuple[int, int]]) -> pd.DataFrame:
    """{(from, to): (users, retained)} as the table `retention`."""
    rows = []
    for (low, high), (users, retained) in counts.items():
        found = wilson(retained, users)
        why = None if users else "nobody is mature"
        numbers = {"retention_rate": found.estimate, "ci_low": found.ci_low, "ci_high": found.ci_high}
        about = {"starts": results.FIRST, "period_from": low, "period_to": high, "users_immature": 3}
        rows.append(about | {"users": users, "retained": retained, "refused_because": why} | numbers)
    return declared(tables.RETENTION, pd.DataFrame(rows))


GOOD = {(1, 1): (200, 100), (7, 7): (160, 40), (1, 7): (160, 120)}


def cohort_rows(retained: list[int], users: int = 100) -> pd.DataFrame:
    """One cohort a day from 1 January, so many of `users` retained on day 1; the horizon is 7 days."""
    days = [f"2026-01-{d:02d}" for d in range(1, len(retained) + 1)]
    return pd.DataFrame({"cohort": days, "period_from": 1, "period_to": 1, "users": users, "retained": retained})


def segment_rows(split_by: str, counts: dict[str | None, tuple[int, int]], period: int = 1) -> pd.DataFrame:
    rows = [
        {"split_by": split_by, "segment": s, "period_from": period, "period_to": period, "users": n, "retained": k}
        for s, (n, k) in counts.items()
    ]
    frame = pd.DataFrame(rows)
    return declared(tables.RETENTION_SEGMENTS, frame.assign(retention_rate=frame["retained"] / frame["users"]))


def lifetime_rows(median: float | None, log_rank_p: float | None = None, groups: int = 0) -> pd.DataFrame:
    why = None if median else "10 of 100 users are gone, so the median is not reached yet"
    everybody = {"scope": life.ALL_USERS, "users": 100, "gone": 10, "median_days": median, "refused_because": why}
    limits = {"ci_low": 8.0 if median else None, "ci_high": None}
    parts = [everybody | limits | {"log_rank_p": log_rank_p}, *({"scope": life.GROUP} for _ in range(groups))]
    return declared(tables.LIFETIME, pd.DataFrame(parts))


def told(
    counts=GOOD,
    *,
    cohorts=None,
    segments=NO_SEGMENTS,
    states=None,
    lifetime=None,
    names=(),
    smallest_change=0.02,
    returns=(1, 7),
    **rules,
):
    asked = results.RetentionQuestion(returns, THROUGH, **rules)
    shift = results.retention_shift(cohort_rows([50] * 20) if cohorts is None else cohorts, asked)
    said = cohort_conclusion(
        asked,
        result=retention_rows(counts),
        shift=shift,
        segments=segments,
        life=refused_rows(tables.LIFECYCLE, "no events").head(0) if states is None else states,
        lifetime=lifetime_rows(12.5) if lifetime is None else lifetime,
        cohort_property="platform",
        lifecycle_period="day",
        smallest_change=smallest_change,
    )
    return held(said, "web", "ios", "platform", *names)


def test_the_verdict_is_the_first_and_the_last_asked_period():
    said = told()
    assert said.verdict == "50.0 % of users come back on day 1, 25.0 % on day 7."
    (sentence,) = sentences(said, "Came back on")
    assert sentence == (
        "Came back on day 1: 50.0 % (43.1 to 56.9 %, n = 200); day 7: 25.0 % (18.9 to 32.2 %, n = 160)."
        " On any day from 1 to 7: 75.0 % (67.8 to 81.1 %, n = 160)."
    )


def test_a_period_that_nobody_was_observed_to_the_end_of_has_no_rate():
    said = told(GOOD | {(7, 7): (0, 0), (1, 7): (0, 0)})
    assert said.verdict == "50.0 % of users come back on day 1."
    assert sentences(said, "Nobody has been observed to the end of day 7.")
    nobody = told({(1, 1): (0, 0), (7, 7): (0, 0), (1, 7): (0, 0)})
    assert nobody.verdict == "No users have been observed to the end of day 1."


def test_too_few_users_give_no_rate_in_the_verdict():
    assert told(GOOD | {(1, 1): (12, 6)}).verdict == "Too few users are observed to say how many come back: 12."


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_start_event_stands_in_the_verdict(name):
    said = told(start_event=name, names=(name,), segments=segment_rows("platform", {name: (100, 10), "ios": (100, 60)}))
    assert said.verdict == f"After {named(name)} 50.0 % of users come back on day 1, 25.0 % on day 7."
    assert sentences(said, "differs by more than chance")


def test_a_misspelt_start_and_an_empty_log_are_refused_with_one_sentence():
    events = log([("u", "cart", 0)])
    misspelt = results.ask_retention(events, returns=[1], observed_through=THROUGH, start_event="crat")
    assert misspelt.refused_because == "event 'crat': does not occur in the log; did you mean 'cart'?"
    said = told(refused_because=misspelt.refused_because)
    assert said.verdict == "These data cannot answer the question." and len(said.findings) == 1
    assert "holds no events" in results.ask_retention(log([]), returns=[1], observed_through=None).refused_because


def test_a_feature_s_users_begin_with_its_start_event_or_are_not_asked():
    events = log([("u", "cart", 0)])
    place = {"returns": [1], "observed_through": THROUGH}
    quiz = Feature(feature_id="quiz", start_event="cart")
    assert results.ask_retention(events, **place, feature=quiz).start_event == "cart"
    silent = results.ask_retention(events, **place, feature=Feature(feature_id="menu"))
    assert told(refused_because=silent.refused_because).verdict == "Nothing was asked of this page."


# Days 1 to 7 mix old and new users and are left out; of days 8 to 20 the first six are the earlier half.
@pytest.mark.parametrize(
    ("earlier", "later", "severity", "words"),
    [
        (30, 60, "fine", "Retention on day 1 rose in the cohorts from 2026-01-14"),
        (60, 30, "act", "Retention on day 1 fell in the cohorts from 2026-01-14"),
        (50, 50, "unknown", "These data cannot tell whether retention on day 1 moved"),
    ],
)
def test_later_cohorts_are_told_three_ways(earlier, later, severity, words):
    said = told(cohorts=cohort_rows([99] * 7 + [earlier] * 6 + [later] * 7))
    found = next(f for f in said.findings if words in f.sentence)
    assert found.severity == severity
    assert f"from {earlier}.0 % of 600 to {later}.0 % of 700 users." in found.sentence


def test_later_cohorts_inside_the_stated_margin_did_not_move_by_more():
    said = told(cohorts=cohort_rows([50] * 20), smallest_change=0.1)
    assert sentences(said, "Retention on day 1 moved by less than 10 points in the cohorts from 2026-01-14")


def test_first_cohorts_and_small_ones_cannot_be_compared():
    assert sentences(told(cohorts=cohort_rows([50] * 8)), "earlier ones mix old and new users.")
    assert sentences(told(cohorts=cohort_rows([2] * 20, users=4)), "fewer than 30 mature users")


def test_segments_are_told_apart_only_beyond_chance_and_never_as_an_effect():
    alike = told(segments=segment_rows("platform", {"web": (100, 50), "ios": (100, 51)}))
    assert sentences(alike, "By platform, segments cannot be told apart on day 1: from 50.0 % of 100 for web")
    apart = told(segments=segment_rows("platform", {"web": (100, 20), None: (100, 70)}))
    (sentence,) = sentences(apart, "differs by more than chance")
    assert sentence.endswith("from 20.0 % of 100 for web to 70.0 % of 100 for no value; that is no effect of platform.")
    small = told(segments=segment_rows("platform", {"web": (100, 20), "ios": (9, 7)}))
    assert sentences(small, "fewer than two segments have 30 mature users")


def test_early_behaviour_is_no_effect_and_its_periods_lie_after_the_time_to_qualify():
    said = told(segments=segment_rows(results.EARLY_DEED, {"fewer": (90, 30), "paid within 1 day": (60, 40)}, period=3))
    (sentence,) = sentences(said, "early behaviour")
    assert sentence.startswith(
        "By early behaviour, retention on day 3 is 33.3 % of 90 others and 66.7 % of 60 with “paid within 1 day” of their start;"
    )
    assert sentence.endswith("users chose, so this is no effect.")
    calendar = results.RetentionQuestion((1, 2, 7), THROUGH)
    # A start at 23:59 has its calendar day 1 a minute later: day 2 is the first that lies wholly after a day.
    assert results.later_returns(calendar, "1d") == [2, 7]
    assert results.later_returns(calendar._replace(counting="rolling"), "1d") == [1, 2, 7]


def test_what_is_not_given_is_not_asked_and_the_page_stands():
    events = log([(f"u{k}", "cart", 24 * d) for k in range(40) for d in range(9)])
    asked = results.ask_retention(events, returns=[1, 7], observed_through=THROUGH)
    rows = read(
        events,
        results.retention_segments(
            events,
            asked,
            cohort_property=None,
            behaviour_event=None,
            behaviour_within="1d",
            behaviour_at_least=1,
        ),
    )
    assert rows["refused_because"].str.startswith("not asked: give ").all()
    paths = read(events, life.session_paths(events, asked, path_anchor=None, path_end="crat"))
    assert paths["refused_because"].tolist()[0] == "not asked: give `path_anchor` an event"
    assert "did you mean 'cart'" in paths["refused_because"].tolist()[1]
    assert told(segments=rows).verdict.startswith("50.0 %")


def test_how_long_users_stay_is_a_median_or_the_reason_that_there_is_none():
    assert sentences(told(), "Half of 100 users are gone after 12.5 days.")
    assert sentences(told(lifetime=lifetime_rows(None)), "cannot be said: 10 of 100 users are gone")
    apart = told(lifetime=lifetime_rows(12.5, log_rank_p=0.01, groups=3))
    assert sentences(apart, "By platform, how long users stay differs by more than chance over 3 groups")
    alike = told(lifetime=lifetime_rows(12.5, log_rank_p=0.3, groups=3))
    assert sentences(alike, "By platform, 3 groups cannot be told apart in how long users stay.")


def test_the_accounts_are_those_of_the_last_complete_period():
    """a and b on Monday; a, c on Tuesday; b alone on Thursday: Wednesday had nobody, Thursday is over on Friday."""
    rows = [("a", "x", 0), ("b", "x", 1), ("a", "x", 24), ("c", "x", 25), ("b", "x", 72), ("d", "x", 96)]
    asked = results.ask_retention(log(rows), returns=[1], observed_through=datetime(2026, 1, 9, 12))
    states = read(log(rows), life.lifecycle_result(log(rows), asked, lifecycle_period="day"))
    assert sentences(told(states=states), "1 user in the day from 2026-01-08: 0 new, 0 returning, 1 resurrected;")
    found = life.resurrected_share(states, asked, lifecycle_period="day")
    assert (found.value, found.n) == (1.0, 1)
    early = asked._replace(observed_through=datetime(2026, 1, 5, 12))
    first = read(log(rows[:2]), life.lifecycle_result(log(rows[:2]), early, lifecycle_period="day"))
    assert sentences(told(states=first), "No local day is complete yet")


def test_a_user_is_gone_after_the_gap_and_a_curve_has_at_most_two_hundred_points():
    """Of 60 users each is seen on day 0 and on day k / 6; gone after three days without an event."""
    rows = [(f"u{k}", "x", hours) for k in range(60) for hours in (0, 4 * k)]
    events = log(rows)
    asked = results.ask_retention(events, returns=[1], observed_through=THROUGH)
    stay = read(events, life.lifetimes(events, asked, churn_gap="3d", cohort_property="platform"))
    # Spans are 0, 4, ..., 236 h; half of the users are gone at 116 h.
    assert life.lifetime_median(stay.lifetime, churn_gap="3d").value == pytest.approx(116 / 24)
    assert stay.lifetime["scope"].tolist() == [life.ALL_USERS, life.GROUP]
    assert stay.survival.groupby("scope").size().max() <= life.MOST_TIMES
    assert set(stay.curves["group"]) == {"web"}
    early = asked._replace(observed_through=datetime(2026, 1, 6))
    nobody = read(events, life.lifetimes(events, early, churn_gap="3d", cohort_property=None))
    assert "nobody can be judged" in nobody.lifetime["refused_because"].iloc[0]


@pytest.mark.parametrize(
    ("users", "days", "asked", "period"),
    [
        (5_000, 14, "day", "day"),
        (5_000, 400, "day", "week"),
        (60, 21, "day", "week"),
        (60, 10, "day", "day"),
        (90_000, 2_000, "day", "month"),
    ],
)
def test_cohorts_are_as_long_as_their_number_and_size_ask_for(users, days, asked, period):
    """At most 60 cohorts; under 30 users a cohort the period is longer, where three of the longer ones fit."""
    assert results.cohort_period(users, days, asked=asked, min_cell=30) == period


EVERYTHING = {
    "cohort_by": "day",
    "cohort_property": "platform",
    "behaviour_event": "buy",
    "behaviour_within": "1d",
    "behaviour_at_least": 1,
    "lifecycle_period": "day",
    "churn_gap": "3d",
}


def test_a_page_reads_the_log_twice_and_every_part_of_it_stands(monkeypatch):
    """By hand: 40 users come on nine days from Monday on, all in one session; the first 10 buy in the first hour."""
    from launchpad_lib.metrics.kernels import one_reading

    rows = [(f"u{k}", "cart", 24 * d) for k in range(40) for d in range(9)] + [(f"u{k}", "buy", 1) for k in range(10)]
    events = log(rows)
    asked = results.ask_retention(events, returns=[1, 7], observed_through=THROUGH)
    features = [
        Feature(feature_id="quiz", start_event="buy"),
        Feature(feature_id="menu"),
        Feature(feature_id="odd", start_event="crat"),
    ]
    units = []
    real = one_reading.unit_rows
    monkeypatch.setattr(
        one_reading, "unit_rows", lambda *args, **named: [units.append(named["unit"]), real(*args, **named)][1]
    )
    found = coming_back(events, asked, features, **EVERYTHING)
    way = ways(events, asked, path_anchor="buy", path_end="buy")
    assert units == ["user_id", "session_key"]
    first = found.retention[found.retention["starts"] == results.FIRST]
    assert first.set_index(["period_from", "period_to"])["retained"].to_dict() == dict.fromkeys(
        [*((n, n) for n in range(1, 8)), (1, 7)], 40
    )
    again = found.retention[found.retention["starts"] == results.RECURRING].set_index("period_from")
    assert again.loc[1, ["users", "retained"]].tolist() == [360, 320]
    assert found.cohorts["cohort"].unique().tolist() == ["2026-01-05"]
    of_deed = found.segments[found.segments["split_by"] == results.EARLY_DEED]
    assert of_deed[["segment", "period_from", "users", "retained"]].values.tolist() == [
        ["buy within 1 day", 7, 10, 10],
        ["fewer", 7, 30, 30],
    ]
    by_feature = {name: own for name, own in found.features.groupby("feature_id")}
    assert by_feature["quiz"][["period_from", "users", "retained"]].values.tolist() == [[1, 10, 10], [7, 10, 10]]
    assert by_feature["menu"]["refused_because"].tolist()[0].startswith("not asked: ")
    assert "did you mean 'cart'" in by_feature["odd"]["refused_because"].tolist()[0]
    assert found.lifecycle[["new", "dormant"]].values.tolist() == [[40, 0], *[[0, 0]] * 8]
    assert found.lifetimes.lifetime["gone"].tolist() == [40, 40]
    after = way.paths[way.paths["direction"] == "after"].set_index(["position", "event_name"])["units"].to_dict()
    assert after == {(1, "cart"): 10, **{(n, "(end)"): 10 for n in range(2, 6)}}
    before = way.paths[way.paths["direction"] == "before"].set_index(["position", "event_name"])["units"].to_dict()
    assert before == {(1, "cart"): 10, **{(n, "(start)"): 10 for n in range(2, 6)}}
    assert {(r.from_event, r.to_event): r.transitions for r in way.transitions.itertuples()} == {
        ("cart", "buy"): 10,
        ("buy", "cart"): 10,
        ("cart", "(end)"): 40,
    }


def test_of_an_empty_log_every_part_of_the_page_says_why():
    events = log([])
    asked = results.ask_retention(events, returns=[1], observed_through=None)
    found = coming_back(events, asked, [], **EVERYTHING)
    for rows in (found.retention, found.cohorts, found.segments, found.lifecycle, found.lifetimes.lifetime):
        assert "the log holds no events" in rows["refused_because"].iloc[0]
    way = ways(events, asked, path_anchor="buy", path_end=None)
    assert "the log holds no events" in way.paths["refused_because"].iloc[0] and way.transitions.empty
