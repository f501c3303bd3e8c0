"""Where a JSON value ends, of which kind it is, and whether it is stored as it stands: compiled code for `json_scan`.

Numba keeps `json_scan` compiled with this code in it and looks at that file's time alone: change both.
"""

from __future__ import annotations

import numpy as np
from numba import njit

ABSENT, TEXT, WHOLE, NUMBER, BOOLEAN, NESTED = range(6)
MOST_DEPTH, MOST_KEYS = 32, 512


@njit(cache=True, nogil=True)
def hash_of(data, begin, end):  # noqa: ANN001, ANN202
    """FNV-1a of 64 bits with a last mixing; never 0."""
    h = np.uint64(14695981039346656037)
    for i in range(begin, end):
        h = (h ^ np.uint64(data[i])) * np.uint64(1099511628211)
    h = (h ^ (h >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    h ^= h >> np.uint64(32)
    return h if h != np.uint64(0) else np.uint64(1)


@njit(cache=True, nogil=True)
def behind_space(data, p, end):  # noqa: ANN001, ANN202
    while p < end and (data[p] == 32 or data[p] == 9 or data[p] == 13 or data[p] == 10):
        p += 1
    return p


@njit(cache=True, nogil=True)
def text_end(data, p, end):  # noqa: ANN001, ANN202
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
def number_end(data, p, end):  # noqa: ANN001, ANN202
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
def value_end(data, p, end, keys, is_object, bases):  # noqa: ANN001, ANN202
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
            p, how = text_end(data, p + 1, end)
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
            p = behind_space(data, p + 1, end)
            if p >= end:
                return -1, kind, False, 0
            if data[p] == (125 if c == 123 else 93):
                depth -= 1
                p += 1
            else:
                is_open = True
        elif c == 45 or 48 <= c <= 57:
            p, here, is_same = number_end(data, p, end)
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
            p = behind_space(data, p, end)
            if p >= end:
                return -1, kind, False, 0
            if data[p] == 44:
                p = behind_space(data, p + 1, end)
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
            q, how = text_end(data, p + 1, end)
            if q < 0:
                return -1, kind, False, 0
            key = hash_of(data, p + 1, q)
            is_kept = is_kept and how == 0
            if top >= MOST_KEYS:
                is_kept = False
            else:
                for k in range(bases[depth - 1], top):
                    if keys[k] == key:
                        is_kept = False
                keys[top] = key
                top += 1
            p = behind_space(data, q + 1, end)
            if p >= end or data[p] != 58:
                return -1, kind, False, 0
            p = behind_space(data, p + 1, end)


@njit(cache=True, nogil=True)
def copied(data, p, end, out, o):  # noqa: ANN001, ANN202
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
