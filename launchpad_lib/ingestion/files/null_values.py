"""Values that stand for a missing one: -1 for no session, N/A for no country. In SQL, and of one value."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from launchpad_lib.contract.event.rules import SPACES
from launchpad_lib.contract.sql import literal

# Numbers as people and programs write them. One with leading zeros is an id, and 1e3 may be one.
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)", re.ASCII)
_FRACTION = r"-?(?:0|[1-9][0-9]*)(?:[.][0-9]+(?:[eE][-+]?[0-9]+)?|[eE][-+][0-9]+)"
_AS_FRACTION = re.compile(_FRACTION, re.ASCII)
_NO_NUMBERS = {"nan": "nan", ".nan": "nan"}


class NullValues(NamedTuple):
    """The `texts` a missing value may have, and the `numbers` it may be where it is written with a point.

    >>> of_minus_one = null_values([-1])
    >>> [value in of_minus_one for value in (-1, -1.0, " -1 ", "-1.00", "-10", [-1])]
    [True, True, True, True, False, False]
    """

    texts: frozenset[str]
    numbers: frozenset[float]

    def __contains__(self, value: object) -> bool:
        """Whether a value of a file, or its text, is one of these; white space around a text is no part of it."""
        if isinstance(value, bool):
            return str(value).lower() in self.texts
        if isinstance(value, float):
            return value in self.numbers or (value != value and "nan" in self.texts)
        if not isinstance(value, str | int):
            return False
        text = str(value).strip(SPACES)
        return text in self.texts or (_AS_FRACTION.fullmatch(text) is not None and float(text) in self.numbers)

    def sql(self, text: str) -> str:
        """SQL of a text, NULL where it is one of these."""
        bare = f"trim({text}, {literal(SPACES)})"
        is_null = f"{bare} IN ({', '.join(literal(t) for t in sorted(self.texts))})"
        if self.numbers:
            numbers = ", ".join(f"{number!r}::DOUBLE" for number in sorted(self.numbers))
            as_number = f"CASE WHEN regexp_full_match({bare}, {literal(_FRACTION)}) THEN try_cast({bare} AS DOUBLE) END"
            is_null += f" OR {as_number} IN ({numbers})"
        return f"CASE WHEN ({is_null}) THEN NULL ELSE {text} END"


def null_values(listed: Sequence[str | int | float | bool]) -> NullValues:
    """The values that a mapping lists for one field: texts literally, numbers however they are written.

    >>> sorted(null_values([-1, "N/A"]).texts), null_values([-1, "N/A"]).numbers
    (['-1', 'N/A'], frozenset({-1.0}))
    """
    texts: set[str] = set()
    numbers: set[float] = set()
    for value in listed:
        text = (str(value).lower() if isinstance(value, bool) else str(value)).strip(SPACES)
        texts |= {text, *({_NO_NUMBERS[text.lower()]} if text.lower() in _NO_NUMBERS else ())}
        is_whole = _WHOLE.fullmatch(text) is not None
        if is_whole or _AS_FRACTION.fullmatch(text):
            number = float(text)
            numbers |= {number} if math.isfinite(number) else set()
            if number == 0:
                texts |= {"0", "-0"}
            elif not is_whole and number.is_integer() and abs(number) < 9e15:
                texts.add(str(int(number)))
    return NullValues(frozenset(texts), frozenset(numbers))
