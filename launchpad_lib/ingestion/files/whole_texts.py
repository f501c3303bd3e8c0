"""The text of a CSV or JSON file, plain or packed, in blocks of whole lines and in bounded memory.

What no log is ends it in one sentence: a line of more than 64 MB, or a file that unpacks to over 200 times its size.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from launchpad_lib.ingestion.files.source import IngestError

PART_BYTES = 12_000_000
MOST_LINE_BYTES = 2**26
NO_TEXTS = {
    b"PK\x03\x04": "is a ZIP file or a workbook; unpack it, or export the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "is a workbook of old Excel; export the sheet as CSV",
    b"\x28\xb5\x2f\xfd": "is packed by zstd; unpack it, or pack it by gzip",
    b"PAR1": "is a Parquet file; call it .parquet or state its `format`",
}
MOST_PACKED, LEAST_BOMB_BYTES = 200, 2**24  # a log packs to a tenth or a hundredth; gzip's least is a thousandth


def texts_in(path: Path, encoding: str) -> Iterator[bytes]:
    """The text as UTF-8 without a byte order mark, cut behind line feeds."""
    rest: list[bytes] = []
    is_first, lines = True, 0
    for block in _blocks(path, encoding):
        if is_first and block:
            block, is_first = block.removeprefix(b"\xef\xbb\xbf"), False
        cut = block.rfind(b"\n") + 1
        if cut:
            yield b"".join([*rest, block[:cut]])
            rest = [block[cut:]] if cut < len(block) else []
            lines += block.count(b"\n")
        else:
            rest.append(block)
        if sum(map(len, rest)) > MOST_LINE_BYTES:
            raise IngestError(
                f"{path}, line {lines + 1}: is longer than {MOST_LINE_BYTES:,} bytes, so this is no text of rows; give "
                "one row a line, each ended by a line feed"
            )
    if rest and any(rest):
        yield b"".join(rest)


def _blocks(path: Path, encoding: str) -> Iterator[bytes]:
    try:
        with path.open("rb") as raw:
            start = raw.read(4)
            is_packed = start[:2] == b"\x1f\x8b"
            for mark, what in NO_TEXTS.items():
                if start == mark:
                    raise IngestError(f"{path}: {what}")
            raw.seek(0)
            stream: IO[bytes] = gzip.GzipFile(fileobj=raw) if is_packed else raw  # type: ignore[assignment]
            decode = None if codecs.lookup(encoding).name == "utf-8" else codecs.getincrementaldecoder(encoding)()
            packed, unpacked = path.stat().st_size, 0
            while block := stream.read(PART_BYTES):
                unpacked += len(block)
                if is_packed and unpacked > max(LEAST_BOMB_BYTES, MOST_PACKED * packed):
                    raise IngestError(
                        f"{path}: unpacks to more than {MOST_PACKED} times its size, as no log does; unpack it "
                        "yourself and name the file unpacked, if it is meant"
                    )
                yield block if decode is None else _as_utf8(path, decode, block, encoding)
            if decode is not None:
                yield _as_utf8(path, decode, b"", encoding)
    except (OSError, EOFError, zlib.error) as error:
        raise IngestError(f"{path}: cannot be read ({error}); check that the file is whole and readable") from error


def _as_utf8(path: Path, decoder: codecs.IncrementalDecoder, block: bytes, encoding: str) -> bytes:
    try:
        return decoder.decode(block, final=not block).encode("utf-8")
    except UnicodeError as error:
        raise IngestError(f"{path}: not {encoding} ({error}); state its `encoding`") from error
