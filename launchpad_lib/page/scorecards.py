"""The scorecard as a notebook shows it: typed for the run, a table whose cells lead to their proofs for its reader."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from IPython.display import display

from launchpad_lib.contract.manifest import Cell, FeatureRow
from launchpad_lib.contract.sentences import counted
from launchpad_lib.page.markup import plain, unbroken
from launchpad_lib.page.output import SCORECARD_MIME, SEVERITIES, formatted_span

HEADS = {
    "used": "Used by",
    "worked": "Did it work?",
    "health": "Is it healthy?",
    "objective": "p95 latency",
    "change": "Change of adoption",
}
GLYPHS = {severity: words.split()[0] for severity, words in SEVERITIES.items()}


def show_scorecard(rows: Sequence[FeatureRow]) -> None:
    """Shows the rows as a table of links, and hands them typed to the run, which writes them into its manifest."""
    record = [_rounded(row.model_dump(mode="json")) for row in rows]
    head = "".join(f'<th scope="col">{text}</th>' for text in ("Feature", *HEADS.values()))
    body = "".join(f"<tr>{_feature(row)}{''.join(_cell(getattr(row, name)) for name in HEADS)}</tr>" for row in rows)
    caption = "One row per declared feature, worst first. Every word leads to its proof."
    shown = f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    text = f"scorecard: {counted(len(rows), 'feature')}"
    display({SCORECARD_MIME: record, "text/html": shown, "text/plain": text}, raw=True)


def _feature(row: FeatureRow) -> str:
    about = ", ".join(part for part in (row.owner_team, row.stage) if part)
    quiet = f"<br><small>{plain(about)}</small>" if about else ""
    return f'<th scope="row">{GLYPHS[row.severity]} {plain(row.feature_name)}{quiet}</th>'


def _cell(cell: Cell) -> str:
    """The word, which leads to its proof; under it the numbers, or why there are none."""
    word = f"{GLYPHS[cell.severity]} {plain(cell.word)}"
    if cell.page is not None:
        place = f"{cell.page}.html" + (f"#{cell.anchor}" if cell.anchor else "")
        word = f'<a href="{plain(place)}">{word}</a>'
    under = _numbers(cell) or (cell.says if cell.word == "refused" else None)
    return f"<td>{word}" + (f"<br><small>{plain(unbroken(under))}</small>" if under else "") + "</td>"


def _numbers(cell: Cell) -> str | None:
    if cell.unit == "users" and cell.value is not None:
        return counted(cell.value, "user")
    parts = []
    if cell.ci_low is not None and cell.ci_high is not None:
        parts.append(formatted_span(cell.ci_low, cell.ci_high, str(cell.unit)))
    parts += [f"objective {cell.limit:,.0f} ms"] if cell.limit is not None else []
    parts += [f"n = {cell.n:,.0f}"] if cell.n is not None else []
    return ", ".join(parts) or None


def _rounded(part: Any) -> Any:
    """Numbers to six significant digits, so that they are the same on every machine."""
    if isinstance(part, dict):
        return {name: _rounded(value) for name, value in part.items()}
    if isinstance(part, list):
        return [_rounded(value) for value in part]
    if isinstance(part, float):
        return float(f"{part:.6g}") if math.isfinite(part) else None
    return json.loads(json.dumps(part))
