"""Writes tests/spec/golden/chdb.json: a small log and what ClickHouse (chdb, embedded) answers about it.

An independent program for the tests of funnels and retention. chdb is no dependency of the project: this script makes a
virtual environment of its own (.venv-oracle, or the folder given) and asks it there. Run: python scripts/chdb_golden.py
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "tests/spec/golden/chdb.json"
PINNED = "chdb==4.4.0"
STEPS, WINDOW_SECONDS, MODES = ("A", "B", "C", "D"), 50, ("default", "strict_order", "strict_increase", "strict_once")
RETURN_DAYS = (1, 2, 7)

# Runs inside the oracle's environment: the log on stdin, the answers on stdout.
ORACLE = """
import json, sys
import chdb
given = json.load(sys.stdin)
rows = ", ".join("('%s', '%s', %d)" % tuple(r) for r in given["funnel_log"])
visits = ", ".join("('%s', %d)" % tuple(r) for r in given["retention_log"])

def ask(query):
    return [json.loads(line) for line in str(chdb.query(query, "JSONCompactEachRow")).splitlines()]

levels = {}
conditions = ", ".join("name = '%s'" % s for s in given["steps"])
for mode in given["modes"]:
    option = "" if mode == "default" else ", '%s'" % mode
    found = ask("SELECT user, windowFunnel(%d%s)(toUInt64(at), %s) FROM values('user String, name String, at UInt32', %s) GROUP BY user ORDER BY user"
                % (given["window_seconds"], option, conditions, rows))
    levels[mode] = {u: int(n) for u, n in found}
retained = {}
last = max(d for _, d in given["retention_log"])
for day in range(last + 1):
    wanted = ", ".join("day = %d" % (day + n) for n in [0, *given["return_days"]])
    found = ask("SELECT sum(r[1]), %s FROM (SELECT user, retention(%s) AS r FROM values('user String, day UInt32', %s) GROUP BY user)"
                % (", ".join("sum(r[%d])" % (k + 2) for k in range(len(given["return_days"]))), wanted, visits))
    retained[str(day)] = [int(v) for v in found[0]]
print(json.dumps({"engine": "chdb " + chdb.__version__, "levels": levels, "retained": retained}))
"""


def the_log() -> dict:
    """Seeded: many ties (a grid of 10 seconds), repeats, other events (X), users with one event; days for retention."""
    rng = random.Random(20260101)
    funnel_log = [
        (f"u{u:02d}", rng.choice("AAABBCCDX"), 10 * rng.randint(0, 9))
        for u in range(80)
        for _ in range(rng.randint(1, 9))
    ]
    visits = sorted({(f"u{u:02d}", rng.randint(0, 14)) for u in range(40) for _ in range(rng.randint(1, 6))})
    return {
        "steps": STEPS,
        "window_seconds": WINDOW_SECONDS,
        "modes": MODES,
        "return_days": RETURN_DAYS,
        "funnel_log": funnel_log,
        "retention_log": visits,
    }


def main() -> int:
    """Asks the oracle and writes the golden file."""
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / ".venv-oracle"
    python = place / "bin/python"
    if not python.exists():
        venv.create(place, with_pip=True)
    if subprocess.run([str(python), "-c", "import chdb"], capture_output=True).returncode:
        subprocess.run([str(python), "-m", "pip", "install", "-q", PINNED], check=True)
    given = the_log()
    answered = subprocess.run(
        [str(python), "-c", ORACLE], input=json.dumps(given), capture_output=True, text=True, check=True
    )
    OUT.parent.mkdir(exist_ok=True)
    answers = json.loads(answered.stdout)
    lines = ",\n".join(
        f"{json.dumps(k)}: {json.dumps(v)}" for k, v in ({"engine": answers["engine"], **given} | answers).items()
    )
    OUT.write_text("{\n" + lines + "\n}\n")
    print(f"wrote {OUT.relative_to(ROOT)} with {answers['engine']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
