"""What a notebook's cells show, as blocks of a page in order: our typed outputs and those of any other notebook."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import nbformat
from markupsafe import Markup
from wcwidth import strip_sequences

from launchpad_lib.page.chart_data import alt_of, with_tables
from launchpad_lib.page.markup import AUTHORED, authored, cleaned, is_blank, sentences
from launchpad_lib.page.notes import NOTE_MIME, note_text, noted
from launchpad_lib.page.output import (
    APART_MIME,
    FINDINGS_MIME,
    METRIC_MIME,
    SCORECARD_MIME,
    SPEC_MIME,
    TABLE_MIME,
    title_of,
)
from launchpad_lib.page.pictures import lean
from launchpad_lib.page.rendering import renderer, sayable
from launchpad_lib.page.tables import as_cards, with_scope

PAPERMILL_BANNER = "papermill-error-cell-tag"
SPEC_PREFIX = "application/vnd.vegalite.v"
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
CAPTION = re.compile(r"<caption>(.*?)</caption>", re.DOTALL)
HEAD = re.compile(r"<th[ >]")
MOST_OPEN_ROWS, MOST_OPEN_COLUMNS = 12, 7
MOST_LINES = 400
MOST_CHARACTERS = 100_000
MOST_HTML = 1_000_000
MOST_IMAGE = 4_000_000  # characters of base 64


class Block(NamedTuple):
    """One piece of a page.

    `kind` is heading, fold, unfold, text, metric, note, conclusion, findings, chart, no picture, html, table (folded),
    image, printed, messages or error; `content` is what the template of that kind shows; `level` is a heading's,
    `spec` a chart's, as Vega draws it, `alt` what a chart shows in words.
    """

    kind: str
    content: Any
    title: str = ""
    level: int = 0
    spec: dict | None = None
    alt: str = ""


class Failure(NamedTuple):
    """An exception as a reader meets it: its name, its sentence, where it happened, and the traceback for those who
    mend it.
    """

    name: str
    sentence: str
    cell: str
    traceback: str


def notebook_title(notebook: nbformat.NotebookNode, *, otherwise: str) -> str:
    """The text of the first level-one heading."""
    for cell in notebook.cells:
        for heading in _headings(cell.source) if cell.cell_type == "markdown" else ():
            if heading.level == 1:
                return heading.text
    return otherwise


def blocks_of(cell: nbformat.NotebookNode, *, place: int) -> list[Block]:
    """What one cell shows; `place` is its number in the notebook, from 1."""
    if PAPERMILL_BANNER in cell.metadata.get("tags", []):  # the page says by itself what failed
        return []
    if cell.cell_type == "markdown":
        return list(_authored(cell.source, cell.get("attachments", {})))
    if cell.cell_type == "raw":
        return []
    return [block for output in cell.get("outputs", []) for block in _shown(output, cell=cell, place=place)]


def failure_of(output: nbformat.NotebookNode, *, cell: nbformat.NotebookNode, place: int) -> Failure:
    """An error output as it is told."""
    number = cell.get("execution_count")
    return Failure(
        str(output.get("ename", "Error")),
        printed(str(output.get("evalue", ""))),
        f"cell {place}" + (f", In [{number}]" if number else ""),
        printed("\n".join(output.get("traceback", []))),
    )


def printed(text: str) -> str:
    """What a terminal would show at last: no colours, lines overwritten by their last form, the middle of very much
    left out.

    >>> printed("\\x1b[31mred\\x1b[0m\\n10 %\\r100 %\\n")
    'red\\n100 %'
    """
    bare = strip_sequences(text.replace("\r\n", "\n")) if "\x1b" in text else text.replace("\r\n", "\n")
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in bare.rstrip("\n").split("\n")]
    if len(lines) > MOST_LINES:
        half = MOST_LINES // 2
        lines = [*lines[:half], f"… {len(lines) - 2 * half:,} lines are left out …", *lines[-half:]]
    whole = "\n".join(lines)
    if len(whole) > MOST_CHARACTERS:
        half = MOST_CHARACTERS // 2
        whole = f"{whole[:half]}\n… {len(whole) - 2 * half:,} characters are left out …\n{whole[-half:]}"
    return whole


def chart_block(spec: dict) -> Block:
    """A chart's picture and what draws it anew; or its title and the sentence that says why there is no picture."""
    said = sayable(spec)
    title = title_of(said)
    usermeta = said.get("usermeta")
    if isinstance(usermeta, dict) and isinstance(usermeta.get("instead"), str):
        return Block("no picture", usermeta["instead"], title)
    picture = renderer().picture(said)
    if picture.svg is None:
        return Block("no picture", picture.missing_because, title)
    vega = with_tables(picture.vega, said) if picture.vega else None
    return Block("chart", Markup(lean(picture.svg)), title, spec=vega, alt=alt_of(said, title))


class _Heading(NamedTuple):
    level: int
    text: str
    first_line: int
    last_line: int


