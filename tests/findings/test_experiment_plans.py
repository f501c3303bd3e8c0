"""Plans that contradict themselves are told before a run; what the page says of a plan in full, from hand-made logs."""

from __future__ import annotations

import json
from datetime import datetime

import ibis
import pandas as pd
import pytest
from pydantic import ValidationError

from launchpad_lib.contract.experiments import PlannedExperiment
from launchpad_lib.findings.experiment_page import experiments_page
from launchpad_lib.findings.experiment_plans import ask_experiments
from launchpad_lib.runner.notebook_parameters import ExperimentsParams
from tests.findings.test_experiment_sentences import DAY, START, WON, log

PLAN = {
    "experiment_id": "e",
    "control": "y",
    "shares": {"x": 0.5, "y": 0.5},
    "metrics": [{"event": "buy"}, {"event": "stay", "role": "guardrail", "margin": 0.05}],
    "planned_units": 2000,
}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"shares": {"x": 0.5, "y": 0.4}}, "add up to 0.9, neither to 1 nor to 100"),
        ({"shares": {"x": 50, "y": 40}}, "add up to 90"),
        ({"shares": {"x": 0.5, "z": 0.5}}, "must name the control 'y'"),
        ({"shares": {"x": 1.0, "y": 0.0}}, "must be above 0"),
        ({"starts_on": "2026-02-01", "ends_on": "2026-01-01"}, "lies before starts_on=2026-02-01"),
        ({"planned_units": None}, "needs planned_units or ends_on"),
        ({"planned_units": None, "design": "sequential"}, "needs planned_units, at which"),
        ({"metrics": [{"event": "stay", "role": "guardrail", "margin": 0.1}]}, "none has the role success"),
        ({"metrics": [{"event": "buy"}, {"event": "buy"}]}, "'buy' stands twice"),
        ({"metrics": [{"event": "buy"}, {"event": "stay", "role": "guardrail"}]}, "needs margin or relative_margin"),
        ({"metrics": [{"event": "buy", "margin": 0.1}]}, "a margin belongs to a guardrail"),
        ({"metrics": [{"event": "buy", "kind": "sum"}]}, "kind=sum needs value"),
        ({"metrics": [{"event": "buy", "kind": "ratio"}]}, "a ratio needs per_event or per_value"),
        ({"metrics": [{"event": "buy", "window": "7"}]}, "unit"),
        ({"decide_on": "post-stratified"}, "needs `strata`"),
        ({"aggregates": [{"variant": "x", "metric": "by", "n": 1, "sum": 1, "sum_squares": 1}]}, "did you mean 'buy'"),
        ({"aggregates": [{"variant": "z", "metric": "buy", "n": 1, "sum": 1, "sum_squares": 1}]}, "no planned share"),
        (
            {"aggregates": [{"variant": "x", "metric": "buy", "n": 2, "sum": 4, "sum_squares": 1}]},
            "which no numbers have",
        ),
    ],
)
def test_a_plan_that_contradicts_itself_is_told_with_its_remedy(changed, reason):
    with pytest.raises(ValidationError) as caught:
        PlannedExperiment.model_validate(PLAN | changed)
    assert reason in str(caught.value)


def test_shares_may_be_fractions_percent_or_parts_and_variants_numbers():
    for shares in ({"x": 0.05, "y": 0.95}, {"x": 5, "y": 95}, {"x": 1, "y": 19}, {"x": 0.333, "y": 0.667}):
        assert PlannedExperiment.model_validate(PLAN | {"shares": shares}).variants == ("y", "x")
    numbers = PlannedExperiment.model_validate(PLAN | {"control": 0, "shares": {0: 0.5, 1: 0.5}})
    assert numbers.variants == ("0", "1")


def test_an_experiment_is_planned_once_and_one_of_them_can_be_asked_for():
    with pytest.raises(ValidationError, match="'e' stands twice"):
        ExperimentsParams(experiments=[PLAN, PLAN])
    with pytest.raises(ValidationError, match="is none of `experiments`; there are e|did you mean 'e'"):
        ExperimentsParams(experiments=[PLAN], experiment_id="f")
    assert ExperimentsParams(experiments=[PLAN], experiment_id="e").control is None


def page(events, *plans, **asked):
    seen = {"observed_through": START + 30 * DAY} | asked
    return experiments_page(events, ask_experiments(events, [PLAN | p for p in plans], **seen))


