"""Annotations by command, from git and over HTTP: judged alike, kept before they are acknowledged, in the lake once."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from deltalake import DeltaTable

from launchpad_lib.cli.main import main
from launchpad_lib.contract.annotations import KINDS, AnnotationError, annotation
from launchpad_lib.contract.tables import ANNOTATIONS
from launchpad_lib.ingestion import SourceSpec
from launchpad_lib.ingestion.files.sink import ingest
from tests.collecting import CLIENT, running, spooled

KEY = "correct-horse-battery-staple"
NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
ONE = {"at": "2026-01-14T09:30:00+01:00", "kind": "deployment", "feature_id": "search", "label": "search 2.1"}
BAD = [
    ({"kind": "deploy"}, "kind='deploy': must be one of deployment, incident, experiment, campaign, other"),
    ({"kind": None}, "kind='None': must be one of"),
    ({"kind": ["deployment"]}, "kind=\"['deployment']\": must be one of"),
    ({"label": " "}, "label: must be text of 1 to 200 characters"),
    ({"label": 7}, "label: must be text"),
    ({"label": "x" * 201}, "label: has 201 characters, at most 200"),
    ({"label": "\ud800"}, "label: holds half a character"),
    ({"feature_id": ""}, "feature_id: must be text"),
    ({"at": "2026-01-14T09:30:00"}, "states no time zone"),
    ({"at": "yesterday"}, "at"),
    ({"at": "1969-12-31T23:00:00Z"}, "must lie between 1970 and a year from now"),
    ({"at": "2030-01-01T00:00:00Z"}, "must lie between 1970 and a year from now"),
    ({"at": 17}, "at"),
    ({"text": "x"}, "'text' is no field of an annotation"),
]


def rows(lake: Path) -> list[tuple]:
    table = DeltaTable(str(lake / "annotations")).to_pyarrow_table().to_pylist()
    return sorted((r["at"].isoformat()[:19], r["kind"], r["feature_id"] or "", r["label"]) for r in table)


@pytest.mark.parametrize(("change", "told"), BAD)
def test_what_is_no_annotation_is_one_sentence(change, told):
    with pytest.raises(AnnotationError) as error:
        annotation(ONE | change, now=NOW)
    assert told in str(error.value) and "\n" not in str(error.value)


def test_an_annotation_has_the_columns_of_the_table():
    assert set(json.loads(annotation(ONE, now=NOW).line())) == {c.name for c in ANNOTATIONS.columns}
    assert annotation({"kind": "other", "label": "x"}, now=NOW).at == NOW


def test_the_command_writes_each_annotation_once(tmp_path, capsys):
    lake = tmp_path / "lake"
    lake.mkdir()
    asked = ["annotate", "search 2.1", "--at", "2026-01-14T09:30:00+01:00", "--lake", str(lake)]
    assert main(asked) == main(asked) == 0
    assert main([*asked, "--feature", "search"]) == main([*asked, "--kind", "incident"]) == 0
    out = capsys.readouterr().out
    assert out.count("1 annotation written") == 3 and "0 annotations written, 1 known already" in out
    at = "2026-01-14T08:30:00"
    assert rows(lake) == [
        (at, "deployment", "", "search 2.1"),
        (at, "deployment", "search", "search 2.1"),
        (at, "incident", "", "search 2.1"),
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "give a text, or --git-tags REPO"),
        (["x", "--git-tags", "."], "give a text, or --git-tags REPO"),
        (["x", "--at", "2026-01-14"], "at"),
        (["--git-tags", "/nowhere"], "is no git repository"),
    ],
)
def test_a_wrong_command_is_one_sentence(tmp_path, capsys, words, told):
    assert main(["annotate", *words, "--lake", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert told in said and said.count("\n") == 1
    assert main(["annotate", "x", "--lake", str(tmp_path / "no")]) == 2
    assert not (tmp_path / "annotations").exists()


def git(folder: Path, *words: str, at: str) -> None:
    who = {f"GIT_{r}_{k}": v for r in ("AUTHOR", "COMMITTER") for k, v in (("NAME", "a"), ("EMAIL", "a@b.example"), ("DATE", at))}  # fmt: skip
    subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, env=os.environ | who | {"GIT_CONFIG_GLOBAL": "/dev/null"})  # fmt: skip


def test_git_tags_are_deployments_at_the_time_of_the_tag(tmp_path, capsys):
    lake, repository = tmp_path / "lake", tmp_path / "repository"
    lake.mkdir()
    repository.mkdir()
    git(repository, "init", "-q", at="2026-01-01T00:00:00Z")
    git(repository, "commit", "--allow-empty", "-qm", "one", at="2026-01-10T10:00:00+02:00")
    git(repository, "tag", "v1", at="2026-01-20T00:00:00Z")  # of the commit: it has no time of its own
    git(repository, "tag", "-am", "second", "v2/é;$(x)", at="2026-01-21T00:00:00Z")
    git(repository, "tag", "-am", "third", "nightly", at="2026-01-22T00:00:00Z")
    asked = ["annotate", "--git-tags", str(repository), "--lake", str(lake), "--feature", "search", "--match", "v*"]
    assert main(asked) == main([*asked[:-2]]) == main(asked) == 0
    assert rows(lake) == [
        ("2026-01-10T08:00:00", "deployment", "search", "v1"),
        ("2026-01-21T00:00:00", "deployment", "search", "v2/é;$(x)"),
        ("2026-01-22T00:00:00", "deployment", "search", "nightly"),
    ]
    assert "2 annotations written" in capsys.readouterr().out


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    folder = tmp_path_factory.mktemp("collector")
    with running(
        folder / "spool", "--annotations", str(folder / "marks"), environment={"LAUNCHPAD_WRITE_KEYS": KEY}
    ) as c:
        yield c, folder / "marks"


def tell(collector, body, *, key: str | None = KEY, **headers: str):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = ({"authorization": f"Bearer {key}"} if key else {}) | {k.replace("_", "-"): v for k, v in headers.items()}
    return CLIENT.post(f"{collector.url}/v1/annotations", content=content, headers=sent, timeout=120)


def kept(folder: Path) -> list[dict]:
    return [json.loads(line) for p in sorted(folder.glob("*.jsonl")) for line in p.read_text().splitlines()]


def test_what_a_program_tells_is_kept_and_comes_into_the_lake_once(collector, tmp_path):
    door, folder = collector
    assert tell(door, ONE).status_code == tell(door, [ONE, ONE | {"label": "שלום <b>"}]).status_code == 202
    assert kept(folder)[0] == ONE | {"at": "2026-01-14T08:30:00Z"} and folder.stat().st_mode & 0o077 == 0
    source = SourceSpec(table="annotations", path=str(folder))
    for _ in range(2):
        ingest(source, lake=tmp_path / "lake", ingested_at=NOW)
    assert tell(door, ONE | {"kind": "incident"}).status_code == 202  # the file grows
    done = ingest(source, lake=tmp_path / "lake", ingested_at=NOW)
    assert done.accepted == 1 and len(rows(tmp_path / "lake")) == 3
    assert spooled(door.spool) == []


def test_each_annotation_is_judged_by_itself(collector):
    door, folder = collector
    before = len(kept(folder))
    said = tell(door, [ONE, {"kind": "deploy", "label": "x"}, 7])
    assert said.status_code == 202 and said.json()["accepted"] == 1
    assert [r["index"] for r in said.json()["refused"]] == [1, 2] and len(kept(folder)) == before + 1
    assert tell(door, {"kind": "other", "label": "now"}).status_code == 202


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (ONE, {"key": None}, 401),
        (ONE, {"key": "another-key-of-sixteen"}, 401),
        (ONE, {"origin": "https://evil.example"}, 403),
        (b"{", {}, 400),
        (b"[" * 100_000, {}, 400),
        (b"\xff", {}, 400),
        ([], {}, 400),
        ("text", {}, 400),
        ({"kind": "deployment", "label": "x", "at": "x"}, {}, 400),
        (b'"' + b"x" * 300_000 + b'"', {}, 413),
        ([ONE] * 1001, {}, 413),
        (ONE, {"content_encoding": "br"}, 415),
        (b'{"label": "\\ud800", "kind": "other"}', {}, 400),
    ],
)
def test_what_is_turned_away_is_not_kept(collector, body, headers, status):
    door, folder = collector
    before = kept(folder)
    said = tell(door, body, **headers)
    assert said.status_code == status and said.headers["content-type"] == "application/json" and kept(folder) == before


def test_a_collector_without_a_folder_for_them_says_so_and_the_document_names_every_answer(tmp_path):
    with running(tmp_path / "spool") as door:
        assert tell(door, ONE, key=None).status_code == 404
        described = CLIENT.get(f"{door.url}/openapi.json").json()["paths"]["/v1/annotations"]["post"]
        page = CLIENT.get(f"{door.url}/docs").text
    one = described["requestBody"]["content"]["application/json"]["schema"]["oneOf"][0]
    assert one["properties"]["kind"]["enum"] == list(KINDS) and set(one["required"]) == {"kind", "label"}
    assert set(described["responses"]) >= {"202", "400", "401", "403", "404", "413", "415", "429", "503"}
    assert "POST /v1/annotations" in page


def test_a_disk_that_refuses_is_503_and_leaves_no_half_line(tmp_path):
    with running(tmp_path / "spool", "--annotations", str(tmp_path / "marks"), max_file_bytes=400) as door:
        statuses = [tell(door, ONE, key=None).status_code for _ in range(8)]
        content = next((tmp_path / "marks").glob("*.jsonl")).read_bytes()
    assert statuses[0] == 202 and statuses[-1] == 503 and content.endswith(b"\n")
    assert len(content.splitlines()) == statuses.count(202)
