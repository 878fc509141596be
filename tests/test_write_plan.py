"""The shape of a guarded write: operations, slices, exact numbers, keys of one slot."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from msgspec import Raw
from msgspec.msgpack import decode, encode

from streams.errors import PulseError
from streams.kpi import FigureSet, Level, ScopeKind
from streams.kpis import FIGURE_SETS
from streams.ledger import LedgerWrite, WaitingRefund
from streams.marks import CELLS_MARKED_MAX, MARKS_KEPT
from streams.progress import NEVER_MS, Progress
from streams.scopes import ROOM, room_kind
from streams.settings import Settings
from streams.state import StateWrite
from streams.sums import CellWrite, Sums
from streams.users import SketchWrite
from streams.window import Pane
from streams.worker import rules_of
from streams.write_plan import (
    AMOUNT_MAX,
    SCHEMA,
    SLICE_MAX,
    SWEEP_MAX,
    Arg,
    Keys,
    Operations,
    as_text,
    meta_fields,
    pane_member,
    plan,
)
from tests.simulation.redis_model import unpacked

KEYS = Keys("sp", 3)
_, MINUTE_PANES, HOUR_PANES, _ = rules_of(Settings()).sizes
PANE = Pane(MINUTE_PANES, 60_000)
HOUR_PANE = Pane(HOUR_PANES, 0)
FIGURES = FigureSet(
    name="two kinds",
    kinds=(ScopeKind("all", (), Level.ORDER), ScopeKind("live", ("live_id",), Level.LINE)),
    sizes=frozenset({"1m"}),
    measures=frozenset(),
)

RULES = rules_of(Settings())


def _write(**fields: object) -> StateWrite:
    nothing: dict[str, object] = {
        "cells": [],
        "expired_panes": [],
        "new_ids": {},
        "expired_ids": {},
        "ledgers": [],
        "trims": {},
        "waiting": {},
        "sketches": SketchWrite({}, []),
        "lives": {},
        "currencies": frozenset(),
        "high_ms": NEVER_MS,
        "progress": {},
    }
    return StateWrite(**(nothing | fields))  # type: ignore[arg-type]


def _plain(arg: Arg) -> str | bytes | int:
    return unpacked(encode([arg]))[0] if isinstance(arg, Raw) else arg


def _read(operations: Operations) -> Iterator[tuple[object, str, list[str | bytes | int]]]:
    """(code, key, arguments) of each operation but the mark, the way apply.lua reads them."""
    return (each for each in _all_of(operations) if each[0] != "L")


def _mark(write: StateWrite) -> Any:
    """What the mark of the write tells; every write has one."""
    [(_, key, (mark, most))] = [each for each in _all_of(plan(KEYS, FIGURES, write)) if each[0] == "L"]
    assert key == "sp:{3}:marks" and most == MARKS_KEPT and isinstance(mark, bytes)
    return decode(mark)


def _all_of(operations: Operations) -> Iterator[tuple[object, str, list[str | bytes | int]]]:
    names = list(operations.keys)
    at = 0
    while at < len(operations.args):
        code, position, count = operations.args[at : at + 3]
        assert isinstance(position, int) and isinstance(count, int)
        yield code, names[position - 1], list(map(_plain, operations.args[at + 3 : at + 3 + count]))
        at += 3 + count


def test_an_empty_write_leaves_its_mark_alone() -> None:
    """Watermarks and offsets move without any cell: the first key is always the meta hash."""
    operations = plan(KEYS, FIGURES, _write())
    assert list(operations.keys) == ["sp:{3}:meta", "sp:{3}:marks"] and list(_read(operations)) == []
    assert _mark(_write()) == []


def test_a_mark_tells_what_is_added() -> None:
    """Not what comes out; a part that several panes were given once for all of them. What is deleted is told
    as such."""
    part, other = {"items|L": 1, "orders|L": 2}, {"items|M": 3}
    cells = [
        CellWrite("live", PANE, {"items|L": 71}, {"orders|L": 2}, {"max.viewers|N": 9}, [part]),
        CellWrite("live", HOUR_PANE, {"items|L": 81, "orders|L": 82}, {"items|M": 3}, {}, [part, other]),
    ]
    gone = [Pane(MINUTE_PANES, 0), Pane(MINUTE_PANES, 60_000)]
    assert _mark(_write(cells=cells, outlived=[("all", HOUR_PANE)], expired_panes=gone)) == [
        [["1m:60000", "1h:0"], "live", {"L": {"items": 1, "orders": 2}}],
        [["1m:60000"], "live", {"N": {"max.viewers": 9}}],
        [["1h:0"], "live", {"M": {"items": 3}}],
        [["1h:0"], "all", None],
        [["1m:0", "1m:60000"], None, None],
    ]


def test_the_mark_of_many_cells_names_panes() -> None:
    """Who catches up has no time to spare."""
    for cells, is_told in ((CELLS_MARKED_MAX, True), (CELLS_MARKED_MAX + 1, False)):
        part = {f"items|{number}": 1 for number in range(cells)}
        writes = [CellWrite("all", pane, part, added=[part]) for pane in (PANE, HOUR_PANE)]
        [[panes, kind, _]] = _mark(_write(cells=writes, outlived=[]))
        assert (panes, kind) == (["1m:60000", "1h:0"], "all" if is_told else None)


def test_sums_tell_what_they_add() -> None:
    """However a cell is written, the mark of the write tells by how much each pane's cells are raised."""
    sums = Sums(RULES.figures, RULES.sizes)
    sums.load_stored([PANE])
    told: list[Counter[str]] = []
    for amounts in ({60_000: 5, 61_000: 6, 75_000: 7}, {61_000: 2, 62_000: -3}):
        for time_ms, amount in amounts.items():
            sums.add("live", time_ms, "items", "L", amount)
            sums.raise_to("live", time_ms, "max.viewers", "L", time_ms)
        cells, _ = sums.take(75_000)
        told.append(Counter())
        for panes, _, amounts_of in _mark(_write(cells=cells)):
            told[-1].update(dict.fromkeys(panes, amounts_of["L"].get("items", 0)))
    held = {pane_member(pane) for pane in sums.stored}
    assert told[0] == {pane: 7 if pane == "10s:70000" else 11 if pane == "10s:60000" else 18 for pane in held}
    assert told[1] == dict.fromkeys(held - {"10s:70000"}, -1)


