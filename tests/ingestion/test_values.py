"""Values against the contract: instants, numbers, identifiers. Expected instants are counted by hand from the offset of each zone."""

from __future__ import annotations

import json
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from launchpad_lib.ingestion import IngestError, SourceSpec


def instants(place) -> dict[str, str]:
    return {r.event_id: str(r.event_at) for r in place.events().itertuples()}


@pytest.mark.parametrize(
    ("unit", "given"),
    [("s", "1767225600.25"), ("ms", "1767225600250"), ("us", 1767225600250000), ("ns", 1767225600250000999)],
)
def test_an_epoch_is_read_in_its_stated_unit(place, line, unit, given):
    """1,767,225,600 s after 1970 is 2026-01-01 00:00 UTC."""
    place.put("x.jsonl", line("1", event_at=given))
    place.ingest("x.jsonl", units={"event_at": unit})
    assert instants(place) == {"1": "2026-01-01 00:00:00.250000"}


@pytest.mark.parametrize(("unit", "given"), [("days", 20454), ("days", "20454.0"), ("h", 490896), ("m", 29453760)])
def test_a_coarse_epoch_is_read_in_its_stated_unit(place, line, unit, given):
    """1,767,225,600 s are 29,453,760 minutes, 490,896 hours, 20,454 days: 2026-01-01."""
    place.put("x.jsonl", line("1", event_at=given))
    place.ingest("x.jsonl", units={"event_at": unit})
    assert instants(place) == {"1": "2026-01-01 00:00:00"}


@pytest.mark.parametrize(
    ("form", "given", "zone", "expected"),
    [
        ("%m/%d/%y", "9/12/17", "UTC", "2017-09-12 00:00:00"),
        ("%d.%m.%Y %H:%M", "12.09.2017 08:06", "Europe/Berlin", "2017-09-12 06:06:00"),
        ("%Y-%m-%d %H:%M:%S %z", "2017-09-12 08:06:00 +0200", "Asia/Tokyo", "2017-09-12 06:06:00"),
    ],
)
def test_a_time_is_read_in_its_stated_form(place, line, form, given, zone, expected):
    """Berlin is two hours ahead of UTC in September; a zone that the form reads wins over the stated one."""
    place.put("x.jsonl", line("1", event_at=given) + line("2", event_at="2017-09-12"))
    place.ingest("x.jsonl", formats={"event_at": form}, timezone=zone)
    assert instants(place) == {"1": expected}
    assert place.rejected()["reason"].tolist() == [f"event_at: 2017-09-12 is not a timestamp of the format {form}"]


def test_ids_and_numbers_of_a_typed_file_are_stored_as_those_of_json(place):
    """pandas makes floats of whole numbers where one is missing: 1234567.0 is the user 1234567; of 2.5 nobody can tell who it is."""
    table = pa.table({
        "event_id": pa.array([1.0, 2.0, 3.0, 5.0]), "event_name": pa.array(["a"] * 4), "user_id": pa.array([1234567.0, None, 2.5, 8.0]),
        "event_at": pa.array([datetime(2026, 1, 1)] * 4), "big": pa.array([1e16, 1e16, 1.5, 1e20]), "app_version": pa.array([2.0, 2.0, 1.0, 2.5]),
    })  # fmt: skip
    pq.write_table(table, place.root / "x.parquet")
    place.ingest("x.parquet")
    place.put("x.csv", "event_id,event_name,user_id,event_at,app_version\n4.0,a,1234567.0,2026-01-01,2.0\n")
    place.ingest("x.csv")
    kept = place.events()
    assert kept["event_id"].tolist() == ["1", "4", "5"]
    assert kept["user_id"].tolist() == ["1234567", "1234567", "8"]
    assert kept["app_version"].tolist() == ["2", "2.0", "2.5"], "only ids lose the point and the zero of a CSV"
    assert kept["properties"].tolist() == ['{"big":1e16}', "{}", '{"big":1e20}']
    refused = ["user_id is missing", "user_id: 2.5 is no id; an id is a text or a whole number"]
    assert place.rejected()["reason"].tolist() == refused


