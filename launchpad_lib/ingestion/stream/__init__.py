"""Kafka and spool into the lake: decoded, judged, committed exactly once."""
