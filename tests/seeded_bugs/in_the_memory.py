"""Bugs in what is remembered and for how long: progress, records, what is deleted when."""

from __future__ import annotations

from tests.seeded_bugs.bug import Bug, bug

STATE = "streams/state.py"
TRIMMING = "streams/trimming.py"
PLAN = "streams/write_plan.py"
SCENARIOS = "tests/test_scenarios.py"
ITS_STATE = "tests/test_state.py"
WRITES = "tests/integration/test_store.py"

BUGS: tuple[Bug, ...] = (
    bug(
        "ingest_time_not_saved",
        "A new owner does not know the ingest time: what was late is accepted after a restart.",
        PLAN,
        '        ("ing", progress.ingest_ms),\n',
        "",
        WRITES,
    ),
    bug(
        "highest_time_not_saved",
        "A new owner does not know the highest event time: panes that were deleted come again.",
        PLAN,
        '        fields["h"] = str(write.high_ms)\n',
        "        pass\n",
        WRITES,
    ),
    bug(
        "ids_kept_for_good",
        "Ids that were saved are never forgotten: memory and Redis grow for ever.",
        "streams/identity.py",
        "        self._unsaved = {}\n        self._expired = []\n        return",
        "        self._by_minute = {}\n        self._unsaved = {}\n"
        "        self._expired = []\n        return",
        "tests/test_identity.py",
    ),
    bug(
        "deleted_by_the_fastest",
        "Records are deleted as far as the fastest of their topics was read, not the slowest.",
        TRIMMING,
        "    return min(\n        max(progress.ingest_ms",
        "    return max(\n        max(progress.ingest_ms",
        ITS_STATE,
    ),
    bug(
        "orders_deleted_early",
        "Orders are deleted a day before refunds of them are refused.",
        STATE,
        "        past_orders = day_of(purchases) - self.rules.order_horizon_days - 1\n",
        "        past_orders = day_of(purchases) - self.rules.order_horizon_days\n",
        ITS_STATE,
    ),
    bug(
        "identities_deleted_early",
        "Identities of the order service are deleted three days before repetitions of them are late.",
        STATE,
        "day_of(purchases) - self._lateness_days - 2\n",
        "day_of(purchases) - self._lateness_days + 1\n",
        ITS_STATE,
    ),
    bug(
        "sessions_deleted_early",
        "Sessions are deleted while events of theirs may come.",
        "streams/funnel.py",
        "    return day_of(ingest_ms - ANEW_MS) - 1\n",
        "    return day_of(ingest_ms) - 1\n",
        "tests/test_funnel.py",
    ),
    bug(
        "live_start_of_the_last",
        "A live began when the last of its starts was, not the first.",
        "streams/apply.lua",
        "  if is_new or is_less(value, before) then",
        "  if is_new or is_less(before, value) then",
        WRITES,
    ),
    bug(
        "excluded_refund_books",
        "A refund of a test order takes from the shop's money.",
        "streams/orders.py",
        "        if not excluded:\n            self._take(event, order)\n        return None\n",
        "        self._take(event, order)\n        return None\n",
        SCENARIOS,
    ),
    bug(
        "refused_refund_keeps_its_id",
        "A waiting refund that its order refuses keeps its id: the right one is then a repetition.",
        "streams/order_service.py",
        "                    self._forget_identity(refund_id)\n",
        "                    pass\n",
        SCENARIOS,
    ),
    bug(
        "attempt_of_the_first_word",
        "A payment attempt keeps its first outcome, whatever is said later.",
        "streams/payments.py",
        "outcome=event.outcome if before is None or last else before.outcome",
        "outcome=event.outcome if before is None else before.outcome",
        "tests/test_payments.py",
    ),
    bug(
        "claw_back_at_the_hour",
        "A refund at the very moment when commission becomes final takes of what is estimated.",
        "streams/commission.py",
        "if taken.time_ms >= final_ms]",
        "if taken.time_ms > final_ms]",
        "tests/test_commission.py",
        SCENARIOS,
    ),
    bug(
        "older_listing_wins",
        "A listing that comes late replaces the newer one.",
        "streams/products.py",
        "    if listed < record.listed:\n        return False\n",
        "",
        "tests/test_products.py",
    ),
    bug(
        "assigned_again",
        "A user who is assigned twice is in the later arm, with all that came before.",
        "streams/redirects.py",
        "        if arm is not None:\n            if arm != event.arm:\n"
        "                self._book(CONTRADICTED.name, time_ms, event.rule_id, arm)\n            return\n",
        "",
        "tests/test_redirects.py",
    ),
    bug(
        "topics_run_ahead",
        "In catch-up no topic waits for the others.",
        "streams/fleet.py",
        "                if progress.ingest_ms > min(known) + AHEAD_MAX_MS:\n",
        "                if False:\n",
        "tests/integration/test_fleet.py",
    ),
    bug(
        "memory_not_shared",
        "Each partition number remembers as much as a worker may: memory grows with how many it has.",
        "streams/fleet.py",
        "            owner.sharing = len(partitions)\n",
        "",
        "tests/integration/test_fleet.py",
    ),
    bug(
        "standstill_unnoticed",
        "A worker that folds nothing although records wait is left alone.",
        "streams/fleet.py",
        "        if stuck_ms > self._watchdog_ms:\n",
        "        if False:\n",
        "tests/integration/test_fleet.py",
    ),
    bug(
        "silence_unnoticed",
        "A take-over or a write that hears neither an answer nor an error is waited for without end.",
        "streams/fleet.py",
        "            question.looks += 1\n",
        "",
        "tests/integration/test_fleet.py",
    ),
    bug(
        "lost_take_over_unnoticed",
        "A partition that is assigned, and that nobody takes over, stands still without a word.",
        "streams/fleet.py",
        "owner.looks_without_memory + 1 if is_at_rest",
        "0 if is_at_rest",
        "tests/integration/test_fleet.py",
    ),
    bug(
        "dropped_memory_in_a_circle",
        "A memory that is dropped waits for the garbage collector, which comes once in hours.",
        STATE,
        "            taps_read_ms=lambda: topics[TAPS].ingest_ms,\n",
        "            taps_read_ms=lambda: self.topics[TAPS].ingest_ms,\n",
        "tests/integration/test_owner.py",
    ),
)
