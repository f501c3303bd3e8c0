"""Executed notebooks as self-contained pages: no server, no network request, one file each."""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
import json
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import deflate
import jinja2
import nbformat
from markdown_it import MarkdownIt
from markupsafe import Markup

from launchpad_lib.page.output import FINDINGS_MIME, METRIC_MIME, SPEC_MIME, formatted, formatted_span, title_of
from launchpad_lib.page.rendering import renderer, sayable

# Raw HTML in markdown stays text, and nothing in it becomes a link or a picture: names from the data may stand in it.
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["link", "image", "autolink", "reference"])
DRAW_JS = (Path(__file__).parent / "templates" / "draw.js").read_text(encoding="utf-8")
# Only the one script whose hash is named may run, and the drawing library it unpacks (Vega compiles expressions, hence
# unsafe-eval). Nothing may be fetched from anywhere.
SCRIPT_HASH = base64.b64encode(hashlib.sha256(DRAW_JS.encode()).digest()).decode()
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
REFUSED = "Refused"  # the exception of contract.estimates, as a notebook's error output names it
CHART_POLICY = f"{POLICY}; script-src 'sha256-{SCRIPT_HASH}' 'unsafe-eval' blob:"


@functools.cache
def _drawing_library() -> Packed | None:
    """Vega, Vega-Lite and Vega-Embed in one script; None where it cannot be had."""
    library = renderer().drawing_library()
    return None if library is None else _packed(library)


class Packed(NamedTuple):
    """Gzipped bytes as text, and how many zero bytes stand behind them."""

    text: Markup
    padding: int


def _packed(text: str) -> Packed:
    """Gzipped, in base 85 with "," for "<": a fifth smaller than base 64, and nothing in it can be taken for a tag."""
    data = bytes(deflate.gzip_compress(text.encode(), 10))
    return Packed(Markup(base64.b85encode(data, pad=True).decode().replace("<", ",")), -len(data) % 4)


def page_environment(*rooms: str) -> jinja2.Environment:
    """Jinja with the page's templates, those of other rooms (packages) and the filters of numbers."""
    loader = jinja2.ChoiceLoader([jinja2.PackageLoader(room) for room in ("launchpad_lib.page", *rooms)])
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["markdown"] = lambda text: Markup(MARKDOWN.render(text))
    environment.filters["bullets"] = lambda lines: Markup(MARKDOWN.render("\n".join(f"- {line}" for line in lines)))
    environment.filters["groupby_adjacent"] = lambda blocks: [
        (k, list(g)) for k, g in itertools.groupby(blocks, key=lambda b: b["kind"])
    ]
    environment.filters["formatted"] = formatted
    environment.globals["span"] = formatted_span
    return environment


# What an SVG element has anyway, or what the page's style gives every picture.
UNSAID = re.compile(
    r' (?:(?:aria-[a-z]+|role|class|pointer-events)="[^"]*"|opacity="1"|stroke-width="1"|stroke-miterlimit="10"|font-family="sans-serif"|font-size="12px"|text-anchor="start")'
)


PAINT = re.compile(
    r'(?: (?:fill|stroke|fill-opacity|stroke-opacity|stroke-width|stroke-dasharray|font-size|font-weight|text-anchor|opacity)="[#\w.,%() -]*")+'
)


def _lean(svg: str) -> str:
    """The picture without what readers cannot see: tenths of a pixel are enough, and the figure has one label for all of it."""
    # Two pictures of one page may both name a gradient "gradient_0"; a browser takes the first, which may be hidden.
    own = hashlib.md5(svg.encode()).hexdigest()[:6]
    svg = re.sub(r'(\bid="|url\(#)(?=[A-Za-z])', rf"\g<1>p{own}-", svg)
    shapes = re.sub(
        r' (?:d|transform)="[^"]*"',
        lambda m: re.sub(r"\d+\.\d{2,}", lambda n: f"{float(n[0]):.1f}".removesuffix(".0"), m[0]),
        svg,
    )
    # Attributes only: text between tags is left alone.
    lean = re.sub(r"<[a-z][^>]*>", lambda tag: UNSAID.sub("", tag[0]), shapes)
    runs = Counter(run for tag in re.findall(r"<[a-z][^>]*>", lean) for run in PAINT.findall(tag))
    names = {
        run: f"k{hashlib.md5(run.encode()).hexdigest()[:6]}"
        for run, times in runs.items()
        if times * (len(run) - 16) > 150
    }
    rules = "".join(f".{name}{{{_rule(run)}}}" for run, name in names.items())
    classed = re.sub(
        r"<[a-z][^>]*>",
        lambda tag: PAINT.sub(lambda run: f' class="{names[run[0]]}"' if run[0] in names else run[0], tag[0], count=1),
        lean,
    )
    return f"<style>{rules}</style>{classed}" if rules else classed


