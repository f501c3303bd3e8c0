"""Parameters of the product notebooks: what cannot be meant is refused before anything runs, in one sentence."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from launchpad_lib.runner.notebook_parameters import CohortsParams, EngagementParams, FunnelsParams


@pytest.mark.parametrize(
    ("model", "given", "sentence"),
    [
        (FunnelsParams, {"report_timezone": "Europe/Berlim"}, "did you mean 'Europe/Berlin'"),
        (FunnelsParams, {"window": "7"}, "with a unit"),
        (FunnelsParams, {"mode": "loose"}, "'ordered', 'strict', 'any_order' or 'strict_order'"),
        (FunnelsParams, {"steps": ["A"]}, "at least two steps"),
        (CohortsParams, {"return_periods": [7, 1]}, "must rise"),
        (CohortsParams, {"churn_gap": "a week"}, "with a unit"),
        (CohortsParams, {"counting": "rolling", "period": "month"}, "has no fixed length"),
        (EngagementParams, {"activity_days": 0}, "greater than or equal to 1"),
    ],
)
def test_a_parameter_that_cannot_be_meant_is_refused(model, given, sentence):
    with pytest.raises(ValidationError, match=sentence):
        model(**given)
