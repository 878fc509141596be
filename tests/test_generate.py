"""The simulated shop: the same bytes for the same seed, events in the order of life, incidents that show."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from typing import Any

import pytest
from click.testing import CliRunner

from schemas import events
from schemas.codec import Rejected, decode
from schemas.events import EVENT_TYPES, INPUT_TOPICS, SUBJECT, SourceHeartbeat
from streams.errors import PulseError
from streams.settings import Settings
from streams.sources.generate import Run, command, plan
from streams.sources.incidents import parse
from streams.sources.pacing import now_ms
from streams.sources.simulation import SimConfig, daily_shape
from tests.simulation_kit import START_MS, an_hour, decoded, of, records

DEFAULTS: dict[str, Any] = {
    "rate": 200.0,
    "flat": False,
    "seed": 1,
    "seconds": None,
    "events": None,
    "duplicates": 0.0,
    "disorder_ms": 0,
    "late": 0.0,
    "unreadable": 0.0,
    "incidents": (),
    "max_speed": False,
    "start_ms": None,
}


def test_the_same_seed_and_start_give_the_same_bytes() -> None:
    """A run can be repeated exactly; another seed is another shop; another start never sends the same ids."""
    assert records(20) == records(20)
    assert records(20) != records(20, seed=2)
    ids = {json.loads(record.value)["event_id"] for record in records(20)}
    later = {json.loads(record.value)["event_id"] for record in records(20, start_ms=START_MS + 1)}
    assert not ids & later


def test_every_record_is_accepted_by_the_codec() -> None:
    """Nothing that the generator sends without faults is rejected."""
    assert [event for _, event in an_hour() if isinstance(event, Rejected)] == []


def test_every_event_type_occurs_within_an_hour() -> None:
    """The generator feeds every topic with everything that the contract knows."""
    assert {type(event) for _, event in an_hour()} == set(EVENT_TYPES)


def test_event_ids_are_unique_and_times_run_forward_from_the_start() -> None:
    """CreateTime = event time but for views that apps send late; in order, none before the start."""
    times = [record.timestamp_ms for record, _ in an_hour()]
    assert times == sorted(times)
    assert min(event.event_time_ms for _, event in an_hour()) >= START_MS
    delays = [record.timestamp_ms - event.event_time_ms for record, event in an_hour()]
    assert min(delays) == 0
    assert 40_000 < max(delays) < 60_000
    assert {record.topic for (record, _), delay in zip(an_hour(), delays, strict=True) if delay} == {
        "views",
        "livestreams",
    }
    assert max(Counter(event.event_id for _, event in an_hour()).values()) == 1


def test_keys_are_the_subjects_of_the_events() -> None:
    """Whatever the contract calls the key of an event is the key of its record."""
    for record, event in an_hour():
        subject = SUBJECT[type(event)]
        key = None if subject is None else getattr(event, subject).encode()
        assert record.key == key


def test_a_source_heartbeat_goes_to_every_partition_every_ten_seconds() -> None:
    """So that a silent producer can be told from a quiet shop, in each topic-partition."""
    beats: defaultdict[tuple[str, int | None], list[int]] = defaultdict(list)
    for record in records(60, partitions=3):
        if isinstance(decode(record.value, record.topic), SourceHeartbeat):
            beats[record.topic, record.partition].append(record.timestamp_ms)
    assert set(beats) == {(topic, partition) for topic in INPUT_TOPICS for partition in range(3)}
    for times in beats.values():
        assert len(times) == 6
        assert {later - earlier for earlier, later in itertools.pairwise(times)} == {10_000}


def test_sessions_move_through_the_funnel_in_order() -> None:
    """In each session the first tap happens after a view, the cart after a tap, the checkout after a cart."""
    first: defaultdict[str, dict[str, int]] = defaultdict(dict)
    in_time = sorted(an_hour(), key=lambda pair: pair[1].event_time_ms)
    for place, (_, event) in enumerate(in_time):
        session = getattr(event, "session_id", None)
        if session:
            name = events.event_type(type(event))
            name = "view" if name in ("view", "live_join", "mini_program_open") else name
            first[session].setdefault(name, place)
    # A session of the warm-up has lost its beginning; the views of one at the end may still be on their way.
    begun = len([1 for _, event in in_time if event.event_time_ms < START_MS + 150_000])
    ended = len([1 for _, event in in_time if event.event_time_ms < START_MS + 3_540_000])
    whole = [
        steps
        for steps in first.values()
        if begun < min(steps.values()) and max(steps.values()) < ended and "share_open" not in steps
    ]
    steps = (
        "view",
        "product_impression",
        "tag_tap",
        "product_view",
        "add_to_cart",
        "begin_checkout",
        "payment",
    )
    for session in whole:
        assert "view" in session
        places = [session[step] for step in steps if step in session]
        assert places == sorted(places)
    reached = [sum(step in session for session in whole) for step in steps]
    assert reached == sorted(reached, reverse=True)
    assert 0.02 < reached[-1] / reached[0] < 0.15


def test_some_sessions_come_out_of_order_across_topics() -> None:
    """Now and then a tap is read before the view that led to it, within the lateness of traffic."""
    first: defaultdict[str, set[str]] = defaultdict(set)
    tapped_first = set()
    for record, event in an_hour():
        session = getattr(event, "session_id", None)
        if session and event.event_time_ms >= START_MS + 150_000:
            first[session].add(record.topic)
            if first[session] == {"tag-taps"}:
                tapped_first.add(session)
    assert 0.005 < len(tapped_first) / len(first) < 0.03


def test_a_checkout_can_be_followed_through_its_session() -> None:
    """Begin, payment started, authorised and purchase carry one session id, each later than the last."""
    steps: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for _, event in an_hour():
        if isinstance(event, events.BeginCheckout):
            steps[event.session_id]["begin"] = event.event_time_ms
        elif isinstance(event, events.Payment) and event.session_id:
            steps[event.session_id].setdefault(event.outcome, event.event_time_ms)
        elif isinstance(event, events.Purchase) and event.session_id:
            steps[event.session_id]["purchase"] = event.event_time_ms
    paid = [found for found in steps.values() if {"begin", "purchase"} <= found.keys()]
    assert len(paid) > 500
    for found in paid:
        times = [found[step] for step in ("begin", "started", "authorised", "purchase")]
        assert times == sorted(set(times))
    assert any("started" in found and "authorised" not in found for found in steps.values())


def test_mini_programs_grow_by_sharing() -> None:
    """Three in ten users of mini-programs came by a share in that half hour; some of them share, too."""
    late = START_MS + 1_800_000
    opens = [each for each in of(events.MiniProgramOpen) if each.event_time_ms >= late]
    came = [each for each in of(events.ShareConvert) if each.mini_program_id and each.event_time_ms >= late]
    assert 0.2 < len(came) / len({each.user_id for each in opens}) < 0.4
    new_users = {each.user_id for each in came}
    assert len(new_users) == len(came)
    shared = {each.user_id for each in of(events.Share)}
    assert 0.1 < len(new_users & shared) / len(new_users) < 0.5
    opened = {(each.user_id, each.share_id) for each in of(events.ShareOpen)}
    assert {(each.user_id, each.share_id) for each in came} <= opened
    assert {each.entry for each in opens} == {"explore", "qr_code", "shared_link", "search", "other"}
    assert all((each.qr_id is not None) is (each.entry == "qr_code") for each in opens)


def test_some_buyers_come_back() -> None:
    """Within an hour some users buy again; most do not."""
    bought = Counter(event.user_id for event in of(events.Purchase))
    again = sum(count > 1 for count in bought.values())
    assert 0.02 < again / len(bought) < 0.3


def test_an_order_is_paid_before_it_is_bought_and_bought_before_anything_else() -> None:
    """Payment started, its outcome, the purchase, then status, refund, review: each later than the last."""
    bought = {event.order_id: event.event_time_ms for event in of(events.Purchase)}
    authorised = {
        event.order_id: event.event_time_ms for event in of(events.Payment) if event.outcome == "authorised"
    }
    assert len(bought) == len(of(events.Purchase)) > 500
    assert all(authorised.get(order, 0) < time for order, time in bought.items())
    after = [*of(events.OrderStatus), *of(events.Refund), *of(events.Review)]
    assert after
    assert all(event.event_time_ms > bought[event.order_id] for event in after)


def test_refunds_never_exceed_their_order() -> None:
    """All refunds of an order are at most its line values; some are whole, some by items, some parts."""
    value: Counter[str] = Counter()
    for order in of(events.Purchase):
        for line in order.items:
            value[order.order_id] += line.quantity * line.unit_price_minor - line.seller_discount_minor
    refunded: Counter[str] = Counter()
    for refund in of(events.Refund):
        refunded[refund.order_id] += refund.amount_minor
    assert all(amount <= value[order] for order, amount in refunded.items())
    assert any(amount == value[order] for order, amount in refunded.items())
    assert any(amount < value[order] for order, amount in refunded.items())
    assert {bool(refund.items) for refund in of(events.Refund)} == {True, False}


def test_lines_name_their_seller_or_leave_it_to_the_tap() -> None:
    """Most lines name a live or creator; of those that don't, most follow a tap that does, the rest none."""
    tapped: dict[tuple[str, str], bool] = {}
    lines: Counter[str] = Counter()
    for _, event in an_hour():
        if isinstance(event, events.TagTap):
            named = event.live_id is not None or event.creator_id is not None
            tapped[event.user_id, event.product_id] = named
        elif isinstance(event, events.Purchase):
            for line in event.items:
                own = line.live_id is not None or line.creator_id is not None
                direct = tapped.get((event.user_id, line.product_id), False)
                lines["own" if own else "direct" if direct else "unattributed"] += 1
    assert lines["own"] > lines["direct"] > lines.total() / 10
    assert lines["unattributed"] > lines.total() / 50


