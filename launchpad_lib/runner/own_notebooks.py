"""An analyst's own notebook: which parameters its tagged cell takes, and of which types."""

from __future__ import annotations

import ast
import functools
import io
import re
import tokenize
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, Literal, NamedTuple, Optional, Union

import nbformat
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from launchpad_lib.contract.named import NAMED_TYPES
from launchpad_lib.contract.names import nearest
from launchpad_lib.runner.notebook_parameters import NOTEBOOKS
from launchpad_lib.runner.shared_parameters import CheckedParams, FeatureParams, NotebookParams, ParameterError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}")
PLAIN: dict[str, Any] = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict, "Any": Any}
WRITE = 'write NAME: TYPE = VALUE with a value as in JSON, for example window: str = "7d"'


class OwnParams(CheckedParams):
    """The parameters of an own notebook; the fields are those of its cell."""

    model_config = ConfigDict(validate_default=True, protected_namespaces=())


class CellParameter(NamedTuple):
    """One assignment of a `parameters` cell; the description is the comment behind it."""

    name: str
    type: Any
    default: Any
    description: str


def check_name(name: str) -> None:
    """Raises ParameterError unless a notebook of that name can be a file, a page and an address."""
    shown = repr(name if len(name) <= 60 else f"{name[:59]}…")
    if name.lower() == "index":
        raise ParameterError(f"notebook {shown}: a run has a page of that name already; choose another name")
    if not NAME.fullmatch(name):
        rule = "a name has at most 61 letters from a to z, digits, _ and -, and begins with a letter or digit"
        raise ParameterError(f"notebook {shown}: {rule}; choose another name")


def notebook_names(folder: Path) -> list[str]:
    """The notebooks of a workbook: those that Feature Launchpad brings first, then the own ones by name."""
    own = sorted(p.stem for p in folder.glob("*.ipynb") if p.stem not in NOTEBOOKS)
    return [*NOTEBOOKS, *own]


def model_for(name: str, *, notebooks: Path) -> type[BaseModel]:
    """The parameters that a notebook takes: those declared here, and whatever else its tagged cell assigns.

    Raises:
        ParameterError: there is no such notebook, or its `parameters` cell cannot be read; one sentence.
    """
    path = notebooks / f"{name}.ipynb"
    declared = NOTEBOOKS.get(name)
    if declared is not None and not path.is_file():
        return declared
    check_name(name)
    if not path.is_file():
        remedy = f"(notebooks/{name}.ipynb is not there; `launchpad new {name}` makes it)"
        raise ParameterError(f"unknown notebook {name!r}; {nearest(name, notebook_names(notebooks))} {remedy}")
    written = path.stat()
    return _model_of(name, path, (written.st_mtime_ns, written.st_size, written.st_ino))


@functools.lru_cache(maxsize=64)
def _model_of(name: str, path: Path, _as_written: tuple[int, int, int]) -> type[BaseModel]:
    """A run asks four times for each of its notebooks; a notebook that is written again is read again."""
    return _model(name, NOTEBOOKS.get(name), parameters_cell(path), path)


def _model(name: str, base: type[NotebookParams] | None, cell: list[CellParameter], path: Path) -> type[BaseModel]:
    known = base.model_fields if base is not None else {}
    fields: dict[str, Any] = {p.name: _field(p) for p in cell if p.name not in known}
    if base is not None:
        return create_model(base.__name__, __base__=base, **fields) if fields else base
    model = create_model(name, __base__=OwnParams, **fields)
    try:
        model.model_validate({})
    except ValidationError as error:
        first = error.errors()[0]
        said = f"{first['loc'][0]}={str(first['input'])[:80]!r}"
        raise ParameterError(f"{path}: the default {said} does not fit its type: {first['msg']}; correct it") from error
    return model


def _field(parameter: CellParameter) -> tuple[Any, Any]:
    """Type and default. What every notebook takes under a name has the type that is declared for it."""
    common = FeatureParams.model_fields.get(parameter.name)
    if common is not None:
        is_strict = None if parameter.name != "features" else False  # a feature is given as a mapping
        taken = Field(default=parameter.default, description=common.description, strict=is_strict)
        annotation = Annotated[common.annotation, *common.metadata] if common.metadata else common.annotation
        return (annotation, taken)
    return (parameter.type, Field(default=parameter.default, description=parameter.description or "(no comment)"))


