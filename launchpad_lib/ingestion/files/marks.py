"""By what a file is known: the mark in a table's log that says its rows are there."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from deltalake import DeltaTable

from launchpad_lib.ingestion.files.prepared import Mark
from launchpad_lib.ingestion.files.source import IngestError, SourceSpec


def mark_of(source: SourceSpec, path: Path, name: str) -> Mark:
    """A file is known by its table, mapping and content; one of features by its name, with its last content: what was
    edited there and back again is new each time.
    """
    spec_hash = hashlib.sha256(source.model_dump_json(exclude={"path"}, exclude_defaults=True).encode()).hexdigest()
    content = _content_hash(path)
    if source.table != "features":
        return Mark(f"{source.table}:{spec_hash[:12]}:{content}", 1)
    place = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    return Mark(f"{source.table}:{spec_hash[:12]}:{place}", int(content[:15], 16))


def has_mark(snapshot: DeltaTable | None, mark: Mark) -> bool:
    return snapshot is not None and snapshot.transaction_version(mark.app_id) == mark.version


def stamp_of(path: Path) -> tuple[int, ...] | None:
    """By what a change of a file is noticed; None where it is gone."""
    try:
        held = path.stat()
    except OSError:
        return None
    return held.st_dev, held.st_ino, held.st_size, held.st_mtime_ns


def _content_hash(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()[:32]
    except OSError as error:
        raise IngestError(
            f"{path}: cannot be read ({error.strerror}); check that the file is there and readable"
        ) from error
