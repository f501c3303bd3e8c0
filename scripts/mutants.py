"""Changes the code in small ways and sees whether a test notices: a seeded sample of mutants per room.

`python scripts/mutants.py` tests 150 mutants of each room and prints the survivors; `--sample 0` tests all of them (hours).
mutmut makes the mutants; which tests reach the line of each, and what they say, is asked by `scripts/mutant_tests.py`.
It works on a copy of the committed state, so nothing here is touched. Tests that simulate for many seconds are left out
(`SLOW`), so a figure is a lower bound. Several seeds share one preparation: `--seed 20261126 7`.

The copy's own code is what runs: it is first on the path, also for programs that a test starts; a copy that is not imported,
that fails without a mutant or does not fail where every function raises is an error.
Compiled functions (`kernels`) are mutated as Python: in the copy their decorators are taken off, so nothing is compiled and no
compiled code that a cache kept from before can stand in for a mutant.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import functools
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mutmut.configuration import reset_config
from mutmut.mutation.file_mutation import mutate_file_contents

ROOT = Path(__file__).resolve().parent.parent
SEED = 20261126
# What is simulated for many seconds is left out, by file or by name (`SLOW`).
TESTS = {
    "inference": "inference/test_inference_numbers inference/test_models_and_edges inference/test_survival_and_multiplicity "
    "inference/test_published_values inference/test_experiments inference/test_lift inference/test_effects "
    "inference/test_rollout inference/test_rollout_by_users inference/test_boosted_means "
    "inference/test_complier inference/test_quantiles findings/test_designs",
    "trends": "trends/test_trend_numbers trends/test_silence_and_refusals trends/test_mixed_columns "
    "trends/test_incidents trends/test_watched_tables",
    "risk": "risk/test_risk_numbers risk/test_risk risk/test_best_baseline",
    "metrics": "spec/test_rules_of_funnels spec/test_time_and_limits spec/test_quality spec/test_reliability spec/test_refusals "
    "spec/test_counter_examples spec/test_engagement_and_paths spec/test_two_periods metrics_kernels/test_usage_kernels "
    "metrics_kernels/test_trials inference/test_unit_tables findings/test_whole_tables findings/test_health_reads "
    "spec/test_funnel_reference spec/test_retention_reference spec/test_weeks spec/test_funnel spec/test_coming_back_folds "
    "spec/test_adoption_without_days spec/test_small_edges spec/test_columns_and_types "
    "metrics_kernels/test_rollouts inference/test_experiment_kinds inference/test_experiment_counts",
    "kernels": "metrics_kernels/test_kernels_by_loops metrics_kernels/test_chain_kernels metrics_kernels/test_trials "
    "metrics_kernels/test_usage_kernels spec/test_coming_back_folds",
    "page": "page",
    "findings": "findings",
    "contract": "contract spec/test_wording findings/test_sentences",
}
FOLDERS = {"kernels": "metrics/kernels"}
EXAMPLES = "tests/spec/test_docstrings.py::test_the_examples_of_the_docstrings_run"
SLOW = {
    "risk/test_risk": "on_noise_the_model_is_not_called_better_and_a_baseline_is_used",
    "inference/test_lift": "a_placebo_outcome_that_the_confounder_made_fails_unless_it_is_adjusted_for "
    "without_any_effect_only_landmark_and_adjustment_together_give_none",
    "inference/test_effects": "intervals_hold_the_effects_of_the_public_worlds limits_of_users_with_several_trials_cover_at_their_level "
    "randomised_treatment_is_never_refused_whatever_its_share smokers_who_quit_gain_what_hernan_and_robins_report "
    "where_half_are_out_of_reach_only_those_who_could_go_either_way_have_an_effect",
    "inference/test_rollout": "growing_effects_in_three_waves_are_found_without_bias_and_covered "
    "without_a_pre_trend_no_wave_is_named_and_enough_users_pass",
    "inference/test_complier": "the_limits_hold_however_few_comply",
    "inference/test_experiments": "between_identical_arms_the_rule_ships_at_most_one_time_in_forty",
    "trends/test_incidents": "healthy_series_stay_within_the_stated_budget "
    "a_slow_day_that_is_over_is_an_incident_that_ended_and_no_new_level",
    "metrics_kernels/test_chain_kernels": "a_bot_costs_its_events_and_no_more "
    "where_no_compiled_kernel_can_be_kept_they_are_kept_for_the_process",  # in the copy nothing is compiled
    "spec/test_coming_back_folds": "a_bot_costs_its_share",
}
COMPILED = {"njit", "jit", "vectorize", "guvectorize"}


class Mutant(NamedTuple):
    """One change: its lines as a reader meets them, and the tests that reach the statement it stands in."""

    where: str
    change: str
    tests: list[str]


class Score(NamedTuple):
    """Of a room and seed: mutants there are, mutants tested, those noticed (a test failed or hung), names of the others."""

    room: str
    seed: int
    mutants: int
    tested: int
    noticed: int
    survivors: list[str]


def scores(
    room: str,
    *,
    sample: int,
    seeds: list[int],
    only: list[str],
    without: list[str],
    given: list[str],
    named: list[str],
    minutes: float,
) -> list[Score]:
    """Tests a sample of one room's mutants for each seed, in a copy of the committed state; `given` tests for the room's.

    After so many minutes the rest is left out: samples are judged in the order they were drawn, so what was judged is one, too.
    """
    with tempfile.TemporaryDirectory(prefix="mutants-") as place:
        folder = Path(place).resolve()
        archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", place], input=archive, check=True)
        with (folder / "pyproject.toml").open("a") as settings:
            settings.write('\n[tool.mutmut]\nsource_paths = ["launchpad_lib"]\n')
        within = folder / "launchpad_lib" / FOLDERS.get(room, room)
        files = [f for f in sorted(within.rglob("*.py")) if (not only or f.stem in only) and f.stem not in without]
        if room == "kernels":
            for file in (folder / "launchpad_lib").rglob("*.py"):
                file.write_text(_interpreted(file.read_text()))
        else:
            files = [f for f in files if "kernels" not in f.parts]
            _compiled(folder)
        tests = [
            *(given or map(_file, TESTS[room].split())),
            *(f"{EXAMPLES}[{_module(f.relative_to(folder))}]" for f in files if ">>>" in f.read_text()),
        ]
        covered = _covered(folder, room, tests, files)
        mutants = {}
        asked, reached = _reached(folder, files, covered["lines"])
        print(f"{room}: its tests reach {reached:,} of {asked:,} statements, {reached / asked:.0%}", flush=True)
        with contextlib.chdir(folder):
            reset_config()
            for file in files:
                mutants |= _mutated(file.relative_to(folder), covered["lines"])
        size = min(sample, len(mutants)) or len(mutants)
        chosen = {seed: random.Random(f"{seed}/{room}").sample(sorted(mutants), size) for seed in seeds}
        if named:
            chosen = {seeds[0]: [name for name in sorted(mutants) if name.endswith(tuple(named))]}
        drawn = list(dict.fromkeys(name for one in zip(*chosen.values(), strict=True) for name in one))
        reaching = {name: mutants[name].tests for name in drawn}
        verdicts = _verdicts(folder, room, tests, reaching, covered, minutes)
    counts = Counter(verdict for verdict, *_ in verdicts.values())
    print(f"{room}: {len(mutants):,} mutants, {len(verdicts)} tested: {dict(counts)}", flush=True)
    for name, (verdict, *_) in sorted(verdicts.items()):
        if verdict != "killed":
            told = ", ".join(str(seed) for seed, some in chosen.items() if name in some)
            print(f"  {verdict} (seed {told}): {mutants[name].where}\n{mutants[name].change}", flush=True)
    judged = {seed: [name for name in some if name in verdicts] for seed, some in chosen.items()}
    lives = {seed: [name for name in some if verdicts[name][0] == "survived"] for seed, some in judged.items()}
    return [Score(room, s, len(mutants), len(judged[s]), len(judged[s]) - len(lives[s]), lives[s]) for s in chosen]


def _compiled(folder: Path) -> None:
    """Gives the copy the kernels as they lie compiled here, where their code is the same; the rest is compiled once."""
    for here in (ROOT / "launchpad_lib" / "metrics" / "kernels").glob("*.py"):
        there = folder / here.relative_to(ROOT)
        if there.exists() and there.read_bytes() == here.read_bytes():
            shutil.copystat(here, there)  # numba's key is the time and the size of the file
            (there.parent / "__pycache__").mkdir(exist_ok=True)
            for kept in (here.parent / "__pycache__").glob(f"{here.stem}.*.nb?"):
                shutil.copy2(kept, there.parent / "__pycache__" / kept.name)


def _pytest(folder: Path, room: str, tests: list[str], **variables: str) -> None:
    """Tests in the copy, with the plugin."""
    own = {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT / 'scripts'}", "TMPDIR": str(folder), "MUTANT_UNDER_TEST": ""}
    if room == "kernels":
        own["NUMBA_DISABLE_JIT"] = "1"
    (folder / "tmp").mkdir(exist_ok=True)
    run = [sys.executable, "-m", "pytest", "-q", "-s", "-x", *"-p mutant_tests -p no:cacheprovider -p no:xdist".split()]
    run += ["--hypothesis-seed=1", *tests, *_deselected()]
    done = subprocess.run(run, cwd=folder, env=os.environ | own | variables, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(done.stdout[-4000:] + f"\nroom={room!r}: its tests do not pass, so no mutant can be judged")


def _file(name: str) -> str:
    """A file or folder of tests by its short name."""
    return f"tests/{name}.py" if "/" in name else f"tests/{name}"


def _deselected() -> list[str]:
    return [f"--deselect={_file(home)}::test_{name}" for home, names in SLOW.items() for name in names.split()]


def _covered(folder: Path, room: str, tests: list[str], files: list[Path]) -> dict:
    """The seconds of each test, and the tests by file and line."""
    told = folder / "covered.json"
    _pytest(folder, room, tests, MUTANTS_COVER=str(told), MUTANTS_OF=json.dumps(list(map(str, files))))
    return json.loads(told.read_text())


def _reached(folder: Path, files: list[Path], lines: dict[str, dict[str, list[str]]]) -> tuple[int, int]:
    """How many statements the functions of the files have, and how many of them a test reaches."""
    asked = reached = 0
    for file in files:
        source, known = file.read_text(), lines.get(str(file.relative_to(folder)), {})
        spans = [(first, last) for _, first, last in _functions(source)]
        for head, end in _statements(source):
            if any(first < head <= last for first, last in spans):
                asked += 1
                reached += any(known.get(str(line)) for line in range(head, end + 1))
    return asked, reached


def _verdicts(
    folder: Path,
    room: str,
    tests: list[str],
    mutants: dict[str, list[str]],
    covered: dict,
    minutes: float,
) -> dict[str, list]:
    """What the tests say to each mutant: killed, hung or survived, and by which test."""
    job = folder / "job.json"
    known = {name: covered[name] for name in ("seconds", "modules")}
    job.write_text(json.dumps({"mutants": mutants, "minutes": minutes, **known}))
    _pytest(folder, room, tests, MUTANTS_JUDGE=str(job))
    return json.loads(job.with_suffix(".verdicts").read_text())


def _mutated(file: Path, lines: dict[str, dict[str, list[str]]]) -> dict[str, Mutant]:
    """Writes all mutants of a file into it, behind a switch, and tells them by name."""
    source, reached = file.read_text(), {int(n): tests for n, tests in lines.get(str(file), {}).items()}
    # Lines that run with the import only are reached by no test.
    made = mutate_file_contents(str(file), source, {n for n, tests in reached.items() if tests})
    file.write_text(made.code)
    written, module = made.code.split("\n"), _module(file)
    starts = {name: (first, last) for name, first, last in _functions(source)}
    found = {}
    for name in made.mutant_names:
        function = name.partition("__mutmut_")[0]
        span, old = made.line_span_by_function_name[name], made.line_span_by_function_name[f"{function}__mutmut_orig"]
        new_lines, old_lines = _body(written, span), _body(written, old)
        first, last = starts[function]
        at = next((i for i, (a, b) in enumerate(zip(new_lines, old_lines, strict=False)) if a != b), 0)
        statement = _statement(source, first + at, first, last)
        tests = sorted({test for n in statement for test in reached.get(n, [])})
        tail = next((i for i, (a, b) in enumerate(zip(new_lines[::-1], old_lines[::-1], strict=False)) if a != b), 0)
        change = [f"    -{line}" for line in old_lines[at : len(old_lines) - tail]]
        change += [f"    +{line}" for line in new_lines[at : len(new_lines) - tail]]
        found[f"{module}.{name}"] = Mutant(f"{file}:{first + at} {name}", "\n".join(change), tests)
    return found


def _module(file: Path) -> str:
    return ".".join(file.with_suffix("").parts).removesuffix(".__init__")


def _body(written: list[str], span) -> list[str]:
    """The lines of a function in the mutated file from its `def` on, with the name it had."""
    lines = written[span.start - 1 : span.end]
    start = next(i for i, line in enumerate(lines) if line.lstrip().startswith(("def ", "async def ")))
    head, _, rest = lines[start].partition("(")
    return [f"{head.partition('def ')[0]}def ({rest}", *lines[start + 1 :]]


def _functions(source: str) -> Iterator[tuple[str, int, int]]:
    """The functions that mutmut changes by the name it gives them, with their first line and their last."""
    for node in ast.parse(source).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        for one in inner:
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"xǁ{node.name}ǁ{one.name}" if isinstance(node, ast.ClassDef) else f"x_{one.name}"
                yield name, one.lineno, one.end_lineno or one.lineno


def _statement(source: str, line: int, first: int, last: int) -> range:
    """The lines of the innermost statement that a line belongs to; of a `def` all, for its defaults hold for every call."""
    best = range(first, last + 1)
    for head, end in _statements(source):
        if first < head <= line <= end and end - head < len(best):
            best = range(head, end + 1)
    return best


@functools.cache
def _statements(source: str) -> list[tuple[int, int]]:
    """First and last line of every statement; of one that holds others, those of its head."""
    found = []
    for node in ast.walk(ast.parse(source)):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.stmt) and not is_text:
            inner = [
                n for n in ast.iter_child_nodes(node) if isinstance(n, ast.stmt | ast.excepthandler | ast.match_case)
            ]
            is_head = inner and not isinstance(node, ast.FunctionDef)
            bodies = [getattr(n, "lineno", None) or n.body[0].lineno for n in inner]  # type: ignore[attr-defined]
            end = max(min(bodies) - 1, node.lineno) if is_head else node.end_lineno or node.lineno
            found.append((node.lineno, end))
    return found


def _interpreted(source: str) -> str:
    """The code with compiled functions as plain ones, on the same lines, and what has no form in Python as nothing.

    >>> print(_interpreted("@njit(cache=True)\\ndef f(a):\\n    return a"))
    # compiled
    def f(a):
        return a
    """
    lines = source.split("\n")
    for node in ast.walk(ast.parse(source)):
        for mark in node.decorator_list if isinstance(node, ast.FunctionDef) else []:
            name = ast.unparse(mark.func if isinstance(mark, ast.Call) else mark).rpartition(".")[2]
            if name in COMPILED:
                lines[mark.lineno - 1 : mark.end_lineno] = ["# compiled"] * ((mark.end_lineno or 0) - mark.lineno + 1)
            if name == "intrinsic":
                blank = [""] * ((node.end_lineno or 0) - mark.lineno)
                lines[mark.lineno - 1 : node.end_lineno] = [f"def {node.name}(*_): return None", *blank]
    return "\n".join(lines)


def main() -> int:
    """Prints a table of the rooms; 1 where fewer than 90 % of a room's mutants are noticed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=f"of {', '.join(TESTS)} (default: all)")
    parser.add_argument("--sample", type=int, default=150, help="mutants tested per room, 0 for all (default: 150)")
    parser.add_argument(
        "--seed", type=int, nargs="+", default=[SEED], help="of the sample; several give several samples"
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="MODULE", help="mutates these modules of the room only"
    )
    parser.add_argument("--named", nargs="+", default=[], metavar="MUTANT", help="judges these instead of a sample")
    parser.add_argument("--without", nargs="+", default=[], metavar="MODULE", help="leaves these modules as they are")
    parser.add_argument(
        "--tests",
        nargs="+",
        default=[],
        metavar="TEST",
        help="in place of the room's own; a figure is then a lower bound",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=math.inf,
        help="of judging a room, after which the rest of its sample is left out",
    )
    asked = parser.parse_args()
    unknown = sorted(set(asked.rooms) - set(TESTS))
    if unknown:
        parser.error(f"room={unknown[0]!r}: there are {', '.join(TESTS)}")
    rooms = asked.rooms or list(TESTS)
    options = {
        "sample": asked.sample,
        "seeds": asked.seed,
        "only": asked.only,
        "without": asked.without,
        "named": asked.named,
        "given": asked.tests,
        "minutes": asked.minutes,
    }
    found = [one for room in rooms for one in scores(room, **options)]
    print("\n| room | seed | mutants | tested | noticed | share |\n|---|---:|---:|---:|---:|---:|")
    for s in found:
        print(f"| {s.room} | {s.seed} | {s.mutants:,} | {s.tested} | {s.noticed} | {s.noticed / s.tested:.0%} |")
    return 0 if all(s.noticed >= 0.9 * s.tested for s in found) else 1


if __name__ == "__main__":
    sys.exit(main())
