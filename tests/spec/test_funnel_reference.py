"""Every form of the funnel against the brute force of `reference.py`, over random logs with ties, duplicates and out-of-order arrival."""

from __future__ import annotations

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
def logs(draw, names="ABCX", most=14, span=14, scale=10):
    """Up to three users; times on a coarse grid, so that ties are common; ids in another order than time."""
    raw = draw(
        st.lists(
            st.tuples(st.sampled_from("uvw"), st.sampled_from(names), st.integers(0, span), st.integers(0, 2), st.sampled_from(["p", "q", None]), st.sampled_from(["1", "2", None])),
            min_size=1,
            max_size=most,
        )
    )
    ids = draw(st.permutations(range(len(raw))))
    events = [Event(u, n, scale * t, r, f"e{i:02d}", p, item) for (u, n, t, r, p, item), i in zip(raw, ids, strict=True)]
    copies = draw(st.lists(st.sampled_from(events), max_size=2))
    return events, copies


def measured(events, *, steps=STEPS, through=10_000, window=50, **options) -> pd.DataFrame:
    wanted = [Step(s.rstrip("?").split("/")[0], (("plan", s.rstrip("?").split("/")[1]),) if "/" in s else (), s.endswith("?")) for s in steps]
    found = funnel(ref.table(events), steps=wanted, window=f"{window}m" if window else None, observed_through=START + timedelta(minutes=through), **options)
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
    "blocking first": ({"exclusions": [Exclusion("X", effect="block_progress")], "entry": "first"}, {"blocking": frozenset("X"), "entry": "first"}),
    "blocking held": ({"exclusions": [Exclusion("X", effect="block_progress")], "hold_constant": "item"}, {"blocking": frozenset("X"), "hold": True}),
}


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=25, deadline=None)
@given(logs=logs(), window=st.sampled_from([30, 50, None]))
def test_an_ordered_form_counts_what_its_definition_says(form, logs, window):
    events, _ = logs
    options, meant = FORMS[form]
    found = measured(events, window=window, **options)
    chains = expected(events, window=window, **meant)
    assert found["users"].tolist() == ref.counts(chains, STEPS)
    assert found["users_removed"].tolist() == [sum(c.removed for c in chains)] * 3


@settings(max_examples=30, deadline=None)
@given(logs=logs(names="AABX"), steps=st.sampled_from([["A", "A", "B"], ["A", "A/p", "B"], ["A/p", "A", "A/q"], ["A/q", "B/q"]]), strict=st.booleans())
def test_one_event_is_never_two_steps_of_a_chain(logs, steps, strict):
    events, _ = logs
    found = measured(events, steps=steps, mode="strict" if strict else "ordered")
    assert found["users"].tolist() == ref.counts(expected(events, steps, strict=strict), steps)


@settings(max_examples=30, deadline=None)
@given(logs=logs(), entry=st.sampled_from(["any", "first"]), block=st.booleans())
def test_an_optional_step_is_counted_where_it_was_done_and_never_asked_for(logs, entry, block):
    events, _ = logs
    steps = ["A", "B?", "C"]
    blocking = {"exclusions": [Exclusion("X", effect="block_progress")]} if block else {}
    found = measured(events, steps=steps, entry=entry, **blocking)
    assert found["users"].tolist() == ref.counts(expected(events, steps, entry=entry, blocking=frozenset("X") if block else frozenset()), steps)


@settings(max_examples=30, deadline=None)
@given(logs=logs(), window=st.sampled_from([20, 50, None]), entry=st.sampled_from(["any", "first"]), hold=st.booleans())
def test_any_order_counts_the_different_steps_inside_one_window(logs, window, entry, hold):
    events, _ = logs
    found = measured(events, window=window, entry=entry, mode="any_order", **({"hold_constant": "item"} if hold else {}))
    chains = [ref.any_order_chain(log, STEPS, window, entry=entry, hold=hold) for log in ref.by_user(events).values()]
    assert found["users"].tolist() == ref.counts([c for c in chains if c], STEPS)


