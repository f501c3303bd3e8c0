"""The tables of an experiment design against formulas written out: Welch's variance, normal quantiles, a search by units."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from math import ceil, sqrt

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from launchpad_lib.findings.experiment_design import ask_design, design
from launchpad_lib.findings.experiment_design_said import design_conclusion
from tests.inference.unit_reference import DAY, START, Event, table

HOUR = timedelta(hours=1)


def world(users: int = 400) -> tuple[list[Event], dict[str, tuple[int, float, float]]]:
    """A user opens once, on one of thirty days after ten without; user -> (day, paid in a day, paid in the day before)."""
    rng = random.Random(3)
    log, truth = [Event("first", "look", START)], {}
    for k in range(users):
        day = rng.randint(0, 29)
        at = START + 10 * DAY + day * DAY + HOUR
        log.append(Event(f"u{k}", "open", at))
        paid = [float(rng.choice([0, 1, 2, 5]) + k % 3) for _ in range(2)]
        for when, value in ((at + HOUR, paid[0]), (at - 12 * HOUR, paid[1])):
            log.append(Event(f"u{k}", "buy", when, None, json.dumps({"price": value})))
        truth[f"u{k}"] = (day, *paid)
    return log, truth


LOG, TRUTH = world()
PAID = {"event": "buy", "kind": "sum", "value": "price", "name": "paid"}


def asked(**more):
    told = {
        "unit_event": "open",
        "metrics": [PAID],
        "variants": 3,
        "power": 0.9,
        "durations": [20, 5],
        "effects": [0.6, 0.1],
        "window": "1d",
        "pre_period": "10d",
        "observed_through": START + 41 * DAY,
    }
    return ask_design(**told | more)


def test_the_difference_that_is_found_is_that_of_the_formula_with_the_log_own_variance():
    found = design(table(LOG), asked())
    y, x = (np.array([t[k] for t in TRUTH.values()]) for k in (1, 2))
    arrivals = np.bincount([t[0] for t in TRUTH.values()], minlength=31)
    assert found.base is not None
    reach = norm.ppf(1 - 0.05 / 2 / 2) + norm.ppf(0.9)  # two comparisons with the control
    left = 1 - np.corrcoef(y, x)[0, 1] ** 2
    assert found.durations["days"].tolist() == [5, 20]
    for row in found.durations.to_dict("records"):
        units = arrivals[: row["days"]].sum()
        assert (row["metric"], row["units"], row["value"]) == ("paid", units, pytest.approx(y.mean()))
        assert row["sd"] == pytest.approx(y.std(ddof=1))
        difference = reach * sqrt(2 * y.var(ddof=1) / (units / 3))
        assert row["detectable"] == pytest.approx(difference)
        assert row["relative"] == pytest.approx(difference / y.mean())
        assert row["relative_cuped"] == pytest.approx(difference * sqrt(left) / y.mean())
        assert row["relative_sequential"] > row["relative"]
        assert row["refused_because"] is None
    seen = np.cumsum(found.base.arrivals)
    assert found.sizes["relative"].tolist() == [0.1, 0.6]
    for row in found.sizes.to_dict("records"):
        for column, variance in (("units", y.var(ddof=1)), ("units_cuped", y.var(ddof=1) * left)):
            assert row[column] == 3 * ceil(2 * variance * (reach / (row["relative"] * y.mean())) ** 2)
        if row["units"] <= seen[-1]:
            assert row["days"] == next(k for k, n in enumerate(seen) if n >= row["units"]) + 1
        else:
            a_day = found.base.arrivals[-7:].mean()
            assert row["days"] == len(seen) + ceil((row["units"] - seen[-1]) / a_day)
        assert row["variance_left"] == pytest.approx(left)
        assert row["units_sequential"] > row["units"]
    assert {r["units"] <= seen[-1] for r in found.sizes.to_dict("records")} == {True, False}
    assert found.question.refused_because is None


def test_headlines_of_a_design_are_those_of_the_longest_duration_and_of_the_middle_difference():
    found = design(table(LOG), asked(effects=[0.1, 0.2, 0.3], look_every_days=2))
    rows, sizes = (t.set_index(c) for t, c in ((found.durations, "days"), (found.sizes, "relative")))
    detectable, units = found.detectable["paid"], found.units["paid"]
    assert detectable.value == rows.loc[20, "relative"] and detectable.n == rows.loc[20, "units"] // 3
    assert units.value == sizes.loc[0.2, "units"] and units.n == len(TRUTH)
    assert dict(detectable.rules)["days"] == "20" and dict(detectable.rules)["comparisons"] == "2"
    assert dict(detectable.rules)["n"] == f"{detectable.n:,}"
    assert (dict(units.rules)["arms"], dict(units.rules)["power"], dict(units.rules)["often"]) == ("3", "0.9", "90")


def test_every_look_is_a_day_with_new_units_and_the_alarms_of_looking_grow():
    found = design(table(LOG), asked(look_every_days=6))
    arrivals = np.cumsum(np.bincount([t[0] for t in TRUTH.values()], minlength=31))
    looks = found.looks
    assert looks["look"].tolist() == [1, 2, 3] and looks["day"].tolist() == [6, 12, 18]
    assert looks["units"].tolist() == [arrivals[d - 1] for d in (6, 12, 18)]
    assert looks["fixed_false_alarms"].iloc[0] == pytest.approx(0.05, abs=0.005)  # one look is a plain 95 % interval
    assert looks["fixed_false_alarms"].is_monotonic_increasing and looks["sequential_width"].is_monotonic_decreasing
    # Nobody comes after the log's last day: a look without new units is none.
    late = design(table(LOG), asked(durations=[40], look_every_days=1, observed_through=START + 60 * DAY)).looks
    assert late["units"].is_monotonic_increasing and late["units"].is_unique and late["day"].max() == 30
    assert len(design(table(LOG), asked(durations=[200], look_every_days=1)).looks) <= 60


def test_what_cannot_be_planned_has_a_reason_and_no_number():
    metrics = [
        {"event": "buy", "kind": "quantile", "value": "price", "name": "dear"},
        {"value": "price", "kind": "sum", "name": "told"},
        {"event": "bye", "name": "left"},
        {"event": "open", "name": "opened"},
    ]
    found = design(table(LOG), asked(metrics=metrics))
    for one in (found.durations, found.sizes):
        reasons = one.groupby("metric")["refused_because"].first()
        assert "quantile" in reasons["dear"] and "exposure" in reasons["told"]
        assert "'bye'" in reasons["left"] and "same for every unit" in reasons["opened"]
    for column in ("detectable", "relative", "relative_cuped", "relative_sequential"):
        assert found.durations[column].isna().all()
    assert found.sizes[["units", "days", "units_cuped"]].isna().all(axis=None)
    assert all(e.value is None and e.refused_because for e in found.units.values())
    few = design(table(LOG), asked(min_cell=len(TRUTH) + 1))
    assert f"{len(TRUTH)} units have a window that is over; needs {len(TRUTH) + 1}" in few.sizes["refused_because"][0]
    assert design(table(LOG), asked(min_cell=len(TRUTH))).sizes["refused_because"].isna().all()


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ({"unit_event": None}, "unit_event"),
        ({"metrics": []}, "unit_event"),
        ({"observed_through": None}, "no events"),
        ({"unit_event": "opn"}, "did you mean 'open'"),
    ],
)
def test_a_design_that_cannot_be_asked_is_one_reason_on_every_table(more, part):
    found = design(table(LOG), asked(**more))
    reason = found.question.refused_because
    assert reason is not None and part in reason
    assert found.base is None and len(found.looks) == 0
    for one in (found.durations, found.sizes):
        assert one["refused_because"].tolist() == [reason] and one["metric"].tolist() == (
            [None] if more.get("metrics") == [] else ["paid"]
        )
    said = design_conclusion(found)
    assert said.refused_because is not None and part in said.refused_because
    assert all(pd.isna(e.value) for e in [*found.units.values(), *found.detectable.values()])


def test_the_page_says_the_numbers_of_its_tables():
    found = design(table(LOG), asked(durations=[5, 60]))
    said = design_conclusion(found)
    row = found.durations.set_index("days").loc[60]
    assert f"{100 * row['relative']:.1f}" in said.verdict and "60 days" in said.verdict and "paid" in said.verdict
    told = " ".join(f.sentence for f in said.findings)
    for number in (
        f"{row['units']:,}",
        f"{100 * row['relative_cuped']:.1f}",
        f"{100 * row['relative_sequential']:.1f}",
    ):
        assert number in told
    assert "2026-01-11" in told and f"{len(TRUTH)} units came since" in told
    assert [f.severity for f in said.findings] == ["watch", "watch", "fine", "fine"]
    within = design_conclusion(design(table(LOG), asked()))
    assert [f.severity for f in within.findings] == ["watch", "fine", "fine"]
    nothing = design_conclusion(design(table(LOG), asked(metrics=[{"event": "bye", "name": "left"}])))
    assert nothing.refused_because is not None and "'bye'" in nothing.refused_because
    assert [f.severity for f in nothing.findings] == ["unknown"]
