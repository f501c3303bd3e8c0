"""Text from the data as it can be shown: nothing in it is unseen, reorders its neighbours, or is cut inside a
character.
"""

from __future__ import annotations

import re
import unicodedata

from wcwidth import iter_graphemes, wcswidth

LABEL_CELLS = 34
"""How wide a label of a chart may be, in letters of plain text; a Chinese letter or an emoji is as wide as two."""

_WIDE = frozenset("MWmw@%")

# What has no shape of its own, is no character at all, or turns the text behind it around: control characters other
# than tab and line feed, lone surrogates, noncharacters, and the controls of writing direction that are no pair of
# isolates.
_ISOLATED = "\u2068[^\u2066-\u2069]*\u2069"
_UNSHOWN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\u202a-\u202e"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000))
    + f"]|{_ISOLATED}|[\u2066-\u2069]"
)
_MARK = "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_PILE = re.compile(f"({_MARK}{{4}}){_MARK}+")
"""More marks upon one letter than any language writes: they would be drawn over the lines above and below."""


def visible(text: str) -> str:
    """Any text as text that XML, a drawing program and a page can hold, and that cannot reorder what stands around it.

    What could not be seen is written out; everything else is left as it is. Twice is the same as once.

    >>> visible("a\\x00b\\ud83d"), visible("\\u202egnp.exe"), visible("\U0001f1e9\U0001f1ea")
    ('a\\\\x00b\\\\ud83d', '\\\\u202egnp.exe', '🇩🇪')
    """
    return _UNSHOWN.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    character = found[0]
    if len(character) > 1:  # a pair of isolates ends where it began: what is within is looked at by itself
        return f"{character[0]}{visible(character[1:-1])}{character[-1]}"
    code = ord(character)  # written as in Python and JSON: Unicode's own pictures of controls are missing in many fonts
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def isolated(name: object) -> str:
    """A name from the data for the middle of a sentence: letters written from right to left do not turn their
    neighbours around.

    >>> isolated("quiz"), len(isolated("שלום"))
    ('quiz', 6)
    """
    text = re.sub("[\u2066-\u2069]", _written_out, visible(str(name)))
    return f"\u2068{text}\u2069" if any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in text) else text


def shortened(text: str, *, cells: int = LABEL_CELLS) -> str:
    """The text in one line, its middle left out where it is wider than so many letters; a character is never cut.

    Of more than four marks piled upon one letter the rest are left out.

    Names tend to differ at their ends, so both ends stay.

    >>> shortened("checkout_v2_eu_east_button", cells=15), shortened("\U0001f1e9\U0001f1ea" * 9, cells=9)
    ('checkou…_button', '🇩🇪🇩🇪…🇩🇪🇩🇪')
    """
    text = _PILE.sub(r"\1", text)
    line = " ".join(visible(text[: 8 * cells] + text[-8 * cells :] if len(text) > 16 * cells else text).split())
    graphemes = list(iter_graphemes(line))
    if sum(map(_cells, graphemes)) <= cells and len(line) <= 8 * cells:
        return line
    room = (cells - 1) / 2
    return f"{''.join(_as_many(graphemes, room))}…{''.join(reversed(_as_many(graphemes[::-1], room)))}"


def _cells(grapheme: str) -> float:
    """The width of a character in the letters of a usual sans-serif type."""
    if grapheme in _WIDE:
        return 1.7
    return 1.3 if grapheme.isupper() else max(wcswidth(grapheme), 0)


def _as_many(graphemes: list[str], room: float) -> list[str]:
    """The first graphemes that fit into so many cells."""
    taken: list[str] = []
    for grapheme in graphemes:
        room -= _cells(grapheme)
        if room < 0 or len(grapheme) > 32:  # a letter with hundreds of marks piled upon it
            break
        taken.append(grapheme)
    return taken
