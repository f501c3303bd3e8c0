"""The real runs through the command, as a reader would start them; headline numbers against the published ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from launchpad_lib.cli.main import main

ROOT = Path(__file__).resolve().parents[2]


def manifest_of(name: str, place: Path) -> dict:
    params = yaml.safe_load((ROOT / f"params/{name}.yaml").read_text()) | {
        "lake": str(place / "lake"),
        "reports": str(place / "reports"),
    }
    (place / "p.yaml").write_text(yaml.safe_dump(params))
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from launchpad_lib.cli.main import main; sys.exit(main())"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program, "report", str(place / "p.yaml"), "--run-id", "r"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert shown.returncode == 0, shown.stderr + shown.stdout
    return json.loads((place / "reports/r/manifest.json").read_text())


@pytest.mark.parametrize(
    ("name", "table", "rows", "metrics"),
    [
        # 223/3329 - 163/3304 of the published counts; n are the units of these two arms.
        (
            "optimizely",
            "events",
            48_648,
            {
                ("experiment_lift", "18817551468"): (223 / 3329 - 163 / 3304, 3_329 + 3_304),
                "rejected_share": (0, 48_648),
            },
        ),
        # The ratio of the two quantiles by pandas alone: the later week has 2,015 values, the earlier one 2,016.
        (
            "nab_latency",
            "telemetry",
            4_032,
            {"rejected_share": (0, 4_032), "p95_latency_change_worst": (0.00322234, 2_015)},
        ),
        # 489 / 358 / 165 as published, less the 18 / 6 / 3 of them whose seven days are not over when the data end.
        ("ecom", "events", 31_106, {"rejected_share": (0, 31_106), "funnel_conversion": (162 / 471, 471)}),
    ],
)
def test_a_real_run_is_published_with_the_published_numbers(tmp_path, name, table, rows, metrics):
    manifest = manifest_of(name, tmp_path)
    assert manifest["status"] == "ok"
    assert (manifest["inputs"][table]["rows"], manifest["inputs"][table]["rejected"]) == (rows, 0)
    found = {m["name"]: m for m in manifest["metrics"]} | {(m["name"], m["segment"]): m for m in manifest["metrics"]}
    for metric, (value, n) in metrics.items():
        assert (found[metric]["value"], found[metric]["n"]) == (pytest.approx(value, abs=1e-6), n)
    for notebook in manifest["notebooks"]:
        assert (tmp_path / "reports/r" / notebook["html"]).stat().st_size > 10_000
    assert main(["verify", str(tmp_path / "reports/r")]) == 0
