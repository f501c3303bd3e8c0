"""Parameters, execution, publication: how notebooks become a report."""
