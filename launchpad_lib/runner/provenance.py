"""By what a run was made: commit, lock and package versions, for the manifest."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

PACKAGES = (
    "pandas", "numpy", "scipy", "pyarrow", "duckdb", "ibis-framework", "deltalake", "statsmodels", "scikit-learn",
    "altair", "vl-convert-python", "papermill", "tzdata",
)  # fmt: skip


def source_hashes(names: Iterable[str], *, notebooks: Path) -> dict[str, str]:
    """Of each notebook that is there the SHA-256 of what its cells say, outputs aside; the first 16 digits."""
    found = {}
    for name in names:
        try:
            cells = json.loads((notebooks / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
            told = json.dumps([[cell["cell_type"], "".join(cell["source"])] for cell in cells])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        found[name] = hashlib.sha256(told.encode()).hexdigest()[:16]
    return found


def made_by(notebooks: Mapping[str, str]) -> dict:
    """Commit and lock of the folder where the run was started (None outside a clone), the versions of what computes,
    and the hashes of the notebooks.
    """
    lock = Path("requirements.lock")
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = None
    return {
        "commit": commit,
        "lock_hash": hashlib.sha256(lock.read_bytes()).hexdigest()[:16] if lock.exists() else None,
        "notebooks": dict(notebooks),
        "packages": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
    }
