"""How long a live page takes to its first chart, and a control to a new one, in Chromium:
`python tests/bench/live_app.py PARAMS [rounds]`.

Milliseconds of the wall from the page's first request, or from the change of a control, until the chart is in the page;
beside them the seconds of computing of the page's kernel and its drawing program, which hang less on what else the
machine does. Medians of the rounds; a busy machine shows in the least and the most.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.chromium import launched  # noqa: E402
from tests.live_app import live_app  # noqa: E402

CONTROLS = {
    "funnels": ("entry", ["first", "any"]),
    "engagement": ("activity_days", ["7", "14"]),
    "cohorts": ("lifecycle_period", ["week", "day"]),
    "latency_trends": ("window_days", ["5", "7"]),
}
WHOLE = "#live[data-state=whole]"


def computed(app: int) -> float:
    """Seconds of computing of everything that the app started."""
    total = 0.0
    for one in psutil.Process(app).children(recursive=True):
        try:
            times = one.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
    return total


def measured(chromium, address: str, name: str, rounds: int) -> dict:
    """One page: its first chart with a warm kernel, then its control changed again and again."""
    app = next(p.pid for p in psutil.Process().children() if "app" in p.cmdline())
    firsts, changes, seconds = [], [], []
    for number in range(rounds):
        time.sleep(8)  # the next kernel gets warm
        page = chromium.new_page()
        page.set_default_timeout(300_000)
        page.goto(f"{address}{name}.html")
        page.wait_for_selector(WHOLE)
        firsts.append(page.evaluate("performance.getEntriesByName('first')[0].startTime"))
        if number == 0:
            control, values = CONTROLS[name]
            for value in values * rounds:
                before = computed(app)
                page.evaluate("performance.clearMarks()")
                page.evaluate(
                    """([id, value]) => {
                      const control = document.getElementById(id);
                      if (control.tagName === "SELECT")
                        control.value = [...control.options].find((o) => o.textContent.replaceAll(" ", "_") === value).value;
                      else control.value = value;
                      performance.mark("changed");
                      control.dispatchEvent(new Event("change"));
                    }""",
                    [f"control-{control}", value],
                )
                page.wait_for_function("() => performance.getEntriesByName('first').length")
                seconds.append(computed(app) - before)
                at = "performance.getEntriesByName('{}')[0].startTime"
                changes.append(page.evaluate(f"{at.format('first')} - {at.format('changed')}"))
                page.wait_for_selector(WHOLE)
        page.close()
    return {
        "page": name,
        "first_chart_ms": round(statistics.median(firsts)),
        "first_chart_least_ms": round(min(firsts)),
        "control_to_chart_ms": round(statistics.median(changes)),
        "control_least_ms": round(min(changes)),
        "control_most_ms": round(max(changes)),
        "control_computing_s": round(statistics.median(seconds), 2),
    }


def main() -> int:
    """Prints a line per page."""
    params, rounds = str(Path(sys.argv[1]).resolve()), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with live_app("--params", params, cwd=ROOT) as address, launched() as chromium:
        for name in CONTROLS:
            print(json.dumps(measured(chromium, address, name, rounds)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
