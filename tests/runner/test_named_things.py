"""What parameters name is looked up before anything runs. Expected names are written down by hand from the events of each test."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import ibis
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from launchpad_lib.cli.main import main
from launchpad_lib.contract.arrow import arrow_schema
from launchpad_lib.contract.tables import EVENTS as EVENTS_TABLE
from launchpad_lib.findings.log_results import events_by_name
from launchpad_lib.ingestion import SourceSpec, commit, prepare
from launchpad_lib.lake import newest_versions, open_lake
from launchpad_lib.lake.known_names import KnownNames
from launchpad_lib.lake.manifests import read_body, write_body
from launchpad_lib.metrics.checks import names_in, unknown_names
from launchpad_lib.metrics.remembered import names_of_lake
from launchpad_lib.runner.named_things import check_named_things, doubts_about_features, named_things
from launchpad_lib.runner.parameters import ParameterError, RunParams, load_run

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
AT = "2026-01-01T00:00:00Z"
HOSTILE = (
    "$browser",
    "utm.source",
    "org:group",
    "a*b",
    "cart[0]",
    "it's",
    'say "hi"',
    "🛒 cart",
    "سلة",
    " ",
    "k" * 5000,
)
EVENTS = [
    {"event_name": "cart", "user_id": "u", "event_at": AT, "feature_id": "shop", "plan": "pro"},
    {"event_name": "buy", "user_id": "u", "event_at": AT, "properties": {name: 1 for name in HOSTILE}},
    *({"event_name": name, "user_id": "u", "event_at": AT} for name in HOSTILE if name.strip()),
    {"event_name": "experiment_exposed", "user_id": "u", "event_at": AT, "experiment_id": "colour", "variant": "red"},
    {"event_name": "experiment_exposed", "user_id": "v", "event_at": AT, "experiment_id": "price", "variant": 0},
]


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("named")
    rows = [json.dumps({"event_id": str(number)} | event) for number, event in enumerate(EVENTS)]
    (folder / "events.jsonl").write_text("\n".join(rows) + "\n")
    source = SourceSpec(table="events", path=str(folder / "events.jsonl"))
    commit(prepare(source, lake=folder / "lake", ingested_at=datetime(2026, 1, 2, tzinfo=UTC)), lake=folder / "lake")
    return folder / "lake"


def check(
    lake: Path,
    sequence: tuple[str, ...] = ("funnels",),
    features: list | None = None,
    observed_through: datetime | None = None,
    **notebooks: dict,
) -> None:
    run = RunParams(name="x", lake=str(lake), sequence=[list(sequence)], notebooks=notebooks, features=features or [])
    versions = newest_versions(lake)
    check_named_things(run, versions=versions, notebooks=NOTEBOOKS, observed_through=observed_through)


def test_all_unknown_names_of_a_run_are_told_together_each_with_its_place_and_the_nearest_right_ones(lake):
    steps = ["cart", {"event": "bui", "where": {"plann": ["pro", "team"], "plan": "pro"}}]
    with pytest.raises(ParameterError) as caught:
        check(
            lake,
            ("funnels", "experiments", "data_quality"),
            features=[{"feature_id": "shop", "start_event": "cartt"}],
            funnels={"steps": steps, "exclusions": [{"event": "carts"}], "breakdown": "platfrm", "feature_id": "shpo"},
            experiments={"experiment_id": "colour", "control": "blue", "metric_event": "buy"},
            data_quality={"drift_columns": ["latency", "plan"]},
        )
    told = str(caught.value).split("\n  ")
    assert told[0].endswith("events at version 1: 8 names of the parameters are not there:")
    assert [line.partition(";")[0] for line in told[1:]] == [
        "features[0].start_event: no event 'cartt' among the names of events",
        "notebooks.funnels.feature_id: no feature 'shpo' among the declared features, the table features, telemetry and events",
        "notebooks.funnels.steps[1].event: no event 'bui' among the names of events",
        "notebooks.funnels.steps[1].where: no property 'plann' among the columns of events and the keys of their properties",
        "notebooks.funnels.exclusions[0].event: no event 'carts' among the names of events",
        "notebooks.funnels.breakdown: no property 'platfrm' among the columns of events and the keys of their properties",
        "notebooks.experiments.control: no variant 'blue' among the exposures of its experiment",
        "notebooks.data_quality.drift_columns[0]: no column 'latency' among the columns of events and telemetry and the keys of properties",
    ]
    for line, nearest in zip(
        told[1:], ("cart", "shop", "buy", "plan", "cart", "platform", "red", "latency_ms"), strict=True
    ):
        assert nearest in line.partition(";")[2]


@pytest.mark.parametrize("name", [n for n in HOSTILE if n.strip()], ids=lambda n: ascii(n)[:12])
def test_a_name_of_any_characters_is_found_as_it_is_and_only_as_it_is(lake, name):
    check(
        lake, funnels={"steps": [name, {"event": "buy", "where": {name: 1}}], "breakdown": name, "hold_constant": name}
    )
    with pytest.raises(ParameterError, match="2 names"):
        check(lake, funnels={"steps": ["buy", f"{name}x"], "breakdown": f"{name}x"})


def test_a_misspelt_experiment_is_told_without_its_variant(lake):
    with pytest.raises(ParameterError) as caught:
        check(
            lake, ("experiments",), experiments={"experiment_id": "color", "control": "nobody", "metric_event": "buy"}
        )
    assert "notebooks.experiments.experiment_id: no experiment 'color'" in str(caught.value)
    assert "did you mean 'colour'?" in str(caught.value) and "nobody" not in str(caught.value)


def test_a_variant_belongs_to_its_own_experiment_and_may_be_a_number(lake):
    told = {"experiment_id": "price", "control": "0", "metric_event": "buy"}
    check(lake, ("experiments",), experiments=told)
    with pytest.raises(ParameterError, match="no variant 'red'"):
        check(lake, ("experiments",), experiments=told | {"control": "red"})


FULL = {
    "experiment_id": "price",
    "control": "0",
    "metrics": [{"event": "buy"}, {"event": "cart", "role": "guardrail", "margin": 0.1}],
    "planned_units": 9,
}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"control": "9"}, r"experiments\[0\].control: no variant '9'"),
        ({"shares": {"0": 0.5, "1": 0.5}}, r"experiments\[0\].shares: no variant '1'"),
        ({"metrics": [{"event": "by"}]}, r"metrics\[0\].event: no event 'by' .*'buy'"),
        (
            {"metrics": [{"event": "buy"}, {"event": "carts", "role": "guardrail", "margin": 0.1}]},
            r"metrics\[1\].event: no event 'carts' .*'cart'",
        ),
        ({"shares": {"0": 0.5, "1": 0.4}}, "add up to 0.9"),
        ({"starts_on": "2026-02-01", "ends_on": "2026-01-01"}, "ends_on=2026-01-01: lies before starts_on"),
    ],
    ids=["control", "variant", "metric", "guardrail", "shares", "end before start"],
)
def test_where_a_plan_and_the_data_disagree_it_is_named_before_the_run(lake, changed, told):
    """Each item of the list of bad input by itself; the plan that is changed has no fault."""
    check(lake, ("experiments",), experiments={"experiments": [FULL]})
    with pytest.raises((ParameterError, ValueError), match=told):
        check(lake, ("experiments",), experiments={"experiments": [FULL | changed]})


def test_a_variant_and_its_share_may_be_said_as_the_number_that_they_are(lake):
    told = {"experiment_id": "price", "control": 0, "metric_event": "buy", "shares": {0: 0.95, 1: 0.05}}
    run = RunParams(name="x", lake=str(lake), sequence=[["experiments"]], notebooks={"experiments": told})
    given = run.for_notebook("experiments", notebooks=NOTEBOOKS)
    assert (given["control"], given["shares"]) == ("0", {"0": 0.95, "1": 0.05})


def planned(lake: Path, folder: Path, *rows: dict) -> Path:
    """A copy of the lake with these rows in its table `experiments`."""
    shutil.copytree(lake, folder / "lake")
    (folder / "plans.jsonl").write_text("".join(json.dumps(r | {"plan": json.dumps(r["plan"])}) + "\n" for r in rows))
    source = SourceSpec(table="experiments", path=str(folder / "plans.jsonl"))
    commit(prepare(source, lake=folder / "lake", ingested_at=datetime(2026, 1, 2, tzinfo=UTC)), lake=folder / "lake")
    return folder / "lake"


def test_plans_of_the_table_experiments_are_looked_up_with_all_other_names(lake, tmp_path):
    """One plan's names are right; the other misspells an event, a variant and a property; the third is to come."""
    right = {"experiment_id": "price", "control": "0", "plan": {"metrics": [{"event": "buy"}], "planned_units": 9}}
    wrong = {"metrics": [{"event": "bui"}], "segments": ["plann"], "planned_units": 9}
    to_come = {"metrics": [{"event": "gift"}], "planned_units": 9, "starts_on": "2026-01-03"}
    there = planned(
        lake,
        tmp_path,
        right,
        {"experiment_id": "colour", "control": "rad", "plan": wrong},
        {"experiment_id": "next", "control": "old", "plan": to_come},
    )
    at = datetime(2026, 1, 2, tzinfo=UTC)
    with pytest.raises(ParameterError) as caught:
        check(there, ("experiments", "funnels"), observed_through=at, funnels={"steps": ["cart", "buyy"]})
    told = [line.partition(";") for line in str(caught.value).split("\n  ")[1:]]
    assert [(head.partition(": no ")[0], head.partition(": no ")[2].split(" among")[0]) for head, _, _ in told] == [
        ("notebooks.funnels.steps[1]", "event 'buyy'"),
        ("table experiments, 'colour'.control", "variant 'rad'"),
        ("table experiments, 'colour'.metrics[0].event", "event 'bui'"),
        ("table experiments, 'colour'.segments[0]", "property 'plann'"),
    ]
    assert all(right in tail for right, (_, _, tail) in zip(("buy", "red", "buy", "plan"), told, strict=True))
    check(there, ("funnels",), funnels={"steps": ["cart", "buy"]})  # no page reads the plans
    # a plan of the params stands for the one of the table
    mended = {"experiment_id": "colour", "control": "red", "metrics": [{"event": "buy"}], "planned_units": 9}
    check(there, ("experiments",), observed_through=at, experiments={"experiments": [mended]})
    with pytest.raises(ParameterError, match="no experiment 'next'"):
        check(
            there,
            ("experiments",),
            observed_through=datetime(2026, 1, 3, 1, tzinfo=UTC),
            experiments={"experiments": [mended]},
        )


