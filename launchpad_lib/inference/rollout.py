"""What a roll-out changed: group-time effects against places that are not switched on yet, from counts per place only.

A place (a country, a platform, a share of the users) is switched on at a known period and stays on. Every estimate is
a weighted sum of the places' shares per period, so that means and covariances of each place are all that is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import sqrt
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import norm
from scipy.stats import t as student

from launchpad_lib.inference.doubt import PlaceboVerdict, placebo_limit, placebo_verdict

MINIMUM_USERS = 30
MOST_PLACES = 300
CELL_COLUMNS = (
    "switched_on", "period", "since_switch", "estimate", "ci_low", "ci_high", "n_treated", "n_control",
)  # fmt: skip
STUDY_COLUMNS = ("since_switch", "estimate", "ci_low", "ci_high", "n_treated", "n_control")
CHECK_COLUMNS = ("switched_on", "estimate", "ci_low", "ci_high", "limit", "n", "verdict", "refused_because")


class RolloutPanel(NamedTuple):
    """The same users over all periods, counted by place. Grain of the arrays: one entry per place.

    switched_on: the period in which the place is switched on, `periods` or more where it never is; users: how many;
    active: (place, period) users active in the period; both: (place, period, period) users active in both.
    """

    places: tuple[str, ...]
    switched_on: np.ndarray
    users: np.ndarray
    active: np.ndarray
    both: np.ndarray

    @property
    def periods(self) -> int:
        """How many periods there are."""
        return self.active.shape[1]

    def within(self, is_kept: np.ndarray) -> RolloutPanel:
        """The panel of some of the places."""
        kept = tuple(name for name, stays in zip(self.places, is_kept, strict=True) if stays)
        return RolloutPanel(kept, *(values[is_kept] for values in self[1:]))


class RolloutEffect(NamedTuple):
    """The average effect on the places that were switched on, over the periods that can be compared, or why there is
    none.

    cells: one row per wave and period; study: one row per period since the switch (pre-trends are negative), each
    averaged by users; checks: what lies before the switch, by equivalence, and the waves that went another way already.
    shock: standard deviation of what happens to a whole place in a period, beyond what its number of users explains
    (None: cannot be estimated); it is part of the limits. freedom: degrees of freedom of that.
    """

    estimate: float | None
    standard_error: float | None
    ci_low: float | None
    ci_high: float | None
    freedom: float | None
    n_treated: int
    n_control: int
    shock: float | None
    cells: pd.DataFrame
    study: pd.DataFrame
    checks: pd.DataFrame
    left_out: tuple[str, ...]
    refused_because: str | None

    def at_level(self, level: float) -> RolloutEffect:
        """The same estimate with limits of another level; cells and checks stay."""
        if self.estimate is None or self.standard_error is None:
            return self
        half = _quantile(level, self.freedom) * self.standard_error
        return self._replace(ci_low=self.estimate - half, ci_high=self.estimate + half)


def rollout_effect(panel: RolloutPanel, *, min_users: int = MINIMUM_USERS, level: float = 0.95) -> RolloutEffect:
    """Group-time effects (Callaway and Sant'Anna 2021, outcome differences, no covariates) of every wave, a wave being
    the places of one switch period.

    ATT(g, t) = change of the share of wave g from period g - 1 to t, minus that change in all places not switched on by
    max(t, g - 1). The whole is the average over all cells with t >= g, weighted by the wave's users. Users are the
    units; on top of them each place has shocks of its own in every period, whose variance is what the untreated
    periods show beyond sampling (two-way residuals, method of moments); the limits hold both (Satterthwaite).

    Places with fewer than `min_users`, switched on in the first period, or never compared are `left_out`, by name.

    >>> import numpy as np
    >>> users, active = np.array([100, 100]), np.array([[50, 50, 70], [40, 40, 42]])
    >>> both = np.minimum(active[:, :, None], active[:, None, :])
    >>> panel = RolloutPanel(("NO", "SE"), np.array([2, 3]), users, active, both)
    >>> round(rollout_effect(panel).estimate, 2)
    0.18
    """
    is_kept = (panel.users >= max(min_users, 2)) & (panel.switched_on > 0)
    left_out = [name for name, stays in zip(panel.places, is_kept, strict=True) if not stays]
    kept = panel.within(is_kept)
    reason = _cannot_be_asked(kept, min_users)
    if reason:
        return _refused(reason, left_out)
    counted = _Counted(kept)
    cells = [cell for g in counted.waves for t in range(kept.periods) if t != g - 1 and (cell := counted.cell(g, t))]
    after = [cell for cell in cells if cell.period >= cell.switched_on]
    if not after:
        return _refused("once the first place is on, no place is left that is not: nothing can be compared", left_out)
    compared = {cell.switched_on for cell in after}
    left_out += [
        name for name, g in zip(kept.places, kept.switched_on, strict=True) if g < kept.periods and g not in compared
    ]
    whole, error, freedom = counted.average(after)
    half = _quantile(level, freedom) * error
    return RolloutEffect(
        whole, error, whole - half, whole + half, freedom,
        int(kept.users[np.isin(kept.switched_on, list(compared))].sum()), max(cell.n_control for cell in after),
        None if counted.shock_variance is None else sqrt(counted.shock_variance),
        counted.rows(cells, level), counted.study(cells, level), counted.checks(cells, whole, level),
        tuple(left_out), None,
    )  # fmt: skip


class _Cell(NamedTuple):
    """One wave in one period: its weights of the shares of all places and periods."""

    switched_on: int
    period: int
    weights: np.ndarray
    n_treated: int
    n_control: int


class _Counted:
    """The panel as shares with their covariances, and the shocks of its places."""

    def __init__(self, panel: RolloutPanel) -> None:
        self.panel = panel
        n = panel.users[:, None].astype(float)
        self.shares = panel.active / n
        joint = panel.both / n[:, :, None]
        self.covariances = (joint - self.shares[:, :, None] * self.shares[:, None, :]) / (n[:, :, None] - 1)
        self.waves = sorted({int(g) for g in panel.switched_on if g < panel.periods})

    @cached_property
    def shock_freedom(self) -> int:
        """Residual degrees of freedom of places and periods before the first switch."""
        return (len(self.panel.places) - 1) * (self.waves[0] - 1)

    @cached_property
    def shock_variance(self) -> float | None:
        """Variance of what happens to a place in a period beyond sampling, from the periods before the first switch.

        Q = y' A y, with A the residual maker of places and periods weighted by users; E Q = tr(A V) + variance tr(A).
        """
        if self.shock_freedom < 1:
            return None
        places, early = len(self.panel.places), self.waves[0]
        weights = np.repeat(self.panel.users / self.panel.users.mean(), early)
        of_place = np.kron(np.eye(places), np.ones((early, 1)))
        of_period = np.kron(np.ones((places, 1)), np.eye(early)[:, 1:])
        design = np.hstack([of_place, of_period])
        weighted = design * weights[:, None]
        keeps = np.diag(weights) - weighted @ np.linalg.solve(design.T @ weighted, weighted.T)
        y = self.shares[:, :early].ravel()
        by_chance = sum(
            float((keeps[i * early : (i + 1) * early, i * early : (i + 1) * early] * own[:early, :early]).sum())
            for i, own in enumerate(self.covariances)
        )
        return max(float(y @ keeps @ y) - by_chance, 0.0) / float(np.trace(keeps))

    def cell(self, g: int, t: int) -> _Cell | None:
        """The wave `g` in period `t` against the places that are not on by then; None without any."""
        panel, base = self.panel, g - 1
        treated = panel.switched_on == g
        control = (panel.switched_on > max(t, base)) & ~treated
        if not control.any():
            return None
        weights = np.zeros(self.shares.shape)
        for group, sign in ((treated, 1.0), (control, -1.0)):
            share = np.where(group, panel.users, 0) / panel.users[group].sum()
            weights[:, t] += sign * share
            weights[:, base] -= sign * share
        return _Cell(g, t, weights, int(panel.users[treated].sum()), int(panel.users[control].sum()))

    def estimate(self, weights: np.ndarray, *, has_shocks: bool = True) -> tuple[float, float, float | None]:
        """A weighted sum of shares, its standard error, and that error's degrees of freedom (None: many)."""
        by_users = float(np.einsum("pt,pts,ps->", weights, self.covariances, weights))
        # Good and bad periods of a place may hang together, which so few cannot tell: what enters with one sign does.
        together = sum(np.square(side.sum(axis=1)).sum() for side in (weights.clip(min=0), weights.clip(max=0)))
        by_shocks = (self.shock_variance or 0.0) * float(together) if has_shocks else 0.0
        total = by_users + by_shocks
        freedom = self.shock_freedom * (total / by_shocks) ** 2 if by_shocks > 0 else None
        return float((weights * self.shares).sum()), sqrt(total), freedom

    def average(self, cells: Sequence[_Cell]) -> tuple[float, float, float | None]:
        """Several cells, by the users of their waves."""
        size = sum(cell.n_treated for cell in cells)
        return self.estimate(sum((cell.weights * (cell.n_treated / size) for cell in cells), np.zeros(())))

    def rows(self, cells: Sequence[_Cell], level: float) -> pd.DataFrame:
        """Grain: one row per wave and period."""
        found = []
        for cell in cells:
            value, error, freedom = self.estimate(cell.weights)
            half = _quantile(level, freedom) * error
            found.append(
                (cell.switched_on, cell.period, cell.period - cell.switched_on, value, value - half, value + half,
                 cell.n_treated, cell.n_control)
            )  # fmt: skip
        return pd.DataFrame(found, columns=list(CELL_COLUMNS))

    def study(self, cells: Sequence[_Cell], level: float) -> pd.DataFrame:
        """Grain: one row per period since the switch, the waves averaged by their users."""
        found = []
        for since in sorted({cell.period - cell.switched_on for cell in cells}):
            own = [cell for cell in cells if cell.period - cell.switched_on == since]
            value, error, freedom = self.average(own)
            half = _quantile(level, freedom) * error
            sizes = sum(cell.n_treated for cell in own), max(cell.n_control for cell in own)
            found.append((since, value, value - half, value + half, *sizes))
        return pd.DataFrame(found, columns=list(STUDY_COLUMNS))

    def checks(self, cells: Sequence[_Cell], estimate: float, level: float) -> pd.DataFrame:
        """Grain: first a row for all waves together (`switched_on` is empty), then one for each wave that did not go
        like the others.

        What is compared is the change from the first period to the last one before the switch, the longest there is.
        Together the waves weigh what they weigh in the effect, so that a row within the limit bounds what such a trend
        adds to it; that row has to pass by equivalence. A wave is named where its own change is beyond the limit and
        its interval (of all waves at once) does not hold 0. Shocks are not part of these limits: what they would excuse
        is what is looked for.
        """
        limit = placebo_limit(estimate)
        waves = [g for g in self.waves if any(c.switched_on == g <= c.period for c in cells)]
        longest = {c.switched_on: c for c in cells if c.period == 0 and c.switched_on in waves}
        why = "one period before the switch is too few: at least two are needed"
        after = [(c.switched_on, c.n_treated) for c in cells if c.period >= c.switched_on]
        size = sum(n for _, n in after)
        compared = sum(n for g, n in after if g in longest)
        users = sum({g: n for g, n in after}.values())
        if not longest:
            return pd.DataFrame(
                [(None, None, None, None, limit, users, "cannot be checked", why)], columns=list(CHECK_COLUMNS)
            )
        weights = sum((longest[g].weights * (n / compared) for g, n in after if g in longest), np.zeros(()))
        value, error, _ = self.estimate(weights, has_shocks=False)
        half = _quantile(level, None) * error
        verdict: PlaceboVerdict = placebo_verdict(value - half, value + half, limit=limit)
        told = None if compared == size else f"{why}; told without the waves that have no more"
        found: list[tuple] = [(None, value, value - half, value + half, limit, users, verdict, told)]
        quantile = _quantile(1 - (1 - level) / len(longest), None)
        for g, cell in longest.items():
            value, error, _ = self.estimate(cell.weights, has_shocks=False)
            ci = value - quantile * error, value + quantile * error
            if placebo_verdict(*ci, limit=limit) == "fails" and abs(value) > limit:
                found.append((g, value, *ci, limit, cell.n_treated, "fails", None))
        return pd.DataFrame(found, columns=list(CHECK_COLUMNS))


def _cannot_be_asked(panel: RolloutPanel, min_users: int) -> str | None:
    """Why nothing can be compared, else None."""
    if not len(panel.places):
        return f"no place has {min_users} users who were there before the roll-out and a period before it is on"
    if len(panel.places) > MOST_PLACES:
        return f"{len(panel.places)} places are too many to follow one by one; at most {MOST_PLACES}"
    if (panel.switched_on >= panel.periods).all():
        return f"no place that is switched on has {min_users} users who were there before"
    if len(set(panel.switched_on.tolist())) == 1:
        return "all places are switched on in the same period, so none can be compared with"
    return None


def _quantile(level: float, freedom: float | None) -> float:
    return float(norm.ppf((1 + level) / 2) if freedom is None else student.ppf((1 + level) / 2, freedom))


def _refused(reason: str, left_out: Sequence[str]) -> RolloutEffect:
    cells, study, checks = (pd.DataFrame(columns=list(c)) for c in (CELL_COLUMNS, STUDY_COLUMNS, CHECK_COLUMNS))
    return RolloutEffect(
        None, None, None, None, None, 0, 0, None, cells, study, checks, tuple(left_out), reason
    )  # fmt: skip
