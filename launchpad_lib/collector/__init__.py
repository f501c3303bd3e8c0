"""HTTP collector: takes batches of events, keeps them durably in a spool, then answers 202; and moves a spool on to
Kafka.
"""

from launchpad_lib.collector.service import create_app
from launchpad_lib.collector.serving import serve
from launchpad_lib.collector.settings import CollectorError, Settings

__all__ = ["CollectorError", "Settings", "create_app", "serve"]
