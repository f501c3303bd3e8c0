"""JSON events from a stream into columns: a whole block at once by compiled code, and each event in doubt by itself by
the judge, with a reason where it is refused.

Both ways judge an event alike, whatever stands beside it: a replay with other batch ends accepts and refuses the same
events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from launchpad_lib.contract.arrow import ROWS_SCHEMA
from launchpad_lib.contract.event import Event, RefusedEvent, instant, judge, read_object
from launchpad_lib.contract.event.columns import is_plain, rows_of
from launchpad_lib.contract.event.instants import NotAnInstantError
from launchpad_lib.contract.event.json_text import NotAnObjectError
from launchpad_lib.contract.event.rules import COLUMNS, MAX_RAW_CHARACTERS
from launchpad_lib.contract.pseudonyms import Pseudonyms
from launchpad_lib.ingestion.files import json_scan
from launchpad_lib.ingestion.files.lines import is_utf8
from launchpad_lib.ingestion.files.text_arrays import gathered
from launchpad_lib.spool.records import DAMAGED

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OWN = "properties"
_WANTED = [name for name in COLUMNS if name != _OWN]
_INSTANT = pa.timestamp("us", "UTC")


class Block(NamedTuple):
    """What a source read of one partition, in order; `next_offset` is where to read on.

    A payload is one event (`envelope` False) or several, one a line. `offsets` are those of the payloads; in a spool,
    where one payload is a stretch of a file, an event's own place is its payload's offset plus its bytes before
    (`is_bytewise`). `received_us()`: microseconds since 1970 when each payload reached the source, asked where an event
    has no received_at. `damaged`: records of a spool, by their place, that are not as they were written; in the payload
    there are spaces in their place.
    """

    partition: str
    next_offset: int
    payloads: list[bytes]
    offsets: list[int]
    envelopes: list[bool]
    received_us: Callable[[], list[int]] | None
    is_bytewise: bool = False
    damaged: Mapping[int, bytes] = {}  # noqa: RUF012


class Refused(NamedTuple):
    """One event that broke a rule; `offset` is its place in the partition."""

    partition: str
    offset: int
    reason: str
    raw: str


class Decoded(NamedTuple):
    """`rows` has the columns of `tables.EVENTS` (instants in UTC without a zone); `offsets()` is each row's place in
    the partition.
    """

    partition: str
    rows: pa.Table
    offsets: Callable[[], np.ndarray]
    refused: list[Refused]


class _Lines(NamedTuple):
    """The texts of a block's events, each followed by a line feed: where each begins and the end of the last, and the
    number of the payload that each is of.
    """

    block: Block
    text: bytes
    starts: np.ndarray
    payloads: np.ndarray

    def line(self, number: int) -> bytes:
        return self.text[self.starts[number] : self.starts[number + 1] - 1]

    def offsets(self, numbers: np.ndarray) -> np.ndarray:
        """The places of these lines in the partition."""
        payloads = self.payloads[numbers]
        places = np.asarray(self.block.offsets, dtype=np.int64)[payloads]
        if not self.block.is_bytewise:
            return places
        return places + self.starts[numbers] - self.starts[np.searchsorted(self.payloads, payloads)]

    def received_us(self, numbers: np.ndarray) -> np.ndarray | None:
        times = self.block.received_us
        return None if times is None else np.asarray(times(), dtype=np.int64)[self.payloads[numbers]]


def decode(block: Block, *, moment: datetime) -> Decoded:
    """Every event of the block: a row, or a reason. `moment` is the judge's clock."""
    if not block.payloads:
        return Decoded(block.partition, ROWS_SCHEMA.empty_table(), lambda: np.zeros(0, dtype=np.int64), [])
    lines = _lines_of(block)
    rows = _scanned(lines)
    plain = is_plain(rows, moment=moment)
    kept, refused = np.flatnonzero(plain), [_damage(block, at, line) for at, line in block.damaged.items()]
    if len(kept) < len(plain):
        judged, places = [], []
        for number in np.flatnonzero(~plain).tolist():
            if block.envelopes[lines.payloads[number]] and not lines.line(number).strip():
                continue  # an empty line of an envelope is no event
            try:
                judged.append(_judged(lines, number, moment))
                places.append(number)
            except RefusedEvent as error:
                refused.append(_refusal(lines, number, str(error)))
        rows = pa.concat_tables([rows.filter(pa.array(plain)), rows_of(judged)])
        kept = np.concatenate([kept, np.array(places, dtype=np.int64)])
        if places:
            order = np.argsort(kept, kind="stable")
            rows, kept = rows.take(pa.array(order)), kept[order]
    return Decoded(block.partition, rows, lambda: lines.offsets(kept), refused)


