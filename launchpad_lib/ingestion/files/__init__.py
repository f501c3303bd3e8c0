"""Files into the lake: read as sets, judged, committed once."""
