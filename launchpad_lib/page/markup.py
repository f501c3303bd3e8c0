"""The one place where text becomes HTML. Names from the data are text: never markdown, a link, emphasis or a script.

Four kinds of text meet here: plain text (escaped, `visible`), sentences of a notebook's outputs (markdown in which
nothing can become a link, a picture or HTML), an author's own markdown cells, and HTML that another library made (both
cleaned by nh3: no script, no style, nothing that loads or leads the page elsewhere by itself).
"""

from __future__ import annotations

import re

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from launchpad_lib.contract.legible import visible

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

SENTENCES = (
    MarkdownIt("commonmark", {"html": False}).enable("table").disable(["link", "image", "autolink", "reference"])
)
AUTHORED = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])

_TAGS = {
    *(
        "a abbr b bdi blockquote br caption cite code dd del details dfn div dl dt em figcaption figure h1 h2 "
        "h3 h4 h5 h6".split()
    ),
    *(
        "hr i img ins kbd li mark ol p pre q s samp small span strong sub summary sup table tbody td tfoot th "
        "thead".split()
    ),
    *("time tr tt u ul var".split()),
}
_ATTRIBUTES = {
    "*": {"title", "lang", "dir"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "td": {"colspan", "rowspan", "headers"},
    "th": {"colspan", "rowspan", "scope"},
    "ol": {"start"},
    "details": {"open"},
}
# The classes of our own tables and notices; any other could hide a part of the page or pass for one.
_CLASSES = {
    "table": {"wide"},
    "td": {"num", "text", "span"},
    "th": {"num", "text", "span"},
    "div": {"instead"},
    "p": {"quiet"},
}


BELOW_ZERO = re.compile(r"(?<![^ (])-(?=\d+(?:[.,]\d+)* (?:points?\b|%|to [-+−]?\d)|\d+(?:[.,]\d+)*\))")
TOGETHER = re.compile(
    r"(?<=\d) (?=(?:%|points?|ms|s|min|h|days?|kB|MB|times)(?!\w))"  # 90.8 %, 5 points
    r"|(?<=\d) (?:of|to) (?=[-+−]?\d)"  # 3 of 5, -1.3 to +17.8
    r"|(?<=\b[np]) [=<] (?=\d)"  # n = 12, p < 0.001
    r"|(?<=\d) (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)(?: (?=\d{4}\b)|\b)"  # 17 Jan 2026
)


def unbroken(text: str) -> str:
    """Text whose numbers have a minus sign, and stay with their units, counts and limits at the end of a line.

    A matter of pages only: what a run hands to programs and consoles keeps its plain spaces.

    >>> unbroken("90.8 % of 3 of 5, n = 12").replace("\u00a0", "~")
    '90.8~% of 3~of~5, n~=~12'
    >>> unbroken("-5.7 points (-8.8 to -2.6), 2026-01-18, step -5").replace("\u00a0", "~")
    '−5.7~points (−8.8~to~−2.6), 2026-01-18, step -5'
    """
    return TOGETHER.sub(lambda gap: gap.group().replace(" ", "\u00a0"), BELOW_ZERO.sub("−", text))


def plain(text: object) -> Markup:
    """Any text, escaped.

    >>> plain("<b>\\x00")
    Markup('&lt;b&gt;\\\\x00')
    """
    return escape(visible(str(text)))


def sentences(text: str) -> Markup:
    """Markdown of a notebook's output, in which names from the data may stand: emphasis and lists, no more."""
    return Markup(SENTENCES.render(visible(text)))


def authored(text: str, *, attachments: dict[str, dict[str, str]] | None = None) -> Markup:
    """A markdown cell: its author may link, and show pictures that lie in the notebook."""
    for name, kinds in (attachments or {}).items():
        kind, data = next(iter(kinds.items()), ("", ""))
        text = text.replace(f"attachment:{name}", f"data:{kind};base64,{data}")
    return cleaned(AUTHORED.render(visible(text)))


def cleaned(html: str) -> Markup:
    """HTML that somebody else made, without what could run, load, restyle the page or leave it by itself."""
    kept = nh3.clean(
        visible(html),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        allowed_classes=_CLASSES,
        attribute_filter=_attribute,
        url_schemes={"http", "https", "mailto", "data"},
    )
    return Markup(kept)


def _attribute(tag: str, name: str, value: str) -> str | None:
    """Pictures lie in the page; a link is no document of its own."""
    is_data = re.match(r"\s*data:", value, re.IGNORECASE) is not None
    if tag == "img" and name == "src":
        return value if re.match(r"data:image/(png|jpeg|gif|webp|svg\+xml);base64,", value) else None
    return None if name == "href" and is_data else value


def is_blank(html: str) -> bool:
    """Whether cleaned HTML shows nothing at all."""
    return "<img" not in html and not re.sub(r"<[^>]*>|&nbsp;|\s", "", html)
