"""The `parameters` cell of a notebook: written from typed parameters, so that it shows a working example."""

from __future__ import annotations

import json
from collections.abc import Mapping

WIDTH = 100


def cell_source(values: Mapping[str, object]) -> str:
    """One assignment a line, in order; a list or mapping that is too long for a line has its items below each other.

    >>> print(cell_source({"window": "7d", "steps": [], "breakdown": None}))
    window = "7d"
    steps = []
    breakdown = None
    """
    return "\n".join(
        f"{name} = {_written(value, indent=0, room=WIDTH - len(name) - 3)}" for name, value in values.items()
    )


def _written(value: object, *, indent: int, room: int) -> str:
    """A JSON value as Python writes it, with double quotes as the formatter has them."""
    short = _on_one_line(value)
    if len(short) <= room or not isinstance(value, list | dict):
        return short
    inner, room = indent + 4, WIDTH - indent - 5
    if isinstance(value, list):
        items = [_written(v, indent=inner, room=room) for v in value]
    else:
        items = [
            f"{_on_one_line(k)}: {_written(v, indent=inner, room=room - len(_on_one_line(k)) - 2)}"
            for k, v in value.items()
        ]
    opening, closing = "[]" if isinstance(value, list) else "{}"
    lines = "".join(f"{' ' * inner}{item},\n" for item in items)
    return f"{opening}\n{lines}{' ' * indent}{closing}"


def _on_one_line(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(_on_one_line(v) for v in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_on_one_line(k)}: {_on_one_line(v)}" for k, v in value.items()) + "}"
    return repr(value)
