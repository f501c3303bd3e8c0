"""A workbook: a folder with `notebooks/` and `params/`.

Where it is, how a new one is made, and how a new notebook in it.
"""

from __future__ import annotations

from pathlib import Path

from launchpad_lib.runner.shared_parameters import ParameterError

USUAL_PARAMS = Path("params/weekly.yaml")


def workbook_of(params: Path) -> Path:
    """The workbook that a params file belongs to: all paths in it are relative to that folder.

    It is the nearest folder at or above the file that holds `notebooks`; else the one at or above the present folder;
    else the file's own folder (there is then nothing to execute, but rows can be ingested).
    """
    folder = params.resolve().parent
    return (
        nearest_workbook(folder)
        or nearest_workbook(Path.cwd())
        or (folder.parent if folder.name == "params" else folder)
    )


def this_workbook() -> Path:
    """The workbook at or above the present folder.

    Raises:
        ParameterError: there is none.
    """
    found = nearest_workbook(Path.cwd())
    if found is None:
        raise ParameterError(
            f"{Path.cwd()}: neither this folder nor one above it holds `notebooks`; go to a workbook, or make "
            "one with `launchpad init DIR`"
        )
    return found


def nearest_workbook(folder: Path) -> Path | None:
    """The folder itself or the nearest one above it that holds `notebooks`; None where none does."""
    return next((f for f in (folder, *folder.parents) if (f / "notebooks").is_dir()), None)


def usual_params() -> Path:
    """The params file of this workbook that a command takes when none is named.

    Raises:
        ParameterError: there is no workbook here, or it has no such file.
    """
    path = this_workbook() / USUAL_PARAMS
    if not path.is_file():
        raise ParameterError(f"{path}: is not there; name a params file, or make a workbook with `launchpad init DIR`")
    return path
