"""By what a run was made: commit, lock and package versions, for the manifest."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

PACKAGES = (
    "pandas", "numpy", "scipy", "pyarrow", "duckdb", "ibis-framework", "deltalake", "statsmodels", "scikit-learn",
    "altair", "vl-convert-python", "papermill", "tzdata",
)  # fmt: skip


def made_by() -> dict:
    """Commit and lock of the folder where the run was started (None outside a clone), and the versions of what
    computes.
    """
    lock = Path("requirements.lock")
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = None
    return {
        "commit": commit,
        "lock_hash": hashlib.sha256(lock.read_bytes()).hexdigest()[:16] if lock.exists() else None,
        "packages": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
    }
