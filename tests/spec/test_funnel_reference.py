"""Every form of the funnel against the brute force of `reference.py`, over random logs with ties, duplicates and out-of-order arrival."""

from __future__ import annotations

import random
from datetime import timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launchpad_lib.metrics import Exclusion, Step, funnel, funnel_next_events, funnel_trend
from tests.spec import reference as ref
from tests.spec.reference import START, Event

STEPS = ["A", "B", "C"]


@st.composite
def logs(draw, names="ABCX", users=8, most=8, span=14, scale=10):
    """Several users, some with no or one event; times on a coarse grid, so that ties are common; duplicates; arrival out of order."""
    one = st.tuples(
        st.sampled_from(names),
        st.integers(0, span),
        st.integers(0, 2),
        st.sampled_from(["p", "q", None]),
        st.sampled_from(["1", "2", None]),
    )
    raw = draw(st.lists(st.lists(one, max_size=most), min_size=1, max_size=users).filter(any))
    rows = [(f"u{u}", *e) for u, own in enumerate(raw) for e in own]
    rows = draw(st.permutations(rows + rows[:2]))
    return [Event(u, n, scale * t, r, f"e{i:03d}", p, item) for i, (u, n, t, r, p, item) in enumerate(rows)]


def many(names: str = "ABCX", users: int = 400, seed: int = 11, scale: int = 10) -> list[Event]:
    """A seeded log of many users, for breadth in one query."""
    rng = random.Random(seed)
    rows = [
        Event(
            f"u{u}",
            rng.choice(names),
            scale * rng.randint(0, 14),
            rng.randint(0, 2),
            f"e{rng.random():.12f}",
            rng.choice(["p", "q", None]),
            rng.choice(["1", "2", None]),
        )
        for u in range(users)
        for _ in range(rng.randint(1, 9))
    ]
    rng.shuffle(rows)
    return rows


def measured(events, *, steps=STEPS, through=10_000, window=50, **options) -> pd.DataFrame:
    wanted = [
        Step(s.rstrip("?").split("/")[0], (("plan", s.rstrip("?").split("/")[1]),) if "/" in s else (), s.endswith("?"))
        for s in steps
    ]
    found = funnel(
        ref.table(events),
        steps=wanted,
        window=f"{window}m" if window else None,
        observed_through=START + timedelta(minutes=through),
        **options,
    )
    return found.order_by([c for c in ("segment", "step") if c in found.columns]).to_pandas()


def expected(events, steps=STEPS, window=50, **options) -> list[ref.Chain]:
    chains = [ref.ordered_chain(log, steps, window, **options) for log in ref.by_user(events).values()]
    return [c for c in chains if c]


FORMS = {
    "any": ({}, {}),
    "first": ({"entry": "first"}, {"entry": "first"}),
    "strict": ({"mode": "strict"}, {"strict": True}),
    "strict first": ({"mode": "strict", "entry": "first"}, {"strict": True, "entry": "first"}),
    "apart": ({"same_instant": "does_not_count"}, {"apart": True}),
    "apart first": ({"same_instant": "does_not_count", "entry": "first"}, {"apart": True, "entry": "first"}),
    "strict apart": ({"same_instant": "does_not_count", "mode": "strict"}, {"apart": True, "strict": True}),
    "held": ({"hold_constant": "item"}, {"hold": True}),
    "held first": ({"hold_constant": "item", "entry": "first"}, {"hold": True, "entry": "first"}),
    "held strict": ({"hold_constant": "item", "mode": "strict"}, {"hold": True, "strict": True}),
    "removing": ({"exclusions": ["X"]}, {"removing": frozenset("X")}),
    "removing first": ({"exclusions": ["X"], "entry": "first"}, {"removing": frozenset("X"), "entry": "first"}),
    "blocking": ({"exclusions": [Exclusion("X", effect="block_progress")]}, {"blocking": frozenset("X")}),
    "blocking first": (
        {"exclusions": [Exclusion("X", effect="block_progress")], "entry": "first"},
        {"blocking": frozenset("X"), "entry": "first"},
    ),
    "blocking held": (
        {"exclusions": [Exclusion("X", effect="block_progress")], "hold_constant": "item"},
        {"blocking": frozenset("X"), "hold": True},
    ),
}


def per_user(events, **options) -> dict[str, list[int]]:
    """Which steps each user reached, by the metric."""
    found = measured(events, breakdown="user_id", **options)
    return {user: rows["users"].tolist() for user, rows in found.groupby("segment")}


