"""The small logs on which products disagree, counted by hand; and what is refused, in one sentence each."""

from __future__ import annotations

from datetime import datetime, timedelta

import ibis
import pandas as pd
import pytest

from launchpad_lib.metrics import (
    Exclusion,
    Step,
    funnel,
    funnel_changes,
    funnel_rules,
    funnel_trend,
    nobody_mature,
    unknown_names,
)

FAR = datetime(2100, 1, 1)


def log(*rows: tuple, **more) -> ibis.Table:
    frame = pd.DataFrame([r[:3] for r in rows], columns=["user_id", "event_name", "event_at"])
    return ibis.memtable(frame.assign(event_at=frame["event_at"].astype("datetime64[us]"), **more))


def at(hour: int, minute: int = 0, day: int = 1, month: int = 1) -> datetime:
    return datetime(2026, month, day, hour, minute)


def users(table: ibis.Table) -> list[int]:
    return table.order_by("step").to_pandas()["users"].tolist()


FOUR = [("u", "A", at(13)), ("u", "A", at(13, 30)), ("u", "B", at(13, 45)), ("u", "C", at(14, 15))]


def test_the_rules_of_mixpanel_drop_at_c_and_the_others_convert():
    """Hand count; the example is the one of Mixpanel's own documentation of the conversion window."""
    found = (
        funnel_rules(log(*FOUR), steps=["A", "B", "C"], window="1h", observed_through=FAR)
        .order_by(["place", "step"])
        .to_pandas()
    )
    assert {r: g["users"].tolist() for r, g in found.groupby("rule", sort=False)} == {
        "this report": [1, 1, 1],
        "Mixpanel, uniques": [1, 1, 0],
        "Mixpanel, optimized re-entry": [1, 1, 1],
        "Amplitude, this order": [1, 1, 1],
        "Amplitude, exact order; PostHog, strict": [1, 1, 1],
        "PostHog, sequential": [1, 1, 1],
    }


def test_other_products_count_an_open_window_as_lost_and_we_do_not_count_it():
    """Hand count: u converts; v entered 30 minutes before the end of the data."""
    events = log(("u", "A", at(9)), ("u", "B", at(10)), ("v", "A", at(12, 30)))
    found = (
        funnel_rules(events, steps=["A", "B"], window="2h", observed_through=at(13))
        .order_by(["place", "step"])
        .to_pandas()
    )
    assert found[found["rule"] == "this report"]["users"].tolist() == [1, 1]
    assert found[found["rule"] == "PostHog, sequential"]["users"].tolist() == [2, 1]


def test_at_the_same_second_the_order_of_the_steps_wins_unless_asked_otherwise():
    tie = log(("u", "B", at(9)), ("u", "A", at(9)))
    assert users(funnel(tie, steps=["A", "B"], window="1h", observed_through=FAR)) == [1, 1]
    assert users(funnel(tie, steps=["A", "B"], window="1h", observed_through=FAR, same_instant="does_not_count")) == [
        1,
        0,
    ]


def test_a_step_exactly_at_the_end_of_the_window_counts():
    events = log(("u", "A", at(9)), ("u", "B", at(10)))
    assert users(funnel(events, steps=["A", "B"], window="1h", observed_through=FAR)) == [1, 1]
    assert users(funnel(events, steps=["A", "B"], window="59m", observed_through=FAR)) == [1, 0]


def test_a_user_with_a_null_property_is_a_segment_of_its_own_and_passes_no_filter():
    """Hand count: three users, of whom v has no plan."""
    rows = [(u, n, at(h)) for u in "uvw" for n, h in (("A", 9), ("B", 10))]
    events = log(*rows, plan=pd.Series(["p", "p", None, None, "q", "q"], dtype="string"))
    found = (
        funnel(events, steps=["A", "B"], window="2h", observed_through=FAR, breakdown="plan")
        .order_by(["segment", "step"])
        .to_pandas()
    )
    assert found["users"].sum() == 6
    assert found["segment"].isna().sum() == 2
    assert users(funnel(events, steps=[Step("A", (("plan", "p"),)), "B"], window="2h", observed_through=FAR)) == [1, 1]
    assert users(funnel(events, steps=["A", "B"], window="2h", observed_through=FAR, hold_constant="plan")) == [2, 2]


