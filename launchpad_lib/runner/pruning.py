"""Old runs removed from a reports folder: only those that a run made and nobody changed since."""

from __future__ import annotations

import re
import shutil
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from launchpad_lib.contract.manifest import Manifest
from launchpad_lib.lake.kept_reports import UNDER_WAY_SECONDS
from launchpad_lib.runner.checksums import verify
from launchpad_lib.runner.history import manifests
from launchpad_lib.runner.indexes import publish_run_index
from launchpad_lib.runner.kept_runs import MANIFEST, manifest_of
from launchpad_lib.runner.single_file import is_single_file_of

_PARTIAL = re.compile(r"[.].+[.][A-Za-z0-9_]+[.]partial")


class Pruned(NamedTuple):
    """Folders and single files by name: which went (or would), and which were due and stay, with the reason."""

    removed: tuple[str, ...]
    left: dict[str, str]


def prune(
    reports: Path,
    *,
    now: datetime,
    name: str | None = None,
    keep: int | None = None,
    older_than_days: float | None = None,
    is_dry: bool = False,
) -> Pruned:
    """Removes runs beyond the newest `keep` of each name, or older than so many days; with both, those that are both.

    Of each name the newest run and the newest that is ok stay, and so does what a page that stays calls its last good
    page. A folder is removed only if every file in it is as its manifest says, and nothing else is in it; with it goes
    the one file of the run beside it (`RUN.html`), if that is as it was written. What killed runs left goes after a
    day.

    Args:
        name: only runs of this name.

    Raises:
        ValueError: no such folder, nothing is asked for, or a number out of range.
    """
    if not reports.is_dir():
        raise ValueError(f"reports={str(reports)!r}: there is no such folder; correct the path")
    if keep is None and older_than_days is None:
        raise ValueError("prune: say what goes, with --keep N (of each name) or --older-than DAYS")
    if keep is not None and keep < 1:
        raise ValueError(f"keep={keep}: must be at least 1; the newest run of each name stays")
    if older_than_days is not None and not 0 <= older_than_days < 36_500:
        raise ValueError(f"older-than={older_than_days}: must be 0 to 36500 days; choose for example 90")
    kept = [(k.folder, k.manifest) for k in manifests(reports) if k.manifest is not None]
    due = _due(kept, now=now, name=name, keep=keep, older_than_days=older_than_days)
    linked = {folder: by for by, manifest in kept if by not in due for folder in _last_good(reports / by, manifest)}
    removed, left = [], {}
    for folder in due:
        why = (
            f"{linked[folder]} calls a page of it its last good one"
            if folder in linked
            else _not_ours(reports / folder)
        )
        if why is not None:
            left[folder] = why
            continue
        single = reports / f"{folder}.html"
        if single.exists() and not is_single_file_of(single, folder):
            left[single.name] = "is not the single file of the run as it was written"
        elif single.exists():
            removed.append(single.name)  # before its run, which is due again where this is stopped in between
        removed.append(folder)
    removed += _leftovers(reports)
    for folder in () if is_dry else removed:
        _remove(reports / folder)
    if removed and not is_dry:
        publish_run_index(reports)
    return Pruned(tuple(removed), left)


def _due(
    kept: list[tuple[str, Manifest]],
    *,
    now: datetime,
    name: str | None,
    keep: int | None,
    older_than_days: float | None,
) -> list[str]:
    """Newest first; `kept` is so too."""
    names = dict.fromkeys(m.name for _, m in kept if m.name is not None and name in (None, m.name))
    if name is not None and not names:
        raise ValueError(
            f"name={name!r}: no run of that name; there are {', '.join(sorted({str(m.name) for _, m in kept}))}"
        )
    due = []
    for one in names:
        runs = [(folder, m) for folder, m in kept if m.name == one]
        good = next((folder for folder, m in runs if m.status == "ok"), None)
        for place, (folder, manifest) in enumerate(runs):
            is_beyond = keep is None or place >= keep
            if place and folder != good and is_beyond and _is_older(manifest, now, older_than_days):
                due.append(folder)
    return due


def _is_older(manifest: Manifest, now: datetime, days: float | None) -> bool:
    if days is None:
        return True
    try:
        started = datetime.fromisoformat(manifest.started_at)
    except ValueError:
        return False
    return now - (started if started.tzinfo else started.replace(tzinfo=UTC)) > timedelta(days=days)


def _last_good(folder: Path, manifest: Manifest) -> set[str]:
    """The runs that pages of this one lead to as their last good page."""
    found: set[str] = set()
    for page in manifest.notebooks:
        if page.status == "ok" or Path(page.html).name != page.html:
            continue
        try:
            text = (folder / page.html).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        found |= set(re.findall(rf'href="[.][.]/([^"/]+)/{re.escape(page.html)}"', text))
    return found


def _not_ours(folder: Path) -> str | None:
    """Why a run's folder is not only what a run wrote; None where it is."""
    if folder.is_symlink():
        return "is a link"
    try:
        if (run_id := manifest_of(folder).run_id) != folder.name:
            return f"was given this name by somebody (it was {run_id})"
        said = verify(folder)
    except (ValueError, OSError) as error:
        return f"cannot be told from somebody's work ({error})"
    for kind in ("added", "changed", "missing"):
        if files := getattr(said, kind):
            return f"has files that are {kind}, such as {files[0]}"
    return None


def _leftovers(reports: Path) -> list[str]:
    """Folders of runs that were killed more than a day ago: they carry the note of what the run read."""
    found = []
    for folder in sorted(reports.glob(".*.partial")):
        note = folder / MANIFEST
        if folder.is_symlink() or not _PARTIAL.fullmatch(folder.name) or not note.is_file():
            continue
        if time.time() - note.stat().st_mtime > UNDER_WAY_SECONDS:
            found.append(folder.name)
    return found


def _remove(folder: Path) -> None:
    """Takes it out of sight at once; what a kill leaves of it goes with the next leftovers."""
    if folder.is_file():
        folder.unlink()
        return
    aside = folder.with_name(f".{folder.name.strip('.')}.{uuid.uuid4().hex[:8]}.partial")
    folder.rename(aside)
    for path in sorted(aside.iterdir(), key=lambda p: p.name == MANIFEST):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    aside.rmdir()
