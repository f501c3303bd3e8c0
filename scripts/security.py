"""`make security`: bandit over the package; a finding of a rule without a triage in `scripts/bandit_triage.json`, or of
high severity, ends it with exit status 1, and so does a triage that no finding needs any more.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

VERSION = "1.9.4"
TRIAGE = Path(__file__).with_name("bandit_triage.json")


def untriaged(found: list[dict], triage: dict[str, str]) -> list[str]:
    """What is to be looked at, one line each."""
    told = [
        f"{one['filename']}:{one['line_number']}: {one['test_id']} ({one['issue_severity'].lower()}) {one['issue_text']}"
        for one in found
        if one["test_id"] not in triage or one["issue_severity"] == "HIGH"
    ]
    gone = sorted(set(triage) - {one["test_id"] for one in found})
    return told + [f"{TRIAGE.name}: nothing is found of {rule} any more; take it out" for rule in gone]


def main() -> int:
    """Runs bandit in an environment of its own, which uv makes."""
    uv = Path(sys.executable).with_name("uv")
    command = [
        str(uv),
        "tool",
        "run",
        "--from",
        f"bandit=={VERSION}",
        "bandit",
        "-q",
        "-r",
        "launchpad_lib",
        "-f",
        "json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        print(done.stderr.strip(), file=sys.stderr)
        return 2
    found = json.loads(done.stdout)["results"]
    told = untriaged(found, json.loads(TRIAGE.read_text(encoding="utf-8")))
    print("\n".join(told) or f"bandit {VERSION}: {dict(Counter(one['test_id'] for one in found))}, all triaged")
    return int(bool(told))


if __name__ == "__main__":
    sys.exit(main())
