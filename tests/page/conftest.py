"""What several tests of pages need."""

from __future__ import annotations

import pytest

from launchpad_lib.page import output


@pytest.fixture
def shown(monkeypatch) -> list[dict]:
    """Everything that was displayed, in order."""
    found: list[dict] = []

    def display(data, raw):
        assert raw is True
        found.append(data)

    monkeypatch.setattr(output, "display", display)
    return found
