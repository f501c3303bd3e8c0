"""The weekly report's pages as a reader opens them: from a file, in Chromium, with the network off."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1200, "height": 900}


@pytest.fixture(scope="session")
def report(tmp_path_factory) -> Path:
    """One real weekly run; LAUNCHPAD_REPORT names an existing run's folder instead."""
    if os.environ.get("LAUNCHPAD_REPORT"):
        return Path(os.environ["LAUNCHPAD_REPORT"]).resolve()
    folder = tmp_path_factory.mktemp("weekly")
    params = yaml.safe_load((ROOT / "params" / "weekly.yaml").read_text()) | {"reports": str(folder)}
    (folder / "weekly.yaml").write_text(yaml.safe_dump(params))
    command = [
        sys.executable,
        "-m",
        "launchpad_lib.cli.main",
        "report",
        str(folder / "weekly.yaml"),
        "--run-id",
        "weekly-seen",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "weekly-seen"


def pages(report: Path) -> list[Path]:
    return sorted(report.glob("*.html"))


def opened(browser, path: Path, *, scripts: bool = True, viewport: dict = DESKTOP, **options):
    """The page and every request that left it for another place than the file itself."""
    context = browser.new_context(viewport=viewport, java_script_enabled=scripts, **options)
    context.set_offline(True)
    page = context.new_page()
    asked, complaints = [], []
    page.on("request", lambda r: asked.append(r.url) if not r.url.startswith(("file:", "blob:", "data:")) else None)
    page.on("console", lambda m: complaints.append(m.text))
    page.on("pageerror", lambda e: complaints.append(str(e)))
    page.goto(path.as_uri())
    if scripts and page.locator("figure.chart").count():
        page.wait_for_selector("html[data-drawn=yes]", state="attached", timeout=120_000)
    return page, asked, complaints


def test_every_page_draws_without_a_single_request_or_complaint_and_is_under_450_kb(browser, report):
    assert len(pages(report)) >= 8
    for path in pages(report):
        page, asked, complaints = opened(browser, path)
        assert (asked, complaints) == ([], []), path.name
        assert path.stat().st_size < 450_000, path.name
        page.context.close()


STRANGERS = """<script>window.owned = 'inline'</script>
<img src="data:image/png;base64,AAAA" onerror="window.owned = 'handler'">
<script src="data:text/javascript,window.owned='data'"></script>
<script src="https://example.org/owned.js"></script>
<iframe srcdoc="<script>parent.owned = 'frame'</script>"></iframe>
<base href="https://example.org/"><form action="https://example.org/"><input name="q"><button id="send">send</button></form>
<a id="js" href="javascript:window.owned='link'">link</a>"""


def test_a_script_that_gets_into_a_page_does_not_run_and_nothing_leaves_it(browser, report, tmp_path):
    """The policy by itself: what stands in the page here would never get past the exporter."""
    for path in [report / "funnels.html", report / "index.html"]:
        text = path.read_text(encoding="utf-8")
        policy = text.split('Content-Security-Policy" content="')[1].split('"')[0]
        assert "unsafe-eval" not in policy and "script-src" not in policy.replace("script-src &#39;sha256-", "")
        (tmp_path / path.name).write_text(text.replace("</main>", f"{STRANGERS}</main>", 1), encoding="utf-8")
        page, asked, complaints = opened(browser, tmp_path / path.name)
        page.evaluate("for (const name of ['js', 'send']) document.getElementById(name).click()")
        page.wait_for_timeout(200)
        assert page.evaluate("window.owned") is None and page.url == (tmp_path / path.name).as_uri()
        stopped = [c for c in complaints if "Content Security Policy" in c]
        assert len(stopped) >= 6 and all(any(url in c for c in stopped) for url in asked), (asked, complaints)
        page.context.close()


def test_charts_are_interactive_and_pictures_without_scripts(browser, report):
    page, _, _ = opened(browser, report / "funnels.html")
    assert page.locator("figure.chart .live svg").first.is_visible()
    assert not page.locator("figure.chart .picture svg").first.is_visible()
    page.context.close()
    page, _, _ = opened(browser, report / "funnels.html", scripts=False)
    assert page.locator("figure.chart .picture svg").first.is_visible()
    page.context.close()


def test_no_page_is_wider_than_a_phone(browser, report):
    for path in pages(report):
        page, _, _ = opened(browser, path, viewport=PHONE)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path.name
        page.context.close()


def test_the_answer_is_the_first_thing_after_the_title(browser, report):
    page, _, _ = opened(browser, report / "engagement.html")
    assert page.locator("main > *").nth(1).get_attribute("class") == "answer"
    page.context.close()


def test_the_first_chart_stands_within_the_first_screen(browser, report):
    """500 pixels down on a desktop, 700 on a phone; the scorecard's table is its own picture."""
    for path in [path for path in pages(report) if path.stem != "index"]:
        for viewport, most in (({"width": 1280, "height": 900}, 500), ({"width": 390, "height": 844}, 700)):
            page, _, _ = opened(browser, path, viewport=viewport)
            lead = "main table" if path.stem == "scorecard" else "figure.chart"
            top = page.locator(lead).first.bounding_box()["y"]
            assert top < most, (path.name, viewport)
            page.context.close()


def test_code_is_hidden_behind_one_toggle_that_works_by_keyboard_and_without_scripts(browser, report):
    page, _, _ = opened(browser, report / "funnels.html", scripts=False)
    assert not page.locator("pre.code").first.is_visible()
    page.locator("#show_code").focus()
    page.keyboard.press("Space")
    assert page.locator("pre.code").first.is_visible()
    page.context.close()


def test_text_of_charts_is_light_on_a_dark_page(browser, report):
    page, _, _ = opened(browser, report / "funnels.html", color_scheme="dark")
    colour = page.evaluate(
        "getComputedStyle(document.querySelector('.live svg .role-title-text text, .live svg text')).fill"
    )
    red = int(colour.removeprefix("rgb(").split(",")[0])
    assert red > 130, colour
    page.context.close()


def test_pointing_at_a_bar_tells_its_values(browser, report):
    page, _, _ = opened(browser, report / "funnels.html")
    page.locator("figure.chart .live svg .mark-rect path").first.hover(force=True)
    page.wait_for_selector("#page_tip:not([hidden])")
    # Everyone who enters has reached the first step.
    assert page.locator("#page_tip").inner_text() == (
        "step\tquiz_started\nShare of mature entrants\t100.0%\nlower limit\t99.1%\nupper limit\t100.0%"
    )
    page.context.close()


def test_no_name_inside_a_page_is_used_twice_so_every_colour_scale_is_drawn(browser, report):
    """A gradient is found by its id; the first of two may lie in a picture that is not shown."""
    for path in pages(report):
        page, _, _ = opened(browser, path)
        assert (
            page.evaluate(
                "[...document.querySelectorAll('[id]')].map(e => e.id).filter((id, place, all) => all.indexOf(id) !== place)"
            )
            == []
        ), path.name
        page.context.close()


def test_no_table_is_wider_than_the_paper(browser, report):
    """A4 less two margins of 1 cm is 718 pixels wide."""
    for path in pages(report):
        page, _, _ = opened(browser, path, viewport={"width": 718, "height": 1000})
        page.emulate_media(media="print")
        assert page.evaluate("document.documentElement.scrollWidth") <= 718, path.name
        page.context.close()
