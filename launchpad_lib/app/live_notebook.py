"""One notebook in this process: its statements run where they stand, again as far as a change reaches."""

from __future__ import annotations

import ast
import linecache
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
from IPython.display import display
from IPython.utils.capture import capture_output
from markupsafe import Markup

from launchpad_lib.app.parts import Key, Part, cell_name, parts_of, to_run
from launchpad_lib.page.blocks import Block, blocks_of
from launchpad_lib.page.exporter import facts_of
from launchpad_lib.page.whole_page import page_of
from launchpad_lib.runner.parameter_cell import cell_source


class LiveNotebook:
    """A notebook with the outputs of its last run; what an error or a newer question left undone waits for the next.

    `magics` turns a cell's text into Python, as IPython does.
    """

    def __init__(self, path: Path, *, magics: Callable[[str], str] = str) -> None:
        self.name = path.stem
        self.notebook = nbformat.read(path, as_version=4)
        for place, cell in enumerate(self.notebook.cells):
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
                linecache.cache[cell_name(place)] = (
                    len(cell.source), None, cell.source.splitlines(keepends=True), cell_name(place)
                )  # fmt: skip
        self._parts = parts_of(self.notebook, magics=magics)
        self._names: dict[str, Any] = {"__name__": "__main__", "display": display}
        self._values: dict[str, Any] = {}
        self._waiting = {part.key for part in self._parts}
        self._shown: dict[Key, list[nbformat.NotebookNode]] = {}
        self._kept: dict[int, tuple[str, list[Block]]] = {}

    def ask(self, values: Mapping[str, Any], *, again: bool = False) -> list[Part]:
        """Sets the parameters; gives what has to run, in order."""
        changed = {n for n, v in values.items() if n not in self._values or self._values[n] != v}
        self._values = dict(values)
        self._names.update(values)
        for cell in self.notebook.cells:
            if "parameters" in cell.metadata.get("tags", []):
                cell.source = cell_source(values)  # the code that is shown is the code that answered
        if again:
            self._waiting = {part.key for part in self._parts}
        order = to_run(self._parts, changed=changed, again=self._waiting)
        self._waiting = {part.key for part in order}
        return order

    def run(self, order: list[Part]) -> Iterator[Part]:
        """Runs the parts, each given when it has run; ends at the first error, and nothing stale stays shown."""
        for number, part in enumerate(order):
            outputs = self._run(part)
            self._shown[part.key] = outputs
            self._waiting.discard(part.key)
            if any(output.output_type == "error" for output in outputs):
                left = {p.key for p in [*order[number:], *(p for p in self._parts if p.key > part.key)]}
                self._waiting |= left
                for key in left - {part.key}:
                    self._shown.pop(key, None)
            self._put()
            yield part
            if part.key in self._waiting:
                return

    @property
    def has_failed(self) -> bool:
        """Whether an error is shown."""
        return any(o.output_type == "error" for outputs in self._shown.values() for o in outputs)

    def outputs(self) -> list[dict[str, Any]]:
        """What the cells show, by kind, the answer first; text of an error where one stopped them."""
        by_answer = sorted(self.notebook.cells, key=lambda c: "answer" not in c.metadata.get("tags", []))
        found = [output for cell in by_answer for output in cell.get("outputs", [])]
        return [_kinds(output) for output in found]

    def page(self) -> str:
        """The page of what there is, as the report has it."""
        return page_of(self.notebook, facts_of(self.notebook, name=self.name), of_cell=self._blocks)

    def answer(self) -> Markup:
        """What stands between the page's navigation and its foot."""
        return Markup(self.page().partition("<main>")[2].rpartition("</main>")[0])

    def _put(self) -> None:
        """The outputs of statements as those of their cells."""
        for place, cell in enumerate(self.notebook.cells):
            if cell.cell_type == "code":
                keys = sorted(key for key in self._shown if key[0] == place)
                cell.outputs = [output for key in keys for output in self._shown[key]]
                cell.execution_count = 1 if keys else None

    def _blocks(self, cell: nbformat.NotebookNode, *, place: int) -> list[Block]:
        said = repr(cell.get("outputs", ""))
        if place not in self._kept or self._kept[place][0] != said:
            self._kept[place] = (said, blocks_of(cell, place=place))
        return self._kept[place][1]

    def _run(self, part: Part) -> list[nbformat.NotebookNode]:
        """The outputs of one statement."""
        fault: BaseException | None = None
        with capture_output() as said:
            try:
                self._execute(part)
            except (Exception, SystemExit) as error:  # it is shown on the page, whatever it is
                fault = error
        streams = [("stdout", said.stdout), ("stderr", said.stderr)]
        outputs = [nbformat.v4.new_output("stream", name=kind, text=text) for kind, text in streams if text]
        for shown in said.outputs:
            outputs.append(nbformat.v4.new_output("display_data", data=shown.data, metadata=shown.metadata or {}))
        return [*outputs, _error(fault)] if fault is not None else outputs

    def _execute(self, part: Part) -> None:
        """A statement; the value of an expression that ends its cell is shown, as in any notebook."""
        name = cell_name(part.key[0])
        if part.code is None:
            ast.parse(self.notebook.cells[part.key[0]].source, name)  # raises what is wrong with it
        is_last = not any(p.key[0] == part.key[0] and p.key > part.key for p in self._parts)
        if isinstance(part.code, ast.Expr) and is_last:
            value = eval(compile(ast.Expression(part.code.value), name, "eval"), self._names)
            if value is not None and not self.notebook.cells[part.key[0]].source.rstrip().endswith(";"):
                display(value)
        elif part.code is not None:
            exec(compile(ast.Module([part.code], []), name, "exec"), self._names)


def _kinds(output: nbformat.NotebookNode) -> dict[str, Any]:
    if output.output_type == "stream":
        return {"text/plain": output.text}
    if output.output_type == "error":
        return {"text/plain": f"{output.ename}: {output.evalue}"}
    return dict(output.data)


def _error(fault: BaseException) -> nbformat.NotebookNode:
    at = fault.__traceback__
    while at is not None and not at.tb_frame.f_code.co_filename.startswith("<cell "):
        at = at.tb_next
    told = "".join(traceback.format_exception(type(fault), fault, at)).rstrip().split("\n")
    return nbformat.v4.new_output("error", ename=type(fault).__name__, evalue=str(fault), traceback=told)
