"""The cutting of broken arrays, against msgspec on whole ones and against a slow reference on mutilated ones."""

from __future__ import annotations

import json

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from launchpad_lib.collector.framing import cut_array, frame

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(VALUES, max_size=6), st.sampled_from([None, 2]))
def test_a_whole_array_is_cut_as_msgspec_cuts_it(values, indent):
    text = json.dumps(values, indent=indent).encode()
    cut = cut_array(text)
    assert cut.broken is None
    assert [msgspec.json.decode(piece) for piece in cut.pieces] == msgspec.json.decode(text)
    assert [msgspec.json.decode(piece) for piece in frame(text, is_lines=False).pieces] == msgspec.json.decode(text)
    assert [
        msgspec.json.decode(piece) for piece in frame(b'{"events":' + text + b"}", is_lines=False).pieces
    ] == msgspec.json.decode(text)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(VALUES, min_size=3, max_size=6),
    st.sampled_from([b"NaN", b"tru", b"01", b'"\\x"', b"", b'"\xff"', b"1 2", b"{1:2}", b"[,]"]),
    st.data(),
)
def test_one_bad_element_costs_none_of_the_others(values, bad, data):
    place = data.draw(st.integers(0, len(values) - 1))
    pieces = [json.dumps(v).encode() for v in values]
    pieces[place] = bad
    cut = frame(b"[" + b",".join(pieces) + b"]", is_lines=False)
    assert cut.broken is None and len(cut.pieces) == len(values)
    assert [cut.pieces[i] for i in range(len(values)) if i != place] == [
        pieces[i] for i in range(len(values)) if i != place
    ]


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet='[]{},:"\\ 1aé\n', max_size=200).map(str.encode))
def test_any_bytes_are_framed_without_an_exception(body):
    for is_lines in (False, True):
        framed = frame(b"[" + body, is_lines=is_lines)
        assert framed.pieces or framed.broken or body.strip(b" \t\r\n") == b"]"
        frame(body, is_lines=is_lines)
