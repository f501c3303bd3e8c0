"""Writes a simulated product's files: events a day, telemetry, annotations, features."""

from __future__ import annotations

import gzip
import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from launchpad_lib.simulation.truth import TRUTH, Truth


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
    }
    events = _events(rng, users=users, days=days, start_on=start_on, truth=truth)
    rows = {"events": _write_events(rng, events, paths["events"], truth=truth)}
    last_on = start_on + timedelta(days=days - 1)
    telemetry_start = last_on - timedelta(days=telemetry_days - 1)
    telemetry = _telemetry(rng, users=users, days=telemetry_days, start_on=telemetry_start, truth=truth)
    paths["telemetry"].mkdir(exist_ok=True)
    telemetry.to_parquet(paths["telemetry"] / "telemetry.parquet", index=False)
    rows["telemetry"] = len(telemetry)
    annotations = _annotations(telemetry_start, telemetry_days, truth)
    annotations.to_csv(paths["annotations"], index=False)
    features = _features(truth)
    features.to_csv(paths["features"], index=False)
    return SimulationResult(paths, rows | {"annotations": len(annotations), "features": len(features)})


def _events(rng: np.random.Generator, *, users: int, days: int, start_on: date, truth: Truth) -> list[dict]:
    """All events of all users in order of user and time.

    A latent propensity z raises activity, and so both completing and coming back: that is the confounding. A first
    completion adds `return_effect` to the probability of being active on each later day.
    """
    rows: list[dict] = []
    propensity = rng.normal(size=users)
    platforms = rng.choice(["web", "ios", "android"], size=users, p=[0.5, 0.25, 0.25])
    countries = rng.choice(["DE", "US", "FR", "GB"], size=users, p=[0.4, 0.3, 0.2, 0.1])
    variants = rng.choice(["control", "treatment"], size=users)
    midnight = datetime(start_on.year, start_on.month, start_on.day)
    browsing = [f for f in truth.features if f != "configurator"]
    for user in range(users):
        base = 1 / (1 + np.exp(-(0.2 + 2 * truth.confounding_strength * propensity[user])))
        start_probability = np.clip(
            truth.start_rate_mean + truth.confounding_strength * 0.4 * propensity[user], 0.05, 0.9
        )
        completed = exposed = False
        for day in range(days):
            if rng.random() >= min(base + (truth.return_effect if completed else 0.0), 0.98):
                continue
            for session in range(1 + int(rng.random() < 0.45)):
                at = midnight + timedelta(days=day, seconds=float((8 + 6 * session) * 3600 + rng.uniform(0, 5 * 3600)))
                shared = {
                    "user_id": f"u{user:05d}",
                    "session_id": f"s{user:05d}-{day:03d}-{session}",
                    "platform": str(platforms[user]),
                    "app_version": "2.1.0" if day >= days // 2 else "2.0.0",
                    "country": str(countries[user]),
                }
                names = [("page_viewed", str(f), {}) for f in rng.choice(browsing, size=rng.integers(8, 20))]
                if rng.random() < start_probability:
                    quiz, done = _quiz(rng, str(variants[user]), is_first_exposure=not exposed, truth=truth)
                    exposed, completed = True, completed or done
                    names = names[:3] + quiz + names[3:]
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
    return rows


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


def _telemetry(rng: np.random.Generator, *, users: int, days: int, start_on: date, truth: Truth) -> pd.DataFrame:
    """About 60 observations per feature and day; each feature has slow spells that last some days."""
    frames = []
    for index, feature in enumerate(truth.features):
        spell = 0.0
        base_ms = 90 + 25 * index
        for day in range(days):
            spell = 0.7 * spell + float(rng.normal(0, 0.10))
            n = int(rng.poisson(60))
            slow = 1.0
            for regression in truth.regressions:
                if regression.feature_id == feature and day >= regression.day:
                    slow *= regression.factor
            in_incident = feature == truth.incident_feature and truth.incident_days[0] <= day <= truth.incident_days[1]
            crash_rate = truth.incident_crash_rate if in_incident else truth.baseline_crash_rate
            android = truth.android_share_after if day >= truth.drift_day else truth.android_share_before
            seconds = np.sort(rng.uniform(0, 86_399, n))
            frames.append(
                pd.DataFrame(
                    {
                        "feature_id": feature,
                        "user_id": [f"u{u:05d}" for u in rng.integers(0, users, n)],
                        "observed_at": pd.Timestamp(start_on + timedelta(days=day))
                        + pd.to_timedelta(seconds.round(3), unit="s"),
                        "latency_ms": np.round(base_ms * slow * np.exp(spell + rng.normal(0, 0.35, n)), 2),
                        "crashed": rng.random(n) < crash_rate,
                        "error_count": rng.poisson(0.02 * np.exp(3 * max(spell, 0.0)), n),
                        "feedback_score": np.where(
                            rng.random(n) < 0.2,
                            np.clip(rng.normal(4.2 - 2 * max(spell, 0.0), 0.6, n).round(), 1, 5),
                            np.nan,
                        ),
                        "session_seconds": np.round(rng.exponential(120, n), 1),
                        "app_version": "2.1.0" if day > days - 8 else "2.0.0",
                        "platform": np.where(
                            rng.random(n) < android, "android", np.where(rng.random(n) < 0.6, "web", "ios")
                        ),
                    }
                )
            )
    frame = pd.concat(frames, ignore_index=True)
    frame.insert(0, "observation_id", [f"o{i:07d}" for i in range(len(frame))])
    frame["observed_at"] = frame["observed_at"].astype("datetime64[us]")
    return frame


def _annotations(start_on: date, days: int, truth: Truth) -> pd.DataFrame:
    marks = [(r.day, "deployment", r.feature_id, f"{r.feature_id} release") for r in truth.regressions if r.day < days]
    marks.append((truth.incident_days[0], "incident", truth.incident_feature, "crash wave"))
    return pd.DataFrame(
        [
            {"at": f"{start_on + timedelta(days=d)}T00:00:00Z", "kind": k, "feature_id": f, "label": text}
            for d, k, f, text in sorted(marks)
        ]
    )


def _features(truth: Truth) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "feature_id": feature,
                "feature_name": feature.replace("_", " ").capitalize(),
                "owner_team": ("growth", "core", "payments")[index % 3],
                "lifecycle_stage": "beta" if feature == "configurator" else "ga",
                "released_on": "2025-11-01",
                "slo_p95_latency_ms": round((90 + 25 * index) * 2.05),
                "slo_crash_free_users": 0.96,
                "slo_error_rate": 0.08,
                "slo_feedback_score": 3.5,
            }
            for index, feature in enumerate(truth.features)
        ]
    )
