"""The end of every log made by hand."""

from __future__ import annotations

from datetime import datetime

import pytest


@pytest.fixture
def through() -> datetime:
    """The end of the data: Monday 2 February 2026, four weeks later."""
    return datetime(2026, 2, 2)
