"""What a parameter model takes, as a table: name, type, default, bounds, description."""

from __future__ import annotations

import io
import shutil
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from launchpad_lib.contract.named import Names

HEADINGS = ("name", "type", "default", "bounds", "description")
SIGNS = (
    ("ge", ">="),
    ("gt", ">"),
    ("le", "<="),
    ("lt", "<"),
    ("min_length", "length >="),
    ("max_length", "length <="),
    ("pattern", "matches"),
)
NARROWEST = 100


def describe(model: type[BaseModel], *, width: int | None = None) -> str:
    """The parameters of a model and of the models within it, as wide as the terminal; a long cell goes on
    below itself.
    """
    width = width or max(shutil.get_terminal_size((150, 40)).columns, NARROWEST)
    drawn = io.StringIO()
    console = Console(file=drawn, width=width, color_system=None)
    for title, one in _with_inner(model, None, set()):
        if title:
            console.print(Text(f"\n{title}"))
        console.print(_table(one))
    lines = drawn.getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def _table(model: type[BaseModel]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, no_wrap=heading == "name", max_width=40 if heading == "type" else None)
    for name, f in model.model_fields.items():
        annotation = Annotated[f.annotation, *f.metadata] if f.metadata else f.annotation
        cells = (f.alias or name, type_name(annotation), _default(f), _bounds(f), f.description or "")
        table.add_row(*(Text(c) for c in cells))  # Text: brackets in a default are no markup
    return table


def _with_inner(model: type[BaseModel], title: str | None, seen: set[type]) -> list[tuple[str | None, type[BaseModel]]]:
    """The model, then those within it, each once."""
    found = [(title, model)]
    seen.add(model)
    for name, field in model.model_fields.items():
        for inner in models_in(field.annotation):
            if inner not in seen:
                several = get_origin(field.annotation) in (list, tuple)
                found += _with_inner(inner, f"{name}: each takes" if several else f"{name} takes", seen)
    return found


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation names, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for a in get_args(annotation) for m in models_in(a)]


def type_name(annotation: Any) -> str:
    """A type as one writes it in a params file; what names something in the data says what.

    >>> type_name(list[str]), type_name(Literal["any", "first"]), type_name(int | None)
    ('list of text', 'any | first', 'whole number')
    """
    names = {
        str: "text",
        int: "whole number",
        float: "number",
        Any: "any value",
        list: "list",
        bool: "true or false",
        dict: "mapping",
    }
    if annotation in names:
        return names[annotation]
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        named = next((m.kind for m in inner[1:] if isinstance(m, Names)), None)
        return named or type_name(inner[0])
    if origin is Literal:
        return " | ".join(str(a) for a in inner)
    if origin in (list, tuple, set):
        return f"list of {type_name(inner[0])}"
    if origin is dict:
        return f"{type_name(inner[0])}: {type_name(inner[1])}"
    if inner:
        return " | ".join(dict.fromkeys(type_name(a) for a in inner if a is not type(None)))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping (below)"
    return getattr(annotation, "__name__", str(annotation))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ([], (), {}):
        return "none"
    return value if isinstance(value, str) else repr(value)


def _bounds(field: FieldInfo) -> str:
    found = [
        (sign, getattr(m, name)) for m in field.metadata for name, sign in SIGNS if getattr(m, name, None) is not None
    ]
    return ", ".join(f"{sign} {bound}" for sign, bound in found)