def per_user_by_definition(events, steps, chain) -> dict[str, list[int]]:
    """Which steps each user reached, by brute force."""
    chains = {user: chain(log) for user, log in ref.by_user(events).items()}
    return {
        user: [0] * len(steps) if c.removed else [int(t is not None) for t in c.times]
        for user, c in chains.items()
        if c
    }


@pytest.mark.parametrize("form", FORMS)
def test_an_ordered_form_counts_what_its_definition_says(form):
    options, meant = FORMS[form]
    for seed, window in ((1, 50), (2, None)):
        events = many(seed=seed)
        assert per_user(events, window=window, **options) == per_user_by_definition(
            events, STEPS, lambda log, w=window: ref.ordered_chain(log, STEPS, w, **meant)
        )


@settings(max_examples=25, deadline=None)
@given(form=st.sampled_from(list(FORMS)), events=logs(), window=st.sampled_from([30, 50, None]))
def test_an_ordered_form_counts_what_its_definition_says_on_small_logs(form, events, window):
    options, meant = FORMS[form]
    chains = expected(events, window=window, **meant)
    found = measured(events, window=window, **options)
    assert found["users"].tolist() == ref.counts(chains, STEPS)
    assert found["users_removed"].tolist() == [sum(c.removed for c in chains)] * 3


@pytest.mark.parametrize(
    "steps", [["A", "A", "B"], ["A", "A/p", "B"], ["A/p", "A", "A/q"], ["A/q", "B/q"]], ids="-".join
)
@pytest.mark.parametrize("strict", [False, True], ids=["ordered", "strict"])
def test_one_event_is_never_two_steps_of_a_chain(steps, strict):
    events = many("AABX", seed=3)
    found = per_user(events, steps=steps, mode="strict" if strict else "ordered")
    assert found == per_user_by_definition(events, steps, lambda log: ref.ordered_chain(log, steps, 50, strict=strict))


@pytest.mark.parametrize("entry", ["any", "first"])
@pytest.mark.parametrize("blocking", [frozenset(), frozenset("X")], ids=["free", "blocking"])
def test_an_optional_step_is_counted_where_it_was_done_and_never_asked_for(entry, blocking):
    steps, events = ["A", "B?", "A?", "C"], many(seed=4)
    found = per_user(
        events, steps=steps, entry=entry, exclusions=[Exclusion(x, effect="block_progress") for x in blocking]
    )
    assert found == per_user_by_definition(
        events, steps, lambda log: ref.ordered_chain(log, steps, 50, entry=entry, blocking=blocking)
    )


@pytest.mark.parametrize("entry", ["any", "first"])
@pytest.mark.parametrize("hold", [None, "item"])
@pytest.mark.parametrize("window", [20, None])
def test_any_order_counts_the_different_steps_inside_one_window(window, entry, hold):
    events = many(seed=5)
    found = per_user(events, window=window, entry=entry, mode="any_order", hold_constant=hold)
    assert found == per_user_by_definition(
        events, STEPS, lambda log: ref.any_order_chain(log, STEPS, window, entry=entry, hold=bool(hold))
    )


@settings(max_examples=4, deadline=None)
@given(events=logs(), form=st.sampled_from(["any", "first", "strict", "held", "apart"]))
def test_times_are_those_of_the_reported_chain(events, form):
    options, meant = FORMS[form]
    found = measured(events, **options)
    chains = expected(events, **meant)
    for k in (1, 2):
        entry = pd.Series([60.0 * (c.times[k] - c.times[0]) for c in chains if c.times[k] is not None], dtype=float)
        before = pd.Series(
            [60.0 * (c.times[k] - c.times[k - 1]) for c in chains if c.times[k] is not None], dtype=float
        )
        row = found.iloc[k]
        assert row["median_seconds_from_entry"] == pytest.approx(entry.median(), nan_ok=True)
        assert row["p90_seconds_from_entry"] == pytest.approx(entry.quantile(0.9), nan_ok=True)
        assert row["median_seconds"] == pytest.approx(before.median(), nan_ok=True)
        assert row["p90_seconds"] == pytest.approx(before.quantile(0.9), nan_ok=True)


