"""Bugs in what decides figures: verdicts, sums, ids, money, sessions, sketches, caps."""

from __future__ import annotations

from tests.seeded_bugs.bug import Bug, Edit, bug

STATE = "streams/state.py"
SUMS = "streams/sums.py"
VERDICT = "streams/verdict.py"
WINDOW = "streams/window.py"
SCENARIOS = "tests/test_scenarios.py"
PROPERTY = "tests/test_pipeline_property.py"
IDENTITY = "tests/test_identity.py"
ITS_STATE = "tests/test_state.py"
ITS_SUMS = "tests/test_sums.py"
CLOCK = '__import__("time").time_ns() // 1_000_000'

BUGS: tuple[Bug, ...] = (
    bug(
        "no_dedupe",
        "Repeated events count again.",
        STATE,
        "        fresh = self.ids[topic].admit([event.event_id for event in events], ingest_ms, times_ms)\n",
        "        fresh = list(range(len(events)))\n",
        SCENARIOS,
    ),
    Bug(
        "counted_before_deduped",
        "Events are counted first, and repetitions found after.",
        (
            Edit(
                STATE,
                "        fresh = self.ids[topic].admit(",
                "        self._counter.count(events, times_ms)\n        fresh = self.ids[topic].admit(",
            ),
            Edit(
                STATE,
                "        self._count_by_ingest(topic, catalogue.ACCEPTED, ingest_ms)\n"
                "        self._counter.count(events, times_ms)\n",
                "        self._count_by_ingest(topic, catalogue.ACCEPTED, ingest_ms)\n",
            ),
        ),
        (SCENARIOS,),
    ),
    bug(
        "repeated_in_one_fetch",
        "An event that is repeated within one fetch counts twice.",
        "streams/identity.py",
        " and id_hash not in packed and id_hash not in distinct:",
        " and id_hash not in packed:",
        IDENTITY,
    ),
    bug(
        "packed_ids_forgotten",
        "Ids of minutes that are over, which are packed, count again.",
        "streams/identity.py",
        "        packed = self._packed_of(run)\n",
        "        packed: set[int] = set()\n",
        IDENTITY,
    ),
    bug(
        "packed_part_lost",
        "When a minute is over, of its packed parts only the first one stays.",
        "streams/identity.py",
        "for part in parts))]",
        "for part in parts[:1]))]",
        IDENTITY,
    ),
    bug(
        "forgotten_a_minute_early",
        "Ids are forgotten one minute before copies of them are late (the horizon without its + 1).",
        STATE,
        "        return self.lateness_ms(topic) // MINUTE_MS + 1\n",
        "        return self.lateness_ms(topic) // MINUTE_MS\n",
        SCENARIOS,
        PROPERTY,
    ),
    Bug(
        "ids_by_event_time",
        "Ids are filed under their event time, not under the later of event and ingest time.",
        (
            Edit(
                "streams/identity.py",
                "        if max(event_ms[start:end]) // MINUTE_MS <= minute:\n",
                "        if False:\n",
            ),
            Edit(
                "streams/identity.py",
                "self._keep(max(minute, event_ms[index] // MINUTE_MS), [hashes[index]])",
                "self._keep(event_ms[index] // MINUTE_MS, [hashes[index]])",
            ),
        ),
        (IDENTITY,),
    ),
    bug(
        "order_repeated_a_minute_early",
        "Purchases and refunds may be repeated one minute before that is late.",
        "streams/orders.py",
        "ingest_ms // MINUTE_MS - known.accepted_minute <= horizon_minutes",
        "ingest_ms // MINUTE_MS - known.accepted_minute < horizon_minutes",
        SCENARIOS,
        PROPERTY,
    ),
    bug(
        "late_at_the_limit",
        "An event is late by >= instead of >, where another record of its fetch is late or ahead.",
        VERDICT,
        "        if ingest_ms - event.event_time_ms > self.lateness_ms:",
        "        if ingest_ms - event.event_time_ms >= self.lateness_ms:",
        "tests/test_verdict.py",
    ),
    bug(
        "late_by_the_clock",
        "Ingest time is the worker's clock, not Kafka's timestamps.",
        VERDICT,
        "max, initial=ingest_ms))[1:]",
        f"max, initial={CLOCK}))[1:]",
        "tests/test_verdict.py",
    ),
    bug(
        "ingest_time_falls",
        "Ingest time is the record's own timestamp, not the highest so far.",
        VERDICT,
        "        ingest = list(accumulate(timestamps, max, initial=ingest_ms))[1:]\n",
        "        ingest = timestamps\n",
        "tests/test_verdict.py",
    ),
    bug(
        "misplaced_uncounted",
        "Records under a key of another partition are not counted as misplaced.",
        STATE,
        "        self._count_by_ingest(topic, catalogue.MISPLACED, screened.misplaced)\n",
        "",
        SCENARIOS,
        ITS_STATE,
    ),
    bug(
        "border_of_a_pane",
        "An event on the border of two panes falls into the earlier one.",
        WINDOW,
        "        return time_ms - time_ms % self.size_ms\n",
        "        return time_ms - 1 - (time_ms - 1) % self.size_ms\n",
        "tests/test_window.py",
    ),
    bug(
        "kept_a_pane_less",
        "A pane that ends exactly at the end of its retention is gone.",
        WINDOW,
        "        return start_ms + self.size_ms >= partition_high_ms - self.retention_ms\n",
        "        return start_ms + self.size_ms > partition_high_ms - self.retention_ms\n",
        "tests/test_window.py",
    ),
    bug(
        "retention_by_the_clock",
        "Panes go by the worker's clock, not by the highest event time.",
        STATE,
        "self.sums.take(self.high_ms)",
        f"self.sums.take({CLOCK})",
        SCENARIOS,
    ),
    bug(
        "delta_as_absolute",
        "What is to be added to a cell that Redis holds is written as its value.",
        SUMS,
        "                    deltas[name] = deltas.get(name, 0) + amount\n",
        "                    absolute[name] = absolute.get(name, 0) + amount\n",
        ITS_SUMS,
    ),
    bug(
        "value_not_kept",
        "What was added to a known cell is written, but not remembered.",
        SUMS,
        "                    absolute[name] = known[name] = known[name] + amount\n",
        "                    absolute[name] = known[name] + amount\n",
        ITS_SUMS,
    ),
    bug(
        "forgotten_is_zero",
        "A pane whose cells were forgotten is taken for an empty one when events still come.",
        SUMS,
        "            self._uncertain.add(key[1])",
        "            pass",
        ITS_SUMS,
        PROPERTY,
    ),
    bug(
        "panes_of_the_last_write",
        "Which panes are kept is remembered from one write to the next, although time moves on.",
        SUMS,
        "        around: PanesAround = {}\n",
        '        around: PanesAround = self.__dict__.setdefault("around", {})\n',
        "tests/test_sums_deleted.py",
        PROPERTY,
    ),
    bug(
        "copies_forgotten_too_soon",
        "A record is read from Redis again before the write that changed it is there.",
        "streams/ledger.py",
        "self._old = {**self._on_the_way, **self._unsaved, **self._young}",
        "self._old = self._young",
        "tests/test_ledger.py",
    ),
    bug(
        "remainder_to_the_wrong_line",
        "The units that are left of a refund go to the lines with the smallest fractions.",
        "streams/refunds.py",
        "(-(amount * weights[index] % total), index)",
        "(amount * weights[index] % total, index)",
        "tests/test_refunds.py",
    ),
    bug(
        "refunded_above_the_order",
        "A refund above what is left of its order is taken.",
        "streams/orders.py",
        "        if event.amount_minor > left_minor:",
        "        if False:",
        "tests/test_orders.py",
    ),
    bug(
        "commission_rounded",
        "Commission is rounded to the nearest unit, not down.",
        "streams/commission.py",
        "    return amount_minor * bps // BPS\n",
        "    return (amount_minor * bps + BPS // 2) // BPS\n",
        "tests/test_commission.py",
    ),
    bug(
        "tap_on_the_border",
        "A tap exactly 24 h before the purchase no longer speaks for it, if it comes first.",
        "streams/attribution.py",
        "            if order.time_ms - WINDOW_MS <= tap.time_ms <= order.time_ms:",
        "            if order.time_ms - WINDOW_MS < tap.time_ms <= order.time_ms:",
        "tests/test_attribution.py",
    ),
    bug(
        "session_not_taken_back",
        "An earlier view moves a session to an earlier pane, but it stays counted in the later one.",
        "streams/steps.py",
        "    for reached, amount in ((old, -1), (new, 1)):",
        "    for reached, amount in ((new, 1),):",
        "tests/test_steps.py",
        SCENARIOS,
    ),
    bug(
        "users_in_the_wrong_minute",
        "All users of a fetch are offered to the sketch of its first minute.",
        "streams/users.py",
        "    if len(set(minutes)) == 1:\n",
        "    if True:\n",
        "tests/test_users.py",
    ),
    bug(
        "cap_by_name",
        "Where not all values have a place, the first ones by name get it, not the first ones in the log.",
        "streams/admission.py",
        "        first = dict.fromkeys(value for value in here if value in fresh)\n",
        "        first = sorted(set(here) & fresh)\n",
        "tests/test_admission.py",
    ),
    bug(
        "cap_forgotten",
        "What a pane admitted is not read from Redis: after a take-over it admits as many values again.",
        "streams/admission.py",
        "            self._uncertain[pane.size].add(pane.start_ms)\n\n    def unknown",
        "            self._uncertain[pane.size].clear()\n\n    def unknown",
        "tests/test_admission.py",
        SCENARIOS,
    ),
    bug(
        "watch_time_twice",
        "A heartbeat that comes late adds its watch time, and that of the one before it stays.",
        "streams/rooms.py",
        "beat.time_ms, _step_end(beats, at - 1), -1)",
        "beat.time_ms, _step_end(beats, at - 1), 0)",
        "tests/test_rooms.py",
    ),
)
