"""Two where two are needed, one more than are told, nobody observed to the end: what a page says just at a limit. By hand."""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd

from launchpad_lib.contract.catalogue import cohort_tables
from launchpad_lib.contract.features import Feature
from launchpad_lib.findings import engagement_results as engagement
from launchpad_lib.findings import feature_results as features
from launchpad_lib.findings import retention_results as retention
from launchpad_lib.findings.cohorts import how_long_they_stay
from launchpad_lib.findings.engagement_question import ask_engagement
from launchpad_lib.findings.experiments import MOST_VARIANTS
from launchpad_lib.findings.funnel_question import ask_funnel
from launchpad_lib.findings.rows import NO_EVENTS, NO_FEATURE, declared
from tests.findings import test_cohorts as cohorts
from tests.findings import test_experiment_sentences as experiments
from tests.findings.hand_log import log
from tests.findings.test_engagement import MENU, QUIZ

THROUGH = datetime(2026, 1, 19)


def lifetime(low: float | None, high: float | None) -> str:
    row = {"scope": "all users", "users": 100, "median_days": 12.5, "ci_low": low, "ci_high": high}
    return how_long_they_stay(declared(cohort_tables.LIFETIME, pd.DataFrame([row])), None)[0].sentence


def test_a_median_has_its_interval_where_both_ends_are_reached():
    assert lifetime(8.0, 20.25) == "Half of 100 users are gone after 12.5 (8.0 to 20.2) days."
    assert lifetime(8.0, None) == lifetime(None, 20.25) == "Half of 100 users are gone after 12.5 days."


def test_two_mature_cohorts_are_enough_to_be_compared_and_one_is_not():
    """The horizon is 7 days: of cohorts from the 1st to the 9th those of the 8th and the 9th are left."""
    asked = retention.RetentionQuestion((1, 7), THROUGH)
    row = retention.retention_shift(cohorts.cohort_rows([99] * 7 + [50, 60]), asked).iloc[0]
    assert (row["n_before"], row["rate_before"], row["n_after"], row["rate_after"]) == (100, 0.5, 100, 0.6)
    one = retention.retention_shift(cohorts.cohort_rows([99] * 7 + [50]), asked).iloc[0]
    assert one["period_from"] == 1 and one["refused_because"].startswith(
        "fewer than two mature cohorts began a horizon"
    )
    few = retention.retention_shift(cohorts.cohort_rows([2] * 9, users=29), asked).iloc[0]
    assert few["refused_because"] == "fewer than 30 mature users in the earlier or the later cohorts"
    assert retention.retention_shift(cohorts.cohort_rows([2] * 9, users=30), asked)["refused_because"].isna().all()


def test_one_variant_more_than_are_told_is_said_to_be_in_the_table():
    arms = {f"v{k}": (200, 50 + k, 100) for k in range(MOST_VARIANTS + 1)} | {"y": (200, 50, 100)}
    found, said = experiments.told(experiments.log(arms))
    assert len(found.decisions) == MOST_VARIANTS + 1
    assert [f.sentence for f in said.findings if "table only" in f.sentence] == ["1 more variant is in the table only."]
    exact, all_told = experiments.told(experiments.log({k: v for k, v in arms.items() if k != "v0"}))
    assert len(exact.decisions) == MOST_VARIANTS and "table only" not in str(all_told)


def test_a_rate_that_nobody_is_mature_for_says_how_many_are_open_and_by_when():
    rows = [
        (f"u{k}", name, 0.0, {"feature_id": "quiz"})
        for k in range(3)
        for name in ("go", "done", "seen", "sent", "pick")
    ]
    early = datetime(2026, 1, 5, 10)
    asked = ask_engagement([QUIZ], window="1d", observed_through=early)
    why = "the funnel: no user has been observed to the end by 2026-01-05 10:00 UTC (3 still open), so there is no rate yet; wait or ask for a shorter time"
    for table in (features.feature_completions(log(rows), asked), features.feature_sharing(log(rows), asked)):
        assert table["refused_because"].iloc[0] == why


def test_what_goes_with_a_feature_is_asked_only_of_one_that_is_declared_and_has_events():
    events = log([("u", "open", 0.0, {"feature_id": "menu"})])
    for asked, reason in (
        (ask_engagement([], window="1d", observed_through=THROUGH), NO_FEATURE),
        (ask_engagement([MENU], window="1d", observed_through=None), NO_EVENTS),
        (
            ask_engagement([MENU], window="1d", observed_through=THROUGH),
            "no user of menu and no other feature can be paired: the log knows fewer than two features",
        ),
    ):
        assert engagement.used_together(events, asked)["refused_because"].tolist() == [reason]
        is_asked = asked.detail is not None and asked.observed_through is not None
        assert engagement.daily_adoption(events, asked).empty is not is_asked


def test_a_funnel_that_nobody_declares_is_not_asked_and_one_of_a_single_step_is_none():
    events = log([("u", "open", 0.0)])
    place = {"observed_through": THROUGH, "window": "1d"}
    nothing = ask_funnel(events, steps=[], **place).refused_because
    assert (
        nothing.startswith("not asked: ")
        and "start_event" in nothing
        and "complete_event" in nothing
        and "XX" not in nothing
    )
    single = ask_funnel(events, steps=["open"], **place).refused_because
    assert single == "a funnel has at least two steps, and open is one; name another event"
    silent = ask_funnel(events, steps=["open", "paid"], observed_through=None, window="1d").refused_because
    assert silent == "the log holds no events, so nobody entered; ingest some"
    given = [Feature(feature_id="a"), Feature(feature_id="b", start_event="open", view_event="seen")]
    assert ask_funnel(events, steps=[], features=given, **place).step_names == ("open", "seen")
    assert ask_funnel(events, steps=["open", "opem"], **place).refused_because == (
        "event 'opem': does not occur in the log; did you mean 'open'?"
    )


def test_the_later_period_ends_where_windows_are_over_and_both_are_as_long():
    from launchpad_lib.findings.funnel_results import compared_periods

    asked = ask_funnel(log([("u", "open", 0.0)]), steps=["open", "open"], observed_through=THROUGH, window="2d")
    found = compared_periods(asked, days=3)
    end, day = datetime(2026, 1, 17), timedelta(days=1)
    assert found == ((end - 6 * day, end - 3 * day), (end - 3 * day, end), 3)
    assert compared_periods(asked._replace(window=None), days=3).later[1] == THROUGH
