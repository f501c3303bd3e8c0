"""A real Chromium without a network, one per module: its event loop must not run on under other tests.

Without one, these tests are skipped; LAUNCHPAD_REQUIRE_ALL=1 makes that a failure.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    path = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    if path is None:
        if os.environ.get("LAUNCHPAD_REQUIRE_ALL"):
            pytest.fail("no Chromium: run scripts/chromium.sh")
        pytest.skip("no Chromium on this machine: run scripts/chromium.sh")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()
