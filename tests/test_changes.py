"""What a change must say of itself, and which of them are shown as gauges."""

from __future__ import annotations

import json

import msgspec
import pytest

from streams.answer import QuestionError
from streams.changes import SHOWN_MAX, SHOWN_TITLE_MAX, Change, Kind, parse, parse_end, shown_times
from tests.redis_kit import NOON_MS

DAY_MS = 86_400_000


def _told(**fields: object) -> bytes:
    return json.dumps({"kind": "deploy", "title": "checkout 1.42"} | fields).encode()


def _change(at_ms: int, title: str = "t", kind: Kind = Kind.NOTE) -> Change:
    return Change(id=f"{at_ms}", kind=kind, title=title, at_ms=at_ms)


def test_a_change_needs_a_kind_and_a_title() -> None:
    """Its time is now unless it says another one; its id follows from what and when it was."""
    change = parse(_told(), NOON_MS)
    assert (change.kind, change.title, change.at_ms) == (Kind.DEPLOY, "checkout 1.42", NOON_MS)
    assert (change.to_ms, change.url) == (None, None)
    again = parse(_told(at_ms=NOON_MS, to_ms=NOON_MS + 1, url="https://ci.example/42"), NOON_MS + 5)
    assert again.id == change.id
    assert (again.to_ms, again.url) == (NOON_MS + 1, "https://ci.example/42")
    others = (_told(kind="note"), _told(title="checkout 1.43"), _told(at_ms=NOON_MS - 1))
    assert len({change.id, *(parse(other, NOON_MS).id for other in others)}) == 4


@pytest.mark.parametrize(
    "fields",
    [
        *(
            {"title": text}
            for text in ("x" * 200, "直" * 200, "a b", "caf\u00e9 👩‍💻", "5 % off", "x\u00a0y")
        ),
        *({"kind": kind.value} for kind in Kind),
        *({"at_ms": NOON_MS + days * DAY_MS} for days in (-40, 0, 7)),
        *({"at_ms": NOON_MS, "to_ms": NOON_MS + days * DAY_MS} for days in (0, 7)),
        *({"kind": kind, "to_ms": NOON_MS + DAY_MS} for kind in ("incident", "outage")),
        *({"kind": "promotion", "to_ms": NOON_MS + days * DAY_MS} for days in (2, 7)),
        *({"url": url} for url in ("http://a", "https://a.b/c?d=e#f", "https://[::1]:8080/")),
    ],
)
def test_what_may_be_told(fields: dict[str, object]) -> None:
    """Titles of 200 characters in any language, 40 days back, a week ahead, spans of a week, web links."""
    told = msgspec.to_builtins(parse(_told(**fields), NOON_MS))
    assert told.items() >= fields.items()


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b"nonsense",
            b"[]",
            b"null",
            b"{}",
            b'{"kind":"note"}',
            b'{"title":"t"}',
            b"\xff",
            b'{"kind":"n',
        ),
        *(_told(kind=kind) for kind in ("", "Deploy", "alert", None, 1, "a\nb", "x" * 3_000)),
        *(_told(title=text) for text in ("", "  ", "x" * 201, "a\nb", "a\x00", "a\x7f", "a\u2028b", None, 7)),
        *(
            _told(at_ms=at)
            for at in (NOON_MS - 40 * DAY_MS - 1, NOON_MS + 7 * DAY_MS + 1, -1, 2**70, "1", 1.5)
        ),
        *(_told(at_ms=NOON_MS, to_ms=to) for to in (NOON_MS - 1, NOON_MS + 7 * DAY_MS + 1, "now")),
        *(_told(kind=kind, to_ms=NOON_MS + DAY_MS + 1) for kind in ("incident", "outage")),
        _told(kind="outage", at_ms=NOON_MS + 3 * DAY_MS, to_ms=NOON_MS + 3 * DAY_MS),
        *(_told(url=url) for url in ("", "a", "javascript:alert(1)", "https://", "//a", "https://a b", 5)),
        *(_told(url=url) for url in ("https://a/" + "x" * 500, "https://[", "https://a\n.b", "ftp://a")),
        _told(severity="high"),
        b'{"kind":"note","title":"\\ud800"}',
    ],
)
def test_what_may_not_be_told(body: bytes) -> None:
    """One printable line says what is wrong, of bounded length whatever was sent."""
    with pytest.raises(QuestionError) as refused:
        parse(body, NOON_MS)
    line = str(refused.value)
    assert line.isprintable() and 10 < len(line) < 320


def test_an_end_far_ahead_is_refused_with_what_to_do() -> None:
    """Alerts leave out what lies before it: a slip of a digit would keep them quiet for days."""
    with pytest.raises(QuestionError, match=r"at most a day ahead, .* leave to_ms away"):
        parse(_told(kind="incident", to_ms=NOON_MS + 2 * DAY_MS), NOON_MS)


def test_what_tells_of_an_end() -> None:
    """Nothing for now, or a time; whatever else is one printable line."""
    assert parse_end(b"{}").to_ms is None
    assert parse_end(b'{"to_ms": 5}').to_ms == 5
    for body in (
        b"",
        b"5",
        b"[]",
        b'{"to_ms": "5"}',
        b'{"to_ms": -1}',
        b'{"at_ms": 5}',
        b"\xff",
        b'{"\n": 1}',
    ):
        with pytest.raises(QuestionError, match="this tells of no end") as refused:
            parse_end(body)
        assert str(refused.value).isprintable()


def test_a_change_lasts_at_least_a_moment() -> None:
    """A span that is empty, and one without an end, still touch the minute that they lie in."""
    assert _change(5).until_ms == 6
    assert Change(id="", kind=Kind.NOTE, title="", at_ms=5, to_ms=5).until_ms == 6
    assert Change(id="", kind=Kind.NOTE, title="", at_ms=5, to_ms=9).until_ms == 9


def test_gauges_of_changes_are_bounded() -> None:
    """The newest ones, with the beginning of their titles; of several with one name the latest time."""
    many = shown_times(_change(1_000 * n, f"t{n}") for n in range(SHOWN_MAX + 5))
    assert len(many) == SHOWN_MAX
    assert ("note", "t4") not in many and many["note", "t5"] == 5
    long = "x" * SHOWN_TITLE_MAX
    same = shown_times([_change(3_000, long + "a"), _change(2_000, long + "b"), _change(1_000, long)])
    assert same == {("note", long): 3}
