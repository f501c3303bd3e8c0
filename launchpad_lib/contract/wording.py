"""Numbers as readers meet them in sentences. A missing number is said to be missing, never printed as 0 or nan."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd

NO_NUMBER = "no number"
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
    return value is None or bool(pd.isna(value))


def percent(value: float | None) -> str:
    """A fraction as percent with one decimal; what would read as 0 has two digits.

    >>> percent(0.618), percent(0.000456), percent(None)
    ('61.8 %', '0.046 %', 'no number')
    """
    if is_missing(value):
        return NO_NUMBER
    return f"{100 * value:.2g} %" if 0 < abs(value) < 0.001 else f"{100 * value + 0.0:.1f} %"  # -0.0 is 0


def duration(seconds: float | None) -> str:
    """Seconds in the unit in which they are read.

    >>> duration(34.93), duration(278), duration(57_468), duration(172_800), duration(None)
    ('34.9 s', '4.6 min', '16.0 h', '2.0 days', 'no number')
    """
    if is_missing(seconds):
        return NO_NUMBER
    size, name = next((size, name) for least, size, name in DURATIONS if abs(seconds) >= least)
    return f"{seconds / size:,.1f} {name}"


def rate(value: float | None, ci_low: float | None, ci_high: float | None, n: float | None) -> str:
    """A rate with its 95 % interval and its denominator.

    >>> rate(0.5, 0.4, 0.6, 100)
    '50.0 % (40.0 to 60.0 %, n = 100)'
    """
    if is_missing(value):
        return f"{NO_NUMBER} (n = {0 if is_missing(n) else int(n):,})"
    if is_missing(ci_low) or is_missing(ci_high):
        return f"{percent(value)} (n = {int(n):,})"
    return f"{percent(value)} ({100 * ci_low:.1f} to {100 * ci_high:.1f} %, n = {int(n):,})"


def points(value: float | None, ci_low: float | None, ci_high: float | None) -> str:
    """A difference of two rates in percentage points, with its 95 % interval.

    >>> points(0.031, -0.01, 0.07)
    '+3.1 points (-1.0 to +7.0)'
    """
    if is_missing(value):
        return NO_NUMBER
    if is_missing(ci_low) or is_missing(ci_high):
        return f"{100 * value:+.1f} points"
    return f"{100 * value:+.1f} points ({100 * ci_low:+.1f} to {100 * ci_high:+.1f})"


def amount(value: float | None, unit: str = "", digits: int = 0) -> str:
    """A number with thousands separators and its unit.

    >>> amount(1234.5, "ms"), amount(None, "ms")
    ('1,234 ms', 'no number')
    """
    return NO_NUMBER if is_missing(value) else f"{value:,.{digits}f} {unit}".strip()


def single(table) -> SimpleNamespace:
    """The only (or first) row of a result as a namespace; NaN becomes None; every field is None where there is no row."""
    frame = table if isinstance(table, pd.DataFrame) else table.to_pandas()
    if frame.empty:
        return SimpleNamespace(**dict.fromkeys(frame.columns))
    # Column by column: a row taken as a whole would turn its counts into fractions.
    first = {str(k): frame[k].iloc[0] for k in frame.columns}
    return SimpleNamespace(**{k: (None if is_missing(v) else v) for k, v in first.items()})


def needed(value, what: str):
    """The value, or one clear sentence where the lake holds nothing of the kind.

    Raises:
        ValueError: the value is missing.
    """
    if is_missing(value):
        raise ValueError(
            f"{what}: the lake holds none; ingest some with a params file, or leave this notebook out of `sequence`"
        )
    return value
