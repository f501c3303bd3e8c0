"""What came in, what was refused, what is missing."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir


def daily_rows(table: ir.Table, time_column: str) -> ir.Table:
    """Grain: one row per UTC date with data. Columns: day, rows."""
    dated = table.mutate(day=table[time_column].date())
    return dated.group_by("day").agg(rows=dated.count()).order_by("day")


def rejects_by_reason(rejected: ir.Table) -> ir.Table:
    """Grain: one row per table and reason. Columns: table_name, reason, rows."""
    return rejected.group_by(["table_name", "reason"]).agg(rows=rejected.count()).order_by([ibis.desc("rows"), "table_name", "reason"])


def missing_share(table: ir.Table) -> ir.Table:
    """Grain: one row per column. missing_share = rows where it is NULL / rows."""
    parts = [
        table.agg(column=ibis.literal(name), rows=table.count(), missing=table[name].isnull().sum().fill_null(0)) for name in table.columns
    ]
    together = parts[0].union(*parts[1:])
    return together.mutate(missing_share=together.missing / together.rows.nullif(0)).order_by("column")
