"""JSON objects of many lines in one pass of compiled code: where each field's value stands, and the rest as the text
that properties are stored as.

Only what is beyond doubt is taken: every other line is read strictly, one by one, by the contract's own reader, and
properties whose text may differ from the stored form are read and written anew. So this code refuses nothing and gives
no reasons. It reads RFC 8259: a text is sound when it ends where the object ends.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit

from launchpad_lib.ingestion.files.json_values import (
    ABSENT,
    MOST_DEPTH,
    MOST_KEYS,
    NESTED,
    NUMBER,
    TEXT,
    WHOLE,
    behind_space,
    copied,
    hash_of,
    text_end,
    value_end,
)
from launchpad_lib.ingestion.files.text_arrays import buffers_of, texts_at

SOUND, STRICT, EMPTY = 0, 1, 2
MOST_PAIRS, MOST_NAMES = 256, 30_000
_SLOTS = 65_536
# What a field is for: a column that somebody asked for, or the event's own properties; all others are found fields.
_OWN = -2


class Scanned(NamedTuple):
    """Of each line its `status`; of each wanted field and line the span of its value and its kind.

    `properties`: own ones and fields that fill no column, NULL where they are to be read and written anew.
    """

    status: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    kinds: np.ndarray
    properties: pa.Array
    names: list[str]


def scan_objects(
    data: np.ndarray, starts: np.ndarray, *, wanted: list[str], own: str | None, used: Collection[str]
) -> Scanned:
    """Reads one object a line.

    Args:
        data: UTF-8 bytes of all lines.
        starts: where each line begins, and the end of the last one.
        wanted: fields whose values are asked for.
        own: the field that holds the event's own properties; None where nobody asks for properties.
        used: fields that go into no properties.
    """
    table = _Names(wanted, own, used)
    count = len(starts) - 1
    status = np.empty(count, np.uint8)
    begins = np.zeros((len(wanted), count), np.int64)
    ends = np.zeros((len(wanted), count), np.int64)
    kinds = np.zeros((len(wanted), count), np.uint8)
    # A field may be written with a comma where the line had an opening brace; own properties add their braces.
    out = np.empty(int(starts[-1] - starts[0]) + 4 * count + 16, np.uint8)
    offsets = np.zeros(count + 1, np.int64)
    is_written = np.zeros(count, np.bool_)
    spans, is_met = np.zeros((MOST_NAMES, 2), np.int64), np.zeros(len(wanted) + 1, np.bool_)
    found = _scan(
        data,
        starts,
        table.slots,
        table.places,
        table.is_used,
        status,
        begins,
        ends,
        kinds,
        out,
        offsets,
        is_written,
        spans,
        is_met,
    )
    names = [data[a:b].tobytes().decode("utf-8", "replace") for a, b in spans[:found]]
    met = [n for n, is_there in zip([*wanted, own or ""], is_met, strict=True) if is_there]
    return Scanned(status, begins, ends, kinds, texts_at(out, offsets, is_written), [*met, *names])


def canonical_objects(texts: pa.Array) -> pa.Array:
    """Each text as properties are stored; NULL where it is to be read and written anew; what is no text is `{}`."""
    offsets, data = buffers_of(texts)
    count = len(texts)
    out = np.empty(int(offsets[-1] - offsets[0]) + 2 * count + 16, np.uint8)
    ends, is_written = np.zeros(count + 1, np.int64), np.zeros(count, np.bool_)
    _canonical(data, offsets.astype(np.int64), np.asarray(texts.is_valid()), out, ends, is_written)
    return texts_at(out, ends, is_written)


class _Names:
    """An open hash table of the names asked for; the others are added as they are met."""

    def __init__(self, wanted: list[str], own: str | None, used: Collection[str]) -> None:
        self.slots = np.zeros(_SLOTS, np.uint64)
        self.places = np.full(_SLOTS, -1, np.int32)
        self.is_used = np.zeros(len(wanted) + 1, np.bool_)
        for place, name in enumerate(wanted):
            self._add(name, place)
            self.is_used[place] = name in used
        self.is_used[-1] = own is None  # of all other fields
        if own is not None:
            self._add(own, _OWN)

    def _add(self, name: str, place: int) -> None:
        code = np.frombuffer(name.encode("utf-8", "surrogatepass") or b"\0", np.uint8)
        key = hash_of(code, 0, len(name.encode("utf-8", "surrogatepass")))
        slot = int(key) % _SLOTS
        while self.slots[slot] != 0 and self.slots[slot] != key:
            slot = (slot + 1) % _SLOTS
        self.slots[slot], self.places[slot] = key, place


@njit(cache=True, nogil=True)
def _scan(data, starts, slots, places, is_used, status, begins, ends, kinds, out, offsets, is_written, spans, is_met):  # noqa: ANN001, ANN202, PLR0913, E501
    keys, is_object, bases = (
        np.empty(MOST_KEYS, np.uint64),
        np.zeros(MOST_DEPTH, np.bool_),
        np.zeros(MOST_DEPTH, np.int64),
    )
    own_keys = np.empty(MOST_KEYS, np.uint64)
    seen = np.full(len(is_used) + MOST_NAMES, -1, np.int64)
    pairs = np.empty((MOST_PAIRS, 3), np.int64)  # of a field that goes into the properties: its key, its end, its hash
    hashes = np.empty(MOST_PAIRS, np.uint64)
    wanted, found, o, own_line = len(is_used) - 1, 0, 0, np.int64(-1)
    # Lines mostly have the fields of the line before, in its order: where each stood, its length, its hash and place.
    last, last_hash, nth = np.zeros((MOST_PAIRS, 3), np.int64), np.zeros(MOST_PAIRS, np.uint64), 0
    for i in range(len(status)):
        offsets[i + 1] = o
        status[i] = STRICT
        end = starts[i + 1]
        p = behind_space(data, starts[i], end)
        if p == end:
            status[i] = EMPTY
            continue
        if data[p] != 123:
            continue
        extras, own_begin, own_end, own_count = 0, np.int64(-1), np.int64(-1), 0
        is_kept, is_sound, nth = True, False, 0
        p = behind_space(data, p + 1, end)
        if p < end and data[p] == 125:
            p += 1
            is_sound = True
        while not is_sound:
            if p >= end or data[p] != 34:
                break
            key_begin = p
            slot = min(nth, MOST_PAIRS - 1)
            nth += 1
            begin, size = last[slot, 0], last[slot, 1]
            is_same = size > 0 and p + size <= end
            if is_same:
                for k in range(size):
                    is_same = is_same and data[p + k] == data[begin + k]
            if is_same:
                q, key, place = p + size - 1, last_hash[slot], last[slot, 2]
            else:
                q, how = text_end(data, p + 1, end)
                if q < 0 or how > 0:
                    break
                key = hash_of(data, p + 1, q)
                at = np.int64(key % np.uint64(_SLOTS))
                while slots[at] != np.uint64(0) and slots[at] != key:
                    at = (at + 1) % _SLOTS
                if slots[at] == np.uint64(0):
                    if found >= MOST_NAMES:
                        break
                    slots[at], places[at] = key, wanted + 1 + found
                    spans[found, 0], spans[found, 1] = p + 1, q
                    found += 1
                place = np.int64(places[at])
                last[slot, 0], last[slot, 1], last[slot, 2], last_hash[slot] = p, q + 1 - p, place, key
            p = behind_space(data, q + 1, end)
            if p >= end or data[p] != 58:
                break
            p = behind_space(data, p + 1, end)
            value_begin, q = p, p
            if p < end and data[p] == 34:  # most values are plain texts
                q += 1
                while q < end and data[q] != 34 and data[q] != 92 and data[q] >= 32:
                    q += 1
            if q > p and q < end and data[q] == 34:
                p, kind, is_same, count = q + 1, TEXT, True, 0
            else:
                p, kind, is_same, count = value_end(data, p, end, keys, is_object, bases)
                if p < 0:
                    break
            if place == _OWN:
                if own_line == i:
                    break
                own_line, is_met[wanted] = i, True
                if kind == NESTED and data[value_begin] == 123:
                    own_begin, own_end, own_count = value_begin, p, count
                    own_keys[:count] = keys[:count]
                    is_kept = is_kept and is_same
                elif kind != ABSENT:
                    is_kept = False
            else:
                if seen[place] == i:
                    break
                seen[place] = i
                is_extra = not is_used[min(place, wanted)]
                if place < wanted:
                    is_met[place] = True
                    if kind == NESTED:
                        break
                    kinds[place, i] = kind if is_same or kind != WHOLE else NUMBER
                    begins[place, i] = value_begin + (kind == TEXT)
                    ends[place, i] = p - (kind == TEXT)
                if is_extra and kind != ABSENT:
                    is_kept = is_kept and is_same and extras < MOST_PAIRS
                    if extras < MOST_PAIRS:
                        pairs[extras, 0], pairs[extras, 1], hashes[extras] = key_begin, p, key
                        extras += 1
            p = behind_space(data, p, end)
            if p >= end:
                break
            if data[p] == 125:
                p += 1
                is_sound = True
            elif data[p] == 44:
                p = behind_space(data, p + 1, end)
            else:
                break
        if not is_sound or behind_space(data, p, end) != end:
            kinds[:, i] = ABSENT
            continue
        status[i] = SOUND
        for a in range(extras):
            for b in range(own_count):
                if hashes[a] == own_keys[b]:
                    is_kept = False
        if not is_kept:
            continue
        out[o] = 123
        first = o = o + 1
        if own_count > 0:
            o = copied(data, own_begin + 1, own_end - 1, out, o)
        for a in range(extras):
            if o > first:
                out[o] = 44
                o += 1
            o = copied(data, pairs[a, 0], pairs[a, 1], out, o)
        out[o] = 125
        o += 1
        is_written[i] = True
        offsets[i + 1] = o
    return found


@njit(cache=True, nogil=True)
def _canonical(data, offsets, is_there, out, ends, is_written):  # noqa: ANN001, ANN202
    keys, is_object, bases = (
        np.empty(MOST_KEYS, np.uint64),
        np.zeros(MOST_DEPTH, np.bool_),
        np.zeros(MOST_DEPTH, np.int64),
    )
    o = 0
    for i in range(len(is_there)):
        end = offsets[i + 1]
        p = behind_space(data, offsets[i], end)
        if not is_there[i] or p == end:
            out[o], out[o + 1], is_written[i] = 123, 125, True
            o += 2
        elif data[p] == 123:
            q, kind, is_kept, _ = value_end(data, p, end, keys, is_object, bases)
            if q >= 0 and is_kept and behind_space(data, q, end) == end:
                o, is_written[i] = copied(data, p, q, out, o), True
        ends[i + 1] = o