def test_live_rooms_tell_their_viewers_often_enough_while_on_air() -> None:
    """Heartbeats are at most 10 s apart from the start to the end of a room, and viewers come and go."""
    beats: defaultdict[str, list[int]] = defaultdict(list)
    for event in of(events.LiveHeartbeat):
        beats[event.live_id].append(event.event_time_ms)
    gaps = [later - earlier for times in beats.values() for earlier, later in itertools.pairwise(times)]
    assert min(gaps) >= 5_000
    assert max(gaps) <= 10_000
    viewers = {event.concurrent_viewers for event in of(events.LiveHeartbeat)}
    assert len(viewers) > 5
    starts = {event.live_id: event.event_time_ms for event in of(events.LiveStart)}
    assert all(times[0] > starts[live] for live, times in beats.items())


def test_a_live_names_its_creator_and_shows_one_product_at_a_time() -> None:
    """Every start has a creator; each pin but the last of a live is taken off before the next."""
    assert all(event.creator_id for event in of(events.LiveStart))
    shown: dict[str, str | None] = {}
    pins = Counter[str]()
    for _, event in an_hour():
        if isinstance(event, events.ProductPin):
            assert shown.get(event.live_id) is None
            shown[event.live_id] = event.product_id
            pins[event.live_id] += 1
        elif isinstance(event, events.ProductUnpin):
            assert shown[event.live_id] == event.product_id
            shown[event.live_id] = None
    assert max(pins.values()) > 5


