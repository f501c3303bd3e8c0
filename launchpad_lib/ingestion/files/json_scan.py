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

SOUND, STRICT, EMPTY = 0, 1, 2
ABSENT, TEXT, WHOLE, NUMBER, BOOLEAN, NESTED = range(6)
MOST_DEPTH, MOST_KEYS, MOST_PAIRS, MOST_NAMES = 32, 512, 256, 30_000
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


def texts_at(data: np.ndarray, offsets: np.ndarray, is_valid: np.ndarray) -> pa.Array:
    """Texts that stand one behind the other."""
    valid = None if is_valid.all() else pa.py_buffer(np.packbits(is_valid, bitorder="little"))
    body = pa.py_buffer(data[: offsets[-1]])
    return pa.StringArray.from_buffers(len(is_valid), pa.py_buffer(offsets.astype(np.int32)), body, valid)


def gathered(data: np.ndarray, begins: np.ndarray, ends: np.ndarray, is_valid: np.ndarray) -> pa.Array:
    """Texts that stand anywhere."""
    offsets = np.empty(len(begins) + 1, np.int64)
    out = np.empty(_lengths(begins, ends, is_valid, offsets), np.uint8)
    _gather(data, begins, offsets, out)
    return texts_at(out, offsets, is_valid)


def buffers_of(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (32 bit) and bytes of a string array."""
    _, offsets, data = texts.buffers()
    where = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return where, np.frombuffer(data if data is not None and data.size else b"\0", np.uint8)


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
        key = _hash(code, 0, len(name.encode("utf-8", "surrogatepass")))
        slot = int(key) % _SLOTS
        while self.slots[slot] != 0 and self.slots[slot] != key:
            slot = (slot + 1) % _SLOTS
        self.slots[slot], self.places[slot] = key, place


@njit(cache=True, nogil=True)
def _hash(data, begin, end):  # noqa: ANN001, ANN202
    """FNV-1a of 64 bits with a last mixing; never 0."""
    h = np.uint64(14695981039346656037)
    for i in range(begin, end):
        h = (h ^ np.uint64(data[i])) * np.uint64(1099511628211)
    h = (h ^ (h >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    h ^= h >> np.uint64(32)
    return h if h != np.uint64(0) else np.uint64(1)


@njit(cache=True, nogil=True)
def _space(data, p, end):  # noqa: ANN001, ANN202
    while p < end and (data[p] == 32 or data[p] == 9 or data[p] == 13 or data[p] == 10):
        p += 1
    return p


@njit(cache=True, nogil=True)
def _text(data, p, end):  # noqa: ANN001, ANN202
    """From behind the opening quote: the place of the closing one, and 0 plain, 1 with escapes that are stored so, 2
    with others; place -1 where it is for the strict reader.
    """
    how = 0
    while p < end:
        c = data[p]
        if c == 34:
            return p, how
        if c < 32:
            return -1, how
        if c == 92:
            p += 1
            if p >= end:
                return -1, how
            c = data[p]
            if c == 34 or c == 92 or c == 110 or c == 114 or c == 116:
                how = max(how, 1)
            elif c == 47 or c == 98 or c == 102:
                how = 2
            elif c == 117:
                how = 2
                if p + 4 >= end:
                    return -1, how
                for k in range(p + 1, p + 5):
                    d = data[k] | 32
                    if not (48 <= data[k] <= 57 or 97 <= d <= 102):
                        return -1, how
                # Halves of surrogate pairs, and what they could be part of.
                if (data[p + 1] | 32) == 100 and not 48 <= data[p + 2] <= 55:
                    return -1, how
                p += 4
            else:
                return -1, how
        p += 1
    return -1, how


@njit(cache=True, nogil=True)
def _number(data, p, end):  # noqa: ANN001, ANN202
    """Its end, its kind, and whether it is stored as it stands; -1 where it is for the strict reader."""
    begin = p
    if data[p] == 45:
        p += 1
    first = p
    while p < end and 48 <= data[p] <= 57:
        p += 1
    whole = p - first
    if whole == 0 or (whole > 1 and data[first] == 48) or whole > 300:
        return -1, NUMBER, False
    is_kept = not (data[first] == 48 and first > begin)  # -0
    if p >= end or (data[p] != 46 and data[p] != 101 and data[p] != 69):
        return p, WHOLE, is_kept and whole <= 18
    is_kept = whole <= 15
    if data[p] == 46:
        p += 1
        point = p
        while p < end and 48 <= data[p] <= 57:
            p += 1
        digits = p - point
        if digits == 0:
            return -1, NUMBER, False
        is_kept = is_kept and whole + digits <= 15 and (data[p - 1] != 48 or (digits == 1 and data[first] != 48))
        if data[first] == 48 and digits >= 3 and data[point] == 48 and data[point + 1] == 48 and data[point + 2] == 48:
            is_kept = False
    if p < end and (data[p] == 101 or data[p] == 69):
        is_kept = False
        p += 1
        if p < end and (data[p] == 43 or data[p] == 45):
            p += 1
        power = p
        while p < end and 48 <= data[p] <= 57:
            p += 1
        if p == power or p - power > 2:
            return -1, NUMBER, False
    return p, NUMBER, is_kept


@njit(cache=True, nogil=True)
def _is_word(data, p, end, a, b, c, d):  # noqa: ANN001, ANN202, PLR0913
    return p + 4 <= end and data[p] == a and data[p + 1] == b and data[p + 2] == c and data[p + 3] == d


@njit(cache=True, nogil=True)
def _value(data, p, end, keys, is_object, bases):  # noqa: ANN001, ANN202
    """From the first byte of a value: its end, its kind, whether it is stored as it stands but for white space, and how
    many keys of its own first level stand in `keys`; -1 where it is for the strict reader.
    """
    depth, top, is_kept, kind, first_level = 0, 0, True, ABSENT, 0
    while True:
        if p >= end:
            return -1, kind, False, 0
        c = data[p]
        here, is_open = NESTED, False
        if c == 34:
            p, how = _text(data, p + 1, end)
            if p < 0:
                return -1, kind, False, 0
            p += 1
            here = TEXT
            is_kept = is_kept and how < 2
            if depth == 0 and how > 0:
                here = NESTED  # a text that does not stand as it is
        elif c == 123 or c == 91:
            if depth >= MOST_DEPTH:
                return -1, kind, False, 0
            is_object[depth], bases[depth] = c == 123, top
            depth += 1
            p = _space(data, p + 1, end)
            if p >= end:
                return -1, kind, False, 0
            if data[p] == (125 if c == 123 else 93):
                depth -= 1
                p += 1
            else:
                is_open = True
        elif c == 45 or 48 <= c <= 57:
            p, here, is_same = _number(data, p, end)
            if p < 0:
                return -1, kind, False, 0
            is_kept = is_kept and is_same
        elif _is_word(data, p, end, 116, 114, 117, 101):
            p, here = p + 4, BOOLEAN
        elif _is_word(data, p, end, 110, 117, 108, 108):
            p, here = p + 4, ABSENT
        elif c == 102 and _is_word(data, p + 1, end, 97, 108, 115, 101):
            p, here = p + 5, BOOLEAN
        else:
            return -1, kind, False, 0
        if depth == 0 or (is_open and depth == 1):
            kind = here
        while not is_open and depth > 0:
            p = _space(data, p, end)
            if p >= end:
                return -1, kind, False, 0
            if data[p] == 44:
                p = _space(data, p + 1, end)
                is_open = True
            elif data[p] == (125 if is_object[depth - 1] else 93):
                depth -= 1
                if depth == 0:
                    first_level = top
                top = bases[depth]
                p += 1
            else:
                return -1, kind, False, 0
        if depth == 0:
            return p, kind, is_kept, first_level
        if is_object[depth - 1]:
            if p >= end or data[p] != 34:
                return -1, kind, False, 0
            q, how = _text(data, p + 1, end)
            if q < 0:
                return -1, kind, False, 0
            key = _hash(data, p + 1, q)
            is_kept = is_kept and how == 0
            if top >= MOST_KEYS:
                is_kept = False
            else:
                for k in range(bases[depth - 1], top):
                    if keys[k] == key:
                        is_kept = False
                keys[top] = key
                top += 1
            p = _space(data, q + 1, end)
            if p >= end or data[p] != 58:
                return -1, kind, False, 0
            p = _space(data, p + 1, end)


@njit(cache=True, nogil=True)
def _copy(data, p, end, out, o):  # noqa: ANN001, ANN202
    """Without the white space between."""
    is_text = False
    while p < end:
        c = data[p]
        if is_text:
            if c == 92:
                out[o] = c
                o += 1
                p += 1
                c = data[p]
            elif c == 34:
                is_text = False
        elif c == 34:
            is_text = True
        elif c == 32 or c == 9 or c == 10 or c == 13:
            p += 1
            continue
        out[o] = c
        o += 1
        p += 1
    return o


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
        p = _space(data, offsets[i], end)
        if not is_there[i] or p == end:
            out[o], out[o + 1], is_written[i] = 123, 125, True
            o += 2
        elif data[p] == 123:
            q, kind, is_kept, _ = _value(data, p, end, keys, is_object, bases)
            if q >= 0 and is_kept and _space(data, q, end) == end:
                o, is_written[i] = _copy(data, p, q, out, o), True
        ends[i + 1] = o


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
        p = _space(data, starts[i], end)
        if p == end:
            status[i] = EMPTY
            continue
        if data[p] != 123:
            continue
        extras, own_begin, own_end, own_count = 0, np.int64(-1), np.int64(-1), 0
        is_kept, is_sound, nth = True, False, 0
        p = _space(data, p + 1, end)
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
                q, how = _text(data, p + 1, end)
                if q < 0 or how > 0:
                    break
                key = _hash(data, p + 1, q)
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
            p = _space(data, q + 1, end)
            if p >= end or data[p] != 58:
                break
            p = _space(data, p + 1, end)
            value_begin, q = p, p
            if p < end and data[p] == 34:  # most values are plain texts
                q += 1
                while q < end and data[q] != 34 and data[q] != 92 and data[q] >= 32:
                    q += 1
            if q > p and q < end and data[q] == 34:
                p, kind, is_same, count = q + 1, TEXT, True, 0
            else:
                p, kind, is_same, count = _value(data, p, end, keys, is_object, bases)
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
            p = _space(data, p, end)
            if p >= end:
                break
            if data[p] == 125:
                p += 1
                is_sound = True
            elif data[p] == 44:
                p = _space(data, p + 1, end)
            else:
                break
        if not is_sound or _space(data, p, end) != end:
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
            o = _copy(data, own_begin + 1, own_end - 1, out, o)
        for a in range(extras):
            if o > first:
                out[o] = 44
                o += 1
            o = _copy(data, pairs[a, 0], pairs[a, 1], out, o)
        out[o] = 125
        o += 1
        is_written[i] = True
        offsets[i + 1] = o
    return found


@njit(cache=True, nogil=True)
def _lengths(begins, ends, is_valid, offsets):  # noqa: ANN001, ANN202
    o = offsets[0] = 0
    for i in range(len(begins)):
        if is_valid[i]:
            o += ends[i] - begins[i]
        offsets[i + 1] = o
    return o


@njit(cache=True, nogil=True)
def _gather(data, begins, offsets, out):  # noqa: ANN001, ANN202
    for i in range(len(begins)):
        a, o = begins[i], offsets[i]
        for k in range(offsets[i + 1] - o):
            out[o + k] = data[a + k]
