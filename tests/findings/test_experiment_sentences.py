"""What the experiments page says, from events to sentences; worlds are made by hand, so that every expected word is known."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import ibis
import pandas as pd
import pytest

from launchpad_lib.contract.findings import VERDICTS, Conclusion
from launchpad_lib.contract.sentences import named
from launchpad_lib.findings.experiment_page import ExperimentsPage
from launchpad_lib.findings.experiment_results import (
    ExperimentResults,
    ask_experiment,
    ask_experiments,
    experiment_results,
)
from launchpad_lib.findings.experiments import experiment_conclusion
from tests.findings.hostile_names import NAMES, holds_the_rules_of_a_verdict

START, DAY = datetime(2026, 1, 5), timedelta(days=1)


def log(arms: dict, *, success: str = "buy", guardrail: str = "stay", experiment: object = "e", extra=()) -> ibis.Table:
    """variant -> (units, bought, stayed); every unit is exposed on the first day, and acts an hour later."""
    rows = []
    for variant, (units, bought, stayed) in arms.items():
        for i in range(units):
            user = f"{variant!r}-{i}"
            fields = {"experiment_id": experiment} | ({} if variant is None else {"variant": variant})
            rows.append((user, "experiment_exposed", START, json.dumps(fields)))
            rows += [(user, success, START + DAY / 24, None)] if i < bought else []
            rows += [(user, guardrail, START + DAY / 24, None)] if i < stayed else []
    frame = pd.DataFrame([*rows, *extra], columns=["user_id", "event_name", "event_at", "properties"])
    schema = {"user_id": "string", "event_name": "string", "event_at": "timestamp", "properties": "string"}
    return ibis.memtable(frame.astype({"event_at": "datetime64[us]"}), schema=schema)


def told(events: ibis.Table, **plan) -> tuple[ExperimentResults, Conclusion]:
    base = {"experiment_id": "e", "control": "y", "metric_event": "buy", "guardrail_events": ["stay"]}
    seen = {"observed_through": START + 30 * DAY, "guardrail_margin": 0.05}
    found = experiment_results(events, ask_experiment(events, **(base | seen | plan)))
    return found, experiment_conclusion(found)


def decision(said: Conclusion) -> str:
    """The sentence of the decision, which is not the gravest where something is to be looked at first."""
    return next(
        f.sentence
        for f in said.findings
        if f.verb in ("ship", "stop", "keep running") or f.sentence.startswith("x is not settled")
    )


WON = {"x": (1000, 300, 500), "y": (1000, 200, 500)}


@pytest.mark.parametrize(
    ("arms", "verdict", "severities"),
    [
        (WON, "Ship x: buy is above control, every guardrail is within its margin.", {"watch", "fine"}),
        ({"x": (1000, 200, 500), "y": (1000, 300, 500)}, "Do not ship x: harm shown, buy fell.", {"act", "watch", "fine"}),
        ({"x": (1000, 300, 400), "y": (1000, 200, 500)}, "Do not ship x: harm shown, stay fell.", {"act", "watch", "fine"}),
        (
            {"x": (1000, 210, 500), "y": (1000, 200, 500)},
            "Keep running e: buy of x is not shown to differ from control.",
            {"watch", "fine"},
        ),
        (
            {"x": (1000, 300, 480), "y": (1000, 200, 500)},
            "Keep running e: stay of x is not shown to be within its margin.",
            {"watch", "fine"},
        ),
        (
            {"x": (20, 20, 20), "y": (20, 1, 20)},
            "Keep running e: too few units of x or its control yet.",
            {"watch", "fine"},
        ),
        (
            {"x": (1000, 200, 500), "y": (1000, 300, 500), "z": (1000, 200, 500)},
            "Do not ship any variant: harm shown for each.",
            {"act", "watch", "fine"},
        ),
        ({**WON, "z": (1000, 200, 500)}, "Ship x: buy is above control, every guardrail is within its margin.",
         {"watch", "fine"}),
    ],
)  # fmt: skip
def test_the_verdict_is_the_decision(arms, verdict, severities):
    """Every plan here is told in short, without a planned end: that is to be looked at before anybody acts on the reading."""
    found, said = told(log(arms))
    assert said.verdict == verdict and {f.severity for f in said.findings} == severities
    assert said.refused_because is None
    assert set(found.rows["decision"].dropna()) <= VERDICTS


def test_no_guardrail_is_called_harmless_where_none_was_measured():
    _, none = told(log(WON), guardrail_events=[])
    assert none.verdict == "Ship x: buy is above control, no guardrail was declared."
    assert "No guardrail was declared, so none was measured." in decision(none)
    # The guardrail is in the log, by somebody who was never exposed: measured for nobody, so never a pass.
    elsewhere = [("stranger", "stay", START, None)]
    _, unmeasured = told(log({"x": (1000, 300, 0), "y": (1000, 200, 0)}, extra=elsewhere))
    assert unmeasured.verdict == "Keep running e: stay was not measured, no unit did it."
    assert "No unit of these arms did stay within 7 days" in decision(unmeasured)


def test_a_misspelt_guardrail_is_refused_with_the_right_name_beside_a_clear_win():
    found, said = told(log(WON), guardrail_events=["stayed"])
    assert said.verdict == "These data cannot decide e."
    assert said.refused_because == "event 'stayed': does not occur in the log; did you mean 'stay'?"
    assert said.findings[0].sentence.endswith("did you mean 'stay'?")
    assert set(found.rows["decision"].dropna()) == {"refused"}


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ({"experiment_id": "f"}, "experiment 'f': nobody was exposed to it; there are e"),
        ({"control": "Y"}, "control 'Y': no unit was exposed to it alone; did you mean 'y'?"),
        ({"metric_event": "bought"}, "event 'bought': does not occur in the log"),
        ({"shares": {"y": 1.0, "w": 1.0}}, "planned variant 'w': no unit was exposed to it alone"),
        ({"window": "60d"}, "0 units of the variant and 0 of the control have a window that is over; needs two"),
    ],
)
def test_a_plan_that_the_data_do_not_hold_is_refused_in_one_sentence(plan, reason):
    found, said = told(log(WON), **plan)
    assert said.refused_because.startswith(reason)
    assert said.verdict == f"These data cannot decide {plan.get('experiment_id', 'e')}."
    assert all(e.is_refused for e in found.lifts.values())


def test_only_one_variant_is_nothing_to_compare():
    assert told(log({"y": (50, 5, 5)}))[1].refused_because.startswith("only one variant was seen")


def test_what_is_not_declared_is_not_asked():
    for missing in ("experiment_id", "control", "metric_event"):
        found, said = told(log(WON), **{missing: None})
        assert said.verdict == "Not asked: no experiment is declared." and len(said.findings) == 1
        assert said.refused_because.startswith("not asked: no experiment is declared; declare experiment_id")
        assert found.rows["decision"].tolist() == ["not asked"] and found.lifts == {}
        assert found.sample_ratio.is_refused and ExperimentsPage((found,)).forest.empty


def test_an_uneven_split_is_fine_where_it_was_planned_and_refused_with_a_remedy_where_not():
    """95 of 1,000 and 5: as planned; without a plan it is a mismatch that names what to state."""
    arms = {"x": (50, 30, 25), "y": (950, 200, 475)}
    assert told(log(arms), shares={"y": 95.0, "x": 5.0}, guardrail_margin=0.2)[1].verdict.startswith("Ship x")
    found, said = told(log(arms))
    assert said.verdict == "These data cannot decide e."
    assert "x 50 where 500 are due and y 950 where 500 are due" in said.refused_because
    assert said.refused_because.endswith("state `shares` if another one was meant")
    assert found.lifts["x"].refused_because == "units were not assigned in the planned ratio"
    planned = told(log(arms), shares={"y": 1.0, "x": 1.0})[1].refused_because
    assert planned.endswith("so no difference can be trusted")


def test_strays_and_units_without_a_variant_are_named_and_break_nothing():
    extra = [("u0", "experiment_exposed", START, json.dumps({"experiment_id": "e", "variant": "y"}))]
    extra += [("u0", "experiment_exposed", START, json.dumps({"experiment_id": "e", "variant": "x"}))]
    events = log({**WON, "tmp": (2, 2, 2), None: (3, 1, 1)}, extra=extra)
    found, said = told(events, shares={"x": 0.5, "y": 0.5})
    assert said.verdict.startswith("Ship x") and found.sample_ratio.n == 2000 and found.sample_ratio.value == 1.0
    assert said.findings[0].sentence == (
        "Left out of every rate: 2 units of the unplanned variant tmp, 3 units without a variant and 1 unit that saw several variants; 0.3 % of 2,006 exposed units."
    )
    assert found.lifts["x"].n == 2000


@pytest.mark.parametrize(("one", "zero"), [(1, 0), (True, False), (1.5, 0.5), ("1", "0")])
def test_variants_may_be_numbers_or_booleans(one, zero):
    text = [v if isinstance(v, str) else json.dumps(v) for v in (one, zero)]
    _, said = told(log({one: WON["x"], zero: WON["y"]}), control=text[1])
    called = text[0] if text[0] == "true" else f"“{text[0]}”"  # "80 % of 0" would read as a count
    assert said.verdict.startswith(f"Ship {called}:")


def test_what_several_metrics_lack_alike_is_said_once_and_one_day_is_no_span():
    _, said = told(log({"x": (12, 3, 5), "y": (40, 10, 20)}), shares={"x": 12.0, "y": 40.0})
    assert str(said.findings).count("Each arm needs 30 units whose window is over.") == 1
    assert " were first exposed on 20" in str(said.findings) and "between" not in str(said.findings)


def test_a_unit_whose_window_is_open_is_in_no_rate_unless_the_log_has_ended():
    late = START + 3 * DAY
    _, said = told(log(WON), observed_through=late)
    assert "the window of 7 days is not over for 2,000, which are in no rate" in str(said.findings)
    _, ended = told(log(WON), observed_through=late, immature_units="count")
    assert ended.verdict.startswith("Ship x") and "all count, with what they did within 7 days or until" in str(ended)


def test_the_numbers_behind_a_decision_stand_in_its_sentence():
    """Counts by hand: 300 and 200 of 1,000; Newcombe's limits are those of test_experiments."""
    found, said = told(log(WON))
    first = decision(said)
    assert "buy 30.0 % of 1,000 units against 20.0 % of y, +10.0 points (+6.2 to +13.7)" in first
    assert (
        "guardrail stay 50.0 % of 1,000 units against 50.0 % of y, +0.0 points (-4.4 to +4.4), within the margin of 5 points"
        in first
    )
    assert found.lifts["x"].value == pytest.approx(0.1) and found.lifts["x"].n == 2000
    assert "p = 1.000" in str(said.findings)


