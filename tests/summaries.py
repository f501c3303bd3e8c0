"""Manifests of runs with many features, hostile names and pages of every status, by hand."""

from __future__ import annotations

from typing import Any

from launchpad_lib.contract.manifest import Manifest
from tests.manifests import WHOLE

HOSTILE = [
    "<b>x</b>",
    "</style><script>alert(1)</script>",
    "שלום עולם",
    "\U0001f600" * 80,
    "a" * 80,
    "\x00\u202e",
    "\"'; --",
]


def days(values: list[float | None], *, last_is_open: bool = False) -> list[dict[str, Any]]:
    """A series from 5 January on; a band of a tenth on either side."""
    return [
        {
            "day": f"2026-01-{5 + i:02d}",
            "value": v,
            "ci_low": None if v is None else v * 0.9,
            "ci_high": None if v is None else v * 1.1,
            "n": 50,
            "is_complete": not (last_is_open and i == len(values) - 1),
        }
        for i, v in enumerate(values)
    ]


def cell(word: str, severity: str = "fine", **more: Any) -> dict[str, Any]:
    return {"word": word, "severity": severity, **more}


def feature(name: str, severity: str = "fine", **more: Any) -> dict[str, Any]:
    row = {
        "feature_id": name,
        "feature_name": name,
        "owner_team": name,
        "severity": severity,
        "verb": "fix",
        "sentence": f"{name} is so.",
        "used": cell(
            "76 %", value=0.764, ci_low=0.7, ci_high=0.8, unit="fraction", n=492, page="engagement", anchor="a"
        ),
        "worked": cell("not settled", "unknown", value=0.06, ci_low=-0.04, ci_high=0.16, unit="points"),
        "health": cell("degraded now" if severity == "act" else "healthy", severity, page="no such page", anchor="x"),
        "objective": cell(
            "403 ms",
            severity,
            value=403.0,
            limit=287.0,
            unit="ms",
            series=days([250, 260, None, 400, 403], last_is_open=True),
            page="engagement",
        ),
        "change": cell("no change shown", "unknown", value=0.01, ci_low=-0.02, ci_high=0.04, unit="points"),
    }
    return row | more


def notebook(
    name: str, status: str = "ok", findings: list[dict[str, Any]] | None = None, **more: Any
) -> dict[str, Any]:
    return {
        "name": name,
        "title": f"{name.capitalize()}: a question?",
        "status": status,
        "reason": None,
        "seconds": 1.0,
        "html": f"{name}.html",
        "verdict": f"{name} says this.",
        "findings": [{"page": name, "anchor": "proof"} | f for f in findings or []],
    } | more


def found(severity: str, sentence: str, *, verb: str = "fix", **more: Any) -> dict[str, Any]:
    return {"severity": severity, "verb": verb, "sentence": sentence} | more


def number(name: str, value: float | None, **more: Any) -> dict[str, Any]:
    return {
        "notebook": "engagement",
        "name": name,
        "label": name,
        "value": value,
        "ci_low": None if value is None else value * 0.9,
        "ci_high": None if value is None else value * 1.1,
        "n": 400,
        "unit": "fraction",
        "segment": None,
        "higher_is_better": True,
        "definition": f"{name} over all",
        "refused_because": None if value is not None else "too few",
        "status": "ok" if value is not None else "refused",
        "anchor": "a",
    } | more


def manifest(**more: Any) -> Manifest:
    return Manifest.model_validate(WHOLE | more)