def test_a_property_inside_the_json_is_read_as_text_number_or_boolean():
    rows = [("u", "A", at(9)), ("u", "B", at(10)), ("v", "A", at(9)), ("v", "B", at(10)), ("w", "A", at(9))]
    texts = ['{"n": 5, "on": true}', "{}", '{"n": "5"}', None, "not json"]
    events = log(*rows, properties=pd.Series(texts, dtype="string"))
    assert users(funnel(events, steps=[Step("A", (("n", 5),)), "B"], window="2h", observed_through=FAR)) == [2, 2]
    assert users(funnel(events, steps=[Step("A", (("on", True),)), "B"], window="2h", observed_through=FAR)) == [1, 1]
    assert users(funnel(events, steps=[Step("A", (("n", (4, 5)),)), "B"], window="2h", observed_through=FAR)) == [2, 2]


def test_on_the_day_clocks_go_forward_a_window_of_a_day_is_24_hours_and_the_local_day_has_23():
    """Berlin, 29 March 2026: 01:59 is followed by 03:00. 23:30 local on the 28th is 22:30 UTC; 24 h later it is 00:30 local on the 30th."""
    events = log(("u", "A", at(22, 30, 28, 3)), ("u", "B", at(22, 30, 29, 3)))
    assert users(funnel(events, steps=["A", "B"], window="1d", observed_through=FAR)) == [1, 1]
    trend = funnel_trend(
        events, steps=["A", "B"], window="1d", observed_through=FAR, period="day", report_timezone="Europe/Berlin"
    )
    rows = trend.order_by(["period_on", "step"]).to_pandas()
    assert [str(d)[:10] for d in rows["period_on"]] == ["2026-03-28", "2026-03-28"]
    assert rows["users"].tolist() == [1, 1]


def test_local_days_are_those_of_the_report_time_zone():
    """23:30 UTC on 1 January is 00:30 on the 2nd in Berlin and 18:30 on the 1st in New York."""
    events = log(("u", "A", at(23, 30)), ("u", "B", at(23, 40)))
    for zone, day in (("UTC", "2026-01-01"), ("Europe/Berlin", "2026-01-02"), ("America/New_York", "2026-01-01")):
        rows = funnel_trend(
            events, steps=["A", "B"], window="1h", observed_through=FAR, period="day", report_timezone=zone
        ).to_pandas()
        assert {str(d)[:10] for d in rows["period_on"]} == {day}


def test_exclusions_take_the_user_out_or_end_the_chain():
    """Hand count: u does X between A and B; v does X before A; w does X after B; x re-enters after X."""
    rows = [("u", "A", at(9)), ("u", "X", at(10)), ("u", "B", at(11)), ("v", "X", at(8)), ("v", "A", at(9)), ("v", "B", at(10)),
            ("w", "A", at(9)), ("w", "B", at(10)), ("w", "X", at(11)), ("x", "A", at(8)), ("x", "X", at(9)), ("x", "A", at(10)), ("x", "B", at(11))]  # fmt: skip
    removing = (
        funnel(log(*rows), steps=["A", "B"], window="5h", observed_through=FAR, exclusions=["X"])
        .order_by("step")
        .to_pandas()
    )
    assert (removing["users"].tolist(), removing["users_removed"].tolist()) == ([3, 3], [1, 1])
    blocking = [Exclusion("X", effect="block_progress")]
    assert users(funnel(log(*rows), steps=["A", "B"], window="5h", observed_through=FAR, exclusions=blocking)) == [4, 3]
    assert users(
        funnel(log(*rows), steps=["A", "B"], window="5h", observed_through=FAR, exclusions=blocking, entry="first")
    ) == [4, 2]


def test_the_comparison_counts_each_periods_entries():
    """Hand count: two of three convert in the first week, none of one in the second; w's later entry is immature."""
    rows = [
        ("u", "A", at(9)),
        ("u", "B", at(10)),
        ("v", "A", at(9)),
        ("v", "B", at(9, 30)),
        ("x", "A", at(9)),
        ("w", "A", at(9, day=9)),
        ("w", "A", at(9, day=14)),
    ]
    weeks = {"before": (at(0), at(0, day=8)), "after": (at(0, day=8), at(0, day=15))}
    found = funnel_changes(
        log(*rows), steps=["A", "B"], window="1d", observed_through=at(12, day=14), **weeks
    ).to_pandas()
    assert found[["converted_before", "n_before", "converted_after", "n_after"]].values.tolist() == [[2, 3, 0, 1]] * 2


