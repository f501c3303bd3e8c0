"""What the latency page says in each world it can meet. Frames are written by hand; expected words are read off them."""

from __future__ import annotations

import pandas as pd
import pytest

from launchpad_lib.contract.estimates import Estimate, refusal
from launchpad_lib.contract.findings import VERDICTS
from launchpad_lib.contract.sentences import named
from launchpad_lib.contract.worst import Worst
from launchpad_lib.findings.budgets import alert_count, objectives_table
from launchpad_lib.findings.health_states import health_table
from launchpad_lib.findings.latency import latency_conclusion, regression_count, silent_count
from tests.findings.hostile_names import NAMES
from tests.findings.saying import HOSTILE as MORE
from tests.findings.saying import held

HOSTILE = [
    "<b>x</b>", "a\n\n# heading\n- 100 % are happy", "[click](https://evil.example)", "\u202egnp.exe", "x\x00y", "'; DROP TABLE events; --",
    "\U0001f600" * 300, "", *NAMES, *MORE,
]  # fmt: skip


def feature(name: str, **more: object) -> dict:
    """One row of a regression table: judged, quiet, and able to see a rise of 30 %."""
    row = {
        "feature_id": name, "before": 200.0, "after": 204.0, "ratio": 1.02, "ci_low": 0.9, "ci_high": 1.16, "units_after": 120, "n_after": 400,
        "shift_ratio": 1.0, "shift_low": 0.9, "shift_high": 1.1, "shift_on": pd.NaT, "shift_first_on": pd.NaT, "shift_last_on": pd.NaT,
        "shift_probability": 0.4, "annotation": None, "is_regression": False, "is_judged": True, "detectable_ratio": 1.3, "refused_because": None,
        "shift_refused": None,
    }  # fmt: skip
    return row | more


def standing(name: str, **more: object) -> dict:
    dates = {"shift_on": "2026-01-02", "shift_first_on": "2025-12-27", "shift_last_on": "2026-01-03"}
    level = {
        "shift_ratio": 1.42,
        "shift_low": 1.19,
        "shift_high": 1.69,
        "shift_probability": 0.994,
        "is_regression": True,
    }
    return feature(name, **{k: pd.Timestamp(v) for k, v in dates.items()}, **(level | more))


def unjudged(name: str) -> dict:
    return feature(
        name, ratio=None, ci_low=None, ci_high=None, is_judged=False, detectable_ratio=None, refused_because="0 units before"
    )  # fmt: skip


def silence(*names: str, silent: tuple[str, ...] = (), days: int = 5, usual: int = 1) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "feature_id": list(names),
            "last_on": pd.Timestamp("2026-01-13"),
            "longest_gap_days": usual,
            "days_silent": [days if n in silent else 0 for n in names],
            "is_silent": pd.array([n in silent for n in names], dtype="boolean"),
        }
    )
    return table


def burn(
    name: str, *, alert: bool | None, budget: float = 0.01, bad: int = 20, events: int = 100, was: bool = False
) -> dict:
    rate = bad / events / budget if budget and events else None
    return {
        "feature_id": name, "signal": "errors", "budget": budget, "long_hours": 1.0, "short_hours": 5 / 60, "factor": 14.4, "events_long": events, "bad_long": bad,
        "burn_long": rate, "events_short": events, "bad_short": bad, "burn_short": rate, "is_alert": alert,
        "worst_burn": 25.0, "worst_at": pd.Timestamp("2026-01-10 13:05"), "was_alert": was, "budget_left": 0.4,
        "events": 1000, "sli": 0.994, "used_up_at": pd.NaT, "used_up_first_at": pd.NaT, "used_up_last_at": pd.NaT,
        "used_up_refused": "too few failures lately",
        "refused_because": "0 observations in the last 1 h; 10 are needed" if alert is None else None,
    }  # fmt: skip


def budgets(*rows: dict) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(burn("x", alert=None)))


KNOWN = Worst("Search", Estimate(0.93, 0.904, 0.949, 500))


def said(
    rows: list[dict],
    gone: pd.DataFrame | None = None,
    burning: pd.DataFrame | None = None,
    crashes: Worst = KNOWN,
    single: tuple[tuple[str, str], ...] = (),
    back: tuple[tuple[str, str, str, float], ...] = (),
):
    regressions = pd.DataFrame(rows)
    gone = silence(*regressions["feature_id"]) if gone is None else gone
    return latency_conclusion(
        health_table(regressions, gone),
        regressions,
        gone,
        budgets() if burning is None else burning,
        outages=pd.DataFrame(
            [(f, pd.Timestamp(a), pd.Timestamp(b), n) for f, a, b, n in back],
            columns=["feature_id", "started_at", "ended_at", "expected"],
        ),
        left_out=pd.DataFrame([(f, pd.Timestamp(d)) for f, d in single], columns=["feature_id", "observed_on"]),
        smallest_rise=0.05,
        crashiest=crashes,
        called={"checkout": "Checkout", "search": "Search"},
        window_days=7,
    )


