"""A run with real kernels on small notebooks: what fails is published as failed, the rest goes on, the last good page stays."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import psutil
import pytest

from launchpad_lib.cli.main import main
from launchpad_lib.contract.manifest import Manifest, read_manifest
from launchpad_lib.ingestion import SourceSpec, ingest
from launchpad_lib.runner.parameters import NOTEBOOKS, RunParams
from launchpad_lib.runner.progress import PlainProgress
from launchpad_lib.runner.run import run_report
from tests.manifests import WHOLE

NOW = datetime(2026, 2, 2, 6, tzinfo=UTC)
METRIC = """
from launchpad_lib.contract.catalogue import Metric
from launchpad_lib.contract.estimates import Estimate
from launchpad_lib.page.output import metric
own = Metric('m', '<b>M</b>', 'what?', 'd', 'units', 'Wilson', 'fraction', 'neither', '', 'by hand')
metric(own, Estimate(0.25, 0.1, 0.5, 12))
"""


def notebook(folder: Path, name: str, *code: str, without: str | None = None) -> None:
    model = NOTEBOOKS[name]()
    lines = [f"{k} = {v!r}" for k, v in model.model_dump().items() if k != without]
    cells = [
        nbformat.v4.new_markdown_cell(f"# Title of {name}"),
        nbformat.v4.new_code_cell("\n".join(lines), metadata={"tags": ["parameters"]}),
    ]
    folder.mkdir(exist_ok=True)
    cells += [nbformat.v4.new_code_cell(c) for c in code]
    nb = nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    nbformat.write(nb, folder / f"{name}.ipynb")


def run(
    tmp_path: Path, names: list, *, now: datetime = NOW, timeout_seconds: int = 60, **more: object
) -> tuple[int, dict, Path, str]:
    sequence = names if isinstance(names[0], list) else [names]
    params = RunParams(
        name="small",
        lake=str(tmp_path / "lake"),
        reports=str(tmp_path / "reports"),
        timeout_seconds=timeout_seconds,
        sequence=sequence,
        **more,
    )
    said = io.StringIO()
    run_id = f"small-{now:%Y%m%dT%H%M%SZ}"
    status = run_report(params, now=now, run_id=run_id, progress=PlainProgress(said), notebooks=tmp_path / "notebooks")
    folder = tmp_path / "reports" / run_id
    return status, json.loads((folder / "manifest.json").read_text()), folder, said.getvalue()


def test_a_good_run_has_pages_a_manifest_and_an_index(tmp_path):
    notebook(tmp_path / "notebooks", "funnels", METRIC)
    status, manifest, folder, said = run(tmp_path, ["funnels"])
    assert status == 0 and manifest["status"] == "ok"
    assert {
        "run_id",
        "started_at",
        "finished_at",
        "status",
        "params",
        "inputs",
        "notebooks",
        "metrics",
        "versions",
    } <= set(manifest)
    assert manifest["metrics"][0] | {"definition": "d, over units. Interval: Wilson."} == manifest["metrics"][0]
    assert (manifest["metrics"][0]["value"], manifest["metrics"][0]["n"], manifest["metrics"][0]["notebook"]) == (
        0.25,
        12,
        "funnels",
    )
    page = (folder / "funnels.html").read_text()
    assert "&lt;b&gt;M&lt;/b&gt;" in page and "<b>M</b>" not in page
    assert (folder / "index.html").exists() and "small-" in (tmp_path / "reports" / "index.html").read_text()
    assert "funnels: ok" in said
    assert not list((tmp_path / "reports").glob(".*.partial")), "nothing half-written is left"
    assert {f["path"] for f in manifest["files"]} == {"index.html", "funnels.html", "funnels.ipynb"}
    assert main(["verify", str(folder)]) == 0


def test_what_fails_is_published_as_failed_and_the_others_still_run(tmp_path):
    folder = tmp_path / "notebooks"
    notebook(folder, "engagement", METRIC)
    notebook(folder, "funnels", METRIC, "raise RuntimeError('no such <step>')")
    notebook(folder, "experiments", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    notebook(folder, "latency_trends", "import time; time.sleep(60)")
    notebook(folder, "data_quality", METRIC, without="min_cell")
    names = ["engagement", "funnels", "experiments", "latency_trends", "data_quality"]
    status, manifest, out, _ = run(tmp_path, names, timeout_seconds=5)
    assert status == 1 and manifest["status"] == "failed"
    rows = {n["name"]: n for n in manifest["notebooks"]}
    assert {n: r["status"] for n, r in rows.items()} == {"engagement": "ok"} | dict.fromkeys(names[1:], "failed")
    assert rows["funnels"]["reason"] == "RuntimeError: no such <step>"
    assert "kernel died" in rows["experiments"]["reason"]
    assert "longer than 5 s" in rows["latency_trends"]["reason"]
    assert "min_cell" in rows["data_quality"]["reason"]
    assert [m["notebook"] for m in manifest["metrics"]] == ["engagement"], "a failed notebook's numbers are not taken"
    for name in names[1:]:
        page = (out / f"{name}.html").read_text()
        assert "This page failed" in page[: page.index("<h2") if "<h2" in page else None]
    assert "no such &lt;step&gt;" in (out / "funnels.html").read_text()
    cut = nbformat.read(out / "latency_trends.ipynb", as_version=4)
    assert "time.sleep(60)" in cut.cells[-1].source, "what was executed is kept, however it ended"


KEEPS_NO_HISTORY = (
    "assert not get_ipython().history_manager.enabled, 'cells of a report among those that somebody typed'"
)


def test_the_last_good_page_stays_linked(tmp_path):
    notebook(tmp_path / "notebooks", "funnels", KEEPS_NO_HISTORY, METRIC)
    run(tmp_path, ["funnels"])
    notebook(tmp_path / "notebooks", "funnels", "1 / 0")
    _, _, folder, _ = run(tmp_path, ["funnels"], now=NOW + timedelta(days=7))
    good = f"../small-{NOW:%Y%m%dT%H%M%SZ}/funnels.html"
    assert f'href="{good}"' in (folder / "funnels.html").read_text()
    assert (folder / good).exists()


def test_a_run_id_is_used_once(tmp_path):
    notebook(tmp_path / "notebooks", "funnels", METRIC)
    run(tmp_path, ["funnels"])
    with pytest.raises(ValueError, match="exists; choose another run id"):
        run(tmp_path, ["funnels"])


FORKS = """
import os, sys, time
from jupyter_client.manager import start_new_kernel
from launchpad_lib.runner.forked_kernels import kernel_server
with kernel_server():
    manager, client = start_new_kernel(kernel_name="python3")
    reply = client.execute_interactive("import os, sys; print(os.getppid(), 'pandas' in sys.modules, 'debugpy' in sys.modules)", timeout=240,
        output_hook=lambda m: print(os.getpid(), manager.provisioner.pid, m["content"]["text"].strip(), flush=True) if m["msg_type"] == "stream" else None)
    print(manager.transport, flush=True)
    {then}
