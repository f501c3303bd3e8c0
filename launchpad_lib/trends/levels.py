"""When did a daily series move to another level, how often, and could spells or single days alone have done it?

Levels that move, single days out of line and the noise are told apart together (Chen & Liu 1993, level shifts and
additive outliers): whatever explains most is taken in first, as long as chance with the search over all days would do
it rarely, and everything that is in is looked at again. The noise (spells, pattern of the week) is that of all series
together (`level_noise`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm, t

from launchpad_lib.trends.level_fit import SeriesFit
from launchpad_lib.trends.level_noise import EDGE_DAYS, chance, gains, noise_model, p_of_search, single_of

FEWEST_DAYS = 14
MOST_DAYS = 180
MOST_MISSING = 0.3
RECENT_DAYS = 7
STABLE_DAYS = 7
"""A level that held so long is one that others are told against; shorter stretches are passed over."""


class LevelChange(NamedTuple):
    """One move of the level; on log values `shift` is a log ratio against the level just before it.

    `index`: first day of the new level, best supported; `index_low, index_high`: 95 % of the support of the dates
    (posterior, all days alike before). `ci_low, ci_high`: 95 % limits of the shift, the date's doubt included.
    `probability`: that the shift is beyond `smallest` in its own direction. `p_value`: of "no change", search over
    all days included. `is_current`: no later level is back beyond the middle of the two.
    """

    index: int  # type: ignore[assignment]  # shadows tuple.index, which nobody calls on it
    index_low: int
    index_high: int
    shift: float
    ci_low: float
    ci_high: float
    probability: float
    p_value: float
    is_current: bool


class Levels(NamedTuple):
    """What one series did. `changes`: in order of time. `standing`: the last rise that still holds, against the last
    level before it that held for `STABLE_DAYS` (a rise that only ends a dip is 0). `best`: the best supported single
    shift where there is no change, which nobody should believe, for its limits and its p. `left_out`: single days that
    are of no level.

    `persistence`: correlation of a spell from one day to the next; `spell_sd, day_sd`: standard deviation of spells and
    of a day's own noise. `detectable`: the shift that is found 8 times in 10 a week after it, were the series the only
    one. `refused_because`: why there is no answer, else None.
    """

    changes: tuple[LevelChange, ...] = ()
    standing: LevelChange | None = None
    best: LevelChange | None = None
    left_out: tuple[int, ...] = ()
    persistence: float | None = None
    spell_sd: float | None = None
    day_sd: float | None = None
    detectable: float | None = None
    refused_because: str | None = None


def level_changes(series: Sequence[np.ndarray], *, smallest: float = 0.0) -> list[Levels]:
    """Changes of level in each of several daily series; one answer per series.

    Args:
        series: each one value a day, in order; NaN is a missing day; logs where ratios are meant. At most the last
            `MOST_DAYS` are looked at; indices count from the first given day.
        smallest: the shift that `probability` is held against.

    >>> rng = np.random.default_rng(1)
    >>> days = 5 + 0.03 * rng.normal(size=60)
    >>> days[20:40] += 0.2
    >>> days[50] += 1
    >>> found = level_changes([days])[0]
    >>> [c.index for c in found.changes], [c.is_current for c in found.changes], found.left_out
    ([20, 40], [False, True], (50,))
    """
    arrays = [np.asarray(v, dtype=float)[-MOST_DAYS:] for v in series]
    offsets = [max(len(v) - MOST_DAYS, 0) for v in series]
    refusals = [_refusal(v) for v in arrays]
    judged = [SeriesFit(v) for v, r in zip(arrays, refusals, strict=True) if r is None]
    model = (0.0, 0.0)
    for _ in range(2 if judged else 0):
        model = noise_model([(one.values, one.columns()) for one in judged])
        for one in judged:
            one.fit(model)
    answers = iter(_answer(one, model, smallest) for one in judged)
    return [
        Levels(refused_because=refusal) if refusal else _later(next(answers), offset)
        for refusal, offset in zip(refusals, offsets, strict=True)
    ]


def _answer(one: SeriesFit, model: tuple[float, float], smallest: float) -> Levels:
    persistence, nugget = model
    final = one.scanned(model)
    noise = one.scale * float(np.sqrt(final.rest / final.freedom))
    changes = [_change(one, model, s, smallest) for s in one.steps]
    level = np.cumsum([0.0, *(c.shift for c in changes)])
    current = tuple(
        c._replace(is_current=_holds(level[i], level[i + 1], level[i + 2 :])) for i, c in enumerate(changes)
    )
    best = None if changes else _change(one, model, None, smallest)
    standing = [i for i, c in enumerate(current) if c.is_current and c.shift > 0][-1:]
    against = _against_stable(one, model, standing[0], smallest) if standing else None
    return Levels(
        current,
        against,
        best,
        tuple(sorted(one.days)),
        persistence,
        spell_sd=noise * float(np.sqrt(1 - nugget)),
        day_sd=noise * float(np.sqrt(nugget)),
        detectable=_detectable(one, model, noise),
    )


def _detectable(one: SeriesFit, model: tuple[float, float], noise: float) -> float:
    length = len(one.values)
    young = max(length - RECENT_DAYS, EDGE_DAYS)
    far = [s for s in one.steps if abs(s - young) >= EDGE_DAYS]
    found = one.scanned(model, steps=far)
    needed = norm.isf(single_of(0.05, length, model) / 2) + norm.isf(0.2)
    return float(needed * noise / np.sqrt(found.step_length[young - EDGE_DAYS]))


def _against_stable(one: SeriesFit, model: tuple[float, float], place: int, smallest: float) -> LevelChange:
    """The change of that place, against the last stable level before it: what lies between has levels of its own."""
    starts = [0, *one.steps]
    held = [k for k in range(place + 1) if k == 0 or starts[k + 1] - starts[k] >= STABLE_DAYS]
    stretches = [(starts[k], starts[k + 1]) for k in range(held[-1] + 1, place + 1)]
    return _change(one, model, one.steps[place], smallest, stretches=stretches)


def _change(
    one: SeriesFit,
    model: tuple[float, float],
    step: int | None,
    smallest: float,
    *,
    stretches: Sequence[tuple[int, int]] = (),
) -> LevelChange:
    passed = {step, *(first for first, _ in stretches)}
    found = one.scanned(model, steps=[s for s in one.steps if s not in passed], stretches=stretches)
    own = gains(found.step, found.step_length)
    place = int(own.argmax()) if step is None else step - EDGE_DAYS
    freedom = found.freedom - 1
    # Days far worse than the best have no support; a neighbouring change is not this one's date.
    log_support = -0.5 * found.freedom * np.log(np.maximum(found.rest - own, 1e-12 * found.rest))
    near = np.flatnonzero((log_support > log_support[place] - 12) & (found.step_length > 1e-8))
    others = np.array([s - EDGE_DAYS for s in one.steps if s != step], dtype=int)
    from_here, to_there = np.minimum(near, place)[:, None], np.maximum(near, place)[:, None]
    near = near[~((from_here < others) & (others < to_there)).any(axis=1)]
    weight = np.exp(log_support[near] - log_support[near].max())
    weight = weight / weight.sum()
    date = np.searchsorted(np.cumsum(weight), (0.025, 0.975))
    low, high = (int(near[min(d, len(near) - 1)]) for d in date)
    size = one.scale * found.step[near] / found.step_length[near]
    error = one.scale * np.sqrt(
        np.maximum(found.rest - own[near], 1e-12 * found.rest) / freedom / found.step_length[near]
    )
    shift = float(one.scale * found.step[place] / found.step_length[place])
    direction = 1.0 if shift >= 0 else -1.0
    beyond = float(weight @ t.sf((smallest - direction * size) / error, freedom))
    ci_low, ci_high = (_quantile(weight, size, error, freedom, q) for q in (0.025, 0.975))
    p = p_of_search(chance(float(own[place]), found), 0, len(one.values), model)
    first, last = min(low, place) + EDGE_DAYS, max(high, place) + EDGE_DAYS
    return LevelChange(place + EDGE_DAYS, first, last, shift, ci_low, ci_high, beyond, p, is_current=True)


def _quantile(weight: np.ndarray, size: np.ndarray, error: np.ndarray, freedom: int, q: float) -> float:
    """Of the mixture of Student t distributions over the supported dates."""
    reach = t.ppf(0.9999, freedom) * error
    low, high = float((size - reach).min()), float((size + reach).max())
    return float(brentq(lambda x: float(weight @ t.cdf((x - size) / error, freedom)) - q, low, high))


def _holds(before: float, after: float, later: np.ndarray) -> bool:
    middle = (before + after) / 2
    return bool((later > middle).all() if after > before else (later < middle).all())


def _later(found: Levels, offset: int) -> Levels:
    if not offset:
        return found

    def moved(c: LevelChange) -> LevelChange:
        return c._replace(index=c.index + offset, index_low=c.index_low + offset, index_high=c.index_high + offset)

    best = None if found.best is None else moved(found.best)
    standing = None if found.standing is None else moved(found.standing)
    days = tuple(d + offset for d in found.left_out)
    return found._replace(changes=tuple(map(moved, found.changes)), standing=standing, best=best, left_out=days)


def _refusal(values: np.ndarray) -> str | None:
    known = values[np.isfinite(values)]
    if len(known) < FEWEST_DAYS:
        return f"{len(known)} days; a shift can be told from a spell from {FEWEST_DAYS} days on"
    missing = 1 - len(known) / len(values)
    if missing > MOST_MISSING:
        return f"{missing:.0%} of its days have no value; at most {MOST_MISSING:.0%} may be missing"
    return "every day has the same value" if np.ptp(known) <= 1e-12 * np.abs(known).max(initial=0.0) else None
