"""The lake as documented Ibis tables: fact_events, sessions, dim_users, dim_feature_metadata, fact_feature_metrics; and
as day files.
"""

from launchpad_lib.lake.copies import Copies, copies
from launchpad_lib.lake.event_log import IndexedEvents
from launchpad_lib.lake.observed import Outside
from launchpad_lib.lake.opening import Lake, TableVersion, open_lake, take_snapshot
from launchpad_lib.lake.snapshot import Snapshot, newest_versions

__all__ = [
    "Copies",
    "IndexedEvents",
    "Lake",
    "Outside",
    "Snapshot",
    "TableVersion",
    "copies",
    "newest_versions",
    "open_lake",
    "take_snapshot",
]
