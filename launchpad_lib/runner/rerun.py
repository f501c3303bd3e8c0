"""A kept run made again: the same table versions, windows and parameters, hence the same numbers; and what could not be
made the same.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from launchpad_lib.contract.manifest import Manifest
from launchpad_lib.runner.differences import Differences, differences
from launchpad_lib.runner.kept_runs import manifest_of
from launchpad_lib.runner.parameters import RunParams
from launchpad_lib.runner.progress import Progress
from launchpad_lib.runner.provenance import made_by, source_hashes
from launchpad_lib.runner.run import run_report

AGAIN = "-again"
TIMED = ("events", "telemetry")
LONGEST_NAME = 41


class Rerun(NamedTuple):
    """What became of it. `unpinned`: what is not as it was then, one sentence each."""

    folder: Path
    status: int
    unpinned: tuple[str, ...]
    differences: Differences

    @property
    def is_identical(self) -> bool:
        """Whether every number, verdict and finding is the same."""
        return not (self.differences.numbers or self.differences.pages)


def pinned_params(manifest: Manifest) -> RunParams:
    """The parameters of a run with the versions and windows that it read. Nothing is simulated or brought in again.

    It has a name of its own, so that no later run is compared with it.

    Raises:
        ValueError: they are not what a run takes any more, or the manifest does not say what was read.
    """
    inputs = {table: read for table, read in manifest.inputs.items() if read.version is not None}
    if not inputs:
        raise ValueError(
            f"run={manifest.run_id!r}: its manifest names no version of any table; make it from its params"
        )
    through = {t: str(r.observed_through) for t, r in inputs.items() if t in TIMED and r.observed_through is not None}
    told = manifest.params | {
        "name": f"{str(manifest.name)[: LONGEST_NAME - len(AGAIN)]}{AGAIN}",
        "lake_versions": {table: read.version for table, read in inputs.items()},
        "observed_through": through or None,
        "simulate": None,
        "sources": [],
    }
    try:
        return RunParams.model_validate(told)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(
            f"run={manifest.run_id!r}: its parameter {where} is not what a run takes today ({first['msg']}); make it "
            "with the version that made it"
        ) from None


def not_pinned(manifest: Manifest, *, notebooks: Path) -> list[str]:
    """What of a run is not as it was then: code, lock, packages, notebooks."""
    hashes = source_hashes([n.name for n in manifest.notebooks], notebooks=notebooks)
    then, now = manifest.versions, made_by(hashes)
    told = []
    if then.commit is None or then.commit != now["commit"]:
        told.append(f"code: made at commit {then.commit or 'unknown'}, now {now['commit'] or 'unknown'}")
    if then.lock_hash is None or then.lock_hash != now["lock_hash"]:
        told.append(f"lock: requirements.lock was {then.lock_hash or 'unknown'}, is {now['lock_hash'] or 'unknown'}")
    for name in sorted({*then.packages, *now["packages"]}):
        if then.packages.get(name) != now["packages"].get(name):
            told.append(
                f"package {name}: {then.packages.get(name, 'unknown')}, now {now['packages'].get(name, 'none')}"
            )
    for page in manifest.notebooks:
        if then.notebooks is None:
            told.append(f"notebook {page.name}: its text of then is not known")
        elif then.notebooks.get(page.name) != hashes.get(page.name):
            told.append(f"notebook {page.name}: its cells are others now")
    return told


def rerun(
    folder: Path, *, root: Path, now: datetime, run_id: str | None, progress: Progress, reports: Path | None = None
) -> Rerun:
    """Makes a kept run again in the present folder, which is its workbook (`root`), and compares.

    Raises:
        ValueError: it is no run, or its lake or a version of a table is not there any more.
    """
    before = manifest_of(folder)
    run = pinned_params(before)
    if reports is not None:
        run = run.model_copy(update={"reports": str(reports)})
    if not Path(run.lake).is_dir():
        raise ValueError(f"run={before.run_id!r}: its lake {run.lake!r} is not there any more; put it back")
    unpinned = not_pinned(before, notebooks=root / "notebooks")
    named = run_id or f"{before.run_id[:60]}{AGAIN}-{now:%Y%m%dT%H%M%SZ}"
    status = run_report(run, now=now, run_id=named, progress=progress, notebooks=root / "notebooks")
    made = Path(run.reports) / named
    found = differences(before, manifest_of(made))
    # Other rows under the same version: the lake was made anew.
    for table in dict.fromkeys(d.name.partition(".")[0] for d in found.inputs):
        unpinned.append(f"table {table}: the lake has other rows under the version that was read then")
    return Rerun(made, status, tuple(unpinned), found)
