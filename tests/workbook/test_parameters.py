"""Parameters: notebooks against their models, faults against the sentences that tell them, exit statuses by subprocess."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from launchpad_lib.runner.parameter_table import describe
from launchpad_lib.runner.parameters import NOTEBOOKS, ParameterError, RunParams, load_run

ROOT = Path(__file__).resolve().parents[2]
LINE = '{"event_id":"1","event_name":"a","user_id":"u","event_at":"2026-01-01T00:00:00Z"}\n'


def load(tmp_path: Path, text: str) -> RunParams:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    return load_run(path)


def launchpad(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from launchpad_lib.cli.main import main; sys.exit(main())"
    )
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=cwd, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("name", sorted(NOTEBOOKS))
def test_the_parameters_cell_of_a_notebook_is_what_the_weekly_run_gives_it(name):
    """The models' defaults belong to no product; the committed cell is the sample product's example, written by the refresh."""
    notebook = json.loads((ROOT / f"notebooks/{name}.ipynb").read_text())
    cells = [c for c in notebook["cells"] if "parameters" in c["metadata"].get("tags", [])]
    assert len(cells) == 1
    found = {s.targets[0].id: ast.literal_eval(s.value) for s in ast.parse("".join(cells[0]["source"])).body}
    weekly = load_run(ROOT / "params/weekly.yaml")
    if not any(name in stage for stage in weekly.sequence):  # on demand: its own params file
        weekly = load_run(ROOT / f"params/{name}.yaml")
    assert found == weekly.for_notebook(name, notebooks=ROOT / "notebooks") | {"lake": f"../{weekly.lake}"}
    assert list(found) == list(NOTEBOOKS[name].model_fields)
    NOTEBOOKS[name].model_validate(found)


@pytest.mark.parametrize("path", sorted((ROOT / "params").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_params_file_of_the_repository_is_valid(path):
    assert load_run(path).name == path.stem


HEAD = "name: x\nsequence: [[funnels]]\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (HEAD + "sorces: []\n", "unknown parameter 'sorces'; did you mean 'sources'"),
        (
            HEAD + "notebooks: {funnels: {stepps: [a, b]}}\n",
            "notebooks.funnels: unknown parameter 'stepps'; did you mean 'steps'?",
        ),
        (HEAD + "notebooks: {funels: {}}\n", "unknown notebook 'funels'; did you mean 'funnels'?"),
        ("name: x\nsequence: [[engagment]]\n", "unknown notebook 'engagment'; did you mean 'engagement'"),
        ("name: x\nsequence: [[funnels], [funnels]]\n", "sequence names a notebook twice"),
        (HEAD + "simulate: {user: 3}\n", "unknown parameter 'simulate.user'; did you mean 'users'"),
        (
            HEAD + "sources: [{table: events, path: x, colums: {}}]\n",
            "unknown parameter 'sources.0.colums'; did you mean 'columns'?",
        ),
        (
            HEAD + "notebooks: {experiments: {experiment_id: x}}\n",
            "notebooks.experiments: experiment_id='x': needs its control",
        ),
        (HEAD + "timeout_seconds: 1\n", "timeout_seconds='1': Input should be greater than or equal to 5"),
        (HEAD + "notebooks: {funnels: {min_cell: 0}}\n", "min_cell='0': Input should be greater than or equal to 1"),
        (HEAD + "notebooks: {funnels: {min_cell: '30'}}\n", "min_cell='30': Input should be a valid integer"),
        (HEAD + "notebooks: {funnels: {steps: [a]}}\n", "steps=\"['a']\": a funnel has at least two steps"),
        (HEAD + "notebooks: {funnels: {entry: last}}\n", "entry='last': Input should be 'any' or 'first'"),
        (
            HEAD + "notebooks: {funnels: {window: 7}}\n",
            "window=7: must be a whole number above 0 with a unit s, m, h or d; write for example '7d' or '30m'",
        ),
        (
            HEAD + "notebooks: {funnels: {breakdown: 2026-01-01}}\n",
            "breakdown=2026-01-01 is read by YAML as a date and must be text; put it in quotes: '2026-01-01'",
        ),
        (
            HEAD + "notebooks: {experiments: {control: FALSE}}\n",
            "control=False is read by YAML as true or false and must be text; put it in quotes as it was written",
        ),
        (HEAD + "notebooks: {funnels: {steps: quiz}}\n", "steps='quiz': must be a list; write ['quiz'] for one"),
        (
            HEAD + "sources: [{table: events, path: x, timezone: Europe/Berlinn}]\n",
            "sources.0.timezone='Europe/Berlinn': is not an IANA time zone; did you mean 'Europe/Berlin' or 'Europe/Dublin'?",
        ),
        (HEAD + "notebooks: {experiments: {shares: {false: 0.5}}}\n", "=False is read by YAML as true or false"),
        (HEAD + "notebooks: {funnels: {window: '7'}}\n", "must be a whole number above 0 with a unit"),
        (
            HEAD + "notebooks: {funnels: {report_timezone: Europe/Berln}}\n",
            "report_timezone='Europe/Berln': is no IANA time zone; did you mean 'Europe/Berlin'",
        ),
        (HEAD + "notebooks: {funnels: {report_timezone: posixrules}}\n", "is no IANA time zone"),
        (HEAD + "notebooks: {funnels: 3}\n", "notebooks.funnels='3': Input should be a valid dictionary"),
        (HEAD + "notebooks: {funnels: {1: 2}}\n", "correct it"),
        (HEAD + "1: 2\n", "correct it"),
        (HEAD + "name: y\n", "'name' stands twice"),
        (HEAD + "lake: 2026-13-45\n", "not readable as YAML"),
        ("sequence: [[funnels]]\n", "'name' is missing; add it"),
        ("- a\n", "must be a mapping"),
        ("a: [", "not readable as YAML"),
        ("a: !!python/object/apply:os.system ['true']\n", "not readable as YAML"),
    ],
)
def test_a_fault_in_a_params_file_is_one_sentence_with_the_remedy(tmp_path, text, sentence):
    with pytest.raises(ParameterError) as caught:
        load(tmp_path, text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unquoted_date_is_taken_where_a_date_is_meant(tmp_path):
    run = load(tmp_path, HEAD + "sources: [{table: events, path: x, valid_from: 2015-09-12}]\n")
    assert str(run.sources[0].valid_from) == "2015-09-12 00:00:00"


@pytest.mark.parametrize("model", [RunParams, *NOTEBOOKS.values()], ids=lambda m: m.__name__)
def test_every_parameter_is_described_in_an_aligned_table(model):
    assert all(f.description for f in model.model_fields.values())
    lines = describe(model, width=150).splitlines()
    starts = [lines[0].index(h) for h in ("name", "type", "default", "bounds", "description")]
    assert starts[0] == 0 and max(len(line) for line in lines) <= 150
    for name in model.model_fields:
        assert any(line.startswith(name + " ") for line in lines)
    own_rows = lines[2 : lines.index("") if "" in lines else len(lines)]
    assert all(line[s - 1] == " " for line in own_rows for s in starts[1:] if len(line) > s)


def test_help_and_params_print_what_is_taken():
    shown = launchpad("report", "--help")
    assert shown.returncode == 0
    assert all(name in shown.stdout for name in [*RunParams.model_fields, "natural_key", "seed"])
    shown = launchpad("params", "funnels")
    assert shown.returncode == 0
    assert "any | first" in shown.stdout and ">= 1, <= 100000" in shown.stdout
    shown = launchpad("params", "funnel")
    assert (shown.returncode, "did you mean 'funnels'" in shown.stderr) == (2, True)


def test_bad_parameters_and_input_exit_with_2_one_sentence_and_no_lake(tmp_path):
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    (tmp_path / "bad.yaml").write_text(HEAD + "notebooks: {funnels: {stepps: 1}}\n")
    shown = launchpad("report", "bad.yaml", cwd=tmp_path)
    assert (shown.returncode, shown.stdout, shown.stderr.count("\n")) == (2, "", 1)
    assert "did you mean 'steps'" in shown.stderr
    # The second source cannot be read, so the first is not written either.
    (tmp_path / "good.jsonl").write_text(LINE)
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    sources = "sources: [{table: events, path: good.jsonl}, {table: events, path: cut.parquet}]\n"
    (tmp_path / "input.yaml").write_text(HEAD + "lake: lake\n" + sources)
    shown = launchpad("report", "input.yaml", cwd=tmp_path)
    assert (shown.returncode, shown.stdout, shown.stderr.count("\n")) == (2, "", 1)
    assert "cut.parquet: not a readable Parquet file" in shown.stderr
    assert not (tmp_path / "lake").exists() and not (tmp_path / "reports").exists()
    assert launchpad("report", "nowhere.yaml", cwd=tmp_path).returncode == 2
    assert launchpad("reprot", cwd=tmp_path).returncode == 2


def test_a_lake_without_telemetry_refuses_the_health_pages_in_one_sentence(tmp_path):
    """Refused for want of data: exit 0 and not green; data quality needs no telemetry."""
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    (tmp_path / "good.jsonl").write_text(LINE)
    (tmp_path / "p.yaml").write_text(
        f"name: x\nlake: {tmp_path}/lake\nsources: [{{table: events, path: good.jsonl}}]\n"
        "sequence: [[latency_trends, risk_scoring, data_quality]]\n"
    )
    shown = launchpad("report", "p.yaml", "--run-id", "r", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    manifest = json.loads((tmp_path / "reports/r/manifest.json").read_text())
    assert manifest["status"] == "refused"
    status = {n["name"]: n["status"] for n in manifest["notebooks"]}
    assert status == {"latency_trends": "refused", "risk_scoring": "refused", "data_quality": "ok"}
    for notebook in manifest["notebooks"][:2]:
        assert notebook["reason"].startswith("the lake holds no telemetry;")
        assert notebook["verdict"] == "These data cannot answer the question."
        assert notebook["findings"][0]["sentence"].startswith("The lake holds no telemetry; ingest some")
        page = (tmp_path / "reports/r" / notebook["html"]).read_text()
        assert "The lake holds no telemetry;" in page and "Traceback" not in page
    assert "The data end " in (tmp_path / "reports/r/data_quality.html").read_text()  # a run gives its start as `as_of`


def test_norway_is_no_boolean_and_on_and_off_are_names(tmp_path):
    """YAML 1.1 reads NO, no, on, off, y as booleans; of a country or a variant nobody means that."""
    path = tmp_path / "p.yaml"
    path.write_text(
        "name: p\nsequence: [[funnels, experiments]]\n"
        "features: [{feature_id: f, rollout: {by: country, switched_on: {NO: 2026-01-15, SE: 2026-01-29}}}]\n"
        "notebooks:\n"
        "  funnels: {steps: [{event: a, optional: true}, {event: b, where: {country: [NO, no], trial: false}}]}\n"
        "  experiments: {experiment_id: e, control: off, metric_event: b, shares: {on: 0.5, off: 0.5}}\n"
    )
    run = load_run(path)
    assert list(run.features[0].rollout.switched_on) == ["NO", "SE"]
    funnels = run.for_notebook("funnels", notebooks=tmp_path / "notebooks")
    assert funnels["steps"][1]["where"] == {"country": ["NO", "no"], "trial": False}
    experiments = run.for_notebook("experiments", notebooks=tmp_path / "notebooks")
    assert (experiments["control"], experiments["shares"]) == ("off", {"on": 0.5, "off": 0.5})
    path.write_text(HEAD + "notebooks: {funnels: {steps: [{event: a, optional: yes}]}}\n")
    with pytest.raises(ParameterError, match="steps.0.optional='yes': must be true or false; write one of these words"):
        load_run(path)
