"""Jinja as every page of a report uses it."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from launchpad_lib.contract.catalogue import METRICS
from launchpad_lib.contract.legible import shortened, visible
from launchpad_lib.contract.palette import PALETTE
from launchpad_lib.contract.sentences import listed, sentence
from launchpad_lib.page.blocks import Block
from launchpad_lib.page.markup import unbroken
from launchpad_lib.page.order import lede
from launchpad_lib.page.output import SEVERITIES, formatted, formatted_span

FIRST = 2


@functools.cache  # compiling the templates anew was a third of the time of every page
def page_environment(*rooms: str) -> jinja2.Environment:
    """Jinja with the page's templates and those of other rooms (packages); the one of this process.

    Whatever a template writes is visible and escaped.
    """
    loader = jinja2.ChoiceLoader([jinja2.PackageLoader(room) for room in ("launchpad_lib.page", *rooms)])
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=_finalised
    )
    environment.filters["by_kind"] = lambda blocks: [
        (kind, list(group)) for kind, group in itertools.groupby(blocks, key=lambda block: block.kind)
    ]
    environment.filters["cards"] = cards
    environment.filters["without_unit"] = without_unit
    environment.filters["unbroken"] = unbroken
    environment.filters["told_first"] = told_first
    environment.filters["lede"] = lede
    environment.filters["shortened"] = shortened
    environment.filters["sentence"] = sentence
    environment.filters["formatted"] = formatted
    environment.globals["severities"] = SEVERITIES
    environment.globals["palette"] = PALETTE
    environment.globals["span"] = formatted_span
    return environment


class Card(NamedTuple):
    """Headline numbers of one metric: what it is, its records, and its definitions, each once with whose it is."""

    title: str
    records: list[dict]
    definitions: list[tuple[str, str]]


def cards(blocks: Sequence[Block]) -> list[Card]:
    """The metrics that one cell shows, those of one name together, in their order.

    >>> one = {"name": "lift", "label": "Lift", "definition": "x over y.", "segment": "a"}
    >>> [(card.title, len(card.records), card.definitions) for card in cards([Block("metric", one)] * 2)]
    [('Lift', 2, [('', 'x over y.')])]
    """
    by_name: dict[str, list[dict]] = {}
    for block in blocks:
        by_name.setdefault(block.content["name"], []).append(block.content)
    return [_card(name, records) for name, records in by_name.items()]


def _card(name: str, records: list[dict]) -> Card:
    labels = list(dict.fromkeys(r["label"] for r in records))
    title = labels[0] if len(labels) == 1 or name not in METRICS else METRICS[name].question
    whose: dict[str, list[str]] = {}
    for record in records:
        whose.setdefault(record["definition"], []).append(str(record["segment"] or record["label"]))
    told = [("" if len(whose) == 1 else listed(names), text) for text, names in whose.items()]
    return Card(title[:1].upper() + title[1:], records, told)


def without_unit(span: str) -> str:
    """An interval beside its number, which has the unit.

    >>> without_unit("-4.3 to +16.2 points"), without_unit("46.2 to 55.0 %"), without_unit("1.2 s to 1.5 min")
    ('-4.3 to +16.2', '46.2 to 55.0', '1.2 s to 1.5 min')
    """
    first, _, last = span.partition(" to ")
    return f"{first} to {last.rpartition(' ')[0]}" if last.count(" ") and " " not in first else span


def told_first(findings: Sequence[dict]) -> int:
    """How many findings stand open at the top, gravest first; the rest is folded, so that the chart is near.

    >>> told_first([{"severity": "fine"}] * 9), told_first([{"severity": "act"}]), told_first([])
    (2, 1, 0)
    """
    return min(len(findings), FIRST)


def _finalised(value: Any) -> Any:
    """What an expression of a template writes: HTML of `page.markup` as it is, other text visible (Jinja then escapes
    it).
    """
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
