"""A page put together from an executed notebook: conclusion first, then the cells, in one self-contained file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import nbformat
from markupsafe import Markup

from launchpad_lib.contract.manifest import Status
from launchpad_lib.page.blocks import Block, blocks_of
from launchpad_lib.page.environment import page_environment
from launchpad_lib.page.harvest import anchor_of
from launchpad_lib.page.markup import POLICY
from launchpad_lib.page.order import Section, chart_first, folded
from launchpad_lib.page.pictures import CHART_POLICY, DRAW_JS, drawing_library, packed

REFUSED = "Refused"  # the exception of contract.estimates, as a notebook's error output names it
HEADINGS = ("heading", "fold")
ANY_LEVEL = 7  # below the lowest heading


class PageFacts(NamedTuple):
    """What a page says that its notebook does not hold.

    `reason` is why it failed or refused, `run` what the footer names (run_id, started_at, inputs; None for a page made
    by hand), `last_good` the address of the newest good page.
    """

    title: str
    status: Status
    reason: str | None = None
    run: Mapping[str, Any] | None = None
    last_good: str | None = None


def page_of(
    notebook: nbformat.NotebookNode, facts: PageFacts, *, of_cell: Callable[..., list[Block]] = blocks_of
) -> str:
    """The page: conclusion first, then the cells in order, headings only where something stands under them.

    Args:
        of_cell: what a cell at a `place` shows; who makes the page again and again keeps it.
    """
    sections = [
        Section(of_cell(cell, place=place), cell.source if cell.cell_type == "code" else None)
        for place, cell in enumerate(notebook.cells, 1)
    ]
    top = [b for s, cell in zip(sections, notebook.cells, strict=True) for b in s.blocks if _is_on_top(b, cell)]
    shown = _without_title(_until_failure(sections, notebook))
    below = [
        Section([b for b in s.blocks if not any(b is t for t in top) and not _is_refusal(b)], s.code) for s in shown
    ]
    is_run = any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
    is_answered = any(block.kind == "conclusion" for block in top)
    full = _without_empty_headings(below, code_is_shown="folded" if is_run else "open")
    body = _anchored(folded(chart_first(full)) if is_run and is_answered else full)
    anchors = {block.title for section in body for block in section.blocks if block.kind in HEADINGS}
    specs = [b.spec for b in [*top, *(b for s in body for b in s.blocks)] if b.kind == "chart"]
    failure = next((b.content for s in sections for b in s.blocks if b.kind == "error"), None)
    return (
        page_environment()
        .get_template("notebook.html.j2")
        .render(
            facts=facts,
            failure=failure,
            left_out=len(sections) - len(shown),
            is_run=is_run,
            has_code=any(section.code for section in body),
            notes=[block for block in top if block.kind == "note"],
            top=[block for block in top if block.kind != "note"],
            sections=body,
            anchors=anchors,
            policy=CHART_POLICY if specs else POLICY,
            library=drawing_library() if specs else None,
            specs=packed(json.dumps(specs)),
            draw=Markup(DRAW_JS),
        )
    )


def _is_on_top(block: Block, cell: nbformat.NotebookNode) -> bool:
    is_answer = cell.cell_type == "code" and "answer" in cell.metadata.get("tags", [])
    return block.kind in ("conclusion", "note") or (is_answer and block.kind != "error")


def _is_refusal(block: Block) -> bool:
    """The page says at its top why it refuses."""
    return block.kind == "error" and block.content.name == REFUSED


def _until_failure(sections: list[Section], notebook: nbformat.NotebookNode) -> list[Section]:
    """The cells up to the one that ended the run: what stands behind it speaks of numbers that were never counted."""
    for place, (section, cell) in enumerate(zip(sections, notebook.cells, strict=True), 1):
        was_last = not any(c.get("outputs") or c.get("execution_count") for c in notebook.cells[place:])
        is_meant = "raises-exception" in cell.metadata.get("tags", [])
        if was_last and not is_meant and any(b.kind == "error" for b in section.blocks):
            return sections[:place]
    return sections


def _without_title(sections: list[Section]) -> list[Section]:
    """The first level-one heading is the page's title."""
    first = next((b for s in sections for b in s.blocks if b.kind == "heading" and b.level == 1), None)
    return [Section([b for b in s.blocks if b is not first], s.code) for s in sections]


def _without_empty_headings(sections: list[Section], *, code_is_shown: Literal["folded", "open"]) -> list[Section]:
    """Headings under which something stands before the next one of their level or above; folded code is nothing."""
    kept: list[Section] = []
    reach = 0  # read from the end: headings above this level have something under them
    for section in reversed(sections):
        blocks: list[Block] = []
        reach = ANY_LEVEL if section.code and code_is_shown == "open" else reach
        for block in reversed(section.blocks):
            if block.kind == "heading" and block.level >= reach:
                continue
            reach = block.level if block.kind == "heading" else ANY_LEVEL
            blocks.append(block)
        kept.append(Section(blocks[::-1], section.code))
    return kept[::-1]


def _anchored(sections: list[Section]) -> list[Section]:
    """Headings with the ids by which findings and the index name them, each once."""
    taken: dict[str, int] = {}
    found = []
    for section in sections:
        blocks = []
        for block in section.blocks:
            if block.kind in HEADINGS:
                anchor = block.title or anchor_of(block.content)
                taken[anchor] = taken.get(anchor, 0) + 1
                block = block._replace(title=anchor if taken[anchor] == 1 else f"{anchor}-{taken[anchor]}")
            blocks.append(block)
        found.append(Section(blocks, section.code))
    return found
