"""The guarded write over a real Redis: what is written can be loaded, all of it, exactly."""

from __future__ import annotations

import random
import re
from dataclasses import asdict
from typing import Any

import pytest
from redis.crc import key_slot

from streams.local.redis import RedisServer
from streams.state import PartitionState
from streams.store import Applied
from streams.sums import CellWrite
from streams.window import Pane
from tests.driver import PipelineDriver
from tests.scenario_kit import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    Scenario,
    Sent,
    event,
    line,
    payment,
    purchase,
    refund,
    refunded,
    taps_read,
    tick,
    view,
)
from tests.scenarios import SCENARIOS
from tests.store_kit import Memory, Shelf, on_redis, on_shelf
from verify.model import CellKey

ONE_PARTITION = [scenario for scenario in SCENARIOS if scenario.partitions == 1]


def _busy() -> list[Sent]:
    """Something of everything that a partition keeps."""
    start = event("live_start", "s1", NOON, live_id="L1")
    beat = event("source_heartbeat", "h1", NOON + 1, source="app")
    return [
        view("e1", NOON, live_id="L1", country="FR"),
        view("e2", NOON + 4 * MINUTE, ts=NOON),
        Sent(topic="views", value=b"{", at=NOON + 1),
        Sent(topic="livestreams", value=start, at=NOON),
        Sent(topic="livestreams", value=beat, at=NOON + 2),
        purchase("o1", NOON, line("p", 2, 500, commission_bps=333), line("q", 10_000, 10**11), live_id="L1"),
        purchase("o2", NOON + 1, line("p", 1, 700), currency="EUR"),
        payment("y1", "o1", NOON, "started"),
        payment("y2", "o1", NOON + SECOND, "authorised"),
        refund("r1", "o1", NOON + 2, 100, items=[refunded("p", 100)]),
        refund("r2", "unknown", NOON + 3, 100),
        refund("r3", "unknown too", NOON + 4, 100),
        tick("t1", NOON + 5),
        purchase("unknown too", NOON + 6, line("p", 1, 100)),
    ]


def _remembered(state: PartitionState) -> dict[str, object]:
    """All of a memory that is neither a sum nor a record read on demand."""
    return {
        "high": state.high_ms,
        "currencies": state.service.currencies,
        "progress": {topic: asdict(progress) for topic, progress in state.topics.items()},
        "trimmed": state.trimmed,
        "waiting": state.service.orders.waiting,
        "ids": {topic: ids._seen for topic, ids in state.ids.items()},
        "minutes": {topic: ids._by_minute for topic, ids in state.ids.items()},
        "panes": state.sums.stored,
        "panes of users": set(state.users._stored),
    }


@on_redis()
async def test_what_is_written_is_loaded(shelf: Shelf) -> None:
    """Times, offsets, ids, waiting refunds, panes, trims: a new owner knows what the old one did."""
    first = await shelf.owner()
    await first.fold(*_busy())
    assert isinstance(await first.save(), Applied)
    second = await shelf.owner()
    assert _remembered(second.state) == _remembered(first.state)
    assert second.guard == first.guard
    assert set(second.state.service.orders.waiting) == {"unknown"}


@on_redis()
async def test_records_are_read_back(shelf: Shelf) -> None:
    """Orders, attempts and identities come back as they were put; None where there is none."""
    first = await shelf.owner()
    await first.fold(*_busy())
    await first.save()
    names = {"orders": ["o1", "unknown too", "none"], "attempts": ["2:o1"], "identities": ["r:r1", "e:t1"]}
    found, _ = await shelf.store.read_records(0, names)
    second = await shelf.owner()
    second.state.load_records(found)
    ledgers: Any = zip(first.state.ledgers, second.state.ledgers, strict=True)
    for mine, theirs in ledgers:
        for record_id in names.get(mine.name, ()):
            if record_id != "none":
                assert theirs.get(record_id) == mine.get(record_id) is not None
    assert found["orders"]["none"] is None
    assert await shelf.client.hgetall(shelf.key("lives")) == {b"L1": str(NOON).encode()}


@on_redis()
async def test_the_next_owner_goes_on_as_if_it_were_the_same(shelf: Shelf) -> None:
    """A second write by the same memory, and by a new one, leaves the same in every key but the token."""

    async def story(take_over: bool) -> dict[str, object]:
        mine = Shelf(shelf.url, shelf.client, shelf.rules)
        owner = await mine.owner()
        await owner.fold(*_busy())
        await owner.save()
        if take_over:
            owner = await mine.owner()
        await owner.fold(view("e1", NOON + SECOND), view("e3", NOON + SECOND, live_id="L1"))
        await owner.fold(purchase("unknown", NOON + 7, line("p", 1, 100)), refund("r1", "o1", NOON + 2, 5))
        await owner.fold(refund("r4", "o1", NOON + 8, 2**30), payment("y3", "o1", NOON - 1, "started"))
        await owner.save()
        held = await mine.contents()
        meta = held[mine.key("meta")]
        assert isinstance(meta, dict)
        del meta[b"token"]
        # A new owner adds users again that the old one knew to be there: that counts none twice.
        held[mine.key("userpanes")] = await mine.client.zcard(mine.key("userpanes"))
        return {key.removeprefix(mine.prefix): content for key, content in held.items()}

    assert await story(take_over=True) == await story(take_over=False)


