"""The house stands: no circles, nothing that only tests reach, no knowledge in two homes. Read from the code's text."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("house", ROOT / "scripts" / "house.py")
house = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(house)


def test_no_modules_import_each_other_in_a_circle():
    assert house.circles(house.imports_of(ROOT)) == []
    assert house.circles({"a": {"b"}, "b": {"a"}, "c": {"a"}}) == [["a", "b"]]


def test_every_module_is_reached_by_a_command_a_notebook_or_an_example():
    assert house.unreached(ROOT, house.imports_of(ROOT)) == []


def test_every_function_and_class_is_reached_by_a_command_a_notebook_a_script_or_an_example():
    assert house.unreached_names(ROOT) == []


def test_what_is_named_only_by_what_nobody_reaches_is_not_reached():
    """By hand: `b` is named in `a`, `d` in `c` only, and `c` nowhere; a docstring and `__all__` name nothing."""
    code = '__all__ = ["c"]\nTOLD = a()\ndef a():\n    b\ndef b(): ...\ndef c():\n    "e"\n    d\ndef d(): ...\ndef e(): ...'
    own, words = house._parts(house.ast.parse(code))
    assert set(own) == set("abcde")
    assert house.reached(own, words) == {"a", "b"}


def test_no_module_is_longer_than_300_lines():
    assert house.long_modules(ROOT) == []


def test_the_name_of_a_segment_and_the_quoting_of_sql_each_have_one_home():
    found = house.figures(ROOT)
    assert found["homes of the segment's name"] == 1
    assert found["homes of SQL quoting"] == 1
