"""What goes with going on in a funnel, against brute force, and against worlds whose truth is known."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from itertools import pairwise

import ibis
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from launchpad_lib.inference import compare_correlates, odds_ratio, share_ratio
from launchpad_lib.metrics import Exclusion, Step, funnel_correlates
from launchpad_lib.metrics.kernels import chains as kernel
from launchpad_lib.metrics.kernels.between_steps import EDGES_MS
from tests.spec import reference as ref
from tests.spec.reference import START, Event
from tests.spec.test_funnel_reference import many

STEPS = ["A", "B", "C"]
COUNTS = ["users", "users_on", "all_users", "all_users_on"]


def asked(events: list[Event], *, steps=STEPS, window: int | None = 50, through: int = 10_000, **options):
    wanted = [Step(s.rstrip("?"), (), s.endswith("?")) for s in steps]
    return funnel_correlates(
        ref.table(events),
        steps=wanted,
        window=f"{window}m" if window else None,
        observed_through=START + timedelta(minutes=through),
        properties=["plan"],
        at_least=1,
        **options,
    ).to_pandas()


def by_definition(events: list[Event], steps: list[str], window: int | None, through: int = 10_000, **rules):
    """(step, kind, value) -> [units, of them went on] and, of events, [at risk, went on] per stretch; plain loops."""
    required = [k for k, s in enumerate(steps) if not s.endswith("?")]
    barred = {*rules.get("blocking", ()), *rules.get("removing", ())}
    later = {s.rstrip("?"): r for r, s in enumerate(steps) if s.endswith("?")}  # at one instant the steps' order wins
    people: dict[tuple, list[int]] = {}
    risk: dict[tuple, list[list[int]]] = {}
    stretches = [(low / 60_000, high / 60_000) for low, high in pairwise(EDGES_MS.tolist()) if low < 60_000 * 20_000]
    for own in ref.by_user(events).values():
        chain = ref.ordered_chain(own, steps, window, **rules)
        if chain is None or chain.removed or (window and chain.first_entry + window > through):
            continue
        for k, following in pairwise(required):
            if chain.times[k] is None:
                break
            begun, next_at = chain.times[k], chain.times[following]
            limit = min(through, chain.times[0] + window) if window else through
            did = {("value", chain.values[k]): begun, ("event", None): begun - 1}
            for e in sorted(own, key=lambda e: e.at):
                is_held = not rules.get("hold") or e.item is not None
                is_step = e.name in {steps[r] for r in required} and is_held
                is_after = e.at > begun or (e.at == begun and later.get(e.name, -1) > k and is_held)
                is_before = e.at <= limit if next_at is None else e.at < next_at
                if is_after and is_before and not is_step and e.name not in barred:
                    did.setdefault(("event", e.name), e.at)
            for (kind, value), at in did.items():
                key = (k + 1, kind, value)
                counts = people.setdefault(key, [0, 0])
                counts[0] += 1
                counts[1] += next_at is not None
                held = risk.setdefault(key, [[0, 0] for _ in stretches])
                for one, (low, high) in zip(held, stretches, strict=True):
                    is_on_the_way = next_at is None or next_at - begun >= low
                    if is_on_the_way and at - begun < low and limit - begun + 1 / 60_000 >= high:
                        one[0] += 1
                        one[1] += next_at is not None and next_at - begun < high
    return people, risk


FORMS = {
    "any": ({}, {}),
    "first": ({"entry": "first"}, {"entry": "first"}),
    "held": ({"hold_constant": "item"}, {"hold": True}),
    "removing": ({"exclusions": ["X"]}, {"removing": frozenset("X")}),
    "blocking": ({"exclusions": [Exclusion("X", effect="block_progress")]}, {"blocking": frozenset("X")}),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("steps", "window"), [(STEPS, 50), (["A", "D?", "B"], 70), (STEPS, None)])
def test_values_and_events_are_counted_as_defined(form, steps, window):
    options, rules = FORMS[form]
    events = many("AABCDXY", seed=21)
    found = asked(events, steps=steps, window=window, **options)
    people, risk = by_definition(events, steps, window, **rules)
    told = [key for key in people if key[1:] != ("event", None)]
    assert len(told) > 4 and len(found) == len(told)
    for row in found.itertuples():
        key = (row.step, row.kind, None if pd.isna(row.value) else row.value)
        assert [getattr(row, name) for name in COUNTS] == people[key] + people[row.step, "event", None], key
        if row.kind == "event":
            assert in_stretches(row.at_risk, row.on_in, risk[key]), key
            assert in_stretches(row.all_at_risk, row.all_on_in, risk[row.step, "event", None]), key


@pytest.mark.parametrize("seed", range(8))
def test_random_questions_are_answered_as_defined(seed):
    """What hours of such draws found: a log that goes on after its end, and optional steps at the instant of a later."""
    rng = random.Random(seed)
    steps = rng.sample("ABCDE", rng.randint(2, 4))
    steps[1:-1] = [s + "?" if rng.random() < 0.4 else s for s in steps[1:-1]]
    options, rules = FORMS[rng.choice(list(FORMS))]
    window, through = rng.choice([None, 5, 30, 300]), rng.choice([10_000, 100])
    events = many("ABCDEX", users=120, seed=seed, scale=rng.choice([1, 10, 200]))
    found = asked(events, steps=steps, window=window, through=through, **options)
    found = found[found["refused_because"].isna()]
    people, risk = by_definition(events, steps, window, through, **rules)
    assert len(found) == len([key for key in people if key[1:] != ("event", None)])
    for row in found.itertuples():
        key = (row.step, row.kind, None if pd.isna(row.value) else row.value)
        assert [getattr(row, name) for name in COUNTS] == people[key] + people[row.step, "event", None], key
        assert row.kind == "value" or in_stretches(row.at_risk, row.on_in, risk[key]), key


def in_stretches(at_risk, on_in, meant: list[list[int]]) -> bool:
    """Whether the counts of all stretches are those meant, and none are told beyond."""
    told = [list(pair) for pair in zip(at_risk, on_in, strict=True)]
    return told[: len(meant)] == meant and not any(on for _, on in told[len(meant) :])


def test_a_window_that_is_not_over_and_a_log_cut_off_are_not_waited_for():
    """Those whose first window is open do not count; a later entry's chain is on its way until the log ends."""
    events = many("AABCY", seed=8)
    found = asked(events, window=50, through=120)
    people, risk = by_definition(events, STEPS, 50, 120)
    assert len(found) == len([key for key in people if key[1:] != ("event", None)])
    for row in found[found["kind"] == "event"].itertuples():
        assert in_stretches(row.at_risk, row.on_in, risk[row.step, "event", row.value])


