"""How fast it is, and against what: `python -m tests.bench` (throughput), `.latency`, `.columns`,
`.sessions` and `.attack` (memory).

Contestants are modules with the same three names (`prepare`, `run`, `check`). Each works in a process of its
own on the same seeded records, its totals are compared with figures that were added up while the records
were made, and runs of all contestants alternate, so that a slow minute of the machine meets all of them.
"""
