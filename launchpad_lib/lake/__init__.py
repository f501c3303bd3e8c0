"""The lake as documented Ibis tables: fact_events, sessions, dim_users, dim_feature_metadata, fact_feature_metrics; and as day files."""

from launchpad_lib.lake.event_log import IndexedEvents, open_event_log
from launchpad_lib.lake.opening import Lake, TableVersion, newest_versions, open_lake

__all__ = ["IndexedEvents", "Lake", "TableVersion", "newest_versions", "open_event_log", "open_lake"]
