"""What explains a drop: the slice that fell more than the rest, never merely the largest one."""

from __future__ import annotations

from streams.causes import EVERYWHERE, TEXT_MAX, Cause, Part, Slice, everywhere, plain, ranked
from streams.cohorts import Tally

LONG = 24


def _slice(cause: str, n: int, usual: float, now: float) -> Slice:
    """A slice of `n` sessions in the drop's time, and of LONG times as many before."""
    return Slice(cause, Tally(n, round(n * now)), Tally(LONG * n, round(LONG * n * usual)))


def _part(*slices: Slice, over: Slice | None = None) -> Part:
    """A whole cut into slices; `over` is what no slice holds."""
    cut = [*slices, *([over] if over else [])]
    now = Tally(sum(each.now.n for each in cut), sum(each.now.k for each in cut))
    before = Tally(sum(each.before.n for each in cut), sum(each.before.k for each in cut))
    return Part(Slice("all", now, before), slices)


def _names(*parts: Part, limit: int = 5) -> list[str]:
    return [each.cause for each in ranked(parts, limit)]


def test_the_slice_that_fell_explains_the_drop() -> None:
    """One of three falls to a fifth: it explains the whole loss, with its ratios and its size."""
    part = _part(_slice("a", 5_000, 0.03, 0.03), _slice("b", 4_000, 0.05, 0.01), _slice("c", 1_000, 0.1, 0.1))
    [cause] = ranked([part], 5)
    assert (cause.cause, cause.n, cause.now_ratio, cause.expected_ratio) == ("b", 4_000, 0.01, 0.05)
    assert 0.99 < cause.share <= 1


def test_a_uniform_fall_blames_nobody() -> None:
    """Every slice falls by half: the largest one lost most, and is no cause."""
    slices = [_slice(name, n, 0.04, 0.02) for name, n in (("large", 9_000), ("small", 1_000))]
    assert ranked([_part(*slices)], 5) == []
    assert everywhere(10_000, 200, 0.04) == Cause(EVERYWHERE, 1.0, 0.02, 0.04, 10_000)


def test_the_only_slice_is_everything() -> None:
    """A shop on one platform: its fall is the shop's fall, which the platform does not explain."""
    assert _names(_part(_slice("only", 5_000, 0.04, 0.01))) == []


def test_a_slice_that_fell_more_explains_only_what_is_beyond() -> None:
    """All fall by a fifth, one of them by four fifths: it explains its loss less a fifth of its usual."""
    part = _part(_slice("a", 10_000, 0.05, 0.04), _slice("b", 10_000, 0.05, 0.01))
    [cause] = ranked([part], 5)
    assert cause.cause == "b"
    assert cause.share == (10_000 * 0.05 * 0.8 - 100) / 500


def test_of_what_explains_the_same_the_sharper_goes_first() -> None:
    """Half of a platform's payments fail by one gateway: the gateway fell further than the platform."""
    platforms = _part(_slice("platform p", 8_000, 0.05, 0.025), _slice("platform q", 4_000, 0.05, 0.05))
    gateways = _part(
        _slice("gateway g on p", 400, 0.9, 0.0),
        _slice("gateway h on p", 400, 0.9, 0.9),
        _slice("gateway h on q", 400, 0.9, 0.9),
    )
    assert _names(platforms, gateways) == ["gateway g on p", "platform p"]
    assert _names(platforms, gateways, limit=1) == ["gateway g on p"]


def test_chance_is_no_cause() -> None:
    """A handful of sessions that bought nothing happens; beside a drop of all it explains nothing."""
    part = _part(_slice("large", 10_000, 0.03, 0.012), _slice("tiny", 40, 0.03, 0.0))
    assert _names(part) == []


def test_a_slice_without_a_past_is_held_to_the_whole() -> None:
    """An app version that came out an hour ago sells nothing: it is a cause though nothing was usual."""
    new = Slice("app_version 9", Tally(3_000, 0), Tally(10, 0))
    part = _part(_slice("app_version 8", 7_000, 0.05, 0.05), new)
    [cause] = ranked([part], 5)
    assert (cause.cause, cause.now_ratio) == ("app_version 9", 0.0)
    assert 0.049 < cause.expected_ratio <= 0.05


def test_what_no_slice_holds_is_part_of_the_rest() -> None:
    """Only some sessions have a creator: theirs are compared with those that have none."""
    creator = _slice("creator c", 2_000, 0.05, 0.01)
    assert _names(_part(creator, over=_slice("none", 8_000, 0.05, 0.05))) == ["creator c"]
    assert _names(_part(creator, over=_slice("none", 8_000, 0.05, 0.01))) == []


def test_without_a_loss_there_is_no_cause() -> None:
    """What rose or stayed explains nothing, nor does what is empty or never reached the step."""
    rose = _part(_slice("a", 1_000, 0.03, 0.05), _slice("b", 1_000, 0.03, 0.03))
    empty = _part(Slice("a", Tally(0, 0), Tally(0, 0)))
    assert ranked([rose, empty], 5) == []
    never = _part(
        _slice("a", 5_000, 0.05, 0.01), _slice("b", 5_000, 0.0, 0.0), _slice("c", 5_000, 0.05, 0.05)
    )
    assert _names(never) == ["a"]


def test_events_may_outnumber_those_before_them() -> None:
    """Events are counted, not followed: more purchases than carts are no error."""
    part = _part(_slice("a", 1_000, 1.2, 0.2), _slice("b", 1_000, 1.2, 1.3))
    [cause] = ranked([part], 5)
    assert (cause.cause, cause.now_ratio, cause.expected_ratio) == ("a", 0.2, 1.2)


def test_names_are_plain_text() -> None:
    """What a client named can be no markup, no link and no command where it ends up."""
    assert plain("product <b>`p1`</b>\n\x1b[31m|@all #x 手机 ü-1.2:3,/ https://x") == (
        "product _b__p1__/b____31m__all _x 手机 ü-1.2:3,/ https:/_x"
    )
    assert len(plain("x" * 500)) == TEXT_MAX