@pytest.mark.parametrize("mode", ["ordered", "any_order"])
def test_halves_of_the_units_and_other_orders_of_arrival_give_the_same_digits(monkeypatch, mode):
    events = many("AABCDXY", seed=5)
    one = asked(events, mode=mode).to_csv()
    monkeypatch.setattr(kernel, "ROWS_FOR_TWO", 2)
    assert asked(list(reversed(events)), mode=mode).to_csv() == one


def test_strict_modes_have_no_events_between_and_any_order_counts_steps_done():
    """By hand: u does B, then X, then A: after one of two steps it did X and went on."""
    events = [Event("u", "B", 0), Event("u", "X", 10), Event("u", "A", 20), Event("v", "A", 0)]
    rows = asked(events, steps=["A", "B"], mode="any_order")
    assert rows[rows["kind"] == "event"][["value", *COUNTS]].values.tolist() == [["X", 1, 1, 2, 1]]
    for mode in ("strict", "strict_order"):
        assert set(asked(events, steps=["A", "B"], mode=mode)["kind"]) == {"value"}


def test_too_few_are_one_row_that_says_so_and_unknown_names_are_refused():
    few = asked([Event("u", "X", 0)])
    assert len(few) == 1 and few["refused_because"].iloc[0].startswith("no mature unit reached a step")
    events = ref.table([Event("u", "A", 0)])
    far = {"window": "1h", "observed_through": datetime(2027, 1, 1)}
    for more, name in ({"steps": ["A", "Bee"]}, "Bee"), ({"steps": STEPS, "properties": ["plam"]}, "plam"):
        (said,) = funnel_correlates(events, **more, **far).to_pandas()["refused_because"]
        assert name in said and "did you mean" in said
    with pytest.raises(ValueError, match="at_least=0: must be a whole number from 1"):
        funnel_correlates(events, steps=STEPS, at_least=0, **far)


def test_the_odds_ratio_is_that_of_a_logistic_regression_with_a_term_for_each_stratum():
    """References: statsmodels' generalised linear model, and its Mantel-Haenszel test of strata."""
    own, some, done, every = [9, 14, 3, 0], [40, 90, 60, 20], [30, 40, 8, 4], [300, 280, 200, 90]
    rest, others = np.subtract(done, own), np.subtract(every, some)
    cells = np.column_stack([np.r_[own, rest], np.r_[np.subtract(some, own), others - rest]])
    design = np.column_stack([np.repeat([1, 0], 4), np.tile(np.eye(4), (2, 1))])
    fitted = sm.GLM(cells, design, family=sm.families.Binomial()).fit(tol=1e-12)
    found = odds_ratio(own, some, done, every)
    assert found.ratio == pytest.approx(np.exp(fitted.params[0]), rel=1e-7)
    tables = [np.array([[a, n - a], [b, m - b]]) for a, n, b, m in zip(own, some, rest, others, strict=True)]
    strata = sm.stats.StratifiedTable(tables)
    assert found.p_value == pytest.approx(strata.test_null_odds(correction=False).pvalue, rel=1e-9)
    assert found[1:3] == pytest.approx(strata.oddsratio_pooled_confint(), rel=0.05)