def test_a_relative_lift_and_units_to_come_are_refused_where_they_would_mislead():
    found, said = told(log({"x": (1000, 9, 500), "y": (1000, 0, 500)}))
    assert "not clearly above 0" in found.relative_lifts["x"].refused_because and not found.lifts["x"].is_refused
    _, flat = told(log({"x": (1000, 200, 500), "y": (1000, 200, 500)}))
    assert "If buy stays as it is, more units alone will hardly settle it." in flat.findings[0].sentence
    _, rising = told(log({"x": (1000, 230, 500), "y": (1000, 200, 500)}))
    # Newcombe: +3.00 points, lower limit -0.607: (3.607 / 3)^2 - 1 = 0.445 of 2,000 units.
    assert "If buy stays as it is, about 890 more units of both arms would settle it." in rising.findings[0].sentence


@pytest.mark.parametrize("name", NAMES)
def test_every_sentence_holds_with_any_name(name):
    """The name is experiment, variant, metric and guardrail at once, once for each kind of verdict."""
    names = {"success": name, "guardrail": f"{name}2", "experiment": name}
    plan = {"experiment_id": name, "metric_event": name, "guardrail_events": [f"{name}2"], "control": "y"}
    for won in ((300, 500), (200, 500), (100, 500), (300, 300), (300, 480)):
        events = log({name: (1000, *won), "y": (1000, 200, 500)}, **names)
        for changed in ({}, {"shares": {"y": 9.0, name: 1.0}}):
            _, said = told(events, **plan, **changed)
            assert holds_the_rules_of_a_verdict(said.verdict, [name, f"{name}2"]), said.verdict
            assert named(name) in said.verdict
            assert all("\n" not in f.sentence for f in said.findings)