@settings(max_examples=4, deadline=None)
@given(
    events=logs(),
    attribution=st.sampled_from(["first_touch", "last_touch", 1, 2]),
    through=st.sampled_from([100, 10_000]),
)
def test_every_unit_is_in_one_segment_and_the_segments_add_up(events, attribution, through):
    found = measured(events, breakdown="plan", attribution=attribution, through=through)
    chains = [c for c in expected(events) if c.first_entry + 50 <= through]
    segments: dict[str, list[ref.Chain]] = {}
    for c in chains:
        known = [v for v in c.values if v is not None]
        value = (
            c.values[attribution - 1]
            if isinstance(attribution, int)
            else (known[0 if attribution == "first_touch" else -1] if known else None)
        )
        segments.setdefault(value or "", []).append(c)
    mature = found[found["users"].groupby(found["segment"].fillna("")).transform("max") > 0]
    got = {s: rows["users"].tolist() for s, rows in mature.groupby(mature["segment"].fillna(""))}
    assert got == {s: ref.counts(cs, STEPS) for s, cs in segments.items()}


@settings(max_examples=4, deadline=None)
@given(events=logs(), through=st.integers(0, 150))
def test_an_immature_entrant_is_in_no_count_and_is_reported(events, through):
    chains = expected(events)
    found = measured(events, through=through)
    assert found["users"].tolist() == ref.counts(chains, STEPS, through=through, window=50)
    assert found["entrants_immature"].iloc[0] == sum(c.first_entry + 50 > through for c in chains)
    assert measured(events, through=through, immature="counted")["users"].tolist() == ref.counts(chains, STEPS)


@settings(max_examples=4, deadline=None)
@given(events=logs())
def test_the_order_of_arrival_does_not_matter(events):
    assert measured(events).equals(measured(list(reversed(events))))


@settings(max_examples=4, deadline=None)
@given(events=logs(span=20, scale=200), period=st.sampled_from(["day", "week"]))
def test_the_trend_is_the_funnel_of_each_periods_entries(events, period):
    zone, window = "Europe/Berlin", 900
    found = funnel_trend(
        ref.table(events),
        steps=STEPS,
        window="15h",
        observed_through=START + timedelta(days=90),
        period=period,
        report_timezone=zone,
    ).to_pandas()
    found = found[found["period_on"].notna()]  # where nobody entered one row says so
    got = {(pd.Timestamp(r.period_on).date(), r.step): r.users for r in found.itertuples()}
    wanted = {}
    for log in ref.by_user(events).values():
        for entered in {ref.period_of(ref.local(e.at, zone), period) for e in log if e.name == "A"}:
            first_on = min(
                ref.local(e.at, zone) for e in log if ref.period_of(ref.local(e.at, zone), period) == entered
            )
            on = first_on - timedelta(days=first_on.weekday()) if period == "week" else first_on
            ordered = ref.in_order(log, STEPS)
            own = [
                i
                for i, e in enumerate(ordered)
                if e.name == "A" and ref.period_of(ref.local(e.at, zone), period) == entered
            ]
            depth = max(
                len(ref.chain_from(ordered, i, STEPS, window, strict=False, apart=False, hold=False, blocking=set()))
                for i in own
            )
            for k in range(1, 4):
                wanted[on, k] = wanted.get((on, k), 0) + (depth >= k)
    assert got == wanted


@settings(max_examples=4, deadline=None)
@given(events=logs())
def test_what_dropped_users_did_next_is_the_event_after_their_last_step(events):
    found = funnel_next_events(
        ref.table(events), steps=STEPS, window="50m", observed_through=START + timedelta(days=30), most=10
    ).to_pandas()
    found = found[found["step"].notna()]  # where nobody entered one row says so
    got = {(r.step, None if pd.isna(r.next_event) else r.next_event): r.users for r in found.itertuples()}
    wanted: dict[tuple[int, str | None], int] = {}
    for log in ref.by_user(events).values():
        chain = ref.ordered_chain(log, STEPS, 50)
        if chain and chain.times[-1] is None:
            ordered = ref.in_order(log, STEPS)
            position = ordered.index(chain.last) + 1
            key = (sum(t is not None for t in chain.times), ordered[position].name if position < len(ordered) else None)
            wanted[key] = wanted.get(key, 0) + 1
    assert got == wanted


def test_an_empty_log_gives_zero_users_and_no_rate():
    found = measured([Event("u", "X", 0)])
    assert found["users"].tolist() == [0, 0, 0]
    assert found["conversion_rate"].isna().all() and found["ci_low"].isna().all()