def test_two_hundred_thousand_events_of_one_bot_are_counted_like_any_other():
    """No self join: the deepest chain of a bot that alternates A and B is found, and a second user is not lost."""
    count = 200_000
    frame = pd.DataFrame({"user_id": "bot", "event_name": ["A", "B"] * (count // 2)})
    frame["event_at"] = pd.date_range("2026-01-01", periods=count, freq="s").astype("datetime64[us]")
    frame.loc[count] = ["u", "A", pd.Timestamp("2026-01-01")]
    assert users(funnel(ibis.memtable(frame), steps=["A", "B", "A", "B"], window="10s", observed_through=FAR)) == [
        2,
        1,
        1,
        1,
    ]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"steps": ["A"]}, "at least two steps"),
        ({"steps": ["A", Step("B", is_optional=True)]}, "at least two steps"),
        ({"steps": [Step("A", is_optional=True), "B", "C"]}, "first and the last step cannot be optional"),
        ({"window": "7"}, "with a unit"),
        ({"window": "0d"}, "above 0"),
        ({"window": "99999999999d"}, "longer than any log"),
        ({"mode": "loose"}, "must be one of 'ordered', 'strict', 'any_order'"),
        ({"mode": "strict", "exclusions": ["X"]}, "already excludes every other event"),
        ({"mode": "any_order", "steps": ["A", "A"]}, "named twice"),
        ({"mode": "any_order", "same_instant": "does_not_count"}, "any order counts"),
        ({"mode": "strict", "steps": ["A", Step("B", is_optional=True), "C"]}, "optional steps need an order"),
        ({"exclusions": ["B"]}, "is a step too"),
        ({"attribution": 3}, "step number from 1 to 2"),
        ({"immature": "maybe"}, "'left_out' or 'counted'"),
        ({"entered": (at(9), at(9))}, "start must come before the end"),
    ],
)
def test_what_contradicts_itself_is_refused_in_one_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence) as refused:
        funnel(log(*FOUR), **{"steps": ["A", "B"], "window": "1h", "observed_through": FAR, **options})
    assert "\n" not in str(refused.value)


def test_a_trend_needs_a_window_and_a_known_time_zone():
    with pytest.raises(ValueError, match="needs a window"):
        funnel_trend(log(*FOUR), steps=["A", "B"], window=None, observed_through=FAR)
    with pytest.raises(ValueError, match="did you mean 'Europe/Berlin'"):
        funnel_trend(log(*FOUR), steps=["A", "B"], window="1d", observed_through=FAR, report_timezone="Europe/Berlim")


def test_unknown_names_are_told_with_the_nearest_known():
    events = log(("u", "quiz_started", at(9)), properties=pd.Series(['{"channel": "link"}'], dtype="string"))
    assert unknown_names(events, event_names=["quiz_started"], properties=["channel", "user_id"]) is None
    assert "did you mean 'quiz_started'" in unknown_names(events, event_names=["quiz_started", "quizz_started"])
    assert "did you mean 'channel'" in unknown_names(events, event_names=[], properties=["chanel"])


def test_a_rate_with_nobody_mature_has_a_reason_and_no_number():
    found = funnel(log(*FOUR), steps=["A", "B"], window="1h", observed_through=at(13, 1)).to_pandas()
    assert found["conversion_rate"].isna().all() and found["ci_low"].isna().all() and found["ci_high"].isna().all()
    assert "1 still open" in nobody_mature(0, immature=int(found["entrants_immature"].iloc[0]), what="the funnel")
    assert nobody_mature(5, immature=0, what="the funnel") is None


def test_an_entrant_is_mature_at_the_very_instant_its_window_is_over():
    """Hand count: entry 09:00, window 1 h: over at 10:00, not a microsecond before."""
    for through, mature in ((at(10), 1), (at(10) - timedelta(microseconds=1), 0)):
        found = (
            funnel(log(("u", "A", at(9)), (None, "B", at(9))), steps=["A", "B"], window="1h", observed_through=through)
            .order_by("step")
            .to_pandas()
        )
        assert (found["users"].iloc[0], found["entrants_immature"].iloc[0]) == (mature, 1 - mature)


def test_sessions_are_units_too():
    """Hand count: u starts in one session and completes in another."""
    events = log(("u", "A", at(9)), ("u", "B", at(9) + timedelta(hours=2)), session_key=["s1", "s2"])
    assert users(funnel(events, steps=["A", "B"], window="1d", observed_through=FAR)) == [1, 1]
    assert users(funnel(events, steps=["A", "B"], window="1d", observed_through=FAR, by="session_key")) == [1, 0]