def test_hundreds_of_variants_are_told_in_a_bounded_page():
    """A user id as the variant: every unit is an arm of its own, and no arm has enough units."""
    arms = {f"v{i}": (2, 0, 1) for i in range(150)} | {"y": (300, 20, 100)}
    shares = {v: float(units) for v, (units, _, _) in arms.items()}
    found, said = told(log(arms), shares=shares)
    assert len(found.decisions) == 150 and len(said.findings) < 20
    assert said.verdict.startswith("Keep running e: too few units of")
    assert "140 more variants are in the table only." in str(said.findings)
    assert "no difference can be trusted" in told(log(arms))[1].refused_because


def test_a_reading_without_a_planned_end_is_to_be_looked_at_before_it_is_shipped():
    """Shipping by one look of many ships a chance find more often than the stated 5 %: a manager asks first."""
    _, short = told(log(WON))
    (look,) = [f for f in short.findings if "No planned end is declared" in f.sentence]
    assert (look.severity, look.verb) == ("watch", "declare") and short.findings[0] is look
    _, sequential = told(log(WON), design="sequential", planned_units=2000)
    assert "No planned end" not in str(sequential)


def several(*arms: dict) -> tuple[ExperimentsPage, Conclusion]:
    page = ExperimentsPage(
        tuple(told(log(one, experiment=f"e{k}"), experiment_id=f"e{k}")[0] for k, one in enumerate(arms))
    )
    return page, page.conclusion


