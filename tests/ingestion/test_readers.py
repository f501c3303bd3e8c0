"""Files as they come: kinds, encodings, quoting, line numbers. Expected values are counted by hand in the text of each file."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from launchpad_lib.ingestion import IngestError

HEAD = "event_id,event_name,user_id,event_at,note\n"
JSON_SUITE = next(
    (
        p
        for p in (d / "shared/data/json_test_suite/test_parsing.tar.gz" for d in Path(__file__).resolve().parents)
        if p.exists()
    ),
    None,
)


def test_a_header_without_rows_is_no_rows_and_an_empty_csv_is_an_error(place):
    place.put("header.csv", HEAD)
    assert (place.ingest("header.csv").read, place.ingest("header.csv").skipped_files) == (0, 1)
    place.put("empty.csv", "")
    with pytest.raises(IngestError, match="empty.csv, line 1: no header"):
        place.ingest("empty.csv")


def test_an_empty_json_lines_file_is_no_rows(place):
    place.put("empty.jsonl", "\n \n")
    assert place.ingest("empty.jsonl").read == 0


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_byte_order_mark_and_any_line_end_are_read(place, line, end):
    place.put("x.csv", b"\xef\xbb\xbf" + (HEAD + "1,a,u,2026-01-01,ü\n2,,u,2026-01-01,\n").replace("\n", end).encode())
    found = place.ingest("x.csv")
    assert (found.accepted, found.rejected) == (1, 1)
    assert json.loads(place.events()["properties"][0]) == {"note": "ü"}
    assert place.rejected()[["line", "raw"]].values.tolist() == [[3, "2,,u,2026-01-01,"]]


def test_a_byte_order_mark_before_json_lines_is_read(place, line):
    place.put("x.jsonl", b"\xef\xbb\xbf" + (line("1") + line("2")).replace("\n", "\r\n").encode())
    assert place.ingest("x.jsonl").accepted == 2


def test_line_numbers_are_right_after_a_quoted_line_break(place):
    text = HEAD + '1,a,u,2026-01-01,"two\nlines, ""quoted"""\n\n2,a,u,never,x\n3,a,u\n"4",a,,2026-01-01,"a\nb"\n'
    place.put("x.csv", text)
    found = place.ingest("x.csv")
    assert (found.read, found.accepted, found.rejected) == (4, 1, 3)
    assert json.loads(place.events()["properties"][0]) == {"note": 'two\nlines, "quoted"'}
    kept = place.rejected()
    assert kept["line"].tolist() == [5, 6, 7]
    assert kept["raw"].tolist() == ["2,a,u,never,x", "3,a,u", '"4",a,,2026-01-01,"a\nb"']
    assert kept["reason"].tolist() == [
        "event_at: never is not a timestamp such as 2026-01-31T09:30:00Z; a file's mapping may state `units` or `formats`",
        "3 fields where the header has 5",
        "user_id is missing",
    ]


def test_a_quote_that_is_never_closed_refuses_its_own_line_only(place):
    place.put(
        "x.csv",
        HEAD
        + '1,a,u,2026-01-01,x\n2,a,u,2026-01-01,"open\n3,a,u,2026-01-01,x\n4,a,u,2026-01-01,"a"b\n5,a,u,2026-01-01,x\n',
    )
    found = place.ingest("x.csv")
    assert (found.accepted, found.rejected) == (3, 2)
    assert place.rejected()["line"].tolist() == [3, 5]
    assert place.events()["event_id"].tolist() == ["1", "3", "5"]


def test_a_plain_csv_and_its_quoted_form_give_the_same_rows(place):
    """The first is read as a set, the second row by row."""
    rows = [
        [str(i), "a", f"u{i % 3}", f"2026-01-{1 + i % 28:02d} 10:00:00", f"n {i}" if i % 2 else ""] for i in range(50)
    ]
    place.put("plain.csv", HEAD + "".join(",".join(r) + "\n" for r in rows))
    assert place.ingest("plain.csv").accepted == 50
    place.put("quoted.csv", HEAD + "".join(",".join(f'"{v}"' for v in r) + "\n" for r in rows))
    again = place.ingest("quoted.csv")
    assert (again.accepted, again.duplicates) == (0, 50)
    place.put("twin.csv", HEAD.replace("event_id", "id") + "".join(",".join(f'"{v}"' for v in r) + "\n" for r in rows))
    assert place.ingest("twin.csv", columns={"event_id": "id"}).duplicates == 50


