"""A source's files read, judged and staged, part by part on two threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from launchpad_lib.contract.event import rules
from launchpad_lib.contract.pseudonyms import Pseudonyms
from launchpad_lib.ingestion.files.fields import check_mapping, makes_ids, used_fields
from launchpad_lib.ingestion.files.json_lines import Asked
from launchpad_lib.ingestion.files.judging import check
from launchpad_lib.ingestion.files.occurrences import Occurrences, PartOccurrences
from launchpad_lib.ingestion.files.prepared import refused_table, stamped_row
from launchpad_lib.ingestion.files.readers import Form, Part, parts_of
from launchpad_lib.ingestion.files.source import IngestError, SourceSpec
from launchpad_lib.ingestion.files.staging import Stager

THREADS = 2
AHEAD = 2  # parts that wait for a thread


class FileToRead(NamedTuple):
    """A file, its name in messages, its number among the staged rows; `has_ids`: whether its rows have ids, None where
    its first part is to tell.
    """

    path: Path
    name: str
    number: int
    has_ids: bool | None = None


class FileRead(NamedTuple):
    """What a file had. `has_ids_after_all`: its rows were given ids, and a later part has some.

    `has_ids`: copies of its rows can be told.
    """

    read: int
    refused: int
    has_ids_after_all: bool
    has_ids: bool


class _PartRead(NamedTuple):
    read: int
    refused: int
    rows: int
    names: list[str]
    first_broken: tuple[int, str] | None


class Reader:
    """Reads the files of one source into a stager."""

    def __init__(self, source: SourceSpec, stager: Stager, *, moment: datetime, is_whole: bool = True) -> None:
        """`is_whole`: the files are; of some rows of a file it is not asked whether they have all mapped fields.

        Raises:
            ValueError: ids are to be pseudonymised, and there is no salt.
        """
        self._source, self._stager, self._moment, self._is_whole = source, stager, moment, is_whole
        self._form = Form(source.format, source.delimiter, source.encoding)
        self._asked = _asked(source)
        self._pseudonyms = Pseudonyms.from_environment(os.environ) if source.pseudonymise else None

    def read(self, files: list[FileToRead]) -> Iterator[FileRead]:
        """Reads the files, in order.

        Raises:
            IngestError: one of them cannot be read at all.
        """
        waiting: deque[tuple[FileToRead, bool, Future[_PartRead] | None]] = deque()
        sums = _Sums(self._source, is_whole=self._is_whole)
        with ThreadPoolExecutor(THREADS) as pool:
            try:
                for file in files:
                    is_made, ids = False, Occurrences()
                    with closing(parts_of(file.path, asked=self._asked, form=self._form)) as parts:
                        for number, part in enumerate(parts):
                            if number == 0 and file.has_ids is None:
                                is_made = makes_ids(self._source, part.first_names())
                            mine = ids.of_part(number) if is_made else None
                            waiting.append((file, is_made, pool.submit(self._check, file, part, mine)))
                            while len(waiting) > THREADS + AHEAD:
                                yield from sums.take(*waiting.popleft())
                    waiting.append((file, is_made, None))
                while waiting:
                    yield from sums.take(*waiting.popleft())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _check(self, file: FileToRead, part: Part, ids: PartOccurrences | None) -> _PartRead:
        try:
            rows = part.read()
            checked = check(rows, source=self._source, file=file.name, moment=self._moment, ids=ids)
            lines = checked.refused["line"].to_pylist()
            bad = rows.broken
            if lines:
                bad = sorted([*bad, *zip(lines, checked.refused["reason"].to_pylist(), rows.raw(lines), strict=True)])
            good = checked.rows
            if self._pseudonyms is not None:
                good, bad = self._pseudonyms.of_rows(good), [(line, why, "") for line, why, _ in bad]
            self._stager.add(good, file=file.number)
            if bad:
                table = self._source.table
                stamped = [stamped_row(table, file.name, self._moment, *row) for row in bad]
                self._stager.add_refused(refused_table(stamped), file=file.number)
            first = rows.broken[0][:2] if rows.broken and rows.kind == "json" else None
            count = rows.table.num_rows
            return _PartRead(count + len(rows.broken), len(bad), count, rows.names, first)
        finally:
            if ids is not None:
                ids.end()


class _Sums:
    """Adds up the parts of one file after another."""

    def __init__(self, source: SourceSpec, *, is_whole: bool) -> None:
        self._source, self._is_whole = source, is_whole
        self._parts: list[_PartRead] = []
        self._names: dict[str, None] = {}

    def take(self, file: FileToRead, is_made: bool, part: Future[_PartRead] | None) -> Iterator[FileRead]:
        if part is not None:
            found = part.result()
            self._names |= dict.fromkeys(found.names)
            self._parts.append(found._replace(names=[]))
            return
        read, refused = sum(p.read for p in self._parts), sum(p.refused for p in self._parts)
        broken = [p.first_broken for p in self._parts if p.first_broken]
        rows = sum(p.rows for p in self._parts)
        if broken and not rows and self._is_whole:
            line, reason = broken[0]
            raise IngestError(
                f"{file.path}, line {line}: no line of the file is a JSON object "
                f"({reason.removeprefix('not valid: ')}); give one JSON object a line"
            )
        if self._is_whole:
            check_mapping(list(self._names), source=self._source, file=file.name, is_empty=rows == 0)
        is_late = is_made and not makes_ids(self._source, self._names)
        yield FileRead(read, refused, is_late, self._source.tells_copies(self._names))
        self._parts, self._names = [], {}


def _asked(source: SourceSpec) -> Asked:
    """What of JSON objects is needed for the table."""
    if source.table != "events":
        return Asked(sorted(source.wanted()))
    own = source.columns.get("properties", "properties")
    names = {source.columns.get(n, n) for n in rules.TEXTS}
    return Asked(sorted(source.wanted() - {own}), names, own, used_fields(source))