@pytest.mark.parametrize("scenario", ONE_PARTITION, ids=lambda scenario: scenario.name)
def test_scenario_over_redis(redis_server: RedisServer, scenario: Scenario) -> None:
    """With a new owner after each few records, Redis holds the cells that the plain driver computes."""

    async def story(shelf: Shelf) -> dict[CellKey, int]:
        owner = await shelf.owner()
        rng = random.Random(scenario.name)
        for sent in scenario.records:
            await owner.fold(sent)
            if rng.random() < 0.5:
                assert isinstance(await owner.save(), Applied)
                if rng.random() < 0.7:
                    owner = await shelf.owner()
        assert isinstance(await owner.save(), Applied)
        return shelf.cells()

    driver = PipelineDriver(1, **scenario.settings)
    driver.append(scenario.log())
    driver.finish()
    assert on_shelf(redis_server, story, **scenario.settings) == driver.cells()


@on_redis(retention_10s_ms=MINUTE, retention_1m_ms=HOUR)
async def test_a_long_run_leaves_nothing_behind_and_no_key_expires(shelf: Shelf) -> None:
    """Panes, ids and records go by guarded writes alone: no key of ours ever has a time to live."""
    owner = await shelf.owner()
    for day in range(0, 110, 5):
        at = NOON + day * DAY
        await owner.fold(view(f"e{day}", at), purchase(f"o{day}", at, line("p", 1, 100)))
        await owner.fold(payment(f"y{day}", f"o{day}", at, "started"), taps_read(f"h{day}", at))
        for minutes in range(3):
            await owner.fold(view(f"e{day}-{minutes}", at + minutes * MINUTE))
            assert isinstance(await owner.save(), Applied)
        assert all([await shelf.client.ttl(key) == -1 for key in await shelf.keys()])
        if day % 3 == 0:
            owner = await shelf.owner()
    for _ in range(120):
        await owner.save()
    held = await shelf.contents()
    names = {key.removeprefix(f"{shelf.prefix}:{{0}}:") for key in held}
    assert sum(name.startswith("ids:views:") for name in names) == 3
    assert sum(name.startswith("cells:all:10s:") for name in names) == 2
    assert sum(name.startswith("cells:all:1m:") for name in names) == 3
    orders = held[shelf.key("orders")]
    assert isinstance(orders, dict)
    assert set(orders) == {f"o{day}".encode() for day in range(15, 110, 5)}
    assert sorted(name for name in names if name.startswith("orders:day:")) == [
        f"orders:day:{NOON // DAY + day}" for day in range(15, 110, 5)
    ]
    identities = held[shelf.key("identities")]
    assert isinstance(identities, dict)
    assert set(identities) == {b"e:y100", b"e:y105"}


@on_redis()
async def test_a_record_that_was_filed_anew_survives_its_old_day(shelf: Shelf) -> None:
    """The list of a day deletes only records that are still filed under that day."""
    owner = await shelf.owner()
    await owner.fold(purchase("kept", NOON, line("p", 1, 100)), purchase("gone", NOON, line("p", 1, 100)))
    await owner.save()
    await owner.fold(purchase("kept", NOON + 60 * DAY, line("p", 1, 100)))
    await owner.save()
    await owner.fold(tick("t", NOON + 91 * DAY), taps_read("h", NOON + 91 * DAY))
    while (await owner.save()) and owner.state.trimmed["orders"] < NOON // DAY:
        await owner.fold(tick(f"t{owner.state.trimmed['orders']}", NOON + 91 * DAY))
    assert list(await shelf.client.hgetall(shelf.key("orders"))) == [b"kept"]
    second = await shelf.owner()
    await second.fold(refund("r", "kept", NOON + 91 * DAY, 100))
    assert second.state.service.orders.waiting == {}


