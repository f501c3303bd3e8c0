"""What a notebook shows: metrics, findings and tables as typed outputs, charts; all deterministic."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from numbers import Real
from typing import Any

import pandas as pd
from IPython.display import display

from launchpad_lib.contract.catalogue import Metric, ResultTable
from launchpad_lib.contract.catalogue.no_change import NO_CHANGE
from launchpad_lib.contract.estimates import Estimate
from launchpad_lib.contract.findings import Apart, Conclusion
from launchpad_lib.contract.legible import visible
from launchpad_lib.contract.manifest import ChangeSaid
from launchpad_lib.contract.sentences import counted
from launchpad_lib.contract.wording import duration, is_missing, percent
from launchpad_lib.page.markup import plain
from launchpad_lib.page.rendering import sayable
from launchpad_lib.page.tables import html_table

METRIC_MIME = "application/vnd.launchpad.metric+json"
FINDINGS_MIME = "application/vnd.launchpad.findings+json"
APART_MIME = "application/vnd.launchpad.apart+json"
TABLE_MIME = "application/vnd.launchpad.table+json"
SCORECARD_MIME = "application/vnd.launchpad.scorecard+json"
SPEC_MIME = "application/vnd.vegalite.v5+json"

SEVERITIES = {"act": "▲ act", "watch": "◆ watch", "unknown": "○ unknown", "fine": "✓ fine"}
"""How grave a finding is, as it is shown: never by colour alone."""

MINUS = "−"


def _plain(value: object, digits: int = 6) -> float | int | str | bool | None:
    """A value as JSON has it, the same on every machine: numbers to so many significant digits, instants as
    ISO 8601.
    """
    if is_missing(value):
        return None
    if pd.api.types.is_bool(value):
        return bool(value)
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, Real | Decimal):  # text, and what has no form in JSON; a lone surrogate has none either
        return str(value).encode("utf-8", "backslashreplace").decode()
    number = float(value)
    if not math.isfinite(number):
        return None
    return int(number) if number == int(number) and abs(number) < 1e15 else float(f"{number:.{digits}g}")


def metric(what: Metric, estimate: Estimate | Mapping[str, Estimate], *, segment: str | None = None) -> None:
    """Shows one headline metric of the catalogue as a typed output that the run harvests into its manifest.

    Numbers are kept to 6 significant digits. A refused estimate shows its reason in place of the number.

    Args:
        estimate: or one for each segment, by its name.
        segment: whose number it is, where a page shows the metric for several.
    """
    if isinstance(estimate, Mapping):
        for name, own in estimate.items():
            metric(what, own, segment=name)
        return
    is_refused = estimate.is_refused or is_missing(estimate.value)
    record: dict[str, Any] = {
        "name": what.name,
        "label": what.title(estimate.rules),
        "value": None if is_refused else _plain(estimate.value),
        "ci_low": None if is_refused else _plain(estimate.ci_low),
        "ci_high": None if is_refused else _plain(estimate.ci_high),
        "n": _plain(estimate.n),
        "unit": what.unit,
        "segment": segment,
        "higher_is_better": {"higher": True, "lower": False, "neither": None}[what.direction],
        "definition": what.definition(estimate.rules),
        "refused_because": (estimate.refused_because or "nothing was counted") if is_refused else None,
    }
    change = estimate.change or (_no_change(NO_CHANGE[what.name]) if what.name in NO_CHANGE else None)
    if change is not None:
        record["change"] = _rounded(change.model_dump())
    if estimate.series:
        record["series"] = [_rounded(day.model_dump()) for day in estimate.series]
    _show_metric(record)


def _no_change(reason: str) -> ChangeSaid:
    return ChangeSaid(value=None, word="refused", refused_because=reason)


def _show_metric(record: dict) -> None:
    """For a page by its record; for Lab and Voila, which do not know it, in one line.

    No colours: both have a dark theme.
    """
    label, _, said = metric_line(record).partition(": ")
    shown = f"<p>{plain(label)}: <strong>{plain(said)}</strong><br><small>{plain(record['definition'])}</small></p>"
    display({METRIC_MIME: record, "text/html": shown, "text/plain": metric_line(record)}, raw=True)


def conclude(said: Conclusion) -> None:
    """Shows the page's verdict and findings, typed; the page puts them at its top, the run into its manifest."""
    record = said._asdict() | {"findings": [f._asdict() for f in said.findings]}
    lines = "\n".join([said.verdict, *(f"- {' '.join(f.sentence.split())}" for f in said.findings)])
    items = "".join(f"<li>{SEVERITIES[f.severity]}: {plain(f.sentence)}</li>" for f in said.findings)
    shown = f"<p><strong>{plain(said.verdict)}</strong></p><ul>{items}</ul>"
    display({FINDINGS_MIME: record, "text/html": shown, "text/plain": lines}, raw=True)