"""


def start(then: str) -> tuple[subprocess.Popen, list[str]]:
    env = os.environ | {"JUPYTER_PLATFORM_DIRS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", FORKS.format(then=then)], stdout=subprocess.PIPE, text=True, env=env
    )
    return process, process.stdout.readline().split()


def gone(pid: int) -> bool:
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_a_forked_kernel_is_a_child_of_the_server_with_the_imports_done_and_ends_on_shutdown():
    process, (runner, kernel, server, is_imported, has_debugger) = start(
        "client.stop_channels(); manager.shutdown_kernel()"
    )
    assert has_debugger == "False", "nobody attaches to it, and importing one is most of a start"
    assert is_imported == "True" and server not in (runner, str(os.getpid()))
    assert process.stdout.readline().strip() == "ipc", "a TCP port may be taken by another program meanwhile"
    assert process.wait(120) == 0
    assert gone(int(kernel)) and gone(int(server))


def test_kernels_and_their_server_end_with_a_killed_run():
    process, (_, kernel, server, *_) = start("time.sleep(60)")
    os.kill(process.pid, signal.SIGKILL)
    process.wait(120)
    assert gone(int(server)) and gone(int(kernel))


def test_a_day_that_changed_after_it_was_reported_is_named_and_the_open_last_day_is_not():
    from launchpad_lib.runner.history import changes

    def manifest(**days: int) -> Manifest:
        by_date = {d.removeprefix("d").replace("_", "-"): n for d, n in days.items()}
        read = {"version": 1, "rows": 1, "observed_through": None, "rejected": 0, "rows_by_date": by_date}
        return read_manifest(json.dumps(WHOLE | {"inputs": {"events": read}}))

    found = changes(
        manifest(d2026_01_01=5, d2026_01_02=8, d2026_01_03=9), manifest(d2026_01_01=5, d2026_01_02=7, d2026_01_03=1)
    )
    assert [tuple(r) for r in found.restated] == [("events", "2026-01-02", 7, 8)]
    assert changes(manifest(), None) is None


READS = """
from launchpad_lib.contract.catalogue import Metric
from launchpad_lib.contract.estimates import Estimate
from launchpad_lib.lake import open_lake
from launchpad_lib.page.output import metric
features = float(open_lake(lake, versions=lake_versions).features.count().execute())
metric(Metric('m', 'Features', 'how many?', 'd', 'lakes', '', 'count', 'neither', '', 'by hand'), Estimate(features, n=1))
"""


def grow(tmp_path: Path, name: str, at: datetime) -> None:
    (tmp_path / f"{name}.csv").write_text(f"feature_id\n{name}\n")
    ingest(SourceSpec(table="features", path=str(tmp_path / f"{name}.csv")), lake=tmp_path / "lake", ingested_at=at)


def test_every_page_reads_the_version_that_the_manifest_names_though_the_lake_grows_meanwhile(tmp_path):
    """The first notebook adds a feature to the lake; the second, a stage later, still reads the one that was there."""
    grow(tmp_path, "a", NOW)
    write = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from test_run import grow, NOW; from pathlib import Path; grow(Path({str(tmp_path)!r}), 'b', NOW)"
    notebook(tmp_path / "notebooks", "engagement", write)
    notebook(tmp_path / "notebooks", "funnels", READS)
    _, manifest, _, _ = run(tmp_path, [["engagement"], ["funnels"]])
    assert (manifest["metrics"][0]["value"], manifest["inputs"]["features"]["rows"]) == (1, 1)
    _, manifest, _, _ = run(tmp_path, [["funnels"]], now=NOW + timedelta(days=1))
    assert (manifest["metrics"][0]["value"], manifest["inputs"]["features"]["rows"]) == (2, 2)
    before = manifest["inputs"]["features"]["version"] - 1
    _, manifest, _, _ = run(tmp_path, [["funnels"]], now=NOW + timedelta(days=2), lake_versions={"features": before})
    assert (manifest["metrics"][0]["value"], manifest["inputs"]["features"]) == (
        1,
        manifest["inputs"]["features"] | {"rows": 1, "version": before},
    )


@pytest.mark.parametrize(
    ("versions", "sentence"),
    [({"features": 99}, "features=99.*no such version"), ({"feature": 0}, "feature: no such table; there are events")],
)
def test_a_version_or_table_that_is_not_there_is_refused(tmp_path, versions, sentence):
    grow(tmp_path, "a", NOW)
    notebook(tmp_path / "notebooks", "funnels", READS)
    with pytest.raises(ValueError, match=sentence):
        run(tmp_path, [["funnels"]], lake_versions=versions)
    assert not list((tmp_path / "reports").iterdir())
