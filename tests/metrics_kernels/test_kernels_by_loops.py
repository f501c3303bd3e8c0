"""Kernels by themselves on small random rows, against loops over sets and lists that are written from the definitions."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from math import fsum

import numpy as np
import pytest

from launchpad_lib.metrics.kernels import (
    attempts,
    exposed,
    exposed_sums,
    returns,
    sequences,
    session_facts,
    step_rows,
    user_days,
)
from launchpad_lib.metrics.kernels.exact import quantiles_of
from launchpad_lib.metrics.kernels.one_reading import Part
from launchpad_lib.metrics.kernels.user_days import UserDays

SEEDS = range(12)


def units(rng: np.random.Generator, most: int = 9, count: int = 7) -> np.ndarray:
    """Where units begin and end: some have no row."""
    return np.r_[0, np.cumsum(rng.integers(0, most, count))]


def instants(rng: np.random.Generator, starts: np.ndarray, top: int = 12) -> np.ndarray:
    """Rising within a unit, with ties."""
    return np.concatenate([np.sort(rng.integers(0, top, b - a)) for a, b in pairwise(starts)]).astype(np.int64)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_begun_and_what_came_of_it(seed):
    """Three pairs of roles: 1 begins, 2 ends, 3 is both; window 4, mature until instant 8."""
    rng = np.random.default_rng(seed)
    starts = units(rng)
    at = instants(rng, starts)
    roles = rng.choice([0, 1, 2, 3], size=(len(at), 3), p=[0.4, 0.25, 0.25, 0.1])
    roles[:, 2] = np.where(roles[:, 2] > 0, 3, 0)
    bits = (roles << (2 * np.arange(3))).sum(axis=1)
    sums = np.zeros((3, 8), np.int64)
    attempts._fold(starts, at, bits, (4, 8), np.empty((3, 3), np.int64), sums)
    for k in range(3):
        expected = np.zeros(8, int)
        for a, b in pairwise(starts):
            rows = range(a, b)
            begins = [i for i in rows if roles[i, k] & 1]
            ends = [i for i in rows if roles[i, k] & 2]
            if not begins:
                continue
            first = min(at[i] for i in begins)
            if first > 8:
                expected[2] += 1
                continue
            done = any(i != j and 0 <= at[j] - at[i] <= 4 and (roles[j, k] == 2 or j > i) for i in begins for j in ends)
            x, y = (sum(first <= at[i] <= first + 4 for i in some) for some in (begins, ends))
            expected += [1, done, 0, x, y, y * y, y * x, x * x]
        assert sums[k].tolist() == expected.tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_unit_has_its_first_variant_its_first_exposure_and_what_it_did_around_it(seed):
    """Three metrics, of which the first sums the second property and the last the first one: windows 0 to 3, 2 to 5 and 0 to 9, 4 before."""
    rng = np.random.default_rng(seed)
    starts = units(rng)
    at = instants(rng, starts)
    n = len(at)
    is_exposure = rng.random(n) < 0.3
    variant = np.where(is_exposure, rng.choice([-1, 0, 0, 0, 1], size=n), -1)
    outcomes = rng.integers(0, 8, n)
    values, value_of = rng.integers(1, 9, (n, 2)).astype(float), np.array([1, -1, 0])
    begins, ends = np.array([0, 2, 0]), np.array([3, 5, 9])
    # The first metric has two parts of two, the last three of three from 1 on, the one between none.
    parts = np.array([[0, 0, 4, 2], [-1, 0, 0, 1], [2, 1, 10, 3]])
    of_unit, exposed_at, exposed_row, variant_of, first_of, folded = exposed.fold_exposed(
        starts, at, is_exposure, variant, outcomes, values, value_of, begins, ends, 4, parts
    )
    deeds = exposed.Deeds(*folded)
    place_of = {unit: place for place, unit in enumerate(of_unit.tolist())}
    rows_inside: list[tuple[int, float, int]] = []
    for u, (a, b) in enumerate(pairwise(starts)):
        met = [i for i in range(a, b) if is_exposure[i]]
        told = [i for i in met if variant[i] >= 0]
        assert (u in place_of) == bool(met)
        if not met:
            continue
        k = place_of[u]
        assert variant_of[k] == (-1 if not told else -2 if len({variant[i] for i in told}) > 1 else variant[told[0]])
        assert first_of[k] == (variant[told[0]] if told else -1)
        row = (told or met)[0]
        t0 = at[row]
        assert (exposed_at[k], exposed_row[k]) == (t0, row)
        expected, expected_parts = [], []
        for m, column in enumerate(value_of):
            own = [i for i in range(a, b) if outcomes[i] >> m & 1]
            within = [i for i in own if t0 <= at[i] and begins[m] <= at[i] - t0 <= ends[m]]
            earlier = [i for i in own if at[i] < t0]
            near = [i for i in earlier if t0 - at[i] <= 4]
            sums = [sum(values[i, column] for i in some) if column >= 0 else 0 for some in (within, near)]
            if own:
                expected.append((m, len(within), len(earlier), len(near), *sums))
            rows_inside += [(k, values[i, 1], at[i] - t0) for i in within if m == 0]
            first, low, high, length = parts[m]
            for part in range((high - low) // length if first >= 0 else 0):
                of_part = [i for i in within if low + part * length <= at[i] - t0 < low + (part + 1) * length]
                worth = sum(values[i, column] for i in of_part) if column >= 0 else 0
                if of_part:
                    expected_parts.append((first + part, len(of_part), worth))
        entries = slice(deeds.starts[k], deeds.starts[k + 1])
        assert list(zip(*(column[entries].tolist() for column in deeds[1:7]), strict=True)) == expected
        entries = slice(deeds.part_starts[k], deeds.part_starts[k + 1])
        assert list(zip(*(column[entries].tolist() for column in deeds[8:]), strict=True)) == expected_parts
    assert len(of_unit) == len(deeds.starts) - 1 == len(deeds.part_starts) - 1
    of, value, late = exposed.values_inside(starts, at, outcomes, values, 0, 1, 0, 3, of_unit, exposed_at)
    assert list(zip(of.tolist(), value.tolist(), late.tolist(), strict=True)) == rows_inside


@pytest.mark.parametrize("seed", SEEDS)
def test_moments_are_those_of_exact_sums_in_any_order_of_the_units(seed):
    """Products of numbers from a millionth to a million; the reference is `math.fsum`, which rounds once."""
    rng = np.random.default_rng(seed)
    group = rng.integers(-1, 3, 40)
    own = rng.normal(size=(40, 2, 4)) * 10.0 ** rng.integers(-6, 7, (40, 2, 4)) * (rng.random((40, 2, 4)) < 0.8)
    order = rng.permutation(40)
    found = []
    for units_in_order in (np.arange(40), order):
        sums, rest = np.zeros((3, 2, 15)), np.zeros((3, 2, 15))
        exposed_sums.add_moments(group[units_in_order], own[units_in_order], sums, rest)
        found.append(sums + rest)
    pairs = [(a, b) for a in range(4) for b in range(a, 4)]
    for g in range(3):
        mine = own[group == g]
        for m in range(2):
            expected = [float(len(mine)), *(fsum(mine[:, m, a]) for a in range(4)), *(fsum(mine[:, m, a] * mine[:, m, b]) for a, b in pairs)]  # fmt: skip
            assert found[0][g, m].tolist() == pytest.approx(expected, rel=1e-13, abs=1e-18)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-14)


def sparse(rng: np.random.Generator, units: int, width: int) -> tuple[np.ndarray, ...]:
    """Where entries of units start, their columns, a count and a value of each; and both laid out."""
    is_there = rng.random((units, width)) < 0.4
    count = np.where(is_there, rng.integers(0, 3, (units, width)), 0)
    value = np.where(is_there, rng.normal(size=(units, width)), 0.0)
    starts = np.r_[0, np.cumsum(is_there.sum(axis=1))]
    return starts, np.nonzero(is_there)[1], count[is_there], value[is_there], count, value


@pytest.mark.parametrize("seed", SEEDS)
def test_moments_of_folded_units_are_those_of_their_numbers_put_together(seed):
    """Every kind that is taken, in the window and before it, and parts of metrics with and without a denominator of their
    own; the reference makes unit x metric x 4 of everything and adds that."""
    rng = np.random.default_rng(seed)
    group = rng.integers(-1, 3, 60)
    starts, of, inside, value_inside, *whole = sparse(rng, 60, 5)
    pre, value_pre = rng.integers(0, 3, len(of)), rng.normal(size=len(of))
    part_starts, part, part_count, part_value, *parts = sparse(rng, 60, 7)
    laid = [np.zeros((60, 5)) for _ in range(2)]
    for out, column in zip(laid, (pre, value_pre), strict=True):
        exposed_sums.lay_out(starts, of, column, np.arange(60), np.arange(5), out)
        for unit, (a, b) in enumerate(pairwise(starts)):
            assert dict(zip(of[a:b].tolist(), column[a:b].tolist(), strict=True)) == {
                o: out[unit, o] for o in of[a:b].tolist()
            }
    deeds = (starts, of, inside, inside, pre, value_inside, value_pre, part_starts, part, part_count, part_value)
    taken, is_before, outcome = rng.integers(0, 5, (6, 4)), rng.integers(0, 2, (6, 4)), rng.integers(0, 5, (6, 4))
    taken[:, 0] = np.maximum(taken[:, 0], 2)  # a metric counts something
    slices = np.array([(m, p, d) for m, p, d in zip([0, 0, 3, 4], [0, 1, 2, 5], [-1, -1, 3, 6], strict=True)])
    taken[[3, 4], 1] = np.maximum(taken[[3, 4], 1], 2)

    def number(what: int, counts: np.ndarray, values: np.ndarray) -> np.ndarray | int:
        return {"nothing": 0, "one": 1, "did": counts > 0, "count": counts, "value": values}[exposed_sums.TAKEN[what]]

    own, own_slices = np.zeros((60, 6, 4)), np.zeros((60, 4, 4))
    for m in range(6):
        for k in range(4):
            counts, values = laid if is_before[m, k] else whole
            own[:, m, k] = number(taken[m, k], counts[:, outcome[m, k]], values[:, outcome[m, k]])
    for s, (m, p, d) in enumerate(slices.tolist()):
        own_slices[:, s] = own[:, m]
        own_slices[:, s, 0] = number(taken[m, 0], parts[0][:, p], parts[1][:, p])
        if d >= 0:
            own_slices[:, s, 1] = number(taken[m, 1], parts[0][:, d], parts[1][:, d])
    sums, expected = [np.zeros((3, 6, 15)) for _ in range(2)], [np.zeros((3, 6, 15)) for _ in range(2)]
    course, of_course = [np.zeros((3, 4, 15)) for _ in range(2)], [np.zeros((3, 4, 15)) for _ in range(2)]
    exposed_sums.add_moments_of_units(group, deeds, taken, is_before, outcome, slices, *sums, *course)
    exposed_sums.add_moments(group, own, *expected)
    exposed_sums.add_moments(group, own_slices, *of_course)
    np.testing.assert_allclose(np.add(*sums), np.add(*expected), rtol=1e-13, atol=1e-13)
    for s, denominator in enumerate(slices[:, 2].tolist()):
        apart = [*exposed_sums.OF_Y, *(exposed_sums.OF_D if denominator >= 0 else ())]
        found, wanted = np.add(*course)[:, s], np.add(*of_course)[:, s]
        np.testing.assert_allclose(found[:, apart], wanted[:, apart], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("start_bit", [0, 2])
def test_early_deeds_are_those_from_the_first_start_on(seed, start_bit):
    rng = np.random.default_rng(seed)
    starts = units(rng)
    at = instants(rng, starts, top=7)
    start_bits, deed_bits = rng.integers(0, 4, len(at)), rng.integers(0, 4, len(at))
    found = np.full(len(starts) - 1, 9, np.int64)
    returns.early_deeds(starts, at, start_bits, start_bit, deed_bits, 1, 2, 6, 2, found)
    for u, (a, b) in enumerate(pairwise(starts)):
        begun = [i for i in range(a, b) if start_bit == 0 or start_bits[i] & start_bit]
        expected = -1
        if begun and at[begun[0]] + 2 <= 6:
            t0 = at[begun[0]]
            expected = int(sum(t0 <= at[i] <= t0 + 2 and deed_bits[i] & 1 for i in range(a, b)) >= 2)
        assert found[u] == expected


def test_every_deed_at_the_instant_of_the_start_counts_whatever_the_order_of_ties():
    """By hand: two deeds at instant 3 stand before the start of that instant, one earlier and one a moment too late do not count."""
    at, starts = np.array([2, 3, 3, 3, 6]), np.array([0, 5])
    is_start, is_deed, found = np.array([0, 0, 0, 1, 0]), np.array([1, 1, 1, 0, 1]), np.zeros(1, np.int64)
    for at_least, enough in ((2, 1), (3, 0)):
        returns.early_deeds(starts, at, is_start, 1, is_deed, 1, 2, 9, at_least, found)
        assert found.tolist() == [enough]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_first_row_at_an_instant_is_that_of_bisection(seed):
    rng = np.random.default_rng(seed)
    for size in (0, 1, 5, 9, 30, 200):
        rows = np.sort(rng.integers(0, 3 * size + 1, size))
        for _ in range(20):
            place = int(rng.integers(0, size + 1))
            end = int(rng.integers(place, size + 1))
            wanted = int(rng.integers(-1, 3 * size + 3))
            assert returns._from(rows, place, end, wanted) == bisect_left(rows.tolist(), wanted, place, end)


def test_masks_of_brackets_hold_their_periods_over_words_of_64():
    brackets = [(0, 0), (1, 7), (60, 70), (64, 127), (3, 200), (63, 63)]
    masks, first, last = returns.bracket_masks(brackets)
    assert masks.shape == (200 // 64 + 1, len(brackets))
    for b, (low, high) in enumerate(brackets):
        periods = {64 * w + bit for w in range(len(masks)) for bit in range(64) if int(masks[w, b]) >> bit & 1}
        assert periods == set(range(low, high + 1)) and (first[b], last[b]) == (low // 64, high // 64)
    assert returns.bracket_masks([(1, 63)])[0].shape == (1, 1) and returns.bracket_masks([(1, 64)])[0].shape == (2, 1)


@pytest.mark.parametrize("shift", [0, 1, 63, 64, 65, 130])
@pytest.mark.parametrize("words", [1, 2])
def test_returns_are_seen_from_their_start_and_hit_the_brackets_that_are_over(shift, words):
    rng = np.random.default_rng(shift)
    noted = set(rng.integers(0, 64 * 5, 40).tolist())
    seen = np.array([sum(1 << bit for bit in range(64) if 64 * w + bit in noted) for w in range(words + 4)], np.uint64)
    window = np.zeros(words, np.uint64)
    returns._shifted(seen, shift, window)
    assert {64 * w + bit for w in range(words) for bit in range(64) if int(window[w]) >> bit & 1} == {
        p - shift for p in noted if 0 <= p - shift < 64 * words
    }
    brackets = sorted(
        [(0, 0), (1, 3), (10, 40), (5, 63)] + [(62, 66), (70, 71), (64, 100)] * (words > 1), key=lambda p: p[1]
    )
    masks, first, last = returns.bracket_masks(brackets)
    highs = np.array([high for _, high in brackets])
    for room in (-1, 0, 3, 40, 63, 66, 100, 500):
        over = returns._mature(highs, room)
        assert over == sum(high <= room for _, high in brackets)
        target = np.zeros(len(brackets), np.int64)
        returns._add_hits(window, masks, first, last, over, target)
        assert target.tolist() == [
            int(high <= room and any(low <= p - shift <= high for p in noted)) for low, high in brackets
        ]


def active(seed: int) -> tuple[UserDays, list[list[tuple[int, int]]]]:
    """Users with (day, feature) pairs, days rising; and the same as lists."""
    rng = np.random.default_rng(seed)
    lists = [
        sorted({(int(d), int(f)) for d, f in zip(rng.integers(3, 25, k), rng.integers(-1, 3, k), strict=True)})
        for k in rng.integers(1, 9, 8)
    ]
    starts = np.r_[0, np.cumsum([len(own) for own in lists])]
    day, feature = (np.array([pair[k] for own in lists for pair in own], np.int32) for k in (0, 1))
    return UserDays(starts, day, feature, ["a", "b", "c"]), lists


@pytest.mark.parametrize("seed", SEEDS)
def test_counts_of_users_are_those_of_sets(seed):
    found, lists = active(seed)
    days = [day for own in lists for day, _ in own]
    low, high = min(days), max(days)
    assert found.span() == (low, high) and found.users == len(lists)
    assert [found.code(name) for name in "abc"] == [0, 1, 2] and found.code("d") not in (-1, 0, 1, 2)

    def with_feature(own, wanted, feature):
        return any(day in wanted and feature in (None, f) for day, f in own)

    for feature in (0, 1, 2, found.code("d")):
        for length, shift in ((1, 0), (7, 2), (7, 0)):
            first, everybody, users = user_days.users_by_period(found, feature, length=length, shift=shift)
            assert first == (low - shift) // length and len(users) == (high - shift) // length - first + 1
            for n in range(len(users)):
                period = range(shift + (first + n) * length, shift + (first + n + 1) * length)
                assert everybody[n] == sum(with_feature(own, period, None) for own in lists)
                assert users[n] == sum(with_feature(own, period, feature) for own in lists)
    for through in (low - 5, high, high + 9):
        trailing = user_days.trailing_users(found, (1, 7, 28), through=through)
        every_day = range(low, max(high, through) + 1)
        for k, window in enumerate((1, 7, 28)):
            assert trailing[k].tolist() == [
                sum(with_feature(own, range(d - window + 1, d + 1), None) for own in lists) for d in every_day
            ]
    for after, through in ((2, 25), (5, 12), (24, 24)):
        by_days = [len({d for d, _ in own if after < d <= through}) for own in lists]
        expected = [by_days.count(k) for k in range(through - after + 1)]
        assert user_days.users_by_active_days(found, after=after, through=through).tolist() == expected
    everybody, both = user_days.users_of_both(found)
    owned = [{f for _, f in own if f >= 0} for own in lists]
    assert everybody == sum(bool(o) for o in owned)
    assert both.tolist() == [[sum({a, b} <= o for o in owned) for b in range(3)] for a in range(3)]
    for begin, length in ((10, 7), (12, 3), (40, 2)):
        two = user_days.users_of_two_periods(found, before=begin - length, after=begin, length=length)
        before, after = range(begin - length, begin), range(begin, begin + length)
        was = [(with_feature(own, before, None), with_feature(own, after, None)) for own in lists]
        assert (two.before, two.after, two.both) == (
            sum(x for x, _ in was), sum(y for _, y in was), sum(x and y for x, y in was),
        )  # fmt: skip
        for f in range(3):
            had = [(with_feature(own, before, f), with_feature(own, after, f)) for own in lists]
            in_both = [h for h, w in zip(had, was, strict=True) if all(w)]
            assert two.used[f].tolist() == [
                sum(x for x, _ in had), sum(y for _, y in had), sum(x and y for x, y in had),
                sum(x for x, _ in in_both), sum(y for _, y in in_both),
            ]  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_each_user_day_and_feature_is_kept_once_with_its_days_rising(seed):
    """A clock that goes back over midnight lets a day come again."""
    rng = np.random.default_rng(seed)
    starts = units(rng)
    days, features = rng.integers(0, 5, starts[-1]).astype(np.int32), rng.integers(-1, 2, starts[-1]).astype(np.int32)
    counts = np.empty(len(starts) - 1, np.int64)
    expected = [sorted(set(zip(days[a:b].tolist(), features[a:b].tolist(), strict=True))) for a, b in pairwise(starts)]
    kept = user_days._distinct(starts, days, features, np.zeros(3, np.int64), counts)
    assert counts.tolist() == [len(own) for own in expected] and kept == sum(counts)
    ends = np.cumsum(counts)
    for u, own in enumerate(expected):
        part = slice(ends[u] - counts[u], ends[u])
        assert sorted(zip(days[part].tolist(), features[part].tolist(), strict=True)) == own
        assert days[part].tolist() == sorted(days[part].tolist())


@pytest.mark.parametrize("seed", SEEDS)
def test_sessions_with_a_start_have_their_interactions_and_kinds(seed):
    rng = np.random.default_rng(seed)
    starts = units(rng, most=6)
    starts = starts[np.r_[True, np.diff(starts) > 0]]  # a session has an event
    kinds, is_start = rng.integers(0, 4, starts[-1]), rng.integers(0, 2, starts[-1])
    users = np.repeat(rng.integers(0, 3, len(starts) - 1), np.diff(starts))
    found = np.empty((3, len(starts) - 1), np.int64)
    kept = session_facts._depth(starts, kinds, is_start, users, np.zeros(4, np.int64), found)
    expected = [
        [int((kinds[a:b] > 0).sum()), len(set(kinds[a:b].tolist()) - {0}), users[a]]
        for a, b in pairwise(starts)
        if is_start[a:b].any()
    ]
    assert found[:, :kept].T.tolist() == expected
    counts = np.zeros(4, np.int64)
    session_facts._units_by_code(starts, kinds, np.zeros(4, np.int64), counts)
    assert counts.tolist() == [sum(k in kinds[a:b] for a, b in pairwise(starts)) for k in range(4)]


def rank_of(mask: int) -> int:
    return next((k + 1 for k in range(5) if mask >> k & 1), 0)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("is_held", [True, False])
def test_events_of_one_instant_stand_in_the_order_of_the_steps(seed, is_held):
    """Codes 0 to 4 are steps by a table, bits by their own; a row without the held value is no step, but may remove."""
    rng = np.random.default_rng(seed)
    starts = units(rng)
    at = instants(rng, starts, top=4)
    codes = rng.integers(0, 5, len(at))
    table = np.array([0, 1, 2, 4, int(step_rows.REMOVES) | 2], np.int64)
    bits = rng.choice([0, 0, 1, 4], len(at)).astype(np.int64) if seed % 2 else np.zeros(0, np.int64)
    held = rng.integers(-1, 2, len(at)) if is_held else np.zeros(0, np.int64)
    steps, match = 7, np.full(len(at), 99, np.int64)
    disordered = step_rows.match_rows(starts, at, codes, table, bits, held, steps, match)
    expected = [int(table[c]) | (int(bits[i]) if len(bits) else 0) for i, c in enumerate(codes)]
    expected = [m & ~7 if is_held and held[i] < 0 else m for i, m in enumerate(expected)]
    assert match.tolist() == expected
    runs = [[i for i in range(a, b) if at[i] == t] for a, b in pairwise(starts) for t in sorted(set(at[a:b].tolist()))]
    runs = [run for run in runs if [rank_of(match[i] & 7) for i in run] != sorted(rank_of(match[i] & 7) for i in run)]
    assert disordered == sum(len(run) for run in runs)
    places, rows = step_rows.step_order(starts, at, match, steps, disordered)
    in_order = np.arange(len(at))
    in_order[places] = rows
    for a, b in pairwise(starts):
        assert in_order[a:b].tolist() == sorted(range(a, b), key=lambda i: (at[i], rank_of(match[i] & 7), i) if any(i in r for r in runs) else (at[i], 0, i))  # fmt: skip


def test_bits_are_added_where_a_flag_is_set():
    bits = np.array([1, 2, 0, 4], np.int64)
    step_rows.add_bits(np.array([4, 2, 6, 0], np.int64), 4, 8, bits)
    assert bits.tolist() == [9, 2, 8, 4]


def followed(rng, *, collapsed: bool) -> tuple[sequences.FollowFold, list, list[str]]:
    """Two parts of a log: five texts, of which the last two are shown alike, and events without a name."""
    texts = ["a", "b", "c", "d1", "d2"]
    fold = sequences.FollowFold(None, repeats="collapsed" if collapsed else "kept", shown_as=lambda text: text[0])  # type: ignore[arg-type]
    lists = []
    for known in (3, 5):
        starts = units(rng)
        at = instants(rng, starts, top=9) * 1_000_000_000
        names = rng.integers(-1, known, len(at)).astype(np.int64)
        fold.fold(
            Part(starts=starts, at=at, ends=(0, 0), columns={"name": names}, texts={"name": texts[:known]}, flags={})
        )
        for a, b in pairwise(starts):
            own = [(texts[names[i]][0], int(at[i])) for i in range(a, b) if names[i] >= 0]
            own = [pair for k, pair in enumerate(own) if not (collapsed and k and own[k - 1][0] == pair[0])]
            lists.append(own)
    return fold, lists, ["a", "b", "c", "d"]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("collapsed", [True, False])
def test_what_follows_what_is_counted_with_the_median_time(seed, collapsed):
    """Gaps of 4,295 seconds and more do not fit in 32 bits of microseconds; the reference is numpy's median."""
    fold, lists, shown = followed(np.random.default_rng(seed), collapsed=collapsed)
    assert fold.names.shown == shown
    flat = [name for own in lists for name, _ in own]
    assert fold.counts().tolist() == [flat.count(name) for name in shown]
    small = np.array([0, 1, 2, 2])  # c and d are told as one kind
    kind = dict(zip(shown, small.tolist(), strict=True))
    gaps: dict[tuple[int, int], list[float]] = {}
    for own in lists:
        for k, (name, t) in enumerate(own):
            following = kind[own[k + 1][0]] if k + 1 < len(own) else 3
            gaps.setdefault((kind[name], following), []).append(
                (own[k + 1][1] - t) / 1e6 if k + 1 < len(own) else np.nan
            )
    found = fold.follows(small, 4)
    assert list(zip(found.before.tolist(), found.after.tolist(), strict=True)) == sorted(gaps)
    assert found.times.tolist() == [len(gaps[pair]) for pair in sorted(gaps)]
    assert found.median.tolist() == pytest.approx([np.median(gaps[pair]) for pair in sorted(gaps)], nan_ok=True)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("collapsed", [True, False])
