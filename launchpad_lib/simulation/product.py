"""Writes a simulated product's files: events a day, telemetry, annotations, features."""

from __future__ import annotations

import gzip
import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from launchpad_lib.simulation.telemetry import telemetry_rows, usual_latency_ms
from launchpad_lib.simulation.truth import TRUTH, Flow, Truth


class SimulationResult(NamedTuple):
    """Where the files are and how many rows each kind has."""

    paths: dict[str, Path]
    rows: dict[str, int]


def simulate(
    out: Path,
    *,
    seed: int = 20260101,
    users: int = 500,
    days: int = 14,
    telemetry_days: int = 60,
    start_on: date = date(2026, 1, 5),
    truth: Truth = TRUTH,
) -> SimulationResult:
    """Simulates a product and writes its files under `out`; the same seed writes the same bytes.

    Events cover `days` days from `start_on`; telemetry covers `telemetry_days` days and ends on the same day.

    Raises:
        ValueError: `users`, `days` or `telemetry_days` out of range.
    """
    for name, value, low in (("users", users, 10), ("days", days, 2), ("telemetry_days", telemetry_days, 14)):
        if value < low:
            raise ValueError(f"{name}={value}: must be at least {low}; raise it")
    rng = np.random.default_rng(seed)
    out.mkdir(parents=True, exist_ok=True)
    paths = {
        "events": out / "events",
        "telemetry": out / "telemetry",
        "annotations": out / "annotations.csv",
        "features": out / "features.csv",
        "truth": out / "truth.csv",
    }
    events = _events(rng, users=users, days=days, start_on=start_on, truth=truth)
    rows = {"events": _write_events(rng, events, paths["events"], truth=truth)}
    last_on = start_on + timedelta(days=days - 1)
    telemetry_start = last_on - timedelta(days=telemetry_days - 1)
    telemetry = telemetry_rows(rng, users=users, days=telemetry_days, start_on=telemetry_start, truth=truth)
    paths["telemetry"].mkdir(exist_ok=True)
    telemetry.to_parquet(paths["telemetry"] / "telemetry.parquet", index=False)
    rows["telemetry"] = len(telemetry)
    annotations = _annotations(telemetry_start, telemetry_days, truth)
    annotations.to_csv(paths["annotations"], index=False)
    features = _features(truth, last_on=last_on)
    features.to_csv(paths["features"], index=False)
    pd.DataFrame(truth.by_feature()).to_csv(paths["truth"], index=False)
    return SimulationResult(paths, rows | {"annotations": len(annotations), "features": len(features)})


def _events(rng: np.random.Generator, *, users: int, days: int, start_on: date, truth: Truth) -> list[dict]:
    """All events of all users in order of user and time.

    A latent propensity z raises activity, and so both completing and coming back: that is the confounding. A first
    completion adds the feature's `return_effect` to the probability of being active on each later day.
    """
    rows: list[dict] = []
    propensity = rng.normal(size=users)
    platforms = rng.choice(["web", "ios", "android"], size=users, p=[0.5, 0.25, 0.25])
    countries = rng.choice(["DE", "US", "FR", "GB"], size=users, p=[0.4, 0.3, 0.2, 0.1])
    variants = rng.choice(["control", "treatment"], size=users)
    midnight = datetime(start_on.year, start_on.month, start_on.day)
    browsing = [f for f in truth.features if f != "configurator" and truth.days_before_the_end(f) is None]
    for user in range(users):
        base = 1 / (1 + np.exp(-(0.2 + 2 * truth.confounding_strength * propensity[user])))
        start_probability = np.clip(
            truth.start_rate_mean + truth.confounding_strength * 0.4 * propensity[user], 0.05, 0.9
        )
        exposed = False
        effects: dict[str, float] = {}
        for day in range(days):
            if rng.random() >= min(max(base + sum(effects.values()), 0.02), 0.98):
                continue
            done_today: dict[str, float] = {}
            for session in range(1 + int(rng.random() < 0.45)):
                at = midnight + timedelta(days=day, seconds=float((8 + 6 * session) * 3600 + rng.uniform(0, 5 * 3600)))
                shared = {
                    "user_id": f"u{user:05d}",
                    "session_id": f"s{user:05d}-{day:03d}-{session}",
                    "platform": str(platforms[user]),
                    "app_version": "2.1.0" if day >= days // 2 else "2.0.0",
                    "country": str(countries[user]),
                }
                names: list[tuple[str, str, dict[str, Any]]] = [
                    ("page_viewed", str(f), {}) for f in rng.choice(browsing, size=rng.integers(6, 15))
                ]
                if rng.random() < start_probability:
                    quiz, done = _quiz(rng, str(variants[user]), is_first_exposure=not exposed, truth=truth)
                    exposed = True
                    if done:
                        done_today["configurator"] = truth.return_effect
                    names = names[:3] + quiz + names[3:]
                for flow in truth.flows:
                    is_there = flow.last_days is None or day >= days - flow.last_days
                    rate = flow.start_rate * np.exp(truth.confounding_strength * propensity[user])
                    if is_there and rng.random() < min(rate, 0.9):
                        attempt, done = _attempt(rng, flow)
                        if done:
                            done_today[flow.feature_id] = flow.return_effect
                        names = names[:3] + attempt + names[3:]
                for name, feature, properties in names:
                    at += timedelta(seconds=float(rng.exponential(25) + 1))
                    received = at + timedelta(seconds=float(rng.exponential(2)))
                    rows.append(
                        {
                            "event_id": f"e{len(rows):08d}",
                            "event_name": name,
                            "event_at": f"{at.isoformat(timespec='milliseconds')}Z",
                            "received_at": f"{received.isoformat(timespec='milliseconds')}Z",
                            "feature_id": feature,
                            **shared,
                            "properties": properties,
                        }
                    )
            effects |= done_today
    return rows


