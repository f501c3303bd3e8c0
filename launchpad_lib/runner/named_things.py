"""What the parameters of a run name, looked up in the lake before any notebook runs; all unknown names are told
together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel

from launchpad_lib.contract.experiments import PlannedExperiment, planned_experiments
from launchpad_lib.contract.features import declared_features
from launchpad_lib.contract.named import Kind, Names
from launchpad_lib.contract.names import nearest
from launchpad_lib.contract.sentences import counted
from launchpad_lib.findings.releases import begins_after, last_day, released_after
from launchpad_lib.lake.known_names import KnownNames
from launchpad_lib.runner.notebook_parameters import ExperimentsParams
from launchpad_lib.runner.parameters import ParameterError, RunParams

SEARCHED: dict[Kind, str] = {
    "event": "among the names of events",
    "property": "among the columns of events and the keys of their properties",
    "feature": "among the declared features, the table features, telemetry and events",
    "experiment": "among the exposures (events experiment_exposed with the properties experiment_id and variant)",
    "variant": "among the exposures of its experiment",
    "column": "among the columns of events and telemetry and the keys of properties",
}


class Named(NamedTuple):
    """One name in the parameters: where it stands, what it names, and for a variant the experiment that it
    belongs to.
    """

    place: str
    kind: Kind
    name: str
    within: str | None
    is_default: bool


def check_named_things(
    run: RunParams, *, versions: Mapping[str, int], notebooks: Path, observed_through: datetime | None = None
) -> None:
    """Looks up everything that the parameters of the notebooks of a run name, and the plans of the table `experiments`
    where a page reads them.

    Args:
        observed_through: of events, in UTC; a feature that is released, and a plan of the table that starts, on a
            later day of the report's zone names what is still to come.

    Raises:
        ParameterError: every unknown name with its place, the nearest known ones and where it was searched; or a plan
            of the table that cannot be read.
    """
    named = list(named_things(run, notebooks=notebooks, observed_through=observed_through))
    with KnownNames(run.lake, versions=versions) as lake:
        named += _of_planned(run, lake, notebooks=notebooks, observed_through=observed_through)
        known = _known({n.kind for n in named}, lake, run)
        try:
            declared_features(run.features, lake.features_table())
        except ValueError as error:  # what params and table say together: each alone was read before
            raise ParameterError(str(error)) from error
    unknown = [n for n in named if n.name not in _names_for(n, known)]
    if not unknown:
        return
    if known.get("event") == set():
        raise ParameterError(
            f"lake {run.lake}: holds no events, so none of the {counted(len(unknown), 'unknown name')} "
            "of the parameters can be looked up; see that the files of `sources` have rows"
        )
    told = [_told(n, _names_for(n, known)) for n in unknown]
    place = f"lake {run.lake}, " + (f"events at version {versions['events']}" if "events" in versions else "no events")
    if len(told) == 1:
        raise ParameterError(f"{place}: {told[0]}")
    raise ParameterError("\n  ".join([f"{place}: {len(told)} names of the parameters are not there:", *told]))


def doubts_about_features(run: RunParams, *, versions: Mapping[str, int]) -> list[str]:
    """A sentence for each feature of the table `features` that the log does not know, and for each event that the table
    names and that never happened: what asks for them finds nothing. A feature may be declared before it is used, so
    this ends no run.
    """
    told = []
    with KnownNames(run.lake, versions=versions) as lake:
        features, events, met = declared_features((), lake.features_table()), lake.events(), lake.features_of_log()
    for named in (n for f in features for n in named_in(f, f"table features, {f.feature_id!r}")):
        if named.kind == "event" and named.name not in events:
            told.append(f"{named.place}: no event {named.name!r} in the log; {nearest(named.name, events)}")
    told += [
        f"table features: {f.feature_id!r} occurs in no event and no telemetry; {nearest(f.feature_id, met)}"
        for f in features
        if f.feature_id not in met and not set(f.event_names) & events
    ]
    return told


def named_things(run: RunParams, *, notebooks: Path, observed_through: datetime | None = None) -> Iterator[Named]:
    """Everything that is named by the declared features and by the parameters of the notebooks in the sequence, but for
    the events of a feature that is released after `observed_through`, by the calendar of every page that asks for it:
    nobody can have tracked them yet.
    """
    pages = {n: run.parameters_of(n, notebooks=notebooks) for stage in run.sequence for n in stage}
    asking = [page for page in pages.values() if "features" in type(page).model_fields] or list(pages.values())
    newest = max((_last_day(observed_through, page) for page in asking), default=date.max)
    for number, feature in enumerate(run.features):
        if released_after(feature, newest) is None:
            yield from named_in(feature, f"features[{number}]")
    for number, rule in enumerate(run.alerts):
        yield from named_in(rule, f"alerts[{number}]")
    for name, page in pages.items():
        of_the_run = set() if "features" in run.notebooks.get(name, {}) else {"features"}
        newest = _last_day(observed_through, page)
        yield from named_in(page, f"notebooks.{name}", without=of_the_run, newest=newest)


def _last_day(observed_through: datetime | None, page: BaseModel) -> date:
    """The last day of the log by a page's calendar; the end of time where nobody knows it."""
    if observed_through is None:
        return date.max
    return last_day(observed_through, getattr(page, "report_timezone", "UTC"))


