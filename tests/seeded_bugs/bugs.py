"""All bugs on purpose: the guarded write, its owner, its memory, the counting, and what is told."""

from __future__ import annotations

from tests.seeded_bugs import in_the_answers, in_the_counting, in_the_memory, in_the_owner, in_the_write
from tests.seeded_bugs.bug import Bug

BUGS: tuple[Bug, ...] = (
    *in_the_write.BUGS,
    *in_the_owner.BUGS,
    *in_the_memory.BUGS,
    *in_the_counting.BUGS,
    *in_the_answers.BUGS,
)
BY_NAME = {bug.name: bug for bug in BUGS}
