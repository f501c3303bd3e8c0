"""The smallest whole manifest, by hand."""

from __future__ import annotations

WHOLE = {
    "manifest_version": 1,
    "run_id": "r",
    "started_at": "2026-01-01T06:00:00+00:00",
    "finished_at": "2026-01-01T06:01:00+00:00",
    "status": "ok",
    "params": {"name": "small"},
    "inputs": {},
    "notebooks": [],
    "metrics": [],
    "tables": [],
    "scorecard": [],
    "verdict": None,
    "versions": {"commit": None, "lock_hash": None, "packages": {}, "notebooks": None},
    "files": [],
}
