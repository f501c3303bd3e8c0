"""Names as readers meet them: the nearest known ones to a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[object]) -> str:
    """The end of a sentence: the nearest known names, or some of them.

    >>> nearest("quiz_start", ["quiz_started", "page_viewed"])
    "did you mean 'quiz_started'?"
    """
    names = sorted(str(k) for k in known)
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(repr(n) for n in near)}?"
    return f"there are {', '.join(names[:10])}{' and others' if len(names) > 10 else ''}" if names else "there are none"
