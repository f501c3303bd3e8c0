"""Jinja as every page of a report uses it."""

from __future__ import annotations

import itertools
from typing import Any

import jinja2
from markupsafe import Markup

from launchpad_lib.contract.legible import visible
from launchpad_lib.contract.sentences import sentence
from launchpad_lib.page.output import SEVERITIES, formatted, formatted_span


def page_environment(*rooms: str) -> jinja2.Environment:
    """Jinja with the page's templates and those of other rooms (packages).

    Whatever a template writes is visible and escaped.
    """
    loader = jinja2.ChoiceLoader([jinja2.PackageLoader(room) for room in ("launchpad_lib.page", *rooms)])
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=_finalised
    )
    environment.filters["by_kind"] = lambda blocks: [
        (kind, list(group)) for kind, group in itertools.groupby(blocks, key=lambda block: block.kind)
    ]
    environment.filters["sentence"] = sentence
    environment.filters["formatted"] = formatted
    environment.globals["severities"] = SEVERITIES
    environment.globals["span"] = formatted_span
    return environment


def _finalised(value: Any) -> Any:
    """What an expression of a template writes: HTML of `page.markup` as it is, other text visible (Jinja then escapes
    it).
    """
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
