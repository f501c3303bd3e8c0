"""A result table as HTML: rates in percent, differences of rates in points, an interval in one column, instants to the
second.
"""

from __future__ import annotations

import math
import re
from typing import Any, Literal, NamedTuple

import pandas as pd
from markupsafe import Markup

from launchpad_lib.contract.legible import shortened
from launchpad_lib.contract.wording import duration, is_missing, percent
from launchpad_lib.page.markup import plain

RATE = re.compile(r"(^|_)(rate|share)(_|$)|^p_degrade$|^recall_at_top$")
P_VALUE = re.compile(r"(^|_)(p|q)(_value|_adjusted)?$")
SECONDS = re.compile(r"(^|_)seconds(_|$)")
INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d:\d\d)(?:\.\d+)?)?")
WIDE = 9  # columns from which a table on paper shares out the width instead of asking for more
MOST_CELLS = 300  # of a text in a table: both ends of a longer one; `tables/NAME.parquet` has all of it
LONG = 34  # characters from which a text gets a column wide enough to be read

Kind = Literal["percent", "points", "relative", "p", "seconds", "plain"]


class Column(NamedTuple):
    """What stands above a column, its cells as text, and whether they are numbers."""

    head: str
    cells: list[str]
    is_number: bool


def kind_of(name: str) -> Kind:
    """How the numbers of a column are read, by its name alone.

    >>> [
    ...     kind_of(name)
    ...     for name in ("retention_rate", "absolute_lift", "relative_lift", "q_value", "shares_per_viewer", "ratio")
    ... ]
    ['percent', 'points', 'relative', 'p', 'plain', 'plain']
    """
    if name in ("absolute_lift", "relative_lift"):
        return "points" if name == "absolute_lift" else "relative"
    kinds: tuple[tuple[re.Pattern[str], Kind], ...] = ((RATE, "percent"), (P_VALUE, "p"), (SECONDS, "seconds"))
    return next((kind for pattern, kind in kinds if pattern.search(name)), "plain")


def cell(value: Any, kind: Kind = "plain", *, digits: int = 4) -> str:
    """One value as text.

    >>> (
    ...     cell(0.5892, "percent"),
    ...     cell(-0.013, "points"),
    ...     cell(1.2e-7, "p"),
    ...     cell(True),
    ...     cell(None),
    ...     cell(1234),
    ...     cell("2026-01-05 08:06:57.092"),
    ... )
    ('58.9 %', '-1.3', '< 0.001', 'yes', '–', '1,234', '2026-01-05 08:06:57')
    """
    if is_missing(value):
        return "–"
    if pd.api.types.is_bool(value):
        return "yes" if value else "no"
    if pd.api.types.is_number(value):
        return _number(float(value), kind, digits) if kind != "plain" or pd.api.types.is_float(value) else f"{value:,}"
    text = str(value)
    text = shortened(text, cells=MOST_CELLS) if len(text) > MOST_CELLS else text
    instant = INSTANT.fullmatch(text)
    if instant is None:
        return text
    day, time = instant.groups()
    return day if time is None or (isinstance(value, pd.Timestamp) and time == "00:00:00") else f"{day} {time}"


def _number(value: float, kind: Kind, digits: int) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if kind == "percent":
        return percent(value)
    if kind in ("points", "relative"):
        return f"{100 * value:+.1f}" + (" %" if kind == "relative" else "")
    if kind == "seconds":
        return duration(value)
    if kind == "p":
        return "< 0.001" if value < 0.001 else f"{value:.2g}"
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.{digits}g}"


def _upper(name: str, names: list[str]) -> str | None:
    """The upper limit's column of a lower limit's; None for any other column."""
    other = re.sub(r"(^|_)low(_|$)", r"\1high\2", name)
    return other if other != name and other in names else None


def _interval_head(name: str) -> str:
    """`ci_low` is an interval of the column before it, `rank_low` one of its own name."""
    words = [w for w in name.split("_") if w not in ("low", "ci")]
    return " ".join(words + ["95 % interval"])