def test_both_arms_of_each_rule_are_there_and_each_user_stays_in_one() -> None:
    """Half of a rule's users are held out; who is sent uses the target more often; assigned before active."""
    arms: dict[tuple[str, str], set[str]] = defaultdict(set)
    uses: Counter[tuple[str, bool]] = Counter()
    targets: dict[str, str | None] = {}
    before: Counter[bool] = Counter()
    for _, event in an_hour():
        match event:
            case events.Redirect():
                arms[event.rule_id, event.arm].add(event.user_id)
                targets[event.rule_id] = event.to_app
                assert event.to_product_id and event.creator_id
            case events.Active(assignments=(assigned,)):
                before[event.user_id in arms[assigned.rule_id, assigned.arm]] += 1
                uses[assigned.arm, event.app == targets[assigned.rule_id]] += 1
    # Visits of one shopper may overlap.
    assert before[False] < 0.02 * before[True]
    for rule_id in targets:
        treated, held_out = arms[rule_id, "treated"], arms[rule_id, "held_out"]
        assert not treated & held_out
        assert 0.4 < len(treated) / len(treated | held_out) < 0.6
    shares = {arm: uses[arm, True] / (uses[arm, True] + uses[arm, False]) for arm in ("treated", "held_out")}
    assert shares["treated"] > shares["held_out"] + 0.1


def test_products_follow_zipf() -> None:
    """The first product of a market is shown about ten times as often as the tenth."""
    shown = Counter(
        event.product_id for event in of(events.ProductImpression) if event.surface not in ("live", None)
    )
    assert 5 < shown["us-p1"] / shown["us-p10"] < 20


def test_the_rate_is_kept_from_the_first_seconds_on() -> None:
    """100 events/s are 100 events/s: at once and over the hour, without what comes on top."""
    counted = [
        record.timestamp_ms
        for record, event in an_hour()
        if not isinstance(event, SourceHeartbeat | events.ProductListed | events.StockSet | events.AdCharge)
    ]
    assert 0.8 < sum(time < START_MS + 20_000 for time in counted) / 2_000 < 1.2
    assert 0.95 < len(counted) / 360_000 < 1.02