def _rule(run: str) -> str:
    """Attributes of painting as a style; the colour of text is the page's."""
    return ";".join(
        f"{name}:{'var(--quiet)' if value == '#5c636d' else value}"
        for name, value in re.findall(r'([a-z-]+)="([^"]*)"', run)
    )


def _blocks(cell: nbformat.NotebookNode) -> list[dict]:
    """What a cell shows: kind and content, in order."""
    if cell.cell_type == "markdown":
        return [{"kind": "markdown", "content": cell.source}]
    blocks: list[dict] = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if METRIC_MIME in data:
            blocks.append({"kind": "metric", "content": data[METRIC_MIME]})
        elif FINDINGS_MIME in data:
            blocks.append({"kind": "conclusion", "content": data[FINDINGS_MIME]})
        elif SPEC_MIME in data:
            blocks.append(_chart(data[SPEC_MIME]))
        elif "text/markdown" in data:
            blocks.append({"kind": "markdown", "content": data["text/markdown"]})
        elif "text/html" in data:
            # Tables are made by `show`, which escapes; the page's policy forbids scripts whoever wrote them.
            blocks.append({"kind": "table", "content": Markup(data["text/html"])})
        elif output.output_type == "error" and output.ename != REFUSED:  # the page says at its top why it refuses
            blocks.append({"kind": "error", "content": f"{output.ename}: {output.evalue}"})
        elif output.get("text") and output.get("name") == "stdout":
            blocks.append({"kind": "text", "content": output["text"]})
    return blocks


def _chart(spec: dict) -> dict:
    """A chart's picture and what draws it anew; or its title and the sentence that says why there is none."""
    said = sayable(spec)
    title = title_of(said)
    empty = said.get("usermeta")
    if isinstance(empty, dict) and isinstance(empty.get("instead"), str):
        return {"kind": "no picture", "title": title, "content": empty["instead"]}
    picture = renderer().picture(said)
    if picture.svg is None:
        return {"kind": "no picture", "title": title, "content": picture.missing_because}
    return {"kind": "chart", "content": Markup(_lean(picture.svg)), "title": f"chart: {title}", "spec": said}


def _without_last_heading(text: str) -> str:
    """The text without a heading at its very end: what stood under it is at the top of the page."""
    head, _, last = text.rstrip().rpartition("\n")
    return head if last.startswith("#") else text


def _without_title(text: str) -> str:
    """The page has its title already."""
    first, _, rest = text.partition("\n")
    return rest if first.startswith("# ") else text


def publish_notebook(
    notebook: nbformat.NotebookNode,
    *,
    html_path: Path,
    title: str,
    status: str,
    reason: str | None,
    context: dict,
    last_good: str | None,
) -> None:
    """Writes one page, its conclusion at the top; `reason` is why it failed or refused."""
    sections, answers = [], []
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        section = {"blocks": _blocks(cell), "code": cell.source if cell.cell_type == "code" else None}
        if "answer" in tags or any(b["kind"] == "conclusion" for b in section["blocks"]):
            answers += section["blocks"]
            section["blocks"] = []
            shown = [b for earlier in sections for b in earlier["blocks"]][-1:]
            if shown and shown[0]["kind"] == "markdown":
                shown[0]["content"] = _without_last_heading(shown[0]["content"])
        sections.append(section)
    if sections and sections[0]["blocks"] and sections[0]["blocks"][0]["kind"] == "markdown":
        sections[0]["blocks"][0]["content"] = _without_title(sections[0]["blocks"][0]["content"])
    # In the order in which the page shows them: the answer first.
    specs = [b["spec"] for b in [*answers, *(b for s in sections for b in s["blocks"])] if b["kind"] == "chart"]
    page = page_environment().get_template("notebook.html.j2")
    text = page.render(
        title=title, status=status, reason=reason, context=context, last_good=last_good, sections=sections, answers=answers,
        policy=CHART_POLICY if specs else POLICY, library=_drawing_library() if specs else None, specs=_packed(json.dumps(specs)), draw=Markup(DRAW_JS),
    )  # fmt: skip
    html_path.write_text(text, encoding="utf-8")
