"""Changes the code in small ways and sees whether a test notices: a seeded sample of mutants per room (mutmut does the work).

`python scripts/mutants.py` tests 150 mutants of each room and prints the survivors; `--sample 0` tests all of them (hours).
It works on a copy of the committed state, so nothing here is touched.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SEED = 20261126
TESTS = {
    "inference": ["tests/inference"],
    "trends": ["tests/trends"],
    "risk": ["tests/risk"],
    "metrics": ["tests/spec", "tests/metrics_kernels"],
    "page": ["tests/page"],
    "findings": ["tests/findings"],
}
KILLED = {1: "killed", 3: "killed", 36: "timeout", -24: "timeout", 24: "timeout", 152: "timeout", 255: "timeout"}
OTHER = {0: "survived", 33: "no tests", 34: "skipped", 35: "suspicious"}


class Score(NamedTuple):
    """Of a room: mutants there are, mutants tested, those noticed (a test failed or hung), names of the others."""

    room: str
    mutants: int
    tested: int
    noticed: int
    survivors: list[str]


def score(room: str, *, sample: int, seed: int, children: int) -> Score:
    """Tests a sample of one room's mutants in a copy of the committed state."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as place:
        folder = Path(place)
        archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", place], input=archive, check=True)
        with (folder / "pyproject.toml").open("a") as settings:
            settings.write(_settings(room))
        run = [sys.executable, "-m", "mutmut", "run", "--max-children", str(children)]
        subprocess.run([*run, "make-them-only"], cwd=folder, capture_output=True, check=False)
        names = sorted(_results(folder))
        if not names:
            raise SystemExit(f"room={room!r}: its tests do not pass on the committed state, so no mutant can be judged")
        chosen = names if sample == 0 else random.Random(f"{seed}/{room}").sample(names, min(sample, len(names)))
        subprocess.run([*run, *chosen], cwd=folder, capture_output=True, check=False)
        results = _results(folder)
        shown = {n: _shown(folder, n) for n in chosen if results[n] not in KILLED}
    counts = Counter(KILLED.get(results[n], OTHER.get(results[n], str(results[n]))) for n in chosen)
    print(f"{room}: {len(names):,} mutants, {len(chosen)} tested: {dict(counts)}", flush=True)
    for name, change in shown.items():
        print(f"  {OTHER.get(results[name], results[name])}: {name}\n{change}", flush=True)
    return Score(room, len(names), len(chosen), sum(results[n] in KILLED for n in chosen), sorted(shown))


def _settings(room: str) -> str:
    lines = {
        "source_paths": ["launchpad_lib"],
        "only_mutate": [f"launchpad_lib/{room}/*", f"launchpad_lib/{room}/**/*"],
        "do_not_mutate": [
            "launchpad_lib/metrics/kernels/*"
        ],  # compiled by numba, which does not see the mutant's switch
        "pytest_add_cli_args_test_selection": TESTS[room],
        "pytest_add_cli_args": ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--hypothesis-seed=1"],
        "also_copy": ["data", "docs", "notebooks", "params", "scripts", "tests", "launchpad_lib", "pyproject.toml"],
    }
    written = "\n".join(f"{name} = {json.dumps(value)}" for name, value in lines.items())
    return f"\n[tool.mutmut]\nmutate_only_covered_lines = true\ntimeout_multiplier = 8.0\n{written}\n"


def _results(folder: Path) -> dict[str, int | None]:
    """Exit code by the name of each mutant."""
    files = (folder / "mutants" / "launchpad_lib").rglob("*.meta")
    return {name: code for f in files for name, code in json.loads(f.read_text())["exit_code_by_key"].items()}


def _shown(folder: Path, name: str) -> str:
    """The change of one mutant as lines."""
    done = subprocess.run([sys.executable, "-m", "mutmut", "show", name], cwd=folder, capture_output=True, text=True)
    changed = [s for s in done.stdout.splitlines() if s[:1] in "+-" and not s.startswith(("+++", "---"))]
    return "\n".join(f"    {line}" for line in changed)


def main() -> int:
    """Prints a table of the rooms; 1 where fewer than 90 % of a room's mutants are noticed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=f"of {', '.join(TESTS)} (default: all)")
    parser.add_argument("--sample", type=int, default=150, help="mutants tested per room, 0 for all (default: 150)")
    parser.add_argument("--seed", type=int, default=SEED, help="of the sample")
    parser.add_argument("--children", type=int, default=2, help="mutants tested at a time (default: 2)")
    asked = parser.parse_args()
    unknown = sorted(set(asked.rooms) - set(TESTS))
    if unknown:
        parser.error(f"room={unknown[0]!r}: there are {', '.join(TESTS)}")
    rooms = asked.rooms or list(TESTS)
    scores = [score(r, sample=asked.sample, seed=asked.seed, children=asked.children) for r in rooms]
    print("\n| room | mutants | tested | noticed | share |\n|---|---:|---:|---:|---:|")
    for s in scores:
        print(f"| {s.room} | {s.mutants:,} | {s.tested} | {s.noticed} | {s.noticed / s.tested:.0%} |")
    return 0 if all(s.noticed >= 0.9 * s.tested for s in scores) else 1


if __name__ == "__main__":
    sys.exit(main())
