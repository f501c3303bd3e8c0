"""All pages of the weekly run in one file: opened offline in Chromium, walked through by its links."""

from __future__ import annotations

from launchpad_lib.cli.main import main
from tests.browser.test_pages import opened
from tests.browser.test_pages import report as report

SHOWN = "[...document.querySelectorAll('.page')].filter(p => getComputedStyle(p).display !== 'none').map(p => p.id)"
HERE = "document.querySelector('.pages [aria-current]').getAttribute('href')"
TWICE = "[...document.querySelectorAll('[id]')].map(e => e.id).filter((id, k, all) => all.indexOf(id) !== k)"
LOST = """[...document.querySelectorAll('a[href]')].map(a => a.getAttribute('href')).filter(
  (href) => !/^(https?:|mailto:|blob:)/.test(href) && !(href[0] === "#" && document.getElementById(href.slice(1))))"""


def test_all_pages_in_one_file_are_read_by_its_links_offline_without_a_complaint(browser, report, tmp_path, capsys):
    path = tmp_path / "one.html"
    assert main(["single-file", str(report), "--to", str(path)]) == 0 and capsys.readouterr().out.strip() == str(path)
    assert path.stat().st_size < 3_000_000
    page, asked, complaints = opened(browser, path)
    assert page.evaluate(SHOWN) == ["page-index"] and page.evaluate(TWICE) == page.evaluate(LOST) == []
    page.locator(".pages a", has_text="Funnels").click()
    page.wait_for_selector("#page-funnels figure.drawn")
    assert page.evaluate(SHOWN) == ["page-funnels"] and page.evaluate(HERE) == "#page-funnels"
    assert not page.locator("#page-latency_trends figure.drawn").count()
    page.locator(".pages a", has_text="Summary").click()
    page.locator(".todo > li > a").first.click()
    page.wait_for_function(f"({SHOWN})[0] !== 'page-index'")
    assert len(page.evaluate(SHOWN)) == 1 and page.evaluate("document.querySelector(':target').id").count("--") == 1
    page.go_back()
    page.wait_for_function(f"({SHOWN})[0] === 'page-index'")
    page.emulate_media(media="print")
    assert page.evaluate(SHOWN) == ["page-index"]
    assert (asked, complaints) == ([], [])
    page.context.close()
    page, _, _ = opened(browser, path, scripts=False)
    page.locator(".pages a", has_text="Cohorts").click()
    assert page.evaluate(SHOWN) == ["page-cohorts"] and page.locator("#page-cohorts .picture svg").first.is_visible()
    page.context.close()