@pytest.mark.parametrize("direction", ["after", "before"])
def test_steps_around_the_first_anchor_are_counted_by_their_place(seed, collapsed, direction):
    rng = np.random.default_rng(seed)
    texts, length = ["a", "b", "c", "d1", "d2"], 3
    fold = sequences.StepFold(None, anchor="b", direction=direction, length=length, repeats="collapsed" if collapsed else "kept", shown_as=lambda text: text[0])  # type: ignore[arg-type]  # fmt: skip
    counted: dict[tuple[int, str], int] = {}
    for known in (3, 5):
        starts = units(rng, most=12)
        names = rng.integers(-1, known, starts[-1]).astype(np.int64)
        fold.fold(Part(starts=starts, at=np.zeros(len(names), np.int64), ends=(0, 0), columns={"name": names}, texts={"name": texts[:known]}, flags={}))  # fmt: skip
        for a, b in pairwise(starts):
            own = [texts[names[i]][0] for i in range(a, b) if names[i] >= 0]
            own = [name for k, name in enumerate(own) if not (collapsed and k and own[k - 1] == name)]
            if "b" not in own:
                continue
            anchor = own.index("b")
            near = own[anchor + 1 :] if direction == "after" else own[:anchor][::-1]
            for k in range(length):
                step = (k, near[k] if k < len(near) else "")
                counted[step] = counted.get(step, 0) + 1
    names = ["", *fold.names.shown]
    assert names == ["", "a", "b", "c", "d"]
    assert fold.counts.tolist() == [[counted.get((k, name), 0) for name in names] for k in range(length)]


@pytest.mark.parametrize("seed", SEEDS)
def test_quantiles_of_all_values_are_those_of_numpy(seed):
    rng = np.random.default_rng(seed)
    at = [0, 0.1, 0.5, 0.95, 1]
    for size in (1, 2, 3, 10, 101):
        values = rng.normal(size=size)
        assert quantiles_of(values.copy(), at) == pytest.approx(np.quantile(values, at).tolist())
    assert quantiles_of(np.zeros(0), at) == [None] * 5


def test_of_a_log_without_events_there_is_nothing():
    nobody = UserDays(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32), [])
    assert nobody.span() == (0, -1) and nobody.users == 0
    assert user_days.trailing_users(nobody, (1, 7), through=30).shape == (2, 0)
    active, both = user_days.users_of_both(nobody)
    assert active == 0 and both.shape == (0, 0)
    fold = sequences.FollowFold(None, repeats="kept", shown_as=str)  # type: ignore[arg-type]
    assert fold.counts().tolist() == [] and fold.counts().dtype == np.int64
    found = fold.follows(np.zeros(3, np.int64), 4)
    assert [len(column) for column in found] == [0, 0, 0, 0]
