"""A source's new files, read and judged, and its refused rows as they are kept; the lake is as it was."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from launchpad_lib.contract.arrow import REFUSED_SCHEMA
from launchpad_lib.contract.event import shown
from launchpad_lib.contract.event.rules import MAX_RAW_CHARACTERS, conflicting
from launchpad_lib.ingestion.files.copies import Conflict
from launchpad_lib.ingestion.files.source import IngestError, SourceSpec
from launchpad_lib.ingestion.files.staging import Scratch, Staged

MAX_REASON_CHARACTERS = 400
UNITS_BY_DIGITS = {9: "s", 10: "s", 12: "ms", 13: "ms", 15: "us", 16: "us", 18: "ns", 19: "ns"}


class Mark(NamedTuple):
    """What says in the table's log that a file's rows are there: an application's id and its version."""

    app_id: str
    version: int


class CheckedFile(NamedTuple):
    """One file, read and checked: its number among the staged rows, its mark, its name, rows read and refused, and
    whether its rows came with ids, or a natural key, by which copies can be told.
    """

    number: int
    mark: Mark
    name: str
    read: int
    refused: int
    has_ids: bool


class Prepared(NamedTuple):
    """A source's new files, read and checked; their rows wait in `scratch`.

    `unwanted`: numbers of files that were read once more, under another number.
    """

    table: str
    files: int
    skipped_files: int
    checked: list[CheckedFile]
    scratch: Scratch | None
    staged: list[Staged]
    refused: list[Path]
    unwanted: frozenset[int]


def raise_if_all_are_refused(prepared: Prepared, source: SourceSpec) -> None:
    """A source none of whose rows is good is an error of the mapping, not of its rows; one that gave rows before is
    believed.
    """
    read, refused = sum(f.read for f in prepared.checked), sum(f.refused for f in prepared.checked)
    if not read or refused < read or prepared.skipped_files:
        return
    # Of one rule each row tells its own value: the rules are counted, and the commonest speaks by its first row.
    rules: Counter[str] = Counter()
    firsts: dict[str, tuple[int, int, str]] = {}
    for path in prepared.refused:
        for batch in pq.ParquetFile(path).iter_batches(columns=["__file", "line", "reason"]):
            for file, line, reason in zip(*(c.to_pylist() for c in batch.columns), strict=True):
                if file not in prepared.unwanted:
                    rule = _rule_of(reason)
                    rules[rule] += 1
                    firsts[rule] = min(firsts.get(rule, (file, line, reason)), (file, line, reason))
    most = max(rules.values())
    rule = min((r for r, count in rules.items() if count == most), key=lambda r: firsts[r])
    first = firsts[rule][2]
    more = f" ({len(rules) - 1} other reasons in {refused - most:,} of them)" if len(rules) > 1 else ""
    raise IngestError(f"{source.path}: {refused:,} of {read:,} rows refused: {first}{more}{_hint(first)}")


def _rule_of(reason: str) -> str:
    return re.sub(r"^(\w+): .*? (is|states|stands|does) ", r"\1 \2 ", reason)


def _hint(reason: str) -> str:
    """The unit that a number of that many digits has, for times between 1973 and 2286; the format that a local form of
    a time has, both where day and month cannot be told apart.

    >>> _hint("event_at: 31.12.2026 09:30 is not a timestamp such as ...")
    "; state `formats: {event_at: '%d.%m.%Y %H:%M'}`"
    """
    found = re.match(r"(\w+): (.+?) is not a timestamp such", reason)
    if not found:
        return ""
    column, text = found.groups()
    number = re.fullmatch(r"(\d+)(?:[.]\d+)?", text)
    unit = UNITS_BY_DIGITS.get(len(number[1])) if number else None
    if number and unit:
        return f"; {number[1]} looks like {unit}: state `units: {{{column}: {unit}}}`"
    forms = " or ".join(f"`formats: {{{column}: '{form}'}}`" for form in _forms(text))
    return f"; state {forms}" if forms else ""


def _forms(text: str) -> list[str]:
    """How strptime reads a date of numbers: day first where dots stand between them, otherwise what is possible."""
    date = re.fullmatch(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d\d)(.*)", text)
    clock = date and re.fullmatch(r"([T ]?)(?:\d{1,2}(:\d\d){1,2}([.]\d{1,6})?( ?[AaPp][Mm])?)?", date[5])
    if not date or not clock:
        return []
    first, between, second, year = int(date[1]), date[2], int(date[3]), "%Y" if len(date[4]) == 4 else "%y"
    rest = ""
    if date[5]:
        seconds = ":%S" * (date[5].count(":") == 2) + ".%f" * bool(clock[3])
        half = f"{'' if not clock[4].startswith(' ') else ' '}%p" if clock[4] else ""
        rest = f"{clock[1]}{'%I' if clock[4] else '%H'}:%M{seconds}{half}"
    orders = (
        [("%d", "%m")]
        if between == "." or first > 12
        else [("%m", "%d")]
        if second > 12
        else [("%d", "%m"), ("%m", "%d")]
    )
    return [between.join((*order, year)) + rest for order in orders]


def stamped_row(table: str, file: str, moment: datetime, line: int, reason: str, raw: str) -> tuple:
    """A refused row as it is kept; what cannot be printed is made visible in its reason."""
    told = shown(reason, characters=MAX_REASON_CHARACTERS)
    return table, printable(file), line, told, raw[:MAX_RAW_CHARACTERS], moment.replace(tzinfo=None)


def told_conflicts(conflicts: list[Conflict], names: dict[int, str]) -> pa.Table:
    """The conflicting copies as rows of the rejected table."""
    now = datetime.now(UTC).replace(tzinfo=None)
    rows = [("events", names[c.file], c.line, conflicting(c.event_id), c.raw, now) for c in conflicts]
    return refused_table(rows)


def printable(name: str) -> str:
    """A file name may hold bytes that are no text."""
    return name.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="backslashreplace")


def refused_table(rows: list[tuple]) -> pa.Table:
    """Refused rows with their columns."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(REFUSED_SCHEMA)
    return pa.table(
        [pa.array(values, f.type) for values, f in zip(columns, REFUSED_SCHEMA, strict=True)], schema=REFUSED_SCHEMA
    )
