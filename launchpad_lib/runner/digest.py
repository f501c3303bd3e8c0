"""The digest of a run, for those who read mail: the verdict, what to do, each feature worst first, headline numbers.

Made from the manifest alone, as the index is; it chooses and shortens and computes nothing.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Literal, NamedTuple

from markupsafe import Markup

from launchpad_lib.contract.legible import shortened, visible
from launchpad_lib.contract.manifest import Cell, Manifest
from launchpad_lib.contract.sentences import counted
from launchpad_lib.delivery.message import Message, Picture, key_of, one_line
from launchpad_lib.page.environment import page_environment
from launchpad_lib.page.notes import noted, noted_plain
from launchpad_lib.page.output import formatted, short, short_span
from launchpad_lib.page.rendering import renderer
from launchpad_lib.page.small_png import small_png
from launchpad_lib.page.sparks import SPARK_HEIGHT, SPARK_WIDTH, round_top, spark
from launchpad_lib.runner.summary import GLYPHS, Row, Summary, Task, Tile, summary
from launchpad_lib.runner.summary_words import address, change_words, link_to, page_name, stopped_words

MOST_ROWS, MOST_NUMBERS, MOST_CHARACTERS = 12, 4, 280
MOST_NOTES, MOST_OF_A_NOTE = 4, 500
PICTURE_BYTES = 45_000
"""Pictures of a digest together; as text of a mail they are a third larger, and the whole is under 100 KB."""
STYLE = (
    ".ln{fill:none;stroke:#3b7cc9;stroke-width:1.8}.dot{fill:#3b7cc9}.ref{stroke:#7d848e;stroke-dasharray:3 3}"
    ".worse .ln{stroke:#d0453a}.worse .dot{fill:#d0453a}"
)
SPECIAL = re.compile(r"([\\`*_\[\]<>|~#&!])")


class Line(NamedTuple):
    """One feature or number: what it is called, its word, further words, where it is proved, its line and what the line
    shows.
    """

    name: str
    severity: str
    word: str
    more: tuple[str, ...]
    page: str
    svg: Markup
    alt: str


class Noted(NamedTuple):
    """A note by the analyst: the name of its page, the page, and the note in Markdown."""

    name: str
    page: str
    text: str

    @property
    def html(self) -> Markup:
        """As HTML."""
        return noted(self.text)


class Digest(NamedTuple):
    """The parts of a digest in the order in which they are read."""

    title: str
    about: str
    verdict: str
    failed: tuple[str, ...]
    notes: tuple[Noted, ...]
    tasks: tuple[Task, ...]
    features: tuple[Line, ...]
    more_features: int
    numbers: tuple[Line, ...]
    periods: str | None
    refused: int


Links = Callable[[str], str | None]
"""The address of a page of the run, or None where a link would lead nowhere."""


def digest_of(manifest: Manifest) -> Digest:
    """The digest of a run."""
    s = summary(manifest)
    stopped = stopped_words(manifest)
    about = [s.period or "", counted(len(s.rows), "feature") if s.rows else "", stopped]
    moving = [t for t in s.tiles if t.metric.series or t.metric.change] or s.tiles
    return Digest(
        title=str(manifest.name or manifest.run_id),
        about=" · ".join(part for part in about if part),
        verdict=_cut(s.verdict),
        failed=tuple(
            _cut(f"{p.short} failed: {p.reason or 'no reason is given'}", most=140)
            for p in s.pages
            if p.status == "failed"
        ),
        notes=tuple(
            Noted(page_name(n.title), n.html, text if len(text) <= MOST_OF_A_NOTE else f"{text[:MOST_OF_A_NOTE]}…")
            for n in manifest.notebooks
            for text in n.notes
        )[:MOST_NOTES],
        tasks=tuple(t._replace(headline=_cut(t.headline), detail=_cut(t.detail)) for t in s.tasks),
        features=tuple(_feature(r) for r in s.rows[:MOST_ROWS]),
        more_features=max(len(s.rows) - MOST_ROWS, 0),
        numbers=tuple(_number(t, s) for t in moving[:MOST_NUMBERS]),
        periods=s.periods,
        refused=len(s.doubts),
    )


def _cut(text: str, *, most: int = MOST_CHARACTERS) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _feature(row: Row) -> Line:
    f = row.feature
    used = f"used by {short(f.used.value, f.used.unit)}" if f.used.value is not None and f.used.unit else ""
    worked = f"did it work: {f.worked.word}{_limits(f.worked)}" if f.worked.word != "not asked" else ""
    latency = ""
    if f.objective.value is not None:
        latency = f"p95 {formatted(f.objective.value, f.objective.unit or 'ms')}"
        latency += f", objective {formatted(f.objective.limit, f.objective.unit or 'ms')}" if f.objective.limit else ""
    alt = ""
    if row.line:
        alt = f"Daily p95 latency of {shortened(f.feature_name)} as a share of its objective; {latency}"
    return Line(
        name=shortened(f.feature_name),
        severity=f.health.severity,
        word=f.health.word,
        more=tuple(part for part in (latency, used, worked) if part),
        page=address(f.health.page, f.health.anchor),
        svg=Markup(f'<g class="worse">{row.line}</g>') if row.line and f.objective.severity == "act" else row.line,
        alt=alt,
    )


def _limits(cell: Cell) -> str:
    if cell.ci_low is None or cell.ci_high is None or not cell.unit:
        return ""
    return f" ({short_span(cell.ci_low, cell.ci_high, cell.unit)})"


def _number(tile: Tile, s: Summary) -> Line:
    m = tile.metric
    told = []
    if m.ci_low is not None and m.ci_high is not None:
        told.append(f"{short_span(m.ci_low, m.ci_high, m.unit)}" + (f", n = {m.n:,}" if m.n is not None else ""))
    if m.change is not None and not m.change.refused_because:
        told.append(change_words(m.change, m, s.periods))
    known = [d.value for d in m.series if d.is_complete and d.value is not None and math.isfinite(d.value)]
    line, alt = Markup(""), ""
    if len(known) > 1 and min(known) >= 0:
        line = spark([d.value for d in m.series if d.is_complete], top=round_top(max(known)))
        told_of = [short(v, m.unit) for v in (max(known), min(known), known[-1])]
        alt = f"{m.label} by day from 0: highest {told_of[0]}, lowest {told_of[1]}, last {told_of[2]}"
    whose = next((r.feature.feature_name for r in s.rows if r.feature.feature_id == m.segment), m.segment)
    label = m.label if not whose or whose in m.label else f"{m.label}, {shortened(whose)}"
    return Line(label, "fine", short(m.value, m.unit), tuple(told), tile.href, line, alt)


def digest_html(digest: Digest, *, link: Links, pictures: Literal["cid", "data"]) -> tuple[str, tuple[Picture, ...]]:
    """The digest as HTML whose styles every mail program knows, and its pictures.

    Args:
        pictures: `cid` names them, for a mail that has them within; `data` writes them into the page.
    """
    drawn: dict[str, bytes] = {}
    room = PICTURE_BYTES - 3 * sum(len(n.html.encode()) for n in digest.notes)  # as mail writes what is not ASCII
    for i, one in enumerate([*digest.features, *digest.numbers]):
        png = renderer().png(_whole(one.svg)) if one.svg else None
        small = small_png(png) if png is not None else b""
        if small and sum(map(len, drawn.values())) + len(small) <= room:
            drawn[f"line-{i}"] = small

    def source(i: int) -> str:
        name = f"line-{i}"
        if name not in drawn:
            return ""
        return f"cid:{name}" if pictures == "cid" else f"data:image/png;base64,{base64.b64encode(drawn[name]).decode()}"

    page = (
        page_environment("launchpad_lib.runner")
        .get_template("digest.html.j2")
        .render(d=digest, link=link, source=source, glyphs=GLYPHS, width=SPARK_WIDTH, height=SPARK_HEIGHT)
    )
    return page, tuple(Picture(name, png) for name, png in drawn.items()) if pictures == "cid" else ()


def _whole(svg: Markup) -> str:
    """A line of the page as an SVG that stands by itself."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{SPARK_WIDTH}" height="{SPARK_HEIGHT}">'
    return f"{head}<style>{STYLE}</style>{svg}</svg>"


