"""Names, counts and times as they stand inside a sentence: whole, harmless and readable, whatever the data hold."""

from __future__ import annotations

import re
import unicodedata

from launchpad_lib.contract.durations import UNITS, parse_window

LONGEST_NAME = 60
ORDINARY = re.compile(r"[\w.$:/@%+-]+")
DIRECTION_MARKS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c")
ISOLATED = ("\u2068", "\u2069")  # what stands between them does not turn the words around it


def named(name: object, *, most: int = LONGEST_NAME) -> str:
    """A name from the data inside a sentence: on one line, at most so many characters, quoted where it is no plain word.

    Control characters and line breaks become spaces, marks that turn the direction of the text are dropped, and a name
    written from right to left is isolated, so that the sentence around it keeps its order.

    >>> named("quiz_started"), named("Add to\\n cart"), named("")
    ('quiz_started', '“Add to cart”', '“”')
    """
    kept = (c for c in str(name) if c not in DIRECTION_MARKS)
    visible = "".join(" " if unicodedata.category(c) in ("Cc", "Cn", "Cs", "Zl", "Zp") else c for c in kept)
    text = _shortened(" ".join(visible.split()), most)
    if any(unicodedata.bidirectional(c) in ("R", "AL") for c in text):
        return f"“{ISOLATED[0]}{text}{ISOLATED[1]}”"
    return text if ORDINARY.fullmatch(text) else f"“{text}”"


def _shortened(text: str, most: int) -> str:
    """The text, or both its ends around an ellipsis; never cut inside what is read as one character."""
    if len(text) <= most:
        return text
    start, end = (most - 1) // 2, len(text) - most // 2
    while start > 0 and _is_joined(text, start):
        start -= 1
    while end < len(text) and _is_joined(text, end):
        end += 1
    return f"{text[:start]}…{text[end:]}"


def _is_joined(text: str, place: int) -> bool:
    """Whether the character at a place belongs to the one before it: an accent, a joiner, a skin tone, half a flag."""
    after, before = text[place], text[place - 1]
    if unicodedata.combining(after) or unicodedata.category(after) in ("Mn", "Me") or "\u200d" in (after, before):
        return True
    if "\U0001f3fb" <= after <= "\U0001f3ff":
        return True
    flags = len(text[:place]) - len(text[:place].rstrip("".join(map(chr, range(0x1F1E6, 0x1F200)))))
    return "\U0001f1e6" <= after <= "\U0001f1ff" and flags % 2 == 1


def counted(number: float, one: str, many: str | None = None) -> str:
    """A count with its word.

    >>> counted(1, "user"), counted(1234, "user"), counted(0, "entry", "entries")
    ('1 user', '1,234 users', '0 entries')
    """
    return f"{int(number):,} {one if int(number) == 1 else many or f'{one}s'}"


def span_words(window: str | None) -> str:
    """A duration with its unit as it is read.

    >>> span_words("7d"), span_words("1d"), span_words("30m")
    ('7 days', '1 day', '30 minutes')
    """
    if window is None:
        return "any time"
    parse_window(window)
    number, unit = re.fullmatch(r"\s*(\d+)\s*([smhd])\s*", window).groups()
    return counted(int(number), UNITS[unit].removesuffix("s"))


def listed(words: list[str], *, most: int = 3) -> str:
    """Words as a list that is read aloud; beyond `most`, how many more there are.

    >>> listed(["a"]), listed(["a", "b", "c"]), listed(["a", "b", "c", "d", "e"])
    ('a', 'a, b and c', 'a, b, c and 2 more')
    """
    if len(words) > most:
        return f"{', '.join(words[:most])} and {len(words) - most} more"
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)