def words(conclusion) -> str:
    return " ".join(f.sentence for f in conclusion.findings)


def test_a_shift_of_level_is_told_with_its_size_its_date_and_what_lies_near():
    found = said([standing("checkout", annotation="deployment: checkout release"), feature("search")])
    assert found.verdict == "Checkout got slower."
    first = found.findings[0]
    assert (first.severity, first.verb, first.feature_id, first.users, first.since) == (
        "act", "fix", "checkout", 120, "2026-01-02",
    )  # fmt: skip
    assert first.sentence == (
        "Checkout: the daily p95 latency is 1.42 times what it was (95 % interval 1.19 to 1.69) since 02 Jan 2026"
        " (between 27 Dec and 03 Jan), near “deployment: checkout release”; a rise of over 5.0 % has a probability of 99 %."
    )


def test_a_probability_is_never_said_to_be_sure():
    for probability, said_so in ((0.9996, "over 99 %"), (0.62, "62 %"), (0.001, "under 1 %")):
        found = said([standing("search", shift_probability=probability)])
        assert found.findings[0].sentence.endswith(f"a rise of over 5.0 % has a probability of {said_so}.")


def test_days_out_of_line_by_themselves_are_incidents_newest_first():
    found = said(
        [feature("checkout"), feature("search")], single=(("search", "2026-01-02"), ("checkout", "2026-01-05"))
    )
    assert found.verdict == "Nothing got slower that these data could show."
    told = [f for f in found.findings if "out of line" in f.sentence]
    assert [(f.severity, f.verb, f.anchor) for f in told] == [("watch", "look", "since-when")]
    assert told[0].sentence == (
        "2 days were out of line and over at once (Checkout on 05 Jan 2026 and Search on 02 Jan 2026): an incident, no"
        " change of level."
    )


def test_no_regression_is_said_only_of_features_that_could_be_judged():
    found = said([feature("checkout"), feature("search"), unjudged("alerts")])
    assert found.verdict == "Nothing got slower that these data could show; 1 of 3 features could not be judged."
    assert "In 2 of 3 features no rise was found; a rise of 30 % would be found 8 times in 10" in words(found)
    assert "1 of 3 features could not be judged: alerts (0 units before)." in words(found)


def test_where_no_feature_can_be_judged_nothing_is_said_to_be_well():
    found = said([unjudged("checkout")])
    assert found.verdict == "These data cannot show whether a feature got slower."
    assert "no rise" not in words(found)
    count = regression_count(
        health_table(pd.DataFrame([unjudged("checkout")]), silence("checkout")),
        window_days=7, sustained_days=4, smallest_rise=0.05,
    )  # fmt: skip
    assert count.refused_because == "no feature could be judged: 0 units before"


def test_data_that_would_miss_a_doubling_call_nothing_healthy():
    found = said([feature("checkout", detectable_ratio=2.2)])
    assert found.verdict == "These data cannot show whether a feature got slower."
    assert "a rise of less than 120 % would be missed" in words(found)


def test_all_judged_and_quiet_is_said_with_the_smallest_rise_that_would_be_found():
    found = said([feature("checkout"), feature("search", detectable_ratio=1.5)])
    assert found.verdict == "Nothing got slower that these data could show."
    assert "a rise of 40 % would be found 8 times in 10 in half of them" in words(found)  # the median of 30 and 50


def test_a_silent_feature_is_named_and_is_neither_healthy_nor_worse():
    rows = [standing("checkout"), standing("search")]
    found = said(rows, silence("checkout", "search", silent=("search",)))
    assert found.verdict == "Checkout got slower and Search fell silent."
    assert "Search sent no telemetry for 5 days; it had sent some every day before." in words(found)
    assert [f.since for f in found.findings if f.verb == "find out"] == ["2026-01-14"]
    assert "Search: the daily" not in words(found)


def test_a_silence_is_held_against_the_longest_gap_before():
    found = said([feature("search")], silence("search", silent=("search",), days=9, usual=3))
    assert "Search sent no telemetry for 9 days; its longest gap before was 2 days." in words(found)


