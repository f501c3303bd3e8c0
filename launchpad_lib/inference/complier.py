"""What a feature did to those whom an experiment made use it: the assignment as an instrument."""

from __future__ import annotations

from math import inf, sqrt
from typing import NamedTuple

from scipy.stats import norm

MINIMUM_USERS = 30


class AssignedArm(NamedTuple):
    """Users of one arm: how many, how many did it, how many returned, how many of those who did it returned."""

    users: int
    did: int
    returned: int
    both: int


class ComplierEffect(NamedTuple):
    """The effect of doing it on those who do it because of their arm, or why there is none.

    share: how many more did it in the variant, with its limits; they are the compliers where nobody does it only in the
    control. An interval of which one end is missing reaches to that side without end.
    """

    estimate: float | None
    ci_low: float | None
    ci_high: float | None
    share: float | None
    share_low: float | None
    share_high: float | None
    refused_because: str | None


def complier_effect(
    variant: AssignedArm, control: AssignedArm, *, level: float = 0.95, min_users: int = MINIMUM_USERS
) -> ComplierEffect:
    """Wald's ratio (difference of return) / (difference of doing it) with the limits of Anderson and Rubin (1949).

    The limits are all effects b for which return - b doing it does not differ between the arms: true at their rate
    however little the assignment moves (Staiger and Stock 1997). Where it hardly does, they have no end; where they
    exclude a middle part only, or nothing, there is no interval and the effect is refused.
    Holds for those who comply where assignment changes return only by doing it, and nobody does it less because of the
    variant (Angrist, Imbens and Rubin 1996).

    >>> found = complier_effect(AssignedArm(1000, 600, 400, 300), AssignedArm(1000, 200, 360, 90))
    >>> [round(v, 3) for v in (found.estimate, found.ci_low, found.ci_high, found.share)]
    [0.1, -0.006, 0.205, 0.4]
    """
    smallest = min(variant.users, control.users)
    if smallest < max(min_users, 2):
        why = f"an arm has {smallest} users; each needs {max(min_users, 2)}"
        return ComplierEffect(None, None, None, None, None, None, why)
    d1, d0 = variant.did / variant.users, control.did / control.users
    share, gain = d1 - d0, variant.returned / variant.users - control.returned / control.users
    z = float(norm.ppf((1 + level) / 2))
    of_doing, of_return, of_both = (sum(parts) for parts in zip(_variances(variant), _variances(control), strict=True))
    half = z * sqrt(of_doing)
    told = (share, share - half, share + half)
    if share <= 0:
        why = "no more users did it in the variant than in the control, so the assignment made nobody do it"
        return ComplierEffect(None, None, None, *told, why)
    # (gain - b share)^2 <= z^2 (of_return - 2 b of_both + b^2 of_doing), a quadratic in b.
    square = share**2 - z**2 * of_doing
    linear = -2 * (gain * share - z**2 * of_both)
    constant = gain**2 - z**2 * of_return
    root = linear**2 - 4 * square * constant
    if square <= 0:
        why = "the assignment moves too few users to do it for an interval that has two ends"
        return ComplierEffect(None, None, None, *told, why)
    low, high = ((-linear - s * sqrt(max(root, 0.0))) / (2 * square) for s in (1, -1))
    return ComplierEffect(gain / share, max(low, -inf), min(high, inf), *told, None)


def _variances(arm: AssignedArm) -> tuple[float, float, float]:
    """Of the mean of doing it, of the mean return, and their covariance; unbiased."""
    n = arm.users
    d, y, both = arm.did / n, arm.returned / n, arm.both / n
    return d * (1 - d) / (n - 1), y * (1 - y) / (n - 1), (both - d * y) / (n - 1)
