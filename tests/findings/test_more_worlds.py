"""Pages of health in the worlds that `test_whole_pages.py` does not tell: every finding with its severity, verb, heading, users and date.

The frames are made by hand, and what must be said was written from them and the rules of the page, before it was run.
"""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from launchpad_lib.contract.estimates import Estimate, refusal
from launchpad_lib.contract.findings import Finding
from launchpad_lib.contract.worst import Worst
from launchpad_lib.findings.quality import data_end
from tests.findings import test_latency_findings as latency
from tests.findings import test_quality_findings as quality
from tests.findings import test_risk_findings as risk
from tests.findings.test_whole_pages import read

NOW, TESTED, NEXT = "what-is-degraded-now", "does-the-score-know-more-than-its-baselines", "what-may-be-next"
SLOWER, SILENT = "which-features-became-slower", "who-fell-silent"
STABLE, BURNING = "how-stable-is-each-feature", "is-an-error-budget-burning"
PRAISED = f"fine | nothing | {TESTED} | None | None | None | The model is shown to beat its baselines: Brier score better by +0.020, 95 % interval +0.010 to +0.030."


def healthy(count: int, of: int) -> str:
    meets = "meets" if count == 1 else "meet"
    whose = f"{count} of {of} feature{'' if of == 1 else 's'} with an objective"
    return f"fine | nothing | {NOW} | None | None | None | {whose} {meets} them now."


def test_risk_that_cannot_be_tested_says_what_is_degraded_and_waits():
    now = risk.states(("a", "degraded now"), ("x", "degraded now"), ("b", "healthy"))
    now["missed"] = ["feedback", "", None]
    now["days_known"] = [3, 1, 3]
    assert read(risk.said(now, risk.REFUSED, risk.NONE)) == [
        "a and x are degraded now; no probability is published.",
        f"act | fix | {NOW} | a | 100 | 2026-01-12 | a is degraded now: it missed its objective for feedback on 2 of the last 3 days that can be"
        " judged, since 12 Jan 2026; 100 users in the last 7 days.",
        f"act | fix | {NOW} | x | 0 | 2026-01-12 | x is degraded now: it missed an objective on 2 of the last 1 day that can be"
        " judged, since 12 Jan 2026; 0 users in the last 7 days.",
        f"unknown | wait | {NEXT} | None | None | None | Not testable: no probability is published. 3 days with known outcome.",
        healthy(1, 3),
    ]  # fmt: skip


def test_three_degraded_features_are_two_names_and_one_more_most_users_first():
    now = risk.states(*((name, "degraded now") for name in "abc"))
    assert risk.said(now, risk.evaluated(), risk.NONE).verdict == "b, c and 1 more are degraded now."


def test_one_feature_alone_is_scored_and_none_with_a_history_is_waited_for():
    alone = risk.said(risk.states(("a", "healthy")), risk.evaluated(), risk.ranked(("a", 1, 1)))
    assert read(alone) == [
        "No feature with an objective is degraded now.",
        f"watch | look | {NEXT} | a | None | None | Only a can be scored: 40.0 % (20.0 to 60.0 %) probability of degrading.",
        PRAISED,
        healthy(1, 1),
    ]
    nobody = risk.said(
        risk.states(("a", "cannot tell"), ("b", "not asked"), ("c", "not asked")), risk.evaluated(), risk.NONE
    )
    assert read(nobody) == [
        "No feature with an objective can be judged now, so nothing is ranked.",
        f"unknown | wait | {NEXT} | None | None | None | No healthy feature has a history to be scored by.",
        f"unknown | find out | {NOW} | None | None | None | State cannot be told: a (0 of the last 3 days can be judged).",
        f"unknown | declare | {NOW} | None | None | None | Not asked: b and c declare no objective.",
        PRAISED,
    ]  # fmt: skip


def test_a_model_that_is_not_shown_to_be_better_is_watched():
    now, alone = risk.states(("a", "healthy"), ("b", "healthy")), risk.ranked(("a", 1, 1), ("b", 2, 2))
    for gain, said in (
        ((0.02, -0.01, 0.03), "Brier score better by +0.020, 95 % interval -0.010 to +0.030."),
        ((0.02, None, None), "its gain has no interval."),
    ):
        told = risk.said(now, risk.evaluated("persistence", gain), alone)
        assert read(told)[1:] == [
            f"watch | look | {NEXT} | a | 100 | None | Of the healthy features look at a first: 40.0 % (20.0 to 60.0 %) probability of degrading in"
            " the next 7 days, 100 users a week; errors.",
            f"watch | look | {TESTED} | None | None | None | The score used is the persistence: the model is not shown to beat it, {said}",
            healthy(2, 2),
        ]  # fmt: skip


