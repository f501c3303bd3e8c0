"""What is told of a run while it works, and its words."""

from __future__ import annotations

from typing import NamedTuple

from launchpad_lib.contract.manifest import Status
from launchpad_lib.runner.durations import Durations


class Begun(NamedTuple):
    """A run, and how long the last ones of its name took."""

    run_id: str
    name: str
    notebooks: tuple[str, ...]
    usual: Durations


class Ended(NamedTuple):
    """How a run ended: `said` is its line for people, `page` the one to open."""

    run_id: str
    status: Status
    page: str
    said: str


def ended_words(name: str, status: Status, seconds: float, reason: str | None) -> str:
    """How a notebook ended, in a line."""
    if status == "ok":
        return f"{name}: ok in {seconds:.1f} s"
    return f"{name}: {status} after {seconds:.1f} s ({' '.join((reason or '').split())})"


def expected_words(usual: Durations) -> str:
    """How long it may take, and how that is known.

    >>> expected_words(Durations(runs=3, whole=41.6))
    'about 42 s (median of the last 3 runs)'
    """
    known = "as the last run" if usual.runs == 1 else f"median of the last {usual.runs} runs"
    return f"about {clock_words(usual.whole or 0.0)} ({known})"


def clock_words(seconds: float) -> str:
    """A rough time to wait.

    >>> clock_words(0.3), clock_words(41.6), clock_words(200), clock_words(9000)
    ('1 s', '42 s', '3 min 20 s', '2 h 30 min')
    """
    whole = max(1, round(seconds))
    if whole < 90:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
