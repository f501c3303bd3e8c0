"""How the whole suite is run: the same examples every time, and a second attempt where real programs and real time are in play.

Decision 23 has the reasons. `LAUNCHPAD_EXPLORE=1` lets hypothesis draw new examples (`make explore`).
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No limit by the clock: on a slow machine an example that computes for long is no fault.
PROFILES = {
    "fixed": {"derandomize": True, "database": None},
    "explore": {"print_blob": True},
}
for name, how in PROFILES.items():
    settings.register_profile(name, deadline=None, suppress_health_check=[HealthCheck.too_slow], **how)
settings.load_profile("explore" if os.environ.get("LAUNCHPAD_EXPLORE") else "fixed")

# Rooms whose tests start browsers, brokers, servers, kernels and whole runs, and wait for them.
WITH_REAL_PROGRAMS = ("browser", "collector", "runner", "streaming", "tracking", "workbook")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One more attempt for tests with real programs; the summary names every test that needed it (`RERUN`)."""
    here = Path(__file__).parent
    for item in items:
        inside = item.path.relative_to(here).parts if item.path.is_relative_to(here) else ()
        if inside and inside[0] in WITH_REAL_PROGRAMS:
            item.add_marker(pytest.mark.flaky(reruns=1))
