"""Typed parameters of a run, checked with those of its notebooks before anything runs."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from launchpad_lib.contract.experiments import PlannedExperiment, PlannedMetric
from launchpad_lib.contract.features import Feature
from launchpad_lib.contract.names import nearest
from launchpad_lib.contract.tables import TABLES
from launchpad_lib.delivery.channels import Channel
from launchpad_lib.ingestion import SourceSpec
from launchpad_lib.runner.alert_rules import AlertRule, check_channels
from launchpad_lib.runner.notebook_parameters import NOTEBOOKS
from launchpad_lib.runner.own_notebooks import check_name, model_for
from launchpad_lib.runner.parameter_table import models_in
from launchpad_lib.runner.shared_parameters import ObservedThrough, ParameterError
from launchpad_lib.runner.workbook import workbook_of

__all__ = ["NOTEBOOKS", "ParameterError", "RunParams", "Simulation", "SourceSpec", "load_run"]


ChannelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")]


class Simulation(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    seed: int = Field(default=20260101, ge=0, description="the same seed gives the same data")
    users: int = Field(default=500, ge=10, le=100_000, description="users")
    days: int = Field(default=14, ge=2, le=365, description="days of events")


class RunParams(BaseModel):
    """A run: where rows come from, which notebooks in which order, with which parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$", description="name of the run; lower case letters, digits, _ and -"
    )
    lake: str = Field(default="data/lake", description="folder of the Delta tables")
    lake_versions: dict[str, int] = Field(
        default_factory=dict, description="table: version; to render an earlier run again, from its manifest's inputs"
    )
    observed_through: ObservedThrough = Field(
        default=None,
        description="date or UTC instant through which data are complete, or table: instant; empty: derived",
    )
    reports: str = Field(default="reports", description="folder of the reports")
    timeout_seconds: int = Field(default=300, ge=5, le=86_400, description="longest time of one cell")
    workers: int = Field(default=2, ge=1, le=64, description="notebooks run at the same time")
    simulate: Simulation | None = Field(default=None, description="simulate into data/raw/simulated first")
    sources: list[SourceSpec] = Field(default_factory=list, description="files to ingest")
    retention: dict[str, int] = Field(
        default_factory=dict,
        description="table: whole UTC days that `launchpad retain` keeps before today, such as events: 400",
    )
    features: list[Feature] = Field(
        default_factory=list, description="declared features; the lake's table `features` adds to them"
    )
    sequence: list[list[str]] = Field(min_length=1, description="stages; the notebooks of a stage run side by side")
    notebooks: dict[str, dict] = Field(default_factory=dict, description="parameters per notebook")
    alerts: list[AlertRule] = Field(default_factory=list, description="rules that are judged after the run")
    channels: dict[ChannelName, Channel] = Field(default_factory=dict, description="name: where messages may go")
    digest: list[str] = Field(default_factory=list, description="channels that `launchpad digest --send` sends to")
    base_url: str | None = Field(
        default=None, pattern=r"^https?://[^\s<>|\"']+$", description="where the reports are published, for links"
    )

    @model_validator(mode="after")
    def _channels_are_there(self) -> RunParams:
        check_channels(self.alerts, self.channels, self.digest)
        return self

    @field_validator("retention")
    @classmethod
    def _periods_are_of_tables_with_a_time(cls, value: dict[str, int]) -> dict[str, int]:
        timed = [name for name, table in TABLES.items() if table.time_column is not None or name == "rejected"]
        for name, days in value.items():
            if name not in timed:
                raise ValueError(f"{name!r} is no table with a time; {nearest(name, timed)}")
            if not 1 <= days <= 36_500:
                raise ValueError(f"{name}={days}: whole days from 1 to 36,500; leave it out to keep everything")
        return value

    @field_validator("features")
    @classmethod
    def _each_feature_once(cls, value: list[Feature]) -> list[Feature]:
        ids = [f.feature_id for f in value]
        twice = next((i for i in ids if ids.count(i) > 1), None)
        if twice is not None:
            raise ValueError(f"feature_id {twice!r} stands twice; declare each feature once")
        return value

    def parameters_of(self, name: str, *, notebooks: Path) -> BaseModel:
        """The parameters of one notebook, checked; the run's features where it takes features and names none itself."""
        model, own = model_for(name, notebooks=notebooks), self.notebooks.get(name, {})
        given = {"features": self.features} if "features" in model.model_fields else {}
        return model.model_validate(given | own)

    def for_notebook(self, name: str, *, notebooks: Path, given: dict[str, Any] | None = None) -> dict[str, Any]:
        """The parameters of one notebook as papermill takes them: JSON values; of a feature what is declared.

        Args:
            notebooks: the workbook's folder of notebooks.
            given: what the run itself decides (lake, versions); a notebook gets what its `parameters` cell names.
        """
        parameters = self.parameters_of(name, notebooks=notebooks)
        said = {
            name: [one.model_dump(mode="json", exclude_defaults=True) for one in value]
            for name, value in parameters
            if isinstance(value, list) and value and all(isinstance(one, DECLARED) for one in value)
        }
        decided = {k: v for k, v in (given or {}).items() if k in type(parameters).model_fields}
        return parameters.model_dump(mode="json") | said | decided