def test_an_alert_says_when_nothing_is_left_and_what_its_objective_counts():
    dates = {
        "used_up_at": pd.Timestamp("2026-01-12 07:00"), "used_up_first_at": pd.Timestamp("2026-01-09"),
        "used_up_last_at": pd.Timestamp("2026-01-20"), "used_up_refused": None,
    }  # fmt: skip
    rows = [burn("checkout", alert=True) | dates | {"signal": s} for s in ("latency", "crashes")]
    table = budgets(*rows, burn("checkout", alert=False, was=True))
    told = [f.sentence for f in said([feature("checkout")], burning=table).findings if f.anchor == "is-an-error-budget-burning"]  # fmt: skip
    rate, date = "budget 20.0 times as fast as its objective allows: 20 of 100", "; at this rate used up on 12 Jan 2026, 9 to 20 Jan."  # fmt: skip
    assert told[0] == f"Checkout burns its latency {rate} observations were slower than its limit in the last 1 h{date}"
    assert told[1] == f"Checkout burns its crash {rate} user-days had a crash in the last 1 h{date}"
    assert told[2].startswith("Checkout burned its error budget 25.0 times") and len(told) == 3
    spent = budgets(burn("checkout", alert=True) | dates | {"budget_left": 0.0})
    assert "in the last 1 h; the period's budget is spent." in words(said([feature("checkout")], burning=spent))


def test_one_row_for_each_objective_with_the_word_that_weighs_most():
    rows = (
        burn("a", alert=True), burn("b", alert=False, was=True), burn("c", alert=None), burn("d", alert=False),
        burn("e", alert=False) | {"budget_left": -0.1, "used_up_refused": None},
    )  # fmt: skip
    table = objectives_table(budgets(*rows))
    assert table["state"].tolist() == ["burns now", "burned before", "spent", "cannot tell", "within"]
    assert table["feature_id"].tolist() == ["a", "b", "e", "c", "d"]
    assert table["used_up"].tolist() == [
        *["too few failures lately"] * 2,
        "not at this rate",
        *["too few failures lately"] * 2,
    ]
    assert table["objective_rate"].tolist() == [0.99] * 5 and objectives_table(budgets()).empty


def test_a_silence_that_is_over_is_told_as_silence_and_those_together_in_one_sentence():
    back = (
        ("checkout", "2026-01-10 03:00", "2026-01-10 09:00", 240.4),
        ("checkout", "2026-01-12 22:00", "2026-01-13 02:00", 30),
        ("search", "2026-01-12 22:00", "2026-01-13 02:00", 1100),
    )
    found = said([feature("checkout"), feature("search")], back=back)
    told = [(f.severity, f.feature_id, f.since, f.sentence) for f in found.findings if f.anchor == "who-fell-silent"]
    assert told == [
        ("watch", None, "2026-01-12", "Checkout and Search sent no telemetry from 12 Jan 2026 22:00 to 13 Jan 02:00; about 1,130 observations are usual then: silence, no errors."),
        ("watch", "checkout", "2026-01-10", "Checkout sent no telemetry from 10 Jan 2026 03:00 to 09:00; about 240 observations are usual then: silence, no errors."),
    ]  # fmt: skip


def test_an_alert_says_how_fast_the_budget_burns():
    found = said([feature("checkout")], burning=budgets(burn("checkout", alert=True)))
    assert found.verdict == "Checkout burns its error budget; nothing got slower that these data could show."
    fast = "burns its error budget 20.0 times as fast as its objective allows: 20 of 100 observations failed in the last 1 h"
    assert f"Checkout {fast}." in words(found)


def test_an_alert_that_is_over_is_told_with_its_time_and_what_is_left():
    found = said([feature("checkout")], burning=budgets(burn("checkout", alert=False, was=True)))
    told = [f for f in found.findings if f.anchor == "is-an-error-budget-burning"]
    assert [(f.severity, f.sentence) for f in told] == [
        (
            "watch",
            "Checkout burned its error budget 25.0 times as fast as its objective allows on 10 Jan 2026 13:05;"
            " 40.0 % of the period's budget is left.",
        )
    ]
    spent = budgets(burn("checkout", alert=False, was=True) | {"budget_left": -0.5})
    assert "13:05; the period's budget is spent." in words(said([feature("checkout")], burning=spent))
    none = budgets(burn("checkout", alert=False, was=True, budget=0.0))
    assert "allows no failure, and one failed last on 10 Jan 2026 13:05." in words(
        said([feature("checkout")], burning=none)
    )