def test_a_fixed_design_is_not_read_before_its_planned_end_and_the_same_ever_after():
    """By hand: 2,000 units are there, all exposed at one instant; 3,000 are planned. A unit that comes later is left out."""
    early = page(log(WON), {"planned_units": 3000})
    said = early.conclusion
    assert said.verdict == "Keep running e: it is read at its planned end, which is not reached."
    assert "2,000 units of 3,000 planned are there" in str(said.findings) and said.refused_because is None
    assert early.rows["lift"].isna().all() and early.rows["value"].notna().all()
    late = [("late", "experiment_exposed", START + DAY, json.dumps({"experiment_id": "e", "variant": "x"}))]
    done = page(log(WON, extra=late), {})
    assert done.conclusion.verdict.startswith("Ship x") and done.rows["n"].tolist() == [1000] * 4
    assert "1 unit exposed after the planned end" in str(done.conclusion.findings)
    open_window = page(log(WON), {}, observed_through=START + 3 * DAY)
    assert "the window of 7 days is not over for 2,000 units" in str(open_window.conclusion.findings)
    ended = page(log(WON), {"planned_units": None, "ends_on": "2026-01-05"})
    assert ended.conclusion.verdict.startswith("Ship x")
    going_on = page(log(WON), {"planned_units": None, "ends_on": "2026-02-05"})
    assert "exposures go on until 2026-02-05, and the log ends on 2026-02-03." in str(going_on.conclusion.findings)
    waiting = page(log(WON), {"planned_units": None, "ends_on": "2026-01-05"}, observed_through=START + 3 * DAY)
    assert "exposures ended on 2026-01-05, and the log ends on 2026-01-07, before the window of 7 days is over." in str(
        waiting.conclusion.findings
    )


def test_who_was_exposed_before_the_start_is_left_out_and_named():
    before = [("old", "experiment_exposed", START - DAY, json.dumps({"experiment_id": "e", "variant": "x"}))]
    found = page(log(WON, extra=before), {"starts_on": "2026-01-05"})
    assert "1 unit exposed before the planned start" in str(found.conclusion.findings)
    assert found.rows["n"].tolist() == [1000] * 4


@pytest.mark.parametrize(("zone", "begins"), [("UTC", True), ("Pacific/Auckland", False)])
def test_an_experiment_that_begins_after_the_log_says_its_day_and_not_that_nobody_was_exposed(zone, begins):
    """The log ends on 1 February at 12:30 UTC, when the 2nd has begun in Auckland."""
    plan = PLAN | {"experiment_id": "next", "starts_on": "2026-02-02"}
    (asked,) = ask_experiments(log(WON), [plan], report_timezone=zone, observed_through=datetime(2026, 2, 1, 12, 30))
    later = "begins on 2026-02-02, after the last day of the log"
    assert asked.refused_because is not None and (asked.refused_because == later) == begins
    (told, *_) = experiments_page(log(WON), [asked]).conclusion.findings
    assert told.sentence.startswith("Nothing is decided: ") and (told.verb == "wait") == begins


def test_where_less_is_good_the_sentence_says_below_and_a_rise_is_harm():
    wins = {"x": (1000, 200, 500), "y": (1000, 300, 500)}
    metrics = [{"event": "buy", "direction": "decrease"}, PLAN["metrics"][1]]
    assert page(log(wins), {"metrics": metrics}).conclusion.verdict == (
        "Ship x: buy is below control, every guardrail is within its margin."
    )
    hurt = [{"event": "buy"}, {"event": "stay", "role": "guardrail", "direction": "decrease", "margin": 0.05}]
    more = {"x": (1000, 300, 600), "y": (1000, 200, 500)}
    assert page(log(more), {"metrics": hurt}).conclusion.verdict == "Do not ship x: harm shown, stay got worse."
    less = {"x": (1000, 300, 400), "y": (1000, 200, 500)}
    assert page(log(less), {"metrics": hurt}).conclusion.verdict.startswith("Ship x")


