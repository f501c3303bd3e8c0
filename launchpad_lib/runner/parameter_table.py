"""What a parameter model takes, as an aligned table: name, type, default, bounds, description."""

from __future__ import annotations

import textwrap
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

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
WIDTHS = (24, 22, 30, 26)


def describe(model: type[BaseModel], *, width: int = 150) -> str:
    """The parameters of a model and of the models within it; a cell that is too long goes on below itself."""
    rows = [
        (name, type_name(f.annotation), _default(f), _bounds(f), f.description or "")
        for name, f in model.model_fields.items()
    ]
    limits = [min(WIDTHS[i], max(len(r[i]) for r in [HEADINGS, *rows])) for i in range(4)]
    limits.append(max(width - sum(limits) - 8, 30))
    lines = [
        _line(HEADINGS, limits),
        _line(tuple("-" * n for n in limits[:4]) + ("-" * 11,), limits),
        *(_line(r, limits) for r in rows),
    ]
    for name, field in model.model_fields.items():
        for inner in _models(field.annotation):
            lines += [
                "",
                f"{name}: each takes" if get_origin(field.annotation) is list else f"{name} takes",
                describe(inner, width=width),
            ]
    return "\n".join(lines)


def _line(cells: tuple[str, ...], limits: list[int]) -> str:
    wrapped = [textwrap.wrap(c, n) or [""] for c, n in zip(cells, limits, strict=True)]
    height = max(len(w) for w in wrapped)
    return "\n".join(
        "  ".join((w[i] if i < len(w) else "").ljust(n) for w, n in zip(wrapped, limits, strict=True)).rstrip()
        for i in range(height)
    )


def type_name(annotation: Any) -> str:
    """A type as one writes it in a params file.

    >>> type_name(list[str]), type_name(Literal["any", "first"]), type_name(int | None)
    ('list of text', 'any | first', 'whole number')
    """
    names = {str: "text", int: "whole number", float: "number", bool: "true or false", dict: "mapping"}
    if annotation in names:
        return names[annotation]
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(str(a) for a in inner)
    if origin in (list, tuple, set):
        return f"list of {type_name(inner[0])}"
    if origin is dict:
        return f"{type_name(inner[0])}: {type_name(inner[1])}"
    if inner:
        return " | ".join(type_name(a) for a in inner if a is not type(None))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping (below)"
    return getattr(annotation, "__name__", str(annotation))


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [m for a in get_args(annotation) for m in _models(a)]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return "none" if value is None else repr(value) if not isinstance(value, str) else value


def _bounds(field: FieldInfo) -> str:
    found = [
        (sign, getattr(m, name)) for m in field.metadata for name, sign in SIGNS if getattr(m, name, None) is not None
    ]
    return ", ".join(f"{sign} {bound}" for sign, bound in found)
