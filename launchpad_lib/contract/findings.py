"""What a page finds, in a closed vocabulary: how grave, what to do, about what, one sentence.

A finding is made by a function of `launchpad_lib.findings` from results, never in a notebook. Its sentence is plain
text: names from the data stand in it literally, and the page escapes all of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

from launchpad_lib.contract.sentences import sentence

Severity = Literal["act", "watch", "unknown", "fine"]
"""act: somebody should do something now; watch: look again; unknown: the data cannot tell; fine: nothing to do."""

Verb = Literal["fix", "find out", "wait", "ship", "stop", "keep running", "look", "declare", "nothing"]

LiftVerdict = Literal[
    "worked",
    "hurt",
    "likely helped",
    "likely hurt",
    "not settled",
    "no effect larger than",
    "refused",
    "not asked",
]
ExperimentVerdict = Literal["ship", "do not ship: harm shown", "keep running", "refused", "not asked"]
HealthVerdict = Literal["degraded now", "worse", "healthy", "cannot tell", "refused", "not asked"]
QualityVerdict = Literal["fine", "changed", "cannot tell", "refused", "not asked"]

VERDICTS: frozenset[str] = frozenset(
    word for kind in (LiftVerdict, ExperimentVerdict, HealthVerdict, QualityVerdict) for word in get_args(kind)
)


class Finding(NamedTuple):
    """One finding.

    `feature_id`, `anchor` (id of the heading that proves it), `users` (hurt or concerned), `since` (date).
    """

    severity: Severity
    verb: Verb
    sentence: str
    feature_id: str | None = None
    anchor: str | None = None
    users: int | None = None
    since: str | None = None


class Conclusion(NamedTuple):
    """What a page says: one verdict (at most 16 words beside names, no brackets) and its findings, gravest first.

    `refused_because` is set where the page as a whole has no answer: the run then calls it refused.
    """

    verdict: str
    findings: tuple[Finding, ...]
    refused_because: str | None = None


class Apart(NamedTuple):
    """What is found of one of several things of a page, under a heading of its own.

    `heading` is what it is called, `anchor` the heading's id; the findings stand gravest first.
    """

    heading: str
    anchor: str
    findings: tuple[Finding, ...]


def conclusion(verdict: str, findings: Iterable[Finding]) -> Conclusion:
    """The verdict and its findings in the order act, watch, unknown, fine; the order given within each.

    >>> found = [Finding("fine", "nothing", "All good."), Finding("act", "fix", "Checkout is slow.")]
    >>> [f.severity for f in conclusion("Checkout got slower.", found).findings]
    ['act', 'fine']
    """
    order = get_args(Severity)
    return Conclusion(verdict, tuple(sorted(findings, key=lambda f: order.index(f.severity))))


def refused_conclusion(reason: str) -> Conclusion:
    """A page that cannot answer: its verdict says so, its one finding says why."""
    said = Finding("unknown", "find out", sentence(reason))
    return Conclusion("These data cannot answer the question.", (said,), reason)
