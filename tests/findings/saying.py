"""What every conclusion must hold to, whatever its names: few words, no leftovers, a closed vocabulary."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pandas as pd

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


def golden(name: str) -> dict[str, list[str]]:
    """The lines of `golden/NAME.txt` under each of its headings."""
    text = (Path(__file__).parent / "golden" / f"{name}.txt").read_text(encoding="utf-8")
    return {part.split("\n")[0]: part.strip("\n").split("\n")[1:] for part in text.split("== ")[1:]}


def cell(value: object) -> str:
    """A value as it stands in a golden file; floats to six digits, none where there is none."""
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return "-"
    if pd.api.types.is_bool(value):
        return str(bool(value))
    return f"{round(float(value), 9) + 0.0:.6g}" if pd.api.types.is_number(value) else str(value)


def rows(frame: pd.DataFrame) -> list[str]:
    """A table as lines: its columns, then its rows."""
    return [" | ".join(frame.columns), *(" | ".join(map(cell, row)) for row in frame.itertuples(index=False))]
