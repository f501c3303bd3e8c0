"""Own notebooks: what their `parameters` cell takes, and what is refused before anything runs."""

from __future__ import annotations

import importlib.util
from datetime import datetime
from pathlib import Path

import nbformat
import pytest
from pydantic import ValidationError

from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.runner.named_things import named_things
from launchpad_lib.runner.own_notebooks import model_for, notebook_names, parameters_cell
from launchpad_lib.runner.parameters import ParameterError, RunParams, load_run
from launchpad_lib.runner.workbook_making import new_notebook

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("rules", ROOT / "tests/architecture/test_notebook_rules.py")
rules = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(rules)


def workbook(tmp_path: Path, cell: str | None, name: str = "mine") -> Path:
    """The notebooks folder of a workbook with one own notebook."""
    folder = tmp_path / "notebooks"
    folder.mkdir(exist_ok=True)
    cells = [nbformat.v4.new_markdown_cell("# Mine")]
    if cell is not None:
        cells.append(nbformat.v4.new_code_cell(cell, metadata={"tags": ["parameters"]}))
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / f"{name}.ipynb")
    return folder


def load(tmp_path: Path, said: str) -> RunParams:
    path = tmp_path / "p.yaml"
    path.write_text(f"name: x\nsequence: [[mine]]\nnotebooks: {{mine: {said}}}\n")
    return load_run(path)


CELL = """lake: str = "../data/lake"  # which lake
window: str = "7d"
days: int = 3
share: float = 0.5
steps: list[str] = ["a"]
where: dict[str, int] = {}
mode: "Literal['a', 'b']" = "a"
until: "str | None" = None
least = 2
names = ["x"]
"""


def test_types_come_from_the_annotations_and_without_one_from_the_default(tmp_path):
    folder = workbook(tmp_path, CELL)
    fields = model_for("mine", notebooks=folder).model_fields
    assert fields["lake"].description.startswith("folder of the Delta tables")
    assert [fields[n].annotation for n in ("window", "days", "share", "steps", "where", "least", "names")] == [
        str, int, float, list[str], dict[str, int], int, list[str],
    ]  # fmt: skip
    run = load(tmp_path, "{days: 5, mode: b, until: x, share: 1, least: 4}")
    given = {"lake": "elsewhere", "lake_versions": {"events": 3}}
    assert run.for_notebook("mine", notebooks=folder, given=given) == {
        "lake": "elsewhere", "window": "7d", "days": 5, "share": 1.0, "steps": ["a"], "where": {}, "mode": "b", "until": "x",
        "least": 4, "names": ["x"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("{dayz: 5}", "notebooks.mine: unknown parameter 'dayz'; did you mean 'days'"),
        ("{days: '5'}", "days='5': Input should be a valid integer"),
        ("{days: true}", "days='True': Input should be a valid integer"),
        ("{window: 7}", "window=7 is read by YAML as a number and must be text; put it in quotes: '7'"),
        ("{mode: c}", "mode='c': Input should be 'a' or 'b'"),
        ("{steps: [1]}", "steps.0=1 is read by YAML as a number and must be text"),
        ("{least: many}", "least='many': Input should be a valid integer"),
    ],
)
def test_an_unknown_name_or_a_wrong_type_is_refused_in_one_sentence_before_the_run(tmp_path, said, sentence):
    workbook(tmp_path, CELL)
    with pytest.raises(ParameterError) as caught:
        load(tmp_path, said)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        (None, "has no cells tagged `parameters`, and must have one"),
        ("x = 1 +", "its `parameters` cell is no Python"),
        ("import os", "line 1 of its `parameters` cell is no parameter; write NAME: TYPE = VALUE"),
        ("x: int", "line 1 of its `parameters` cell is no parameter"),
        ("a = b = 1", "line 1 of its `parameters` cell is no parameter"),
        ("\nx = len('a')", "line 2 of its `parameters` cell: the value of 'x' is computed"),
        ("x = {1, 2}", "the value of 'x' is a set"),
        ("x = {1: 2}", "the value of 'x' is a dict"),
        ("x: date = 'a'", "'x' has the type date, which is none of str, int"),
        ("x: 'list[' = []", "'x' has the type"),
        ("x: int = 'a'", "the default x='a' does not fit its type"),
        ("x = 1\nx = 2", "assigns 'x' twice"),
        ("_x = 1", "'_x' cannot be the name of a parameter"),
        ("model_fields = 1", "'model_fields' cannot be the name of a parameter"),
    ],
)
def test_a_parameters_cell_that_cannot_be_read_is_told_in_one_sentence(tmp_path, cell, sentence):
    workbook(tmp_path, cell)
    with pytest.raises(ParameterError) as caught:
        load(tmp_path, "{}")
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_two_cells_tagged_parameters_are_refused(tmp_path):
    path = workbook(tmp_path, "x = 1") / "mine.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("y = 1", metadata={"tags": ["parameters"]}))
    nbformat.write(notebook, path)
    with pytest.raises(ParameterError, match="has 2 cells tagged `parameters`, and must have one"):
        load(tmp_path, "{}")


