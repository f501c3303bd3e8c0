"""Changes the code in small ways and sees whether a test notices: a seeded sample of mutants per room (mutmut does the work).

`python scripts/mutants.py` tests 150 mutants of each room and prints the survivors; `--sample 0` tests all of them (hours).
It works on a copy of the committed state, so nothing here is touched. Tests that simulate for many seconds are left out
(`SLOW`), so a figure is a lower bound. Several seeds share one preparation: `--seed 20261126 7`.
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
    "inference": ["tests/inference", "--ignore=tests/inference/test_unit_tables.py"],  # those are tables of metrics
    "trends": ["tests/trends"],
    "risk": ["tests/risk"],
    "metrics": ["tests/spec", "tests/metrics_kernels", "tests/inference/test_unit_tables.py"],
    "page": ["tests/page"],
    "findings": ["tests/findings"],
}
SHIFTS, LIFT, QUANTILES = (
    f"tests/{name}.py::test_"
    for name in ("trends/test_shifts_and_drift", "inference/test_lift", "inference/test_quantiles")
)
SLOW = {
    "trends": [
        f"{SHIFTS}the_planted_regressions_are_found_and_nothing_else_beyond_the_false_alarm_rate",
        f"{SHIFTS}undrifted_columns_are_called_drifted_about_five_times_in_a_hundred",
    ],
    "inference": [
        f"{LIFT}statsmodels_gives_the_standardised_effect_of_nhefs",
        f"{LIFT}the_intervals_of_both_effects_cover_the_truth_at_their_level",
        f"{LIFT}a_placebo_outcome_that_the_confounder_made_fails_unless_it_is_adjusted_for",
        f"{QUANTILES}weeks_that_move_all_users_need_their_own_noise_in_the_interval",
        f"{QUANTILES}the_interval_covers_and_no_change_is_called_one_about_five_times_in_a_hundred",
        "tests/inference/test_experiments.py::test_between_identical_arms_the_rule_ships_at_most_one_time_in_forty",
    ],
}
KILLED = {1: "killed", 3: "killed", 36: "timeout", -24: "timeout", 24: "timeout", 152: "timeout", 255: "timeout"}
OTHER = {0: "survived", 33: "no tests", 34: "skipped", 35: "suspicious"}


class Score(NamedTuple):
    """Of a room and seed: mutants there are, mutants tested, those noticed (a test failed or hung), names of the others."""

    room: str
    seed: int
    mutants: int
    tested: int
    noticed: int
    survivors: list[str]


def scores(room: str, *, sample: int, seeds: list[int], children: int) -> list[Score]:
    """Tests a sample of one room's mutants for each seed, in a copy of the committed state."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as place:
        folder = Path(place)
        archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", place], input=archive, check=True)
        with (folder / "pyproject.toml").open("a") as settings:
            settings.write(_settings(room))
        run = [sys.executable, "-m", "mutmut", "run", "--max-children", str(children)]
        made = subprocess.run([*run, "make-them-only"], cwd=folder, capture_output=True, text=True, check=False)
        names = sorted(_results(folder))
        if not names:
            print("\n".join(made.stdout.splitlines()[-30:]))
            raise SystemExit(f"room={room!r}: its tests do not pass on the committed state, so no mutant can be judged")
        size = min(sample, len(names)) or len(names)
        chosen = {seed: random.Random(f"{seed}/{room}").sample(names, size) for seed in seeds}
        every = sorted({name for some in chosen.values() for name in some})
        subprocess.run([*run, *every], cwd=folder, capture_output=True, check=False)
        results = _results(folder)
        shown = {n: _shown(folder, n) for n in every if results[n] not in KILLED}
    counts = Counter(KILLED.get(results[n], OTHER.get(results[n], str(results[n]))) for n in every)
    print(f"{room}: {len(names):,} mutants, {len(every)} tested: {dict(counts)}", flush=True)
    for name, change in shown.items():
        told = ", ".join(str(seed) for seed, some in chosen.items() if name in some)
        print(f"  {OTHER.get(results[name], results[name])} (seed {told}): {name}\n{change}", flush=True)
    return [
        Score(room, seed, len(names), size, sum(results[n] in KILLED for n in some), sorted(shown.keys() & set(some)))
        for seed, some in chosen.items()
    ]


def _settings(room: str) -> str:
    deselected = [f"--deselect={test}" for test in SLOW.get(room, [])]
    lines = {
        "source_paths": ["launchpad_lib"],
        "only_mutate": [f"launchpad_lib/{room}/*", f"launchpad_lib/{room}/**/*"],
        "do_not_mutate": [
            "launchpad_lib/metrics/kernels/*"
        ],  # compiled by numba, which does not see the mutant's switch
        "pytest_add_cli_args_test_selection": TESTS[room],
        "pytest_add_cli_args": [
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:randomly",
            "--hypothesis-seed=1",
            *deselected,
        ],
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
    parser.add_argument(
        "--seed", type=int, nargs="+", default=[SEED], help="of the sample; several give several samples"
    )
    parser.add_argument("--children", type=int, default=2, help="mutants tested at a time (default: 2)")
    asked = parser.parse_args()
    unknown = sorted(set(asked.rooms) - set(TESTS))
    if unknown:
        parser.error(f"room={unknown[0]!r}: there are {', '.join(TESTS)}")
    rooms = asked.rooms or list(TESTS)
    found = [
        one for room in rooms for one in scores(room, sample=asked.sample, seeds=asked.seed, children=asked.children)
    ]
    print("\n| room | seed | mutants | tested | noticed | share |\n|---|---:|---:|---:|---:|---:|")
    for s in found:
        print(f"| {s.room} | {s.seed} | {s.mutants:,} | {s.tested} | {s.noticed} | {s.noticed / s.tested:.0%} |")
    return 0 if all(s.noticed >= 0.9 * s.tested for s in found) else 1


if __name__ == "__main__":
    sys.exit(main())