def test_a_latin_1_file_is_a_clear_error_with_its_line(place):
    place.put("x.csv", (HEAD + "1,a,u,2026-01-01,ok\n2,a,u,2026-01-01,Köln\n").encode("latin-1"))
    with pytest.raises(IngestError, match="x.csv, line 3: not UTF-8; save the file as UTF-8"):
        place.ingest("x.csv")
    assert not place.lake.exists()


def test_a_json_line_that_is_not_utf_8_is_refused_alone(place, line):
    place.put(
        "x.jsonl", line("1").encode() + b'{"event_id":"2","user_id":"K\xf6ln"}\n' + line("3", city="Köln").encode()
    )
    found = place.ingest("x.jsonl")
    assert (found.accepted, found.rejected) == (2, 1)
    assert place.rejected()[["line", "reason"]].values.tolist() == [[2, "not valid: not UTF-8"]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "cut.jsonl.gz",
            gzip.compress(b'{"event_id":"1"}\n' * 5000, mtime=0)[:60],
            "cut.jsonl.gz: cannot be read .*check that the file is whole",
        ),
        ("bad.csv.gz", b"\x1f\x8b" + b"\x00" * 40, "bad.csv.gz: cannot be read"),
        ("bad.parquet", b"PAR1" + b"\x00" * 100 + b"PAR1", "bad.parquet: not a readable Parquet file"),
        ("empty.parquet", b"", "empty.parquet: not a readable Parquet file"),
        ("nul.csv", b"event_id,user_id\n1,\x00\n", "nul.csv, line 2: a NUL byte"),
        ("twice.csv", b"a,b,a\n1,2,3\n", "twice.csv, line 1: a column name stands twice"),
        ("table.xlsx", b"PK", "table.xlsx: unknown kind of file '.xlsx'"),
        (
            "pretty.json",
            b'[\n {"event_id": "1"},\n {"event_id": "2"}\n]\n',
            "pretty.json, line 1: no line of the file is a JSON object",
        ),
    ],
)
def test_a_file_unreadable_as_a_whole_is_one_sentence_and_the_lake_is_as_before(place, line, name, content, message):
    place.put("good.jsonl", line("1"))
    place.ingest("good.jsonl")
    before = place.snapshot()
    place.put(name, content)
    with pytest.raises(IngestError, match=message) as caught:
        place.ingest(name)
    assert "\n" not in str(caught.value)
    assert place.snapshot() == before


def test_an_unreadable_third_of_five_files_keeps_the_first_two_out_until_it_is_mended(place, line):
    """All files of a source are one commit: none of the five is in the lake, and a mended run brings each once."""
    for number in (1, 2, 4, 5):
        place.put(f"in/{number}.jsonl", line(str(number)))
    place.put("in/3.jsonl", gzip.compress(line("3").encode())[:-9])
    with pytest.raises(IngestError, match="3.jsonl: cannot be read"):
        place.ingest("in")
    assert not place.lake.exists()
    place.put("in/3.jsonl", line("3"))
    assert place.ingest("in").accepted == 5


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_a_clear_error(place, line):
    place.put("x.jsonl", line("1")).chmod(0)
    with pytest.raises(IngestError, match="x.jsonl: cannot be read"):
        place.ingest("x.jsonl")


def test_a_folder_of_mixed_kinds_is_one_source_and_link_loops_do_no_harm(place, line):
    place.put("in/a.csv", HEAD + "1,a,u,2026-01-01,x\n")
    place.put("in/deep/b.jsonl", line("2"))
    place.put("in/c.ndjson.gz", gzip.compress(line("3").encode()))
    pq.write_table(
        pa.table({"event_id": ["4"], "event_name": ["a"], "user_id": ["u"], "event_at": [datetime(2026, 1, 1)]}),
        place.root / "in/d.parquet",
    )
    place.put("in/.hidden", "x")
    (place.root / "in/loop").symlink_to(place.root / "in", target_is_directory=True)
    (place.root / "in/self.csv").symlink_to(place.root / "in/self.csv")
    found = place.ingest("in")
    assert (found.files, found.accepted) == (4, 4)