def _of_planned(
    run: RunParams, lake: KnownNames, *, notebooks: Path, observed_through: datetime | None
) -> Iterator[Named]:
    """What the plans of the table `experiments` name, as far as they are asked about."""
    for name in (n for stage in run.sequence for n in stage):
        asked = run.parameters_of(name, notebooks=notebooks)
        if not isinstance(asked, ExperimentsParams):
            continue
        try:
            plans = planned_experiments(
                asked.experiments,
                lake.experiments_table(),
                experiment_id=asked.experiment_id if asked.control is None else None,
            )
        except ValueError as error:
            raise ParameterError(f"lake {run.lake}: {error}") from error
        for plan in (p for p in plans if p not in asked.experiments):
            newest = _last_day(observed_through, asked)
            yield from named_in(plan, f"table experiments, {plan.experiment_id!r}", newest=newest)


def named_in(
    model: BaseModel, place: str, *, without: Collection[str] = (), newest: date = date.max
) -> Iterator[Named]:
    """What the fields of a model name, at any depth, in their order; nothing of an experiment that brings its own
    counts or begins after the day `newest`.
    """
    if isinstance(model, PlannedExperiment) and (model.aggregates or begins_after(model, newest) is not None):
        return
    for field, info in type(model).model_fields.items():
        if field in without:
            continue
        annotation = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
        is_default = field not in model.model_fields_set
        for at, names, said in _named(annotation, getattr(model, field), f"{place}.{field}", newest):
            if isinstance(names, Named):  # of a model within
                yield names
            else:
                within = getattr(model, names.within, None) if names.within else None
                yield Named(at, names.kind, said, within, is_default)


def _named(annotation: Any, value: Any, place: str, newest: date) -> Iterator[tuple[str, Names | Named, str]]:
    """(place, what it names, name) of a value, as its annotation says."""
    if isinstance(value, BaseModel):
        yield from ((n.place, n, n.name) for n in named_in(value, place, newest=newest))
        return
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        names = next((m for m in inner[1:] if isinstance(m, Names)), None)
        if names is not None and isinstance(value, str):
            yield place, names, value
        else:
            yield from _named(inner[0], value, place, newest)
    elif isinstance(value, list | tuple) and origin in (list, tuple):
        for number, item in enumerate(value):
            yield from _named(inner[0], item, f"{place}[{number}]", newest)
    elif isinstance(value, dict) and origin is dict:
        for key, item in value.items():
            yield from _named(inner[0], key, place, newest)
            yield from _named(inner[1], item, f"{place}.{key}", newest)
    elif origin in (Union, UnionType):
        for one in inner:
            yield from _named(one, value, place, newest)


def _known(kinds: set[Kind], lake: KnownNames, run: RunParams) -> dict[Kind, Any]:
    """The names of each kind that is asked for; one query each. Variants are pairs of experiment and variant."""
    known: dict[Kind, Any] = {}
    if "event" in kinds:
        known["event"] = lake.events()
    if "property" in kinds:
        known["property"] = lake.properties()
    if "column" in kinds:
        known["column"] = lake.columns()
    if "feature" in kinds:
        known["feature"] = lake.features() | {f.feature_id for f in run.features}
    if kinds & {"experiment", "variant"}:
        known["variant"] = lake.variants()
        known["experiment"] = {experiment for experiment, _ in known["variant"]}
    return known


def _names_for(one: Named, known: Mapping[Kind, Any]) -> set[str]:
    """The known names that one can be; a variant of an unknown experiment is not told beside it."""
    if one.kind != "variant":
        return known[one.kind]
    is_told_already = one.within is not None and one.within not in known["experiment"]
    return {v for e, v in known["variant"] if one.within in (None, e)} | ({one.name} if is_told_already else set())


def _told(one: Named, known: set[str]) -> str:
    where = f"the default of {one.place}" if one.is_default else one.place
    remedy = "; declare your own" if one.is_default else ""
    shown = repr(one.name if len(one.name) <= 80 else f"{one.name[:79]}…")
    return f"{where}: no {one.kind} {shown} {SEARCHED[one.kind]}; {nearest(one.name, known)}{remedy}"
