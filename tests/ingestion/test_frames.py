"""An own data frame goes through the door of a file; what is wrong with it is told in one sentence."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pytest

from launchpad_lib.ingestion import SourceSpec, from_frame, ingest
from launchpad_lib.lake import open_lake
from launchpad_lib.metrics import funnel

LOG = pd.DataFrame(
    {
        "$who": ["ada", "ada", "bob", "eve", "eve"],
        "a*b": ["visit", "buy", "visit", "buy", "visit"],
        "cart[0]": ["2026-01-01 09:00", "2026-01-02 09:00", "2026-01-02 09:00", "2026-01-03 09:00", "2026-01-04 09:00"],
        "utm.source": ["x", "y", "x", "", "🦆"],
    }
)
ASKED = {"user": "$who", "event": "a*b", "at": "cart[0]"}


def users_by_step(data):
    steps = funnel(data.events, steps=["visit", "buy"], window="7d", observed_through=datetime(2026, 2, 1))
    return steps.order_by("step").to_pandas()["users"].tolist()


def test_a_frame_whose_columns_have_any_name_is_counted_in_two_lines():
    """By hand: three visited; ada bought after it, eve before."""
    data = from_frame(LOG, **ASKED)
    assert users_by_step(data) == [3, 1]


def test_a_frame_is_the_file_that_has_its_rows(tmp_path):
    LOG.to_csv(tmp_path / "log.csv", index=False)
    columns = {"user_id": "$who", "event_name": "a*b", "event_at": "cart[0]"}
    source = SourceSpec(table="events", path="log.csv", columns=columns, timezone="Europe/Berlin")
    ingest(source, lake=tmp_path / "lake", ingested_at=datetime.now(UTC), root=tmp_path)
    same = ["user_id", "event_name", "event_at", "properties"]
    of_file = open_lake(tmp_path / "lake").events.select(same).order_by(same).to_pandas()
    # A CSV has no empty text beside a missing one.
    frame = LOG.assign(**{"utm.source": LOG["utm.source"].replace("", None)})
    of_frame = from_frame(frame, **ASKED, timezone="Europe/Berlin").events.select(same).order_by(same).to_pandas()
    pd.testing.assert_frame_equal(of_frame, of_file)


@pytest.mark.parametrize(
    "times, said",
    [
        (pd.to_datetime(LOG["cart[0]"]).dt.tz_localize("Europe/Berlin"), {}),
        (pd.to_datetime(LOG["cart[0]"]), {"timezone": "Europe/Berlin"}),
        (pd.to_datetime(LOG["cart[0]"]).dt.strftime("%d.%m.%y %H:%M"), {"timezone": "Europe/Berlin", "time_format": "%d.%m.%y %H:%M"}),
        (pd.to_datetime(LOG["cart[0]"]).dt.tz_localize("Europe/Berlin").astype("int64") // 10**6, {"unit": "s"}),
        (pd.to_datetime(LOG["cart[0]"]).dt.tz_localize("Europe/Berlin").dt.tz_convert("Asia/Tokyo"), {}),
    ],
    ids=["aware", "zone stated", "other form", "seconds", "another zone"],
)  # fmt: skip
def test_an_instant_is_the_same_in_whatever_form_it_comes(times, said):
    data = from_frame(LOG.assign(**{"cart[0]": times}), **ASKED, **said)
    assert data.events.event_at.min().execute() == pd.Timestamp("2026-01-01 08:00")  # 09:00 in Berlin


def test_other_frames_and_categories_are_taken():
    plain = users_by_step(from_frame(pa.Table.from_pandas(LOG), **ASKED))
    assert plain == users_by_step(from_frame(LOG.astype({"a*b": "category"}), **ASKED)) == [3, 1]
    assert users_by_step(from_frame(LOG.set_axis([0, 1, 2, 3], axis=1), user=0, event=1, at=2)) == [3, 1]


def test_refused_rows_are_told_and_kept_with_their_reason():
    with pytest.warns(
        UserWarning, match=r"^from_frame: 2 of 5 rows were refused, the first is row 2: \$who: null stan"
    ):
        data = from_frame(LOG.assign(**{"$who": ["ada", "null", None, "eve", "eve"]}), **ASKED)
    assert data.rejected.count().execute() == 2
    assert users_by_step(data) == [2, 0]


def test_the_files_are_there_as_long_as_a_table_of_it_is_held():
    events = from_frame(LOG, **ASKED).events
    assert events.count().execute() == 5


TIMES = {"cart[0]": [1767225600 + i for i in range(5)]}


@pytest.mark.parametrize(
    "frame, said, sentence",
    [
        (LOG, {"user": "who"}, "from_frame: user='who' is no column of the frame; did you mean '$who'?"),
        (LOG, {"timezone": "Berlin"}, "from_frame: timezone: 'Berlin' is not an IANA time zone"),
        (LOG, {"unit": "years"}, "from_frame: unit: Input should be"),
        (LOG, {"time_format": "%Q"}, "from_frame: time_format='%Q' cannot be read"),
        (LOG, {"observed_through": "soon"}, "observed_through='soon': must be a date or an instant"),
        (LOG.iloc[:0], {}, "from_frame: the frame has no row; give one event a row"),
        ([1, 2], {}, "from_frame: df is a list; give a pandas frame"),
        (pd.concat([LOG, LOG], axis=1), {}, "from_frame: column '$who' stands twice"),
        (LOG.assign(**TIMES), {}, "5 of 5 rows refused: cart[0]: 1767225600 is not a timestamp"),
        (LOG.assign(**{"cart[0]": [1, "x", 2, None, 3]}), {}, "from_frame: the frame cannot be read"),
    ],
    ids=["name", "zone", "unit", "form", "through", "empty", "no frame", "twice", "seconds", "mixed"],
)
def test_what_is_wrong_is_told_in_one_sentence(frame, said, sentence):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError) as told:
            from_frame(frame, **(ASKED | said))
    assert sentence in str(told.value)
    assert "\n" not in str(told.value)
