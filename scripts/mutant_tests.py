"""The pytest plugin of `scripts/mutants.py`: which test reaches which line, and which mutant no test notices.

It works by two variables of the environment, each the address of a file: `MUTANTS_COVER` (written: the tests, their
seconds, and the tests by line) and `MUTANTS_JUDGE` (read: mutants and their tests; written beside it: the verdicts).
A mutant is judged in a fork of a process that has collected the tests and run none, so no mutant sees what another one
left behind, and no thread or connection of an earlier test is missing in the fork.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import os
import resource
import shutil
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import coverage
import hypothesis
import pytest
from mutmut.mutation.trampoline import set_mutant_under_test

HERE = Path.cwd()
ENOUGH, LEAST = (
    10,
    10,
)  # a mutant hangs where a test computes ten times as long as on the code as it is, and ten seconds
# As many examples of hypothesis as a test draws here at most: what notices a mutant mostly does so early. A lower bound.
EXAMPLES = 5
# What tests import on their way is imported before the forks, not in each of them. None of these starts anything.
LOADED_BEFORE = frozenset(
    "launchpad_lib altair duckdb ibis jsonschema narwhals numba pandas patsy pyarrow scipy sklearn sqlglot statsmodels".split()
)


def pytest_configure(config: pytest.Config) -> None:
    # An example that failed on one mutant would be tried first on the next one; to shrink one takes time for nothing.
    phases = [p for p in hypothesis.Phase if p not in (hypothesis.Phase.reuse, hypothesis.Phase.shrink)]
    hypothesis.settings.register_profile("mutants", hypothesis.settings.default, database=None, phases=phases)
    hypothesis.settings.load_profile("mutants")
    import launchpad_lib

    if not Path(launchpad_lib.__file__).is_relative_to(HERE):
        raise pytest.UsageError(f"launchpad_lib is that of {launchpad_lib.__file__}, not the copy that is mutated")
    if "MUTANTS_COVER" in os.environ:
        config.pluginmanager.register(_Cover(Path(os.environ["MUTANTS_COVER"])))
    else:
        config.pluginmanager.register(_Judge(Path(os.environ["MUTANTS_JUDGE"])))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Asks fewer examples of tests that draw many, so that comparisons with brute forces are quick enough."""
    name = "_hypothesis_internal_use_settings"  # hypothesis has no public way to change what a decorator says
    for test in {getattr(item, "function", None) for item in items}:
        if (own := getattr(test, name, None)) is not None:
            setattr(test, name, hypothesis.settings(own, max_examples=min(own.max_examples, EXAMPLES)))


class _Cover:
    """Runs the tests and keeps which of them reach which line."""

    def __init__(self, told: Path) -> None:
        self._told = told
        self._seconds: Counter[str] = Counter()
        self._contexts: dict[str, list[str]] = {}
        self._now = [""]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Iterator[None]:
        # A result that a test helper caches is counted for whoever asks for it, not only for the first.
        self._caches = [
            cache
            for cache in gc.get_objects()
            if isinstance(cache, functools._lru_cache_wrapper)
            and str(cache.__module__).startswith(("tests", "launchpad_lib"))
        ]
        self._cover = coverage.Coverage(data_file=None, config_file=False, include=json.loads(os.environ["MUTANTS_OF"]))
        self._cover.start()
        done = yield
        self._cover.stop()
        data = self._cover.get_data()
        by_context = defaultdict(list)
        for test, contexts in self._contexts.items():
            for context in contexts:
                by_context[context].append(test)
        lines = {
            str(Path(file).relative_to(HERE)): {
                line: sorted({test for context in contexts for test in by_context[context]})
                for line, contexts in data.contexts_by_lineno(file).items()
            }
            for file in data.measured_files()
        }
        loaded = sorted(name for name in sys.modules if name.partition(".")[0] in LOADED_BEFORE)
        self._told.write_text(json.dumps({"seconds": self._seconds, "lines": lines, "modules": loaded}))
        return done

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        for cache in self._caches:
            cache.cache_clear()
        wide = {
            _context(d)
            for definitions in item._fixtureinfo.name2fixturedefs.values()  # type: ignore[attr-defined]
            for d in definitions
            if d.scope != "function"
        }
        self._contexts[item.nodeid] = [item.nodeid, *wide]
        with self._within(item.nodeid):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef) -> Iterator[None]:
        """A fixture of many tests is reached by each of them, though it is made once."""
        with self._within(self._now[-1] if fixturedef.scope == "function" else _context(fixturedef)):
            return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] += report.duration

    @contextlib.contextmanager
    def _within(self, context: str) -> Iterator[None]:
        self._now.append(context)
        self._cover.switch_context(context)
        try:
            yield
        finally:
            self._now.pop()
            self._cover.switch_context(self._now[-1])


