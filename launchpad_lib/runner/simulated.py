"""The simulated product of a run: made once, marked, and removed only as far as it carries the mark."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from launchpad_lib.contract.private import private_folder
from launchpad_lib.contract.tables import TABLES
from launchpad_lib.contract.whole_files import write_whole
from launchpad_lib.lake.index import INDEX
from launchpad_lib.lake.streams import streams_of
from launchpad_lib.lake.warehouse import WAREHOUSE
from launchpad_lib.runner.parameters import Simulation
from launchpad_lib.simulation import simulate
from launchpad_lib.simulation.truth import TRUTH

SIMULATED = Path("data/raw/simulated")
MARK = ".simulated.json"
LISTED = ".simulated.files.json"  # what the simulation wrote; a folder from before there was a list has none
SIMULATED_NAMES = (
    "events",
    "telemetry",
    "annotations.csv",
    "features.csv",
    "experiment_events.jsonl.gz",
    "experiments.csv",
    "truth.csv",
)


def simulate_once(asked: Simulation, *, lake: Path, say: Callable[[str], None]) -> None:
    """Simulates unless the folder has just this simulation. Of another one only what carries our mark is removed.

    Raises:
        ValueError: it would take the place of something that no simulation made.
    """
    stamp = stamp_of(asked)
    is_simulated = mark_of(SIMULATED) == stamp
    for path in would_simulate(asked, lake=lake):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if not is_simulated:
        _sweep_empty(SIMULATED)
        _mark(SIMULATED, "")  # ours from here on, also when this is cut off
        before = _files(SIMULATED)
        result = simulate(SIMULATED, seed=asked.seed, users=asked.users, days=asked.days)
        write_whole(SIMULATED / LISTED, json.dumps(sorted(_files(SIMULATED) - before)))
        _mark(SIMULATED, stamp)
        say(f"simulated {result.rows['events']:,} events and {result.rows['telemetry']:,} telemetry rows")
    if mark_of(lake) is not None or not _has_content(lake):
        _mark(lake, stamp)


def would_simulate(asked: Simulation, *, lake: Path) -> list[Path]:
    """What goes when this is simulated: files and tables of another simulation.

    Raises:
        ValueError: it would take the place of something that no simulation made.
    """
    stamp = stamp_of(asked)
    is_simulated = mark_of(SIMULATED) == stamp
    going = [] if is_simulated else _ours(SIMULATED, _listed() or SIMULATED_NAMES)
    # Rows of two simulations must not mix in one lake. A lake that is not marked may be older than the marks.
    if mark_of(lake) not in ((None, stamp) if is_simulated else (stamp,)):
        going += _ours(lake, (*TABLES, INDEX, WAREHOUSE))
        if streams := streams_of(lake):
            raise ValueError(
                f"simulate: {lake} holds rows of {streams[0]} too, which no simulation makes again; move it away, or "
                "name another lake"
            )
    return going


def stamp_of(asked: Simulation) -> str:
    """Which simulation a folder holds: what was asked for, and the declared truth of this simulator, which a newer one
    changes.
    """
    truth = hashlib.sha256(repr(TRUTH).encode()).hexdigest()[:16]
    return json.dumps(asked.model_dump() | {"truth": truth})


def mark_of(folder: Path) -> str | None:
    """The mark of a folder; None of one that no simulation made."""
    return (folder / MARK).read_text(encoding="utf-8", errors="replace") if (folder / MARK).is_file() else None


def _mark(folder: Path, stamp: str) -> None:
    private_folder(folder)
    write_whole(folder / MARK, stamp)


def _has_content(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _files(folder: Path) -> set[str]:
    own = {MARK, LISTED}
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name not in own}


def _listed() -> list[str]:
    try:
        found = json.loads((SIMULATED / LISTED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [str(name) for name in found if ".." not in Path(str(name)).parts] if isinstance(found, list) else []


def _ours(folder: Path, names: list[str] | tuple[str, ...]) -> list[Path]:
    """What an earlier simulation made in a folder; whatever else lies there stays."""
    if not _has_content(folder):
        return []
    if mark_of(folder) is None:
        raise ValueError(
            f"simulate: {folder} holds what no simulation of this command made, and it is never removed or "
            "mixed; move it away, or name another lake"
        )
    return [path for path in (folder / name for name in names) if path.exists() or path.is_symlink()]


def _sweep_empty(folder: Path) -> None:
    (folder / LISTED).unlink(missing_ok=True)
    for name in ("events", "telemetry"):
        try:
            (folder / name).rmdir()
        except OSError:
            continue  # it is not there, or has files of somebody else
