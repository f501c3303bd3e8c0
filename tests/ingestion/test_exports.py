"""Exports of Mixpanel, Amplitude and PostHog by mapping alone, and paths into nested fields. Expected values are counted by hand in the files."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from launchpad_lib.ingestion import IngestError, SourceSpec, ingest
from launchpad_lib.lake import open_lake

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("tool", ["mixpanel", "amplitude", "posthog"])
def test_an_export_comes_in_by_its_mapping_alone(tmp_path, tool):
    """11 rows: 9 good ones of 4 people, a copy of the Purchase of ana, and one of nobody; 3 sign up, 4 view, 2 buy."""
    (source,) = yaml.safe_load((ROOT / f"params/exports/{tool}.yaml").read_text())["sources"]
    found = ingest(SourceSpec(**source), lake=tmp_path, ingested_at=datetime(2026, 4, 1, tzinfo=UTC), root=ROOT)
    assert (found.read, found.accepted, found.duplicates, found.rejected) == (11, 9, 1, 1)
    lake = open_lake(tmp_path)
    events = lake.events.order_by("event_at").to_pandas()
    assert events["user_id"].tolist() == ["ana", "ana", "ana", "bo", "bo", "cy", "cy", "cy", "dee"]
    assert events["event_name"].value_counts().to_dict() == {"Sign Up": 3, "View Item": 4, "Purchase": 2}
    assert [str(at) for at in events["event_at"][[0, 7]]] == ["2026-03-02 09:00:00", "2026-03-04 00:10:00"]
    assert (events["received_at"] > events["event_at"]).all()
    assert events["country"].tolist() == ["DE", "DE", "DE", "FR", "FR", "DE", "DE", "DE", "US"]
    assert events["event_id"].is_unique
    properties = [json.loads(p) for p in events["properties"]]
    assert [p.get("amount") for p in properties] == [None, None, 20.5, None, None, None, None, 5, None]
    assert (properties[1]["utm.source"], properties[8]["item"]) == ("mail", 'Müller\'s "best" desk 😀')
    (reason,) = lake.rejected.to_pandas()["reason"]
    assert reason.startswith("user_id: undefined stands for nobody known")


@pytest.mark.parametrize("tool", ["mixpanel", "amplitude", "posthog"])
def test_the_example_of_an_export_makes_a_report_that_answers(tmp_path, tool):
    """Of 3 who signed up 2 bought within 12 hours (ana and cy); all three have been observed to the end."""
    params = yaml.safe_load((ROOT / f"params/exports/{tool}.yaml").read_text())
    params |= {"lake": str(tmp_path / "lake"), "reports": str(tmp_path / "reports"), "sequence": [["funnels"]]}
    params["sources"][0]["path"] = str(ROOT / params["sources"][0]["path"])
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(params))
    shown = subprocess.run(
        [sys.executable, "-c", "from launchpad_lib.cli.main import main; main()", "report", str(tmp_path / "p.yaml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert shown.returncode == 0 and "funnels: ok" in shown.stdout, shown.stdout + shown.stderr
    (table,) = (tmp_path / "reports").glob("*/tables/funnel.parquet")
    assert pq.read_table(table)["users"].to_pylist() == [3, 3, 2]


def test_an_export_comes_in_as_the_tool_writes_it(tmp_path):
    """Amplitude: a gzipped file an hour, `#` in its name. Mixpanel with `time_in_ms`: milliseconds. PostHog: JSON lines
    of a batch export with properties as an object, and Parquet with properties as text. As documented by each.
    """
    sample, at = ROOT / "data/sample/exports", datetime(2026, 4, 1, tzinfo=UTC)

    def rows_in(name: str, tool: str, **other: object) -> tuple:
        (source,) = yaml.safe_load((ROOT / f"params/exports/{tool}.yaml").read_text())["sources"]
        given = SourceSpec(**source | {"path": name} | other)
        found = ingest(given, lake=tmp_path / name.partition(".")[0], ingested_at=at, root=tmp_path)
        told = open_lake(tmp_path / name.partition(".")[0]).events.order_by("event_at").to_pandas()
        return (found.accepted, found.duplicates, found.rejected), told

    (tmp_path / "123_2026-03-02_9#7.json.gz").write_bytes(gzip.compress((sample / "amplitude.jsonl").read_bytes()))
    counts, _ = rows_in("123_2026-03-02_9#7.json.gz", "amplitude")
    assert counts == (9, 1, 1)

    in_ms = [json.loads(line) for line in (sample / "mixpanel.jsonl").read_text().splitlines()]
    for row in in_ms:
        row["properties"]["time"] = row["properties"]["time"] * 1000 + 123
    (tmp_path / "mixpanel.json").write_text("".join(json.dumps(row) + "\n" for row in in_ms))
    counts, told = rows_in("mixpanel.json", "mixpanel", units={"event_at": "ms", "received_at": "ms"})
    assert counts == (9, 1, 1) and str(told["event_at"][0]) == "2026-03-02 09:00:00.123000"

    with (sample / "posthog.csv").open(newline="", encoding="utf-8") as file:
        as_csv = list(csv.DictReader(file))
    batch = [row | {"properties": json.loads(row["properties"]), "person_id": "p"} for row in as_csv]
    (tmp_path / "lines.jsonl").write_text("".join(json.dumps(row) + "\n" for row in batch))
    pq.write_table(pa.Table.from_pylist(as_csv), tmp_path / "table.parquet")
    for name in ("lines.jsonl", "table.parquet"):
        counts, told = rows_in(name, "posthog")
        assert counts == (9, 1, 1)
        assert (told["session_id"][0], told["platform"][0], told["country"][8]) == ("s-ana", "iOS", "US")


def test_a_path_leads_into_a_field_and_a_name_is_data_before_it_is_a_path(place, line):
    """In the first file a field is called `actor.login`, so there it is no path; of nested names the longest literal one wins."""
    deep = {"actor": {"login": "nested"}}
    place.put(
        "literal.jsonl", line("1", user_id=None, **{"actor.login": "literal"}, **deep) + line("2", user_id=None, **deep)
    )
    place.put(
        "x.jsonl",
        line("3", user_id=None, **deep)
        + line("4", user_id=None, actor={"login": 7}, repo={"a.b": {"c": "x"}, "a": {"b": {"c": "y"}}})
        + line("5", user_id=None, actor="no object"),
    )
    place.ingest("literal.jsonl", columns={"user_id": "actor.login"})
    place.ingest("x.jsonl", columns={"user_id": "actor.login", "platform": "repo.a.b.c"})
    assert place.events()["user_id"].tolist() == ["literal", "nested", "7"]
    assert place.events()["platform"].fillna("").tolist() == ["", "", "x"]
    assert json.loads(place.events()["properties"][1]) == deep, "a path reads a field, it does not take it"
    assert place.rejected()["reason"].tolist() == ["user_id is missing"] * 2
    with pytest.raises(
        IngestError, match="columns.user_id='actr.login' is no column of this file; did you mean 'actor"
    ):
        place.ingest("x.jsonl", columns={"user_id": "actr.login"})


HOSTILE = [
    "$browser",
    "utm.source",
    "org:group",
    "/p",
    "a*b",
    "cart[0]",
    "q\"uo'te",
    "a b",
    "😀",
    "\u202emarhaban",
    "k" * 5000,
    "{}",
    "%s",
    "~1",
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_name_of_any_characters_can_be_mapped_and_kept(place, name, kind):
    row = {"event_id": "1", "event_name": "a", "event_at": "2026-01-01", name: "somebody", f"{name}x": "kept"}
    if kind == "jsonl":
        place.put("x.jsonl", json.dumps(row) + "\n")
    else:
        quoted = [[v.replace('"', '""') for v in values] for values in (row, row.values())]
        place.put("x.csv", "".join(",".join(f'"{v}"' for v in values) + "\n" for values in quoted))
    place.ingest(f"x.{kind}", columns={"user_id": name}, properties={name: f"{name}x"})
    assert place.events()["user_id"].tolist() == ["somebody"]
    assert json.loads(place.events()["properties"][0]) == {name: "kept"}


def test_a_file_says_its_delimiter_encoding_and_kind_by_the_mapping(place):
    text = "id;who;wann\n1;Jürgen;12.09.2017 08:06\n2;Zoë;13.09.2017 08:06\n"
    place.put("export.txt", text.encode("latin-1"))
    mapping = {
        "columns": {"event_id": "id", "user_id": "who", "event_at": "wann"}, "constants": {"event_name": "seen"},
        "format": "csv", "delimiter": ";", "formats": {"event_at": "%d.%m.%Y %H:%M"},
    }  # fmt: skip
    with pytest.raises(IngestError, match="export.txt, line 2: not UTF-8; .*state its `encoding`, for example latin-1"):
        place.ingest("export.txt", **mapping)
    assert place.ingest("export.txt", encoding="latin-1", **mapping).accepted == 2
    assert place.events()["user_id"].tolist() == ["Jürgen", "Zoë"]
    place.put("wide.tsv", text.replace(";", "\t").replace("Zoë", '"Zoë\tB"').encode("utf-16"))
    again = place.ingest(
        "wide.tsv", encoding="utf-16", **{k: v for k, v in mapping.items() if k not in ("format", "delimiter")}
    )
    assert (again.accepted, again.duplicates) == (0, 2)
    assert "came with other content before" in place.rejected()["reason"][0]


@pytest.mark.parametrize("delimiter", [";", ","])
def test_excels_line_about_the_delimiter_is_named_with_the_remedy(place, delimiter):
    place.put(
        "excel.csv",
        f"sep={delimiter}\n"
        + "event_id;user_id;event_at;event_name\n1;a;2026-01-01T00:00:00Z;x\n".replace(";", delimiter),
    )
    for mapping in ({}, {"columns": {"event_id": "event_id"}}):
        with pytest.raises(
            IngestError, match="first line is Excel's `sep=`, not the header: remove that line, and state"
        ):
            place.ingest("excel.csv", delimiter=delimiter, **mapping)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"formats": {"user_id": "%Y"}}, "formats: 'user_id' is no time; "),
        ({"formats": {"event_at": "%"}}, "cannot be read; write for example '%m/%d/%y'"),
        ({"formats": {"event_at": "%Y"}, "units": {"event_at": "s"}}, "both `units` and `formats`"),
        ({"encoding": "latin-99"}, "'latin-99' is no encoding"),
        ({"delimiter": ";;"}, "at most 1 character"),
    ],
)
def test_a_wrong_statement_about_a_file_is_refused_with_the_remedy(given, message):
    with pytest.raises(ValueError, match=message):
        SourceSpec(table="events", path="x", **given)
