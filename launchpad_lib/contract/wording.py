"""Numbers as readers meet them in sentences.

What is missing is said to be unknown by the same part of speech, never printed as 0 or nan: wherever "3.1 points" may
stand, "an unknown number of points" may stand too.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import TypeGuard

import pandas as pd

from launchpad_lib.contract.estimates import Refused

DURATIONS = (
    (172_800, 86_400, "days"),
    (7_200, 3_600, "h"),
    (120, 60, "min"),
    (0, 1, "s"),
)  # from how many seconds, one is so many, its name


def is_missing(value: object) -> bool:
    """Whether a value is None or NaN.

    >>> is_missing(None), is_missing(float("nan")), is_missing(0.0)
    (True, True, False)
    """
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def _is_known(value: float | None) -> TypeGuard[float]:
    """Whether there is a number to read: neither missing nor infinite."""
    return value is not None and not is_missing(value) and math.isfinite(value)


def percent(value: float | None) -> str:
    """A fraction as percent with one decimal; what would read as 0 has two digits, never an exponent.

    >>> percent(0.618), percent(0.000456), percent(None)
    ('61.8 %', '0.046 %', 'an unknown share')
    >>> percent(8.7e-19), percent(2e-7)  # a limit of 0 as floating point has it, and a share that is small
    ('0.0 %', 'under 0.001 %')
    """
    if not _is_known(value):
        return "an unknown share"
    if 1e-12 < abs(value) < 1e-5:
        return "under 0.001 %" if value > 0 else "between -0.001 and 0 %"
    value = 0.0 if abs(value) <= 1e-12 else value
    return f"{100 * value:.2g} %" if 0 < abs(value) < 0.001 else f"{100 * value:z.1f} %"


def duration(seconds: float | None) -> str:
    """Seconds in the unit in which they are read.

    >>> duration(34.93), duration(278), duration(57_468), duration(172_800), duration(None)
    ('34.9 s', '4.6 min', '16.0 h', '2.0 days', 'an unknown time')
    """
    if not _is_known(seconds):
        return "an unknown time"
    size, name = next((size, name) for least, size, name in DURATIONS if abs(seconds) >= least)
    return f"{seconds / size:z,.1f} {name}"


def rate(value: float | None, ci_low: float | None, ci_high: float | None, n: float | None) -> str:
    """A rate with its 95 % interval and its denominator.

    >>> rate(0.5, 0.4, 0.6, 100), rate(None, None, None, 0)
    ('50.0 % (40.0 to 60.0 %, n = 100)', 'an unknown share (n = 0)')
    """
    known = []
    if _is_known(value) and _is_known(ci_low) and _is_known(ci_high):
        known.append(f"{100 * ci_low:z.1f} to {100 * ci_high:z.1f} %")
    known += [f"n = {int(n):,}"] if _is_known(n) else []
    return f"{percent(value)} ({', '.join(known)})" if known else percent(value)


def points(value: float | None, ci_low: float | None, ci_high: float | None) -> str:
    """A difference of two rates in percentage points with its sign, and its 95 % interval.

    The sign is in the number: a sentence says "changed by" or "a difference of", never "more" or "less" beside it.

    >>> points(0.031, -0.01, 0.07), points(None, None, None)
    ('+3.1 points (-1.0 to +7.0)', 'an unknown number of points')
    """
    if not _is_known(value):
        return "an unknown number of points"
    if not _is_known(ci_low) or not _is_known(ci_high):
        return f"{_signed(value)} points"
    return f"{_signed(value)} points ({_signed(ci_low)} to {_signed(ci_high)})"


def _signed(share: float) -> str:
    """A share in points with its sign; what rounds to nothing is not under it.

    >>> _signed(0.031), _signed(-0.0001)
    ('+3.1', '+0.0')
    """
    return f"{100 * share:+z.1f}"


def amount(value: float | None, unit: str = "", digits: int = 0) -> str:
    """A number with thousands separators and its unit.

    >>> amount(1234.5, "ms"), amount(None, "ms"), amount(None)
    ('1,234 ms', 'an unknown number of ms', 'an unknown number')
    """
    if not _is_known(value):
        return f"an unknown number of {unit}" if unit else "an unknown number"
    return f"{value:z,.{digits}f} {unit}".strip()


def single(table) -> SimpleNamespace:
    """The only (or first) row of a result as a namespace; NaN becomes None; every field is None where there
    is no row.
    """
    frame = table if isinstance(table, pd.DataFrame) else table.to_pandas()
    if frame.empty:
        return SimpleNamespace(**dict.fromkeys(frame.columns))
    # Column by column: a row taken as a whole would turn its counts into fractions.
    first = {str(k): frame[k].iloc[0] for k in frame.columns}
    return SimpleNamespace(**{k: (None if is_missing(v) else v) for k, v in first.items()})


def needed(value, what: str):
    """The value, or one clear sentence where the lake holds nothing of the kind.

    Raises:
        Refused: the value is missing; a notebook that raises it is refused, not failed.
    """
    if is_missing(value):
        raise Refused(
            f"the lake holds no {what}; ingest some with a params file, or leave this notebook out of `sequence`"
        )
    return value