def digest_markdown(digest: Digest, *, link: Links) -> str:
    """The digest as Markdown; names from the data are text in it."""

    def proof(words: str, page: str) -> str:
        to = link(page) if page else None
        return f"[{words}]({to})" if to else words

    lines = [
        f"# {_escaped(digest.verdict)}",
        "",
        _escaped(" · ".join(p for p in (digest.title, digest.about) if p)),
        "",
    ]
    lines += [f"**{_escaped(text)}**\n" for text in digest.failed]
    for own in digest.notes:
        lines.append(f"Note by the analyst, {proof(_escaped(own.name), own.page)}: {_escaped(noted_plain(own.text))}\n")
    if digest.tasks:
        lines += ["## Do this", ""]
        for i, t in enumerate(digest.tasks, 1):
            rest = f". {_escaped(t.detail)}" if t.detail else "."
            lines.append(f"{i}. **{t.verb.capitalize()}**: {_escaped(t.headline)}{rest} {proof('Proof', t.href)}")
        lines.append("")
    if digest.features:
        lines += ["## Each feature, worst first", ""]
        for one in digest.features:
            word = proof(_escaped(f"{GLYPHS[one.severity]} {one.word}"), one.page)
            lines.append(f"- **{_escaped(one.name)}**: {'; '.join([word, *map(_escaped, one.more)])}")
        if digest.more_features:
            lines.append(f"- and {digest.more_features} more")
        lines.append("")
    if digest.numbers:
        lines += ["## In numbers", ""]
        lines += [
            f"- {proof(_escaped(n.name), n.page)}: **{n.word}** {_escaped('; '.join(n.more))}" for n in digest.numbers
        ]
        lines.append("")
    if digest.refused:
        lines.append(f"{counted(digest.refused, 'answer')} refused; {proof('the whole report', 'index.html#refused')}")
    return "\n".join(lines).rstrip() + "\n"


