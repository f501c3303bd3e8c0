"""Text from the data as it is shown. Expected values are by hand; what is a character is Unicode's annex 29."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from wcwidth import iter_graphemes

from launchpad_lib.contract.legible import isolated, shortened, visible

ANY_TEXT = st.text(st.characters(codec=None), max_size=400)


@given(ANY_TEXT)
def test_what_is_visible_can_be_written_and_holds_no_character_that_xml_lacks(text):
    shown = visible(text)
    shown.encode("utf-8")
    # XML 1.0, production 2, less the controls that it allows and HTML does not.
    allowed = [c in "\t\n" or "\x20" <= c <= "\x7e" or "\xa0" <= c <= "\ufffd" or c >= "\U00010000" for c in shown]
    assert all(allowed)
    assert visible(shown) == shown


@given(ANY_TEXT)
def test_plain_text_is_left_as_it_is(text):
    plain = "".join(c for c in text if unicodedata.category(c)[0] != "C")
    assert visible(plain) == plain


def test_controls_of_writing_direction_are_written_out_unless_they_end_where_they_began():
    assert visible("\u202egnp.exe") == "\\u202egnp.exe"
    assert visible("\u2066a") == "\\u2066a"
    assert visible("\u2068a\u202eb\u2069") == "\u2068a\\u202eb\u2069"
    assert visible("\u2069a\u2068") == "\\u2069a\\u2068"


def test_a_name_in_a_sentence_cannot_leave_its_isolation():
    assert isolated("quiz_started") == "quiz_started"
    assert isolated("שלום") == "\u2068שלום\u2069"
    assert isolated("שלום\u2069 9") == "\u2068שלום\\u2069 9\u2069"


@given(st.text(st.sampled_from("ab \u0301\u200d\U0001f1e9\U0001f1ea\U0001f469\U0001f4bb\ud83d\x00"), max_size=200))
def test_a_short_form_holds_whole_characters_of_the_name_and_both_of_its_ends(text):
    line = " ".join(visible(text).split())
    short = shortened(text)
    if short != line:
        head, _, tail = short.partition("…")
        whole = list(iter_graphemes(line))
        starts = {"".join(whole[:n]) for n in range(len(whole) + 1)}
        ends = {"".join(whole[n:]) for n in range(len(whole) + 1)}
        assert head in starts and tail in ends


def test_a_long_name_keeps_both_ends_and_one_line():
    assert shortened("a" * 40 + "z" * 40) == "a" * 16 + "…" + "z" * 16
    assert shortened("a\n\tb") == "a b"
    assert shortened("x" * 34) == "x" * 34
    assert len(shortened("e" + "\u0301" * 5000)) < 200


ACUTE = "\u0301"


def test_of_hundreds_of_marks_piled_upon_one_letter_a_short_form_keeps_four_and_no_language_loses_one():
    assert shortened(f"e{ACUTE * 300}nd") == f"e{ACUTE * 4}nd"
    for word in ("ệ", "שָׁלוֹם", "กี่", "हिन्दी", "👨‍👩‍👧‍👦", "1️⃣"):  # Vietnamese in parts, Hebrew points, Thai, Hindi, emoji
        assert shortened(unicodedata.normalize("NFD", word)) == unicodedata.normalize("NFD", word)
