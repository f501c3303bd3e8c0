"""One word for a lift that was not randomised: never stronger than its checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from launchpad_lib.contract.findings import LiftVerdict

PASSES = "passes"


class Lift(Protocol):
    """What a verdict reads of an estimate."""

    @property
    def absolute_lift(self) -> float | None:
        """The difference."""

    @property
    def ci_low(self) -> float | None:
        """Its lower limit."""

    @property
    def ci_high(self) -> float | None:
        """Its upper limit."""


def lift_verdict(
    effect: Lift, *, checks: Sequence[str], is_benchmark_survived: bool, smallest_lift: float
) -> LiftVerdict:
    """The verdict on users who chose themselves whether to finish; "worked" and "hurt" are for randomised users only.

    likely helped, likely hurt: the interval lies on one side of 0, every check on what lies before passes, and what
    another confounder like the strongest measured one would leave lies on that side too. no effect larger than: the
    interval lies within plus or minus `smallest_lift`, and every check passes. Everything else is not settled.

    Args:
        checks: their verdicts (`inference.doubt.PlaceboVerdict`); no check is no pass.
    """
    if effect.absolute_lift is None or effect.ci_low is None or effect.ci_high is None:
        return "refused"
    if not checks or any(check != PASSES for check in checks):
        return "not settled"
    if effect.ci_low > 0 and is_benchmark_survived:
        return "likely helped"
    if effect.ci_high < 0 and is_benchmark_survived:
        return "likely hurt"
    if -smallest_lift <= effect.ci_low and effect.ci_high <= smallest_lift:
        return "no effect larger than"
    return "not settled"
