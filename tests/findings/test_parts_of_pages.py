"""Parts of the product pages by themselves: how long users stay against statsmodels and scipy, what is missing for a part, copies without ids."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from scipy.stats import CensoredData, logrank
from statsmodels.duration.survfunc import SurvfuncRight

from launchpad_lib.contract.features import Feature
from launchpad_lib.findings import engagement_results as engagement
from launchpad_lib.findings import feature_results as features
from launchpad_lib.findings import retention_results as retention
from launchpad_lib.findings.engagement_question import ask_engagement
from launchpad_lib.findings.lifecycle_results import lifetimes
from launchpad_lib.findings.quality_checks import conflict_estimate
from launchpad_lib.findings.reading import read_together
from launchpad_lib.lake import Copies
from tests.findings.hand_log import log

DAY = 24.0
THROUGH = datetime(2026, 3, 1)


def test_how_long_users_stay_has_the_limits_of_statsmodels_and_the_test_of_scipy():
    """73 users stay for some days; the last event of every seventh is on the last day, so it is not known to be gone."""
    rng = np.random.default_rng(5)
    spans = [
        (f"u{k}", "web" if k % 3 else "ios", 55.0 if k % 7 == 0 else float(rng.integers(1, 20)) + k % 3) for k in range(73)
    ]  # fmt: skip
    rows = [(u, "go", DAY * at, {"platform": p}) for u, p, span in spans for at in (0.0, span)]
    asked = retention.RetentionQuestion((1,), THROUGH, min_cell=10)
    events = log(rows)
    found = read_together(events, [lifetimes(events, asked, churn_gap="7d", cohort_property="platform")])[0].lifetime
    by_group = {
        "all users": spans,
        "web": [s for s in spans if s[1] == "web"],
        "ios": [s for s in spans if s[1] == "ios"],
    }
    for (name, own), row in zip(by_group.items(), found.to_dict("records"), strict=True):
        curve = SurvfuncRight(np.array([s[2] for s in own]), np.array([int(s[2] < 48) for s in own]))
        scope = name if name == "all users" else "group"
        assert row["scope"] == scope and (row["group"] == name or scope == name)
        assert (row["users"], row["gone"]) == (len(own), sum(s[2] < 48 for s in own))
        assert row["median_days"] == curve.quantile(0.5)
        assert (row["ci_low"], row["ci_high"]) == curve.quantile_ci(0.5)
        assert row["ci_low"] <= row["median_days"] <= row["ci_high"] and row["refused_because"] is None
    sides = [
        CensoredData(uncensored=[s[2] for s in own if s[2] < 48], right=[s[2] for s in own if s[2] >= 48])
        for own in (by_group["web"], by_group["ios"])
    ]
    assert found["log_rank_p"].iloc[0] == pytest.approx(logrank(*sides).pvalue)
    assert found["log_rank_p"].iloc[1:].isna().all()


def test_of_each_part_of_a_feature_that_is_asked_of_two_events_the_missing_one_is_named():
    events = log([("u", "go", 0.0, {"feature_id": "f"}), ("u", "sent", 1.0, {"feature_id": "f"})])
    place = {"window": "1d", "observed_through": datetime(2026, 1, 19)}
    whole = {"start_event": "go", "complete_event": "go", "view_event": "go", "share_event": "sent", "interaction_events": ("go",)}  # fmt: skip

    def reasons(*left_out: str) -> dict[str, str | None]:
        feature = Feature(feature_id="f", **{k: v for k, v in whole.items() if k not in left_out})
        asked = ask_engagement([feature], **place)
        table = engagement.engagement_table(events, asked, engagement.daily_adoption(events, asked))
        told = dict(zip(table["quantity"], table["refused_because"], strict=True))
        found = {
            "depth": told[engagement.INTERACTIONS],
            "kinds": told[engagement.KINDS],
            "shares": told[engagement.SHARES],
            "sharing": features.feature_sharing(events, asked)["refused_because"].iloc[0],
            "completion": features.feature_completions(events, asked)["refused_because"].iloc[0],
            "often": engagement.how_often(events, asked)["refused_because"].iloc[0],
        }
        return {part: reason if isinstance(reason, str) else None for part, reason in found.items()}

    nothing = dict.fromkeys(("depth", "kinds", "shares", "sharing", "completion", "often"))
    start, view, share, complete, deep = (
        f"not asked: f declares no {field}"
        for field in ("start_event", "view_event", "share_event", "complete_event", "interaction_events")
    )
    assert reasons() == nothing
    assert reasons("view_event") == nothing | {"shares": view, "sharing": view}
    assert reasons("share_event") == nothing | {"shares": share, "sharing": share}
    assert reasons("view_event", "share_event") == nothing | dict.fromkeys(("shares", "sharing"), f"{view} and no share_event")  # fmt: skip
    assert reasons("complete_event") == nothing | {"completion": complete}
    assert reasons("interaction_events") == nothing | {"depth": deep, "kinds": deep}
    assert reasons("start_event") == nothing | {"depth": start, "kinds": start, "completion": start, "often": start}


def test_copies_that_were_met_are_counted_though_other_events_came_without_ids():
    assert conflict_estimate(Copies(1, 1, made=40))[:4] == (1.0, None, None, 2)
    assert conflict_estimate(Copies(1, 0, made=40))[:4] == (0.0, None, None, 1)
    assert conflict_estimate(Copies(0, 1, made=40))[:4] == (1.0, None, None, 1)
    assert conflict_estimate(Copies(0, 0))[:4] == (0.0, None, None, 0)


def test_shares_of_viewers_that_are_all_open_say_how_many_and_by_when():
    """Three viewers an hour before the end of the data, with a window of a day."""
    rows = [(f"u{k}", name, 0.0, {"feature_id": "f"}) for k in range(3) for name in ("seen", "sent")]
    events, through = log(rows), datetime(2026, 1, 5, 10)
    feature = Feature(feature_id="f", view_event="seen", share_event="sent")
    asked = ask_engagement([feature], window="1d", observed_through=through)
    table = engagement.engagement_table(events, asked, engagement.daily_adoption(events, asked)).set_index("quantity")
    assert table.loc[engagement.SHARES, "refused_because"] == (
        "sharing: no user has been observed to the end by 2026-01-05 10:00 UTC (3 still open), so there is no rate yet;"
        " wait or ask for a shorter time"
    )
    assert table.loc[engagement.SHARES, ["value", "ci_low", "ci_high"]].isna().all()


F = Feature(feature_id="f", start_event="go", complete_event="done", view_event="seen", share_event="sent", interaction_events=("go",))  # fmt: skip


def parts(events, **rules) -> dict:
    """Each part of the feature in detail, and the tables of everybody's activity."""
    asked = ask_engagement([F], **{"window": "1d", "observed_through": datetime(2026, 1, 19)} | rules)
    daily = engagement.daily_adoption(events, asked)
    return {
        "engagement": engagement.engagement_table(events, asked, daily).set_index("quantity"),
        "daily": daily,
        "activity": engagement.activity(events, asked),
        "days": engagement.power_users(events, asked),
        "often": engagement.how_often(events, asked),
        "adoption": features.feature_adoptions(events, asked)[0],
    }


