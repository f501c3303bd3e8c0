"""What a chart is drawn from: its rows as a table and a CSV file of the page, and what its alternative text says.

Read from the specification alone, so it holds for every chart of any notebook: the heads are those of its tooltips and
axes, the rows are those it carries.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from launchpad_lib.contract.legible import shortened
from launchpad_lib.contract.wording import percent
from launchpad_lib.page.sparks import day_words

MINUS = "−"
MOST_ALT = 400
INNER = ("size", "weight", "text", "place", "is_later")  # how a mark is drawn; a column only where a tooltip names it
OWN_HEADS = {"low": "lower limit", "high": "upper limit", "limit": "limit", "n": "n"}


class DataColumn(NamedTuple):
    """A column of a chart's rows: its field, its head, and how its numbers are read."""

    field: str
    head: str
    kind: str  # percent, date or plain


class ChartRows(NamedTuple):
    """One set of rows of a chart, with the columns that its encodings name; `source` is its name in the chart."""

    source: str
    columns: list[DataColumn]
    rows: list[dict]


def rows_of(spec: dict) -> list[ChartRows]:
    """The sets of rows that the chart draws, the largest first; lines that stand for themselves (a zero) are none."""
    found: dict[str, dict[str, DataColumn]] = {}
    for source, channel, said in _encodings(spec, ""):
        if said["field"] in INNER and channel != "tooltip":
            continue
        columns, column = found.setdefault(source, {}), _column(channel, said)
        known = columns.get(column.field, column)
        is_better = channel == "tooltip" and "title" in said
        kind = known.kind if known.kind != "plain" else column.kind
        columns[column.field] = (column if is_better else known)._replace(kind=kind)
    sets = []
    for source, columns in found.items():
        rows = [row for row in _rows(spec, source) if isinstance(row, dict)]
        kept = [c for c in columns.values() if any(c.field in row for row in rows)]
        if len(kept) > 1:
            sets.append(ChartRows(source, _in_order(kept, rows), rows))
    return sorted(sets, key=lambda one: -len(one.rows) * len(one.columns))


def with_tables(vega: dict, spec: dict) -> dict:
    """The chart as Vega draws it, which carries its rows, with their columns named in `usermeta.tables`."""
    places = {one.get("name"): place for place, one in enumerate(vega.get("data", [])) if "values" in one}
    unnamed = next(iter(places.values()), None)
    tables = [
        {"data": places.get(one.source, unnamed if not one.source else None), "columns": [list(c) for c in one.columns]}
        for one in rows_of(spec)
    ]
    return vega | {"usermeta": {"tables": [one for one in tables if one["data"] is not None]}}


def _in_order(columns: list[DataColumn], rows: list[dict]) -> list[DataColumn]:
    """Names and dates, then the number, then its limits (read as it is), then the rest."""
    kinds = {c.field: c.kind for c in columns}
    read = [c._replace(kind=kinds.get("value", c.kind)) if c.field in ("low", "high") else c for c in columns]

    def place(column: DataColumn) -> int:
        if column.kind == "date" or _is_text(rows, column.field):
            return 0
        return {"value": 2, "low": 3, "high": 4, "n": 5}.get(column.field, 1)

    return sorted(read, key=place)


