"""Values that hang on a user's id alone, computed once per user of a lake's dictionary, not once per row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir
import numpy as np

from launchpad_lib.contract.sql import file_list
from launchpad_lib.metrics.kernels.lake_log import PART, LakeRows, lake_rows
from launchpad_lib.metrics.kernels.own_columns import columns_of, is_itself


def hashes_of_users(events: ir.Table) -> np.ndarray | None:
    """The engine's hash of each user's id by the user's number; None of a table that is no lake's events."""
    asked = {"hash": events.user_id.hash()}
    found = lake_rows(events, asked, unit="user_id", order=("event_at",), where=None)
    return None if found is None else values_of_users(found, asked)["hash"]


def values_of_users(found: LakeRows, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Values that hang on the user's id alone, by the user's number."""
    row = found.rows.op()
    if not names or not isinstance(row, ops.Project):
        return {}
    part = next(t for t in row.find(ops.DatabaseTable))

    def of_part(node: ops.Node, kwargs: Mapping[str, Any] | None) -> ops.Node:
        if isinstance(node, ops.Field) and columns_of(node) == {"user_id"} and is_itself(node):
            return ops.Field(part, "user_id")
        return node.__recreate__(kwargs) if kwargs else node

    moved = {name: row.values[name].replace(of_part).to_expr() for name in names}
    asked = part.to_expr().select(number=ops.Field(part, "user_number").to_expr(), **moved)
    cursor = found.backend.con.cursor()
    try:
        cursor.execute(
            f"CREATE TEMP VIEW {PART} AS SELECT user_id, user_number "
            f"FROM read_parquet({file_list(found.log.dictionary_paths)})"
        )
        table = cursor.sql(found.backend.compile(asked)).to_arrow_table()
    finally:
        cursor.close()
    number = table["number"].to_numpy()
    values = {}
    for name in names:
        values[name] = np.empty(int(number.max(initial=0)) + 1, row.values[name].dtype.to_pandas())
        values[name][number] = table[name].to_numpy()
    return values