def test_a_plan_of_the_table_that_contradicts_itself_ends_the_run_before_a_page(lake, tmp_path):
    there = planned(lake, tmp_path, {"experiment_id": "colour", "control": "red", "plan": {"metrics": []}})
    with pytest.raises(ParameterError, match="table experiments, experiment 'colour': metrics: "):
        check(there, ("experiments",))


def test_a_lake_without_events_is_told_once_and_not_name_by_name(tmp_path):
    with pytest.raises(ParameterError) as caught:
        check(tmp_path / "none", funnels={"steps": ["cart", "buy"], "breakdown": "plan"})
    assert str(caught.value).endswith(
        "holds no events, so none of the 3 unknown names of the parameters can be looked up; see that the files of `sources` have rows"
    )


def test_parameters_of_notebooks_that_do_not_run_are_not_looked_up(lake):
    check(lake, ("data_quality",), funnels={"steps": ["never", "ever"]})


def test_an_empty_text_null_and_absence_name_nothing(lake):
    for said in ({}, {"breakdown": ""}, {"breakdown": None}):
        check(lake, funnels={"steps": ["cart", "buy"], **said})
        run = RunParams(name="x", lake=str(lake), sequence=[["funnels"]], notebooks={"funnels": said})
        assert run.for_notebook("funnels", notebooks=NOTEBOOKS)["breakdown"] is None


