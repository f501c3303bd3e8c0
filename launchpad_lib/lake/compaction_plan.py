"""What a compaction would do."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable

from launchpad_lib.contract.tables import TABLES
from launchpad_lib.lake.checkpoints import checkpoint
from launchpad_lib.lake.clean_up import clean_up
from launchpad_lib.lake.kept_reports import kept_versions, reports_to_keep
from launchpad_lib.lake.refused_damage import refuse_damage
from launchpad_lib.lake.snapshot import opened_table
from launchpad_lib.lake.warehouse import version_of_views


def would_compact(lake: Path, *, reports: Path | None, grace_seconds: float) -> list[str]:
    """What `compact` would merge and delete now, in sentences; nothing is changed. Files that it would take out itself
    go at the next compaction after the grace, and are not counted; nor are duplicates, which only reading would find.

    Raises:
        ValueError: the lake has no events, or a file of it is damaged.
    """
    refuse_damage(lake)
    if not DeltaTable.is_deltatable(str(lake / "events")):
        raise ValueError(f"lake={str(lake)!r}: there is no events table; correct the path")
    actions = pa.table(opened_table(lake / "events", None).get_add_actions(flatten=True))
    key = "partition.event_on"
    dates = actions[key].to_pylist() if key in actions.column_names else [None] * actions.num_rows
    many = {date: count for date, count in Counter(map(str, dates)).items() if count > 1}
    folders = reports_to_keep(lake, reports)
    told = [
        f"events: would merge {sum(many.values())} files into {len(many)}",
        f"kept are the versions that reports name under {', '.join(map(str, folders)) or 'no folder: none is known'}",
    ]
    for table in TABLES:
        if DeltaTable.is_deltatable(str(lake / table)):
            versions = [*kept_versions(folders, table), *version_of_views(lake, table)]
            log = checkpoint(lake / table, keep_versions=versions, grace_seconds=grace_seconds, is_dry=True)
            files = clean_up(lake / table, keep_versions=versions, grace_seconds=grace_seconds, is_dry=True)
            told.append(f"{table}: would delete {files} files and {log} log entries that no version in use names")
    return told