def test_cells_are_decimal_strings() -> None:
    """Lua's numbers are doubles: amounts pass it as text, and panes are marked once."""
    cells = [
        CellWrite("all", PANE, {"items|": 2**53 + 1}, {}),
        CellWrite("live", PANE, {}, {"items|L": -(2**60)}),
        CellWrite("live", Pane(MINUTE_PANES, 120_000), {"a|": 0}, {"b|": 1}),
    ]
    assert list(_read(plan(KEYS, FIGURES, _write(cells=cells)))) == [
        ("H", "sp:{3}:cells:all:1m:60000", ["items|", "9007199254740993"]),
        ("I", "sp:{3}:cells:live:1m:60000", ["items|L", "-1152921504606846976"]),
        ("H", "sp:{3}:cells:live:1m:120000", ["a|", "0"]),
        ("I", "sp:{3}:cells:live:1m:120000", ["b|", "1"]),
        ("Z", "sp:{3}:panes", ["1m:60000", "1m:120000"]),
    ]


def test_highest_values_are_raised() -> None:
    """A cell that is not a sum has an operation of its own, after those of the sums beside it."""
    cell = CellWrite("live", PANE, {"items|L": 1}, {}, {"max.viewers|L": 2**53 + 1, "max.viewers|M": 0})
    assert list(_read(plan(KEYS, FIGURES, _write(cells=[cell])))) == [
        ("H", "sp:{3}:cells:live:1m:60000", ["items|L", "1"]),
        ("M", "sp:{3}:cells:live:1m:60000", ["max.viewers|L", "9007199254740993", "max.viewers|M", "0"]),
        ("Z", "sp:{3}:panes", ["1m:60000"]),
    ]


