"""What a daily series is made of: which levels begin on which days, and which days are of no level.

Whatever explains most is taken in, as long as chance with the search over all days would do it rarely; then everything
that is in is looked at again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from launchpad_lib.trends.level_noise import (
    EDGE_DAYS,
    WEEKS_FROM,
    Scan,
    best_bump,
    chance,
    design,
    gains,
    p_of_search,
    scan,
    usual_columns,
)

MOST_CHANGES = 8
ENTER = (0.05, 0.02, 0.01)
"""p under which a step, a stretch or a single day is taken in."""
FAR_OUT = 6.0
"""So many robust standard deviations from the running median of a week a day is left out before the noise is known."""


class SeriesFit:
    """One series on the way to its answer: which steps and days are in."""

    def __init__(self, values: np.ndarray) -> None:
        known = np.isfinite(values)
        # What stands on a missing day does not matter: its column takes it.
        self.values = np.where(known, values, np.nanmean(values)) - np.nanmean(values)
        self.values = self.values / self.values.std()
        self.scale = float(np.where(known, values, np.nanmean(values)).std())
        self.missing = tuple(np.flatnonzero(~known).tolist())
        self.days = tuple(d for d in _far_out(values) if d not in self.missing)
        self.steps: list[int] = []

    def columns(
        self,
        *,
        steps: Sequence[int] | None = None,
        days: Sequence[int] | None = None,
        stretches: Sequence[tuple[int, int]] = (),
    ) -> np.ndarray:
        length = len(self.values)
        at = np.arange(length)[:, None]
        chosen = self.steps if steps is None else steps
        single = [*self.missing, *(self.days if days is None else days)]
        later = (at >= np.array(chosen, dtype=int)[None, :]).astype(float)
        first, end = np.array(stretches, dtype=int).reshape(-1, 2).T
        own = ((at >= first) & (at < end)).astype(float)
        return np.hstack([usual_columns(length), later, own, np.eye(length)[:, single]])

    def scanned(self, model: tuple[float, float], **chosen: Any) -> Scan:
        found = scan(self.values, self.columns(**chosen), design(len(self.values), *model))
        steps = self.steps if "steps" not in chosen else chosen["steps"]
        length = found.step_length.copy()
        for step in steps:  # two changes within the edge are none
            length[max(step - EDGE_DAYS - EDGE_DAYS + 1, 0) : step - EDGE_DAYS + EDGE_DAYS] = 0
        return found._replace(step_length=length)

    def fit(self, model: tuple[float, float]) -> None:
        """Takes in what explains most until nothing does that chance would not, then looks at all of it again."""
        self.steps = []
        for _ in range(MOST_CHANGES + len(self.values) // 10):
            if not self._take_in(model):
                break
        for _ in range(3):
            if not self._look_again(model):
                break

    def _take_in(self, model: tuple[float, float]) -> bool:
        found, length = self.scanned(model), len(self.values)
        step_gains, day_gains = gains(found.step, found.step_length), gains(found.day, found.day_length)
        step, day, (bump_gain, first, last) = int(step_gains.argmax()), int(day_gains.argmax()), best_bump(found)
        offers = [(step_gains[step], 0, (step,)), (bump_gain, 1, (first, last)), (day_gains[day], 2, (day,))]
        offers.sort(key=lambda o: p_of_search(chance(o[0], found), o[1], length, model))
        for gain, kind, places in offers:
            if p_of_search(chance(gain, found), kind, length, model) >= ENTER[kind]:
                continue
            if kind == 2:
                self.days = (*self.days, places[0])
                return True
            if len(self.steps) + len(places) > MOST_CHANGES:
                continue
            self.steps = sorted({*self.steps, *(p + EDGE_DAYS for p in places)})
            return True
        return False

    def _look_again(self, model: tuple[float, float]) -> bool:
        """Moves each step to its best day given the others, and lets go of what chance would do; whether any did."""
        length, before = len(self.values), (self.days, tuple(self.steps))
        for day in self.days:
            others = tuple(d for d in self.days if d != day)
            found = self.scanned(model, days=others)
            gain = float(gains(found.day, found.day_length)[day])
            if p_of_search(chance(gain, found), 2, length, model) >= ENTER[2]:
                self.days = others
        for step in tuple(self.steps):
            others_ = [s for s in self.steps if s != step]
            found = self.scanned(model, steps=others_)
            own = gains(found.step, found.step_length)
            best = int(own.argmax())
            is_in = p_of_search(chance(float(own[best]), found), 0, length, model) < ENTER[0]
            self.steps = sorted({*others_, best + EDGE_DAYS}) if is_in else others_
        return (self.days, tuple(self.steps)) != before


def _far_out(values: np.ndarray) -> tuple[int, ...]:
    """Days far from the running median of the week around them, the weekday's usual distance taken off."""
    reach, length = 3, len(values)
    with np.errstate(all="ignore"):
        near = np.array([np.nanmedian(values[max(i - reach, 0) : i + reach + 1]) for i in range(length)])
        off = values - near
        if length >= WEEKS_FROM:
            weekday = np.array([np.nanmedian(off[i::7]) for i in range(7)])
            off = off - weekday[np.arange(length) % 7]
        spread = 1.4826 * np.nanmedian(np.abs(off - np.nanmedian(off)))
    if not spread > 0:
        return ()
    return tuple(np.flatnonzero(np.abs(off) > FAR_OUT * spread).tolist())
