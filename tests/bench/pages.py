"""How long each page of a report takes to be read and drawn in Chromium, offline: `python tests/bench/pages.py reports/RUN [rounds]`."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def main() -> int:
    """Prints, per page, kilobytes and the median milliseconds to first paint and to the last chart drawn."""
    report, rounds = Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for path in sorted(report.glob("*.html")):
            painted, drawn = [], []
            for _ in range(rounds):
                context = chromium.new_context()
                context.set_offline(True)
                page = context.new_page()
                page.goto(path.as_uri())
                if page.locator("figure.chart").count():
                    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'")
                    drawn.append(page.evaluate("performance.getEntriesByName('drawn')[0]?.startTime ?? null"))
                paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null")
                painted.append(paint or float("nan"))
                context.close()
            row = {
                "page": path.name,
                "kilobytes": round(path.stat().st_size / 1000),
                "first_paint_ms": round(statistics.median(painted)),
            }
            print(json.dumps(row | {"drawn_ms": round(statistics.median(drawn)) if drawn else None}))
        chromium.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
