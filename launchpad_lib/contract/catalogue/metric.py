"""What a headline metric is, as it is declared; and a result table that leaves a run for programs."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from launchpad_lib.contract.legible import isolated
from launchpad_lib.contract.tables import Column

Unit = Literal["fraction", "points", "count", "score", "seconds", "days", "ms", "ratio"]
Direction = Literal["higher", "lower", "neither"]


class Metric(NamedTuple):
    """One headline metric, declared once.

    The texts may hold blanks such as `{window}`; an estimate's `rules` fill them. Where a
    number is no share, `numerator` says what it is and `denominator` what `n` counts.
    """

    name: str
    label: str
    question: str
    numerator: str
    denominator: str
    interval: str
    unit: Unit
    direction: Direction
    maturity: str
    source: str

    def title(self, rules: Mapping[str, Any] = {}) -> str:
        """The label with its blanks filled."""
        return filled(self.label, rules)

    def definition(self, rules: Mapping[str, Any] = {}) -> str:
        """What was counted, in one or two sentences, with the rules in force."""
        text = f"{filled(self.numerator, rules)}, over {filled(self.denominator, rules)}."
        if self.maturity:
            text += f" {filled(self.maturity, rules)}."
        return f"{text} Interval: {filled(self.interval, rules)}." if self.interval else f"{text} No interval."


class ResultTable(NamedTuple):
    """A table that a run writes to `tables/NAME.parquet`: its grain and its columns, in order."""

    name: str
    grain: str
    columns: tuple[Column, ...]


def filled(template: str, rules: Mapping[str, Any]) -> str:
    """The template with its blanks filled; a blank without a rule shows its own name.

    Fields are looked up literally: a rule's value is never read as a template, and one that is written from right to
    left does not turn the words around it.

    >>> filled("{unit} with {start_event}", {"start_event": "quiz_started", "unit": "users"})
    'users with quiz_started'
    >>> filled("within {window}", {}), filled("in the {outcome_window}", {})
    ('within the window', 'in the outcome window')
    """
    parts = []
    for text, field, _, _ in string.Formatter().parse(template):
        parts.append(text)
        if field is not None:
            article = "" if text.endswith("the ") else "the "
            parts.append(isolated(rules[field]) if field in rules else f"{article}{field.replace('_', ' ')}")
    return "".join(parts)