def test_a_source_whose_every_row_is_refused_is_an_error_that_says_how_to_state_the_unit(place, line):
    """1,541,105,830,796 ms after 1970 is 2018-11-01 20:57:10.796."""
    place.put("x.jsonl", "".join(line(str(n), event_at=1541105830796 + n) for n in range(297)))
    with pytest.raises(IngestError) as caught:
        place.ingest("x.jsonl")
    assert str(caught.value) == (
        "x.jsonl: 297 of 297 rows refused: event_at: 1541105830796 is not a timestamp such as 2026-01-31T09:30:00Z; a file's mapping may "
        "state `units` or `formats`; 1541105830796 looks like ms: state `units: {event_at: ms}`"
    )
    assert not place.lake.exists()
    assert place.ingest("x.jsonl", units={"event_at": "ms"}).accepted == 297
    assert instants(place)["0"] == "2018-11-01 20:57:10.796000"
    place.put("y.jsonl", line("1", user_id=None) + line("2", event_at="9/12/17") + line("3", event_at="9/13/17"))
    with pytest.raises(IngestError, match=r"3 of 3 rows refused: event_at: 9/12/17 .*\(1 other reasons in 1 of them\)"):
        place.ingest("y.jsonl")


def test_a_source_that_gave_rows_before_may_bring_a_file_of_refused_ones(place, line):
    place.put("in/1.jsonl", line("1"))
    place.ingest("in")
    place.put("in/2.jsonl", line("2", user_id=None) + line("3", user_id="null"))
    assert (place.ingest("in").accepted, len(place.rejected())) == (0, 2)


def test_what_cannot_be_printed_is_made_visible_in_a_reason_and_kept_in_the_lake(place, line):
    place.put("x.jsonl", line("1", user_id="a\u0000\ufffe") + line("2", event_at="\u0007never\u202e"))
    place.ingest("x.jsonl")
    assert place.events()["user_id"].tolist() == ["a\x00\ufffe"]
    assert place.rejected()["reason"][0].startswith("event_at: \\x07never\\u202e is not a timestamp")


@pytest.mark.parametrize("given", ["inf", "nan", "1e300", "-1e18", "9" * 401, "2026-01-01"])
def test_an_epoch_that_is_no_instant_is_refused(place, line, given):
    place.put("x.jsonl", line("1", event_at=given) + line("2", event_at=1767225600))
    assert place.ingest("x.jsonl", units={"event_at": "s"}).rejected == 1
    assert "is not a timestamp" in place.rejected()["reason"][0]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2026-01-01T12:00:00Z", "2026-01-01 12:00:00"),
        ("2026-01-01 12:00:00.123456789", "2026-01-01 12:00:00.123456"),
        ("2026-01-01T12:00:00+05:30", "2026-01-01 06:30:00"),
        ("2026-01-01 12:00:00 America/New_York", "2026-01-01 17:00:00"),
        ("2026-01-01", "2026-01-01 00:00:00"),
    ],
)
def test_an_iso_instant_is_read_with_the_zone_that_it_states(place, line, given, expected):
    place.put("x.jsonl", line("1", event_at=given))
    place.ingest("x.jsonl")
    assert instants(place) == {"1": expected}


@pytest.mark.parametrize(
    "given",
    [
        "infinity",
        "-infinity",
        "yesterday",
        "2026-13-01",
        "2026-02-30",
        "99999-01-01",
        "2026-01-01 (BC)",
        "-0001-01-01",
        "01/02/2026",
        "1767225600",
    ],
)
def test_what_is_no_instant_of_the_years_1_to_9999_is_refused(place, line, given):
    place.put("x.jsonl", line("1", event_at=given) + line("2"))
    assert place.ingest("x.jsonl").rejected == 1
    assert place.rejected()["reason"][0] == (
        f"event_at: {given} is not a timestamp such as 2026-01-31T09:30:00Z; a file's mapping may state `units` or `formats`"
    )


def test_a_stated_zone_holds_over_the_change_of_the_clocks(place, line):
    """Berlin 2026: +1 in winter, +2 from 29 March 02:00 (02:30 does not exist) to 25 October 03:00 (02:30 exists twice: the later is taken)."""
    place.put(
        "x.jsonl",
        line("winter", event_at="2026-03-29 01:59:59")
        + line("summer", event_at="2026-03-29 03:00:00")
        + line("gap", event_at="2026-03-29 02:30:00")
        + line("twice", event_at="2026-10-25 02:30:00")
        + line("stated", event_at="2026-10-25T02:30:00+02:00")
        + line("zulu", event_at="2026-03-29T02:30:00Z"),
    )
    found = place.ingest("x.jsonl", timezone="Europe/Berlin")
    assert instants(place) == {
        "winter": "2026-03-29 00:59:59",
        "summer": "2026-03-29 01:00:00",
        "twice": "2026-10-25 01:30:00",
        "stated": "2026-10-25 00:30:00",
        "zulu": "2026-03-29 02:30:00",
    }
    assert found.rejected == 1
    assert (
        place.rejected()["reason"][0]
        == "event_at: 2026-03-29 02:30:00 does not exist in Europe/Berlin (clocks go forward)"
    )


