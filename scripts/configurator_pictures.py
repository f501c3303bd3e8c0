"""Takes the pictures of the configurator in docs/images: a real collector, a real Chromium (scripts/chromium.sh). python scripts/configurator_pictures.py [folder]"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.chromium import launched  # noqa: E402
from tests.collecting import running  # noqa: E402

PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 800}


def main() -> int:
    """One visit per picture set: phone by day going offline, desktop by day, desktop by night."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/images"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as spool, running(Path(spool)) as collector, launched() as browser:
        for name, viewport, scheme in (
            ("phone", PHONE, "light"),
            ("desktop", DESKTOP, "light"),
            ("night", DESKTOP, "dark"),
        ):
            context = browser.new_context(viewport=viewport, color_scheme=scheme)
            page = context.new_page()

            def picture(part: str, page=page, name=name) -> None:
                page.wait_for_timeout(700)
                page.screenshot(path=folder / f"configurator-{name}-{part}.png")

            page.goto(collector.url)
            picture("start")
            page.click("#grant")
            page.click("#start")
            page.locator("label:has(input[value=create])").click()
            picture("use")
            page.click("#next")
            page.locator("label:has(input[value=fast])").click()
            page.click("#next")
            context.set_offline(name == "phone")
            page.fill("#budget", "2600")
            picture("offline" if name == "phone" else "budget")
            context.set_offline(False)
            page.click("#next")
            page.fill("#screen", "16")
            page.locator("label:has(input[value=pen])").click()
            page.click("#next")
            if name == "phone":
                page.get_by_text("Everything is sent").wait_for()
            picture("result")
            context.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
