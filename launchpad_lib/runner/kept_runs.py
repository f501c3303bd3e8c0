"""A kept run by its folder or its id, and its manifest."""

from __future__ import annotations

from pathlib import Path

from launchpad_lib.contract.manifest import Manifest, ManifestError, read_manifest

MANIFEST = "manifest.json"


def run_folder(named: str, reports: Path) -> Path:
    """The folder of a run that is named by it, or by its id among the reports."""
    folder = Path(named)
    return reports / folder if not folder.exists() and (reports / folder).exists() else folder


def manifest_of(folder: Path) -> Manifest:
    """The manifest of a run's folder.

    Raises:
        ValueError: it is none, or its manifest cannot be read.
    """
    try:
        return read_manifest((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"run={str(folder)!r}: holds no {MANIFEST}; name the folder of a run, or its id") from None
    except UnicodeDecodeError:
        raise ValueError(f"run={str(folder)!r}: its {MANIFEST} is no UTF-8; make the run again") from None
    except ManifestError as error:
        raise ValueError(f"run={str(folder)!r}: {error}") from None