def test_the_events_of_a_feature_that_is_still_to_be_released_are_not_looked_up(lake):
    """The log ends on 1 January: a feature of the 2nd cannot have been tracked, one of the 1st can."""
    feature = {"feature_id": "new", "released_on": "2026-01-02", "start_event": "opened", "complete_event": "done"}
    through = datetime(2026, 1, 1, 12, tzinfo=UTC)
    for midnight in (through, datetime(2026, 1, 2, tzinfo=UTC)):  # which ends the 1st, as on the pages
        check(lake, features=[feature], observed_through=midnight)
    for released_on, seen in (("2026-01-01", through), ("2026-01-02", None)):
        with pytest.raises(ParameterError, match="'opened'"):
            check(lake, features=[feature | {"released_on": released_on}], observed_through=seen)


@pytest.mark.parametrize(
    ("zone", "is_looked_up"),
    [("Pacific/Auckland", True), ("America/Los_Angeles", False), ("UTC", False)],  # 12:30 UTC is 01:30 and 04:30 there
)
def test_the_last_day_of_the_log_is_taken_by_the_calendar_of_the_pages(lake, tmp_path, zone, is_looked_up):
    """The log ends on 1 January at 12:30 UTC, when it is the 2nd in Auckland, and the 1st everywhere else asked here."""
    through = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
    feature = {"feature_id": "new", "released_on": "2026-01-02", "start_event": "opened"}
    plan = {"metrics": [{"event": "gift"}], "planned_units": 9, "starts_on": "2026-01-02"}
    there = planned(lake, tmp_path, {"experiment_id": "next", "control": "old", "plan": plan})
    of_params = {"experiments": [{"experiment_id": "next", "control": "old"} | plan]}
    for folder, page, told, said in (
        (lake, "funnels", "'opened'", {"features": [feature], "funnels": {"steps": ["cart", "buy"]}}),
        (there, "experiments", "no experiment 'next'", {"experiments": {}}),
        (lake, "experiments", "no experiment 'next'", {"experiments": of_params}),
    ):
        said[page]["report_timezone"] = zone
        if is_looked_up:
            with pytest.raises(ParameterError, match=told):
                check(folder, (page,), observed_through=through, **said)
        else:
            check(folder, (page,), observed_through=through, **said)


