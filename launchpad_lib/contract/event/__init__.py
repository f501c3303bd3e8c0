"""The event: what it must be, declared once (`rules`), held against one event (`judging`) and against columns of many
(`columns`).

A columnar door asks `columns` which rows are beyond doubt and hands every other row to `judge`, so there is one verdict
and one reason.
"""

from launchpad_lib.contract.event.instants import instant
from launchpad_lib.contract.event.json_text import read_object
from launchpad_lib.contract.event.judging import Event, RefusedEvent, judge
from launchpad_lib.contract.event.rules import shown

__all__ = ["Event", "RefusedEvent", "instant", "judge", "read_object", "shown"]
