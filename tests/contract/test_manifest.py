"""One model writes, reads and documents `manifest.json`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from launchpad_lib.contract.manifest import (
    MANIFEST_VERSION,
    Manifest,
    ManifestError,
    manifest_schema,
    manifest_text,
    read_manifest,
)
from launchpad_lib.runner.history import history_lines
from launchpad_lib.runner.indexes import publish_run_index
from tests.manifests import WHOLE

ROOT = Path(__file__).parents[2]


def test_the_published_schema_is_that_of_the_model():
    assert (ROOT / "docs/manifest.schema.json").read_text(encoding="utf-8") == manifest_schema(), "run `make glossary`"
    assert Manifest.model_fields["manifest_version"].default == MANIFEST_VERSION


def test_what_is_written_is_read_again():
    assert json.loads(manifest_text(read_manifest(json.dumps(WHOLE)))) == WHOLE


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"manifest_version": 2}, "manifest_version=2: this program reads up to 1; upgrade it"),
        ({"status": "well"}, "status='well': Input should be 'ok', 'refused' or 'failed'"),
        ({"more": 1}, "more='1': Extra inputs are not permitted"),
        ({"metrics": [{}]}, "metrics.0.notebook: Field required"),
    ],
)
def test_what_does_not_fit_is_told_in_one_sentence(changed, told):
    with pytest.raises(ManifestError) as caught:
        read_manifest(json.dumps(WHOLE | changed))
    assert str(caught.value).startswith(told) and "\n" not in str(caught.value)


def test_a_run_of_a_newer_version_is_told_on_the_index_and_by_history(tmp_path):
    for folder, manifest in (("new", {"manifest_version": 7}), ("r", WHOLE)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "manifest.json").write_text(json.dumps(manifest))
    publish_run_index(tmp_path)
    told = "manifest_version=7: this program reads up to 1; upgrade it"
    assert told in (tmp_path / "index.html").read_text()
    assert [" ".join(line.split()) for line in history_lines(tmp_path, "small")] == [f"new unreadable {told}", "r ok"]
    with pytest.raises(ValueError, match="there are small; 1 cannot be read, as new"):
        history_lines(tmp_path, "other")
