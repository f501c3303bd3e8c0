"""The glossary as a document: made from the catalogue, so that a definition stands once."""

from __future__ import annotations

from collections.abc import Iterable

from launchpad_lib.contract.catalogue import METRICS, RESULT_TABLES
from launchpad_lib.contract.catalogue.metric import Metric, filled
from launchpad_lib.contract.catalogue.terms import TERMS

INTRODUCTION = """# Glossary

Made by `make glossary` from the metric catalogue (`launchpad_lib/contract/catalogue`); do not edit by hand.

What every number means. Rates are fractions in [0, 1], shown as percent; a difference of two rates is in percentage
points. A rate travels with its counts; an empty denominator is no number, never 0. Every windowed metric counts mature
units only: a unit whose window is not over at `observed_through` is in neither count, and the number of such units is
given. Time is UTC inside; `report_timezone` decides calendar days. Intervals are 95 %.
"""


def glossary() -> str:
    """GLOSSARY.md, whole."""
    parts = [
        INTRODUCTION,
        "## Headline metrics\n\n" + metric_table(METRICS.values()),
        "## Other words\n\n"
        + _table(
            ("word", "column", "meaning", "interval"),
            ((t.word, f"`{t.column}`" if t.column else "", t.meaning, t.interval) for t in TERMS),
        ),
        "## Result tables\n\nA run writes each to `tables/NAME.parquet` and lists it in its manifest.\n\n"
        + _table(
            ("table", "grain", "columns"),
            ((f"`{t.name}`", t.grain, ", ".join(f"`{c.name}`" for c in t.columns)) for t in RESULT_TABLES.values()),
        ),
    ]
    return "\n".join(parts)


def metric_table(metrics: Iterable[Metric]) -> str:
    """The headline metrics as a Markdown table."""
    heads = ("metric", "name", "question", "numerator", "denominator", "interval", "unit", "better")
    rows = (
        (
            m.title(),
            f"`{m.name}`",
            m.question,
            filled(m.numerator, {}),
            filled(m.denominator, {}),
            m.interval or "none",
            m.unit,
            m.direction,
        )
        for m in metrics
    )
    return _table(heads, rows)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "".join(
        "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in line) + " |\n" for line in lines
    )