def test_a_file_that_is_no_notebook_is_told_in_one_sentence(tmp_path):
    (workbook(tmp_path, None) / "mine.ipynb").write_text("no json")
    with pytest.raises(ParameterError, match="cannot be read as a notebook"):
        load(tmp_path, "{}")


@pytest.mark.parametrize(
    "name", ["../secret", "a/b", "", ".hidden", "a b", "Index", "🛒", "x" * 62, "a\u0000b", "a\nb", "-x", "..", "سلة"]
)
def test_a_notebook_name_that_can_be_no_page_is_refused_in_one_sentence(tmp_path, name):
    folder = workbook(tmp_path, "x = 1")
    with pytest.raises(ParameterError) as caught:
        model_for(name, notebooks=folder)
    assert "choose another name" in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 300
    with pytest.raises(ParameterError):
        new_notebook(name, root=tmp_path, lake="data/lake")
    assert [p.name for p in folder.iterdir()] == ["mine.ipynb"]


def test_a_notebook_that_is_not_there_is_told_with_the_nearest_one_and_how_to_make_it(tmp_path):
    workbook(tmp_path, "x = 1")
    (tmp_path / "p.yaml").write_text("name: x\nsequence: [[minee]]\n")
    with pytest.raises(ParameterError, match="unknown notebook 'minee'; did you mean 'mine'.*`launchpad new minee`"):
        load_run(tmp_path / "p.yaml")


def test_a_parameter_that_an_analyst_adds_to_a_brought_notebook_is_taken(tmp_path):
    folder = workbook(tmp_path, "top_n: int = 5", name="funnels")
    model = model_for("funnels", notebooks=folder)
    assert model.model_validate({"top_n": 7, "window": "1d"}).top_n == 7
    with pytest.raises(ValidationError):
        model.model_validate({"top_n": "7"})


def test_a_notebook_that_is_written_again_is_read_again(tmp_path):
    assert "one" in model_for("mine", notebooks=workbook(tmp_path, "one: int = 1  # n")).model_fields
    assert "other" in model_for("mine", notebooks=workbook(tmp_path, "other: int = 1  # n")).model_fields


def test_what_an_own_notebook_names_is_marked_and_a_default_says_that_it_is_one(tmp_path):
    folder = workbook(
        tmp_path, 'step: EventName = "cart"\nsplit: "PropertyName | None" = None\nothers: list[EventName] = []'
    )
    said = RunParams(name="x", sequence=[["mine"]], notebooks={"mine": {"others": ["buy"]}})
    found = [(n.place, n.kind, n.name, n.is_default) for n in named_things(said, notebooks=folder)]
    assert found == [
        ("notebooks.mine.step", "event", "cart", True),
        ("notebooks.mine.others[0]", "event", "buy", False),
    ]


