"""The checksum of a spool's record, by which a flipped bit is noticed before the event goes anywhere.

A record is its JSON object, a space, `#` and the CRC-32C of the object as 8 digits. A record without one is of a writer
from before there were checksums, or of another program, and is read as it is: half of a record, or one whose checksum
was overwritten, is then no JSON object. A record of spaces was erased, and says nothing.
"""

from __future__ import annotations

import crc32c

MARK_BYTES = 10
_NO_MARK = b" " * MARK_BYTES
DAMAGED = "its checksum in the spool is another: the record was damaged after it was written"


def sealed(record: bytes) -> bytes:
    """A record, without the end of its line, with its checksum.

    >>> sealed(b'{"a":1}')
    b'{"a":1} #cff7d56a'
    """
    return b"%b #%08x" % (record, crc32c.crc32c(record))


def sealed_lines(lines: bytes) -> bytes:
    """Lines that each end in a line feed, each with its checksum."""
    return b"".join([b"%b #%08x\n" % (one, crc32c.crc32c(one)) for one in lines[:-1].split(b"\n")])


def checked(stretch: bytes) -> tuple[bytes, dict[int, bytes]]:
    r"""Whole lines, each of the length that it has in the segment, whose checksums are spaces; and the damaged ones, by
    the byte at which they begin, which are spaces too.

    >>> checked(b'{"a":1} #cff7d56a\n{"a":2} #cff7d56a\n')
    (b'{"a":1}          \n                 \n', {18: b'{"a":2} #cff7d56a'})
    """
    if b" #" not in stretch:  # of a writer from before there were checksums
        return stretch, {}
    found, damaged, at = [], {}, 0
    for line in stretch[:-1].split(b"\n"):
        record = line
        if line[-MARK_BYTES:-8] == b" #":
            record = line[:-MARK_BYTES]
            if line[-8:] == b"%08x" % crc32c.crc32c(record):
                record += _NO_MARK
            else:
                damaged[at], record = line, b" " * len(line)
        found.append(record)
        at += len(line) + 1
    found.append(b"")
    return b"\n".join(found), damaged


def opened(line: bytes) -> bytes | None:
    """A record without its checksum; None where that is another. Of an erased one nothing is left.

    >>> opened(b'{"a":1} #cff7d56a'), opened(b'{"a":2} #cff7d56a'), opened(b'{"a":2}'), opened(b"   ")
    (b'{"a":1}', None, b'{"a":2}', b'')
    """
    if line[-MARK_BYTES:-8] != b" #":
        return line if line.strip() else b""
    record = line[:-MARK_BYTES]
    return record if line[-8:] == b"%08x" % crc32c.crc32c(record) else None