def test_ranks_are_told_over_all_features_from_the_best_to_the_worst():
    """Nobody is first for sure, where the first two cannot be told apart, though the third is last for sure."""
    table = risk.ranked(("b", 1, 2), ("a", 1, 2), ("c", 3, 3))
    told = risk.said(risk.states(*((name, "healthy") for name in "abc")), risk.evaluated(), table)
    assert read(told)[1] == (
        f"unknown | wait | {NEXT} | None | None | None | Which of the 3 healthy features degrades first cannot be told: their ranks run from 1 to 3 of 3,"
        " and no feature is surely first. The table is in the order of users."
    )


CRASH_FREE = Worst(None, Estimate(1.0, 0.99, 1.0, 500))
UNKNOWN_CRASHES = Worst(None, refusal("no observation has a user and a known crash flag"))


def test_features_that_got_faster_or_slower_within_chance_and_budgets_of_every_kind():
    rows = [
        latency.feature("search", ratio=1.25, ci_low=1.05, ci_high=1.5, detectable_ratio=1.004),
        latency.feature("map"),
    ]
    burning = latency.budgets(
        latency.burn("search", alert=True, budget=0.0, bad=3, events=1),
        latency.burn("gone", alert=None),
        latency.burn("away", alert=None),
        latency.burn("quiz", alert=False),
        latency.burn("quiz", alert=False),
        latency.burn("map", alert=False),
        latency.burn("map", alert=None),
    )
    told = latency.said(rows, latency.silence("search", "map"), burning, crashes=CRASH_FREE)
    assert read(told) == [
        "Search burns its error budget; nothing got slower that these data could show.",
        f"act | fix | {BURNING} | search | None | None | Search has an objective that allows no failure, and 3 of 1 observation failed in the last 1 h.",
        f"watch | look | {SLOWER} | search | None | None | The largest change over the last 7 days is that of Search: p95 latency 200 ms to 204 ms,"
        " times 1.25 (95 % interval 1.05 to 1.50); the largest of several overstates.",
        f"unknown | wait | {BURNING} | None | None | None | Whether an error budget burns cannot be told for away and gone: too few observations lately.",
        f"fine | nothing | {BURNING} | None | None | None | No error budget burns too fast in 2 of 5 features with an objective.",
        f"fine | nothing | {STABLE} | None | None | None | No crash was observed: crash-free users are 100.0 % (99.0 to 100.0 %, n = 500).",
        f"fine | nothing | {SLOWER} | None | None | None | In 2 of 2 features no rise was found; a rise of 15 % would be found 8 times in 10 in half of them.",
    ]  # fmt: skip


def test_a_feature_that_rested_before_is_silent_for_longer_than_ever():
    """Its longest gap between two days with telemetry was 3, so it had rested 2 days; the last day is the 13th, so it is gone since the 14th."""
    gone = latency.silence("a", "b", silent=("b",), days=9, usual=3)
    found = latency.said([latency.unjudged("a"), latency.unjudged("b")], gone, crashes=UNKNOWN_CRASHES)
    assert read(found) == [
        "b fell silent.",
        f"act | find out | {SILENT} | b | None | 2026-01-14 | b sent no telemetry for 9 days; its longest gap before was 2 days.",
        f"unknown | declare | {BURNING} | None | None | None | Error budgets are not asked: no feature declares an objective for errors, latency, crashes or availability.",
        f"unknown | find out | {STABLE} | None | None | None | Crashes cannot be told: no observation has a user and a known crash flag.",
        f"unknown | wait | {SLOWER} | None | None | None | 1 of 2 features could not be judged: a (0 units before).",
    ]


def test_a_rise_under_one_percent_that_would_be_found_is_called_that():
    found = latency.said([latency.feature("a", detectable_ratio=1.0049), latency.feature("b", detectable_ratio=1.0049)])
    assert read(found)[-1].endswith("a rise of under 1 % would be found 8 times in 10 in half of them.")
    one = latency.said([latency.feature("a", detectable_ratio=1.006)])
    assert read(one)[-1].endswith("In 1 of 1 feature no rise was found; a rise of 1 % would be found 8 times in 10.")


def test_a_shift_that_is_dated_to_the_day_is_said_to_be():
    day = pd.Timestamp("2026-01-02")
    level = latency.standing("a", ratio=1.5, ci_low=1.2, ci_high=1.9) | {"shift_first_on": day, "shift_last_on": day}
    found = latency.said([level, latency.feature("b", ratio=1.6, ci_low=0.8, ci_high=2.6)], crashes=CRASH_FREE)
    assert [f for f in read(found) if SLOWER in f][:2] == [
        f"act | fix | {SLOWER} | a | 120 | 2026-01-02 | a: the daily p95 latency is 1.42 times what it was (95 % interval 1.19 to 1.69) since"
        " 02 Jan 2026 (dated to the day); a rise of over 5.0 % has a probability of 99 %.",
        f"unknown | wait | {SLOWER} | b | None | None | The largest change over the last 7 days is that of b: p95 latency 200 ms to 204 ms, times 1.60"
        " (95 % interval 0.80 to 2.60); these data cannot tell it from none; the largest of several overstates.",
    ]  # fmt: skip


