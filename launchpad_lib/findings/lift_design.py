"""What two groups of trials are made alike in: columns of numbers, and the words for what belongs together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from launchpad_lib.contract.sentences import named
from launchpad_lib.inference import Placebo
from launchpad_lib.metrics.kernels.trials import LAGGED

MOST_VALUES = 8
SMALLEST_SHARE = 0.01
SESSION = ("session_events", "session_minutes", "session_kinds", "session_restart")
ACTIVITY = (
    *(f"events_{days}d" for days in (1, 3, 7, 14, 28)),
    *(f"active_days_{days}d" for days in (1, 3, 7, 14, 28)),
    "recency",
    "is_first_session",
    "sessions",
    "earlier_trials",
)
# Both lie in a window as long as the outcome that ends a day before the trial. What is built from that window is not
# adjusted for, or the checks would pass by construction: activity is then that of before the window.
PLACEBOS = (
    Placebo("active_before", "active in a window before"),
    Placebo("was_busy_before", "busy in a window before"),
)


class Design(NamedTuple):
    """Trials with all covariates as numbers. `groups`: words -> columns; `placebo_covariates`: for the checks."""

    table: pd.DataFrame
    groups: dict[str, tuple[str, ...]]
    placebo_covariates: tuple[str, ...]

    @property
    def covariates(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(column for own in self.groups.values() for column in own)


def designed(trials: pd.DataFrame) -> Design:
    """The covariates of the definitions, point 2, as numbers: categories as a column for each frequent value."""
    angle = trials["hour"] * np.float32(2 * np.pi / 24)
    clock = pd.DataFrame({"hour_sin": np.sin(angle), "hour_cos": np.cos(angle)}, index=trials.index)
    weekday = pd.DataFrame(
        {f"weekday_{day}": (trials["weekday"] == day).astype(np.float32) for day in range(1, 7)}, index=trials.index
    )
    places = [_indicators(trials[name]) for name in ("platform", "country")]
    table = pd.concat([trials, clock, weekday, *places], axis=1)
    groups = {
        "activity before": ACTIVITY,
        "tenure": ("tenure",),
        "the session so far": SESSION,
        "time of day and week": ("hour", *clock.columns, *weekday.columns),
        "platform": tuple(places[0].columns),
        "country": tuple(places[1].columns),
    }
    apart = ("tenure", "events_1d", *SESSION, *groups["time of day and week"], *groups["platform"], *groups["country"])
    return Design(table, {name: own for name, own in groups.items() if own}, (*LAGGED, *apart))


def _indicators(values: pd.Series) -> pd.DataFrame:
    """A column for each of the frequent values but the most frequent one, and one for an unknown value."""
    shares = values.value_counts(normalize=True, dropna=False)
    frequent = [v for v, share in shares.items() if share >= SMALLEST_SHARE][1 : MOST_VALUES + 1]
    columns = {}
    for value in frequent:
        is_unknown = pd.isna(value)
        name = f"{values.name} {'unknown' if is_unknown else named(value)}"
        columns[name] = (values.isna() if is_unknown else values == value).astype(np.float32)
    return pd.DataFrame(columns, index=values.index)
