"""Files in, rows and refused rows out, each exactly once."""

from launchpad_lib.ingestion.files.replay import Replayed, replay
from launchpad_lib.ingestion.files.sink import IngestResult, commit, ingest, prepare
from launchpad_lib.ingestion.files.source import IngestError, SourceSpec
from launchpad_lib.ingestion.frames import from_frame

__all__ = [
    "IngestError",
    "IngestResult",
    "Replayed",
    "SourceSpec",
    "commit",
    "from_frame",
    "ingest",
    "prepare",
    "replay",
]