def test_of_several_experiments_the_box_holds_one_line_each_worst_first_and_the_rest_stands_under_its_heading():
    harmed = {"x": (1000, 200, 500), "y": (1000, 300, 500)}
    page, said = several(WON, harmed, {"x": (50, 30, 25), "y": (950, 200, 475)})
    assert said.verdict == "Of 3 experiments 1 can be shipped, 1 must not be shipped and 1 cannot be decided."
    assert [f.sentence[:2] for f in said.findings] == ["e1", "e0", "e2"]
    assert [f.severity for f in said.findings] == ["act", "watch", "unknown"]
    assert [f.anchor for f in said.findings] == [f"experiment-{n}" for n in (2, 1, 3)]
    ship = said.findings[1].sentence
    assert ship.startswith("e0: Ship x: buy 30.0 %") and "No planned end is declared" in ship
    assert [(p.heading, p.anchor) for p in page.apart] == [(f"e{n}", f"experiment-{n + 1}") for n in range(3)]
    assert "do not contradict an equal split" in str(page.apart[0].findings) and "contradict" not in str(said)
    assert all(len(p.findings) > 1 for p in page.apart[:2])


def test_every_experiment_of_the_page_has_a_chart_of_its_own_days():
    """One that can be told, one whose split is broken and which has no course: a chart that says so."""
    page, _ = several(WON, {"x": (50, 30, 25), "y": (950, 200, 475)})
    titles = list(page.courses)
    assert titles == ["e0: does the difference last?", "e1: does the difference last?"]
    assert page.courses[titles[0]]["day"].tolist() == list(range(7)) and page.courses[titles[1]].empty
    (alone,) = ExperimentsPage(page.each[:1]).courses
    assert alone == "Does the difference last?"
    pd.testing.assert_frame_equal(ExperimentsPage(page.each[:1]).courses[alone], page.courses[titles[0]])


def test_of_one_experiment_the_box_holds_everything():
    page = ExperimentsPage((told(log(WON))[0],))
    assert page.apart == [] and page.conclusion == experiment_conclusion(page.each[0])


def test_where_harm_is_shown_the_harmed_metric_is_told_first():
    """ "harm is shown: buy +10 points" would be read as the harm."""
    _, said = told(log({"x": (1000, 300, 400), "y": (1000, 200, 500)}))
    sentence = decision(said)
    assert sentence.startswith("Do not ship x, harm is shown: guardrail stay 40.0 %") and "; buy 30.0 %" in sentence


def test_a_fixed_design_that_shows_nothing_at_its_planned_end_is_not_to_be_read_again():
    """More units after the planned end are a second look, which the 5 % do not cover."""
    plan = {"experiment_id": "e", "control": "y", "planned_units": 2000, "metrics": [{"event": "buy"}]}
    arms = log({"x": (1000, 210, 500), "y": (1000, 200, 500)})

    def sentence(**changed) -> str:
        (asked,) = ask_experiments(arms, [plan | changed], observed_through=START + 30 * DAY)
        return decision(experiment_conclusion(experiment_results(arms, asked)))

    assert "Its planned end is over, so a later reading is a second look" in sentence()
    # To keep running would change nothing: whoever comes later is left out.
    assert sentence().startswith("x is not settled: buy 21.0 %") and "Keep running" in sentence(planned_units=5000)
    (asked,) = ask_experiments(arms, [plan], observed_through=START + 30 * DAY)
    page = ExperimentsPage((experiment_results(arms, asked),) * 2)
    assert page.each[0].decisions[0].choice == "keep running"
    assert experiment_conclusion(page.each[0]).verdict == (
        "Not settled at its planned end: buy of x is not shown to differ from control."
    )
    assert page.conclusion.verdict == "Of 2 experiments 2 ended undecided."
    assert "second look" not in sentence(planned_units=5000)  # not yet
    assert "second look" not in sentence(design="sequential")


