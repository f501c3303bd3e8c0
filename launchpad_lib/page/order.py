"""In which order a page is read: what its answer leads to first, terms and method folded at its end.

A page that draws a conclusion shows its first chart (or open table, where that comes first) straight under it: the
numbers and words that the notebook has before come after it. Nothing is left out, and no heading changes places.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from launchpad_lib.page.blocks import Block

FOLDED = re.compile(r"(terms|method|data and its trust checks|question)\b", re.IGNORECASE)
"""Headings whose part of the page is folded: what explains the numbers and is no result."""
LEADING = ("chart", "html", "no picture")
MOST_WHOLE, MOST_LEDE = 175, 150  # characters of a finding that stand open beside the verdict
LEAST_LEDE, LATEST_LEDE = 40, 220
ENDS = ".;:"  # where a sentence may be cut, the best place first


class Section(NamedTuple):
    """What one cell adds to the page; `code` is None for text."""

    blocks: list[Block]
    code: str | None


def chart_first(sections: list[Section]) -> list[Section]:
    """The first chart or open table above the text and the numbers of its own part; the page's introduction goes to
    its end, folded.

    A page whose first chart stands behind other parts stays as it is.
    """
    places = [(s, b) for s, section in enumerate(sections) for b in range(len(section.blocks))]
    first = next((place for place in places if sections[place[0]].blocks[place[1]].kind in LEADING), None)
    if first is None:
        return sections
    early = [(s, b, sections[s].blocks[b]) for s, b in places[: places.index(first)]]
    headings = [place for place, (_, _, block) in enumerate(early) if block.kind == "heading"]
    if len(headings) > 1 or any(block.kind not in ("heading", "text", "metric") for _, _, block in early):
        return sections
    intro = [block for _, _, block in early[: headings[0]]] if headings else []
    below = [block for _, _, block in early[headings[0] + 1 :]] if headings else [b for _, _, b in early]
    moved = [block for kind in ("metric", "text") for block in below if block.kind == kind]
    kept = []
    for s, section in enumerate(sections):
        if s < first[0]:
            kept.append(Section([b for b in section.blocks if b.kind == "heading"], section.code))
        elif s == first[0]:
            heading = [b for b in section.blocks[: first[1]] if b.kind == "heading"]
            rest = section.blocks[first[1] + 1 :]
            kept.append(Section([*heading, section.blocks[first[1]], *moved, *rest], section.code))
        else:
            kept.append(section)
    words = [Block("heading", "Question", level=2), *intro] if intro else []
    return [*kept, Section(words, None)] if words else kept


def folded(sections: list[Section]) -> list[Section]:
    """With the parts that explain (`FOLDED`) between a block `fold`, which is their heading, and a block `unfold`."""
    found, level = [], 0
    for section in sections:
        blocks = []
        for block in section.blocks:
            if block.kind == "heading" and level and block.level <= level:
                blocks.append(Block("unfold", ""))
                level = 0
            if block.kind == "heading" and not level and FOLDED.match(str(block.content)):
                level = block.level
                block = block._replace(kind="fold")
            blocks.append(block)
        found.append(Section(blocks, section.code))
    return [*found, Section([Block("unfold", "")], None)] if level else found


class Lede(NamedTuple):
    """A sentence in two: what is read at once, and the rest of it."""

    head: str
    rest: str


def lede(sentence: str) -> Lede:
    """A long sentence cut where one of its clauses ends, for the few lines above a page's first chart.

    >>> lede("Search: p95 rose."), lede("A" * 50 + "; " + "b" * 140)[1][:3]
    (Lede(head='Search: p95 rose.', rest=''), 'bbb')
    """
    if len(sentence) <= MOST_WHOLE:
        return Lede(sentence, "")
    ends = [m.end() for m in re.finditer(r"[.;:](?= )", sentence) if _is_whole(sentence[: m.end()])]
    inside = [end for end in ends if LEAST_LEDE <= end <= MOST_LEDE]
    best = min((sentence[end - 1] for end in inside), key=ENDS.index, default="")
    later = [end for end in ends if MOST_LEDE < end <= LATEST_LEDE]
    at = max((end for end in inside if sentence[end - 1] == best), default=min(later, default=None))
    return Lede(sentence, "") if at is None else Lede(sentence[:at], sentence[at:].strip())


def _is_whole(text: str) -> bool:
    """Whether every bracket and quotation that it opens is closed again."""
    return text.count("(") == text.count(")") and text.count("“") == text.count("”")
