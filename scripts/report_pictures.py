"""The pictures of the README, of a weekly run: `python scripts/report_pictures.py reports/RUN` writes docs/images/report.png and phone.png."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.chromium import launched  # noqa: E402

IMAGES = ROOT / "docs" / "images"
PICTURES = (("index.html", "report.png", 1180, 860), ("index.html", "phone.png", 375, 740))


def main() -> int:
    """Opens each page in Chromium, by day, and keeps what the first screen shows."""
    report = Path(sys.argv[1]).resolve()
    with launched() as chromium:
        for page_name, picture, width, height in PICTURES:
            page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme="light")
            page.goto((report / page_name).as_uri())
            if page.locator("figure.chart").count():
                page.wait_for_selector("html[data-drawn=yes]", state="attached")
            page.screenshot(path=IMAGES / picture)
            print(f"{picture}: {(IMAGES / picture).stat().st_size / 1000:.0f} KB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