def test_rooms_are_found_by_the_index_of_their_pane() -> None:
    """The hashes of a live are named by the live: an index names those that go with a pane."""
    rooms = [CellWrite(room_kind(live), HOUR_PANE, {"items|m0": 1}, {}) for live in ("L1", "L:2")]
    rooms.append(CellWrite("live", HOUR_PANE, {"items|L1": 1}, {}))
    assert list(_read(plan(KEYS, FIGURES, _write(cells=rooms))))[2:] == [
        ("H", "sp:{3}:cells:live:1h:0", ["items|L1", "1"]),
        ("S", "sp:{3}:index:1h:0", ["room:L1", "room:L:2"]),
        ("Z", "sp:{3}:panes", ["1h:0"]),
    ]


@pytest.mark.parametrize("amount", [AMOUNT_MAX, -AMOUNT_MAX])
def test_a_cell_beyond_64_bits_is_never_written(amount: int) -> None:
    """The largest amounts pass; one beyond them is an error that names the cell, however it is written."""
    beyond = amount + (1 if amount > 0 else -1)
    for keeping in ("absolute", "deltas", "highest"):
        fits, too_large = CellWrite("live", PANE), CellWrite("live", PANE)
        getattr(fits, keeping)["a|L"] = amount
        getattr(too_large, keeping)["a|L"] = beyond
        written, *_ = _read(plan(KEYS, FIGURES, _write(cells=[fits])))
        assert written[2] == ["a|L", str(amount)]
        with pytest.raises(PulseError, match=rf"\(a\|L of .*cells:live:1m:60000: {beyond}\)") as raised:
            plan(KEYS, FIGURES, _write(cells=[too_large]))
        assert "\n" not in str(raised.value)


def test_long_operations_are_sliced_between_pairs() -> None:
    """No slice is longer than Lua can unpack, no field is parted from its value, nothing is lost."""
    cells = CellWrite("live", PANE, {f"items|L{number}": number for number in range(5_000)}, {})
    ledger = LedgerWrite(
        "orders", {f"o{n}": b"7:x" for n in range(2_001)}, {7: [f"o{n}" for n in range(8_000)]}
    )
    done = list(_read(plan(KEYS, FIGURES, _write(cells=[cells], ledgers=[ledger]))))
    assert [(code, len(args)) for code, _, args in done] == [
        *(("H", 4_000), ("H", 4_000), ("H", 2_000)),
        ("Z", 1),
        *(("H", 4_000), ("H", 2)),
        *(("R", 4_000), ("R", 4_000)),
    ]
    assert all(len(args) <= SLICE_MAX for _, _, args in done)
    fields = [args[at] for code, key, args in done if ":cells:" in key for at in range(0, len(args), 2)]
    assert fields == list(cells.absolute)


def test_an_expired_pane_goes_with_all_kinds() -> None:
    """Every hash of the pane, and its mark."""
    for pane, name in ((PANE, "1m:60000"), (HOUR_PANE, "1h:0")):
        assert list(_read(plan(KEYS, FIGURES, _write(expired_panes=[pane])))) == [
            ("U", f"sp:{{3}}:cells:all:{name}", []),
            ("U", f"sp:{{3}}:cells:live:{name}", []),
            ("X", "sp:{3}:panes", [name]),
        ]


def test_short_lived_cells_go_and_their_pane_stays() -> None:
    """One hash is deleted; the index of panes still has the pane."""
    assert list(_read(plan(KEYS, FIGURES, _write(outlived=[("live", PANE)])))) == [
        ("U", "sp:{3}:cells:live:1m:60000", [])
    ]


