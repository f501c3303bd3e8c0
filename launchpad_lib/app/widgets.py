"""The controls of a live page as widgets in a notebook: the same parameters, the same checks, the same answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from launchpad_lib.app.asking import Asking
from launchpad_lib.app.live_notebook import LiveNotebook
from launchpad_lib.app.panel import Control, panel
from launchpad_lib.runner.parameters import ParameterError, load_run
from launchpad_lib.runner.workbook import this_workbook, workbook_of

WIDE = {"description_width": "11rem"}


def controls(notebook: str, *, params: str | Path | None = None, **parameters: Any) -> Any:
    """The controls of a notebook of this workbook, and under them what it answers; a change computes what hangs on it.

    Args:
        notebook: its name, for example "funnels".
        params: a params file whose lake and parameters are taken; without it those of the notebook's own cell.
        parameters: what is asked at first, checked as in a params file.

    Raises:
        ParameterError: no such notebook, or a parameter that cannot be used; one sentence.

    >>> controls("funels")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    launchpad_lib.runner.shared_parameters.ParameterError: unknown notebook 'funels'; did you mean 'funnels'? ...
    """
    root = workbook_of(Path(params)) if params else this_workbook()
    run = load_run(Path(params)) if params else None
    asking = Asking(notebook, notebooks=root / "notebooks", run=run, root=root)
    values = asking.values(parameters)
    return _Shown(asking, LiveNotebook(root / "notebooks" / f"{notebook}.ipynb"), parameters, values).box


class _Shown:
    """Widgets, and the output that they change."""

    def __init__(self, asking: Asking, live: LiveNotebook, asked: dict[str, Any], values: dict[str, Any]) -> None:
        import ipywidgets as w

        self._asking, self._live, self._asked = asking, live, dict(asked)
        self._answer, self._fault = w.Output(), w.HTML()
        found = panel(asking)
        usual = [self._widget(c, values[c.name]) for c in found if c.is_usual]
        more = w.Accordion(
            [w.VBox([self._widget(c, values[c.name]) for c in found if not c.is_usual])], titles=["More"]
        )
        self.box = w.VBox([w.VBox(usual), more, self._fault, self._answer])
        self._show(values)

    def _widget(self, control: Control, value: Any) -> Any:
        import ipywidgets as w

        said: dict[str, Any] = {
            "description": control.label,
            "style": WIDE,
            "tooltip": control.help,
            "layout": {"width": "32rem"},
        }
        options = [(option.label, option.value) for option in control.options]
        known = [stored for _, stored in options]
        if control.kind == "choice":
            options += [(str(value), value)] if value not in known else []
            widget = w.Dropdown(options=options, value=value, **said)
        elif control.kind == "choices" and all(one in known for one in value):
            widget = w.TagsInput(value=list(value), allowed_tags=known, allow_duplicates=True, layout=said["layout"])
            widget.observe(lambda change: self._ask(control.name, list(change["new"])), "value")
            return w.VBox([w.Label(control.label), widget])
        elif control.kind == "switch":
            widget = w.Checkbox(value=bool(value), **said)
        elif control.kind in ("whole", "number") and value is not None:
            kind = w.BoundedIntText if control.kind == "whole" else w.BoundedFloatText
            least, most = control.least, control.most
            widget = kind(value, min=-1e12 if least is None else least, max=1e12 if most is None else most, **said)
        elif control.kind == "text" and (value is None or isinstance(value, str)):
            widget = w.Text(value or "", continuous_update=False, **said)
        else:
            widget = w.Text(json.dumps(value), continuous_update=False, **said)
            widget.observe(lambda change: self._ask(control.name, _read(change["new"])), "value")
            return widget
        widget.observe(lambda change: self._ask(control.name, change["new"]), "value")
        return widget

    def _ask(self, name: str, value: Any) -> None:
        from markupsafe import escape

        asked = self._asked | {name: value}
        try:
            values = self._asking.values(asked)
        except ParameterError as error:
            self._fault.value = f"<p>{escape(str(error))}</p>"
            return
        self._asked, self._fault.value = asked, ""
        self._show(values)

    def _show(self, values: dict[str, Any]) -> None:
        for _ in self._live.run(self._live.ask(values)):
            pass
        self._answer.outputs = tuple(
            {"output_type": "display_data", "data": data, "metadata": {}} for data in self._live.outputs()
        )


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
