"""All pages of a run in one HTML file: for a mail, a ticket, a folder that others sync.

It is put together from the pages as they were published, so it says what they say: their ids get the page's name in
front, links between pages become links within the file, and the drawing library lies in it once. Which page is seen is
decided by the address alone, without a script.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import deflate
from markupsafe import Markup

from launchpad_lib.contract.manifest import Manifest
from launchpad_lib.page.environment import page_environment
from launchpad_lib.page.markup import POLICY
from launchpad_lib.page.pictures import CHART_POLICY, DRAW_JS, Packed, packed
from launchpad_lib.runner.summary_words import page_name

MOST_BYTES = 3_000_000
MARK = "<!-- launchpad single-file sha256:{} -->\n"
TAG = re.compile(r"<[a-z][^>]*>")
PACKED = r'id="%s" data-padding="(\d)">([^<]*)</script>'
GRAVE = ("act", "watch")


class Page(NamedTuple):
    """A page within the file: what its address begins with, its name and mark in the bar, and what it shows."""

    key: str
    short: str
    mark: str
    body: Markup


def single_file(folder: Path, manifest: Manifest) -> str:
    """The run's index and every page of it as one document.

    Raises:
        ValueError: a page is missing or was made before pages could be put together, or the file would be larger than
            3 MB.
    """
    names = ["index", *(n.name for n in manifest.notebooks)]
    keys = {name: name if re.fullmatch(r"[A-Za-z]\w*", name) else f"page{k}" for k, name in enumerate(names)}
    texts = {name: _text(folder / f"{name}.html") for name in names}
    styles = {name: _between(texts[name], "<style>", "</style>", folder, name) for name in names}
    said = {n.name: n for n in manifest.notebooks}
    pages: list[Page] = []
    specs: list[dict] = []
    library: Packed | None = None
    for name in names:
        body = _between(texts[name], "<main", "</main>", folder, name)
        foot = _between(texts[name], "<footer>", "</footer>", folder, name)
        mark = "" if name == "index" else _mark(said[name].status, [f.severity for f in said[name].findings])
        short = "Summary" if name == "index" else page_name(said[name].title)
        whole = _within(f"<main{body}</main><footer>{foot}</footer>", name, keys)
        pages.append(Page(keys[name], short, mark, Markup(whole)))
        found = re.search(PACKED % "page_specs", texts[name])
        specs += json.loads(_unpacked(found[2], int(found[1]))) if found else []
        found = re.search(PACKED % "page_library", texts[name])
        library = library or (Packed(Markup(found[2]), int(found[1])) if found else None)
    base, _, index_style = styles["index"].partition("/*own*/")
    own = next((styles[name].partition("/*own*/")[2] for name in names[1:]), "")
    text = (
        page_environment("launchpad_lib.runner")
        .get_template("single.html.j2")
        .render(
            title=f"{manifest.name or manifest.run_id}: {manifest.verdict or manifest.status}",
            policy=CHART_POLICY if library else POLICY,
            base=Markup(base),
            notebook_style=Markup(own),
            index_style=Markup(index_style),
            pages=pages,
            library=library,
            specs=packed(json.dumps(specs)),
            draw=Markup(DRAW_JS),
        )
    )
    text = text.rstrip("\n") + "\n"
    text += MARK.format(_digest(manifest.run_id, text))
    size = len(text.encode())
    if size > MOST_BYTES:
        raise ValueError(
            f"run={str(folder)!r}: its pages in one file are {size / 1e6:.1f} MB, at most {MOST_BYTES / 1e6:.0f} are "
            "made; send the folder, or run fewer notebooks (`sequence`)"
        )
    return text


def is_single_file_of(path: Path, run_id: str) -> bool:
    """Whether a file is the one file of that run as it was written: its last line is a checksum of all before it.

    Raises:
        OSError: it cannot be read.
    """
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MOST_BYTES:
        return False
    text, start, last = path.read_bytes().decode("utf-8", "replace").rpartition(MARK.partition("{")[0])
    return start + last == MARK.format(_digest(run_id, text))


def _digest(run_id: str, text: str) -> str:
    return hashlib.sha256(f"{run_id}\n{text}".encode()).hexdigest()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"page={str(path)!r}: cannot be read ({error.strerror}); make the run again") from None


def _between(text: str, start: str, end: str, folder: Path, name: str) -> str:
    """What stands between two marks of a page of ours; names from data cannot hold them, they are escaped."""
    _, mark, rest = text.partition(start)
    found, last, _ = rest.partition(end)
    if not mark or not last or (start == "<style>" and "/*own*/" not in found):
        raise ValueError(
            f"page={str(folder / name)!r}: was made by an earlier version; make the run again (`launchpad rerun`)"
        )
    return found


def _mark(status: str, severities: list[str]) -> str:
    grave = sum(severity in GRAVE for severity in severities)
    return "failed" if status == "failed" else str(grave) if grave else ""


def _within(html: str, name: str, keys: dict[str, str]) -> str:
    """A page's ids and links as they are within the file; a link that leaves the run's folder leads nowhere."""
    own = keys[name]

    def link(found: re.Match[str]) -> str:
        place, _, anchor = found[1].partition("#")
        target = unquote(place).removesuffix(".html")
        if not place:
            return f' href="#{own}--{anchor}"'
        if place.endswith(".html") and target in keys:
            return f' href="#{keys[target]}--{anchor}"' if anchor else f' href="#page-{keys[target]}"'
        return found[0] if re.match(r"(https?|mailto):", place) else ""

    def moved(tag: re.Match[str]) -> str:
        text = re.sub(r' href="([^"]*)"', link, tag[0])
        text = re.sub(r' (id|for)="([^"]*)"', rf' \1="{own}--\2"', text)
        return re.sub(r"url\(#", f"url(#{own}--", text)

    return TAG.sub(moved, html)


def _unpacked(text: str, padding: int) -> bytes:
    data = base64.b85decode(text.strip().replace(",", "<"))
    whole = data[: len(data) - padding] if padding else data
    return bytes(deflate.gzip_decompress(whole))