def told_apart(parts: Sequence[Apart]) -> None:
    """Shows what is found of each of several things under a heading of its own; nothing where there are none.

    Its findings stay on the page: those that the run takes into its manifest are those of `conclude`.
    """
    if not parts:
        return
    record = [part._asdict() | {"findings": [f._asdict() for f in part.findings]} for part in parts]
    lines = "\n".join(f"{p.heading}: {counted(len(p.findings), 'finding')}" for p in parts)
    items = "".join(
        f"<h3>{plain(p.heading)}</h3><ul>"
        + "".join(f"<li>{SEVERITIES[f.severity]}: {plain(f.sentence)}</li>" for f in p.findings)
        + "</ul>"
        for p in parts
    )
    display({APART_MIME: record, "text/html": items, "text/plain": lines}, raw=True)


def table(what: ResultTable, frame: pd.DataFrame, *, most: int = 20, shown_columns: Sequence[str] = ()) -> None:
    """Shows a result table of the catalogue, and hands all of it to the run, which writes `tables/NAME.parquet`.

    Columns in which no row has a value are handed out and not shown, nor are those beside `shown_columns` where some
    are named.

    Raises:
        ValueError: the frame lacks a declared column. Columns that are not declared are left out.
    """
    missing = [c.name for c in what.columns if c.name not in frame.columns]
    if missing:
        raise ValueError(f"table {what.name}: lacks the declared columns {', '.join(missing)}; add them")
    declared = frame[[c.name for c in what.columns]]
    rows = [[_plain(v, digits=9) for v in row] for row in declared.itertuples(index=False, name=None)]
    seen = declared[list(shown_columns)] if shown_columns else declared
    known = seen.dropna(axis="columns", how="all") if len(seen) else seen
    shown = {
        "text/html": html_table(known, most=most, caption=what.grain),
        "text/plain": f"{what.name}: {len(frame)} rows",
    }
    display({TABLE_MIME: {"name": what.name, "rows": rows}, **shown}, raw=True)


def formatted(value: float | None, unit: str) -> str:
    """A metric's value as its reader meets it.

    >>> formatted(1234, "count"), formatted(0.5, "fraction"), formatted(431.2, "ms"), formatted(2.3e-8, "score")
    ('1,234', '50.0 %', '431 ms', 'under 0.001')
    """
    if value is None:
        return "no number"
    if unit == "fraction":
        return percent(value)
    if unit == "seconds":
        return duration(value)
    if unit == "points":
        return f"{100 * value:+.1f} points"
    if 0 < abs(value) < 0.001:
        written = "under 0.001" if value > 0 else "between −0.001 and 0"
    else:
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


def short(value: float | None, unit: str) -> str:
    """A number where it is read at a glance: percent of 10 and more without decimals, differences in points with one.

    >>> short(0.764, "fraction"), short(0.053, "fraction"), short(0.0204, "points"), short(403.4, "ms")
    ('76 %', '5.3 %', '+2.0 points', '403 ms')
    """
    if value is not None and unit == "fraction" and abs(value) >= 0.0995:
        return f"{100 * value:.0f} %".replace("-", MINUS)
    return formatted(value, unit).replace("-", MINUS)