def test_what_holds_for_every_notebook_holds_for_an_own_one(tmp_path):
    """An empty text is none, a time zone has an IANA name, an end of the data is a date; a `window` may be whatever it is."""
    cell = 'report_timezone = "UTC"\nsplit: str | None = None\nobserved_through = None\nwindow: int = 7'
    folder = workbook(tmp_path, cell)
    told = load(tmp_path, '{split: "", observed_through: "2026-01-02"}').for_notebook("mine", notebooks=folder)
    assert told == {"report_timezone": "UTC", "split": None, "observed_through": "2026-01-02", "window": 7}
    for said in ("{report_timezone: Europe/Berln}", "{observed_through: yesterday}"):
        with pytest.raises(ParameterError):
            load(tmp_path, said)


def test_features_of_the_run_reach_an_own_notebook_that_takes_them(tmp_path):
    folder = workbook(tmp_path, "features = []\nfeature_id = None")
    run = RunParams(name="x", sequence=[["mine"]], features=[{"feature_id": "shop", "interaction_events": ["cart"]}])
    told = run.for_notebook("mine", notebooks=folder)
    assert told == {"features": [{"feature_id": "shop", "interaction_events": ["cart"]}], "feature_id": None}


def test_a_new_notebook_keeps_the_notebook_rules_and_takes_parameters(tmp_path):
    path = new_notebook("my_days", root=tmp_path, lake="data/lake/shop")
    for rule in (
        rules.test_a_notebook_defines_nothing_and_mutates_nothing,
        rules.test_a_code_cell_has_at_most_twelve_lines,
        rules.test_a_notebook_has_one_title_and_it_comes_first,
        rules.test_a_name_is_bound_once,
        rules.test_parameters_and_answer_are_each_one_tagged_cell,
    ):
        rule(path)
    code = [rules.source(c) for c in rules.cells(path, "code")]
    assert max(len(line) for cell in code for line in cell.splitlines()) <= 100
    taken = {p.name: p.default for p in parameters_cell(path)}
    assert taken["lake"] == "../data/lake/shop"
    rest = "\n".join(c for c in code if not c.startswith("lake"))
    assert all(name in rest for name in taken), "every parameter is used"
    assert notebook_names(tmp_path / "notebooks")[-1] == "my_days"
    with pytest.raises(ParameterError, match="is there already, and nothing is overwritten"):
        new_notebook("my_days", root=tmp_path, lake="data/lake")
    with pytest.raises(ParameterError, match="is the name of one that Feature Launchpad brings"):
        new_notebook("funnels", root=tmp_path, lake="data/lake")


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (None, "1.0 people are there on a mean day."),  # 1, 0, 2 and 1 people; the 5th is not over
        ("a", "0.5 people are there on a mean day."),  # 1, 0, 0 and 1
        ("aa", "Event 'aa': does not occur in the log; did you mean 'a'?"),
    ],
)
def test_a_new_notebook_counts_days_without_an_event_and_knows_no_misspelt_one(tmp_path, event, said):
    """u on 1 January, u and v on the 3rd (another event), v on the 4th, w on the 5th, which is not over."""
    log = [("u", 1, "a"), ("u", 3, "b"), ("v", 3, "b"), ("v", 4, "a"), ("w", 5, "b")]
    lines = [f"{user},2026-01-0{day}T0{n}:00:00Z,{name}\n" for n, (user, day, name) in enumerate(log)]
    (tmp_path / "x.csv").write_text("user_id,event_at,event_name\n" + "".join(lines))
    source = SourceSpec(table="events", path="x.csv")
    ingest(source, lake=tmp_path / "lake", ingested_at=datetime(2026, 2, 1), root=tmp_path)
    path = new_notebook("my_days", root=tmp_path, lake="lake")
    code = [rules.source(c) for c in rules.cells(path, "code")]
    names: dict = {}
    concluded: list = []
    for cell in code:
        exec(cell, names)  # noqa: S102  # a notebook's cells, without a kernel
        names |= {"conclude": concluded.append, "show": id, "chart": id} if "conclude" in names else {}
        names |= {"event": event, "lake": str(tmp_path / "lake")} if "lake" in names else {}
    (conclusion,) = concluded
    assert said in (conclusion.verdict, *(f.sentence for f in conclusion.findings))
