"""Every page of the weekly report and both indexes under axe-core (Deque), in light and in dark, everything unfolded.

The rules are those of WCAG 2.2 A and AA and axe's best practices; axe comes from npm (scripts/axe.sh).
"""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.browser.test_pages import ROOT, opened, pages
from tests.browser.test_pages import report as report

CHECKED = """async (only) => {
  document.querySelectorAll("details").forEach((one) => { one.open = true; });
  const options = { preload: false, resultTypes: ["violations"], ...(only ? { runOnly: only } : {}) };
  const found = await axe.run({ exclude: ["figure svg g"] }, options);
  return found.violations.map((v) => `${v.id}: ${v.nodes.length} times, as ${v.nodes[0].html.slice(0, 160)} (${v.nodes[0].failureSummary})`);
}"""


@pytest.fixture(scope="module")
def axe() -> str:
    done = subprocess.run(["sh", str(ROOT / "scripts/axe.sh")], capture_output=True, text=True, timeout=180)
    if done.returncode:
        if os.environ.get("LAUNCHPAD_REQUIRE_ALL"):
            pytest.fail(done.stderr)
        pytest.skip(f"axe-core is not to be had: {done.stderr.strip()}")
    return (ROOT / ".tools/axe/node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


def test_no_page_violates_a_rule_of_axe_core_in_light_or_dark(browser, report, axe):
    """Colours alone differ between light and dark, so in the dark their rule alone is asked."""
    told = []
    for path in [*pages(report), report.parent / "index.html"]:
        page, _, _ = opened(browser, path)
        page.evaluate(axe)
        told += [f"{path.name}: {violation}" for violation in page.evaluate(CHECKED, None)]
        page.emulate_media(color_scheme="dark")
        told += [f"{path.name}, dark: {violation}" for violation in page.evaluate(CHECKED, ["color-contrast"])]
        page.context.close()
    assert told == [], "\n".join(told)