def _escaped(text: str) -> str:
    """Text on one line in which Markdown reads nothing.

    >>> print(_escaped("a_b <x> [y](z)"))
    a\\_b \\<x\\> \\[y\\](z)
    """
    return SPECIAL.sub(r"\\\1", visible(" ".join(text.split())))


def digest_message(manifest: Manifest, *, channel: str, base_url: str | None, run: str, at: datetime) -> Message:
    """The digest as a message to one channel; without an address of the reports nothing in it is a link."""
    digest = digest_of(manifest)
    link = partial(link_to, base_url, manifest.run_id)
    html, pictures = digest_html(digest, link=link, pictures="cid")
    key = key_of("digest", run, manifest.run_id)
    return Message(
        kind="digest",
        key=key,
        message_id=key_of(key, channel),
        severity="warning" if digest.tasks else "info",
        title=one_line(f"{digest.title}: {digest.verdict}"),
        lines=tuple(_told(digest)),
        at=at,
        run=run,
        link=link("index.html"),
        html=html,
        pictures=pictures,
    )


def _told(digest: Digest) -> Sequence[str]:
    """The digest in a few lines of text."""
    lines = [digest.about] if digest.about else []
    lines += digest.failed
    lines += [f"Note by the analyst, {n.name}: {noted_plain(n.text)}" for n in digest.notes]
    lines += [f"{i}. {t.verb.capitalize()}: {t.headline}. {t.detail}".rstrip() for i, t in enumerate(digest.tasks, 1)]
    lines += [f"{GLYPHS[f.severity]} {f.name}: {'; '.join([f.word, *f.more])}" for f in digest.features]
    lines += [f"{n.name}: {n.word} {'; '.join(n.more)}".rstrip() for n in digest.numbers]
    return lines
