"""Pictures and the drawing library as they lie in a page: small, and with names of their own."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import re
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import deflate
from markupsafe import Markup

from launchpad_lib.contract.palette import PALETTE
from launchpad_lib.contract.whole_files import write_whole
from launchpad_lib.page.markup import POLICY
from launchpad_lib.page.rendering import LIBRARY, renderer

DRAW_JS = (Path(__file__).parent / "templates" / "draw.js").read_text(encoding="utf-8")
# Only the one script whose hash is named may run, and the drawing library that it unpacks. Nothing may be fetched from
# anywhere, and no text is ever run.
SCRIPT_HASH = base64.b64encode(hashlib.sha256(DRAW_JS.encode()).digest()).decode()
CHART_POLICY = f"{POLICY}; script-src 'sha256-{SCRIPT_HASH}' 'strict-dynamic'"
KEPT = Path(__file__).parent / "__pycache__"


class Packed(NamedTuple):
    """Gzipped bytes as text, and how many zero bytes stand behind them."""

    text: Markup
    padding: int


def packed(text: str) -> Packed:
    """Gzipped, in base 85 with "," for "<": a fifth smaller than base 64, and nothing in it can be taken for a tag."""
    data = bytes(deflate.gzip_compress(text.encode(), 10))
    return Packed(Markup(base64.b85encode(data, pad=True).decode().replace("<", ",")), -len(data) % 4)


@functools.cache
def drawing_library() -> Packed | None:
    """Vega in one script; None where it cannot be had.

    Bundled and packed once for each version of the drawing program, which takes a second and a half: after that it is
    read from beside the compiled modules, and made anew where it is not whole.
    """
    bundled = hashlib.md5(LIBRARY.encode(), usedforsecurity=False).hexdigest()[:8]
    made_of = "-".join((version("vl-convert-python"), version("deflate"), bundled))
    place = KEPT / f"drawing-library-{made_of}.txt"
    kept = _kept(place)
    if kept is not None:
        return kept
    library = renderer().drawing_library()
    if library is None:
        return None
    made = packed(library)
    with contextlib.suppress(OSError):  # a package that cannot be written to bundles anew in every run
        place.parent.mkdir(exist_ok=True)
        write_whole(place, f"{hashlib.sha256(made.text.encode()).hexdigest()} {made.padding} {made.text}")
    return made


def _kept(place: Path) -> Packed | None:
    """What is kept, if it is whole."""
    try:
        digest, padding, text = place.read_text(encoding="ascii").split(" ", 2)
        is_whole = hashlib.sha256(text.encode()).hexdigest() == digest
        return Packed(Markup(text), int(padding)) if is_whole else None
    except (OSError, ValueError):
        return None


TAG = re.compile(r"<[a-z][^>]*>")  # the drawing program escapes ">" in attributes
SHAPE = re.compile(r' (?:d|transform)="[^"]*"')
FRACTION = re.compile(r"\d+\.\d{2,}")
# What an SVG element has anyway, or what the page's style gives every picture.
UNSAID = re.compile(
    r" "
    r'(?:(?:aria-[a-z]+|role|class|pointer-events)="[^"]*"|opacity="1"|stroke-width="1"|'
    r'stroke-miterlimit="10"|version="1.1"|xmlns:xlink="[^"]*"|transform="translate\(0,0\)"|'
    r'font-weight="normal"|font-family="sans-serif"|font-size="12px"|text-anchor="start")'
)


# What Vega draws where there is no background and no foreground; and colours in the longer of two ways.
EMPTY_PATH = re.compile(
    r'<path d="(?:M0,0h0v0h0Z)?"(?: display="none")?/>|<path d="[^"]*" stroke="#ddd" stroke-opacity="0"/>'
)
RGB = re.compile(r'"rgb\((\d{1,3}), ?(\d{1,3}), ?(\d{1,3})\)"')

PAINT = re.compile(
    r"(?: "
    r"(?:fill|stroke|fill-opacity|stroke-opacity|stroke-width|stroke-dasharray|"
    r'font-size|font-weight|text-anchor|opacity)="[#\w.,%() -]*")+'
)


def lean(svg: str) -> str:
    """The picture without what readers cannot see: tenths of a pixel are enough, and the figure has one label for all
    of it.
    """
    # Two pictures of one page may both name a gradient "gradient_0"; a browser takes the first, which may be hidden.
    own = hashlib.md5(svg.encode(), usedforsecurity=False).hexdigest()[:6]

    def said_shortly(tag: re.Match[str]) -> str:
        named = re.sub(r'(\bid="|url\(#)(?=[A-Za-z])', rf"\g<1>p{own}-", tag[0])
        short = UNSAID.sub("", SHAPE.sub(lambda shape: FRACTION.sub(_in_tenths, shape[0]), named))
        short = RGB.sub(_hex, short)
        # Text that says no colour has the page's quiet one, the theme's; lines end at 0 where they do not say it.
        short = short.replace(' fill="#5c636d"', "") if short.startswith("<text") else short
        short = re.sub(r' [xy]2="0"', "", short) if short.startswith("<line") else short
        # Where it is comes first, so that all of how it looks stands together and can have one name.
        return re.sub(r'^(<text)( [^>]*?)( transform="[^"]*")', r"\1\3\2", short)

    # Tags only: text between them is left alone, for a name from the data may read like an attribute.
    lean = _without_bare_groups(EMPTY_PATH.sub("", TAG.sub(said_shortly, svg)))
    runs = Counter(run for tag in TAG.findall(lean) for run in PAINT.findall(tag))
    names = {
        run: f"k{hashlib.md5(run.encode(), usedforsecurity=False).hexdigest()[:6]}"
        for run, times in runs.items()
        if times * (len(run) - 16) > 150
    }
    rules = "".join(f".{name}{{{_rule(run)}}}" for run, name in names.items())
    classed = TAG.sub(
        lambda tag: PAINT.sub(lambda run: f' class="{names[run[0]]}"' if run[0] in names else run[0], tag[0], count=1),
        lean,
    )
    return f"<style>{rules}</style>{classed}" if rules else classed


def _hex(colour: re.Match[str]) -> str:
    return f'"#{int(colour[1]):02x}{int(colour[2]):02x}{int(colour[3]):02x}"'


def _without_bare_groups(svg: str) -> str:
    """Without the groups that say nothing; what they hold stays.

    >>> _without_bare_groups('<g><g fill="none"><g>a</g></g></g>')
    '<g fill="none">a</g>'
    """
    parts: list[str] = []
    open_groups: list[bool] = []
    for part in re.split(r"(<[^>]*>)", svg):
        if part == "</g>" and not open_groups.pop():
            continue
        if part == "<g>" or (part.startswith("<g ") and not part.endswith("/>")):
            open_groups.append(part != "<g>")
        if part != "<g>":
            parts.append(part)
    return "".join(parts)


def _in_tenths(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}".removesuffix(".0")


def _rule(run: str) -> str:
    """Attributes of painting as a style; the colours of charts are the page's."""
    return ";".join(
        f"{name}:{f'var(--{PALETTE[value]})' if value in PALETTE else value}"
        for name, value in re.findall(r'([a-z-]+)="([^"]*)"', run)
    )