def test_an_expired_hour_goes_with_its_rooms() -> None:
    """The pane leaves the index of panes by the sweep of its rooms, and only kinds kept at its size go."""
    minutely = ScopeKind("minutely", (), Level.LINE, frozenset({"1m"}))
    figures = replace(FIGURES, kinds=(*FIGURES.kinds, minutely, ROOM))
    operations = plan(KEYS, figures, _write(expired_panes=[HOUR_PANE, PANE]))
    panes = operations.keys["sp:{3}:panes"]
    assert list(_read(operations)) == [
        ("U", "sp:{3}:cells:all:1h:0", []),
        ("U", "sp:{3}:cells:live:1h:0", []),
        ("U", "sp:{3}:cells:all:1m:60000", []),
        ("U", "sp:{3}:cells:live:1m:60000", []),
        ("U", "sp:{3}:cells:minutely:1m:60000", []),
        ("X", "sp:{3}:panes", ["1m:60000"]),
        ("E", "sp:{3}:index:1h:0", [panes, "1h:0", "sp:{3}:cells:", ":1h:0", SWEEP_MAX]),
    ]
    assert operations.swept_rooms == [HOUR_PANE]
    many = _write(expired_panes=[Pane(HOUR_PANES, hour * 3_600_000) for hour in range(400)])
    assert [args[4] for code, _, args in _read(plan(KEYS, figures, many)) if code == "E"] == [2] * 400


def test_sketches_stand_first() -> None:
    """Their one failure that is found late must find no sum changed; users come in slices, names once."""
    users = [f"u{number}" for number in range(SLICE_MAX + 1)]
    sketches = SketchWrite({(PANE, "view:live:L:1"): users, (PANE, "view:all:"): ["u"]}, [])
    cell = CellWrite("live", PANE, {"a|": 1}, {})
    assert list(_read(plan(KEYS, FIGURES, _write(cells=[cell], sketches=sketches)))) == [
        ("P", "sp:{3}:users:1m:60000:view:live:L:1", users[:SLICE_MAX]),
        ("P", "sp:{3}:users:1m:60000:view:live:L:1", users[SLICE_MAX:]),
        ("P", "sp:{3}:users:1m:60000:view:all:", ["u"]),
        ("S", "sp:{3}:usersindex:1m:60000", ["view:live:L:1", "view:all:"]),
        ("Z", "sp:{3}:userpanes", ["1m:60000"]),
        ("H", "sp:{3}:cells:live:1m:60000", ["a|", "1"]),
        ("Z", "sp:{3}:panes", ["1m:60000"]),
    ]


def test_sweeps_of_sketches_are_bounded_and_keep_pace() -> None:
    """One write deletes some thousand sketches, or as many as it may have made."""

    def limits(panes: int, touched: int) -> list[str | bytes | int]:
        expired = [Pane(MINUTE_PANES, 60_000 * minute) for minute in range(panes)]
        members = {(PANE, f"view:live:{number}"): ["u"] for number in range(touched)}
        operations = plan(KEYS, FIGURES, _write(sketches=SketchWrite(members, expired)))
        assert operations.swept_sketches == expired
        sweeps = [(key, args) for code, key, args in _read(operations) if code == "E"]
        for (key, args), pane in zip(sweeps, operations.swept_sketches, strict=True):
            name = pane_member(pane)
            assert key == f"sp:{{3}}:usersindex:{name}"
            assert args[:4] == [operations.keys["sp:{3}:userpanes"], name, f"sp:{{3}}:users:{name}:", ""]
        return [args[4] for _, args in sweeps]

    assert limits(0, 5) == []
    assert limits(1, 0) == [SWEEP_MAX]
    assert limits(3, 0) == [333] * 3
    assert limits(2_000, 5) == [1] * 2_000
    assert limits(2, 5_000) == [2_500] * 2
    assert limits(1, 5_000) == [SLICE_MAX]