def alt_of(spec: dict, title: str) -> str:
    """A chart in words: its title, and the highest, the lowest and the last value with where they are.

    >>> bars = {"mark": "bar", "data": {"values": [{"a": "x", "b": 3}, {"a": "y", "b": 1}]}}
    >>> alt_of(bars | {"encoding": {"x": {"field": "a"}, "y": {"field": "b", "type": "quantitative"}}}, "Rows")
    'Rows: highest 3 at x, lowest 1 at y'
    """
    said = next(iter(rows_of(spec)), None)
    number = _measure(spec, said) if said else None
    if said is None or number is None:
        return title
    known = [row for row in said.rows if _is_number(row.get(number.field))]
    if not known:
        return title
    along = {one["field"] for _, channel, one in _encodings(spec, "") if channel in ("x", "y")}
    places = [
        c
        for c in said.columns
        if c.field != number.field
        and (c.kind == "date" or _is_text(said.rows, c.field) or (c.field in along and c.field not in OWN_HEADS))
    ]
    most, least = (pick(known, key=lambda row: row[number.field]) for pick in (max, min))
    told = [f"highest {_said(most, number, places)}"]
    told += [f"lowest {_said(least, number, places)}"] if least[number.field] != most[number.field] else []
    date = next((c for c in places if c.kind == "date"), None)
    if date is not None:
        last = max(known, key=lambda row: str(row.get(date.field)))
        told.append(f"last {_said(last, number, places)}")
    words = ", ".join(told)
    return shortened(f"{title}{'' if title.endswith('?') else ':'} {words}" if title else words, cells=MOST_ALT)


def _encodings(part: Any, source: str) -> Iterator[tuple[str, str, dict]]:
    """Every channel that names a field, with the name of the rows it is read from."""
    if not isinstance(part, dict):
        return
    data = part.get("data")
    if isinstance(data, dict):
        source = str(data.get("name") or ("" if "values" in data else source))
    for channel, said in (part.get("encoding") or {}).items():
        for one in said if isinstance(said, list) else [said]:
            if isinstance(one, dict) and isinstance(one.get("field"), str):
                yield source, channel, one
    inner = [part.get("spec"), *(p for name in ("layer", "concat", "hconcat", "vconcat") for p in part.get(name) or [])]
    for one in [part.get("facet"), *(part["facet"].values() if isinstance(part.get("facet"), dict) else [])]:
        if isinstance(one, dict) and isinstance(one.get("field"), str):
            yield source, "facet", one
            break
    for one in inner:
        yield from _encodings(one, source)


def _column(channel: str, said: dict) -> DataColumn:
    field, title = said["field"], said.get("title")
    form = str(said.get("format") or (said.get("axis") or {}).get("format") or "")
    kind = "date" if said.get("type") == "temporal" else "percent" if form.endswith("%") else "plain"
    words = " ".join(map(str, title)) if isinstance(title, list) else title
    is_own = channel in ("x2", "y2") or field in OWN_HEADS
    head = words if words and (channel == "tooltip" or not is_own) else OWN_HEADS.get(field, field.replace("_", " "))
    return DataColumn(field, str(head), kind)


def _rows(spec: dict, source: str) -> list:
    named = (spec.get("datasets") or {}).get(source)
    if isinstance(named, list):
        return named
    data = spec.get("data")
    return data["values"] if not source and isinstance(data, dict) and isinstance(data.get("values"), list) else []


def _measure(spec: dict, said: ChartRows) -> DataColumn | None:
    """The number that the chart is of: that of a field called value, else the first quantity along an axis."""
    by_field = {c.field: c for c in said.columns}
    along = [
        one["field"]
        for source, channel, one in _encodings(spec, "")
        if source == said.source and channel in ("y", "x", "color") and one.get("type") == "quantitative"
    ]
    fields = [f for f in ("value", *along) if f in by_field and any(_is_number(row.get(f)) for row in said.rows)]
    return by_field[fields[0]] if fields else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_text(rows: list[dict], field: str) -> bool:
    return any(isinstance(row.get(field), str) for row in rows)


def _said(row: dict, number: DataColumn, places: list[DataColumn]) -> str:
    value = row[number.field]
    text = percent(value) if number.kind == "percent" else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    where = [_where(row[c.field], c) for c in places if row.get(c.field) not in (None, "")]
    return text.replace("-", MINUS) + (f" at {', '.join(dict.fromkeys(where))}" if where else "")


def _where(value: Any, column: DataColumn) -> str:
    if column.kind == "date":
        return day_words(str(value)[:10])
    if not _is_number(value):
        return str(value)
    return f"{column.head} {percent(value) if column.kind == 'percent' else f'{value:,.4g}'}"