def _headings(source: str) -> list[_Heading]:
    """The headings of a markdown cell with the lines they stand on."""
    tokens = AUTHORED.parse(source)
    found = []
    for place, token in enumerate(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map:
            words = "".join(
                t.content if t.type in ("text", "code_inline") else " " if t.type == "softbreak" else ""
                for t in tokens[place + 1].children or []
            )
            found.append(_Heading(int(token.tag[1]), words.strip(), token.map[0], token.map[1]))
    return found


def _authored(source: str, attachments: dict) -> Iterator[Block]:
    """A markdown cell, its headings apart from what stands under them."""
    lines, at = source.split("\n"), 0
    for heading in _headings(source):
        yield from _text("\n".join(lines[at : heading.first_line]), attachments)
        if heading.text:
            yield Block("heading", heading.text, level=heading.level)
        at = heading.last_line
    yield from _text("\n".join(lines[at:]), attachments)


def _text(source: str, attachments: dict) -> Iterator[Block]:
    if source.strip():
        yield Block("text", authored(source, attachments=attachments))


def _shown(output: nbformat.NotebookNode, *, cell: nbformat.NotebookNode, place: int) -> Iterator[Block]:
    """One output in its richest form that a page of one file can hold."""
    if output.output_type == "error":
        yield Block("error", failure_of(output, cell=cell, place=place))
        return
    if output.output_type == "stream":
        text = printed(_joined(output.get("text", "")))
        if text.strip():
            yield Block("messages" if output.get("name") == "stderr" else "printed", text)
        return
    data = output.get("data", {})
    spec = next((data[kind] for kind in data if kind == SPEC_MIME or kind.startswith(SPEC_PREFIX)), None)
    html, image = _joined(data.get("text/html", "")), next((kind for kind in IMAGES if kind in data), None)
    if METRIC_MIME in data:
        yield Block("metric", data[METRIC_MIME])
    elif NOTE_MIME in data:
        yield Block("note", noted(note_text(data[NOTE_MIME])))
    elif FINDINGS_MIME in data:
        yield Block("conclusion", data[FINDINGS_MIME])
    elif APART_MIME in data:
        for part in data[APART_MIME]:
            yield Block("heading", part["heading"], part["anchor"], level=3)
            yield Block("findings", part["findings"])
    elif isinstance(spec, dict) or (spec := _altair(html)) is not None:
        yield chart_block(spec)
    elif html:
        shown = _foreign(html)
        if shown.kind == "html" and SCORECARD_MIME in data:
            shown = shown._replace(content=as_cards(shown.content))
        yield _folded(shown) if TABLE_MIME in data and shown.kind == "html" else shown
    elif image is not None:
        yield _image(image, _joined(data[image]))
    elif "text/markdown" in data:
        yield Block("text", sentences(_joined(data["text/markdown"])))
    else:
        text = printed(_joined(data.get("text/latex", "") or data.get("text/plain", "")))
        if text.strip():
            yield Block("printed", text)


def _joined(text: Any) -> str:
    return "".join(text) if isinstance(text, list) else str(text)


def _altair(html: str) -> dict | None:
    """The specification within the HTML that Altair shows by default, which would load its drawing library from the
    network.
    """
    _, mark, rest = html.partition("})({")
    if not mark or "vega-embed" not in html:
        return None
    try:
        spec, _ = json.JSONDecoder().raw_decode("{" + rest)
    except ValueError:
        return None
    return spec if "vega-lite" in str(spec.get("$schema", "")) else None


def _foreign(html: str) -> Block:
    """HTML of another library; what it would do by script cannot be shown."""
    if len(html) > MOST_HTML:
        return Block(
            "no picture", f"It is {len(html) / 1e6:.1f} MB of HTML; at most {MOST_HTML / 1e6:.0f} MB are shown."
        )
    kept = cleaned(html)
    if is_blank(kept):
        return Block("no picture", "It is drawn by a script of another library, and a page runs none but its own.")
    return Block("html", kept)


def _folded(table: Block) -> Block:
    """A result table that is too large to be read in passing stands folded, under what a row of it is."""
    rows, columns = table.content.count("<tr>"), len(HEAD.findall(table.content))
    if rows - 1 <= MOST_OPEN_ROWS and columns <= MOST_OPEN_COLUMNS:
        return table._replace(content=as_cards(table.content))
    caption = CAPTION.search(table.content)
    if caption is None:
        return table
    inner = Markup(with_scope(CAPTION.sub("", table.content, count=1)))
    return Block("table", inner, Markup(caption[1]).unescape())


def _image(kind: str, data: str) -> Block:
    encoded = base64.b64encode(data.encode()).decode() if kind == "image/svg+xml" else "".join(data.split())
    if len(encoded) > MOST_IMAGE:
        return Block("no picture", f"The picture is {len(encoded) * 0.75 / 1e6:.1f} MB large; at most 3 MB are shown.")
    return Block("image", f"data:{kind};base64,{encoded}")