def of_days(*days: tuple[int, dict[str, tuple[int, int]]]) -> ibis.Table:
    """(day, variant -> (units, bought)): who is exposed on that day and acts an hour later."""
    rows = []
    for day, arms in days:
        for variant, (units, bought) in arms.items():
            for i in range(units):
                user, at = f"{day}-{variant}-{i}", START + day * DAY
                fields = json.dumps({"experiment_id": "e", "variant": variant})
                rows.append((user, "experiment_exposed", at, fields))
                rows += [(user, "buy", at + DAY / 24, None)] if i < bought else []
    frame = pd.DataFrame(rows, columns=["user_id", "event_name", "event_at", "properties"])
    schema = {"user_id": "string", "event_name": "string", "event_at": "timestamp", "properties": "string"}
    return ibis.memtable(frame.astype({"event_at": "datetime64[us]"}), schema=schema)


def test_arms_that_came_at_different_times_are_not_compared():
    """Everybody buys more in the second week, the variant changes nothing; but it was rolled out in the second week."""
    ramped = of_days((0, {"x": (50, 10), "y": (450, 90)}), (7, {"x": (450, 135), "y": (50, 15)}))
    found, said = told(ramped, guardrail_events=[])
    assert said.verdict == "These data cannot decide e." and found.rows["decision"].dropna().tolist() == ["refused"]
    assert said.refused_because == (
        "the split changed while units came, x was 10.0 % of those first exposed on 2026-01-05 and 90.0 % on "
        "2026-01-12, so what changed with the calendar would be taken for an effect; state `starts_on` and `ends_on` of "
        "days with one split"
    )
    assert all(e.is_refused for e in found.lifts.values())
    assert ExperimentsPage((found,)).overview["sample_ratio"].tolist() == ["▲ changed over time"]
    # The same people, half of them in each arm on every day; and two testers of one variant before the start.
    for days in (
        [(0, {"x": (250, 50), "y": (250, 50)}), (7, {"x": (250, 75), "y": (250, 75)})],
        [(0, {"x": (12, 0)}), (1, {"x": (500, 100), "y": (500, 100)}), (2, {"x": (500, 100), "y": (500, 100)})],
    ):
        assert told(of_days(*days), guardrail_events=[])[1].refused_because is None


def test_what_only_one_arm_can_do_is_named_before_it_is_shipped():
    """A click on the new banner: who has no banner cannot click it."""
    _, said = told(log({"x": (1000, 950, 500), "y": (1000, 3, 500)}))
    assert said.findings[0].verb in ("look", "declare")
    assert "Nearly all of one arm and nearly nobody of another did buy" in str(said.findings)
    assert "Nearly all" not in str(told(log(WON))[1].findings)


def test_the_exposure_itself_is_no_metric():
    _, said = told(log(WON), metric_event="experiment_exposed")
    assert said.refused_because.startswith("metric 'experiment_exposed': is the exposure itself, which every unit did")


def test_a_split_that_is_rare_under_the_plan_is_not_called_fine():
    _, said = told(log({"x": (1062, 210, 500), "y": (938, 200, 460)}))
    (ratio,) = [f for f in said.findings if "p = 0.00" in f.sentence]
    assert ratio.verb == "look" and "rare under an equal split" in ratio.sentence


def test_a_ratio_of_three_units_is_not_harm():
    """Of a thousand units of the variant three visited: all units count in the delta method, three tell something."""
    metric = {"event": "buy", "kind": "ratio", "per_event": "stay", "name": "bought per stay"}
    plan = {"experiment_id": "e", "control": "y", "planned_units": 2000, "metrics": [metric]}
    for visited, verdict in (
        (3, "Not settled at its planned end: too few units of x or its control."),
        (100, "Do not ship x: harm shown, “bought per stay” fell."),
    ):
        arms = log({"x": (1000, 0, visited), "y": (1000, 100, 200)})
        (asked,) = ask_experiments(arms, [plan], observed_through=START + 30 * DAY)
        assert experiment_conclusion(experiment_results(arms, asked)).verdict == verdict
