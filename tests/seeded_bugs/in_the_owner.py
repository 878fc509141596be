"""Bugs in the owner of a partition number, and in what stands around it: transport, fleet, log check."""

from __future__ import annotations

from tests.seeded_bugs.bug import Bug, Edit, bug

OWNER = "streams/owner.py"
STATE = "streams/state.py"
TRANSPORT = "streams/transport.py"
LOG_CHECK = "streams/log_check.py"
ITS_TESTS = "tests/integration/test_owner.py"
ITS_FAULTS = "tests/integration/test_owner_faults.py"
WORKER = "tests/integration/test_worker.py"
LETTERS = """        for topic, refused in refusals.items():
            sent = await self._retry(partial(self._send, topic, refused), epoch)
            if sent is None:
                return
"""
WRITTEN = """        if answered is None:
            return
        answer, next_guard = answered
"""

BUGS: tuple[Bug, ...] = (
    bug(
        "token_constant",
        "Every write brings the same token.",
        OWNER,
        "        token = secrets.token_hex(16)\n",
        '        token = "0" * 32\n',
        ITS_FAULTS,
        ITS_TESTS,
    ),
    bug(
        "token_for_each_try",
        "A write that is tried again brings another token: its first try is taken for another owner's.",
        OWNER,
        "self._work.store.write(state, write, guard, token, published), epoch",
        "self._work.store.write(state, write, guard, secrets.token_hex(16), published), epoch",
        ITS_FAULTS,
    ),
    Bug(
        "letters_after_write",
        "Dead letters are sent after the write that passes them by: a crash in between loses them.",
        (
            Edit(OWNER, LETTERS, ""),
            Edit(OWNER, WRITTEN, WRITTEN.replace("        answer, ", LETTERS + "        answer, ")),
        ),
        (ITS_FAULTS,),
    ),
    bug(
        "letters_not_awaited",
        "Dead letters are on their way when the write goes, but nobody waits until Kafka has them.",
        OWNER,
        "            sent = await self._retry(partial(self._send, topic, refused), epoch)\n"
        "            if sent is None:\n                return\n",
        "            sending = self._retry(partial(self._send, topic, refused), epoch)\n"
        "            self._sending = asyncio.ensure_future(sending)\n",
        ITS_FAULTS,
    ),
    bug(
        "vector_ahead",
        "The vector is not frozen with the data: folding moves it while a write waits.",
        STATE,
        "progress={topic: replace(progress) for topic, progress in self.topics.items()},",
        "progress=self.topics,",
        ITS_FAULTS,
    ),
    bug(
        "hint_ahead",
        "Kafka is told offsets that Redis does not hold yet (acknowledged before it is written).",
        OWNER,
        "        return self._guard.offsets if self._state is not None else {}\n",
        "        topics = self._state.topics if self._state is not None else {}\n"
        '        return {f"off:{topic}": str(each.next_offset) for topic, each in topics.items()}\n',
        ITS_FAULTS,
    ),
    bug(
        "memory_kept",
        "After a refusal the owner takes over the new token and goes on with its old memory.",
        OWNER,
        '            self._resync(f"Redis refused the write: {answer.differs} is not what'
        ' the memory was built on")\n',
        "            self._guard = (await self._work.store.load(self.partition, self._work.rules))[1]\n",
        ITS_TESTS,
    ),
    bug(
        "epoch_unchecked",
        "Batches that were fetched before a take-over are taken for new ones: each starts another take-over.",
        OWNER,
        "if state is None or batch.epoch != self.epoch:",
        "if state is None:",
        ITS_TESTS,
    ),
    bug(
        "position_unchecked",
        "A batch is folded wherever it begins.",
        OWNER,
        "if batch.before != state.topics[batch.topic].next_offset:",
        "if False:",
        ITS_TESTS,
    ),
    bug(
        "records_of_another_token",
        "Orders that another owner wrote, or that a rollback took away again, are judged by.",
        OWNER,
        "            if not tokens <= self._tokens:\n",
        "            if False:\n",
        "tests/integration/test_owner_readings.py",
    ),
    bug(
        "clock_trusted",
        "After the clock was set back nothing is saved until it is again where it was.",
        OWNER,
        "        if waited_ms < 0 or waited_ms >= ",
        "        if waited_ms >= ",
        "tests/integration/test_owner_readings.py",
    ),
    bug(
        "openings_in_any_order",
        "A take-over that was overtaken by a later one still moves the consumer.",
        TRANSPORT,
        "        if epoch < self.epochs.get(partition, 0):\n",
        "        if False:\n",
        "tests/test_transport.py",
    ),
    bug(
        "released_before_it_began",
        "A take-over whose owner was released before its first step has the topics read all the same.",
        OWNER,
        "    async def _take_over(self, epoch: int) -> None:\n",
        "    async def _take_over(self, epoch: int) -> None:\n        self.release()\n"
        "        epoch = self.epoch\n",
        ITS_FAULTS,
    ),
    bug(
        "offset_arithmetic",
        "The next offset is the last one plus one, not the position after the fetch.",
        OWNER,
        "next_offset = chunk[-1].offset + 1 if left else batch.after",
        "next_offset = chunk[-1].offset + 1",
        ITS_TESTS,
    ),
    bug(
        "empty_fetch_ignored",
        "A fetch without records (control records of a transaction) does not move the vector.",
        OWNER,
        "            state.topics[batch.topic].next_offset = batch.after\n            self.made_progress()\n",
        "            self.made_progress()\n",
        ITS_TESTS,
    ),
    bug(
        "two_fold_at_once",
        "Each batch is folded as it comes, beside those of its partition number that wait for Redis.",
        "streams/fleet.py",
        "        if len(owner.inbox) == 1:\n",
        "        if True:\n",
        "tests/integration/test_fleet.py",
    ),
    bug(
        "room_not_shared",
        "A partition number whose batches are not folded takes all the room ahead: the others starve.",
        TRANSPORT,
        "in_all <= 0 or of_number[tp.partition] >= share or ",
        "in_all <= 0 or ",
        "tests/test_transport.py",
    ),
    bug(
        "two_flushes",
        "A second flush of a partition number starts while one is on its way.",
        OWNER,
        "        if self._flushing is not None:\n            return self._flushing\n"
        "        state = self._state\n",
        "        state = self._state\n",
        ITS_TESTS,
    ),
    bug(
        "half_a_chunk_saved",
        "Memory that an error left in the middle of a chunk is saved at the end.",
        OWNER,
        'must not be saved at the end."""\n        self.release()\n',
        'must not be saved at the end."""\n',
        ITS_FAULTS,
    ),
    bug(
        "answer_of_an_older_life",
        "The answer to a write of an earlier take-over is used for the memory of the present one.",
        "streams/asking.py",
        "            return answer if is_wanted() else None\n",
        "            return answer\n",
        ITS_FAULTS,
    ),
    bug(
        "emptied_and_truncated",
        "Redis was emptied, and the log is no longer whole: the worker goes on with what is left.",
        LOG_CHECK,
        "            if bound.start and not may_begin_late:\n",
        "            if False:\n",
        "tests/test_log_check.py",
    ),
    bug(
        "emptied_under_a_rebuild",
        "Redis was emptied under a rebuild, and the log was cut since: it goes on with what is left.",
        OWNER,
        "self._work.may_begin_late and not self._guard.token\n",
        "self._work.may_begin_late\n",
        "tests/integration/test_refused_states.py",
    ),
    bug(
        "partitions_added",
        "Partitions are added under a running worker: it takes the new number over, and what moved is apart.",
        OWNER,
        "        await self._work.counts.check_for(self.partition)\n",
        "",
        "tests/integration/test_refused_states.py",
    ),
    bug(
        "gone_at_once",
        "A broker that starts and knows no topic yet ends the worker, as if the topic were deleted.",
        LOG_CHECK,
        "self._now_s() - since_s < GONE_AFTER_S:",
        "self._now_s() < since_s:",
        "tests/test_log_check.py",
    ),
    bug(
        "recreated_log",
        "A topic that was recreated is read on from the old offset.",
        LOG_CHECK,
        "    if found != (offset, timestamp, crc):",
        "    if found is None:",
        "tests/test_log_check.py",
    ),
    bug(
        "truncated_log",
        "Records that were deleted unread are passed over.",
        LOG_CHECK,
        "    if bound.start > next_offset:",
        "    if False:",
        "tests/test_log_check.py",
    ),
    bug(
        "watermark_from_the_clock",
        "The published watermark follows the clock although records wait to be read.",
        "streams/watermark.py",
        "    if is_quiet:\n",
        "    if True:\n",
        "tests/test_watermark.py",
    ),
    bug(
        "no_lag_known",
        "A lag that nobody knows (Kafka does not answer) counts as none.",
        "streams/watermark.py",
        "        if lag != 0:\n",
        "        if lag:\n",
        "tests/test_watermark.py",
    ),
    bug(
        "read_uncommitted",
        "The worker reads records of transactions that are open or were given up.",
        TRANSPORT,
        'isolation_level="read_committed",\n            max_partition_fetch_bytes',
        'isolation_level="read_uncommitted",\n            max_partition_fetch_bytes',
        WORKER,
    ),
    bug(
        "cancelled_write_forgotten",
        "A write that its client has cancelled is taken for one that was done: a hole in the figures.",
        "streams/owner.py",
        "asyncio.CancelledError() if task.cancelled()",
        "None if task.cancelled()",
        "tests/integration/test_owner.py",
    ),
    bug(
        "stop_cancels_whoever_waits",
        "A consumer that is stopped a moment after its fetch failed cancels the take-over that waits for it.",
        "streams/kafka_log.py",
        "        if task is None or task.cancelling():\n",
        "        if True:\n",
        "tests/integration/test_kafka_log.py",
    ),
    bug(
        "silent_producer_kept",
        "A producer of dead letters that stays silent beside a broker that answers is kept for ever.",
        "streams/outlet.py",
        "        if self._doubting or silent is not self._producer:\n",
        "        if True:\n",
        "tests/integration/test_outlet.py",
    ),
    bug(
        "refused_sent_again",
        "Refused records that are on their way are sent once more each time that somebody asks for them.",
        "streams/outlet.py",
        "sending is None or sending.refusals is not refusals or sending.by is not connecting",
        "True",
        "tests/integration/test_outlet.py",
    ),
)
