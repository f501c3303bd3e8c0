"""A run on a terminal: what it is at and how long it may take, and a bar for each notebook that is at work (rich)."""

from __future__ import annotations

import time
from threading import Lock

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.text import Text

from launchpad_lib.contract.manifest import Status
from launchpad_lib.runner.durations import Durations
from launchpad_lib.runner.told_runs import Begun, Ended, clock_words, ended_words

COLOURS = {"ok": "green", "refused": "yellow", "failed": "red"}


class _Waiting(ProgressColumn):
    """Elapsed seconds, and those that may still come; nothing is foretold where nothing is known."""

    def render(self, task: Task) -> Text:
        gone = task.elapsed or 0.0
        usual = task.fields.get("usual")
        if usual is None or task.finished:
            return Text(clock_words(gone))
        left = usual - gone
        coming = f"about {clock_words(left)} more" if left > 0 else f"longer than the usual {clock_words(usual)}"
        return Text(f"{clock_words(gone)}, {coming}")


class TerminalProgress:
    """A line for the run and one per notebook at work; whatever is done is a line above them that stays.

    Colour tells how a notebook ended, beside the word; NO_COLOR leaves it out.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._bars = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            _Waiting(),
            console=console,
            transient=True,  # the lines that stay say what was done
        )
        self._tasks: dict[str, TaskID] = {}
        self._usual, self._lock = Durations(), Lock()
        self._run: TaskID | None = None
        self._ended = 0
        self._notebooks: tuple[str, ...] = ()
        self._began = time.monotonic()

    def __enter__(self) -> TerminalProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def begin(self, run: Begun) -> None:
        """Says what runs; from here on there are bars."""
        self._usual, self._notebooks = run.usual, run.notebooks
        self._run = self._bars.add_task(run.run_id, total=len(run.notebooks), usual=run.usual.whole)
        self._bars.start()

    def doing(self, what: str) -> None:
        """Beside the run's bar."""
        if self._run is not None:
            self._bars.update(self._run, description=what)

    def say(self, line: str) -> None:
        """Prints above the bars."""
        self._print(Text(line))

    def start(self, name: str, *, cells: int) -> None:
        """Adds the notebook's bar."""
        self._tasks[name] = self._bars.add_task(name, total=cells, usual=self._usual.notebooks.get(name))

    def advance(self, name: str) -> None:
        """Moves its bar on by one cell."""
        self._bars.advance(self._tasks[name])

    def finish(self, name: str, *, status: Status, seconds: float, reason: str | None) -> None:
        """Its bar gives way to a line."""
        self._bars.remove_task(self._tasks.pop(name))
        with self._lock:
            self._ended += 1
            done = self._ended
        if self._run is not None:
            self._bars.update(self._run, completed=done, description=f"{done} of {len(self._notebooks)} notebooks")
        line = Text(ended_words(name, status, seconds, reason))
        line.stylize(COLOURS[status], len(name) + 2, len(name) + 2 + len(status))
        self._print(line)

    def end(self, run: Ended) -> None:
        """Says where to look, as the last line there is."""
        self._bars.stop()
        line = Text(f"{run.said} ({clock_words(time.monotonic() - self._began)})")
        line.stylize(COLOURS[run.status], 0, len(run.status) if run.said.startswith(run.status) else 0)
        self._print(line)

    def _print(self, line: Text) -> None:
        self._bars.console.print(line, soft_wrap=True)
