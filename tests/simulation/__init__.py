"""Deterministic simulation: real owners over a log, a Redis and a clock of our own, under seeded faults.

A seed decides the records, the faults and which of the waiting callbacks runs next; so a seed that fails
fails every time. `python -m tests.simulation --help` says how to run it.
"""
