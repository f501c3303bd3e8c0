"""What the analyst wants to have said of a page: `note("...")`, shown above its findings."""

from __future__ import annotations

import re
from typing import Any

from IPython.display import display
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from launchpad_lib.contract.legible import visible

NOTE_MIME = "application/vnd.launchpad.note+json"
HEADING = "Note by the analyst"
MOST_CHARACTERS = 2_000


class _Notes(MarkdownIt):
    """Paragraphs, bold and emphasis, lists, links to http and https; all else is text."""

    def __init__(self) -> None:
        super().__init__("zero", {"html": False})
        self.enable(["escape", "emphasis", "list", "link", "newline"])

    def validateLink(self, url: str) -> bool:  # noqa: N802  # the library's name
        """A link that leads elsewhere stays text."""
        return re.match(r"https?://[^/?#@]+(?:[/?#]|$)", url, re.IGNORECASE) is not None


NOTES = _Notes()


def note(text: str) -> None:
    """Shows a note above the findings of the page, under "Note by the analyst"; the run's digest has it, too.

    Args:
        text: at most 2,000 characters of Markdown: paragraphs, `**bold**`, lists, links to http and https. Anything
            else of Markdown, and all HTML, is text.

    Raises:
        ValueError: it is no text, empty, or longer.
    """
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"note={str(text)[:40]!r}: must be a text that is not empty; say what the reader should know")
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"note: has {len(text):,} characters, at most {MOST_CHARACTERS:,} are shown; shorten it")
    shown = f"<p><strong>{HEADING}</strong></p>{noted(text)}"
    said = text.encode("utf-8", "backslashreplace").decode()
    display({NOTE_MIME: {"text": said}, "text/html": shown, "text/plain": f"{HEADING}: {noted_plain(text)}"}, raw=True)


def note_text(data: Any) -> str:
    """The text of a typed output, whoever wrote the notebook's file."""
    return str(data.get("text", "") if isinstance(data, dict) else data)[:MOST_CHARACTERS]


def noted(text: str) -> Markup:
    """A note as HTML.

    >>> print(noted("**Sales** day, <b>not</b> [a](javascript:x)").strip())
    <p><strong>Sales</strong> day, &lt;b&gt;not&lt;/b&gt; [a](javascript:x)</p>
    """
    return Markup(NOTES.render(visible(text)).replace("<a href=", '<a rel="noopener noreferrer" href='))


def noted_plain(text: str) -> str:
    """A note on one line of plain text, addresses in brackets.

    >>> noted_plain("**Sales** day\\n\\n- [why](https://x.example/a)\\n- b")
    'Sales day; why (https://x.example/a); b'
    """
    told = [_plain(token.children or []) for token in NOTES.parse(visible(text)) if token.type == "inline"]
    return "; ".join(" ".join(one.split()) for one in told)


def _plain(tokens: list[Token]) -> str:
    told, address = [], ""
    for token in tokens:
        if token.type == "link_open":
            address = str(token.attrs.get("href", ""))
        elif token.type == "link_close":
            told.append(f" ({address})")
        else:
            told.append(" " if token.type in ("softbreak", "hardbreak") else token.content)
    return "".join(told)
