"""A feature whose events lie on no day: adoption has no rate and says why."""

from __future__ import annotations

import ibis
import pandas as pd
import pytest

from launchpad_lib.metrics import adoption, adoption_weekly


@pytest.mark.parametrize("weekly", [False, True])
def test_a_feature_whose_events_have_no_instant_has_no_adoption_and_the_row_says_why(weekly):
    rows = pd.DataFrame({"user_id": ["a"], "feature_id": ["quiz"], "event_at": [pd.NaT]})
    events = ibis.memtable(rows, schema={"user_id": "string", "feature_id": "string", "event_at": "timestamp"})
    if weekly:
        found = adoption_weekly(events, feature_id="quiz", observed_through=pd.Timestamp("2026-01-13").to_pydatetime())
    else:
        found = adoption(events, feature_id="quiz")
    (row,) = found.to_pandas().to_dict("records")
    assert "no event" in row["refused_because"]
    assert pd.isna(row["adoption_rate"])
