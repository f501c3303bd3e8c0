"""The notebooks as live pages: a real app, a real Chromium, a small product whose log has hostile names."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.browser.test_accessible import CHECKED
from tests.browser.test_accessible import axe as axe
from tests.live_app import LONG, live_app

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(p.stem for p in (ROOT / "notebooks").glob("*.ipynb"))
APART = ["cohorts", "experiment_design", "experiments", "latency_trends", "scorecard"]
"""Those that differ most; the other tests here open engagement, funnels and data_quality."""
HOSTILE = "<img src=x onerror=\"document.title='hit'\">\u202e'\"</option><script>document.title='hit'</script>"
WHOLE = "#live[data-state=whole]"


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """Forty simulated users of six days, and one event whose name is HTML."""
    book = tmp_path_factory.mktemp("book")
    shutil.copytree(ROOT / "notebooks", book / "notebooks")
    (book / "params").mkdir()
    row = {"user_id": "u1", "event_name": HOSTILE, "event_at": "2026-01-03T10:00:00Z", "properties": {HOSTILE: HOSTILE}}
    (book / "hostile.jsonl").write_text("".join(json.dumps(row | {"user_id": f"u{i}"}) + "\n" for i in range(40)))
    text = (ROOT / "params" / "weekly.yaml").read_text()
    text = re.sub(r"simulate: .*", "simulate: {seed: 1, users: 40, days: 6}", text)
    text = text.replace("sources:\n", "sources:\n  - {table: events, path: hostile.jsonl}\n", 1)
    (book / "params" / "live.yaml").write_text(text)
    command = [sys.executable, "-m", "launchpad_lib.cli.main", "ingest", "params/live.yaml"]
    subprocess.run(command, cwd=book, check=True, capture_output=True)
    with live_app("--params", "params/live.yaml", cwd=book) as address:
        yield address


@pytest.fixture
def page(browser, app):
    """A page that tells what went wrong on it, and what it asked of others."""
    context = browser.new_context()
    opened = context.new_page()
    opened.set_default_timeout(LONG * 1000)
    opened.wrong, asked = [], []
    opened.on("console", lambda m: m.type in ("error", "warning") and opened.wrong.append(m.text))
    opened.on("pageerror", lambda e: opened.wrong.append(str(e)))
    opened.on("request", lambda r: asked.append(r.url))
    yield opened
    assert opened.wrong == []
    assert [url for url in asked if not url.startswith((app, app.replace("http", "ws", 1), "blob:"))] == []
    context.close()


def is_whole(page):
    """Waits until it is computed; nothing on it has failed, and it begins with its answer."""
    page.wait_for_selector(WHOLE)
    assert page.locator(".stopped, .failed").all_inner_texts() == []
    assert not [said for said in page.locator(".instead").all_inner_texts() if "drawing program" in said]
    assert page.locator("main .verdict, main .refusal").count() >= 1
    assert page.title() == page.locator("main h1").inner_text() != ""


@pytest.mark.parametrize("name", APART)
def test_a_page_opens_without_an_error(page, app, name):
    page.goto(f"{app}{name}.html")
    is_whole(page)


def test_a_control_changes_the_chart_and_the_address_which_asks_the_same_again(page, app):
    page.goto(f"{app}engagement.html")
    is_whole(page)
    picture = "() => document.querySelector('figure.chart svg').outerHTML"
    before = page.evaluate(picture)
    page.select_option("#control-feature_id", label="search")
    page.wait_for_function(f"before => ({picture})() !== before", arg=before)
    page.wait_for_selector(WHOLE)
    assert page.url == f"{app}engagement.html?feature_id=search"
    changed = page.evaluate(picture)
    page.reload()
    page.wait_for_selector(WHOLE)
    assert page.evaluate(picture) == changed
    assert page.locator("#control-feature_id option:checked").inner_text() == "search"
    assert not page.locator("main pre.code").first.is_visible()
    page.locator("#show_code").focus()
    page.keyboard.press("Space")
    assert page.locator("main pre.code").first.is_visible()
    assert 'feature_id = "search"' in page.locator("main pre.code").first.inner_text()
    with page.expect_download() as got:
        page.click("#download")
    saved = Path(got.value.path()).read_text(encoding="utf-8")
    assert saved.startswith("<!doctype html>") and page.locator("main h1").inner_text() in saved
    page.click("#reset")
    page.wait_for_function(f"before => ({picture})() === before", arg=before)
    assert page.url == f"{app}engagement.html"


def test_a_hostile_name_in_a_picker_is_text_that_can_be_asked(page, app):
    page.goto(f"{app}funnels.html")
    is_whole(page)
    options = page.locator("#control-steps-more option").evaluate_all("all => all.map(o => o.title || o.textContent)")
    assert HOSTILE in options
    page.select_option("#control-steps-more", index=options.index(HOSTILE))
    page.wait_for_function("() => document.querySelectorAll('#control-steps .row').length === 6")
    page.wait_for_selector(WHOLE)
    assert "hit" not in page.title() and page.locator("main img, main script").count() == 0
    assert page.locator("#control-steps .row").count() == 6
    page.reload()
    page.wait_for_selector(WHOLE)
    assert page.locator("#control-steps .row").count() == 6
    assert "hit" not in page.title()


def test_an_address_that_asks_for_nonsense_is_told_so_in_one_sentence(page, app):
    page.goto(f"{app}funnels.html?breakdown={quote(HOSTILE[:60])}")
    page.wait_for_selector("#fault:not([hidden])")
    assert "funnels.breakdown: no property " in page.locator("#fault").inner_text()
    assert page.locator("main figure").count() == 0 and "hit" not in page.title()


def test_the_landing_page_lists_the_apps_where_there_is_no_run(page, app):
    page.goto(app)
    assert page.locator("main a").count() == len(NOTEBOOKS)
    page.locator("main a", has_text="Data quality").click()
    is_whole(page)


def test_a_live_page_violates_no_rule_of_axe_core_in_light_or_dark(page, app, axe):
    page.goto(f"{app}incidents.html")
    is_whole(page)
    page.evaluate(axe)
    assert page.evaluate(CHECKED, None) == []
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(CHECKED, ["color-contrast"]) == []
