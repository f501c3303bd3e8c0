"""What every conclusion must hold to, whatever its names: few words, no leftovers, a closed vocabulary."""

from __future__ import annotations

import re
from typing import get_args

from launchpad_lib.contract.findings import Conclusion, Severity, Verb
from launchpad_lib.contract.sentences import named

HOSTILE = (
    "*bold*",
    "<b>x</b>",
    "two\nlines",
    "a" * 80,
    "שלום עולם",
    "Add to cart (v2)",
    "{start_event}",
    "%s | $x",
    "🇩🇪👩‍👩‍👧",
    "nan",
)
LEFTOVERS = re.compile(r"\bnan\b|\bNone\b|\bNaT\b|\binf\b|no number|<NA>|[{}]|\ban? \d+\.\d+0{5}|\b\d+[dhms]\b")
PILED = re.compile(r"\w: [\w ]+: ")
LOWER = re.compile(r"[a-z]{2,}[ :,;]")  # a name of one letter may stand first


def without(sentence: str, names: tuple[str, ...]) -> str:
    """The sentence with every name as one word."""
    for name in sorted((named(n) for n in names), key=len, reverse=True):
        sentence = sentence.replace(name, "NAME")
    return re.sub(r"“[^”]*”", "NAME", sentence)


def held(said: Conclusion, *names: str) -> Conclusion:
    """The conclusion, once it holds: at most 16 words and no brackets in the verdict; whole sentences, all in vocabulary."""
    verdict = without(said.verdict, names)
    assert len(verdict.split()) <= 16, verdict
    assert not re.search(r"[()\[\]]", verdict), verdict
    for sentence in (said.verdict, *(f.sentence for f in said.findings)):
        bare = without(sentence, names)
        assert not LEFTOVERS.search(bare), bare
        assert not LOWER.match(bare) and not PILED.search(bare), bare
        assert "\n" not in sentence and sentence.strip() == sentence and sentence[-1] in ".?", sentence
        assert not sentence.endswith(("..", "?.")), sentence
    for finding in said.findings:
        assert finding.severity in get_args(Severity) and finding.verb in get_args(Verb)
        assert (finding.severity == "fine") == (finding.verb == "nothing"), finding
    return said


def sentences(said: Conclusion, *words: str) -> list[str]:
    """The sentences in which all of the words stand."""
    return [f.sentence for f in said.findings if all(w in f.sentence for w in words)]
