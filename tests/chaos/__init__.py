"""Chaos: the whole pipeline as real processes, broken on purpose, and every figure compared afterwards.

`python -m tests.chaos` draws a plan of faults from a seed (`plan`), starts Kafka, two Redis servers, three
workers, the read service and a source (`place`), with proxies between them (`proxy`), breaks and heals
(`faults`), watches how far behind the figures are (`monitor`, `measures`), and in the end has everything
recomputed (`proof`).
"""
