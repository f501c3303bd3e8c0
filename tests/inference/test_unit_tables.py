"""The unit tables behind experiments against the brute force of `unit_reference.py`, and hand counts."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from itertools import pairwise

import pandas as pd
import pytest

from launchpad_lib.metrics.exposure_counts import conversions, exposed_between, units_by_standing
from launchpad_lib.metrics.exposure_period import nobody_exposed
from launchpad_lib.metrics.exposures import STANDINGS, ExposedUnits, Outcome, experiment_units
from launchpad_lib.metrics.kernels.unit_rows import unit_rows
from launchpad_lib.metrics.windows import property_value
from tests.inference import unit_reference as reference
from tests.inference.unit_reference import DAY, START, Event

COUNTS = ["units", "units_immature", "converted", "naive_converted", "events_in_window", "events_before_exposure"]


def read(events, *, names=("buy",), window=DAY, through=None, experiment="e", **more) -> ExposedUnits:
    """The units of an experiment with a plain count of each event; such a small log is one part."""
    asked = {"outcomes": [Outcome(name, window) for name in names], "observed_through": through}
    (only,) = experiment_units(events, experiment_id=experiment, **asked, **more)
    return only


def named_units(events, found: ExposedUnits, *, experiment: str = "e") -> dict[str, tuple]:
    """user -> (first exposure, variant, standing), in the order of the log's reading."""
    seen = events.filter(events.event_name == "experiment_exposed")
    seen = seen.filter(property_value(seen, "experiment_id") == experiment)
    users = [p.texts["u"][p.columns["u"][s]] for p in unit_rows(seen, {"u": seen.user_id}) for s in p.starts[:-1]]
    rows = zip(users, found.exposed_at, found.variant, found.standing, strict=True)
    return {
        user: (pd.Timestamp(at, unit="us").to_pydatetime(), found.variants[code] if code >= 0 else None, STANDINGS[s])
        for user, at, code, s in rows
    }


@pytest.mark.parametrize("planned", [(), ("0", "1"), ("0", "1", "true")])
@pytest.mark.parametrize("through", [None, START + 4 * DAY])
def test_units_and_their_conversions_are_those_of_the_brute_force(planned, through):
    """Variants are the JSON number 1 and 0, the boolean true and the text x; some units saw two, some none."""
    log = reference.random_experiment(random.Random(6), users=400)
    events = reference.table(log)
    expected = reference.units(log, planned=planned)
    found = read(events, names=("buy", "leave"), window=2 * DAY, through=through, planned=planned)
    assert named_units(events, found) == expected
    assert {s for _, _, s in expected.values()} >= {"assigned", "several variants", "no variant"}
    counted = conversions(found)
    assert counted["refused_because"].isna().all()
    for name, rows in counted.groupby("metric"):
        by_hand = reference.conversions(log, expected, name=name, window=2 * DAY, through=through)
        assert {r["variant"]: tuple(r[COUNTS]) for _, r in rows.iterrows()} == by_hand


def test_outcomes_with_windows_values_and_a_time_before_are_those_of_the_brute_force():
    """Four outcomes in one reading: a count, a return (from 12 hours to 2 days after), and two sums of a property that is
    a number, a text with a number, a text without one, or absent; the two days before the exposure."""
    rng = random.Random(12)
    log = []
    for e in reference.random_experiment(rng, users=200):
        if e.event_name != "experiment_exposed":
            price = rng.choice([None, 1.5, 2, "3", "much", -1])
            e = e._replace(properties=json.dumps({} if price is None else {"price": price}))
        log.append(e)
    hours = timedelta(hours=1)
    outcomes = [
        Outcome("buy", 2 * DAY),
        Outcome("buy", DAY, value="price"),
        Outcome("leave", 2 * DAY, begins=12 * hours),
        Outcome("leave", 3 * DAY, value="price"),
    ]
    events, through = reference.table(log), START + 6 * DAY
    asked = {"outcomes": outcomes, "observed_through": through, "pre_period": 2 * DAY}
    (found,) = experiment_units(events, experiment_id="e", **asked)
    users = list(named_units(events, found))
    own = reference.by_user(log)
    counts = [found.matrix(name) for name in ("inside", "pre", "before")]
    value_inside, value_pre = found.matrix("value_inside"), found.matrix("value_pre")
    ever = [set(found.deeds.outcome[a:b].tolist()) for a, b in pairwise(found.deeds.starts)]
    for place, user in enumerate(users):
        at = named_units(events, found)[user][0] if place < 3 else pd.Timestamp(found.exposed_at[place], unit="us")
        assert found.is_over[place] == (at + 3 * DAY <= through)
        for k, outcome in enumerate(outcomes):
            did = [e for e in own[user] if e.event_name == outcome.event_name]
            inside = [e for e in did if at + outcome.begins <= e.event_at <= at + outcome.ends]
            before = [e for e in did if at - 2 * DAY <= e.event_at < at]
            row = (*(matrix[place, k] for matrix in counts), k in ever[place])
            assert row == (len(inside), len(before), sum(e.event_at < at for e in did), bool(did))
            worth = {1.5: 1.5, 2: 2.0, "3": 3.0, -1: -1.0} if outcome.value else {}
            sums = [
                sum(worth.get(json.loads(e.properties).get("price"), 0.0) for e in part) for part in (inside, before)
            ]
            assert [value_inside[place, k], value_pre[place, k]] == sums
    assert value_inside.any() and value_pre.any() and not value_inside[:, [0, 2]].any()


