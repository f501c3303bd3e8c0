"""The browser code against its types: TypeScript's strict checker, and the types against the event contract."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.collecting import ROOT

STATIC = ROOT / "launchpad_lib/collector/static"
STRICT = "--noEmit --allowJs --checkJs --strict --noUncheckedIndexedAccess --noImplicitReturns --target es2022 --module es2022 --lib es2022,dom,dom.iterable".split()


@pytest.fixture(scope="module")
def tsc() -> list[str]:
    done = subprocess.run(["sh", str(ROOT / "scripts/typescript.sh")], capture_output=True, text=True, timeout=180)
    if done.returncode:
        if os.environ.get("LAUNCHPAD_REQUIRE_ALL") == "1":
            pytest.fail(done.stderr)
        pytest.skip(f"TypeScript is not to be had: {done.stderr.strip()}")
    return ["node", str(ROOT / ".tools/typescript/node_modules/typescript/bin/tsc"), *STRICT]


def test_the_types_of_tracking_js_are_those_of_the_event_contract():
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/tracking_types.py"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_browser_code_passes_the_strict_checker(tsc):
    done = subprocess.run(
        [*tsc, *map(str, sorted(STATIC.glob("[!s]*.js")))], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout


def test_a_wrong_property_of_a_typed_event_does_not_pass_it(tsc, tmp_path):
    (tmp_path / "tracking.js").write_text((STATIC / "tracking.js").read_text())
    wrong = [
        't.track("slider_adjusted", { slider: "budget", value: "high" })',
        't.track("quiz_started", {})',
        't.track("quiz_started", { quiz_id: 7 })',
    ]
    right = [
        't.track("slider_adjusted", { slider: "budget", value: 7, more: true })',
        't.track("anything", { a: 1 })',
        't.track("anything")',
    ]
    (tmp_path / "use.js").write_text(
        "// @ts-check\nimport { Tracker } from './tracking.js';\nconst t = new Tracker();\n"
        + ";\n".join([*wrong, *right])
        + ";\n"
    )
    done = subprocess.run([*tsc, str(tmp_path / "use.js")], capture_output=True, text=True, timeout=120)
    assert sorted(int(line.split("(")[1].split(",")[0]) for line in done.stdout.splitlines() if "error" in line) == [
        4,
        5,
        6,
    ], done.stdout