def columns_of(frame: pd.DataFrame) -> list[Column]:
    """The columns as they are shown. Limits take the kind of the number they stand behind; both are one column."""
    names, shown, before = [str(c) for c in frame.columns], [], ""
    uppers = {_upper(n, names) for n in names} - {None}
    for place, name in enumerate(names):
        values = frame.iloc[:, place]
        is_number = not pd.api.types.is_bool_dtype(values) and (
            pd.api.types.is_numeric_dtype(values) or _all_numbers(values)
        )
        upper = _upper(name, names)
        if name in uppers:
            continue
        if upper is not None:
            is_of_before = "ci" in name.split("_") or re.sub(r"_?low", "", name) in before
            kind = kind_of(before) if is_of_before else "plain"
            pairs = zip(values, frame.iloc[:, names.index(upper)], strict=True)
            shown.append(Column(_interval_head(name), [_span(low, high, kind) for low, high in pairs], True))
            continue
        before, kind = name, kind_of(name) if is_number or values.dtype == object else "plain"
        head = (SECONDS.sub(r"\1time\2", name) if kind == "seconds" else name).replace("_", " ") + (
            " (points)" if kind == "points" else ""
        )
        shown.append(Column(head, [cell(v, kind) for v in values], is_number))
    return shown


def _all_numbers(values: pd.Series) -> bool:
    """Whether a column of mixed type holds numbers and missing values only."""
    known = [v for v in values if not is_missing(v)] if values.dtype == object else []
    return bool(known) and all(pd.api.types.is_number(v) and not pd.api.types.is_bool(v) for v in known)


def _span(low: object, high: object, kind: Kind) -> str:
    """Both limits, the unit once; three significant digits are enough for a limit.

    >>> _span(0.1, 0.25, "percent"), _span(None, None, "percent"), _span(1.08, 1.819, "plain")
    ('10.0 to 25.0 %', '–', '1.08 to 1.82')
    """
    if is_missing(low) and is_missing(high):
        return "–"
    lower, upper = cell(low, kind, digits=3), cell(high, kind, digits=3)
    return f"{lower.removesuffix(' %') if upper.endswith(' %') else lower} to {upper}"


def html_table(frame: pd.DataFrame, *, most: int, caption: str = "") -> str:
    """The table, at most `most` rows of it; every name and value is escaped.

    Args:
        caption: what a row is; how many rows are shown stands behind it.
    """
    columns = columns_of(frame.head(most))
    marks = [_mark(c) for c in columns]
    head = "".join(f"<th{mark}>{plain(c.head)}</th>" for c, mark in zip(columns, marks, strict=True))
    rows = zip(*(c.cells for c in columns), strict=True)
    body = "".join(
        "<tr>" + "".join(f"<td{mark}>{plain(text)}</td>" for text, mark in zip(row, marks, strict=True)) + "</tr>"
        for row in rows
    )
    rest = f"the first {most} of {len(frame):,} rows" if len(frame) > most else "" if len(frame) else "no rows"
    told = "; ".join(part for part in (caption, rest) if part)
    title = f"<caption>{plain(told)}</caption>" if told else ""
    wide = ' class="wide"' if len(columns) > WIDE else ""
    return f"<table{wide}>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _mark(column: Column) -> str:
    """Numbers stand to the right, dates stay on one line, long text gets room."""
    if column.is_number:
        return ' class="num"'
    if any(len(c) > LONG for c in column.cells):
        return ' class="text"'
    return ' class="span"' if column.cells and all(c == "–" or INSTANT.fullmatch(c) for c in column.cells) else ""


def with_scope(table: str) -> str:
    """A table whose heads say that they are of columns, for those who hear it."""
    return str(table).replace("<th>", '<th scope="col">').replace("<th class", '<th scope="col" class')


def as_cards(table: str) -> Markup:
    """A table, our own and cleaned, whose rows can be read as cards on a phone: each cell knows its column.

    >>> print(
    ...     as_cards("<table><tr><th>a</th><th>n</th></tr><tbody><tr><td>x</td><td>1</td></tr></tbody></table>")[-60:-8]
    ... )
    <tr><td>x</td><td data-label="n">1</td></tr></tbody>
    """
    head, mark, body = with_scope(table).partition("<tbody>")
    heads = [re.sub(r"<[^>]*>", "", text).replace('"', "&quot;") for text in re.findall(r"<th[^>]*>(.*?)</th>", head)]

    def labelled(row: re.Match[str]) -> str:
        columns = iter(enumerate(heads))

        def cell_of(tag: re.Match[str]) -> str:
            place, name = next(columns, (0, ""))
            return tag[0] if place == 0 else f'{tag[0][:-1]} data-label="{name}">'

        return re.sub(r"<t[dh](?: [^>]*)?>", cell_of, row[0])

    body = re.sub(r"<tr>.*?</tr>", labelled, body, flags=re.DOTALL)
    return Markup(head.replace("<table", '<table class="cards"', 1) + mark + body)