def test_everything_that_is_no_sum() -> None:
    """Ids, ledgers, waiting refunds, lives and trims, each in its own keys."""
    waiting = WaitingRefund(offset=1, timestamp=2, counted_ms=3, key=b"\xff", value=b"{}", headers=[])
    write = _write(
        new_ids={"views": {5: b"\x00\xff" * 4}},
        expired_ids={"carts": [1, 2]},
        ledgers=[LedgerWrite("attempts", {"a": b"7:\x00"}, {7: ["a"]}), LedgerWrite("orders", {}, {})],
        waiting={"r1": waiting, "r2": None},
        lives={"L": 86_400_000 * 9 + 5},
        trims={"orders": 4, "lives": 5},
    )
    operations = plan(KEYS, FIGURES, write)
    at = operations.keys
    done = {(code, key): args for code, key, args in _read(operations)}
    encoded = done.pop(("H", "sp:{3}:waiting"))
    assert encoded[0] == "r1" and isinstance(encoded[1], bytes)
    assert done == {
        ("A", "sp:{3}:ids:views:5"): [b"\x00\xff" * 4],
        ("U", "sp:{3}:ids:carts:1"): [],
        ("U", "sp:{3}:ids:carts:2"): [],
        ("H", "sp:{3}:attempts"): ["a", b"7:\x00"],
        ("R", "sp:{3}:attempts:day:7"): ["a"],
        ("D", "sp:{3}:waiting"): ["r2"],
        ("N", "sp:{3}:lives"): ["L", str(86_400_000 * 9 + 5), at["sp:{3}:lives:day:9"], 36],
        ("T", "sp:{3}:orders:day:4"): [at["sp:{3}:orders"], "4:", 1_000],
        ("T", "sp:{3}:lives:day:5"): [at["sp:{3}:lives"], "", 1_000],
    }


def test_every_key_of_a_write_lies_in_one_slot() -> None:
    """A cluster runs a script only on keys of one hash tag, whatever ids, topics and prefixes hold."""
    write = _write(
        cells=[
            CellWrite("live", PANE, {"items|{x}": 1}, {}),
            CellWrite(room_kind("{x}"), HOUR_PANE, {"items|m0": 1}, {}),
        ],
        sketches=SketchWrite({(PANE, "view:live:{v}"): ["{w}"]}, [HOUR_PANE]),
        new_ids={"views": {5: b""}},
        ledgers=[LedgerWrite("orders", {"{y}": b"7:"}, {7: ["{y}"]})],
        lives={"{z}": 1},
        trims={"identities": 1},
        expired_panes=[PANE, HOUR_PANE],
    )
    names = list(plan(KEYS, FIGURE_SETS["all"], write).keys)
    assert len(names) > 20
    assert {re.findall(r"\{(.*?)\}", name)[0] for name in names} == {"3"}
    assert all(name.startswith("sp:{3}:") for name in names)


def test_meta_says_how_far_everything_is() -> None:
    """Facts that are not known have no field; times and offsets are integers as text."""
    progress = {
        "views": Progress(5, 1_000, 900, 800, 700, (4, 1_000, 2**32 - 1)),
        "ads": Progress(next_offset=0),
        "carts": Progress(),
    }
    write = _write(currencies=frozenset({"USD", "EUR"}), high_ms=900, progress=progress)
    assert meta_fields(write, RULES, {"orders": 20_000}, {"owner": "w1"}) == {
        "schema": SCHEMA,
        "partitions": "4",
        "rules": RULES.text,
        "owner": "w1",
        "h": "900",
        "currencies": "EUR USD",
        "trim:orders": "20000",
        "ing:views": "1000",
        "hi:views": "900",
        "hb:views": "800",
        "wm:views": "700",
        "off:views": "5",
        "last:views": "4:1000:4294967295",
        "off:ads": "0",
    }
    assert meta_fields(_write(), RULES, {}, {}) == {"schema": SCHEMA, "partitions": "4", "rules": RULES.text}


def test_a_pane_is_named_by_size_and_start() -> None:
    """The member of the index that readers split at the colon."""
    assert pane_member(PANE) == "1m:60000"


@pytest.mark.parametrize("size", [0, 31, 65_535, 65_536])
def test_bytes_pass_as_they_are(size: int) -> None:
    """Of any content and length, also such as are no UTF-8."""
    data = b"\xff" * size
    assert unpacked(encode([as_text(data), "é", 70_000])) == [data, "é".encode(), b"70000"]
