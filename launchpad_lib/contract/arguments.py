"""Arguments as people give them by hand: each wrong one is one sentence, whatever was given."""

from __future__ import annotations

import operator
from typing import SupportsIndex

LONGEST_SHOWN = 120
MOST = 100_000  # days, steps, periods: more of them mean another thing


def shown(value: object) -> str:
    """A given value in a sentence, as Python writes it: one line, a very long one cut.

    >>> shown("7d"), shown([1, 2]), shown("a" * 5000)[-4:]
    ("'7d'", '[1, 2]', 'aaa…')
    """
    text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"


def whole_number(value: SupportsIndex, *, argument: str, least: int = 1, most: int = MOST) -> int:
    """The number, where it is a whole one from the least to the most.

    Raises:
        ValueError: text, a fraction, true or false, nothing at all, or a number below `least` or beyond `most`.

    >>> whole_number(7, argument="window_days")
    7
    """
    try:
        number = least - 1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = least - 1
    if not least <= number <= most:
        raise ValueError(f"{argument}={shown(value)}: must be a whole number from {least} to {most:,}; correct it")
    return number
