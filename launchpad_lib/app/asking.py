"""Parameters of one notebook: those of the run or of its cell, and what an address or a control asks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl

from pydantic import BaseModel, TypeAdapter, ValidationError

from launchpad_lib.contract.named import Kind
from launchpad_lib.contract.names import nearest
from launchpad_lib.lake import newest_versions
from launchpad_lib.lake.known_names import KnownNames
from launchpad_lib.runner.named_things import SEARCHED, Named, named_in
from launchpad_lib.runner.own_notebooks import model_for, parameters_cell
from launchpad_lib.runner.parameters import ParameterError, RunParams, fault_in_words

NOT_ASKED = frozenset({"lake", "lake_versions", "results"})
"""Paths, and what only a run knows: given by the params file alone."""
MOST_CHARACTERS = 8_000


class Asking:
    """One notebook of a workbook, its lake, and what can be asked of it."""

    def __init__(self, name: str, *, notebooks: Path, run: RunParams | None, root: Path) -> None:
        """`run` is the params file's, its paths relative to `root`; without one the notebook's own cell is taken."""
        self.name, self._notebooks = name, notebooks
        self.model = model_for(name, notebooks=notebooks)
        if run is None:
            cell = {p.name: p.default for p in parameters_cell(notebooks / f"{name}.ipynb")}
            self.lake = (notebooks / cell.get("lake", "../data/lake")).resolve()
            own = {k: v for k, v in cell.items() if k not in NOT_ASKED}
            run = RunParams.model_validate({"name": "live", "sequence": [[name]], "notebooks": {name: own}})
        else:
            self.lake = (root / run.lake).resolve()
        self._run = run

    @cached_property
    def own(self) -> dict[str, Any]:
        """The values where nothing else is asked, as JSON."""
        return self.values({})

    def from_address(self, query: str) -> dict[str, Any]:
        """What a query asks: a JSON value or a bare text by parameter.

        Raises:
            ParameterError: one sentence.
        """
        if len(query) > MOST_CHARACTERS:
            raise ParameterError(f"the address asks with more than {MOST_CHARACTERS:,} characters; use a params file")
        asked: dict[str, Any] = {}
        for name, text in parse_qsl(query.removeprefix("?"), keep_blank_values=True, max_num_fields=100):
            if name in asked:
                raise ParameterError(f"{shown(name)} stands twice in the address; keep one")
            self._check_name(name)
            asked[name] = self._read(name, text)
        return asked

    def values(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Every value of the notebook's parameters, checked as those of a params file are.

        Raises:
            ParameterError: one sentence.
        """
        for name in asked:
            self._check_name(name)
        own = self._run.notebooks.get(self.name, {}) | dict(asked)
        run = self._run.model_copy(update={"notebooks": {self.name: own}})
        now = datetime.now(UTC).isoformat(timespec="seconds")
        given = {"lake": str(self.lake)} | ({} if own.get("as_of") else {"as_of": now})
        try:
            values = run.for_notebook(self.name, notebooks=self._notebooks, given=given)
            self._look_up(run.parameters_of(self.name, notebooks=self._notebooks), set(asked))
        except ValidationError as error:
            raise ParameterError(fault_in_words(error, self.model, self.name)) from error
        return values

    def known(self, kind: Kind, *, within: str | None = None) -> list[str]:
        """The names of a kind that occur in the lake; variants of one experiment."""
        if kind == "variant":
            return sorted({v for e, v in self._names.get("variant", set()) if within in (None, e)})
        return sorted(self._names.get(kind, set()))

    def _check_name(self, name: str) -> None:
        if name in NOT_ASKED and name in self.model.model_fields:
            raise ParameterError(f"{self.name}: {name} cannot be asked here; give it in the params file")
        if name not in self.model.model_fields:
            known = [n for n in self.model.model_fields if n not in NOT_ASKED]
            raise ParameterError(f"{self.name}: unknown parameter {shown(name)}; {nearest(name, known)}")

    def _read(self, name: str, text: str) -> Any:
        """A JSON value where the parameter takes one, else the text itself."""
        field = self.model.model_fields[name]
        try:
            value = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError):
            return text
        if isinstance(value, str) or value is None:
            return value
        kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        try:
            TypeAdapter(kind).validate_python(text, strict=True)
        except ValidationError:
            return value
        return text

    def _look_up(self, asked: BaseModel, names: set[str]) -> None:
        for named in named_in(asked, self.name, without=set(self.model.model_fields) - names):
            known = self.known(named.kind, within=named.within and getattr(asked, named.within, None))
            if named.name not in known:
                raise ParameterError(_unknown(named, known))

    @cached_property
    def _names(self) -> dict[str, Any]:
        if not self.lake.is_dir():
            return {}
        with KnownNames(self.lake, versions=newest_versions(self.lake)) as lake:
            features = lake.features() | {f.feature_id for f in self._run.features}
            variants = lake.variants()
            return {
                "event": lake.events(),
                "property": lake.properties(),
                "column": lake.columns(),
                "feature": features,
                "variant": variants,
                "experiment": {experiment for experiment, _ in variants},
            }


def shown(name: str) -> str:
    """A name of any length as one reads it."""
    return repr(name if len(name) <= 80 else f"{name[:79]}…")


def _unknown(one: Named, known: list[str]) -> str:
    return f"{one.place}: no {one.kind} {shown(one.name)} {SEARCHED[one.kind]}; {nearest(one.name, known)}"


def _refuse(constant: str) -> None:
    raise ValueError(constant)