def test_names_with_quotes_sql_html_and_reserved_words_are_only_names(place):
    hostile = [
        'a"b',
        "x'; DROP TABLE judged; --",
        "<script>alert(1)</script>",
        "Event_ID",
        "__line",
        "EVENT_NAME",
        "a/b~c",
        "",
        "SELECT",
    ]
    row = {"event_id": "1", "event_name": "<b>'; --", "user_id": "u\"'", "event_at": "2026-01-01"} | {
        n: f"{n}!" for n in hostile if n != "__line"
    }
    place.put("<i>'x\".jsonl", json.dumps(row | {"__line": "7"}) + "\n" + '{"event_id": "<img>"}\n')
    found = place.ingest("<i>'x\".jsonl")
    assert (found.accepted, found.rejected) == (1, 1)
    kept = place.events().iloc[0]
    assert (kept["event_name"], kept["user_id"]) == ("<b>'; --", "u\"'")
    assert json.loads(kept["properties"]) == {n: f"{n}!" for n in hostile if n != "__line"} | {"__line": "7"}
    assert place.rejected()["source"].tolist() == ["<i>'x\".jsonl"]
    header = ["id", *[h.replace('"', '""') for h in hostile]]
    place.put(
        "x.csv",
        ",".join(f'"{h}"' for h in header)
        + ",u,t\n"
        + ",".join(["2", *["v"] * len(hostile), "u", "2026-01-01"])
        + "\n",
    )
    assert (
        place.ingest("x.csv", columns={"event_id": "id", "user_id": "u", "event_at": "t", "event_name": 'a"b'}).accepted
        == 1
    )
    assert json.loads(place.events()["properties"][1]) == {
        n.replace("__line", "__line_"): "v" for n in hostile if n != 'a"b'
    }


def test_a_file_name_that_is_no_text_is_told_escaped(place):
    path = os.fsencode(place.root) + b"/\xff.jsonl"
    with open(path, "wb") as out:
        out.write(b'{"event_id":"1"}\n{"event_id":"2","event_name":"a","user_id":"u","event_at":"2026-01-01"}\n')
    assert place.ingest(os.fsdecode(b"\xff.jsonl")).accepted == 1
    assert place.rejected()["source"].tolist() == ["\\xff.jsonl"]


def test_a_very_long_line_is_read_and_as_an_event_refused_alone(place, line):
    """{"note":"xxx"} has 11 bytes beside the text; of the row 65,536 characters are kept."""
    place.put("x.jsonl", line("1", note="x" * 20_000_000) + line("2"))
    place.put("x.csv", HEAD + '3,a,u,2026-01-01,"' + "x" * 20_000_000 + '"\n4,a,u,2026-01-01,"a\nb"\n')
    for file in ("x.jsonl", "x.csv"):
        assert (place.ingest(file).accepted, place.ingest(file).skipped_files) == (1, 1)
    kept = place.rejected()
    size = "properties has 20,000,011 bytes: at most 65,536 are taken; send less in properties"
    assert kept["reason"].tolist() == [size, size]
    assert kept["raw"].str.len().tolist() == [65_536, 65_536]
    assert place.events()["event_id"].tolist() == ["2", "4"]


