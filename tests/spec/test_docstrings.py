"""Every metric's docstring has an example that runs, so that an analyst can copy it onto an own table."""

from __future__ import annotations

import doctest
import importlib
import inspect

import pytest

from launchpad_lib import metrics

MODULES = ("checks", "dropoff", "engagement", "funnel", "lifecycle", "paths", "retention", "rules", "windows")
OTHER = ("launchpad_lib.inference.comparison", "launchpad_lib.inference.multiplicity", "launchpad_lib.inference.survival")


@pytest.mark.parametrize("name", [*(f"launchpad_lib.metrics.{m}" for m in MODULES), *OTHER])
def test_the_examples_of_the_docstrings_run(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


def test_every_product_metric_has_an_example():
    exempt = {"adoption", "completion", "daily_active_users", "pooled_retention", "require_known", "retention_curve", "session_duration", "share_rate"}
    functions = [f for n, f in inspect.getmembers(metrics, inspect.isfunction) if f.__module__.split(".")[-1] in MODULES and n not in exempt]
    assert [f.__name__ for f in functions if ">>>" not in (f.__doc__ or "")] == []