def test_a_relative_margin_is_a_part_of_the_controls_value():
    """stay 48.0 against 50.0 % of 10,000: by hand 0.48 - 0.95 x 0.5 = 0.005, se 0.0069: a fall of
    5 % is not ruled out, and a fall is shown; one of 8 % is ruled out."""
    arms = {"x": (10_000, 3000, 4800), "y": (10_000, 2000, 5000)}
    for margin, verdict in ((0.05, "Do not ship x: harm shown, stay fell."), (0.08, "Ship x")):
        metrics = [{"event": "buy"}, {"event": "stay", "role": "guardrail", "relative_margin": margin}]
        plan = {"metrics": metrics, "planned_units": 20_000}
        assert page(log(arms), plan).conclusion.verdict.startswith(verdict)


def test_one_of_several_success_metrics_is_enough_and_is_corrected_over_all():
    metrics = [{"event": "buy"}, {"event": "stay"}]
    found = page(log({"x": (1000, 300, 500), "y": (1000, 200, 500)}), {"metrics": metrics})
    assert found.conclusion.verdict == "Ship x: buy is above control, no guardrail was declared."
    assert found.rows["level"].tolist() == [0.975] * 4
    both = page(log({"x": (1000, 300, 400), "y": (1000, 200, 500)}), {"metrics": metrics})
    assert both.conclusion.verdict == "Do not ship x: harm shown, stay fell."


def test_several_experiments_are_one_verdict_and_a_row_each():
    extra = [
        (f"{v}{i}", "experiment_exposed", START, json.dumps({"experiment_id": "f", "variant": v}))
        for v, n in (("x", 300), ("y", 100))
        for i in range(n)
    ]
    found = page(log(WON, extra=extra), {}, {"experiment_id": "f", "planned_units": 400})
    assert found.conclusion.verdict == "Of 2 experiments 1 can be shipped and 1 cannot be decided."
    rows = found.overview.set_index("experiment_id")
    assert rows.loc["e", ["decision", "success", "guardrails"]].tolist() == [
        "ship",
        "✓ 1 of 1 better",
        "✓ 1 of 1 within the margin",
    ]
    assert rows.loc["f", "decision"] == "refused" and rows.loc["f", "sample_ratio"].startswith("▲ broken")
    assert found.conclusion.refused_because is None and found.conclusion.findings[0].sentence.startswith("f: ")


def test_the_lakes_table_holds_plans_too_and_the_params_come_first():
    plan = {k: v for k, v in PLAN.items() if k not in ("experiment_id", "control")}
    table = pd.DataFrame([{"experiment_id": "e", "control": "y", "plan": json.dumps(plan)}])
    events = log(WON)
    (asked,) = ask_experiments(events, [], table=table, observed_through=START + 30 * DAY)
    assert experiments_page(events, [asked]).conclusion.verdict.startswith("Ship x")
    (said,) = ask_experiments(events, [PLAN | {"planned_units": 9000}], table=table)
    (short,) = ask_experiments(events, [], table=table, experiment_id="e", control="y", metric_event="buy")
    assert short.planned.planned_units is None
    assert said.planned.planned_units == 9000
    with pytest.raises(ValueError, match="table experiments, experiment 'e': metrics"):
        ask_experiments(events, [], table=table.assign(plan="{}"))


def test_arms_that_differed_before_exposure_are_named():
    """x bought twice as often before: by hand 600 of 1,000 against 300."""
    extra = [(f"'{v}'-{i}", "buy", START - DAY, None) for v, n in (("x", 600), ("y", 300)) for i in range(n)]
    said = page(log(WON, extra=extra), {}).conclusion
    assert "Before exposure the arms differ already in buy of x" in str(said.findings)


def test_segments_are_corrected_and_one_with_a_value_for_everybody_is_not_shown():
    events = log(WON)
    events = events.mutate(platform=events.user_id.right(1), who=events.user_id)
    found = page(events, {"segments": ["platform", "who"]})
    assert found.segments["segment"].unique().tolist() == ["platform"] and len(found.segments) == 10
    assert found.segments.columns.is_unique and "level" in found.segments
    assert "who has more than 200 values" in str(found.conclusion.findings)
    assert (found.segments["p"].dropna() <= 1).all()


