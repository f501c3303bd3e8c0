"""The words of a run's index: sentences parted into a first clause and the rest, changes, addresses, dates."""

from __future__ import annotations

import re
from urllib.parse import quote

from launchpad_lib.contract.legible import shortened
from launchpad_lib.contract.manifest import ChangeSaid, Manifest, MetricSaid
from launchpad_lib.page.environment import without_unit
from launchpad_lib.page.output import short, short_span
from launchpad_lib.page.sparks import day_words

OUTSIDE = re.compile(r"“[^”]*”|\([^()]*\)")
"""What is quoted is a name, and what stands in brackets belongs to its word: no sentence is parted within."""


def address(page: str | None, anchor: str | None) -> str:
    """Where a number or finding is proved, relative to the run's folder.

    >>> address("latency_trends", "who-fell-silent"), address("own page", None)
    ('latency_trends.html#who-fell-silent', 'own%20page.html')
    """
    if not page:
        return ""
    return f"{quote(page)}.html" + (f"#{quote(anchor)}" if anchor else "")


def link_to(base_url: str | None, run_id: str, page: str) -> str | None:
    """The address of a page of a run where the reports are published; None where nobody said where.

    >>> link_to("https://reports.example/", "weekly-1", "funnels.html#worst")
    'https://reports.example/weekly-1/funnels.html#worst'
    """
    return f"{base_url.rstrip('/')}/{quote(run_id)}/{page or 'index.html'}" if base_url else None


def parted(sentence: str) -> tuple[str, str]:
    """A sentence's first clause, which ends at a semicolon or a full stop outside names and brackets, and the rest.

    >>> parted("Search: p95 rose (1.4; 2.3) since 14 Jan; now 352 ms.")
    ('Search: p95 rose (1.4; 2.3) since 14 Jan', 'Now 352 ms.')
    >>> parted("“a; b” fell silent.")
    ('“a; b” fell silent', '')
    """
    hidden = OUTSIDE.sub(lambda found: "x" * len(found.group()), sentence)
    at = re.search(r"; |(?<=[^\d. ][^. ])\. (?=[A-Z“])", hidden)
    if at is None:
        return sentence.removesuffix("."), ""
    rest = sentence[at.end() :]
    begins = rest[:1].upper() + rest[1:] if rest.partition(" ")[0].isalpha() else rest
    return sentence[: at.start()].removesuffix("."), begins


def stopped_words(manifest: Manifest) -> str:
    """How many pages hold the run's worst status, in words; empty where every page has an answer."""
    if manifest.status == "ok":
        return ""
    number = sum(n.status == manifest.status for n in manifest.notebooks)
    if manifest.status == "refused":
        return "a page is refused" if number == 1 else f"{number} pages are refused"
    return "a page failed" if number < 2 else f"{number} pages failed"


def change_words(change: ChangeSaid, metric: MetricSaid, said_once: str | None) -> str:
    """A number against the period before: the word, the difference, its interval, and what could have been shown.

    Args:
        said_once: the periods, where they stand above all tiles.
    """
    unit = "points" if metric.unit == "fraction" else metric.unit
    if change.value is None:
        return "No change is given."
    limits = ""
    has_limits = change.ci_low is not None and change.ci_high is not None
    if change.ci_low is not None and change.ci_high is not None:
        limits = f" ({without_unit(short_span(change.ci_low, change.ci_high, unit))})"
    said = f"{change.word[:1].upper()}{change.word[1:]}: {short(change.value, unit)}{limits}"
    if not said_once:
        said += f", {change.period} against {change.against}"
    if change.smallest is not None and has_limits and change.word not in ("rose", "fell"):
        said += f"; {short(abs(change.smallest), unit).removeprefix('+')} would show"
    return f"{said}."


def date_words(instant: str) -> str:
    """A date with its year.

    >>> date_words("2026-01-05 08:00:00")
    '5 Jan 2026'
    """
    return f"{day_words(instant[:10])} {instant[:4]}"


def page_name(title: str) -> str:
    """A page's name in the navigation: what stands before the colon of its title.

    >>> page_name("Funnels: where do people stop?"), page_name("Own")
    ('Funnels', 'Own')
    """
    return shortened(title.partition(":")[0], cells=24)
