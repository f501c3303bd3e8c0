"""Spools: folders of append-only segments in which events wait on their way to the lake."""
