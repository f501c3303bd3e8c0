"""Names that data can hold, and what a verdict may look like whatever they are."""

from __future__ import annotations

import re

from launchpad_lib.contract.sentences import named

NAMES = [
    "$browser", "utm.source", "a*b", "cart[0]", "org:group", "it's", 'say "hi"', "{name}", "%s", "\\d+", "-1", "1", "true",
    "<script>alert(1)</script>", "[link](http://x)", "Add to\ncart", "tab\tand\x00nul", "שלום עולם", "👩‍👩‍👧🏽", " ", "x" * 5000,
]  # fmt: skip


def holds_the_rules_of_a_verdict(verdict: str, names: list[str]) -> bool:
    """At most 16 words beside the names, no brackets, one line, ends as a sentence, and shows no unfilled blank."""
    rest = verdict
    for name in sorted({named(n) for n in names}, key=len, reverse=True):
        rest = rest.replace(name, "")
    words = re.findall(r"\w[\w.,%+-]*", rest)
    return len(words) <= 16 and not re.search(r"[()\[\]{}<>\n]|nan|None", rest) and verdict.rstrip().endswith(".")
