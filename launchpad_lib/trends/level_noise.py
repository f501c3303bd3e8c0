"""The noise of daily series: spells that last days, days of their own, days of the week; and what it does by itself.

A series is a level + a pattern of the week + an AR(1) process (spells) + independent noise of each day. A missing day,
or one that is left out, is a column of its own, so that it is worth nothing and the days around it keep their distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import betainc

PERSISTENCE = (0.2, 0.4, 0.55, 0.7, 0.8, 0.9)
NUGGET = (0.0, 0.25, 0.5, 0.75)
GRID = ((0.0, 0.0), *((r, g) for r in PERSISTENCE for g in NUGGET))
EDGE_DAYS = 3
LONGEST_BUMP = 42
WEEKS_FROM = 28
"""From so many days on each weekday has a level of its own."""
# Of noise models that explain the series about equally well the one with the longest spells is taken: short series
# make spells look shorter than they are, and a test that believes them calls too many shifts.
LIKELIHOOD_SLACK = 1.0
# A shift has to pay for its size, its day and the search, or shifts fitted to spells would explain the spells away.
PARAMETERS_OF_A_SHIFT = 4
MOST_SERIES = 64
TAIL = 0.02


class Design(NamedTuple):
    """One noise model over so many days, whitened: `step[:, j]` is a level that begins on day `EDGE_DAYS + j`."""

    whiten: np.ndarray
    root: np.ndarray
    half_log_determinant: float
    step: np.ndarray


class Scan(NamedTuple):
    """What each candidate takes off the residual sum `rest`, given the columns that are in: projections of the series
    on the rest of each column, and the squared length of those rests. `freedom`: of the residual.
    """

    rest: float
    freedom: int
    step: np.ndarray
    step_length: np.ndarray
    gram: np.ndarray
    day: np.ndarray
    day_length: np.ndarray
    log_lengths: float


def covariance(days: int, persistence: float, nugget: float) -> np.ndarray:
    """Of a series of unit variance: the share `nugget` of it is every day's own."""
    index = np.arange(days)
    spells = persistence ** np.abs(index[:, None] - index[None, :]) if persistence > 0 else np.eye(days)
    return (1 - nugget) * spells + nugget * np.eye(days)


@lru_cache(maxsize=256)
def design(days: int, persistence: float, nugget: float) -> Design:
    """Of a history of so many days."""
    root = np.linalg.cholesky(covariance(days, persistence, nugget))
    whiten = np.linalg.inv(root)
    step = (np.arange(days)[:, None] >= np.arange(EDGE_DAYS, days - EDGE_DAYS + 1)[None, :]).astype(float)
    return Design(whiten, root, float(np.log(np.diag(root)).sum()), whiten @ step)


def usual_columns(days: int) -> np.ndarray:
    """A level, and from `WEEKS_FROM` days on one for each day of the week."""
    if days < WEEKS_FROM:
        return np.ones((days, 1))
    return (np.arange(days)[:, None] % 7 == np.arange(7)[None, :]).astype(float)


def scan(values: np.ndarray, columns: np.ndarray, noise: Design) -> Scan:
    """One series against every candidate, the columns given."""
    basis, triangle = np.linalg.qr(noise.whiten @ columns)
    white = noise.whiten @ values
    white = white - basis @ (basis.T @ white)
    step = noise.step - basis @ (basis.T @ noise.step)
    day = noise.whiten - basis @ (basis.T @ noise.whiten)
    gram = step.T @ step
    return Scan(
        float(white @ white),
        len(values) - columns.shape[1],
        step.T @ white,
        np.diag(gram),
        gram,
        day.T @ white,
        (day**2).sum(axis=0),
        float(np.log(np.abs(np.diag(triangle)) + 1e-300).sum()),
    )


def gains(projected: np.ndarray, length: np.ndarray) -> np.ndarray:
    """What each takes off the residual sum; nothing where the columns that are in already say it."""
    known = length > 1e-8
    return np.where(known, projected**2 / np.where(known, length, 1), 0.0)


def best_bump(found: Scan) -> tuple[float, int, int]:
    """The stretch of `EDGE_DAYS` to `LONGEST_BUMP` days at another level that takes off most, and its two ends (places
    of steps).
    """
    best = (0.0, 0, 0)
    places = len(found.step)
    for apart in range(EDGE_DAYS, min(LONGEST_BUMP, places - 1) + 1):
        first, last = np.arange(places - apart), np.arange(apart, places)
        length = found.step_length[first] + found.step_length[last] - 2 * found.gram[first, last]
        own = gains(found.step[first] - found.step[last], length)
        place = int(own.argmax())
        if own[place] > best[0]:
            best = (float(own[place]), place, place + apart)
    return best


