"""The lake's tables as Arrow schemas, made from their declaration."""

from __future__ import annotations

import pyarrow as pa

from launchpad_lib.contract.tables import EVENTS, GAPS, REJECTED, Table

ARROW_TYPES = {"timestamp": pa.timestamp("us"), "float64": pa.float64(), "int64": pa.int64(), "boolean": pa.bool_()}


def arrow_schema(table: Table) -> pa.Schema:
    """The table's columns as Arrow fields; text and JSON are strings."""
    return pa.schema([(c.name, ARROW_TYPES.get(c.type, pa.string())) for c in table.columns])


ROWS_SCHEMA = arrow_schema(EVENTS)
EVENTS_SCHEMA = ROWS_SCHEMA.append(pa.field("event_on", pa.date32()))
REFUSED_SCHEMA = arrow_schema(REJECTED)
GAPS_SCHEMA = arrow_schema(GAPS)
