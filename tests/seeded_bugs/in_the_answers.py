"""Bugs before and behind the counting: in decoding, in answers, in the second opinion, in what watches."""

from __future__ import annotations

from tests.seeded_bugs.bug import Bug, bug

READING = "streams/reading.py"
TRUST = "streams/trust.py"
COMPARE = "verify/compare.py"
MEMORY = "streams/pane_memory.py"
ITS_REMEMBERING = "tests/integration/test_remembered_panes.py"
ITS_READING = "tests/integration/test_reading.py"
ITS_COMPARE = "tests/test_verify_compare.py"

BUGS: tuple[Bug, ...] = (
    bug(
        "utf8_unchecked",
        "A record that is not UTF-8 where nobody looks is taken.",
        "schemas/codec.py",
        "        if not value.isascii():\n            value.decode()\n",
        "",
        "tests/test_poison.py",
    ),
    bug(
        "half_records",
        "Two broken records in a row that are one when put together are taken for two.",
        "schemas/codec.py",
        "    if not _one_object_a_line(lines, len(present)) or _some_may_be_too_deep(lines, present):\n",
        "    if _some_may_be_too_deep(lines, present):\n",
        "tests/test_codec.py",
    ),
    bug(
        "partition_of_signed_hash",
        "Keys are placed by the hash with its sign, unlike Kafka's producers do it.",
        "schemas/partitioning.py",
        "    return (murmur2(key) & 0x7FFFFFFF) % partitions\n",
        "    return murmur2(key) % partitions\n",
        "tests/test_partitioning.py",
    ),
    bug(
        "as_of_the_fastest",
        "An answer is as of the fastest topic, not of the slowest.",
        TRUST,
        "    return min(known, default=None) if len(known) == len(watermarks) else None\n",
        "    return max(known, default=None) if len(known) == len(watermarks) else None\n",
        "tests/test_trust.py",
    ),
    bug(
        "unknown_is_complete",
        "A partition that no worker has written yet does not hold back what answers are as of.",
        TRUST,
        "    return min(known, default=None) if len(known) == len(watermarks) else None\n",
        "    return min(known, default=None)\n",
        "tests/test_trust.py",
    ),
    bug(
        "one_partition_read",
        "An answer holds one partition number, not the sum of all.",
        "streams/read_call.py",
        "        for (pane, found), flat in zip(into.items(), answer, strict=True):\n",
        "        for (pane, found), flat in zip(into.items() if not _p else (), answer):\n",
        ITS_REMEMBERING,
    ),
    bug(
        "remembered_through_changes",
        "A pane is remembered as it was, whatever is written into it later.",
        MEMORY,
        "                    self._follow(write)\n",
        "",
        ITS_REMEMBERING,
    ),
    bug(
        "remembered_through_rollback",
        "What was read before Redis lost its last writes is still told.",
        MEMORY,
        "            elif before is not None and not goes_on:\n",
        "            elif False:\n",
        ITS_REMEMBERING,
    ),
    bug(
        "remembered_beside_change",
        "An answer rests on what is remembered of a pane, although it is told that the pane has changed.",
        "streams/read_store.py",
        "            if all(plan.follows(each.changed) for each in told):\n",
        "            if True:\n",
        ITS_REMEMBERING,
    ),
    bug(
        "older_value_remembered",
        "A slow reading is remembered as it was found, without what others were told meanwhile.",
        MEMORY,
        "        for change in missed:\n",
        "        for change in ():\n",
        "tests/test_pane_memory.py",
    ),
    bug(
        "added_twice",
        "Two readings are told of the same write, and both add it to what is remembered.",
        MEMORY,
        "[: found.seq - known.seq]):\n",
        "):\n",
        ITS_REMEMBERING,
    ),
    bug(
        "added_before_it_was_read",
        "Of cells that are read for the first time, what writes added just before is counted twice.",
        "streams/read_call.py",
        "                    known.pop(place, None)\n                known |= found\n",
        "                    pass\n                self.subject.columns.put(known, found.items())\n",
        ITS_REMEMBERING,
    ),
    bug(
        "walked_beside_a_change",
        "What is ranked was walked while it changed, and is not walked again.",
        "streams/ranking.py",
        "        if self._walking.get(key) is walk:\n            del self._walking[key]\n",
        "        if True:\n",
        "tests/test_ranking.py",
    ),
    bug(
        "same_number_other_load",
        "A partition that was loaded anew after a loss is taken for the one before, if its number is higher.",
        "streams/marks.py",
        "        return later.loaded == self.loaded and later.seq >= self.seq\n",
        "        return later.seq >= self.seq\n",
        ITS_REMEMBERING,
    ),
    bug(
        "missing_mark_says_nothing",
        "A write of which no mark is left is taken for one that changed nothing.",
        "streams/marks.py",
        "    if len(entries) != max(later - seq, 0):\n        return None\n",
        "    later = seq + len(entries)\n",
        "tests/test_marks.py",
    ),
    bug(
        "highest_values_unmarked",
        "A write does not mark what it raised: readers remember the lower number.",
        "streams/write_plan.py",
        "        for part in (*cell.added, cell.highest) if cell.highest else cell.added:\n",
        "        for part in cell.added:\n",
        "tests/test_write_plan.py",
    ),
    bug(
        "plan_not_made_again",
        "Panes are asked for as of the last reading: what is deleted meanwhile is missing without a word.",
        READING,
        "            if again is plan or list(again.requests) == list(plan.requests):\n",
        "            if True:\n",
        ITS_READING,
    ),
    bug(
        "verify_one_way",
        "`verify` looks only at figures that should be there, not at those that should not.",
        COMPARE,
        "        for name in want.keys() | have.keys():\n",
        "        for name in want:\n",
        ITS_COMPARE,
    ),
    bug(
        "verify_counts_letters",
        "`verify` looks at dead letters only where there are too many.",
        COMPARE,
        "    for topic, partition, offset, reason in sorted(want | have):\n",
        "    for topic, partition, offset, reason in sorted(want | have)[len(want) :]:\n",
        ITS_COMPARE,
    ),
)
