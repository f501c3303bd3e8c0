"""The distribution's Chromium (scripts/chromium.sh installs it), one process that asks nobody for anything by itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium_path() -> str | None:
    """The program: LAUNCHPAD_CHROMIUM, else the first there is; None where there is none."""
    return next((p for p in map(shutil.which, (os.environ.get("LAUNCHPAD_CHROMIUM", ""), *NAMES)) if p), None)


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser for as long as the block runs."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(FLAGS))
        yield browser
        browser.close()