def pseudonymised(decoded: Decoded, pseudonyms: Pseudonyms) -> Decoded:
    """The same with pseudonyms in the place of users, and refused events without their text, which has the id."""
    refused = [r._replace(raw="") for r in decoded.refused]
    return decoded._replace(rows=pseudonyms.of_rows(decoded.rows), refused=refused)


def _lines_of(block: Block) -> _Lines:
    """Where the block's events stand."""
    text = b"\n".join([*block.payloads, b""])
    ends = np.cumsum(np.fromiter(map(len, block.payloads), np.int64, len(block.payloads)) + 1)
    starts = np.concatenate([np.zeros(1, np.int64), ends])
    numbers = np.arange(len(ends))
    if True in block.envelopes:
        is_envelope, firsts = np.asarray(block.envelopes), starts[:-1]
        breaks = np.flatnonzero(np.frombuffer(text, np.uint8) == 10) + 1
        starts = np.concatenate([np.zeros(1, np.int64), breaks])
        numbers = np.searchsorted(ends, starts[:-1], side="right")
        if not is_envelope.all():  # a line feed within a single event is white space of JSON
            is_start = is_envelope[numbers] | (starts[:-1] == firsts[numbers])
            starts, numbers = np.append(starts[:-1][is_start], starts[-1]), numbers[is_start]
    return _Lines(block, text, starts, numbers)


def _scanned(lines: _Lines) -> pa.Table:
    """A row of each line, without an id where it is for the judge."""
    data = np.frombuffer(lines.text, np.uint8)
    if not is_utf8(lines.text):
        data = data.copy()
        for number in range(len(lines.payloads)):
            if not is_utf8(lines.line(number)):
                data[lines.starts[number]] = 0  # nothing of it is read
    found = json_scan.scan_objects(data, lines.starts, wanted=_WANTED, own=_OWN, used=frozenset(COLUMNS))
    is_text = found.kinds == json_scan.TEXT
    is_sound = (found.status == json_scan.SOUND) & (is_text | (found.kinds == json_scan.ABSENT)).all(axis=0)
    is_text &= is_sound & (found.ends > found.begins)  # an empty text says nothing
    arrays = []
    for field in ROWS_SCHEMA:
        if field.name == _OWN:
            arrays.append(found.properties)
            continue
        place = _WANTED.index(field.name)
        texts = gathered(data, found.begins[place], found.ends[place], is_text[place])
        arrays.append(_instants(field.name, texts) if pa.types.is_timestamp(field.type) else texts)
    rows = pa.Table.from_arrays(arrays, schema=ROWS_SCHEMA)
    if rows["received_at"].null_count:
        times = lines.received_us(np.arange(len(lines.payloads)))
        other = rows["event_at"] if times is None else pa.array(times).cast(pa.timestamp("us"))
        place = ROWS_SCHEMA.get_field_index("received_at")
        rows = rows.set_column(place, "received_at", pc.coalesce(rows["received_at"], other))
    return rows


def _instants(name: str, texts: pa.Array) -> pa.Array:
    """The instants; NULL, or out of every range, where the judge is to read it."""
    try:
        return texts.cast(_INSTANT).cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        found: list[datetime | None] = []
    for text in texts.to_pylist():
        try:
            found.append(None if text is None else instant(name, text).replace(tzinfo=None))
        except NotAnInstantError:
            found.append(datetime.min if name == "received_at" else None)
    return pa.array(found, pa.timestamp("us"))


def _judged(lines: _Lines, number: int, moment: datetime) -> Event:
    text = lines.line(number)
    if not text.strip():
        raise RefusedEvent("the record is empty")
    try:
        fields = read_object(text)
    except NotAnObjectError as error:
        raise RefusedEvent(str(error)) from None
    times = lines.received_us(np.array([number]))
    if times is not None and not fields.get("received_at"):
        fields["received_at"] = _EPOCH + timedelta(microseconds=int(times[0]))
    event = judge(fields, moment=moment)
    event.received_at = event.received_at or event.event_at
    return event


def _damage(block: Block, at: int, line: bytes) -> Refused:
    return Refused(block.partition, at, DAMAGED, line[:MAX_RAW_CHARACTERS].decode("utf-8", "backslashreplace"))


def _refusal(lines: _Lines, number: int, reason: str) -> Refused:
    block, payload = lines.block, int(lines.payloads[number])
    raw = lines.line(number)[:MAX_RAW_CHARACTERS].decode("utf-8", "backslashreplace")
    if block.envelopes[payload] and not block.is_bytewise:
        first = int(np.searchsorted(lines.payloads, payload))
        reason = f"event {number - first + 1} of the record: {reason}"
    return Refused(block.partition, int(lines.offsets(np.array([number]))[0]), reason, raw)
