"""The lake as documented Ibis tables: fact_events, sessions, dim_users, dim_feature_metadata, fact_feature_metrics."""

from launchpad_lib.staging.lake import Lake, TableVersion, open_lake

__all__ = ["Lake", "TableVersion", "open_lake"]