@pytest.mark.parametrize("form", ["%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M %z"])
def test_a_stated_format_holds_over_the_change_of_the_clocks_too(place, line, form):
    """Berlin as above; where the form says a zone, every time exists."""
    zone = " +0200" if "%z" in form else ""
    given = {"summer": "29.03.2026 03:00", "gap": "29.03.2026 02:30", "twice": "25.10.2026 02:30", "none": "29.3.26"}
    place.put("x.jsonl", "".join(line(name, event_at=f"{at}{zone}") for name, at in given.items()))
    place.ingest("x.jsonl", timezone="Europe/Berlin", formats={"event_at": form})
    told = place.rejected()["reason"].tolist()
    no_time = f"event_at: 29.3.26{zone} is not a timestamp of the format {form}"
    if zone:
        assert instants(place) == {
            "summer": "2026-03-29 01:00:00",
            "gap": "2026-03-29 00:30:00",
            "twice": "2026-10-25 00:30:00",
        }
        assert told == [no_time]
    else:
        assert instants(place) == {"summer": "2026-03-29 01:00:00", "twice": "2026-10-25 01:30:00"}
        assert told == ["event_at: 29.03.2026 02:30 does not exist in Europe/Berlin (clocks go forward)", no_time]


TELEMETRY = '{"observation_id": "%s", "feature_id": "f", "observed_at": "2026-01-01", "%s": %s}\n'


@pytest.mark.parametrize(
    ("field", "given", "reason"),
    [
        ("latency_ms", "NaN", "NaN is not JSON"),
        ("latency_ms", "-Infinity", "-Infinity is not JSON"),
        ("latency_ms", '"NaN"', "latency_ms is not a finite number"),
        ("latency_ms", '"Infinity"', "latency_ms is not a finite number"),
        ("latency_ms", "1" + "0" * 400, "latency_ms is not a finite number"),
        ("latency_ms", "1e400", "the number 1e400 is too large"),
        ("latency_ms", "-1", "latency_ms: -1 is under 0"),
        ("latency_ms", '"fast"', "latency_ms: fast is not a number"),
        ("error_count", "3.7", "error_count: 3.7 is not a whole number"),
        ("error_count", "1" + "0" * 30, "is not a whole number"),
        ("feedback_score", "6", "feedback_score: 6 is over 5"),
        ("crashed", '"maybe"', "crashed: maybe is not true or false"),
        ("latency_ms", "1" * 5000, "a number of more than 4,300 digits|latency_ms is not a finite number"),
        ("user_id", '"\\ud800"', "half of a surrogate pair"),
        ("\\udfff", "1", "half of a surrogate pair"),
        ("user_id", "[" * 100_000, "nests deeper than 64 levels|Expecting value"),
    ],
)
def test_a_value_that_breaks_the_contract_is_refused_with_its_reason(place, field, given, reason):
    place.put("x.jsonl", TELEMETRY % ("good", "error_count", "3.0") + TELEMETRY % ("bad", field, given))
    found = place.ingest("x.jsonl", table="telemetry")
    assert (found.accepted, found.rejected) == (1, 1)
    kept = place.rejected()
    assert kept["line"].tolist() == [2]
    assert kept["reason"].str.contains(reason).all(), kept["reason"][0]
    assert place.telemetry()["error_count"].tolist() == [3]


def test_of_a_key_that_stands_twice_the_last_value_wins(place):
    place.put(
        "x.jsonl",
        '{"event_id":"1","event_name":"a","user_id":"old","event_at":"2026-01-01","user_id":"new","k":1,"k":2}\n',
    )
    place.ingest("x.jsonl")
    assert place.events()["user_id"].tolist() == ["new"]
    assert json.loads(place.events()["properties"][0]) == {"k": 2}


@pytest.mark.parametrize("given", ['{"a": NaN}', '{"a": 1,}', "[1]", "{", "text"])
def test_properties_that_are_no_json_object_are_refused(place, given):
    quoted = given.replace('"', '""')
    place.put(
        "x.csv",
        f'event_id,event_name,user_id,event_at,properties\n1,a,u,2026-01-01,"{quoted}"\n2,a,u,2026-01-01,"{{""note"": ""inf, }} nan""}}"\n',
    )
    found = place.ingest("x.csv")
    assert (found.accepted, found.rejected) == (1, 1)
    assert place.rejected()["reason"].tolist() == ["properties is not a JSON object"]
    assert json.loads(place.events()["properties"][0]) == {"note": "inf, } nan"}


