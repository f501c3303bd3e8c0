"""The index of all runs, opened from a file in Chromium: filter, course of a number, two runs side by side."""

from __future__ import annotations

import json
from pathlib import Path

from launchpad_lib.runner.indexes import publish_run_index
from tests.browser.test_pages import PHONE, opened
from tests.manifests import WHOLE

HOSTILE = "</script><img src=x onerror=alert(1)>"


def number(name: str, value: float | None, **more) -> dict:
    return {
        "notebook": "funnels", "name": name, "label": f"Rate {HOSTILE}", "value": value, "ci_low": None if value is None else value - 0.1,
        "ci_high": None if value is None else value + 0.1, "n": 40, "unit": "fraction", "segment": None, "higher_is_better": True,
        "definition": "d", "refused_because": None if value is not None else "too few", "status": "ok" if value is not None else "refused",
    } | more  # fmt: skip


def runs(reports: Path) -> Path:
    """Four runs by hand: ok, failed, refused, and one that cannot be read; the first asked for another window."""
    page = {"name": "funnels", "title": "F", "seconds": 1.0, "html": "funnels.html"}
    said = [
        ("ok", 0.25, "1d", None),
        ("failed", 0.5, "2d", f"ValueError: {HOSTILE}"),
        ("refused", None, "2d", "too few"),
    ]
    for day, (status, value, window, reason) in enumerate(said, 1):
        told = WHOLE | {
            "run_id": f"w-{day}", "started_at": f"2026-01-0{day}T06:00:00+00:00", "status": status, "verdict": f"Verdict {day}.",
            "params": {"name": "w", "window": window, "same": HOSTILE}, "metrics": [number("m", value), number("other", 0.75)],
            "notebooks": [page | {"status": status, "reason": reason}],
        }  # fmt: skip
        (reports / f"w-{day}").mkdir()
        (reports / f"w-{day}" / "manifest.json").write_text(json.dumps(told))
    (reports / "broken").mkdir()
    (reports / "broken" / "manifest.json").write_text("{")
    publish_run_index(reports)
    return reports / "index.html"


def rows_of(page, place: str) -> list[list[str]]:
    return page.locator(f"{place} tbody tr").evaluate_all("r => r.map(t => [...t.cells].map(c => c.textContent))")


def test_runs_are_filtered_compared_and_followed_without_a_server(browser, tmp_path):
    page, asked, complaints = opened(browser, runs(tmp_path))
    page.wait_for_selector("html[data-ready=yes]", state="attached")
    assert page.locator("tr[data-run]").count() == 4 and "unreadable manifest" in page.inner_text("main")
    assert f"funnels failed: ValueError: {HOSTILE}" in page.inner_text("main")
    page.fill("#filter", "FUNNELS 2026-01-0")
    page.select_option("#status", "failed")
    assert page.locator("tr[data-run]:not([hidden]) th").all_inner_texts() == ["w-2"]
    assert page.inner_text("#count") == "1 of 4 runs"
    page.select_option("#status", "")
    page.fill("#filter", "")
    page.check("input[data-pick=w-1]")
    assert "Choose two runs" in page.inner_text("#compared")
    page.check("input[data-pick=w-3]")
    assert "1 numbers are the same, 1 differ; 1 parameters differ" in page.inner_text("#compared")
    label = f"funnels: Rate {HOSTILE}"
    assert rows_of(page, "#compared") == [
        ["window", "1d", "2d"],
        [label, "25.0 % (15.0 to 35.0 %)", "refused: too few"],
    ]
    page.locator("#history > summary").click()
    page.wait_for_selector("#course svg")
    told = page.get_attribute("#course svg", "aria-label")
    assert told == f"Rate {HOSTILE} over 2 runs, from 25.0 % in w-1 to 50.0 % in w-2"
    assert page.locator("#course circle").count() == 2 and page.locator("#course .ci").count() == 2
    assert [row[2] for row in rows_of(page, "#course")] == (
        ["refused: too few", "50.0 % (40.0 to 60.0 %)", "25.0 % (15.0 to 35.0 %)"]
    )
    assert (asked, complaints) == ([], [])
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.context.close()


def test_without_scripts_every_run_is_listed_and_led_to(browser, tmp_path):
    page, _, _ = opened(browser, runs(tmp_path), scripts=False)
    assert [a.get_attribute("href") for a in page.locator("tr[data-run] th a").all()] == (
        ["w-3/index.html", "w-2/index.html", "w-1/index.html", "broken/index.html"]
    )
    assert not page.locator("#tools").is_visible() and "launchpad diff" in page.inner_text("#compared")
    page.context.close()
