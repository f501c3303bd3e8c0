"""What everybody must agree on, declared once: tables, events, spool layout, names, durations, words, the metric
catalogue.
"""
