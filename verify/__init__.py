"""The independent oracle: recomputes every figure from the Kafka log and compares.

Nothing here imports from `streams`: that is what a comparison is worth. The rules are those of
docs/contract.md, written a second time in the plainest way; only the plain decoder, the closed list of
reasons and the partitioner of `schemas` are shared with the pipeline.
"""

from __future__ import annotations

import click


class VerifyError(click.ClickException):
    """The comparison could not be made. The message is one line: what is wrong; what to do."""
