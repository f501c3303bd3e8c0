"""How pictures lie in a page and how the drawing program is spoken to. Expected values are by hand."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import struct
import sys
from types import SimpleNamespace

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from launchpad_lib.page import pictures, rendering
from launchpad_lib.page.pictures import lean, packed
from launchpad_lib.page.publication import publish_notebook
from launchpad_lib.page.rendering import Limits, Picture, Renderer, _read, _reply, _write, row_count

BARS = {"mark": "bar", "encoding": {"x": {"field": "b", "type": "quantitative"}}}


@pytest.mark.parametrize(
    "text", ["", "a", "<tag> é 🎉", *("x" * n + "".join(map(chr, range(n))) for n in range(33, 41))]
)
def test_what_is_packed_can_be_no_tag_and_comes_out_as_it_went_in(text):
    found = packed(text)
    assert "<" not in found.text and 0 <= found.padding <= 3
    raw = base64.b85decode(str(found.text).replace(",", "<"))
    assert len(raw) % 4 == 0 and raw[len(raw) - found.padding :] == b"\0" * found.padding
    whole = raw[: len(raw) - found.padding]
    assert gzip.decompress(whole) == text.encode()
    # The last four bytes of gzip are the size of what was packed: nothing of them was taken for padding.
    assert struct.unpack("<I", whole[-4:])[0] == len(text.encode())


def test_packing_is_as_small_as_its_program_can_make_it():
    """The drawing library is most of a page: level 10 of 12 packs it a tenth smaller than gzip does."""
    text = " ".join(f"{i * i % 997}" for i in range(40_000))
    assert len(base64.b85decode(str(packed(text).text).replace(",", "<"))) < len(gzip.compress(text.encode(), 9))


def test_a_page_has_no_library_where_the_drawing_program_gives_none(monkeypatch, tmp_path):
    monkeypatch.setattr(pictures, "KEPT", tmp_path)
    for library, wanted in ((None, None), ("js", packed("js"))):
        pictures.drawing_library.cache_clear()
        monkeypatch.setattr(pictures, "renderer", lambda found=library: SimpleNamespace(drawing_library=lambda: found))
        assert pictures.drawing_library() == wanted
    pictures.drawing_library.cache_clear()


def test_the_library_is_packed_once_for_all_runs_and_anew_where_what_was_kept_is_not_whole(monkeypatch, tmp_path):
    """Kept beside the compiled modules; cut off, changed, empty or no text of ours: made anew. A folder that cannot be
    written to, here a file in its place, costs time only."""
    asked = []

    def library() -> str:
        asked.append("again")
        return "js " * 50

    def of_a_new_process():
        pictures.drawing_library.cache_clear()
        return pictures.drawing_library()

    monkeypatch.setattr(pictures, "renderer", lambda: SimpleNamespace(drawing_library=library))
    monkeypatch.setattr(pictures, "KEPT", tmp_path / "kept")
    wanted = packed("js " * 50)
    assert [of_a_new_process(), of_a_new_process()] == [wanted, wanted] and len(asked) == 1
    (kept,) = (tmp_path / "kept").iterdir()
    whole = kept.read_text()
    for damaged in (whole[:-1], whole.replace(whole[-3], "x" if whole[-3] != "x" else "y"), "", "a b c", "\u00e9 1 2"):
        kept.write_text(damaged, encoding="utf-8")
        assert of_a_new_process() == wanted and kept.read_text() == whole
    assert len(asked) == 6
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(pictures, "KEPT", tmp_path / "file")
    assert of_a_new_process() == wanted
    pictures.drawing_library.cache_clear()


def test_a_lean_picture_has_tenths_of_pixels_in_its_shapes_and_every_other_number_as_it_was():
    svg = '<svg><path d="M1.25,2.0499L3.999,4.5" transform="translate(0.96,10.04)"/><text x="1.234">1.234 d="1.234"</text></svg>'
    assert lean(svg) == (
        '<svg><path d="M1.2,2L4,4.5" transform="translate(1,10)"/><text x="1.234">1.234 d="1.234"</text></svg>'
    )


def test_a_name_from_the_data_is_drawn_as_it_is_though_it_reads_like_an_attribute():
    name = 'x > y d="1.255" id="q" role="img" url(#a)'
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json", "data": {"values": [{"a": name, "b": 1}]}, "mark": "bar",
        "encoding": {"y": {"field": "a", "type": "nominal", "axis": {"labelLimit": 999}}, "x": {"field": "b", "type": "quantitative"}},
    }  # fmt: skip
    one = Renderer()
    drawn = one.picture(spec).svg
    one.close()
    assert f">{name.replace('>', '&gt;')}<" in drawn and f">{name.replace('>', '&gt;')}<" in lean(drawn)


def test_a_lean_picture_lacks_what_svg_has_anyway_and_keeps_the_words_between_its_tags():
    unsaid = (
        'aria-label="x" aria-hidden="true" role="img" class="mark" pointer-events="none" opacity="1" stroke-width="1"'
    )
    unsaid += ' stroke-miterlimit="10" font-family="sans-serif" font-size="12px" text-anchor="start"'
    assert lean(f'<svg {unsaid} opacity="0.5"><text> role="img" </text></svg>') == (
        '<svg opacity="0.5"><text> role="img" </text></svg>'
    )


def test_names_within_a_picture_are_its_own_and_what_refers_to_them_follows():
    svg = '<svg><linearGradient id="gradient_0"/><rect fill="url(#gradient_0)"/><g id="0"/></svg>'
    found, other = lean(svg), lean(svg.replace("<g", "<a"))
    own = re.search(r'id="(p[0-9a-f]{6}-)gradient_0"', found)[1]
    assert f'fill="url(#{own}gradient_0)"' in found and 'id="0"' in found
    assert own not in other, "two pictures of one page"


def test_paint_that_is_said_often_is_said_once_and_the_colour_of_text_is_the_pages():
    paint = ' fill="#5c636d" stroke="#123456" stroke-width="2"'
    saved = len(paint) - 16
    times = 150 // saved + 1
    often = lean("<svg>" + f"<path{paint}/>" * times + "</svg>")
    name = re.match(
        r"<style>\.(k[0-9a-f]{6})\{fill:var\(--quiet\);stroke:#123456;stroke-width:2\}</style><svg>", often
    )[1]
    assert often.endswith("<svg>" + f'<path class="{name}"/>' * times + "</svg>")
    seldom = "<svg>" + f"<path{paint}/>" * (times - 1) + "</svg>"
    assert lean(seldom) == seldom
    two = ' fill="#5c636d" stroke="#123456" stroke-width="2" d="M0,0" fill-opacity="0.25" stroke-opacity="0.25"'
    apart = lean("<svg>" + f"<path{two}/>" * 20 + "</svg>")
    assert apart.endswith(f'<path class="{name}" d="M0,0" fill-opacity="0.25" stroke-opacity="0.25"/></svg>'), (
        "one class"
    )
    mixed = lean("<svg>" + f"<path{paint}/>" * times + '<rect fill="red"/></svg>')
    assert '<rect fill="red"/>' in mixed and "fill:red" not in mixed


def test_a_message_is_its_length_and_itself_and_what_is_cut_off_is_none():
    stream = io.BytesIO()
    _write(stream, b"one")
    _write(stream, b"")
    _write(stream, b"x" * 300)
    assert stream.getvalue()[:7] == b"\0\0\0\3one"
    stream.seek(0)
    assert [_read(stream) for _ in range(3)] == [b"one", b"", b"x" * 300]
    for cut in (b"", b"\0\0\0", b"\0\0\0\3on"):
        with pytest.raises(EOFError):
            _read(io.BytesIO(cut))
    with pytest.raises(EOFError):
        _read(None)
    with pytest.raises(EOFError):
        _write(None, b"one")
    assert _read(io.BytesIO(b"\0\0\0\3onetwo")) == b"one"


def test_the_drawing_library_is_had_and_sizes_are_told_in_megabytes():
    library = _reply({"library": True})["library"]
    assert "window.vega" in library and len(library) < 700_000, "Vega alone, without its compiler"
    assert [rendering._megabytes(n) for n in (0, 2_049_999, 2_050_001)] == ["0.0 MB", "2.0 MB", "2.1 MB"]


def test_a_reply_is_a_picture_or_one_line_of_what_the_drawing_program_said(monkeypatch):
    assert _reply({"spec": BARS | {"data": {"values": [{"b": 1}]}}})["missing_because"] is None

    def fails(said: str) -> str:
        def drawn(*_, **__):
            raise ValueError(said)

        monkeypatch.setattr("vl_convert.vegalite_to_vega", drawn)
        found = _reply({"spec": {}})
        assert found["svg"] is None
        return found["missing_because"]

    begin = "The drawing program refused it: "
    assert fails("Vega-Lite to SVG conversion failed:\nError: no mark\n  at x") == f"{begin}no mark"
    assert fails("a failed:") == f"{begin}a failed:" and fails("") == f"{begin}ValueError"
    assert fails("y" * 400) == begin + "y" * 300


def test_a_picture_that_would_be_too_large_is_told_with_its_size(monkeypatch):
    for size, wanted in ((2_000_000, None), (2_000_001, "It would be 2.0 MB large; at most 2.0 MB are kept.")):
        svg = "<svg>" + "x" * (size - 11) + "</svg>"
        monkeypatch.setattr("vl_convert.vegalite_to_vega", lambda _: {"marks": []})
        monkeypatch.setattr("vl_convert.vega_to_svg", lambda *_, svg=svg, **__: svg)
        found = {"svg": None, "missing_because": wanted} if wanted else Picture(svg, None, {"marks": []})._asdict()
        assert _reply({"spec": {}}) == found


def test_text_beyond_ascii_is_drawn_again_without_limits_where_it_was_refused(monkeypatch):
    """The program cuts a label between the halves of an emoji and then raises; the config that was given stays."""
    asked = []

    def drawn(spec, **options):
        asked.append((spec, options))
        if len(asked) == 1:
            raise ValueError("cut")
        return "<svg/>"

    monkeypatch.setattr("vl_convert.vegalite_to_vega", json.loads)  # as if what is compiled were as it was said
    monkeypatch.setattr("vl_convert.vega_to_svg", drawn)
    found = rendering._drawn({"title": "é", "config": {"axis": {"grid": False}, "view": {"a": 1}}})
    assert found.svg == "<svg/>" and found.vega == json.loads(asked[1][0])
    config = json.loads(asked[1][0])["config"]
    assert config == {
        "axis": {"grid": False, "labelLimit": 0, "titleLimit": 0}, "view": {"a": 1}, "title": {"limit": 0},
        "legend": {"labelLimit": 0, "titleLimit": 0}, "header": {"labelLimit": 0, "titleLimit": 0},
    }  # fmt: skip
    assert [o for _, o in asked] == [{"allowed_base_urls": []}] * 2
    asked.clear()
    with pytest.raises(ValueError, match="cut"):
        rendering._drawn({"title": "plain"})
    assert len(asked) == 1


def test_rows_are_counted_wherever_they_stand_in_a_specification():
    row = {"values": [1, 2]}
    assert row_count({"data": row, "layer": [{"data": row}, {"spec": {"data": row}}]}) == 6
    assert row_count({"datasets": {"a": [1, 2, 3], "b": {"no": "list"}}, "data": {"url": "x"}}) == 3
    assert row_count({"datasets": {"a": [1, 2, 3]}, "data": row}) == 5
    assert row_count([{"data": row}, 7, "text", None]) == 2 and row_count({"data": {"values": "text"}}) == 0
    assert row_count({"datasets": {"a": [{"data": row}]}, "data": {"values": [], "data": row}}) == 1


def test_the_drawing_program_of_one_renderer_is_started_once_and_again_after_its_end(monkeypatch):
    one = Renderer(limits=Limits(7, 1234))
    spec = BARS | {"data": {"values": [{"b": 1}]}}
    assert one.picture(spec).svg
    first = one._child
    assert first.args[0] == sys.executable and first.args[-2:] == ["7", "1234"]
    assert one.picture(spec).svg and one._child is first
    one.close()
    assert first.poll() is not None and one._child is None
    assert one.picture(spec).svg and one._child is not first
    one.close()
    one.close()
    assert Renderer()._limits == Limits(20.0, 2000) and rendering.renderer() is rendering.renderer()


def test_a_drawing_program_that_cannot_be_asked_costs_pictures_and_the_library_only(monkeypatch):
    one = Renderer()

    def gone(request):
        raise rendering._NoReply("It is gone.")

    monkeypatch.setattr(one, "_asked", gone)
    assert one.picture(BARS) == Picture(None, "It is gone.") and one.drawing_library() is None
    monkeypatch.setattr(one, "_asked", {b'{"library": true}': {"library": "js"}}.get)
    assert one.drawing_library() == "js"


def test_a_page_of_a_run_is_a_file_with_its_title_state_reason_run_and_last_good_page(tmp_path):
    run = {"run_id": "weekly-7", "started_at": "2026-01-05T06:00:00", "inputs": {}}
    cells = [
        new_markdown_cell("# Own"),
        new_code_cell("x", outputs=[new_output("stream", text="é🎉")], execution_count=1),
    ]
    for status, mark in (("failed", "This page failed"), ("refused", "These data cannot answer")):
        path = tmp_path / f"{status}.html"
        publish_notebook(
            new_notebook(cells=cells), html_path=path, title="The title", status=status, reason="the reason", context=run, last_good="../r0/x.html"
        )  # fmt: skip
        page = path.read_bytes().decode("utf-8")
        for part in (
            "<h1>The title</h1>",
            mark,
            "The reason.",
            "Run weekly-7, 2026-01-05 06:00 UTC.",
            'href="../r0/x.html"',
            "é🎉",
        ):
            assert part in page, part