def _context(fixturedef) -> str:
    return f"{fixturedef.baseid} fixture {fixturedef.argname}"


def _without_docstrings() -> None:
    """Takes the examples from the copies of a function: those of the function itself are run with the mutant."""
    for name, module in list(sys.modules.items()):
        if name.startswith("launchpad_lib"):
            homes = [vars(module), *(vars(one) for one in vars(module).values() if isinstance(one, type))]
            for key, one in [pair for home in homes for pair in home.items()]:
                if "__mutmut_" in key and callable(one):
                    one.__doc__ = None


class _Judged(NamedTuple):
    """`verdict` is killed, hung or survived; `by` the test that noticed."""

    verdict: str
    by: str | None
    seconds: float


class _Judge:
    """In place of the tests: for each mutant a fork that runs the tests which reach its line, up to the first failure."""

    def __init__(self, job: Path) -> None:
        self._job = job
        self._kills: Counter[str] = Counter()
        self._clean: set[str] = set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        job = json.loads(self._job.read_text())
        self._items = {item.nodeid: item for item in session.items}
        self._seconds = job["seconds"]
        for name in job["modules"]:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        _without_docstrings()
        reached = sorted({test for tests in job["mutants"].values() for test in tests})
        print(
            f"  {len(reached)} tests reach the mutants; {len(os.listdir('/proc/self/task'))} thread(s)", file=sys.stderr
        )
        if self._forked(session, "fail", reached).verdict != "killed":
            raise pytest.UsageError("code that always fails is not noticed: the mutated copy is not what runs")
        gc.freeze()  # a fork then copies no page for the collector's sake
        verdicts: dict[str, _Judged] = {}
        end = time.monotonic() + 60 * job["minutes"]
        for name, tests in job["mutants"].items():
            if time.monotonic() > end:
                break
            verdicts[name] = self._forked(session, name, tests)
            if verdicts[name].verdict == "killed":
                self._must_be_clean(session, tests if verdicts[name].by is None else [verdicts[name].by])
            print(f"  {name}: {' '.join(map(str, verdicts[name]))}", file=sys.stderr, flush=True)
        self._job.with_suffix(".verdicts").write_text(json.dumps(verdicts))
        return True

    def _must_be_clean(self, session: pytest.Session, tests: list[str]) -> None:
        """A test that notices a mutant must pass in the copy without one; asked once of each."""
        if new := [t for t in tests if t not in self._clean]:
            found = self._forked(session, "", new)
            if found.verdict != "survived":
                raise pytest.UsageError(f"with no mutant at all {found.by} fails; nothing can be judged")
            self._clean.update(new)

    def _forked(self, session: pytest.Session, mutant: str, tests: list[str]) -> _Judged:
        # Any order gives the same verdict; quick tests and those that noticed before give it sooner.
        items = [self._items[t] for t in sorted(tests, key=lambda t: self._seconds[t] / (1 + self._kills[t]))]
        place, begun = HERE / ".judged", time.monotonic()
        place.unlink(missing_ok=True)
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                self._run(session, mutant, items, place)
            os._exit(3)
        code = None
        while code is None:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > begun + 2 * ENOUGH * (LEAST + sum(self._seconds[t] for t in tests)):
                # It waits and does not compute. (A busy machine is not taken for a hanging mutant.)
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                code = -signal.SIGXCPU
            else:
                time.sleep(0.01)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # what a test started and did not end
        by = place.read_text() if place.exists() else None
        if code == 1 and by is not None and mutant not in ("", "fail"):
            self._kills[by] += 1
        verdict = "survived" if code == 0 else "hung" if code == -signal.SIGXCPU else "killed"
        return _Judged(verdict, by, round(time.monotonic() - begun, 1))

    def _run(self, session: pytest.Session, mutant: str, items: list[pytest.Item], place: Path) -> None:
        os.setpgid(0, 0)
        empty = os.open(os.devnull, os.O_WRONLY)
        os.dup2(empty, 1)
        os.dup2(empty, 2)
        set_mutant_under_test(mutant)
        for item, following in zip(items, [*items[1:], None], strict=True):
            used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
            enough = int(used + LEAST + ENOUGH * self._seconds[item.nodeid]) + 1
            resource.setrlimit(resource.RLIMIT_CPU, (enough, resource.RLIM_INFINITY))
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                place.write_text(item.nodeid)
                os._exit(1)
        os._exit(0)


def pytest_sessionfinish() -> None:
    shutil.rmtree(HERE / ".hypothesis", ignore_errors=True)