def chance(gain: float, found: Scan) -> float:
    """Probability that one candidate, named before looking, takes off so much by itself (an F test of one column)."""
    share = min(gain / found.rest, 1.0) if found.rest > 0 else 0.0
    return float(betainc(max(found.freedom - 1, 1) / 2, 0.5, 1 - share))


@lru_cache(maxsize=64)
def _null(days: int, persistence: float, nugget: float, simulations: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorted chances of the best step, bump and day of simulated series in which nothing happens. The seed is fixed, so
    that the answer about a feature does not hang on which others there are.
    """
    noise, columns = design(days, persistence, nugget), usual_columns(days)
    drawn = noise.root @ np.random.default_rng([20261127, days]).normal(size=(days, simulations))
    basis = np.linalg.qr(noise.whiten @ columns)[0]
    white = noise.whiten @ drawn
    white = white - basis @ (basis.T @ white)
    rest = (white**2).sum(axis=0)
    step = noise.step - basis @ (basis.T @ noise.step)
    day = noise.whiten - basis @ (basis.T @ noise.whiten)
    gram, projected = step.T @ step, step.T @ white
    length = np.diag(gram)
    steps = gains(projected, length[:, None]).max(axis=0)
    singles = gains(day.T @ white, (day**2).sum(axis=0)[:, None]).max(axis=0)
    bumps = np.zeros(simulations)
    for apart in range(EDGE_DAYS, min(LONGEST_BUMP, len(length) - 1) + 1):
        first, last = np.arange(len(length) - apart), np.arange(apart, len(length))
        own = length[first] + length[last] - 2 * gram[first, last]
        bumps = np.maximum(bumps, gains(projected[first] - projected[last], own[:, None]).max(axis=0))
    freedom = max(days - columns.shape[1] - 1, 1)
    first_, second, third = (
        np.sort(betainc(freedom / 2, 0.5, 1 - np.minimum(best / rest, 1))) for best in (steps, bumps, singles)
    )
    return first_, second, third


def p_of_search(single: float, kind: int, days: int, model: tuple[float, float], *, simulations: int = 2000) -> float:
    """p of the best of all candidates of a kind (0 step, 1 bump, 2 day): how often simulated series have so good a one.

    Under a p of `TAIL` the chance of one candidate, times the number of independent ones that the simulated series
    behave like.
    """
    null = _null(days, *model, simulations)[kind]
    edge = float(np.quantile(null, TAIL))
    if single < edge:
        return min(TAIL * single / edge, 1.0)
    return float((1 + np.searchsorted(null, single, side="right")) / (simulations + 1))


def single_of(p: float, days: int, model: tuple[float, float], *, simulations: int = 2000) -> float:
    """Chance of one step at which the search over all of them has the p value `p`."""
    return float(np.quantile(_null(days, *model, simulations)[0], p))


def noise_model(series: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """Persistence and nugget by the restricted likelihood of all series together; a shift counts where it pays for its
    parameters (BIC).

    Args:
        series: values and the columns that are in; of more than `MOST_SERIES` so many, evenly spread, are asked.
    """
    asked = [series[i] for i in np.unique(np.linspace(0, len(series) - 1, MOST_SERIES).round().astype(int))]
    scores = []
    for model in GRID:
        total = 0.0
        for values, columns in asked:
            noise = design(len(values), *model)
            found = scan(values, columns, noise)
            best = float(gains(found.step, found.step_length).max(initial=0.0))
            without = -0.5 * found.freedom * np.log(found.rest)
            paid = 0.5 * PARAMETERS_OF_A_SHIFT * np.log(found.freedom)
            shifted = -0.5 * found.freedom * np.log(max(found.rest - best, 1e-12 * found.rest)) - paid
            total += max(without, shifted) - noise.half_log_determinant - found.log_lengths
        scores.append(total)
    near = [g for g, s in zip(GRID, scores, strict=True) if s >= max(scores) - LIKELIHOOD_SLACK]
    return max(near, key=lambda g: ((1 - g[1]) * g[0] / (1 - g[0]), -g[1]))


def spell_contrast_sd(*, days_before: int, days_after: int, persistence: float, spell_sd: float) -> float:
    """Standard deviation that spells alone give to the mean of the later days minus the mean of the days just before
    them.
    """
    weights = np.r_[np.full(days_before, -1 / days_before), np.full(days_after, 1 / days_after)]
    return float(spell_sd * np.sqrt(weights @ covariance(len(weights), persistence, 0.0) @ weights))
