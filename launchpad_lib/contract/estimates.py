"""A number that can be defended, or the reason why there is none: what every metric function gives back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from launchpad_lib.contract.manifest import ChangeSaid, DaySaid


class Refused(ValueError):
    """The data cannot carry the question. One sentence: what is missing, and what would be needed."""


class Estimate(NamedTuple):
    """One number with its 95 % limits and its denominator; `value` is None exactly where `refused_because` says why.

    `rules` is what the number depends on (window, events, time zone, immature units): it fills the blanks of the
    definition in the metric catalogue, so that a definition card says what was really counted. `change` is the number
    against the period before, `series` its course.
    """

    value: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    n: int | None = None
    refused_because: str | None = None
    rules: Mapping[str, Any] = {}
    change: ChangeSaid | None = None
    series: tuple[DaySaid, ...] = ()

    @property
    def is_refused(self) -> bool:
        """Whether there is no number."""
        return self.refused_because is not None

    def refused(self, reason: str | None) -> Estimate:
        """The same question without a number, where there is a reason; otherwise unchanged.

        >>> Estimate(0.5, n=10).refused("nobody is mature").value is None
        True
        """
        return self if reason is None else refusal(reason, n=self.n, **self.rules)


def refusal(reason: str, *, n: int | None = None, **rules: Any) -> Estimate:
    """No number, and why.

    >>> refusal("nobody entered", n=0).refused_because
    'nobody entered'
    """
    return Estimate(None, None, None, n, reason, rules)


def estimate_of(row: Any, *, value: str, n: str, ci: tuple[str, str] = ("ci_low", "ci_high"), **rules: Any) -> Estimate:
    """The estimate that stands in one row of a result table (a mapping, a Series or a namespace).

    A row without a number is refused by its own `refused_because`; without one, because nothing could be counted.

    >>> estimate_of({"rate": 0.5, "users": 10, "ci_low": 0.2, "ci_high": 0.8}, value="rate", n="users").n
    10
    >>> estimate_of({"rate": None, "users": 0}, value="rate", n="users").refused_because
    'nothing was counted (n = 0)'
    """
    number, count = _field(row, value), _field(row, n)
    size = None if count is None else int(count)
    reason = _field(row, "refused_because")
    if number is None or reason is not None:
        return refusal(str(reason or f"nothing was counted (n = {size or 0})"), n=size, **rules)
    low, high = (_field(row, name) for name in ci)
    return Estimate(number, low, high, size, None, rules)


def _field(row: Any, name: str) -> Any:
    """A field of a row; None where it is absent, NULL or NaN."""
    found = row.get(name) if hasattr(row, "get") else getattr(row, name, None)
    return None if found is None or found != found else found
