"""Records that break naive consumers, with the verdicts that they must get, for all kinds of tests.

The verdict is that of the decoders, so "accepted" for what only the time of arrival condemns. Nothing here
depends on a clock or on chance.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from tests.golden import ACCEPTED

TIME_MS: Final = 1_483_228_800_000
"""2017-01-01, the event time of all that has a right one."""


@dataclass(frozen=True)
class Poison:
    """One record, the topic (without prefix) that it is sent to, and the verdict it must get."""

    name: str
    topic: str
    value: bytes | None
    verdict: str


def view(**fields: Any) -> dict[str, Any]:
    """The fields of a view that is right, with `fields` changed or added."""
    return {
        "event_type": "view",
        "event_id": "poison",
        "event_time_ms": TIME_MS,
        "platform": "tiktok",
        "user_id": "u1",
        "session_id": "s1",
    } | fields


def purchase(**line: Any) -> dict[str, Any]:
    """A purchase of one line that is right, with the fields `line` changed or added."""
    item = {"product_id": "p1", "quantity": 1, "unit_price_minor": 100} | line
    order = {
        "event_type": "purchase",
        "order_id": "o1",
        "gateway": "adyen",
        "currency": "USD",
        "items": [item],
    }
    return view() | order


def text(fields: dict[str, Any], raw: str = "") -> bytes:
    """`fields` as JSON, with `raw` put in before the closing brace."""
    return (json.dumps(fields, ensure_ascii=False)[:-1] + raw + "}").encode()


def corpus() -> list[Poison]:
    """Everything; names are unique."""
    return [*_not_utf8(), *_not_json(), *_too_large(), *_doubled_keys(), *_numbers(), *_times(), *_fields()]


def _views(verdict: str, named: dict[str, bytes | None]) -> list[Poison]:
    return [Poison(name, "views", value, verdict) for name, value in named.items()]


def _not_utf8() -> list[Poison]:
    whole = text(view(country="中"))
    return _views(
        "not_json",
        {
            "cut off within a character": whole[: whole.index("中".encode()) + 2],
            "a character without its end": whole.replace("中".encode(), "中".encode()[:2]),
            "latin-1": text(view(country="é")).replace("é".encode(), b"\xe9"),
            "invalid bytes in an unknown field": text(view(), ', "x": "?"').replace(b"?", b"\xff"),
            "invalid bytes in an unknown name": text(view(), ', "?": 1').replace(b"?", b"\xc0\xaf"),
            "a surrogate in UTF-8": text(view(), ', "x": "?"').replace(b"?", b"\xed\xa0\x80"),
            "an over-long slash": text(view(country="?")).replace(b"?", b"\xc0\xaf"),
            "above U+10FFFF": text(view(), ', "x": "?"').replace(b"?", b"\xf4\x90\x80\x80"),
            "UTF-16": json.dumps(view()).encode("utf-16"),
            "UTF-32": json.dumps(view()).encode("utf-32-le"),
            "random bytes": bytes(range(256)),
        },
    )


def _not_json() -> list[Poison]:
    good = text(view())
    raws = {
        "NaN": "NaN",
        "Infinity": "Infinity",
        "minus Infinity": "-Infinity",
        "a lone high surrogate": '"\\ud800"',
        "a lone low surrogate": '"\\udc00"',
        "surrogates the wrong way round": '"\\udc00\\ud800"',
        "a high surrogate before another escape": '"\\ud800\\u0041"',
        "a control character in a string": '"\x01"',
        "NUL in a string": '"\x00"',
        "a line break in a string": '"\n"',
        "an unknown escape": '"\\x41"',
        "a leading zero": "01",
        "a leading plus": "+1",
        "a bare point": "1.",
        "hexadecimal": "0x10",
        "an unclosed array": "[1",
        "single quotes": "'a'",
        "a comment": "1 /* one */",
        "65 levels": "[" * 64 + "]" * 64,
        "brackets that do not match": "[}",
        "30 000 open brackets": "[" * 30_000,
        "an unclosed string full of escaped quotes": '"' + '\\"' * 30_000,
    }
    values: dict[str, bytes | None] = {
        f"{name}, unknown field": text(view(), f', "x": {raw}') for name, raw in raws.items()
    }
    values |= {
        "a tombstone": None,
        "empty": b"",
        "white space": b" \r\n\t",
        "NUL": b"\x00",
        "NUL behind": good + b"\x00",
        "NUL between": good.replace(b",", b"\x00,", 1),
        "a byte order mark": b"\xef\xbb\xbf" + good,
        "a form feed behind": good + b"\x0c",
        "a no-break space before": b"\xc2\xa0" + good,
        "two objects": good + good,
        "two objects in two lines": good + b"\n" + good,
        "cut off": good[:-1],
        "root null": b"null",
        "root true": b"true",
        "root number": b"12",
        "root string": b'"view"',
        "root array": b"[" + good + b"]",
        "root 1e400": b"1e400",
        "Avro's magic byte": b"\x00\x00\x00\x00\x01" + good,
        "a lone surrogate that a doubled key hides": text(view(), ', "x": "\\ud800", "x": 1'),
        "a lone surrogate in a name": text(view(), ', "\\ud800": 1'),
    }
    return _views("not_json", values)


def _too_large() -> list[Poison]:
    return _views(
        "too_large",
        {
            "a string of 2 MB": text(view(x="x" * 2_000_000)),
            "an id of 2 MB": text(view(user_id="x" * 2_000_000)),
            "100 000 levels": b"[" * 100_000 + b"]" * 100_000,
            "100 000 levels of an unknown field": text(
                view(), ', "x": ' + '{"a":' * 100_000 + "1" + "}" * 100_000
            ),
            "one byte too many": text(view()).ljust(65_537),
            "a number of 70 000 digits": text(view(), ', "x": ' + "9" * 70_000),
        },
    ) + _views(
        ACCEPTED,
        {
            "exactly 64 KiB": text(view()).ljust(65_536),
            "64 levels": text(view(), ', "x": ' + '{"a":' * 63 + "1" + "}" * 63),
            "65 brackets in a string": text(view(), ', "x": "' + "[" * 65 + '"'),
            "65 brackets side by side": text(view(), ', "x": [' + ",".join(["[]"] * 65) + "]"),
        },
    )


def _doubled_keys() -> list[Poison]:
    return [
        Poison("doubled key, a bad one first", "views", text(view(user_id=1), ', "user_id": "u2"'), ACCEPTED),
        Poison("doubled key, a bad one last", "views", text(view(), ', "user_id": 1'), "bad_field"),
        Poison("doubled key, null last", "views", text(view(), ', "user_id": null'), "bad_field"),
        Poison(
            "doubled type, of another topic last",
            "views",
            text(view(), ', "event_type": "tag_tap"'),
            "wrong_topic",
        ),
        Poison(
            "doubled type, the right one last",
            "views",
            text(view(event_type="purchase"), ', "event_type": "view"'),
            ACCEPTED,
        ),
        Poison(
            "doubled type, escaped name", "views", text(view(), ', "event\\u005ftype": 1'), "unknown_type"
        ),
        Poison(
            "doubled items, bad ones first",
            "purchases",
            text(purchase()).replace(b"{", b'{"items": 1, ', 1),
            ACCEPTED,
        ),
        Poison(
            "doubled key in a line",
            "purchases",
            text(purchase()).replace(b'"quantity": 1', b'"quantity": "x", "quantity": 2'),
            ACCEPTED,
        ),
    ]


def _numbers() -> list[Poison]:
    def order(verdict: str, raws: list[str]) -> list[Poison]:
        start = text(purchase(unit_price_minor="?"))
        return [
            Poison(
                f"unit price {raw[:12]}, {len(raw)} characters",
                "purchases",
                start.replace(b'"?"', raw.encode()),
                verdict,
            )
            for raw in raws
        ]

    huge = ["-1", "-" + "9" * 30, "100000000001", "9" * 19, "18446744073709551616", "9" * 400, "9" * 5_000]
    other = ["1.0", "1e2", "1E400", "-0.0", "1e-400", "true", '"1"', "null", "[1]", "{}"]
    unknown = {name: text(view(), f', "x": {name}') for name in ("1e400", "-1e400", "9" * 25, "1e-999", "-0")}
    return (
        order("out_of_range", huge)
        + order("bad_field", other)
        + order(ACCEPTED, ["0", "-0", "100000000000"])
        + _views(ACCEPTED, {f"unknown field {name}": value for name, value in unknown.items()})
        + _views(ACCEPTED, {"unknown field of 5 000 digits": text(view(), ', "x": ' + "9" * 5_000)})
    )


def _times() -> list[Poison]:
    verdicts = {
        "in seconds": (TIME_MS // 1000, "out_of_range"),
        "in microseconds": (TIME_MS * 1000, ACCEPTED),
        "in nanoseconds": (TIME_MS * 1_000_000, "out_of_range"),
        "zero": (0, "out_of_range"),
        "negative": (-TIME_MS, "out_of_range"),
        "ISO 8601": ("2017-01-01T00:00:00Z", "bad_field"),
        "with a fraction": (float(TIME_MS), "bad_field"),
        "null": (None, "bad_field"),
    }
    return [
        Poison(f"event time {name}", "views", text(view(event_time_ms=time)), verdict)
        for name, (time, verdict) in verdicts.items()
    ]


def _fields() -> list[Poison]:
    return [
        *_views(
            "bad_field",
            {
                "user_id empty": text(view(user_id="")),
                "user_id of 65 characters": text(view(user_id="😀" * 65)),
                "user_id a number": text(view(user_id=5)),
                "live_id an object": text(view(live_id={})),
                "platform false": text(view(platform=False)),
            },
        ),
        *_views(
            ACCEPTED,
            {
                "NUL, escaped, in an id": text(view(), ', "live_id": "\\u0000"'),
                "separators of keys in an id": text(view(live_id="a:b|c{d}\ne")),
                "platform empty": text(view(platform="")),
            },
        ),
        Poison(
            "discount above the price", "purchases", text(purchase(seller_discount_minor=101)), "out_of_range"
        ),
        Poison("negative discount", "purchases", text(purchase(seller_discount_minor=-1)), "out_of_range"),
        Poison(
            "currency with a line break", "purchases", text(purchase() | {"currency": "USD\n"}), "bad_field"
        ),
        Poison(
            "201 lines", "purchases", text(purchase() | {"items": purchase()["items"] * 201}), "out_of_range"
        ),
        Poison("200 lines", "purchases", text(purchase() | {"items": purchase()["items"] * 200}), ACCEPTED),
        Poison(
            "a line within a line",
            "purchases",
            text(purchase() | {"items": [purchase()["items"]]}),
            "bad_field",
        ),
    ]