def test_a_feature_is_looked_up_as_soon_as_one_page_counts_it(lake):
    """Two pages with two calendars: one says that the feature is out."""
    through = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
    feature = {"feature_id": "new", "released_on": "2026-01-02", "start_event": "opened"}
    pages = {
        "funnels": {"report_timezone": "America/Los_Angeles", "steps": ["cart", "buy"]},
        "engagement": {"report_timezone": "Pacific/Auckland"},
    }
    with pytest.raises(ParameterError, match="'opened'"):
        check(lake, ("funnels", "engagement"), features=[feature], observed_through=through, **pages)


def test_a_declared_feature_is_known_though_no_event_has_its_id(lake):
    check(lake, features=[{"feature_id": "new"}], funnels={"feature_id": "new"})
    check(lake, funnels={"feature_id": "shop"})


def test_names_are_those_of_the_pinned_version_and_of_an_absent_table_none(lake):
    with KnownNames(lake, versions={"events": 0}) as created, KnownNames(lake, versions={}) as absent:
        assert created.events() == absent.events() == absent.features() == absent.variants() == set()
    with KnownNames(lake, versions={"events": 1}) as filled:
        assert filled.events() == {"cart", "buy", "experiment_exposed", *(n for n in HOSTILE if n.strip())}
        assert filled.properties() >= {"plan", *HOSTILE} and "event_name" in filled.properties()
        assert filled.variants() == {("colour", "red"), ("price", "0")}


def test_properties_that_are_no_json_object_name_nothing_and_end_no_run(tmp_path):
    texts = ["{bad", "[1]", "null", None, '{"kept": 1}', '{"experiment_id": "e", "variant": true}']
    every = {"event_name": "experiment_exposed", "user_id": "u", "event_at": datetime(2026, 1, 1)}
    rows = [{"event_id": str(n), "properties": t, **every} for n, t in enumerate(texts)]
    log = pa.Table.from_pylist(rows, schema=arrow_schema(EVENTS_TABLE))
    log = log.append_column("event_on", pa.array([date(2026, 1, 1)] * len(rows)))
    write_deltalake(str(tmp_path / "events"), log, partition_by=["event_on"])
    with KnownNames(tmp_path, versions={"events": 0}) as found:
        assert found.properties() - {c.name for c in EVENTS_TABLE.columns} == {"kept", "experiment_id", "variant"}
        assert found.variants() == {("e", "true")}


def test_everything_that_the_weekly_run_names_is_marked():
    """Counted by hand in params/weekly.yaml: 22 events of five features, 5 steps and 1 property, 1 property and 3 events of
    cohorts, 4 of the experiment, 4 columns that are watched."""
    run = load_run(ROOT / "params/weekly.yaml")
    found = list(named_things(run, notebooks=NOTEBOOKS))
    assert len([n for n in found if n.place.startswith("features")]) == 22
    in_notebooks = [n for n in found if n.place.startswith("notebooks")]
    assert [n.kind for n in in_notebooks].count("event") == 10
    assert {(n.kind, n.name) for n in in_notebooks} >= {
        ("property", "platform"), ("experiment", "result_layout"), ("variant", "control"), ("event", "result_shared"),
    }  # fmt: skip