def _rule_of_text(model: type[BaseModel], name: str, text: str) -> str | None:
    """The rule that the value breaks as text too; None where quotes are all that is missing."""
    try:
        model.model_validate({name: text})
    except ValidationError as error:
        own = [e for e in error.errors() if e["loc"] == (name,) and e["type"] == "value_error"]
        return own[0]["msg"].removeprefix("Value error, ").removeprefix(f"{name}={text!r}: ") if own else None
    return None


def fault_in_words(error: ValidationError, model: type[BaseModel], place: str) -> str:
    """The first fault in one sentence: place, parameter, value, rule, remedy."""
    first = error.errors()[0]
    path = _path(first["loc"])
    where = ".".join(str(p) for p in path)
    shown = str(first["input"])[:80]
    if first["type"] == "extra_forbidden":
        names = [f.alias or n for n, f in _model_at(model, path[:-1]).model_fields.items()]
        return f"{place}: unknown parameter {where!r}; {nearest(str(path[-1]), names)}"
    if first["type"] == "missing":
        return f"{place}: {where!r} is missing; add it"
    if first["type"] in ("string_type", "model_type") and isinstance(first["input"], date | int | float):
        kind = (
            "a date"
            if isinstance(first["input"], date)
            else "true or false"
            if isinstance(first["input"], bool)
            else "a number"
        )
        rule = _rule_of_text(_model_at(model, path[:-1]), str(path[-1]), shown)
        if rule:  # in quotes it would be refused again: the rule is told at once
            return f"{place}: {where}={shown}: {rule}"
        example = " as it was written" if isinstance(first["input"], bool) else f": '{shown}'"  # TRUE is read as True
        return f"{place}: {where}={shown} is read by YAML as {kind} and must be text; put it in quotes{example}"
    if first["type"] == "bool_type":
        return f"{place}: {where}={shown!r}: must be true or false; write one of these words"
    if first["input"] is None:
        return f"{place}: {where} has no value; give one or leave it out"
    if first["type"] in ("list_type", "tuple_type") and isinstance(first["input"], str | int | float):
        one = repr(shown) if isinstance(first["input"], str) else shown
        return f"{place}: {where}={one}: must be a list; write [{one}] for one"
    rule = (
        first["msg"]
        .removeprefix("Value error, ")
        .removeprefix(f"{where}={first['input']!r}: ")
        .removeprefix(f"{first['input']!r} ")
    )
    if not path:  # several parameters do not fit together: the rule names them
        return f"{place}: {rule}"
    if rule.endswith("?"):  # it names the right ones itself
        return f"{place}: {where}={shown!r}: {rule}"
    return f"{place}: {where}={shown!r}: {rule}; correct it (`launchpad params` lists what is taken)"


def _path(loc: tuple) -> tuple:
    """The place of a fault without the forms and types that were tried on the way (a step is a name or a mapping)."""
    loc = loc[:-1] if loc[-1:] == ("[key]",) else loc  # the fault is in a name itself
    within = [p for i, p in enumerate(loc) if not (i and isinstance(loc[i - 1], int) and p in ("name", "mapping"))]
    return tuple(within[:-1] if len(within) > 2 and within[-1] in ("str", "int", "float", "bool") else within)


def _model_at(model: type[BaseModel], path: tuple) -> type[BaseModel]:
    """The model that stands at a place within another: `sources`, 0 is a SourceSpec."""
    for part in path:
        if not isinstance(part, int) and part in model.model_fields:
            inner = models_in(model.model_fields[part].annotation)
            model = inner[0] if inner else model
    return model


DECLARED = (Feature, PlannedExperiment, PlannedMetric)


class _Loader(yaml.SafeLoader):
    """Refuses a mapping that names a key twice; YAML itself would silently take the last.

    As in YAML 1.2 only true and false are booleans: NO is Norway, and `on` and `off` are variants.
    """

    yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in forms if tag != "tag:yaml.org,2002:bool"]
        for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [k.value for k, _ in node.value if isinstance(k, yaml.ScalarNode) and k.value != "<<"]
        twice = [k for k in keys if keys.count(k) > 1]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def load_run(path: Path) -> RunParams:
    """Reads and checks a params file with every notebook's parameters; own notebooks are those of the file's workbook.

    Raises:
        ParameterError: one sentence.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # a SafeLoader
    except OSError as error:
        raise ParameterError(
            f"{path}: cannot be read ({error.strerror}); give the path of a params file such as params/weekly.yaml"
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ParameterError(
            f"{path}: not readable as YAML ({' '.join(str(error).split())[:160]}); correct that place"
        ) from error
    if not isinstance(content, dict):
        raise ParameterError(f"{path}: must be a mapping of parameters; start from params/weekly.yaml")
    try:
        run = RunParams.model_validate(content)
    except ValidationError as error:
        raise ParameterError(fault_in_words(error, RunParams, str(path))) from error
    asked = [n for stage in run.sequence for n in stage]
    twice = next((n for n in asked if asked.count(n) > 1), None)
    if twice is not None:
        raise ParameterError(f"{path}: sequence names a notebook twice ({twice}); name each once")
    notebooks = workbook_of(path) / "notebooks"
    for name in dict.fromkeys([*asked, *run.notebooks]):
        try:
            check_name(name)
            run.parameters_of(name, notebooks=notebooks)
        except ValidationError as error:
            raise ParameterError(
                fault_in_words(error, model_for(name, notebooks=notebooks), f"{path}, notebooks.{name}")
            ) from error
        except ParameterError as error:
            raise ParameterError(f"{path}: {error}") from error
    return run
