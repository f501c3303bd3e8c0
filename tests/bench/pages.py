"""How long each page of a report takes to be read and drawn in Chromium, offline: `python tests/bench/pages.py reports/RUN [rounds]`."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.chromium import launched  # noqa: E402


def main() -> int:
    """Prints, per page, kilobytes and the median milliseconds to first paint and to the last chart drawn."""
    report, rounds = Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with launched() as chromium:
        for path in sorted(report.glob("*.html")):
            painted, drawn = [], []
            for _ in range(rounds):
                context = chromium.new_context()
                context.set_offline(True)
                page = context.new_page()
                page.goto(path.as_uri())
                if page.locator("figure.chart").count():
                    page.wait_for_selector("html[data-drawn=yes]", state="attached")
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
    return 0


if __name__ == "__main__":
    sys.exit(main())
