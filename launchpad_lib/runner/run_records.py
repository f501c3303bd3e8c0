"""What the index of all runs says of each: read from its manifest once, then from a file beside the runs.

A manifest of the weekly run takes some 20 ms to be read and checked, so at hundreds of runs an index of them would take
ten seconds after every run. The file is a copy that is made again wherever it does not fit: it may be removed.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from launchpad_lib.contract.manifest import MANIFEST_VERSION, Manifest, ManifestError, read_manifest
from launchpad_lib.contract.whole_files import write_whole
from launchpad_lib.runner.differences import flat, numbers_of

KEPT = ".runs.json"
FORM = f"2-{MANIFEST_VERSION}"  # of a record; of another form all manifests are read anew
MOST_REASON = 300


class RunRecord(NamedTuple):
    """A run as the index of all runs knows it; `fault` is why its manifest cannot be read, and then it is all."""

    folder: str
    fault: str | None
    run_id: str = ""
    name: str = ""
    started_at: str = ""
    status: str = ""
    verdict: str | None = None
    pages: list[dict[str, Any]] = []  # noqa: RUF012
    """name, title, html, status, reason."""
    numbers: list[list[Any]] = []  # noqa: RUF012
    """page, metric, segment, label, unit, value, lower limit, upper limit, n, why it is refused."""
    params: dict[str, str] = {}  # noqa: RUF012


def run_records(reports: Path) -> list[RunRecord]:
    """The published runs under a reports folder, newest first; those that cannot be read last."""
    kept, found, is_new = _kept(reports / KEPT), {}, False
    for path in sorted(reports.glob("*/manifest.json")):
        if path.parent.name.startswith("."):
            continue  # a run that is not published
        try:
            about = path.stat()
            sign = [about.st_mtime_ns, about.st_size]
        except OSError:
            sign = [0, 0]
        known = kept.get(path.parent.name)
        if known is None or known[0] != sign:
            known, is_new = [sign, _record(path)], True
        found[path.parent.name] = known
    records = [RunRecord(**said) for _, said in found.values()]
    whole = {folder: one for folder, one in found.items() if one[1]["fault"] is None}
    if whole and (is_new or len(whole) != len(kept)):
        text = json.dumps(whole)
        write_whole(reports / KEPT, f"{FORM} {_digest(text)} {text}")
    return sorted(records, key=lambda one: (one.started_at, one.folder), reverse=True)


def _kept(path: Path) -> dict[str, list]:
    """What is kept, if it is whole and of today's form."""
    try:
        form, digest, text = path.read_text(encoding="ascii").split(" ", 2)
        return json.loads(text) if form == FORM and digest == _digest(text) else {}
    except (OSError, ValueError):
        return {}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _record(path: Path) -> dict[str, Any]:
    try:
        return _of(path.parent.name, read_manifest(path.read_text(encoding="utf-8")))
    except UnicodeDecodeError:
        fault = "manifest.json: is no UTF-8; remove the run"
    except ManifestError as error:
        fault = str(error)
    except OSError as error:
        fault = f"manifest.json: cannot be read ({error.strerror})"
    return {"folder": path.parent.name, "fault": fault}


def _of(folder: str, manifest: Manifest) -> dict[str, Any]:
    pages = [
        {"name": n.name, "title": n.title, "html": n.html, "status": n.status, "reason": (n.reason or "")[:MOST_REASON]}
        for n in manifest.notebooks
    ]
    numbers = [
        [m.notebook, m.name, m.segment or "", m.label, m.unit, m.value, m.ci_low, m.ci_high, m.n, m.refused_because]
        for m in numbers_of(manifest).values()
    ]
    return {
        "folder": folder,
        "fault": None,
        "run_id": manifest.run_id,
        "name": manifest.name or "",
        "started_at": manifest.started_at,
        "status": manifest.status,
        "verdict": manifest.verdict,
        "pages": pages,
        "numbers": numbers,
        "params": {name: str(value) for name, value in flat(manifest.params).items()},
    }