def test_a_field_can_be_named_in_the_properties_and_is_text_there(place, line):
    place.put("x.jsonl", line("1", variation=17, arm="b"))
    place.ingest("x.jsonl", properties={"variant": "variation"}, constants={"experiment_id": "e"})
    assert json.loads(place.events()["properties"][0]) == {"variant": "17", "experiment_id": "e", "arm": "b"}
    place.put("y.jsonl", line("2", variaton=17))
    with pytest.raises(
        IngestError, match="properties.variant='variation' is no column of this file; did you mean 'variaton'"
    ):
        place.ingest("y.jsonl", properties={"variant": "variation"})


def test_a_field_of_ours_that_is_mapped_to_another_is_kept_in_the_properties(place, line):
    place.put("x.jsonl", line("1", visitor="v", country="DE"))
    place.ingest("x.jsonl", columns={"user_id": "visitor"}, constants={"country": "FR"})
    kept = place.events().iloc[0]
    assert (kept["user_id"], kept["country"]) == ("v", "FR")
    assert json.loads(kept["properties"]) == {"user_id": "u", "country": "DE"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"columns": {"user": "u"}}, "columns: 'user' is no column of events; did you mean 'user_id'"),
        ({"natural_key": ["evnt_at"]}, "did you mean 'event_at'"),
        ({"timezone": "Europe/Berln"}, "is not an IANA time zone"),
        ({"units": {"event_at": "years"}}, "Input should be 'ns', 'us', 'ms', 's', 'm', 'h' or 'days'"),
        ({"columns": {"user_id": "u"}, "constants": {"user_id": "x"}}, "both `columns` and `constants`"),
        ({"columns": {"user_id": "__line"}}, "name of the reader's own"),
        ({"table": "telemetry", "properties": {"a": "b"}}, "only events have properties"),
    ],
)
def test_a_wrong_mapping_is_refused_with_the_remedy(given, message):
    with pytest.raises(ValueError, match=message):
        SourceSpec(**({"table": "events", "path": "x"} | given))


@pytest.mark.parametrize(
    ("at", "forms"),
    [
        ("31.12.2026 09:30", ["%d.%m.%Y %H:%M"]),
        ("05.01.2026 15:58:39", ["%d.%m.%Y %H:%M:%S"]),
        ("1.2.26", ["%d.%m.%y"]),
        ("13/02/2026", ["%d/%m/%Y"]),
        ("02/13/2026 1:05 PM", ["%m/%d/%Y %I:%M %p"]),
        ("02/03/2026 01:05:06.5PM", ["%d/%m/%Y %I:%M:%S.%f%p", "%m/%d/%Y %I:%M:%S.%f%p"]),
    ],
)
def test_a_local_form_of_a_time_is_refused_with_the_format_to_state(place, line, at, forms):
    """Both where day and month cannot be told apart; each reads the file that it was proposed for."""
    place.put("x.jsonl", line("1", event_at=at))
    stated = " or ".join(f"`formats: {{event_at: '{form}'}}`" for form in forms)
    with pytest.raises(IngestError) as caught:
        place.ingest("x.jsonl")
    assert str(caught.value).endswith(f"a file's mapping may state `units` or `formats`; state {stated}")
    read = [datetime.strptime(at, form) for form in forms]
    assert len({(one.month, one.day) for one in read}) == len(forms)
    assert place.ingest("x.jsonl", formats={"event_at": forms[0]}).accepted == 1
    assert instants(place)["1"][:19] == str(read[0])[:19]


@pytest.mark.parametrize("at", ["5 Jan 2026", "2026/01/05", "99:99", "1.2.2026 late", "05-2026"])
def test_a_time_of_no_known_form_gets_no_wrong_proposal(place, line, at):
    place.put("x.jsonl", line("1", event_at=at))
    with pytest.raises(IngestError, match="a file's mapping may state `units` or `formats`$"):
        place.ingest("x.jsonl")


@pytest.mark.parametrize(("between", "stated"), [(";", '";"'), ("\t", r'"\\t"'), ("|", r'"\|"')])
def test_a_header_that_is_one_name_is_refused_with_the_delimiter_to_state(place, between, stated):
    place.put("x.csv", between.join(("Kunde", "Zeit", "Aktion")) + "\n" + between.join(("u", "2026-01-01", "a")) + "\n")
    asked = {"columns": {"user_id": "Kunde", "event_at": "Zeit", "event_name": "Aktion"}}
    with pytest.raises(IngestError, match=f"x.csv: its header is one name, .*; state `delimiter: {stated}` if"):
        place.ingest("x.csv", **asked)
    assert place.ingest("x.csv", delimiter=between, **asked).accepted == 1


def test_a_header_of_one_name_that_is_one_name_is_told_as_ever(place):
    place.put("x.csv", "Kunde\nu\n")
    with pytest.raises(IngestError, match="columns.user_id='Kunden' is no column of this file; did you mean 'Kunde'"):
        place.ingest("x.csv", columns={"user_id": "Kunden"})
