"""The controls that a notebook's typed parameters make: what each takes, and what can be picked."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from launchpad_lib.app.asking import NOT_ASKED, Asking
from launchpad_lib.contract.legible import shortened, visible
from launchpad_lib.contract.named import Names
from launchpad_lib.contract.zones import zone_names
from launchpad_lib.runner.shared_parameters import ChangeParams

MOST_OPTIONS = 2_000
"""Names offered by one control; others are written by hand."""
SHARED = frozenset(ChangeParams.model_fields) - {"feature_id"}

ControlKind = Literal["choice", "choices", "number", "whole", "switch", "text", "json"]


class Option(NamedTuple):
    """A value as it is stored, and as it is read; None is none at all."""

    value: str | None
    label: str


class Control(NamedTuple):
    """One parameter: `choice` is one of `options`, `choices` an ordered list of them, `json` whatever is no simpler.

    `is_usual`: it stands open; others are folded.
    """

    name: str
    label: str
    kind: ControlKind
    help: str
    options: tuple[Option, ...] = ()
    least: float | None = None
    most: float | None = None
    is_usual: bool = True


def panel(asking: Asking) -> list[Control]:
    """The controls of a notebook: its own parameters first, those that all notebooks take folded behind them."""
    fields = asking.model.model_fields
    found = [_control(name, field, asking) for name, field in fields.items() if name not in NOT_ASKED]
    return sorted((c for c in found if c is not None), key=lambda c: not c.is_usual)


def _control(name: str, field: FieldInfo, asking: Asking) -> Control | None:
    annotation: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    kinds = _kinds(annotation)
    is_usual = name not in SHARED and name not in ("seed", "most_trials", "as_of")
    control = Control(name, name.replace("_", " "), "json", field.description or "", is_usual=is_usual)
    if kinds.models and not kinds.names:
        return None  # whole declarations: those of the params file
    least, most = _limit(field, "ge", "gt"), _limit(field, "le", "lt")
    none = [Option(None, "none")] if kinds.is_optional else []
    if kinds.names is not None and kinds.is_list:
        return control._replace(kind="choices", options=_named(kinds.names, asking))
    if kinds.is_list or kinds.is_mapping:
        return control._replace(is_usual=False)
    if kinds.literals:
        return control._replace(
            kind="choice", options=(*none, *(Option(v, v.replace("_", " ")) for v in kinds.literals))
        )
    if kinds.names is not None:
        return control._replace(kind="choice", options=(*none, *_named(kinds.names, asking)))
    if name == "report_timezone":
        return control._replace(kind="choice", options=tuple(Option(z, z) for z in sorted(zone_names())))
    if kinds.types == {bool}:
        return control._replace(kind="switch")
    if kinds.types in ({int}, {float}):
        return control._replace(kind="whole" if kinds.types == {int} else "number", least=least, most=most)
    return control._replace(kind="text") if kinds.types == {str} else control._replace(is_usual=False)


class _Kinds(NamedTuple):
    types: set[type]
    literals: tuple[str, ...]
    names: Names | None
    models: bool
    is_list: bool
    is_mapping: bool
    is_optional: bool


def _kinds(annotation: Any) -> _Kinds:
    """What an annotation is made of, at any depth."""
    types: set[type] = set()
    literals: list[str] = []
    names: list[Names] = []
    flags = {"models": False, "list": False, "mapping": False, "optional": False}

    def look(one: Any, depth: int) -> None:
        origin, inner = get_origin(one), get_args(one)
        if origin is Annotated:
            names.extend(m for m in inner[1:] if isinstance(m, Names))
            look(inner[0], depth)
        elif origin is Literal:
            literals.extend(str(v) for v in inner)
        elif origin in (list, tuple):
            flags["list"] = True
            look(inner[0], depth + 1)
        elif origin is dict or one is dict:
            flags["mapping"] = True
        elif inner and (origin is Union or str(origin) == "<class 'types.UnionType'>"):
            for part in inner:
                look(part, depth)
        elif one is type(None):
            flags["optional"] = True
        elif isinstance(one, type):
            is_model = issubclass(one, BaseModel)
            flags["models"] |= is_model
            types.update(set() if is_model else {one})

    look(annotation, 0)
    return _Kinds(
        types,
        tuple(literals),
        names[0] if names else None,
        flags["models"],
        flags["list"],
        flags["mapping"],
        flags["optional"],
    )


def _limit(field: FieldInfo, *names: str) -> float | None:
    found = (getattr(m, n, None) for m in field.metadata for n in names)
    return next((float(v) for v in found if v is not None), None)


def _named(names: Names, asking: Asking) -> tuple[Option, ...]:
    known = asking.known(names.kind)[:MOST_OPTIONS]
    return tuple(Option(name, shortened(visible(name))) for name in known)
