"""A lake that was written before a column was declared: it opens, and new rows bring the column. Values by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from launchpad_lib.contract.arrow import arrow_schema
from launchpad_lib.contract.tables import FEATURES
from launchpad_lib.ingestion import SourceSpec, commit, prepare
from launchpad_lib.lake import open_lake


def test_a_features_table_without_the_columns_of_events_opens_and_takes_rows_that_have_them(tmp_path):
    lake = tmp_path / "lake"
    first = pa.schema([f for f in arrow_schema(FEATURES) if not f.name.endswith(("_event", "_events"))])
    rows = [{n: None for n in first.names} | {"feature_id": "old", "owner_team": "core"}]
    write_deltalake(str(lake / "features"), pa.Table.from_pylist(rows, schema=first))
    assert open_lake(lake).features.start_event.to_pandas().isna().all()
    (tmp_path / "f.csv").write_text('feature_id,start_event,interaction_events\nnew,go,"[""a"", ""b""]"\n')
    source = SourceSpec(table="features", path=str(tmp_path / "f.csv"))
    done = commit(prepare(source, lake=lake, ingested_at=datetime(2026, 1, 1, tzinfo=UTC)), lake=lake)
    assert (done.accepted, done.rejected) == (1, 0)
    found = open_lake(lake).features.order_by("feature_id").to_pandas().set_index("feature_id")
    assert found.loc["new", "start_event"] == "go" and found.loc["new", "interaction_events"] == '["a", "b"]'
    assert found["start_event"].isna().tolist() == [False, True] and found.loc["old", "owner_team"] == "core"
    open_lake(lake, versions={"features": 0})  # the version before has none of the columns
    assert DeltaTable(str(lake / "features")).version() == 2  # the columns, then the row
