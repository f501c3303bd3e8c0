"""A real Chromium without a network, one per module: its event loop must not run on under other tests.

Without one, these tests are skipped; LAUNCHPAD_REQUIRE_ALL=1 makes that a failure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.chromium import chromium_path, launched


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    if chromium_path() is None:
        if os.environ.get("LAUNCHPAD_REQUIRE_ALL"):
            pytest.fail("no Chromium: run scripts/chromium.sh")
        pytest.skip("no Chromium on this machine: run scripts/chromium.sh")
    with launched() as chromium:
        yield chromium
