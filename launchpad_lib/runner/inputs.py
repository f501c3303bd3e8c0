"""What a run reads: the simulated product where one is asked for, the sources brought into the lake, and what was found
there.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from launchpad_lib.contract.sentences import counted
from launchpad_lib.contract.tables import TABLES
from launchpad_lib.contract.whole_files import write_whole
from launchpad_lib.ingestion import commit, prepare
from launchpad_lib.lake import Lake, Snapshot, open_lake
from launchpad_lib.lake.index import INDEX
from launchpad_lib.lake.place import lake_place
from launchpad_lib.lake.warehouse import WAREHOUSE
from launchpad_lib.runner.history import rows_by_date
from launchpad_lib.runner.parameters import RunParams, Simulation
from launchpad_lib.simulation import simulate
from launchpad_lib.simulation.truth import TRUTH

SIMULATED = Path("data/raw/simulated")
MARK = ".simulated.json"
SIMULATED_NAMES = (
    "events",
    "telemetry",
    "annotations.csv",
    "features.csv",
    "experiment_events.jsonl.gz",
    "experiments.csv",
    "truth.csv",
)


def bring_up_to_date(run: RunParams, *, now: datetime, say: Callable[[str], None]) -> None:
    """Simulates where asked, then ingests every source of the run.

    Raises:
        ValueError: a source cannot be read or every row of it is refused; the lake is as before. Or a simulation would
            take the place of something that no simulation made.
    """
    lake_place(run.lake)
    if run.simulate:
        _simulate_once(run.simulate, lake=Path(run.lake), say=say)
    # Every source is read and checked before any is written: a file that cannot be read leaves the whole lake as
    # before.
    prepared = [prepare(source, lake=Path(run.lake), ingested_at=now) for source in run.sources]
    Path(run.lake).mkdir(parents=True, exist_ok=True)
    for source in prepared:
        done = commit(source, lake=Path(run.lake))
        say(
            f"{done.table}: {counted(done.files, 'file')} ({done.skipped_files} known), {done.accepted:,} new, "
            f"{done.duplicates:,} duplicates, {done.rejected:,} rejected"
        )


def _simulate_once(asked: Simulation, *, lake: Path, say: Callable[[str], None]) -> None:
    """Simulates unless the folder has just this simulation. Of another one only what carries our mark is removed."""
    stamp = _stamp(asked)
    is_simulated = _mark_of(SIMULATED) == stamp
    if not is_simulated:
        _make_room(SIMULATED, SIMULATED_NAMES)
    # Rows of two simulations must not mix in one lake. A lake that is not marked may be older than the marks.
    if _mark_of(lake) not in ((None, stamp) if is_simulated else (stamp,)):
        _make_room(lake, (*TABLES, INDEX, WAREHOUSE))
    if not is_simulated:
        _mark(SIMULATED, "")  # ours from here on, also when this is cut off
        result = simulate(SIMULATED, seed=asked.seed, users=asked.users, days=asked.days)
        _mark(SIMULATED, stamp)
        say(f"simulated {result.rows['events']:,} events and {result.rows['telemetry']:,} telemetry rows")
    if _mark_of(lake) is not None or not _has_content(lake):
        _mark(lake, stamp)


def _stamp(asked: Simulation) -> str:
    """Which simulation a folder holds: what was asked for, and the declared truth of this simulator, which a newer one
    changes.
    """
    truth = hashlib.sha256(repr(TRUTH).encode()).hexdigest()[:16]
    return json.dumps(asked.model_dump() | {"truth": truth})


def _mark(folder: Path, stamp: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / MARK, stamp)


def _has_content(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _mark_of(folder: Path) -> str | None:
    return (folder / MARK).read_text(encoding="utf-8") if (folder / MARK).is_file() else None


def _make_room(folder: Path, names: tuple[str, ...]) -> None:
    """Removes what an earlier simulation made in a folder; whatever else lies there stays."""
    if not _has_content(folder):
        return
    if _mark_of(folder) is None:
        raise ValueError(
            f"simulate: {folder} holds what no simulation of this command made, and it is never removed or "
            "mixed; move it away, or name another lake"
        )
    for path in (folder / name for name in names):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def opened_for(lake: str, snapshot: Snapshot) -> Lake:
    """What a run reads. As long as it is there, the lake's index keeps the files that the notebooks will ask for."""
    given = snapshot.for_notebook()
    return open_lake(lake, versions=snapshot.versions, observed_through=given["observed_through"])


def doubts_about_lake(opened: Lake, lake: str) -> list[str]:
    """What a reader of the console must know of the lake: rows that count nowhere, an index that will not be kept."""
    found = []
    lost = opened.versions["events"].incomplete
    if lost:
        found.append(
            f"events: {counted(lost, 'row')} without an event_id, user_id, event_name or event_at, which no number "
            "counts; launchpad ingest would have kept them in rejected with the reason"
        )
    if opened.index is not None and not opened.index.resolve().is_relative_to(Path(lake).resolve()):
        found.append(
            f"lake: {lake} cannot be written, so its index lies in {opened.index}; who clears that folder makes the "
            "next run build it again"
        )
    return found


def inputs_read(opened: Lake) -> dict:
    """Per table: its version, its rows within the window, and what lies outside."""
    by_date = {
        "events": rows_by_date(opened.events, "event_at"),
        "telemetry": rows_by_date(opened.telemetry, "observed_at"),
    }
    return {
        name: {
            "version": v.version,
            "rows": v.rows,
            "observed_from": _text(v.observed_from),
            "observed_through": _text(v.observed_through),
            "outside": [
                {"where": o.where, "rows": o.rows, "first_at": str(o.first_at), "last_at": str(o.last_at)}
                for o in v.outside
            ],
            "rejected": v.rejected,
            "incomplete": v.incomplete,
            "rows_by_date": by_date.get(name, {}),
        }
        for name, v in opened.versions.items()
    }


def _text(at: datetime | None) -> str | None:
    return None if at is None else str(at)
