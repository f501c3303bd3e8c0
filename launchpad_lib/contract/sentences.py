"""Names, counts and times as they stand inside a sentence: whole, harmless and readable, whatever the data hold."""

from __future__ import annotations

import re

from launchpad_lib.contract.durations import UNITS, parse_window
from launchpad_lib.contract.legible import isolated, shortened

NAME_CELLS = 60
ORDINARY = re.compile(r"[\w.$:/@%+-]+")
SUBJECT = re.compile(r"^(?:the \w+|(?:day|week|month)s? \d+(?: to \d+)?|retention): ")
PLAIN_WORD = re.compile(r"[a-z]+(?=[ :,;]|[.]?$)")
NUMERIC = re.compile(r"[-+]?\d+(\.\d+)?%?")


def named(name: object, *, cells: int = NAME_CELLS) -> str:
    """A name from the data inside a sentence: on one line, both its ends where it is too long, quoted where it is no
    plain word.

    A number is none: "80.1 % of 0" would be read as a count where 0 is a variant.

    >>> named("quiz_started"), named("Add to\\n cart"), named(""), named("0"), named("v0")
    ('quiz_started', '“Add to cart”', '“”', '“0”', 'v0')
    """
    text = shortened(str(name), cells=cells)
    is_word = ORDINARY.fullmatch(text) and not NUMERIC.fullmatch(text) and isolated(text) == text
    return text if is_word else f"“{isolated(text)}”"


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
    words = window.strip()
    return counted(int(words[:-1]), UNITS[words[-1]].removesuffix("s"))


def listed(words: list[str], *, most: int = 3) -> str:
    """Words as a list that is read aloud; beyond `most`, how many more there are.

    >>> listed(["a"]), listed(["a", "b", "c"]), listed(["a", "b", "c", "d", "e"])
    ('a', 'a, b and c', 'a, b, c and 2 more')
    """
    if len(words) > most:
        return f"{', '.join(words[:most])} and {len(words) - most} more"
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def ended(text: str) -> str:
    """A sentence with its full stop; one that ends otherwise stays as it is.

    >>> ended("nobody entered"), ended("did you mean 'quiz'?")
    ('nobody entered.', "did you mean 'quiz'?")
    """
    return text if text.endswith((".", "?", "!")) else f"{text}."


def sentence(reason: str) -> str:
    """A reason as a sentence of its own; a name that it begins with stays as it is written.

    >>> sentence("nobody entered"), sentence("Nobody entered."), sentence("event_at: is missing")
    ('Nobody entered.', 'Nobody entered.', 'event_at: is missing.')
    """
    text = ended(reason.strip())
    return text[:1].upper() + text[1:] if PLAIN_WORD.match(text) else text


def without_subject(reason: str) -> str:
    """A reason inside a sentence that has said of what it is.

    >>> without_subject("day 1: retention: nobody entered"), without_subject("the funnel: nobody entered")
    ('nobody entered', 'nobody entered')
    """
    rest = SUBJECT.sub("", reason, count=1)
    return rest if rest == reason else without_subject(rest)
