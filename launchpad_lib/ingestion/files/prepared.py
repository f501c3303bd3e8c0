"""A source's new files, read and judged, and its refused rows as they are kept; nothing is written yet."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from typing import NamedTuple

import pyarrow as pa

from launchpad_lib.contract.arrow import REFUSED_SCHEMA
from launchpad_lib.contract.event import shown
from launchpad_lib.contract.event.rules import MAX_RAW_CHARACTERS, conflicting
from launchpad_lib.ingestion.files.conflicts import Found
from launchpad_lib.ingestion.files.source import IngestError, SourceSpec

MAX_REASON_CHARACTERS = 400


class CheckedFile(NamedTuple):
    """One file, read and checked: its mark (table, mapping and content), its name, its rows, its refused rows, and
    whether its rows came with ids, or a natural key, by which copies can be told.
    """

    mark: str
    name: str
    rows: pa.Table
    refused: pa.Table
    read: int
    has_ids: bool = True


class Prepared(NamedTuple):
    """A source's new files, read and checked; nothing is written yet."""

    table: str
    files: int
    skipped_files: int
    checked: list[CheckedFile]


def raise_if_all_are_refused(prepared: Prepared, source: SourceSpec) -> None:
    """A source none of whose rows is good is an error of the mapping, not of its rows; one that gave rows before is
    believed.
    """
    read, refused = sum(f.read for f in prepared.checked), sum(f.refused.num_rows for f in prepared.checked)
    if not read or refused < read or prepared.skipped_files:
        return
    reasons = [r for f in prepared.checked for r in f.refused["reason"].to_pylist()]
    # Of one rule each row tells its own value: the rules are counted, and the commonest speaks by its first row.
    rules = Counter(_rule_of(r) for r in reasons).most_common()
    first = next(r for r in reasons if _rule_of(r) == rules[0][0])
    more = f" ({len(rules) - 1} other reasons in {refused - rules[0][1]:,} of them)" if len(rules) > 1 else ""
    raise IngestError(f"{source.path}: {refused:,} of {read:,} rows refused: {first}{more}{_hint(first)}")


def _rule_of(reason: str) -> str:
    return re.sub(r"^(\w+): .*? (is|states|stands|does) ", r"\1 \2 ", reason)


def _hint(reason: str) -> str:
    """The unit that a number of that many digits has, for times between 1973 and 2286."""
    found = re.match(r"(\w+): (\d+)(?:[.]\d+)? is not a timestamp such", reason)
    unit = (
        {9: "s", 10: "s", 12: "ms", 13: "ms", 15: "us", 16: "us", 18: "ns", 19: "ns"}.get(len(found[2]))
        if found
        else None
    )
    return f"; {found[2]} looks like {unit}: state `units: {{{found[1]}: {unit}}}`" if found and unit else ""


def stamped_row(table: str, file: str, moment: datetime, line: int, reason: str, raw: str) -> tuple:
    """A refused row as it is kept; what cannot be printed is made visible in its reason."""
    told = shown(reason, characters=MAX_REASON_CHARACTERS)
    return table, printable(file), line, told, raw[:MAX_RAW_CHARACTERS], moment.replace(tzinfo=None)


def told_conflicts(files: list[CheckedFile], found: Found) -> list[pa.Table]:
    """The conflicting copies as rows of the rejected table."""
    names = {f.mark: f.name for f in files}
    now = datetime.now(UTC).replace(tzinfo=None)
    rows = [
        ("events", names[c.mark], c.line, conflicting(c.event_id), c.raw, now)
        for c in found.conflicts
        if c.mark in names
    ]
    return [refused_table(rows)] if rows else []


def printable(name: str) -> str:
    """A file name may hold bytes that are no text."""
    return name.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="backslashreplace")


def refused_table(rows: list[tuple]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(REFUSED_SCHEMA)
    return pa.table(
        [pa.array(values, f.type) for values, f in zip(columns, REFUSED_SCHEMA, strict=True)], schema=REFUSED_SCHEMA
    )