@on_redis()
async def test_a_copy_of_a_deleted_record_that_is_put_again_is_deleted_again(shelf: Shelf) -> None:
    """Taps' days went while they stood in memory; an order's id that is taken again puts them once more."""
    owner = await shelf.owner()
    await owner.fold(purchase("o", NOON, line("p", 1, 100), user_id="a"))
    await owner.save()
    await owner.fold(tick("t", NOON + 17 * DAY))
    # No tap was ever read: that topic follows the others, a week behind them.
    owner.state.topics["tag-taps"].watermark_ms = NOON + 17 * DAY
    while await shelf.client.hlen(shelf.key("taps")):
        await owner.save()
    await owner.fold(purchase("o", NOON + 17 * DAY, line("p", 1, 100), user_id="b"))
    write = owner.state.take()
    await owner.send(write, "a token")
    assert any(f"{NOON // DAY}:a" in ledger.records for ledger in write.ledgers if ledger.name == "taps")
    for _ in range(20):
        await owner.save()
    later = NOON // DAY + 17
    assert set(await shelf.client.hkeys(shelf.key("taps"))) == {b"%d:b" % later, b"%d:b" % (later - 1)}


@on_redis()
async def test_a_day_of_many_records_goes_in_pieces(shelf: Shelf) -> None:
    """One write deletes a bounded number of records; the day is done when its list is empty."""
    owner = await shelf.owner()
    for at in range(0, 2_500, 100):
        await owner.fold(*(tick(f"t{at + n}", NOON) for n in range(100)))
    await owner.save()
    await owner.fold(tick("later", NOON + 10 * DAY))
    left = []
    for _ in range(12):
        await owner.save()
        left.append(await shelf.client.hlen(shelf.key("identities")))
    assert sorted(set(left), reverse=True) == [1_501, 501, 1]
    assert await shelf.client.exists(shelf.key(f"identities:day:{NOON // DAY}")) == 0


@on_redis()
async def test_a_write_of_twenty_thousand_cells(shelf: Shelf) -> None:
    """Long operations are sliced: neither Lua's stack nor a field is lost, absolute or as increments."""
    first = await shelf.owner()
    pane = Pane(shelf.rules.sizes[0], NOON)
    names = [f"items|{number}" for number in range(20_000)]
    for owner, cell in (
        (first, CellWrite("live", pane, dict.fromkeys(names, 2), {})),
        (first, CellWrite("live", pane, {}, {name: number for number, name in enumerate(names)})),
    ):
        write = owner.state.take()
        write.cells.append(cell)
        answer = await owner.send(write, f"token {len(cell.deltas)}")
        assert isinstance(answer, Applied)
        assert list(answer.increments) == [number + 2 for number in range(len(cell.deltas))]
    stored = await shelf.client.hgetall(shelf.key(f"cells:live:10s:{NOON}"))
    assert stored == {f"items|{number}".encode(): b"%d" % (number + 2) for number in range(20_000)}


@on_redis()
async def test_amounts_beyond_doubles_are_exact(shelf: Shelf) -> None:
    """Lua's numbers lose units above 2^53: amounts go through it as text, also negative ones."""
    pane = Pane(shelf.rules.sizes[0], NOON)
    amounts = [2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 10**17 + 1, -(10**17) + 1]
    absolute = {f"gmv_paid:USD|{number}": amount for number, amount in enumerate(amounts)}
    owner = await shelf.owner()
    write = owner.state.take()
    write.cells.append(CellWrite("live", pane, absolute, {}))
    await owner.send(write, "first")
    write = owner.state.take()
    write.cells.append(CellWrite("live", pane, {}, absolute))
    answer = await owner.send(write, "second")
    assert isinstance(answer, Applied)
    assert list(answer.increments) == [2 * amount for amount in amounts]
    assert sorted(shelf.cells().values()) == sorted(2 * amount for amount in amounts)


@on_redis()
async def test_highest_values_only_rise(shelf: Shelf) -> None:
    """Raised where lower or absent, compared exactly, by whatever owner and however often."""
    pane = Pane(shelf.rules.sizes[0], NOON)

    async def raise_to(owner: Memory, amount: int) -> str:
        write = owner.state.take()
        write.cells.append(CellWrite("live", pane, {"items|": amount}, {}, {"max.viewers|": amount}))
        assert isinstance(await owner.send(write, f"token {amount}"), Applied)
        stored = await shelf.client.hgetall(shelf.key(f"cells:live:10s:{NOON}"))
        assert stored[b"items|"] == str(amount).encode()
        return str(stored[b"max.viewers|"].decode())

    owner = await shelf.owner()
    highest: list[int] = []
    for amount in (-5, -7, -4, 0, 9, 10, 8, 2**53, 2**53 + 1, 2**53, 10**18 + 1, 10**18, 2**63 - 1, 1):
        highest.append(amount)
        assert await raise_to(owner, amount) == str(max(highest))
        owner = await shelf.owner()