def test_a_misspelt_event_refuses_its_own_part_and_an_empty_log_all_of_them():
    events = log([("u", "went", 0.0, {"feature_id": "f"}), ("u", "scene", 0.0), ("u", "sent", 1.0)])
    found = parts(events)
    told = found["engagement"]["refused_because"]
    assert told[engagement.INTERACTIONS] == told[engagement.KINDS] == found["often"]["refused_because"].iloc[0]
    assert told[engagement.INTERACTIONS].startswith("event 'go': does not occur in the log; ")
    assert told[engagement.SHARES].startswith("event 'seen': does not occur in the log; did you mean ")
    assert told.drop([engagement.INTERACTIONS, engagement.KINDS, engagement.SHARES]).isna().all()
    asked = ask_engagement([F], window="1d", observed_through=None)
    empty = engagement.engagement_table(log([]), asked, engagement.daily_adoption(log([]), asked))
    assert empty["refused_because"].tolist() == ["the log holds no events; ingest some"] * len(empty)
    assert engagement.how_often(log([]), asked)["refused_because"].tolist() == ["the log holds no events; ingest some"]


def test_activity_is_counted_over_the_days_asked():
    """Until the 19th: of three days only the two goes of v on the 17th count, of fourteen also the one of u on the 6th."""
    rows = [("u", "go", 24.0), ("v", "go", 12 * 24.0), ("v", "go", 12 * 24.0 + 1)]
    for days, once, twice in ((3, 0, 1), (14, 1, 1), (13, 1, 1), (12, 0, 1)):
        found = parts(log(rows), activity_days=days)
        often = found["often"].set_index("times")["users"]
        assert (often["1"], often["2"], often.sum()) == (once, twice, once + twice)
        active = found["days"].set_index("days")
        assert len(active) == days and active["users"].iloc[0] == once + 1 and active["n"].iloc[0] == once + 1


