"""Every example in a docstring of the package runs and prints what it says."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import launchpad_lib
from launchpad_lib import metrics

MODULES = [m.name for m in pkgutil.walk_packages(launchpad_lib.__path__, "launchpad_lib.")]
WITH_EXAMPLES = [
    n for n in MODULES if any(t.examples for t in doctest.DocTestFinder().find(importlib.import_module(n)))
]


def test_most_rooms_show_examples():
    assert len({n.split(".")[1] for n in WITH_EXAMPLES}) >= 5


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_the_docstrings_run(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


def test_every_product_metric_has_an_example():
    rooms = {
        "checks", "cohorts", "dropoff", "engagement", "funnel", "funnel_periods", "lifecycle", "paths", "retention", "rules", "usage", "windows",
    }  # fmt: skip
    exempt = {
        "adoption",
        "completion",
        "daily_active_users",
        "pooled_retention",
        "property_value",
        "retention_curve",
        "session_duration",
        "share_rate",
    }
    functions = [
        f
        for n, f in inspect.getmembers(metrics, inspect.isfunction)
        if f.__module__.split(".")[-1] in rooms and n not in exempt
    ]
    assert [f.__name__ for f in functions if ">>>" not in (f.__doc__ or "")] == []