def test_the_command_ends_with_2_before_a_notebook_runs_and_leaves_no_report(tmp_path, lake, capsys):
    (tmp_path / "p.yaml").write_text(
        f"name: x\nlake: {lake}\nreports: {tmp_path}/reports\nsequence: [[funnels]]\nnotebooks: {{funnels: {{steps: [cart, bui, byu]}}}}\n"
    )
    assert main(["report", str(tmp_path / "p.yaml"), "--run-id", "r"]) == 2
    shown = capsys.readouterr()
    assert "2 names of the parameters are not there" in shown.err and "funnels: " not in shown.out
    assert not list((tmp_path / "reports").glob("*"))


def test_the_names_of_an_opened_lake_are_those_its_events_hold(lake):
    """Against the events themselves, read as any other table is read."""
    events = open_lake(lake).events
    plain = ibis.memtable(events.to_pandas())
    assert names_of_lake(events) is not None and names_of_lake(plain) is None
    for column in ("event_name", "feature_id"):
        assert names_in(events, column) == names_in(plain, column)
    for name in [*HOSTILE, "plan", "nowhere", "plann"]:
        assert unknown_names(events, properties=[name]) == unknown_names(plain, properties=[name])
    counts = {name: found.rows for name, found in names_of_lake(events)["event"].items()}
    assert counts == plain.event_name.value_counts().to_pandas().set_index("event_name").iloc[:, 0].to_dict()
    assert events_by_name(events).equals(events_by_name(plain))


def test_an_index_that_has_no_names_yet_is_made_again(lake):
    for path in (lake / "_index" / "events_parts" / "versions").glob("*.json"):
        body = read_body(path)
        for parts in body["days"].values():
            parts.pop("names", None)
        write_body(path, body)
    assert unknown_names(open_lake(lake).events, event_names=["cart"], properties=["plan"]) is None


def test_what_the_features_table_names_and_the_log_does_not_know_is_told_and_its_newest_row_holds(tmp_path):
    """The first table names buy and cart, which happened. The edited one, kept by the newest row, misspells one of them
    and adds a feature that nobody met."""
    rows = [json.dumps({"event_id": str(number)} | event) for number, event in enumerate(EVENTS)]
    (tmp_path / "events.jsonl").write_text("\n".join(rows) + "\n")
    head = "feature_id,owner_team,start_event,interaction_events\n"

    def doubts(features: str) -> list[str]:
        (tmp_path / "features.csv").write_text(head + features)
        for table, name in (("events", "events.jsonl"), ("features", "features.csv")):
            source = SourceSpec(table=table, path=str(tmp_path / name))
            commit(
                prepare(source, lake=tmp_path / "lake", ingested_at=datetime(2026, 1, 2, tzinfo=UTC)),
                lake=tmp_path / "lake",
            )
        run = RunParams.model_validate({"name": "x", "lake": str(tmp_path / "lake"), "sequence": [["funnels"]]})
        return doubts_about_features(run, versions=newest_versions(tmp_path / "lake"))

    assert doubts('shop,core,buy,"[""cart""]"\n') == []
    misspelt, unmet = doubts('shop,growth,bui,"[""cart""]"\nshopp,growth,,\n')
    assert misspelt.startswith("table features, 'shop'.start_event: no event 'bui' in the log; did you mean 'buy'")
    assert unmet.startswith("table features: 'shopp' occurs in no event and no telemetry; did you mean 'shop'")
    teams = open_lake(tmp_path / "lake").features.to_pandas().set_index("feature_id")["owner_team"]
    assert teams.to_dict() == {"shop": "growth", "shopp": "growth"}, "one row a feature, the newest"
    assert doubts('shop,core,buy,"[""cart""]"\n') != [], "shopp is still there: a row is edited, not removed"
    teams = open_lake(tmp_path / "lake").features.to_pandas().set_index("feature_id")["owner_team"]
    assert teams["shop"] == "core", "what is edited back is taken, though that content was there before"