def short_span(low: float, high: float, unit: str) -> str:
    """Both limits of an interval to the same digits, the unit once.

    >>> short_span(0.725, 0.8, "fraction"), short_span(0.05, 0.12, "fraction"), short_span(-0.01, 0.2, "points")
    ('72 to 80 %', '5.0 to 12.0 %', '−1.0 to +20.0 points')
    """
    if unit == "fraction" and min(abs(low), abs(high)) >= 0.0995:
        return f"{100 * low:.0f} to {100 * high:.0f} %".replace("-", MINUS)
    return formatted_span(low, high, unit).replace("-", MINUS)


def metric_line(record: dict) -> str:
    """A metric in one line of text."""
    if record["refused_because"]:
        return f"{record['label']}: refused, {record['refused_because']}"
    text = f"{record['label']}: {formatted(record['value'], record['unit'])}"
    if record["ci_low"] is not None and record["ci_high"] is not None:
        text += f" (95 % interval {formatted_span(record['ci_low'], record['ci_high'], record['unit'])})"
    return text + (f", n = {record['n']:,}" if record["n"] is not None else "")


def show(table, *, most: int = 20) -> None:
    """Shows a result table as its readers meet it (`page.tables`), at most `most` rows; names are escaped."""
    frame = table if isinstance(table, pd.DataFrame) else table.to_pandas()
    display({"text/html": html_table(frame, most=most), "text/plain": f"{len(frame)} rows"}, raw=True)


def _rounded(part: object) -> object:
    if isinstance(part, dict):
        return {k: _rounded(v) for k, v in part.items()}
    if isinstance(part, list):
        return [_rounded(v) for v in part]
    if isinstance(part, float):
        return float(f"{part:.6g}") if math.isfinite(part) else None  # JSON knows no NaN: a gap in the chart
    return part


def _renamed(part: Any, names: dict[str, str]) -> Any:
    """The specification with its data sets named by the content that is shown."""
    if isinstance(part, dict):
        return {names.get(k, k): _renamed(v, names) for k, v in part.items()}
    if isinstance(part, list):
        return [_renamed(v, names) for v in part]
    return names.get(part, part) if isinstance(part, str) else part


def title_of(spec: dict) -> str:
    """The words above a chart, in one line.

    >>> title_of({"title": {"text": ["Who", "comes back?"], "subtitle": "and 40 more"}}), title_of({})
    ('Who comes back?', '')
    """
    title = spec.get("title") or ""
    text = title.get("text", "") if isinstance(title, dict) else title
    return " ".join(map(str, text)) if isinstance(text, list) else str(text)


def missing_picture(title: str, because: str) -> str:
    """The place of a chart that is not drawn, as HTML."""
    words = f'<p>{plain(title or "A chart")}</p><p class="quiet">Not drawn. {plain(because)}</p>'
    return f'<div class="instead">{words}</div>'


def chart(drawing) -> None:
    """Shows a chart by its specification; the page draws it. Numbers are kept to 6 significant digits.

    The last digits of a float differ between processors, so they would change committed outputs without a reason. A
    chart of more than 5,000 rows is not drawn; one sentence stands in its place.
    """
    import altair as alt

    try:
        spec = sayable(_rounded(drawing.to_dict()))
    except alt.MaxRowsError:
        because = "It has more than 5,000 rows. Count or sum them first."
        title = visible(drawing.title) if isinstance(drawing.title, str) else ""
        display({"text/html": missing_picture(title, because), "text/plain": f"chart: {title}: {because}"}, raw=True)
        return
    names = {
        old: f"data-{hashlib.md5(json.dumps(rows, sort_keys=True).encode(), usedforsecurity=False).hexdigest()}"
        for old, rows in spec.get("datasets", {}).items()
    }
    spec = _renamed(spec, names)
    display({SPEC_MIME: spec, "text/plain": f"chart: {title_of(spec)}"}, raw=True)


def charts(drawings: Iterable) -> None:
    """Shows several charts, one below the other."""
    for drawing in drawings:
        chart(drawing)