def test_the_day_has_a_shape_around_its_mean() -> None:
    """Most traffic at 20:00 UTC, least at 08:00, and the rate is the mean over the day."""
    shape = [daily_shape(hour * 3_600_000) for hour in range(24)]
    assert shape.index(max(shape)) == 20
    assert shape.index(min(shape)) == 8
    assert sum(shape) / 24 == pytest.approx(1)


def test_a_gateway_that_is_down_authorises_nothing() -> None:
    """Attempts that start in the incident end in errors and time-outs there, and as before at others."""
    some = decoded(records(600, incidents=(parse("gateway-down:adyen@120s+300s"),)))
    begin, end = START_MS + 120_000, START_MS + 420_000
    started = {
        (event.order_id, event.attempt_id)
        for event in of(events.Payment, some)
        if event.outcome == "started" and begin <= event.event_time_ms < end
    }
    outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for event in of(events.Payment, some):
        if event.outcome != "started" and (event.order_id, event.attempt_id) in started:
            outcomes[event.gateway][event.outcome] += 1
    assert set(outcomes["adyen"]) == {"error", "timeout"}
    assert outcomes["alipay"]["authorised"] > outcomes["alipay"]["error"]


def test_a_broken_checkout_lets_no_payment_begin() -> None:
    """Checkouts are begun, and no payment starts on them."""
    some = decoded(records(400, incidents=(parse("checkout-broken@60s+300s"),)))
    # A checkout takes up to 10 s, so the payments of checkouts begun before still come.
    begin, end = START_MS + 75_000, START_MS + 360_000
    within = [event for _, event in some if begin <= event.event_time_ms < end]
    assert sum(isinstance(event, events.BeginCheckout) for event in within) > 50
    first_attempts = [
        event
        for event in within
        if isinstance(event, events.Payment) and event.outcome == "started" and event.attempt_id == "1"
    ]
    assert first_attempts == []


def test_halved_traffic_is_half() -> None:
    """New sessions come at half the rate while it lasts, and at the whole rate afterwards."""
    some = decoded(records(600, incidents=(parse("traffic-halves@1m+5m"),)))
    joins = [event.event_time_ms - START_MS for _, event in some if isinstance(event, events.LiveJoin)]
    during = sum(60_000 <= time < 360_000 for time in joins) / 300
    after = sum(400_000 <= time < 600_000 for time in joins) / 200
    assert 0.4 < during / after < 0.6


def test_a_silent_source_sends_nothing_not_even_heartbeats() -> None:
    """The topic is empty within the incident and not outside; other topics go on."""
    some = records(120, incidents=(parse("source-silent:purchases@30s+60s"),))
    begin, end = START_MS + 30_000, START_MS + 90_000
    silent = Counter(record.topic for record in some if begin <= record.timestamp_ms < end)
    assert "purchases" not in silent
    assert silent["views"] > 1_000
    outside = [record for record in some if record.topic == "purchases"]
    assert {record.timestamp_ms < begin for record in outside} == {True, False}


def test_a_history_without_an_end_or_into_the_future_is_refused() -> None:
    """Each impossible wish is one line that says what to do."""
    for wish, hint in (
        ({"max_speed": True}, "--for SECONDS or --events N"),
        ({"start_ms": START_MS}, "add --max-speed"),
        ({"max_speed": True, "seconds": 600.0, "start_ms": now_ms()}, "earlier --start-ms"),
    ):
        with pytest.raises(PulseError, match=hint):
            plan({**DEFAULTS, **wish}, Settings())


@pytest.mark.parametrize("flat", [True, False])
def test_a_history_without_a_start_ends_before_now(flat: bool) -> None:
    """`--events N --max-speed` sends N events, none of them in the future, at every hour of the day."""
    run = plan({**DEFAULTS, "max_speed": True, "events": 30_000, "flat": flat}, Settings())
    sent = list(run.records())
    assert len(sent) == 30_000
    assert sent[-1].timestamp_ms < now_ms()


def test_a_run_ends_after_its_seconds() -> None:
    """`--for` counts seconds of event time."""
    run = Run(simulation=SimConfig(start_ms=START_MS), seconds=3, events=None, max_speed=True)
    times = [record.timestamp_ms for record in run.records()]
    assert START_MS + 2_000 < max(times) < START_MS + 3_000


def test_a_malformed_incident_is_refused_before_anything_is_sent() -> None:
    """The command says what is wrong with it and needs no Kafka to do so."""
    result = CliRunner().invoke(command, ["--incident", "gateway-down@60s+120s"])
    assert isinstance(result.exception, PulseError)
    assert "adyen" in str(result.exception)
