"""Notes by the analyst: above the findings of the page, in the digest, and never more than text, bold, lists, links."""

from __future__ import annotations

import re
from datetime import datetime
from functools import partial

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from launchpad_lib.contract.findings import Conclusion
from launchpad_lib.page.harvest import harvest
from launchpad_lib.page.notes import MOST_CHARACTERS, NOTE_MIME, note, noted, noted_plain
from launchpad_lib.page.output import FINDINGS_MIME
from launchpad_lib.page.whole_page import PageFacts, page_of
from launchpad_lib.runner.digest import digest_html, digest_markdown, digest_message, digest_of
from launchpad_lib.runner.summary_words import link_to
from tests.summaries import HOSTILE, manifest, notebook

TAGS = {"<p>", "</p>", "<ul>", "</ul>", "<ol>", "</ol>", "<li>", "</li>", "<strong>", "</strong>", "<em>", "</em>", "<br>", "</a>"}  # fmt: skip
BAD = [
    *HOSTILE,
    "<img src=x onerror=alert(1)>",
    "![x](https://evil.example/pixel.png)",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt&colon;alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](//evil.example)",
    "[x](/etc/passwd) [y](../index.html) [z](#answer)",
    "[x](https://good.example@evil.example/)",
    '[x](https://a.example/"onmouseover="alert(1))',
    "[x](https://a.example 'title\" onclick=\"alert(1)')",
    "<https://a.example> https://b.example",
    "# Heading\n\n> quote\n\n```\ncode\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n---\n\n[ref]: javascript:x\n[ref]",
    "<!-- --></section></main><style>*{display:none}</style>",
    "{{ 7*7 }} {% raw %}",
    "* " * 400,
    "[" * 900 + "]" * 900,
    "\ud800 lone",
]


@pytest.mark.parametrize("text", BAD)
def test_whatever_stands_in_a_note_only_text_bold_lists_and_links_to_the_web_come_out(text):
    html = str(noted(text))
    for tag in re.findall(r"<[^>]*>", html):
        link = re.fullmatch(r'<a rel="noopener noreferrer" href="(https?://[^"@<>\s]+)"(?: title="[^"<>]*")?>', tag)
        assert tag in TAGS or re.fullmatch(r'<ol start="\d+">', tag) or link, tag
    assert "\x00" not in html and "\u202e" not in html


def test_what_may_be_said():
    text = "One **bold** word.\nSame paragraph.\n\n- [why](https://wiki.example/a?b=1&c=2)\n- second\n\n1. first"
    html = str(noted(text))
    assert html.startswith("<p>One <strong>bold</strong> word.\nSame paragraph.</p>\n<ul>\n<li>")
    assert '<a rel="noopener noreferrer" href="https://wiki.example/a?b=1&amp;c=2">why</a>' in html
    assert "<ol>\n<li>first</li>\n</ol>" in html
    said = "One bold word. Same paragraph.; why (https://wiki.example/a?b=1&c=2); second; first"
    assert noted_plain(text) == said


def outputs(call) -> list:
    """What a cell shows, as a notebook keeps it."""
    InteractiveShell.instance()
    with capture_output() as came:
        call()
    InteractiveShell.clear_instance()
    return [new_output("display_data", data=one.data) for one in came.outputs]


def page(*texts: str, status: str = "ok") -> tuple[str, object]:
    verdict = Conclusion("The verdict.", ())._asdict() | {"findings": []}
    cells = [
        new_markdown_cell("# Own\n\n## Part"),
        new_code_cell("x", execution_count=1, outputs=[new_output("display_data", data={FINDINGS_MIME: verdict})]),
        *(
            new_code_cell("n", execution_count=2, outputs=[new_output("display_data", data={NOTE_MIME: {"text": t}})])
            for t in texts
        ),
    ]
    nb = new_notebook(cells=cells)
    return page_of(nb, PageFacts("Own", status, None, None, None)), harvest(nb, name="own")


def test_it_stands_above_the_verdict_wherever_its_cell_is_and_once():
    html, said = page("Sale on **Friday**.", "And more.")
    before, _, after = html.partition('<section class="note" aria-label="Note by the analyst">')
    own, _, rest = after.partition("</section>")
    assert "The verdict." not in before and "The verdict." in rest
    assert own.index("Note by the analyst") < own.index("<strong>Friday</strong>") < own.index("And more.")
    assert html.count("And more.") == 1 and said.notes == ["Sale on **Friday**.", "And more."]
    assert '<section class="note"' not in page()[0]


def test_hostile_notes_change_no_page():
    html, _ = page(*BAD)
    bare, _ = page("x")
    for tag in ("<script", "<style", "<img", "<section", "</main>", "<h1", "<h2"):
        assert html.count(tag) == bare.count(tag), tag


@pytest.mark.parametrize("text", ["", " \n", None, 7, "a" * (MOST_CHARACTERS + 1)])
def test_no_note_is_one_sentence(text):
    with pytest.raises(ValueError, match=r"^note.*; (say what the reader should know|shorten it)$"):
        note(text)


def test_a_note_of_a_cell_is_typed_and_legible_without_us():
    (one,) = outputs(partial(note, "A **b** <i>"))
    assert one.data[NOTE_MIME] == {"text": "A **b** <i>"}
    assert one.data["text/plain"] == "Note by the analyst: A b <i>"
    assert "<strong>b</strong> &lt;i&gt;" in one.data["text/html"]


def test_the_digest_has_them_in_each_of_its_forms():
    told = manifest(notebooks=[notebook("funnels", notes=["Sale: [plan](https://w.example/a_b) **now**.", *BAD])])
    digest = digest_of(told)
    assert len(digest.notes) == 4
    link = partial(link_to, "https://reports.example", told.run_id)
    html, _ = digest_html(digest, link=link, pictures="cid")
    assert '<a rel="noopener noreferrer" href="https://w.example/a_b">plan</a> <strong>now</strong>' in html
    assert "<script" not in html and "<b>x" not in html
    markdown = digest_markdown(digest, link=link)
    assert "Note by the analyst, [" in markdown and r"Sale: plan (https://w.example/a\_b) now." in markdown
    assert r"\<b\>x\</b\>" in markdown
    lines = digest_message(told, channel="c", base_url=None, run="w", at=datetime(2026, 1, 1)).lines
    assert any(line.endswith(": Sale: plan (https://w.example/a_b) now.") for line in lines)
