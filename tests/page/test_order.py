"""In which order a page is read: orders by hand from `shared` rules (verdict, chart, numbers, words, explanations folded)."""

from __future__ import annotations

import pytest

from launchpad_lib.page.blocks import Block
from launchpad_lib.page.order import Lede, Section, chart_first, folded, lede


def of(*kinds: str) -> list[Block]:
    """Blocks by their kinds; `# words` is a heading."""
    return [Block("heading", k[2:], level=2) if k.startswith("# ") else Block(k, k) for k in kinds]


def read(sections: list[Section]) -> list[str]:
    return [f"# {b.content}" if b.kind == "heading" else b.kind for s in sections for b in s.blocks]


def ordered(*cells: tuple[str, ...]) -> list[str]:
    return read(chart_first([Section(of(*cell), "code") for cell in cells]))


def test_the_first_chart_stands_over_the_numbers_and_words_of_its_part():
    assert ordered(("# Who", "text"), ("metric",), ("metric", "chart", "html", "metric"), ("# Then", "chart")) == (
        ["# Who", "chart", "metric", "metric", "text", "html", "metric", "# Then", "chart"]
    )


def test_an_open_table_that_comes_first_leads_as_a_chart_does():
    assert ordered(("# Each", "text"), ("metric", "html", "chart")) == ["# Each", "html", "metric", "text", "chart"]


def test_the_introduction_goes_to_the_end():
    assert ordered(("text",), ("# Who", "chart")) == ["# Who", "chart", "# Question", "text"]


@pytest.mark.parametrize(
    "cells",
    [
        (("# Who", "text"), ("# Then",), ("chart",)),
        (("# Who",), ("printed", "chart")),
        (("# Who",), ("table", "chart")),
        (("# Who", "text"), ("metric",)),
    ],
)
def test_a_page_whose_chart_does_not_lead_or_that_has_none_stays_as_it_is(cells):
    assert ordered(*cells) == [kind for cell in cells for kind in cell]


def test_every_block_is_kept_once_and_code_stays_with_its_cell():
    cells = [Section(of("text"), None), Section(of("# A", "text", "metric"), "a"), Section(of("chart", "table"), "b")]
    moved = chart_first(cells)
    assert sorted(read(moved)) == sorted([*read(cells), "# Question"])
    assert [s.code for s in moved[:3]] == [None, "a", "b"]


def test_what_explains_is_folded_up_to_the_next_heading_of_its_level():
    cells = [
        Section(of("# Doubts", "text", "# Terms", "text"), None),
        Section(of("# Methodical", "# Method and its limits"), None),
    ]
    cells.append(Section([Block("heading", "Deeper", level=3), *of("html")], "c"))
    assert read(folded(cells)) == (
        ["# Doubts", "text", "fold", "text", "unfold", "# Methodical", "fold", "# Deeper", "html", "unfold"]
    )


def test_a_long_finding_is_cut_where_a_sentence_then_a_clause_ends_never_inside_brackets():
    start, rest = "p95 rose to 400 ms since 14 Jan, near the release", "and 282 users felt it, " * 6 + "too."
    assert lede(f"{start}; {rest}") == Lede(f"{start};", rest)
    assert lede(f"{start}: it did. So; {rest}") == Lede(f"{start}: it did.", f"So; {rest}")
    assert lede(f"{start} (dated; {rest}) end") == Lede(f"{start} (dated; {rest}) end", "")
    assert lede(f"{start} of “a; b {rest}").rest == ""
    assert lede("x " * 90 + "end; " + "y" * 40) == Lede("x " * 90 + "end;", "y" * 40)
    assert lede("Short; and whole.") == Lede("Short; and whole.", "")
