"""Who is there in which local period, and who did what early on, compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import ibis.expr.types as ir
import numpy as np
from numba import njit

from launchpad_lib.metrics.kernels.local_days import Calendar, active_periods, clock_of, local_day, period_of
from launchpad_lib.metrics.kernels.one_reading import Part
from launchpad_lib.metrics.kernels.returns import early_deeds

NEW, RETURNING, RESURRECTED, DORMANT = range(4)


@njit(cache=True, nogil=True)
def _fold_states(starts, at, edges, offsets, kind, weekday, found, base, states):  # pragma: no cover (compiled)
    """states[s, p]: units in state s in period base + p."""
    for u in range(len(starts) - 1):
        count = active_periods(at, starts[u], starts[u + 1], edges, offsets, kind, weekday, found)
        for k in range(count):
            place = found[k] - base
            if k == 0:
                states[0, place] += 1
            elif found[k - 1] == found[k] - 1:
                states[1, place] += 1
            else:
                states[2, place] += 1
            if k + 1 == count or found[k + 1] > found[k] + 1:
                states[3, place + 1] += 1


class PresenceFold:
    """Units by state and local period. State: one row of counts per state, from period `base` on."""

    columns: ClassVar[dict[str, ir.Value]] = {}
    flags: ClassVar[dict[str, ir.BooleanValue | None]] = {"any": None}

    def __init__(self, *, report_timezone: str, calendar: Calendar) -> None:
        self.report_timezone, self.calendar = report_timezone, calendar
        self.base = 0
        self.held = np.zeros((4, 0), np.int64)

    def fold(self, part: Part) -> None:
        """Takes in a part."""
        clock = clock_of(self.report_timezone, *part.ends)
        # One period more on both sides: clocks that go back over midnight put a later instant on an earlier day.
        first, last = (
            int(period_of(local_day(at, clock.edges, clock.offsets), *self.calendar)) + more
            for at, more in zip(part.ends, (-1, 1), strict=True)
        )
        if not self.held.shape[1]:
            self.base = first
        after = last + 2 - self.base - self.held.shape[1]  # who is active in the last period is dormant after it
        self.held = np.pad(self.held, ((0, 0), (max(self.base - first, 0), max(after, 0))))
        self.base = min(self.base, first)
        found = np.zeros(last - first + 2, np.int64)
        place = (part.starts, part.at, clock.edges, clock.offsets)
        _fold_states(*place, *self.calendar, found, self.base, self.held)

    def active(self) -> tuple[int, int] | None:
        """The first and the last period in which anybody was active; None where nobody was."""
        there = np.flatnonzero(self.held[NEW] + self.held[RETURNING] + self.held[RESURRECTED])
        return (self.base + int(there[0]), self.base + int(there[-1])) if len(there) else None


class SpanFold:
    """First and last instant of every unit, and the text on its first row; one value per unit, in the order read."""

    flags: ClassVar[dict[str, ir.BooleanValue | None]] = {"any": None}

    def __init__(self, *, label: ir.StringValue | None, unit_name: ir.StringValue | None = None) -> None:
        self.columns = {n: v for n, v in (("label", label), ("unit", unit_name)) if v is not None}
        self.firsts: list[np.ndarray] = []
        self.lasts: list[np.ndarray] = []
        self.codes: dict[str, list[np.ndarray]] = {name: [] for name in self.columns}
        self.texts: dict[str, list[str]] = {name: [] for name in self.columns}

    def fold(self, part: Part) -> None:
        """Takes in a part."""
        self.firsts.append(part.at[part.starts[:-1]])
        self.lasts.append(part.at[part.starts[1:] - 1])
        for name, codes in self.codes.items():
            codes.append(part.columns[name][part.starts[:-1]])
            self.texts[name] = part.texts[name]

    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """First and last instants (microseconds)."""
        nothing = [np.zeros(0, np.int64)]
        return np.concatenate(self.firsts or nothing), np.concatenate(self.lasts or nothing)

    def coded(self, name: str) -> np.ndarray:
        """Codes into `texts` of a column (NULL is -1)."""
        return np.concatenate(self.codes[name] or [np.zeros(0, np.int32)])


class DeedFold:
    """Units by what they did early: those whose time is over, and 1 for enough deeds, 0 for fewer.

    `limits`: the time after the first start (microseconds), the instant observed through, and how many deeds.
    """

    def __init__(
        self,
        *,
        start: ir.BooleanValue | None,
        deed: ir.BooleanValue,
        unit_name: ir.StringValue,
        limits: tuple[int, int, int],
    ) -> None:
        self.columns: Mapping[str, ir.Value] = {"unit": unit_name}
        self.flags: Mapping[str, ir.BooleanValue | None] = {"start": start, "deed": deed}
        self.limits = limits
        self.texts: list[str] = []
        self.codes: list[np.ndarray] = []
        self.cohorts: list[np.ndarray] = []

    def fold(self, part: Part) -> None:
        """Takes in a part."""
        found = np.zeros(len(part.starts) - 1, np.int64)
        early_deeds(part.starts, part.at, *part.flags["start"], *part.flags["deed"], *self.limits, found)
        self.texts = part.texts["unit"]
        self.codes.append(part.columns["unit"][part.starts[:-1]][found >= 0])
        self.cohorts.append(found[found >= 0])

    def users(self) -> tuple[list[str], np.ndarray]:
        """Names of the units that can be judged, and their cohorts."""
        if not self.codes:
            return [], np.zeros(0, np.int64)
        return [self.texts[code] for code in np.concatenate(self.codes)], np.concatenate(self.cohorts)
