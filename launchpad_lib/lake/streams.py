"""Which streams a lake has rows of: their offsets stand in the events' log."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from launchpad_lib.lake.log_damage import log_files

# A topic's partition, or a writer of a spool: not what stands in the same log beside it, as files and counts of copies.
_STREAM = re.compile(r"kafka:[^/#]+/[0-9]+|spool/[a-z0-9-]+")


def streams_of(lake: Path) -> list[str]:
    """The partitions of streams that a lake has read, as `kafka:topic/0` and `spool/WRITER`.

    What cannot be read is left out.
    """
    files = log_files(lake / "events")
    found: set[str] = set()
    for path in files.commits.values():
        try:
            actions = [json.loads(line) for line in path.read_bytes().splitlines() if b'"txn"' in line]
            found |= {str(action["txn"]["appId"]) for action in actions if "txn" in action}
        except (OSError, ValueError, KeyError, TypeError):
            continue
    for paths in files.checkpoints.values():
        for path in paths:
            try:
                rows = pq.read_table(path, columns=["txn.appId"])["txn"].to_pylist()
            except (OSError, pa.ArrowException, KeyError):
                continue
            found |= {str(row["appId"]) for row in rows if row and row["appId"]}
    return sorted(name for name in found if _STREAM.fullmatch(name))
