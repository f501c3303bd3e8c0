"""What a notebook shows: metrics as typed outputs, answers, tables, charts; all deterministic."""

from __future__ import annotations

import hashlib
import json

import pandas as pd
from IPython.display import display

from launchpad_lib.contract.wording import duration, is_missing, percent
from launchpad_lib.page.tables import html_table

METRIC_MIME = "application/vnd.launchpad.metric+json"
SPEC_MIME = "application/vnd.vegalite.v5+json"


def _plain(value: object) -> float | int | str | None:
    if is_missing(value):
        return None
    if isinstance(value, str):
        return value
    number = float(value)
    return int(number) if number == int(number) and abs(number) < 1e15 else float(f"{number:.6g}")


def metric(
    name: str,
    *,
    label: str,
    value: float | None,
    definition: str,
    ci_low: float | None = None,
    ci_high: float | None = None,
    n: int | None = None,
    unit: str = "fraction",
    segment: str | None = None,
    higher_is_better: bool | None = None,
    refused_because: str | None = None,
) -> None:
    """Shows one headline metric as a typed output that the run harvests into its manifest; 6 significant digits.

    Args:
        unit: "fraction" (shown as percent), "points" (a difference of two fractions, shown in percentage points), "count",
            "score", "seconds" (shown in the unit that fits), or a unit to be written behind the number.
    """
    refused_because = None if is_missing(refused_because) else refused_because
    record = {
        "name": name,
        "label": label,
        "value": None if refused_because else _plain(value),
        "ci_low": None if refused_because else _plain(ci_low),
        "ci_high": None if refused_because else _plain(ci_high),
        "n": _plain(n),
        "unit": unit,
        "segment": segment,
        "higher_is_better": higher_is_better,
        "definition": definition,
        "refused_because": refused_because,
    }
    display({METRIC_MIME: record, "text/plain": metric_line(record)}, raw=True)


def formatted(value: float | None, unit: str) -> str:
    """A metric's value as its reader meets it.

    >>> formatted(1234, "count"), formatted(0.5, "fraction"), formatted(431.2, "ms")
    ('1,234', '50.0 %', '431 ms')
    """
    if value is None:
        return "no number"
    if unit == "fraction":
        return percent(value)
    if unit == "seconds":
        return duration(value)
    if unit == "points":
        return f"{100 * value:+.1f} points"
    written = f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return written if unit in ("count", "score") else f"{written} {unit}"


def formatted_span(low: float, high: float, unit: str) -> str:
    """Both limits of an interval, the unit once.

    >>> formatted_span(0.014, 0.211, "points"), formatted_span(0.601, 0.644, "fraction")
    ('+1.4 to +21.1 points', '60.1 to 64.4 %')
    """
    first, last = formatted(low, unit), formatted(high, unit)
    words = first.rsplit(" ", 1)
    return f"{words[0] if len(words) > 1 and last.endswith(f' {words[1]}') else first} to {last}"


def metric_line(record: dict) -> str:
    """A metric in one line of text."""
    if record["refused_because"]:
        return f"{record['label']}: refused, {record['refused_because']}"
    text = f"{record['label']}: {formatted(record['value'], record['unit'])}"
    if record["ci_low"] is not None and record["ci_high"] is not None:
        text += f" (95 % interval {formatted_span(record['ci_low'], record['ci_high'], record['unit'])})"
    return text + (f", n = {record['n']:,}" if record["n"] is not None else "")


def answer(*sentences: str) -> None:
    """Shows the verdict; the page puts it at its top."""
    # One line each: a line break in a name from the data must not begin a sentence of its own.
    text = "\n".join(f"- {' '.join(str(s).splitlines())}" for s in sentences)
    display({"text/markdown": text, "text/plain": text}, raw=True)


def show(table, *, most: int = 40) -> None:
    """Shows a result table as its readers meet it (`workbook.tables`), at most `most` rows; names are escaped."""
    frame = table if isinstance(table, pd.DataFrame) else table.to_pandas()
    display({"text/html": html_table(frame, most=most), "text/plain": f"{len(frame)} rows"}, raw=True)


def _rounded(part: object) -> object:
    if isinstance(part, dict):
        return {k: _rounded(v) for k, v in part.items()}
    if isinstance(part, list):
        return [_rounded(v) for v in part]
    return float(f"{part:.6g}") if isinstance(part, float) else part


def _renamed(part: object, names: dict[str, str]) -> object:
    """The specification with its data sets named by the content that is shown."""
    if isinstance(part, dict):
        return {names.get(k, k): _renamed(v, names) for k, v in part.items()}
    if isinstance(part, list):
        return [_renamed(v, names) for v in part]
    return names.get(part, part) if isinstance(part, str) else part


def chart(drawing) -> None:
    """Shows a chart by its specification; the page draws it. Numbers are kept to 6 significant digits.

    The last digits of a float differ between processors, so they would change committed outputs without a reason.
    """
    spec = _rounded(drawing.to_dict())
    names = {
        old: f"data-{hashlib.md5(json.dumps(rows, sort_keys=True).encode()).hexdigest()}"
        for old, rows in spec.get("datasets", {}).items()
    }
    spec = _renamed(spec, names)
    display({SPEC_MIME: spec, "text/plain": f"chart: {spec.get('title', '')}"}, raw=True)