def test_nested_parquet_columns_dates_and_numbers_keep_their_meaning(place):
    table = pa.table(
        {
            "event_id": pa.array([1, 2, 3], pa.int64()),
            "event_name": pa.array(["a", "b", None]).dictionary_encode(),
            "user_id": pa.array([b"u", b"v", b"w"], pa.binary()),
            "event_at": pa.array([datetime(2026, 1, 1, 1, tzinfo=UTC)] * 3, pa.timestamp("ns", tz="Asia/Tokyo")),
            "items": [[{"sku": "x", "price": 1.5}], [], None],
            "tags": pa.array([[("k", "v")], None, None], pa.map_(pa.string(), pa.string())),
            "score": [1.5, float("nan"), None],
            "is_new": [True, False, None],
        }
    )
    pq.write_table(table, place.root / "x.parquet")
    found = place.ingest("x.parquet")
    assert (found.accepted, found.rejected) == (2, 1)
    kept = place.events()
    assert kept["event_at"].astype(str).tolist() == ["2026-01-01 01:00:00"] * 2
    assert json.loads(kept["properties"][0]) == {
        "items": [{"sku": "x", "price": 1.5}],
        "tags": {"k": "v"},
        "score": 1.5,
        "is_new": True,
    }
    assert json.loads(kept["properties"][1]) == {"items": [], "is_new": False}
    refused = place.rejected()
    assert refused[["line", "reason"]].values.tolist() == [[3, "event_name is missing"]]
    assert json.loads(refused["raw"][0])["event_id"] == 3


@pytest.mark.skipif(JSON_SUITE is None, reason="JSONTestSuite is not beside the repository")
def test_every_valid_text_of_the_json_test_suite_is_read_and_every_invalid_one_refused_with_a_reason(place, line):
    """nst/JSONTestSuite: each text as the value of a property; a text of several lines cannot be one JSON line and stands in one here only where JSON allows."""
    import tarfile as tar

    valid, invalid = [], []
    with tar.open(JSON_SUITE) as archive:
        for member in archive.getmembers():
            name, content = (
                os.path.basename(member.name),
                archive.extractfile(member).read() if member.isfile() else b"",
            )
            if not member.isfile() or name[:2] not in ("y_", "n_"):
                continue
            if b"\n" in content.strip(b"\n") and name.startswith("n_"):
                continue
            (valid if name.startswith("y_") else invalid).append((name, content.replace(b"\n", b" ")))
    head = line("ID").encode().rstrip(b"}\n")
    body = b"".join(
        head.replace(b"ID", f"v{i}".encode()) + b', "note": ' + content + b"}\n" for i, (_, content) in enumerate(valid)
    )
    place.put("valid.jsonl", body)
    assert (place.ingest("valid.jsonl").accepted, len(valid)) == (95, 95)
    # An invalid text is a line of its own; inside an object a stray bracket might close it. A good line first, so that the file is one of JSON lines.
    texts = [content for name, content in invalid if content.strip()]
    place.put("invalid.jsonl", line("good").encode() + b"\n".join(texts) + b"\n")
    found = place.ingest("invalid.jsonl")
    assert (found.accepted, found.rejected) == (1, len(texts))
    assert place.rejected()["reason"].str.len().min() > 0
    assert len(texts) >= 180


def test_fields_are_the_same_whether_a_line_is_read_as_a_set_or_strictly(place):
    """A surrogate pair sends a line to the strict reader; the values must not differ from a line that is read as a set."""
    values = {
        "event_id": "x",
        "event_name": "a",
        "user_id": 7,
        "event_at": "2026-01-01",
        "n": 36,
        "f": 1.5,
        "t": True,
        "o": {"k": [1, {"z": "ü"}]},
    }
    values |= {"s": 'a"b\\\n\t', "none": None}
    first, second = json.dumps(values, ensure_ascii=False), json.dumps(values | {"event_id": "y", "pair": "😀"})
    place.put("x.jsonl", first + "\n" + second + "\n")
    assert place.ingest("x.jsonl").accepted == 2
    set_based, strict = (json.loads(p) for p in place.events()["properties"])
    assert strict.pop("pair") == "😀"
    assert set_based == strict == {"n": 36, "f": 1.5, "t": True, "o": {"k": [1, {"z": "ü"}]}, "s": 'a"b\\\n\t'}
    assert place.events()["user_id"].tolist() == ["7", "7"]


def test_a_whole_archive_member_is_not_taken_for_a_line(place):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz"):
        pass
    place.put("x.jsonl.gz", buffer.getvalue())
    with pytest.raises(IngestError, match="no line of the file is a JSON object"):
        place.ingest("x.jsonl.gz")
