"""The recomputation: one log in, every expected figure out. A pure function.

Plain on purpose: records are judged in offset order, everything that counts is collected, and at the end it
is sorted, grouped and added up in panes. Topics of a partition number may be fed in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from verify import commission, payments
from verify.model import Booking, Expected, LogRecord, PartitionExpected, Scope, Traffic
from verify.money import Ledger, line_value_minor, order_bookings
from verify.panes import PaneSums
from verify.parts import parts_of
from verify.rules import PURCHASES, TOPICS, Rules
from verify.scopes import WITH_SESSIONS, of_event, of_kinds, of_purchase
from verify.sessions import Step, session_bookings
from verify.stories import Stories
from verify.traffic import count_traffic, session_of, step_name, traffic
from verify.users import Buyers, UserSets
from verify.verdicts import CONFLICT, DEAD_LETTER, FRESH, LATE, TopicJudge, Verdict


def recompute(records: Iterable[LogRecord], rules: Rules) -> Expected:
    """Every expected figure of these records, which must be in offset order per topic-partition."""
    replays: dict[int, PartitionReplay] = {}
    for record in records:
        if record.partition not in replays:
            replays[record.partition] = PartitionReplay(record.partition, rules)
        replays[record.partition].add(record)
    return Expected({p: replay.finish() for p, replay in sorted(replays.items())})


class PartitionReplay:
    """The log of one partition number, over all topics: `add` each record, then `finish` once."""

    def __init__(self, partition: int, rules: Rules) -> None:
        self.rules = rules
        self.expected = PartitionExpected(partition=partition)
        self._judges = {topic: TopicJudge(topic, partition, rules) for topic in TOPICS}
        self._ledger = Ledger(rules)
        self._payments: list[payments.AcceptedPayment] = []
        self._bookings: list[Booking] = []
        # All in log order, per topic.
        self._traffic: dict[str, list[Traffic]] = {topic: [] for topic in TOPICS}
        self._order_steps: list[Step] = []
        self._buyers = Buyers()
        self._stories = Stories(rules)

    def add(self, record: LogRecord) -> None:
        """Judges the record and books what it counts for."""
        self.expected.records += 1
        judge = self._judges[record.topic]
        ingest_ms = judge.advance(record.timestamp_ms)
        if record.topic == PURCHASES:
            self._ledger.expire_waiting(ingest_ms)
        verdict = self._against_order(judge.judge(record, ingest_ms), ingest_ms)
        if verdict.misplaced:
            self._count(record.topic, ingest_ms, "misplaced")
        if verdict.outcome == FRESH and verdict.event is not None:
            judge.accept(verdict.event, record.offset, ingest_ms)
            self._take(verdict.event, record, ingest_ms)
        elif verdict.outcome == DEAD_LETTER:
            self._dead_letter(record.topic, record.offset, ingest_ms, verdict.reason)
        else:
            self._count(record.topic, ingest_ms, verdict.outcome)
            if verdict.outcome == LATE:
                self._late(record, verdict, ingest_ms)

    def finish(self, h_before_log: int | None = None) -> PartitionExpected:
        """Adds everything up.

        `h_before_log`: a highest accepted event time that is known although its record may be gone.
        """
        expected = self.expected
        for topic, judge in self._judges.items():
            if judge.ingest_ms is not None:
                expected.ingest[topic] = judge.ingest_ms
            if judge.highest_ms is not None:
                expected.highest[topic] = judge.highest_ms
        known = [] if h_before_log is None else [h_before_log]
        expected.h = max([*expected.highest.values(), *known], default=None)
        expected.waiting = {(PURCHASES, expected.partition, w.offset) for w in self._ledger.waiting}
        expected.orders = self._ledger.order_count
        expected.gmv_paid_minor = self._ledger.gmv_paid_minor
        self._add_up()
        return expected

    def _add_up(self) -> None:
        """Everything that was collected, into panes and sets of users."""
        expected = self.expected
        sums = PaneSums(expected.h, self.rules)
        sets = UserSets(expected.h)
        sums.book(self._bookings)
        sums.book(self._ledger.bookings)
        if self.rules.figures == "all":
            self._stories.taps.attribute(self._ledger.sold)
        for order in self._ledger.sold:
            sums.book(order_bookings(order))
        sums.book(payments.attempt_bookings(self._payments, self._stories.reasons, self.rules))
        sums.book(payments.paying_bookings(self._payments, self.rules))
        events = [event for topic in TOPICS for event in self._traffic[topic]]
        steps, counted_in = count_traffic(events, sums, sets, self.rules)
        # The small figure set has nothing of what follows.
        if self.rules.figures == "all":
            sums.book(commission.bookings(self._ledger.sold, self.rules))
            expected.due = list(commission.due(self._ledger.sold, self.rules))
            sums.book(commission.due_bookings(expected.due))
            sums.book(session_bookings(steps + self._order_steps, self.rules))
            sums.book(self._stories.bookings(counted_in))
            self._buyers.count(sets)
            self._stories.redirects.count(sets)
            expected.users = sets.users()
        expected.panes = sums.panes()
        shelves = self._stories.shelves
        expected.rooms = self._stories.rooms.rooms()
        expected.redirections = self._stories.redirects.rules()
        expected.stock, expected.titles = shelves.stock, shelves.titles

    def _against_order(self, verdict: Verdict, ingest_ms: int) -> Verdict:
        """A fresh refund that does not fit its known order is a conflicting duplicate."""
        event = verdict.event
        if verdict.outcome != FRESH or event is None or event["event_type"] != "refund":
            return verdict
        if not self._ledger.refuses(event, ingest_ms):
            return verdict
        return verdict._replace(outcome=DEAD_LETTER, reason=CONFLICT)

    def _take(self, event: Mapping[str, Any], record: LogRecord, ingest_ms: int) -> None:
        """An accepted or excluded event: counted, and handed to the ledger."""
        real = event["traffic"] == "real"
        self._count(record.topic, ingest_ms, "accepted" if real else "excluded")
        kind = event["event_type"]
        if real and kind != "source_heartbeat":
            self._stories.add(event, record.offset)
            if record.topic == PURCHASES:
                self._take_order_event(event, record, ingest_ms)
            else:
                self._traffic[record.topic].append(
                    traffic(event, record.topic, record.offset, ingest_ms, self.rules)
                )
        if kind == "purchase":
            for refund in self._ledger.add_purchase(event, ingest_ms):
                self._refuse_waiting(refund.event, refund.offset, refund.ingest_ms)
        elif kind == "refund":
            self._ledger.add_refund(event, record.offset, ingest_ms)

    def _take_order_event(self, event: Mapping[str, Any], record: LogRecord, ingest_ms: int) -> None:
        """A real event of the order service: no cap holds for it."""
        kind, time_ms = event["event_type"], event["event_time_ms"]
        scopes = of_kinds(of_event(event), WITH_SESSIONS)
        if kind == "purchase":
            self._buyers.add(event)
            # Lives and creators of the envelope, and those that lines name.
            scopes = tuple(dict.fromkeys(scopes + of_purchase(event, WITH_SESSIONS)))
        else:
            self._bookings.append(_event_booking(event, 1))
        if kind == "order_status":
            self._ledger.add_delivery(event, ingest_ms)
        if kind == "payment":
            self._payments.append(payments.AcceptedPayment(event, record.offset, ingest_ms))
        session = session_of(event, ingest_ms, self.rules)
        if session:
            step = Step(session, step_name(event), record.topic, time_ms, ingest_ms, scopes)
            self._order_steps.append(step)

    def _refuse_waiting(self, refund: Mapping[str, Any], offset: int, arrival_ms: int) -> None:
        """A refund that was accepted while it waited becomes a dead letter where it was counted."""
        self._count(PURCHASES, arrival_ms, "accepted", -1)
        self._bookings.append(_event_booking(refund, -1))
        self._stories.reasons.take_back(offset)
        self._judges[PURCHASES].give_back(refund, offset)
        self._dead_letter(PURCHASES, offset, arrival_ms, CONFLICT)

    def _dead_letter(self, topic: str, offset: int, ingest_ms: int, reason: str) -> None:
        self.expected.dead_letters.add((topic, self.expected.partition, offset, reason))
        self._count(topic, ingest_ms, f"dead_letters.{reason}")

    def _late(self, record: LogRecord, verdict: Verdict, ingest_ms: int) -> None:
        self.expected.late.add((record.topic, record.partition, record.offset))
        event = verdict.event
        if event is not None and event["event_type"] == "purchase":
            value = sum(line_value_minor(item) for item in event["items"])
            self._count(record.topic, ingest_ms, f"late_gmv:{event['currency']}", value)

    def _count(self, topic: str, ingest_ms: int, measure: str, change: int = 1) -> None:
        """Quality: in the panes of the ingest time."""
        scope: Scope = ("pipeline", topic)
        self._bookings.append(Booking(ingest_ms, (scope,), ((measure, change),)))
        if not measure.startswith("late_gmv:"):
            totals = self.expected.verdicts
            totals[measure] = totals.get(measure, 0) + change


def _event_booking(event: Mapping[str, Any], change: int) -> Booking:
    measures = (f"events.{event['event_type']}", *parts_of(event))
    return Booking(event["event_time_ms"], of_event(event), tuple((measure, change) for measure in measures))
