"""What a run reads, pinned: one version of every table, and through which instant each table with instants was
observed.

A notebook that is given these reads the same rows as every other, whatever a stream writes meanwhile; run by hand
without them it reads the newest versions, and derives the same window from the same version.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from launchpad_lib.contract.tables import TABLES
from launchpad_lib.lake.observed import Outside, covered_window, end_of_dates
from launchpad_lib.lake.place import lake_place

MINUTE_US, DAY_US = 60_000_000, 86_400_000_000


class Snapshot(NamedTuple):
    """`versions` by table, of those that are there; `observed_through` by table with instants, in UTC, of those with
    rows.
    """

    versions: dict[str, int]
    observed_through: dict[str, datetime]

    def for_notebook(self) -> dict:
        """As parameters of a notebook."""
        through = {table: at.isoformat(timespec="microseconds") for table, at in self.observed_through.items()}
        return {"lake_versions": self.versions, "observed_through": through}


class Observed(NamedTuple):
    """The window of one table, both instants inside, and what lies outside of it."""

    observed_from: datetime
    observed_through: datetime
    outside: tuple[Outside, ...]


class Minutes(NamedTuple):
    """Rows by minute, rising: number of the minute since 1970, rows, first and last instant (microseconds)."""

    minute: np.ndarray
    rows: np.ndarray
    first: np.ndarray
    last: np.ndarray

    def until(self, at: int, exact: Callable[[int, int], Minutes]) -> tuple[Minutes, Minutes]:
        """Those through an instant and those after it. `exact(first, last)` counts the rows between two instants."""
        place = int(np.searchsorted(self.first, at, side="right"))
        before, after = self._part(slice(0, place)), self._part(slice(place, None))
        if not place or before.last[-1] <= at:
            return before, after
        split = int(before.first[-1]), int(before.last[-1])
        return (
            before._part(slice(0, place - 1))._and(exact(split[0], at)),
            exact(at + 1, split[1])._and(after),
        )

    def _part(self, places: slice) -> Minutes:
        return Minutes(*(column[places] for column in self))

    def _and(self, more: Minutes) -> Minutes:
        return Minutes(*(np.concatenate(pair) for pair in zip(self, more, strict=True)))


def observed_window(
    minutes: Minutes, table: str, *, through: datetime | None, exact: Callable[[int, int], Minutes]
) -> Observed | None:
    """The window of a table; None without rows.

    With `through` the window ends there, and begins where the rows up to it begin in earnest. `exact` counts the rows
    between two instants (microseconds, both inside).
    """
    if through is None:
        found = _window(minutes)
        if found is None:
            return None
        through = _end(minutes, found)
    until, after = minutes.until(_micros(through), exact)
    begin = _window(until)
    begun = begin[0] if begin else _micros(through)
    before = until._part(slice(0, int(np.searchsorted(until.first, begun))))
    if begin is None and not len(after.minute):
        return None
    outside = [*_beside(table, "before", before), *_beside(table, "after", after)]
    return Observed(_instant(begun), through, tuple(outside))


def _beside(table: str, where: Literal["before", "after"], rows: Minutes) -> list[Outside]:
    if not len(rows.minute):
        return []
    return [Outside(table, where, int(rows.rows.sum()), _instant(int(rows.first[0])), _instant(int(rows.last[-1])))]


def _window(minutes: Minutes) -> tuple[int, int] | None:
    """The first and the last instant of the rows within the covered window."""
    found = covered_window(minutes.minute, minutes.rows)
    if found is None:
        return None
    first, last = np.searchsorted(minutes.minute, found)
    return int(minutes.first[first]), int(minutes.last[last])


def _end(minutes: Minutes, window: tuple[int, int]) -> datetime:
    """The last instant, or the end of its date where the rows have dates only."""
    inside = (minutes.first >= window[0]) & (minutes.last <= window[1])
    # A minute's first and last instant are enough: a minute with more has two that are not an hour apart.
    instants = np.unique(np.concatenate([minutes.first[inside], minutes.last[inside]]))
    times = [timedelta(microseconds=int(t)) for t in np.unique(instants % DAY_US)[:3]]
    return end_of_dates(_instant(window[1]), times, dates=len(instants)) or _instant(window[1])


def _micros(at: datetime) -> int:
    since = at.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _instant(micros: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(microseconds=micros)


def newest_versions(path: str | Path) -> dict[str, int]:
    """The newest version of every table that is there: what `open_lake` is given so that several readers
    read the same.
    """
    root = lake_place(path)
    return {name: version for name in TABLES if (version := newest_version(root / name)) is not None}


def newest_version(place: Path) -> int | None:
    """The newest version of a table; None where there is no table."""
    return opened_table(place, None).version() if DeltaTable.is_deltatable(str(place)) else None


def opened_table(place: Path, version: int | None) -> DeltaTable:
    """The table at its newest or a named version.

    A listing made while a worker commits can miss a commit; it is then made again.
    """
    for delay in (0.02, 0.05, 0.1, 0.2, 0.4):
        try:
            return DeltaTable(str(place), version=version)
        except DeltaError as error:
            if "contiguous" in str(error):
                time.sleep(delay)
            elif version is not None:
                raise ValueError(
                    f"lake_versions.{place.name}={version}: {place} has no such version any more, or never "
                    "had; leave it out for the newest"
                ) from error
            else:
                raise
    return DeltaTable(str(place), version=version)
