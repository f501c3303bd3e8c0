"""What the address of a live page may ask, and the sentence where it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from launchpad_lib.app.asking import Asking
from launchpad_lib.runner.parameters import ParameterError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def funnels(tmp_path):
    return Asking("funnels", notebooks=ROOT / "notebooks", run=None, root=tmp_path)


@pytest.mark.parametrize(
    "query, sentence",
    [
        ("window=__import__('os').system('x')", "must be a whole number above 0 with a unit"),
        ("lake=/etc", "funnels: lake cannot be asked here; give it in the params file"),
        ("windw=7d", "funnels: unknown parameter 'windw'; did you mean 'window'?"),
        ("window=1d&window=2d", "'window' stands twice in the address; keep one"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(funnels, query, sentence):
    with pytest.raises(ParameterError) as told:
        funnels.values(funnels.from_address(query))
    assert sentence in str(told.value) and "\n" not in str(told.value)


def test_an_address_asks_json_or_a_bare_text_as_the_parameter_takes_it(funnels):
    assert funnels.from_address('?window=3d&steps=["a","1"]&breakdown=12') == {
        "window": "3d", "steps": ["a", "1"], "breakdown": "12",
    }  # fmt: skip