@on_redis()
async def test_names_of_cells(shelf: Shelf) -> None:
    """All names of the hashes asked for, however many; none for a pane that holds nothing."""
    owner = await shelf.owner()
    await owner.fold(
        *(view(f"e{n}", NOON + n * MINUTE, live_id=f"L|{n}", ts=NOON + n * MINUTE) for n in range(40))
    )
    await owner.save()
    size = shelf.rules.sizes[1]
    asked = [("live", Pane(size, NOON + n * MINUTE)) for n in range(-1, 40)]
    found, _ = await shelf.store.cell_names(0, [*asked, ("all", asked[1][1])])
    assert list(found) == [*asked, ("all", asked[1][1])]
    assert found.pop(asked[0]) == [] and "events.view|" in found.pop(("all", asked[1][1]))
    for n, names in enumerate(found.values()):
        assert sorted(names) == [f"events.view|L|{n}", f"sessions.view|L|{n}"]


@on_redis()
async def test_ids_are_stored_as_bytes(shelf: Shelf) -> None:
    """Every byte value survives, in ids and in names that hold quotes, newlines, nulls and colons."""
    owner = await shelf.owner()
    odd = "a:b|{c}\n\r\0\"'ä\U0001f600"
    await owner.fold(*(view(f"e{number}", NOON) for number in range(500)))
    await owner.fold(view(odd, NOON, live_id=odd, country=odd))
    await owner.fold(purchase(odd, NOON, line(odd, 1, 100)), refund(odd, f"no {odd}"[:64], NOON, 5))
    await owner.save()
    packed = await shelf.client.get(shelf.key(f"ids:views:{NOON // MINUTE}"))
    assert len(packed) == 8 * 501
    second = await shelf.owner()
    assert _remembered(second.state) == _remembered(owner.state)
    await second.fold(view(odd, NOON), purchase(odd, NOON, line(odd, 1, 100)), refund(odd, odd, NOON, 100))
    await second.save()
    cells = shelf.cells()
    day = NOON - NOON % DAY
    assert cells["live", odd, "1d", day, "events.view"] == 1
    assert cells["product", odd, "1d", day, "gmv_paid:USD"] == 100
    assert cells["pipeline", "views", "1d", day, "duplicates"] == 1
    assert cells["pipeline", "purchases", "1d", day, "dead_letters.conflicting_duplicate"] == 1


@on_redis()
async def test_every_key_lies_in_one_slot(shelf: Shelf) -> None:
    """A cluster would take every write: all keys carry the partition's hash tag, and no other first."""
    owner = await shelf.owner()
    await owner.fold(*_busy(), view("{x}", NOON, live_id="{y}"))
    await owner.save()
    keys = await shelf.keys()
    assert len(keys) > 40
    assert {re.search(r"\{(.*?)\}", key).group(1) for key in keys} == {"0"}  # type: ignore[union-attr]
    assert len({key_slot(key.encode()) for key in keys}) == 1


@on_redis()
async def test_panes_are_marked_by_the_write_that_changed_them(shelf: Shelf) -> None:
    """Readers ask for what changed since a `seq`: it rises with each write, and panes carry theirs."""
    owner = await shelf.owner()
    await owner.fold(view("e1", NOON))
    await owner.save()
    await owner.fold(view("e2", NOON + MINUTE))
    answer = await owner.save()
    assert isinstance(answer, Applied) and answer.seq == 2
    panes = dict(await shelf.client.zrange(shelf.key("panes"), 0, -1, withscores=True))
    assert panes[f"1m:{NOON}".encode()] == 1
    assert panes[f"1m:{NOON + MINUTE}".encode()] == panes[f"1h:{NOON}".encode()] == 2
    assert (await shelf.meta())["seq"] == "2"


@on_redis()
async def test_panes_of_another_size_are_left_alone(shelf: Shelf) -> None:
    """A size that these settings do not know is neither loaded nor deleted."""
    first = await shelf.owner()
    await first.fold(view("d", NOON))
    await first.save()
    await shelf.client.zadd(shelf.key("panes"), {f"2w:{NOON}": 1})
    owner = await shelf.owner()
    assert {pane.size.name for pane in owner.state.sums.stored} == {"10s", "1m", "1h", "1d"}
    await owner.fold(view("e", NOON + DAY * 40))
    await owner.save()
    assert await shelf.client.zscore(shelf.key("panes"), f"2w:{NOON}") == 1


@on_redis()
async def test_a_live_began_when_the_earliest_of_its_starts_was(shelf: Shelf) -> None:
    """Whichever write tells of it: the first one, a later one, or the last."""
    owner = await shelf.owner()
    for number, at in enumerate((NOON + 2, NOON, NOON + 1)):
        start = event("live_start", f"s{number}", at, live_id="L1")
        await owner.fold(Sent(topic="livestreams", value=start, at=NOON + 2))
        await owner.save()
    assert await shelf.client.hgetall(shelf.key("lives")) == {b"L1": str(NOON).encode()}
