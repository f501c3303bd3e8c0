"""Files in, rows and refused rows out, each exactly once."""

from launchpad_lib.ingestion.files.replay import Replayed, replay
from launchpad_lib.ingestion.files.sink import IngestResult, commit, ingest, prepare
from launchpad_lib.ingestion.files.source import IngestError, SourceSpec

__all__ = ["IngestError", "IngestResult", "Replayed", "SourceSpec", "commit", "ingest", "prepare", "replay"]
