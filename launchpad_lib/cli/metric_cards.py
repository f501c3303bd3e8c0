"""The metric catalogue for the terminal and for the glossary."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from launchpad_lib.contract.catalogue import METRICS, Metric, filled
from launchpad_lib.contract.catalogue.glossary import glossary, metric_table
from launchpad_lib.contract.names import nearest

BETTER = {"higher": "higher is better", "lower": "lower is better", "neither": "neither way is better"}


def show_metrics() -> None:
    """Every metric: name, unit, which way is better, the question it answers."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in ("metric", "unit", "better", "question"):
        table.add_column(heading, no_wrap=heading == "metric")
    for one in METRICS.values():
        table.add_row(*(Text(c) for c in (one.name, one.unit, one.direction, one.question)))
    _console().print(table)


def show_metric(name: str) -> None:
    """The definition card of one metric.

    Raises:
        ValueError: there is none of that name.
    """
    one = _metric(name)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    for heading, text in card(one):
        table.add_row(Text(heading), Text(text))
    _console().print(Text(f"{one.name}: {one.title()}"), table)


def card(one: Metric) -> list[tuple[str, str]]:
    """What a definition card says, heading by heading; what the rules of a run decide stands as its name."""
    return [
        ("question", one.question),
        ("numerator", filled(one.numerator, {})),
        ("denominator", filled(one.denominator, {})),
        ("interval", filled(one.interval, {}) or "none"),
        ("unit", one.unit),
        ("direction", BETTER[one.direction]),
        ("maturity", filled(one.maturity, {}) or "every unit is counted"),
        ("source", one.source),
    ]


def markdown(name: str | None = None) -> str:
    """The whole glossary, or one metric as a row of it.

    Raises:
        ValueError: there is no metric of that name.
    """
    return glossary() if name is None else metric_table([_metric(name)])


def _metric(name: str) -> Metric:
    if name not in METRICS:
        raise ValueError(f"metric={name!r}: is not in the catalogue; {nearest(name, METRICS)}")
    return METRICS[name]


def _console() -> Console:
    return Console(highlight=False)
