"""Changes of all features and both metrics, corrected together; and the smallest change that could have been shown."""

from __future__ import annotations

from math import exp, log
from typing import NamedTuple

import pandas as pd
from scipy.stats import norm

from launchpad_lib.contract.wording import is_missing
from launchpad_lib.inference.multiplicity import benjamini_hochberg

ALPHA, POWER = 0.05, 0.8
ADOPTION, WINDOW, LEVEL = "adoption", "p95 between windows", "level of p95"


class Family(NamedTuple):
    """All tests of change of a run: `q` by (feature_id, metric), adjusted after Benjamini and Hochberg (1995).

    `adoption`, `latency`: the largest over the features of the smallest fall in points and rise as a ratio that would
    be found 8 times in 10, were it the only one: of whichever could be judged, nothing larger was missed more often.
    """

    q: dict[tuple[str, str], float]
    adoption: float | None
    latency: float | None

    def is_shown(self, feature_id: str, *metrics: str) -> bool:
        """Whether one of the tests of a feature stands after the correction."""
        return any(self.q.get((feature_id, metric), 1.0) <= ALPHA for metric in metrics)


def family_of(adoption_changes: pd.DataFrame | None, regressions: pd.DataFrame | None) -> Family:
    """The family of a run.

    Args:
        adoption_changes, regressions: the result tables; None where there is none.
    """
    tests: dict[tuple[str, str], float] = {}
    for rows, column, metric in (
        (adoption_changes, "p_value", ADOPTION),
        (regressions, "p_value", WINDOW),
        (regressions, "shift_p", LEVEL),
    ):
        for row in [] if rows is None else rows.to_dict("records"):
            if not is_missing(row[column]):
                tests[(str(row["feature_id"]), metric)] = float(row[column])
    q = dict(zip(tests, benjamini_hochberg(list(tests.values())), strict=True))
    level = ALPHA / max(len(tests), 1)
    return Family(q, _adoption(adoption_changes, level), _latency(regressions, level))


def smallest_change(ci_low: float, ci_high: float, *, level: float = ALPHA) -> float:
    """The change that is found with a chance of 80 % at two-sided `level`, from the width of a 95 % interval:
    (z(1 - level / 2) + z(0.8)) standard errors.

    >>> round(smallest_change(-0.0196, 0.0196), 4)
    0.028
    """
    error = (ci_high - ci_low) / (2 * norm.ppf(0.975))
    return float((norm.ppf(1 - level / 2) + norm.ppf(POWER)) * error)


def _adoption(changes: pd.DataFrame | None, level: float) -> float | None:
    rows = [] if changes is None else changes.dropna(subset=["ci_low", "ci_high"]).to_dict("records")
    return max((smallest_change(r["ci_low"], r["ci_high"], level=level) for r in rows), default=None)


def _latency(regressions: pd.DataFrame | None, level: float) -> float | None:
    """`detectable_ratio` is that of one test at 5 %."""
    if regressions is None:
        return None
    found = pd.to_numeric(regressions["detectable_ratio"]).dropna()
    wider = (norm.ppf(1 - level / 2) + norm.ppf(POWER)) / (norm.ppf(1 - ALPHA / 2) + norm.ppf(POWER))
    return None if found.empty else exp(log(float(found.max())) * wider)
