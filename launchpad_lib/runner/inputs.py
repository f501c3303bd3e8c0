"""What a run reads: the sources brought into the lake, and what was found there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from launchpad_lib.contract.private import private_folder
from launchpad_lib.contract.sentences import counted
from launchpad_lib.ingestion import commit, prepare
from launchpad_lib.lake import Lake, Snapshot, open_lake
from launchpad_lib.lake.place import lake_place
from launchpad_lib.lake.refused_damage import refuse_damage
from launchpad_lib.runner.history import rows_by_date
from launchpad_lib.runner.parameters import RunParams
from launchpad_lib.runner.simulated import SIMULATED, mark_of, simulate_once, stamp_of, would_simulate


def bring_up_to_date(run: RunParams, *, now: datetime, say: Callable[[str], None]) -> None:
    """Simulates where asked, then ingests every source of the run.

    Raises:
        ValueError: a source cannot be read or every row of it is refused, or the lake is damaged; it is as before. Or
            a simulation would take the place of something that no simulation made.
    """
    lake_place(run.lake)
    if run.simulate:
        simulate_once(run.simulate, lake=Path(run.lake), say=say)
    refuse_damage(run.lake)
    # Every source is read and checked before any is written: a file that cannot be read leaves the whole lake as
    # before.
    prepared = [prepare(source, lake=Path(run.lake), ingested_at=now) for source in run.sources]
    private_folder(Path(run.lake))
    for source in prepared:
        done = commit(source, lake=Path(run.lake))
        say(
            f"{done.table}: {counted(done.files, 'file')} ({done.skipped_files} known), {done.accepted:,} new, "
            f"{done.duplicates:,} duplicates, {done.rejected:,} rejected"
        )


def would_bring(run: RunParams, *, now: datetime) -> list[str]:
    """What `bring_up_to_date` would do, in sentences; nothing is written or removed.

    Raises:
        ValueError: as `bring_up_to_date`; files that a simulation is still to make are not looked for.
    """
    lake_place(run.lake)
    told = (
        [f"would remove {path}" for path in would_simulate(run.simulate, lake=Path(run.lake))] if run.simulate else []
    )
    if run.simulate and mark_of(SIMULATED) != stamp_of(run.simulate):
        return [*told, f"would simulate into {SIMULATED} and bring the sources in anew"]
    if told:
        return [*told, "would bring every source in anew"]
    refuse_damage(run.lake)
    for source in run.sources:
        done = prepare(source, lake=Path(run.lake), ingested_at=now)
        if done.scratch is not None:
            done.scratch.remove()
        read, refused = sum(f.read for f in done.checked), sum(f.refused for f in done.checked)
        told.append(
            f"{done.table}: would read {counted(done.files - done.skipped_files, 'file')} ({done.skipped_files} known) "
            f"of {counted(read, 'row')}, {refused:,} of them refused"
        )
    return told


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
