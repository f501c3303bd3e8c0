"""The parameters of the notebook `scorecard`."""

from __future__ import annotations

from pydantic import Field

from launchpad_lib.runner.shared_parameters import ChangeParams


class ScorecardParams(ChangeParams):
    results: str | None = Field(
        default=None, description="folder with what the earlier notebooks of a run found; a run gives its own"
    )