def test_a_change_from_just_one_is_open_and_from_above_one_is_not():
    """Of a ratio, 1 is no change: an interval that only touches it cannot tell."""
    for low, high, is_open in ((1.0, 1.5, True), (0.5, 1.0, True), (1.01, 1.5, False), (0.5, 0.99, False)):
        found = latency.said([latency.feature("a", ratio=1.2, ci_low=low, ci_high=high)])
        said = next(f for f in found.findings if "largest change" in f.sentence)
        assert (said.severity, said.verb) == (("unknown", "wait") if is_open else ("watch", "look"))
        assert ("cannot tell it from none" in said.sentence) is is_open and "overstates" not in said.sentence


def test_several_that_burn_or_fall_silent_are_listed_and_nothing_judged_is_said():
    burning = latency.budgets(*(latency.burn(name, alert=True) for name in "abc"))
    blind = [latency.unjudged(name) for name in "abc"]
    assert (
        latency.said(blind, burning=burning).verdict
        == "a, b and 1 more burn their error budget; slowness cannot be told."
    )
    silent = latency.said(blind, latency.silence(*"abc", silent=tuple("abc")))
    assert silent.verdict == "a, b and 1 more fell silent."
    slow = latency.said([latency.standing(name) for name in "abc"], burning=burning)
    assert slow.verdict == "a, b and 1 more got slower."  # fmt: skip


AT = datetime(2026, 1, 18, 23, 58)


def test_where_the_data_end_is_told_of_each_table_and_of_one_that_is_not_there():
    gaps = "arrival-late-events-and-gaps"
    for ends, said in (
        (
            (AT, AT),
            "Events are covered through 2026-01-18 23:58 UTC; telemetry is covered through 2026-01-18 23:58 UTC.",
        ),
        ((None, AT), "Telemetry is covered through 2026-01-18 23:58 UTC; there are no events."),
        ((AT, None), "Events are covered through 2026-01-18 23:58 UTC; there is no telemetry."),
    ):
        assert data_end(*ends) == Finding("fine", "nothing", said, anchor=gaps)
    assert data_end(None, None) == Finding("unknown", "find out", "No table covers any instant.", anchor="refused-rows")  # fmt: skip


def test_what_drifted_is_told_most_surprising_first_then_by_table_and_column():
    moved = quality.MOVED | {"aspect": "missing", "reference": "1 %", "current": "9 %"}
    rows = [
        moved | {"column": "z", "q_value": 0.004567},
        moved | {"column": "y", "q_value": 0.0001, "table_name": "telemetry"},
        moved | {"column": "x", "q_value": 0.0001},
        moved | {"column": "w", "q_value": 0.0001},
        moved | {"column": "v", "q_value": 0.00009},
        moved | {"column": "u", "q_value": 0.03},
        moved | {"column": "not", "q_value": 0.001, "is_drifted": False},
    ]
    found = [f for f in read(quality.said(found=quality.drift(*rows))) if " | drift | " in f]
    start = "watch | look | drift | None | None | None | "
    assert found == [
        f"{start}The share of missing values of {column} in {table} moved: 1 % before, 9 % now; adjusted p {p}."
        for column, table, p in (
            ("v", "events", "under 0.0001"), ("w", "events", "0.0001"), ("x", "events", "0.0001"), ("y", "telemetry", "0.0001"),
            ("z", "events", "0.0046"),
        )
    ] + [f"{start}The table of drift names 1 further difference."]  # fmt: skip


def test_what_came_and_went_is_told_of_at_most_ten():
    rows = [{"column": f"c{k}", "new_values": "tv 4.2 %", "vanished_values": "wap 2.0 %"} for k in range(6)]
    found = [f for f in read(quality.said(found=quality.drift(*rows))) if " | drift | " in f]
    start = "watch | look | drift | None | None | None | "
    expected = [
        f"{start}{said} c{k} in events: {values}."
        for k in range(5)
        for said, values in (("New values of", "tv 4.2 %"), ("No longer there, of", "wap 2.0 %"))
    ]
    assert found == expected


def test_a_name_that_no_table_has_is_told_without_a_table():
    nowhere = quality.BLIND | {"table_name": "none", "refused_because": "no row has a column or property of this name"}
    found = [f for f in read(quality.said(found=quality.drift(nowhere))) if " | drift | " in f]
    assert found == [
        "unknown | wait | drift | None | None | None | Drift cannot be told for country (no row has a column or property of this name)."
    ]
