"""The columns that programs were promised, by name and in order; more may follow them."""

from __future__ import annotations

import pytest

from launchpad_lib.contract.catalogue.experiments import EXPERIMENTS
from launchpad_lib.contract.catalogue.lift import LIFT

PROMISED = {
    "lift": "feature_id compare design estimand estimate ci_low ci_high n verdict refused_because",
    "experiments": "experiment_id variant metric role value lift ci_low ci_high p n n_control decision",
}


@pytest.mark.parametrize("table", [LIFT, EXPERIMENTS], ids=lambda t: t.name)
def test_a_table_begins_with_the_columns_that_programs_were_promised(table):
    names = PROMISED[table.name].split()
    assert [column.name for column in table.columns][: len(names)] == names