def test_days_and_weeks_are_those_of_the_zone_and_of_the_first_weekday():
    """Monday 5 January 20:00 UTC is the 6th in Tokyo; Sunday the 11th begins a week for who begins weeks on Sunday."""
    rows = [("u", "go", 11.0, {"feature_id": "f"}), ("v", "look", 11.0), ("w", "go", 6 * 24.0, {"feature_id": "f"})]
    here, there = (parts(log(rows), report_timezone=zone) for zone in ("UTC", "Asia/Tokyo"))
    for name, column in (("daily", "active_on"), ("activity", "active_on")):
        assert (here[name][column].iloc[0], there[name][column].iloc[0]) == ("2026-01-05", "2026-01-06")
    assert here["daily"]["adoption_rate"].tolist()[:1] == [0.5]
    week = parts(log(rows), week_starts_on="sunday")["adoption"].iloc[0]
    assert (week["week_on"], week["users"], week["active_users"]) == ("2026-01-11", 1, 1)
    week = parts(log(rows), week_starts_on="monday")["adoption"].iloc[0]
    assert week["week_on"] == "2026-01-12"
    assert week["refused_because"] == "no local week with active users is complete yet"


def test_a_log_that_begins_within_the_week_before_compares_no_weeks_but_days_whatever_the_zone():
    """The last complete week begins on the 12th; the log begins on Monday the 5th at 20:00 UTC, which is the 6th in Tokyo."""
    rows = [(f"u{k}", "go", hours, {"feature_id": "f"}) for k in range(3) for hours in (11.0, 8 * 24.0)]
    reasons = {}
    for zone in ("UTC", "Asia/Tokyo"):
        asked = ask_engagement([F], window="1d", observed_through=datetime(2026, 1, 19), report_timezone=zone)
        reasons[zone] = features.feature_adoptions(log(rows), asked)[1]["refused_because"].tolist()
    assert reasons == {
        "UTC": ["fewer than 30 active users in one of the two weeks"],
        "Asia/Tokyo": ["fewer than 30 active users in one of the two periods"],
    }


def test_a_feature_that_no_event_names_has_its_reason_and_the_others_stand():
    rows = [(f"u{k}", "go", hours, {"feature_id": "quiz"}) for k in range(40) for hours in (0.0, 7 * 24.0)]
    asked = ask_engagement([Feature(feature_id="quizz"), Feature(feature_id="quiz")], window="1d", observed_through=datetime(2026, 1, 19))  # fmt: skip
    adopted, changes = features.feature_adoptions(log(rows), asked)
    unknown = "no event of the log names feature 'quizz'; did you mean 'quiz'?"
    assert adopted["feature_id"].tolist() == ["quizz", "quiz"] and adopted["refused_because"].iloc[0] == unknown
    assert adopted[["adoption_rate", "ci_low", "ci_high"]].iloc[0].isna().all()
    assert adopted[["users", "active_users", "adoption_rate"]].iloc[1].tolist() == [40, 40, 1.0]
    assert changes["refused_because"].iloc[0] == unknown and changes["refused_because"].isna().tolist() == [False, True]
    assert changes[["absolute_lift", "is_changed"]].iloc[1].tolist() == [0.0, False]
    nameless = [(f"u{k}", "go", 0.0) for k in range(3)]
    nobody = features.feature_adoptions(log(nameless), asked)[0]["refused_because"].tolist()
    assert nobody == ["no event of the log names a feature; map `feature_id`"] * 2