def exposed(user: str, **fields) -> Event:
    return Event(user, "experiment_exposed", START, None, json.dumps({"experiment_id": "e"} | fields))


def test_strays_and_units_without_a_variant_are_counted_and_named():
    """By hand: two units of a variant that nobody planned, one without a variant, one that saw b, then a."""
    log = [exposed(f"a{i}", variant="a") for i in range(5)] + [exposed(f"b{i}", variant="b") for i in range(4)]
    log += [exposed("s1", variant="tmp"), exposed("s2", variant="tmp"), exposed("n")]
    log += [exposed("d", variant="b"), exposed("d", variant="a")._replace(event_at=START + timedelta(seconds=1))]
    events = reference.table(log)
    found = units_by_standing(read(events, planned=["a", "b"], through=START + DAY))
    assert found["units_immature"].eq(0).all()
    early = units_by_standing(read(events, planned=["a", "b"], through=START + 0.99 * DAY))
    assert early["units_immature"].tolist() == early["units"].tolist() == found["units"].tolist()
    counted = {(r.standing, None if pd.isna(r.variant) else r.variant): r.units for r in found.itertuples()}
    assert counted == {
        ("assigned", "a"): 5,
        ("assigned", "b"): 4,
        ("no variant", None): 1,
        ("outside the plan", "tmp"): 2,
        ("several variants", "b"): 1,
    }


@pytest.mark.parametrize("name", ["$control", "a.b", "a*b", 'say "hi"', "it's", "👍🏽", "שלום", "[0]", "x" * 5000])
def test_experiments_and_variants_may_have_any_name(name):
    log = [
        Event("u", "experiment_exposed", START, None, json.dumps({"experiment_id": name, "variant": name})),
        Event("v", "experiment_exposed", START, None, json.dumps({"experiment_id": "other", "variant": name})),
    ]
    events = reference.table(log)
    units = read(events, experiment=name, planned=[name])
    assert named_units(events, units, experiment=name) == {"u": (START, name, "assigned")}


def test_a_misspelt_event_or_experiment_is_refused_with_the_nearest_name():
    log = [exposed("u", variant="a"), Event("u", "buy", START)]
    events = reference.table(log)
    found = conversions(read(events, names=("by",)))
    assert found["refused_because"].tolist() == ["event 'by': does not occur in the log; did you mean 'buy'?"]
    assert nobody_exposed(events, experiment_id="e") is None
    assert "nobody was exposed to it; there are e" in nobody_exposed(events, experiment_id="checkout")


def test_the_days_of_exposure_are_those_of_the_reports_time_zone():
    """By hand: 2026-01-01 00:00 UTC is the evening before in New York."""
    units = read(reference.table([exposed("u", variant="a")]))
    for zone, day in (("UTC", "2026-01-01"), ("America/New_York", "2025-12-31")):
        found = exposed_between(units, report_timezone=zone)
        assert [str(d) for d in found] == [day, day]


def test_without_an_experiment_there_are_no_units():
    found = read(reference.table([exposed("u", variant="a")]), experiment=None)
    assert len(found.exposed_at) == 0 and conversions(found).empty
    assert exposed_between(found, report_timezone="UTC") == (None, None)


def test_a_variant_whose_units_did_nothing_has_counts_of_nought():
    log = [exposed("u", variant="a"), exposed("v", variant="b"), Event("u", "buy", START)]
    events = reference.table(log)
    found = conversions(read(events))
    assert found.set_index("variant")[COUNTS].to_numpy().tolist() == [[1, 0, 1, 1, 1, 0], [1, 0, 0, 0, 0, 0]]
