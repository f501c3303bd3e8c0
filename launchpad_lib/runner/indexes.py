"""The index of one run, and the index of all runs."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import deflate
from markupsafe import Markup

from launchpad_lib.contract.manifest import Manifest
from launchpad_lib.contract.private import readers_of
from launchpad_lib.contract.whole_files import write_whole
from launchpad_lib.page.environment import page_environment
from launchpad_lib.page.markup import POLICY
from launchpad_lib.page.output import short, short_span
from launchpad_lib.page.sparks import SMALL
from launchpad_lib.runner.history import Changes
from launchpad_lib.runner.run_records import RunRecord, run_records
from launchpad_lib.runner.summary import GLYPHS, summary
from launchpad_lib.runner.summary_words import address, change_words, stopped_words

MOST_ROWS, MOST_DOUBTS = 20, 6
MOST_RUNS = 40  # that stand open; older ones are folded, so that hundreds of them cost no first paint
MARKS = {"ok": "✓", "refused": "○", "failed": "▲"}
RUNS_JS = (Path(__file__).parent / "templates" / "runs.js").read_text(encoding="utf-8")
RUNS_HASH = base64.b64encode(hashlib.sha256(RUNS_JS.encode()).digest()).decode()


def publish_index(run_dir: Path, manifest: Manifest, *, since: Changes | None = None) -> None:
    """Writes a run's own index.html, with what changed since the run before where there is one."""
    environment = page_environment("launchpad_lib.runner")
    environment.filters["short"] = short
    page = environment.get_template("run.html.j2").render(
        m=manifest,
        s=summary(manifest),
        policy=POLICY,
        readers=readers_of(run_dir),
        since=since,
        names={n.name for n in manifest.notebooks},
        stopped=stopped_words(manifest),
        address=address,
        changed=change_words,
        called={r.feature_id: r.feature_name for r in manifest.scorecard},
        short_span=short_span,
        glyphs=GLYPHS,
        small=SMALL,
        most_rows=MOST_ROWS,
        most_doubts=MOST_DOUBTS,
    )
    (run_dir / "index.html").write_text(page, encoding="utf-8")


def publish_run_index(reports: Path) -> None:
    """Rebuilds the index of all runs, newest first; a manifest that cannot be read is shown as such."""
    runs = run_records(reports)
    data = _for_script([run for run in runs if run.fault is None])
    page = page_environment("launchpad_lib.runner").get_template("runs.html.j2")
    # Every run writes this file, and people have it open.
    write_whole(
        reports / "index.html",
        page.render(
            runs=runs,
            data=data,
            script=Markup(RUNS_JS),
            policy=f"{POLICY}; script-src 'sha256-{RUNS_HASH}'" if data else POLICY,
            most=MOST_RUNS,
            marks=MARKS,
            words=_words,
        ),
    )


def _words(run: RunRecord) -> str:
    """What the filter looks at."""
    pages = " ".join(f"{page['name']} {page['status']}" for page in run.pages)
    return " ".join(
        [run.folder, run.name, run.started_at[:16].replace("T", " "), run.status, run.verdict or "", pages]
    ).lower()


def _for_script(runs: list[RunRecord]) -> Markup | None:
    """Numbers and parameters of all runs, each name and each set of parameters once, packed."""
    keys: dict[tuple[str, str, str], int] = {}
    labels, params, told = [], [], []
    for run in runs:
        numbers = {}
        for page, metric, segment, label, unit, *said in run.numbers:
            key = (page, metric, segment)
            if key not in keys:
                keys[key] = len(keys)
                labels.append({"page": page, "label": label, "segment": segment, "unit": unit})
            numbers.setdefault(keys[key], said)
        if run.params not in params[-1:]:
            params.append(run.params)
        own = {"folder": run.folder, "name": run.name, "started_at": run.started_at}
        told.append(own | {"params": len(params) - 1, "numbers": numbers})
    if not told:
        return None
    whole = json.dumps({"keys": labels, "params": params, "runs": told}).encode()
    return Markup(base64.b64encode(bytes(deflate.gzip_compress(whole, 6))).decode())
