"""Names as readers meet them: quoted so that no character hides, and the nearest known ones to a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST_SHOWN = 60
LONGEST_COMPARED = 100  # similarity takes time in the square of the length


def quoted(name: object) -> str:
    """A name in a sentence: in quotes, what cannot be seen as an escape, a very long one cut.

    >>> print(quoted("a" * 5000)[-5:], quoted("\\x00$browser"))
    aaa…' '\\x00$browser'
    """
    text = str(name)
    return repr(text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…")


def nearest(name: object, known: Iterable[object]) -> str:
    """The end of a sentence: the nearest known names, or some of them. The only "did you mean".

    >>> nearest("quiz_start", ["quiz_started", "page_viewed"])
    "did you mean 'quiz_started'?"
    >>> nearest("Quiz Started", ["quiz_started", "quiz_completed", "page_viewed"])
    "did you mean 'quiz_started'?"
    >>> nearest("x", ["quiz_started", "page viewed "])
    "there are 'page viewed ', quiz_started"
    """
    names = sorted({str(k) for k in known if k is not None})
    compared: dict[str, str] = {}
    for n in names:
        compared.setdefault(_compared(n), n)
    wanted = _compared(str(name))
    # Where one is as good as right, what is merely alike would only be in the way.
    near = next(
        (found for cutoff in (0.8, 0.5) if (found := difflib.get_close_matches(wanted, compared, 3, cutoff))), []
    )
    if near:
        return f"did you mean {' or '.join(quoted(compared[n]) for n in near)}?"
    if not names:
        return "there are none"
    shown = [n if n.isprintable() and n == n.strip() and 0 < len(n) <= LONGEST_SHOWN else quoted(n) for n in names[:10]]
    return f"there are {', '.join(shown)}{' and others' if len(names) > 10 else ''}"


def _compared(name: str) -> str:
    return name[:LONGEST_COMPARED].casefold()