@pytest.mark.parametrize("shift", [0, 3])
def test_a_limit_is_one_exactly_where_the_test_says_5_percent(shift):
    """By definition of the score: the ratio 1 is inside the limits where p is above the level."""
    own, some, done, every = [12 + shift, 9], [60, 60], [40, 20], [300, 200]
    p = odds_ratio(own, some, done, every).p_value
    assert odds_ratio(own, some, done, every, level=1 - p).ci_low == pytest.approx(1, abs=1e-9)


def test_ratios_at_their_ends_have_one_limit_and_no_test_hangs_on_what_tells_nothing():
    """Nobody of some goes on: 0 with an upper limit; all who do are of some: no upper limit; empty sides: nothing."""
    assert odds_ratio([0, 0], [50, 50], [20, 5], [100, 100])[:2] == (0.0, 0.0)
    assert odds_ratio([20, 5], [50, 50], [20, 5], [100, 100])[2] == np.inf
    assert odds_ratio([0], [0], [5], [100])[:4] == odds_ratio([5], [9], [30], [30])[:4] == (None,) * 4
    assert odds_ratio([3, 7], [30, 50], [9, 7], [90, 50])[:4] == odds_ratio([3], [30], [9], [90])[:4]
    assert share_ratio(0, 40, 20, 40)[:2] == (0.0, 0.0) and share_ratio(3, 0, 2, 5)[:4] == (None,) * 4


def world(seed: int, *, users: int = 3_000, names: int = 30, harm: float = 1.0, clock: float = 0.0) -> ibis.Table:
    """Everybody does A, then further events at random; B comes with a hazard that falls in time.

    `extra 0` doubles the hazard of B once it is done, where `harm` is 2; the other events have nothing to do with B.
    Those that stop stay in the log for the whole window, so each event is done by more of them. With `clock` instants
    are known to so many minutes only, so that many are equal.
    """
    rng = np.random.default_rng(seed)
    rows = []
    done_at = rng.exponential(400, (users, names))  # minutes
    for user in range(users):
        step = np.arange(1, 1_440)
        hazard = 0.05 / (1 + step / 5)
        hazard = np.where(step > done_at[user, 0], harm * hazard, hazard)
        met = np.flatnonzero(rng.random(len(step)) < hazard)
        on = int(step[met[0]]) if len(met) else None
        stays = 1_440 if on is None else on + 30
        rows.append((user, "A", 0.0))
        rows += [] if on is None else [(user, "B", float(on))]
        rows += [(user, f"extra {k}", float(m)) for k, m in enumerate(done_at[user]) if m < stays]
    frame = pd.DataFrame(rows, columns=["user_id", "event_name", "minute"])
    if clock:
        frame["minute"] = frame["minute"] // clock * clock
    at = pd.Timestamp(START) + pd.to_timedelta((frame["minute"] * 60e6).astype("int64"), unit="us")
    return ibis.memtable(frame.assign(user_id=frame["user_id"].astype(str), event_at=at.astype("datetime64[us]")))


def compared(events: ibis.Table) -> pd.DataFrame:
    far = {"window": "1d", "observed_through": datetime(2027, 1, 1)}
    return compare_correlates(funnel_correlates(events, steps=["A", "B"], properties=[], **far).to_pandas())


def test_who_stops_has_more_time_and_that_alone_goes_with_nothing():
    """Truth: no event has to do with B. By shares alone all would go with stopping; at equal times p is uniform."""
    found = pd.concat([compared(world(seed)) for seed, clock in ((101, 0.0), (102, 0.0), (104, 30.0))])
    naive = [share_ratio(r.users_on, r.users, r.others_on, r.others).p_value for r in found.itertuples()]
    assert len(found) == 90 and max(naive) < 1e-6
    assert found["goes_with"].isna().all()
    assert 0 <= (found["p_value"] < 0.05).sum() <= 11  # 4.5 expected; more than 11 of 90 happen one time in 500
    assert found["ratio"].astype(float).mean() == pytest.approx(1, abs=0.05)


def test_an_event_that_doubles_the_rate_is_found_and_no_other():
    """Truth: 2 for `extra 0`."""
    found = compared(world(103, harm=2.0))
    sure = found[found["goes_with"].notna()]
    assert sure["value"].tolist() == ["extra 0"] and sure["goes_with"].tolist() == ["going on"]
    assert sure["ci_low"].iloc[0] < 2 < sure["ci_high"].iloc[0]


def test_rows_that_chance_alone_would_leave_too_few_in_are_not_compared():
    """By hand: 40 of 400 with 4 that go on: 4 of 80 by chance times 40/400 is 0.4 to 8; under 30 users none."""
    row = {"kind": "value", "property": "plan", "all_users": 400, "all_users_on": 40}
    told = [("a", 40, 4), ("b", 29, 20), ("c", 380, 38), ("d", 200, 35)]
    counts = pd.DataFrame([{**row, "value": v, "users": n, "users_on": k} for v, n, k in told])
    found = compare_correlates(counts)
    assert found["value"].tolist() == ["d"] and found["goes_with"].tolist() == ["going on"]
    assert found["p_adjusted"].iloc[0] == found["p_value"].iloc[0]
    assert compare_correlates(counts.iloc[:0]).empty