def parameters_cell(path: Path) -> list[CellParameter]:
    """The assignments of the one cell tagged `parameters`.

    Raises:
        ParameterError: no such cell, several, or a statement that is no assignment of a value; one sentence.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat raises many kinds, by what is wrong with the file
        raise ParameterError(
            f"{path}: cannot be read as a notebook ({str(error)[:120]}); open and save it in Lab"
        ) from error
    tagged = [c.source for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    if len(tagged) != 1:
        raise ParameterError(
            f"{path}: has {len(tagged) or 'no'} cells tagged `parameters`, and must have one; tag the cell "
            "that holds them"
        )
    try:
        statements = ast.parse(tagged[0]).body
    except (SyntaxError, ValueError) as error:
        raise ParameterError(f"{path}: its `parameters` cell is no Python ({error}); correct it") from error
    comments = _comments(tagged[0])
    found = [_parameter(s, comments.get(s.end_lineno or 0, ""), path) for s in statements]
    names = [p.name for p in found]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise ParameterError(f"{path}: its `parameters` cell assigns {twice!r} twice; keep one")
    return found


def _parameter(statement: ast.stmt, comment: str, path: Path) -> CellParameter:
    targets = [statement.target] if isinstance(statement, ast.AnnAssign) else getattr(statement, "targets", [])
    value = getattr(statement, "value", None)
    place = f"{path}: line {statement.lineno} of its `parameters` cell"
    if len(targets) != 1 or not isinstance(targets[0], ast.Name) or value is None:
        raise ParameterError(f"{place} is no parameter; {WRITE}")
    name = targets[0].id
    if name.startswith("_") or hasattr(BaseModel, name):
        raise ParameterError(f"{place}: {name!r} cannot be the name of a parameter; choose another")
    try:
        default = ast.literal_eval(value)
    except ValueError as error:
        raise ParameterError(f"{place}: the value of {name!r} is computed; {WRITE}") from error
    if not _is_json(default):
        raise ParameterError(f"{place}: the value of {name!r} is a {type(default).__name__}; {WRITE}")
    if not isinstance(statement, ast.AnnAssign):
        return CellParameter(name, _type_of_value(default), default, comment)
    try:
        return CellParameter(name, _type_of(statement.annotation), default, comment)
    except (ValueError, SyntaxError) as error:
        known = ", ".join([*PLAIN, "None", "Literal", "Optional", *NAMED_TYPES])
        raise ParameterError(f"{place}: {name!r} has the type {error}, which is none of {known}; choose one") from error


def _type_of(node: ast.expr) -> Any:
    """The type that an annotation says; ValueError with its text where it says none that JSON has."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _type_of(ast.parse(node.value, mode="eval").body)
    if isinstance(node, ast.Constant) and node.value is None:
        return None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return Union[_type_of(node.left), _type_of(node.right)]  # noqa: UP007
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", None)
    if name in PLAIN or name in NAMED_TYPES:
        return PLAIN.get(name, NAMED_TYPES.get(name))
    if isinstance(node, ast.Subscript):
        outer = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", None)
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if outer == "Literal":
            return Literal[tuple(ast.literal_eval(i) for i in inner)]
        if outer == "Optional" and len(inner) == 1:
            return Optional[_type_of(inner[0])]  # noqa: UP045
        if outer == "list" and len(inner) == 1:
            return GenericAlias(list, (_type_of(inner[0]),))
        if outer == "dict" and len(inner) == 2:
            return GenericAlias(dict, (_type_of(inner[0]), _type_of(inner[1])))
    raise ValueError(ast.unparse(node))


def _type_of_value(value: Any) -> Any:
    """The type of a default that has no annotation; of None and of mixed lists anything."""
    if value is None:
        return Any
    if isinstance(value, list):
        kinds = {type(v) for v in value}
        return GenericAlias(list, (_type_of_value(value[0]),)) if len(kinds) == 1 else list
    return dict if isinstance(value, dict) else type(value)


def _is_json(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_json(v) for v in value)
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_json(v) for k, v in value.items())
    return value is None or isinstance(value, str | int | float | bool)


def _comments(source: str) -> dict[int, str]:
    """Comments by line."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}