def mixed_log(first: dict[str, int]):
    """700 units an arm, 70 and 80 buy; besides, of each variant so many that see the other one a day later, of whom every
    second buys; 20 without a variant, none of whom buys."""
    rows = []
    units = [("x", 700, 70, None), ("y", 700, 80, None), (None, 20, 0, None)]
    units += [(v, n, n // 2, "y" if v == "x" else "x") for v, n in first.items()]
    for variant, n, bought, then in units:
        for k in range(n):
            user = f"{variant}{then}{k}"
            fields = {"experiment_id": "e"} | ({"variant": variant} if variant else {})
            rows.append((user, "experiment_exposed", START, json.dumps(fields)))
            if then:
                rows.append((user, "experiment_exposed", START + DAY, json.dumps(fields | {"variant": then})))
            rows += [(user, "buy", START + DAY, None)] * (k < bought) + [(user, "stay", START + DAY, None)]
    frame = pd.DataFrame(rows, columns=["user_id", "event_name", "event_at", "properties"])
    schema = {"user_id": "string", "event_name": "string", "event_at": "timestamp", "properties": "string"}
    return ibis.memtable(frame.astype({"event_at": "datetime64[us]"}), schema=schema)


def test_who_is_left_out_is_counted_with_the_reason_its_share_and_what_it_did():
    found = page(mixed_log({"x": 30, "y": 50}), {"planned_units": 1400})
    units = found.units.set_index(["standing", found.units["variant"].fillna("")])
    assert units["units"].to_dict() == {
        ("assigned", "x"): 700,
        ("assigned", "y"): 700,
        ("no variant", ""): 20,
        ("several variants", "x"): 30,
        ("several variants", "y"): 50,
    }
    assert units["share"].tolist() == [n / 1500 for n in units["units"]]
    assert units["value"].tolist() == pytest.approx([0.1, 80 / 700, 0.0, 0.5, 0.5])
    said = [f.sentence for f in found.conclusion.findings]
    assert (
        "Left out of every rate: 20 units without a variant and 80 units that saw several variants; 6.7 % of 1,500 "
        "exposed units." in said
    )
    assert not any("hangs on the first" in s for s in said)


def test_a_variant_whose_units_are_lost_to_the_other_is_named():
    """70 against 10 of an even split is no luck; 50 against 30 above may be."""
    said = [f.sentence for f in page(mixed_log({"x": 70, "y": 10}), {"planned_units": 1400}).conclusion.findings]
    assert any("Who saw several variants hangs on the first of them (x 70 and y 10)" in s for s in said)


def rates_elsewhere(**rates: tuple[float, float]) -> dict:
    """A plan of success metrics that were counted elsewhere: of 1,000 units an arm."""
    rows = [
        {"variant": v, "metric": m, "n": 1000, "sum": 1000 * r, "sum_squares": 1000 * r}
        for m, both in rates.items()
        for v, r in zip("yx", both, strict=True)
    ]
    return {"metrics": [{"event": m} for m in rates], "aggregates": rows}


def test_of_several_open_success_metrics_only_the_nearest_is_told_because_one_is_enough():
    found = page(None, rates_elsewhere(buy=(0.20, 0.21), stay=(0.20, 0.23), look=(0.20, 0.19)))
    sentence = found.conclusion.findings[0].sentence
    assert "One success metric is enough; stay is nearest: if it stays as it is, about" in sentence
    assert "hardly" not in sentence and sentence.count("more units") == 1
    worse = page(None, rates_elsewhere(buy=(0.20, 0.20), stay=(0.20, 0.19))).conclusion.findings[0].sentence
    assert "If all 2 success metrics stay as they are, more units alone will hardly settle it." in worse
    assert "2,000 units of 2 variants are compared." in [f.sentence for f in found.conclusion.findings]


def test_a_difference_that_is_adjusted_is_said_to_be():
    """The two values differ by 0.05, adjusted by the 0.1 that they differed before by about 0.15: theta is 1 and more."""
    before = {"y": 1000.0, "x": 900.0}
    rows = [
        {"variant": v, "metric": "paid", "n": 1000, "sum": s, "sum_squares": 3000.0}
        | {"pre_sum": before[v], "pre_squares": 3000.0, "pre_product": 2900.0}
        for v, s in (("y", 1000.0), ("x", 1050.0))
    ]
    metrics = [{"event": "buy", "kind": "sum", "value": "price", "name": "paid"}]
    found = page(None, {"metrics": metrics, "aggregates": rows, "decide_on": "cuped"})
    lift = found.rows.set_index("variant").loc["x", "lift"]
    assert lift > 0.1
    assert f"paid 1.05 of 1,000 units against 1 of y, adjusted by CUPED a difference of {lift:.4g}" in (
        found.conclusion.findings[0].sentence
    )
