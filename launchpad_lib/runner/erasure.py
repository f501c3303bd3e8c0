"""A person taken out of everything that is kept, and days older than a stated period out of the lake."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from launchpad_lib.contract.people import forms_of
from launchpad_lib.contract.pseudonyms import Pseudonyms
from launchpad_lib.contract.scratch_folders import sweep_all
from launchpad_lib.contract.sentences import counted
from launchpad_lib.contract.tables import TABLES
from launchpad_lib.lake.erasure import Found
from launchpad_lib.lake.forgetting import PEOPLE, Erasing, RowsBefore, rows_of_person
from launchpad_lib.lake.kept_reports import reports_to_keep
from launchpad_lib.lake.streams import streams_of
from launchpad_lib.lake.warehouse import WAREHOUSE, named_through, refresh_warehouse
from launchpad_lib.spool.erasure import erase_records, find_records, spool_alone


class Erased(NamedTuple):
    """What went, or would go: rows of the newest version by table, records by spool; and of the kept reports those that
    count them and those whose table versions are gone, so that nobody can tell.
    """

    rows: dict[str, int]
    records: dict[str, int]
    counting: list[str]
    untold: list[str]
    streams: list[str]


def forget(
    lake: Path,
    user: str,
    *,
    spools: Sequence[Path] = (),
    reports: Path | None = None,
    pseudonyms: Pseudonyms | None = None,
    is_dry: bool = False,
    say: Callable[[str], None],
) -> Erased:
    """Removes a person from the lake, its index and saved states, and from spools, by the id as it came and by its
    pseudonym; says which kept reports count them.

    Raises:
        ValueError: the id is blank, a folder is not there, a file is damaged, or somebody works in one of the folders.
        OSError: a disk is full or cannot be written; the same again ends what was begun.
    """
    ids = forms_of(user)
    ids |= {pseudonyms.of(one) for one in ids} if pseudonyms is not None else set()
    with ExitStack() as held:
        for spool in spools:
            held.enter_context(spool_alone(spool))
        erasing = held.enter_context(Erasing(lake, rows_of_person(ids), ids=ids))
        records = {spool: find_records(spool, ids) for spool in spools}
        counting, untold = _reports(erasing, reports_to_keep(lake, reports), tables=PEOPLE)
        done = Erased(
            _rows(erasing.found),
            {str(spool): sum(f.records for f in found) for spool, found in records.items()},
            counting,
            untold,
            streams_of(lake),
        )
        _say(done, is_dry=is_dry, say=say)
        if is_dry:
            return done
        for found in records.values():  # first: what waits would come into the lake again
            erase_records(found, ids)
        _run(erasing, lake, held, say=say)
    sweep_all()
    return done


def retain(
    lake: Path,
    days: Mapping[str, int],
    *,
    now: datetime,
    reports: Path | None = None,
    is_dry: bool = False,
    say: Callable[[str], None],
) -> Erased:
    """Removes the UTC dates that are older than so many days, by table, in the same way.

    Raises:
        ValueError: a folder is not there, a file is damaged, or somebody works there.
        OSError: a disk is full or cannot be written; the same again ends what was begun.
    """
    today = now.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    before = {table: today - timedelta(days=kept) for table, kept in days.items()}
    doomed = {table: RowsBefore(_time_of(table), at) for table, at in before.items()}
    with ExitStack() as held:
        erasing = held.enter_context(Erasing(lake, doomed))
        counting, untold = _reports(erasing, reports_to_keep(lake, reports), tables=tuple(days))
        done = Erased(_rows(erasing.found), {}, counting, untold, [])
        for table, at in before.items():
            say(f"{table}: {_would(is_dry)}{counted(done.rows.get(table, 0), 'row')} from before {at:%Y-%m-%d}")
        _say_reports(done, is_dry=is_dry, say=say)
        if not is_dry:
            _run(erasing, lake, held, say=say)
    return done


def _time_of(table: str) -> str:
    return TABLES[table].time_column or "rejected_at"


def _run(erasing: Erasing, lake: Path, held: ExitStack, *, say: Callable[[str], None]) -> None:
    had_views, through = (lake / WAREHOUSE).exists(), named_through(lake)
    if had_views and erasing.is_indexed:
        (lake / WAREHOUSE).unlink()  # its views name files that go
    erasing.run()
    held.close()
    if had_views and erasing.is_indexed:
        refresh_warehouse(lake, say=say, observed_through=through)


def _rows(found: Iterable[Found]) -> dict[str, int]:
    return {f.table: f.rows for f in found}


def _reports(erasing: Erasing, folders: Iterable[Path], *, tables: Sequence[str]) -> tuple[list[str], list[str]]:
    """Kept runs that read a version with rows that go, and those of which it cannot be told."""
    counting, untold = [], []
    for folder in folders:
        for manifest in sorted(folder.glob("*/manifest.json")):
            try:
                inputs = json.loads(manifest.read_text(encoding="utf-8"))["inputs"]
                read = {t: int(inputs[t]["version"]) for t in tables if t in inputs}
            except (ValueError, KeyError, TypeError, OSError):
                untold.append(str(manifest.parent))
                continue
            told = [erasing.versions_with_rows(table, [version])[version] for table, version in read.items()]
            if any(told):
                counting.append(str(manifest.parent))
            elif None in told:
                untold.append(str(manifest.parent))
    return counting, untold


def _would(is_dry: bool) -> str:
    return "would remove " if is_dry else "removes "


def _say(done: Erased, *, is_dry: bool, say: Callable[[str], None]) -> None:
    for table, rows in done.rows.items():
        say(f"{table}: {_would(is_dry)}{counted(rows, 'row')}")
    for spool, records in done.records.items():
        say(f"spool {spool}: {_would(is_dry)}{counted(records, 'record')}")
    if not done.records:
        say("no spool is named: what waits in one stays; name it with --spool")
    for stream in done.streams:
        say(f"{stream}: what the topic or spool still holds stays there until its own retention")
    _say_reports(done, is_dry=is_dry, say=say)


def _say_reports(done: Erased, *, is_dry: bool, say: Callable[[str], None]) -> None:
    for report in done.counting:
        say(f"kept report {report}: counts these rows; it holds sums, no row, and cannot be made again afterwards")
    for report in done.untold:
        say(f"kept report {report}: the table versions that it read are gone, so whether it counts them cannot be told")