def test_an_objective_without_budget_is_spent_by_any_failure():
    found = said([feature("checkout")], burning=budgets(burn("checkout", alert=True, budget=0.0, bad=1)))
    assert "Checkout has an objective that allows no failure, and 1 of 100 observations failed" in words(found)


def test_no_alert_is_said_only_of_features_with_an_objective_that_could_be_judged():
    table = budgets(burn("checkout", alert=False), burn("search", alert=None, events=0, bad=0))
    found = said([feature("checkout"), feature("search")], burning=table)
    assert "No error budget burns too fast in 1 of 2 features with an objective." in words(found)
    assert "cannot be told for Search: too few observations lately" in words(found)
    assert alert_count(table) == Estimate(0.0, n=1)


def test_budgets_that_nobody_declared_are_not_asked():
    found = said([feature("checkout")])
    assert (
        "Error budgets are not asked: no feature declares an objective for errors, latency, crashes or availability."
        in words(found)
    )
    assert alert_count(budgets()).is_refused


def test_the_largest_change_is_not_called_a_rise_where_its_interval_holds_none():
    found = said([feature("checkout"), feature("search", ratio=1.01)])
    sentence = next(f for f in found.findings if f.sentence.startswith("The largest"))
    assert (sentence.severity, sentence.verb) == ("unknown", "wait")
    assert "that of Checkout" in sentence.sentence and "these data cannot tell it from none" in sentence.sentence
    clear = said([feature("checkout", ratio=1.08, ci_low=1.02, ci_high=1.14)])
    assert next(f for f in clear.findings if f.sentence.startswith("The largest")).severity == "watch"


def test_crashes_that_are_not_known_are_not_called_none():
    found = said([feature("checkout")], crashes=Worst(None, refusal("no observation has a known crash flag", n=0)))
    assert "Crashes cannot be told: no observation has a known crash flag." in words(found)
    assert "The lowest share of crash-free users is 93.0 % (90.4 to 94.9 %, n = 500), in Search." in words(
        said([feature("checkout")])
    )


def test_silence_is_counted_among_features_whose_rhythm_is_known():
    table = silence("a", "b", "c", silent=("b",))
    table = table.assign(is_silent=pd.array([False, True, None], dtype="boolean"))
    assert silent_count(table) == Estimate(1.0, n=2)
    assert silent_count(table.tail(1)).is_refused


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_changes_no_sentence_around_it(name):
    rows = [standing(name, annotation=f"deployment: {name}"), unjudged(f"{name}2"), feature(f"{name}3")]
    gone = silence(name, f"{name}2", f"{name}3", f"{name}4", silent=(f"{name}4",))
    table = budgets(burn(name, alert=True), burn(f"{name}3", alert=None, events=0, bad=0))
    found = said(rows, gone, table, Worst(name, Estimate(0.9, 0.8, 0.95, 50)))
    assert found.verdict == f"{named(name)} got slower and {named(f'{name}4')} fell silent."
    held(found, name, f"{name}2", f"{name}3", f"{name}4", f"deployment: {name}")
    assert all("\x00" not in f.sentence and len(f.sentence) < 1000 for f in found.findings)


@pytest.mark.parametrize(
    "rows",
    [
        [standing("a"), standing("b"), standing("c")], [feature("a")], [unjudged("a"), feature("b")], [unjudged("a")],
    ],
    ids=["slow", "quiet", "partly", "blind"],
)  # fmt: skip
@pytest.mark.parametrize("silent", [(), ("a", "b")], ids=["all send", "two silent"])
@pytest.mark.parametrize(
    "alerts", [None, budgets(burn("a", alert=True), burn("b", alert=True))], ids=["calm", "alerts"]
)
def test_a_verdict_is_short_and_its_states_are_of_the_closed_vocabulary(rows, silent, alerts):
    gone = silence("a", "b", "c", silent=silent)
    found = held(said(rows, gone, alerts))
    assert len(found.verdict.split()) <= 16 and not set("()[]") & set(found.verdict)
    assert found.verdict.endswith(".") and len({f.severity for f in found.findings}) >= 1
    assert set(health_table(pd.DataFrame(rows), gone)["state"]) <= VERDICTS


def test_where_nobody_met_a_crash_there_is_nothing_to_look_at():
    found = said([feature("checkout")], crashes=Worst("Search", Estimate(1.0, 0.94, 1.0, 60)))
    told = [f for f in found.findings if f.anchor == "how-stable-is-each-feature"]
    assert [(f.severity, f.sentence) for f in told] == [
        ("fine", "No crash was observed: crash-free users are 100.0 % (94.0 to 100.0 %, n = 60).")
    ]