def _attempt(rng: np.random.Generator, flow: Flow) -> tuple[list[tuple], bool]:
    """The events of one attempt at a feature and whether it was completed."""
    events: list[tuple] = [(flow.start_event, flow.feature_id, {})]
    events += [(flow.use_event, flow.feature_id, {})] * int(rng.poisson(0.8))
    done = bool(rng.random() < flow.completion_rate)
    if done:
        paid = {"amount": round(float(np.exp(rng.normal(3.8, 0.7))), 2)} if flow.has_amount else {}
        events.append((flow.complete_event, flow.feature_id, paid))
        if rng.random() < flow.share_rate:
            events.append((flow.share_event, flow.feature_id, {}))
    return events, done


def _quiz(rng: np.random.Generator, variant: str, *, is_first_exposure: bool, truth: Truth) -> tuple[list[tuple], bool]:
    """The events of one quiz and whether it was completed; the result page is where the experiment applies."""
    feature = "configurator"
    events: list[tuple] = []
    if is_first_exposure:
        events.append(("experiment_exposed", feature, {"experiment_id": "result_layout", "variant": variant}))
    events.append(("quiz_started", feature, {"quiz_id": "laptop"}))
    for _ in range(rng.integers(truth.interactions_low, truth.interactions_high + 1)):
        if rng.random() < 0.5:
            events.append(("slider_adjusted", feature, {"slider": "budget", "value": int(rng.integers(1, 100))}))
        else:
            events.append(("option_selected", feature, {"option": str(rng.choice(["light", "fast", "cheap"]))}))
    done = bool(rng.random() < truth.completion_rate)
    if done:
        events += [("quiz_completed", feature, {"quiz_id": "laptop"}), ("result_viewed", feature, {"result": "A"})]
        share_rate = truth.share_rate_treatment if variant == "treatment" else truth.share_rate_control
        if rng.random() < share_rate:
            events.append(("result_shared", feature, {"channel": "link"}))
    return events, done


def _write_events(rng: np.random.Generator, events: list[dict], folder: Path, *, truth: Truth) -> int:
    """One gzipped JSONL file a day, with the declared numbers of duplicated and malformed rows planted."""
    folder.mkdir(exist_ok=True)
    if len(events) < truth.duplicate_rows + truth.malformed_rows:
        raise ValueError(
            f"users, days: make only {len(events)} events, fewer than are to be damaged; raise one of them"
        )
    picks = rng.choice(len(events), size=truth.duplicate_rows + truth.malformed_rows, replace=False)
    planted = [events[i] for i in picks[: truth.duplicate_rows]]
    for k, i in enumerate(picks[truth.duplicate_rows :]):
        broken = {**events[i], "event_id": f"bad{k:05d}"}
        planted.append({**broken, "user_id": None} if k % 2 else {**broken, "received_at": "yesterday"})
    by_day: dict[str, list[dict]] = {}
    for row in [*events, *planted]:
        by_day.setdefault(row["event_at"][:10], []).append(row)
    for day, rows in by_day.items():
        text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
        with (
            (folder / f"{day}.jsonl.gz").open("wb") as raw,
            gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as packed,
        ):
            packed.write(text.encode())
    return len(events) + len(planted)


def _annotations(start_on: date, days: int, truth: Truth) -> pd.DataFrame:
    marks = [(r.day, "deployment", r.feature_id, f"{r.feature_id} release") for r in truth.regressions if r.day < days]
    marks += [
        (days - f.last_days, "deployment", f.feature_id, f"{f.feature_id} release")
        for f in truth.flows
        if f.last_days is not None
    ]
    marks.append((truth.incident_days[0], "incident", truth.incident_feature, "crash wave"))
    return pd.DataFrame(
        [
            {"at": f"{start_on + timedelta(days=d)}T00:00:00Z", "kind": k, "feature_id": f, "label": text}
            for d, k, f, text in sorted(marks)
        ]
    )


def _features(truth: Truth, *, last_on: date) -> pd.DataFrame:
    """One row per feature; one released within the log has no objectives yet."""
    table = pd.DataFrame(
        [
            {
                "feature_id": feature,
                "feature_name": feature.replace("_", " ").capitalize(),
                "owner_team": ("growth", "core", "payments")[index % 3],
                "lifecycle_stage": "beta" if feature == "configurator" else "ga",
                "released_on": "2025-11-01",
                "slo_p95_latency_ms": float(round(usual_latency_ms(index) * 2.05)),
                "slo_crash_free_users": 0.96,
                "slo_error_rate": 0.08,
                "slo_feedback_score": 3.5,
            }
            for index, feature in enumerate(truth.features)
        ]
    ).set_index("feature_id")
    for feature in truth.features:
        released_days_ago = truth.days_before_the_end(feature)
        if released_days_ago is not None:
            table.loc[feature, "lifecycle_stage"] = "alpha"
            table.loc[feature, "released_on"] = str(last_on - timedelta(days=released_days_ago - 1))
            table.loc[feature, [c for c in table if c.startswith("slo_")]] = np.nan
    return table.reset_index()
