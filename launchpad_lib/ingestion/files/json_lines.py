"""JSON lines as columns.

Lines beyond doubt are read by compiled code; every other line is read strictly, one by one, and gets its reason.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from launchpad_lib.contract.event import read_object
from launchpad_lib.contract.event.json_text import NotAnObjectError
from launchpad_lib.ingestion.files import json_scan
from launchpad_lib.ingestion.files.json_values import ABSENT, BOOLEAN, NUMBER
from launchpad_lib.ingestion.files.lines import Lines, is_utf8
from launchpad_lib.ingestion.files.text_arrays import gathered
from launchpad_lib.ingestion.files.text_rows import TextRows


class Asked(NamedTuple):
    """What of the objects is asked for: fields with a column of their own, of these the ids and names, the field of the
    event's own properties (None: nobody asks for properties), and the fields that go into no properties.
    """

    wanted: list[str]
    names: Collection[str] = ()
    own: str | None = None
    used: Collection[str] = ()


def read_json_lines(lines: Lines, *, before: int, asked: Asked) -> TextRows:
    """One row per line that is a JSON object: the wanted fields as text, `__line`, the whole object as `__object`, its
    `__properties` where they are beyond doubt, and `__odd`: whether an id or name is neither text nor whole number.

    A string is its text, null is NULL, anything else is its JSON. Of a key that stands twice the last value wins.

    Args:
        lines: whole lines.
        before: lines of the file before these.
    """
    content = lines.content
    data = np.frombuffer(content or b" ", np.uint8)
    found = json_scan.scan_objects(data, lines.starts, wanted=asked.wanted, own=asked.own, used=asked.used)
    status = found.status
    if not is_utf8(content):
        status = np.where(_is_utf8_line(lines), status, json_scan.STRICT).astype(np.uint8)
    records, broken = _one_by_one(lines, np.flatnonzero(status == json_scan.STRICT) + 1, before)
    is_sound = status == json_scan.SOUND
    names = sorted({*found.names, *(name for r in records.values() for name in r)})
    fields = [name for name in asked.wanted if name in set(names)]
    at = {name: place for place, name in enumerate(asked.wanted)}
    texts = {
        name: gathered(data, found.begins[at[name]], found.ends[at[name]], found.kinds[at[name]] != ABSENT)
        for name in fields
    }
    kinds = [found.kinds[at[n]] for n in fields if n in asked.names]
    odd = np.zeros(len(status), np.bool_)
    for kind in kinds:
        odd |= (kind == NUMBER) | (kind == BOOLEAN)
    whole = pa.LargeStringArray.from_buffers(len(status), pa.py_buffer(lines.starts), pa.py_buffer(content))
    columns = {
        **texts,
        "__line": pa.array(np.arange(before + 1, before + len(status) + 1)),
        "__object": whole,
        "__properties": found.properties,
        "__odd": pa.array(odd),
    }
    if not is_sound.all():  # lines that are no text are left out before anybody reads them as one
        columns = {name: column.filter(pa.array(is_sound)) for name, column in columns.items()}
    columns["__object"] = columns["__object"].cast(pa.string())
    table = pa.table(columns)
    if records:
        values = list(records.values())
        strict = {name: pa.array([_as_text(r.get(name)) for r in values], pa.string()) for name in fields}
        named = [n for n in fields if n in asked.names]
        is_odd = [any(r.get(n).__class__ not in (str, type(None)) for n in named) for r in values]
        more = pa.table(
            {
                **strict,
                "__line": pa.array(list(records), pa.int64()),
                "__object": pa.array([_as_json(r) for r in values], pa.string()),
                "__properties": pa.nulls(len(values), pa.string()),
                "__odd": pa.array(is_odd, pa.bool_()),
            }
        )
        table = pa.concat_tables([table, more]).sort_by("__line")
    return TextRows(table, broken, names, lambda numbers: [lines.text(n - before).strip() for n in numbers], "json")


def _is_utf8_line(lines: Lines) -> np.ndarray:
    return np.array([is_utf8(lines.line(n)) for n in range(1, len(lines.starts))], np.bool_)


def _one_by_one(lines: Lines, numbers: np.ndarray, before: int) -> tuple[dict[int, dict], list[tuple[int, str, str]]]:
    """Strict reading of the doubtful lines; an empty line is none."""
    records: dict[int, dict] = {}
    broken = []
    for number in numbers.tolist():
        line = lines.line(number).strip()
        if not line:
            continue
        try:
            records[before + number] = read_object(line)
        except NotAnObjectError as error:
            broken.append((before + number, str(error), lines.text(number).strip()))
    return records, broken


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _as_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else _as_json(value)