@settings(max_examples=25, deadline=None)
@given(logs=logs(), form=st.sampled_from(["any", "first", "strict", "held", "apart"]))
def test_times_are_those_of_the_reported_chain(logs, form):
    events, _ = logs
    options, meant = FORMS[form]
    found = measured(events, **options)
    chains = expected(events, **meant)
    for k in (1, 2):
        entry = pd.Series([60.0 * (c.times[k] - c.times[0]) for c in chains if c.times[k] is not None], dtype=float)
        before = pd.Series([60.0 * (c.times[k] - c.times[k - 1]) for c in chains if c.times[k] is not None], dtype=float)
        row = found.iloc[k]
        assert row["median_seconds_from_entry"] == pytest.approx(entry.median(), nan_ok=True)
        assert row["p90_seconds_from_entry"] == pytest.approx(entry.quantile(0.9), nan_ok=True)
        assert row["median_seconds"] == pytest.approx(before.median(), nan_ok=True)
        assert row["p90_seconds"] == pytest.approx(before.quantile(0.9), nan_ok=True)


@settings(max_examples=25, deadline=None)
@given(logs=logs(), attribution=st.sampled_from(["first_touch", "last_touch", 1, 2]), through=st.sampled_from([100, 10_000]))
def test_every_unit_is_in_one_segment_and_the_segments_add_up(logs, attribution, through):
    events, _ = logs
    found = measured(events, breakdown="plan", attribution=attribution, through=through)
    chains = [c for c in expected(events) if c.first_entry + 50 <= through]
    segments: dict[str, list[ref.Chain]] = {}
    for c in chains:
        known = [v for v in c.values if v is not None]
        value = c.values[attribution - 1] if isinstance(attribution, int) else (known[0 if attribution == "first_touch" else -1] if known else None)
        segments.setdefault(value or "", []).append(c)
    mature = found[found["users"].groupby(found["segment"].fillna("")).transform("max") > 0]
    got = {s: rows["users"].tolist() for s, rows in mature.groupby(mature["segment"].fillna(""))}
    assert got == {s: ref.counts(cs, STEPS) for s, cs in segments.items()}


@settings(max_examples=25, deadline=None)
@given(logs=logs(), through=st.integers(0, 150))
def test_an_immature_entrant_is_in_no_count_and_is_reported(logs, through):
    events, _ = logs
    chains = expected(events)
    found = measured(events, through=through)
    assert found["users"].tolist() == ref.counts(chains, STEPS, through=through, window=50)
    assert found["entrants_immature"].iloc[0] == sum(c.first_entry + 50 > through for c in chains)
    assert measured(events, through=through, immature="counted")["users"].tolist() == ref.counts(chains, STEPS)


@settings(max_examples=25, deadline=None)
@given(logs=logs())
def test_the_order_of_arrival_does_not_matter(logs):
    events, _ = logs
    assert measured(events).equals(measured(list(reversed(events))))


@settings(max_examples=20, deadline=None)
@given(logs=logs(span=20, scale=200), period=st.sampled_from(["day", "week"]))
def test_the_trend_is_the_funnel_of_each_periods_entries(logs, period):
    events, _ = logs
    zone, window = "Europe/Berlin", 900
    found = funnel_trend(ref.table(events), steps=STEPS, window="15h", observed_through=START + timedelta(days=90), period=period, report_timezone=zone).to_pandas()
    got = {(pd.Timestamp(r.period_on).date(), r.step): r.users for r in found.itertuples()}
    wanted = {}
    for log in ref.by_user(events).values():
        for entered in {ref.period_of(ref.local(e.at, zone), period) for e in log if e.name == "A"}:
            first_on = min(ref.local(e.at, zone) for e in log if ref.period_of(ref.local(e.at, zone), period) == entered)
            on = first_on - timedelta(days=first_on.weekday()) if period == "week" else first_on
            ordered = ref.in_order(log, STEPS)
            own = [i for i, e in enumerate(ordered) if e.name == "A" and ref.period_of(ref.local(e.at, zone), period) == entered]
            depth = max(len(ref.chain_from(ordered, i, STEPS, window, strict=False, apart=False, hold=False, blocking=set())) for i in own)
            for k in range(1, 4):
                wanted[on, k] = wanted.get((on, k), 0) + (depth >= k)
    assert got == wanted


@settings(max_examples=20, deadline=None)
@given(logs=logs())
def test_what_dropped_users_did_next_is_the_event_after_their_last_step(logs):
    events, _ = logs
    found = funnel_next_events(ref.table(events), steps=STEPS, window="50m", observed_through=START + timedelta(days=30), most=10).to_pandas()
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
