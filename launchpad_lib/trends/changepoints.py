"""When did a daily series move to another level, and could slow spells alone have done it?

The noise of a daily series is an AR(1) process (spells that last days) plus independent noise of each day. A test that
takes days for independent calls every spell a change. Persistence and share of the spells are estimated by maximum
likelihood over all series together (their size is each series' own); the null distribution of the best shift comes from
simulating such spells without a shift, the search over days included.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.stats import t

PERSISTENCE = (0.2, 0.4, 0.55, 0.7, 0.8, 0.9)
NUGGET = (0.0, 0.25, 0.5, 0.75)
GRID = ((0.0, 0.0), *((r, g) for r in PERSISTENCE for g in NUGGET))
FEWEST_DAYS = 14
# Of noise models that explain the series about equally well the one with the longest spells is taken: short series
# make spells look shorter than they are, and a test that believes them calls too many shifts.
LIKELIHOOD_SLACK = 1.0
# A shift has to pay for its size, its day and the search, or shifts fitted to spells would explain the spells away.
PARAMETERS_OF_A_SHIFT = 4


class LevelShift(NamedTuple):
    """The best supported single shift of a daily series; on log values `shift` is a log ratio.

    `index`: first day of the new level; `index_low, index_high`: first and last day whose log likelihood is within 1.92
    of the best (a likelihood interval, about 95 %). `p_value`: of "no shift", by simulation, search over days included.
    `ci_low, ci_high`: generalised least squares at that day, Student t; without the uncertainty of the day itself.
    `persistence`: correlation of the spell from one day to the next; `spell_sd`, `day_sd`: standard deviation of the
    spells and of a day's own noise. `refused_because`: why there is no answer, else None.
    """

    index: int | None = None  # type: ignore[assignment]  # shadows tuple.index, which nobody calls on it
    index_low: int | None = None
    index_high: int | None = None
    shift: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None
    persistence: float | None = None
    spell_sd: float | None = None
    day_sd: float | None = None
    refused_because: str | None = None


class _Design(NamedTuple):
    """Whitened regressors of one noise model; `constant` and the columns of `step` have unit length."""

    whiten: np.ndarray
    root: np.ndarray
    half_log_determinant: float
    constant: np.ndarray
    step: np.ndarray
    step_length: np.ndarray


def _covariance(days: int, persistence: float, nugget: float) -> np.ndarray:
    index = np.arange(days)
    spells = persistence ** np.abs(index[:, None] - index[None, :]) if persistence > 0 else np.eye(days)
    return (1 - nugget) * spells + nugget * np.eye(days)


@lru_cache(maxsize=512)
def _design(days: int, edge_days: int, persistence: float, nugget: float) -> _Design:
    root = np.linalg.cholesky(_covariance(days, persistence, nugget))
    whiten = np.linalg.inv(root)
    constant = whiten @ np.ones(days)
    constant = constant / np.linalg.norm(constant)
    step = whiten @ (np.arange(days)[:, None] >= np.arange(edge_days, days - edge_days + 1)[None, :]).astype(float)
    step = step - constant[:, None] * (constant @ step)
    length = np.linalg.norm(step, axis=0)
    return _Design(whiten, root, float(np.log(np.diag(root)).sum()), constant, step / length, length)


def _scan(series: np.ndarray, design: _Design) -> tuple[np.ndarray, np.ndarray]:
    """Residual sum without a shift (one per column) and the signed root of what each day's shift takes off it (day,
    column).
    """
    white = design.whiten @ series
    white = white - design.constant[:, None] * (design.constant @ white)
    return (white**2).sum(axis=0), design.step.T @ white


def _best_support(series: np.ndarray, design: _Design) -> np.ndarray:
    """Largest share of the residual sum that one shift takes off, one per column: a monotone form of the likelihood
    ratio.
    """
    residual, projected = _scan(series, design)
    return (projected**2).max(axis=0) / residual


def _noise_model(columns: Sequence[np.ndarray], edge_days: int) -> tuple[float, float]:
    """Persistence and nugget by the likelihood of all series together; a shift counts where it pays for its parameters
    (BIC).
    """
    scores = []
    for persistence, nugget in GRID:
        total = 0.0
        for column in columns:
            days = len(column)
            design = _design(days, edge_days, persistence, nugget)
            residual, projected = _scan(column[:, None], design)
            without = -0.5 * days * np.log(residual[0])
            with_shift = -0.5 * days * np.log(
                residual[0] - (projected**2).max()
            ) - 0.5 * PARAMETERS_OF_A_SHIFT * np.log(days)
            total += max(without, with_shift) - design.half_log_determinant
        scores.append(total)
    near = [g for g, s in zip(GRID, scores, strict=True) if s >= max(scores) - LIKELIHOOD_SLACK]
    return max(near, key=lambda g: ((1 - g[1]) * g[0] / (1 - g[0]), -g[1]))


def _refusal(values: np.ndarray) -> str | None:
    if len(values) < FEWEST_DAYS:
        return f"{len(values)} days; a shift can be told from a spell from {FEWEST_DAYS} days on"
    if not np.isfinite(values).all():
        return "days without a value; fill or cut the series first"
    return "every day has the same value" if np.ptp(values) == 0 else None


def level_shifts(
    series: Sequence[np.ndarray],
    *,
    rng: np.random.Generator,
    edge_days: int = 3,
    simulations: int = 1000,
    level: float = 0.95,
) -> list[LevelShift]:
    """The likelihood-ratio test for one shift of level in each of several daily series with spells; one answer per
    series.

    Args:
        series: each one value a day, in order, without gaps; logs where ratios are meant.
        edge_days: a shift leaves at least this many days on each side.
        simulations: null series per length; the smallest p value is 1 / (simulations + 1).
    """
    arrays = [np.asarray(v, dtype=float) for v in series]
    refusals = [_refusal(v) for v in arrays]
    scaled = [(v - v.mean()) / v.std() for v, r in zip(arrays, refusals, strict=True) if r is None]
    persistence, nugget = _noise_model(scaled, edge_days) if scaled else (0.0, 0.0)
    null: dict[int, np.ndarray] = {}
    found = []
    for values, refusal in zip(arrays, refusals, strict=True):
        if refusal:
            found.append(LevelShift(refused_because=refusal))
            continue
        days = len(values)
        design = _design(days, edge_days, persistence, nugget)
        if days not in null:
            null[days] = _best_support(design.root @ rng.normal(size=(days, simulations)), design)
        column = (values - values.mean())[:, None]
        residual, projected = _scan(column, design)
        p_value = (1 + int((null[days] >= _best_support(column, design)[0]).sum())) / (simulations + 1)
        day = int(np.abs(projected[:, 0]).argmax())
        near = np.flatnonzero(
            0.5 * days * np.log((residual[0] - projected[:, 0] ** 2) / (residual[0] - projected[day, 0] ** 2)) <= 1.92
        )
        freedom = days - 2
        noise = float(np.sqrt((residual[0] - projected[day, 0] ** 2) / freedom))
        length = design.step_length[day]
        shift, half = float(projected[day, 0] / length), float(t.ppf((1 + level) / 2, freedom) * noise / length)
        dates = (int(near[0]) + edge_days, int(near[-1]) + edge_days)
        spread = (float(noise * np.sqrt(1 - nugget)), float(noise * np.sqrt(nugget)))
        found.append(
            LevelShift(day + edge_days, *dates, shift, shift - half, shift + half, float(p_value), persistence, *spread)
        )
    return found


def spell_contrast_sd(*, days_before: int, days_after: int, persistence: float, spell_sd: float) -> float:
    """Standard deviation that spells alone give to the mean of the later days minus the mean of the days just before
    them.
    """
    weights = np.r_[np.full(days_before, -1 / days_before), np.full(days_after, 1 / days_after)]
    return float(spell_sd * np.sqrt(weights @ _covariance(len(weights), persistence, 0.0) @ weights))
