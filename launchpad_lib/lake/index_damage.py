"""Damage to what a lake makes again by itself: the index, saved states, the file of views, rows put aside."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from launchpad_lib.contract.damage import Damage
from launchpad_lib.lake.fold_state import is_whole_snapshot
from launchpad_lib.lake.manifests import read_body

AGAIN = "nothing to do: it is made again when the lake is next opened"
SNAPSHOT = "snapshot.json"  # of a saved state; has checksums of its own


def index_damage(index: Path) -> Iterator[Damage]:
    """Every file of the index that is not as it was written, and manifests that cannot be read or are of another
    layout.
    """
    if index.exists() and not index.is_dir():
        yield Damage("rebuilt", index.name, "is a file where the index's folder should be", "delete it")
        return
    for path in sorted(index.rglob("*.json")):
        if path.name == SNAPSHOT:
            if not is_whole_snapshot(path.parent):
                yield _again(index, path.parent, "is a saved state that is not as it was written")
            continue
        body = read_body(path)
        if body is None:
            yield _again(index, path, "cannot be read, or is of another layout")
            continue
        for file, content in sorted(_files_of(index, path, body).items()):
            if not file.is_file() or file.is_symlink():
                yield _again(index, file, "is missing")
            elif _sha256(file) != content:
                yield _again(index, file, "is not as it was written: its checksum is another")


def _files_of(index: Path, path: Path, body: dict[str, Any]) -> dict[Path, str]:
    """The files that a manifest of the index names, with the checksums of their content."""
    place = path.parent
    found: dict[Path, str] = {}
    if path.parent.name == "versions":
        place = path.parent.parent
    for day in body.get("days", {}).values():
        parts = {"days": day} if "file" in day else day
        found |= {place / name / entry["file"]: entry["content_hash"] for name, entry in parts.items()}
    for entry in body.get("blocks") or ():
        found[place / "blocks" / entry["file"]] = entry["content_hash"]
    for entry in body.get("user_parts", ()):
        found[place / "users" / entry["file"]] = entry["content_hash"]
    if isinstance(body.get("rows"), dict):
        found[place / body["rows"]["file"]] = body["rows"]["content_hash"]
    if isinstance(body.get("file"), dict):  # the file of views, which lies in the lake
        found[index.parent / body["file"]["file"]] = body["file"]["content_hash"]
    return found


def _again(index: Path, path: Path, what: str) -> Damage:
    return Damage("rebuilt", path.relative_to(index.parent).as_posix(), what, AGAIN)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
