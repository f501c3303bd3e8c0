"""The house stands: no circles, nothing that only tests reach, no knowledge in two homes. Read from the code's text."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("house", ROOT / "scripts" / "house.py")
house = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(house)

WAITING = {
    "launchpad_lib.findings",
}


def test_no_modules_import_each_other_in_a_circle():
    assert house.circles(house.imports_of(ROOT)) == []
    assert house.circles({"a": {"b"}, "b": {"a"}, "c": {"a"}}) == [["a", "b"]]


def test_every_module_is_reached_by_a_command_a_notebook_or_an_example():
    assert set(house.unreached(ROOT, house.imports_of(ROOT))) <= WAITING


def test_the_name_of_a_segment_and_the_quoting_of_sql_each_have_one_home():
    found = house.figures(ROOT)
    assert found["homes of the segment's name"] == 1
    assert found["homes of SQL quoting"] == 1
