"""`shop-pulse backtest`: what is played, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from backtest.command import command, long_pieces, quick_pieces
from backtest.drops import DURATIONS, SIZES
from backtest.prometheus import read_rules
from backtest.rivals import Rivals
from backtest.shops import Parameters, make_shop
from backtest.tables import Board
from streams.errors import PulseError


def test_the_long_form_plays_what_was_asked_for() -> None:
    """At each of four traffics a year and more of quiet days, and 200 drops and more of every size and
    duration."""
    pieces = long_pieces(1)
    days, drops = Counter[float](), Counter[float]()
    for piece in pieces:
        count = piece.last - piece.first
        days[piece.traffic] += count * (piece.kind == "quiet")
        drops[piece.traffic] += count * (piece.kind == "drops")
        assert piece.kind != "drops" or (piece.sizes, piece.durations) == (SIZES, DURATIONS)
    assert set(days) == {1.0, 10.0, 100.0, 1_000.0}
    assert min(days.values()) >= 365 and min(drops.values()) >= 200


def test_no_two_shops_share_a_seed() -> None:
    """Quiet days, drops and outages, traffics and seeds of the command: every shop is its own."""
    pieces = [*long_pieces(1), *long_pieces(2)]
    seeds = [piece.seed_of(number) for piece in pieces for number in range(piece.first, piece.last)]
    assert len(set(seeds)) == len(seeds)
    assert quick_pieces(1)[0].seed_of(0) == quick_pieces(1)[0].seed_of(0)


def test_the_docs_tell_of_the_long_form() -> None:
    """`--quick --write docs` is refused, and says what to leave out."""
    result = CliRunner().invoke(command, ["--quick", "--write", "docs"])
    assert isinstance(result.exception, PulseError)
    assert "leave out --quick" in str(result.exception)


def test_a_machine_without_prometheus_is_told_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be scored without it: an error in one line, not a traceback."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PulseError, match="needs prometheus and promtool; install"):
        read_rules(tmp_path)


def test_rivals_alarm_when_conversion_stops() -> None:
    """On a shop of a thousand sessions a minute each rival but the band sees a stop; the band looks away from
    0."""
    calm = Parameters(promotions=0, bursts=0, bots=0)
    shop = make_shop(1_000, 240, 3, calm)
    rivals = Rivals(shop, Board(shop, 240))
    steps = shop.minutes.steps.copy()
    steps[3, :, -240:] = 0
    before = rivals.alarms(shop.minutes, 0, 60)
    after = rivals.alarms(shop.minutes._replace(steps=steps), 100, 240)
    for name in ("week over week", "z-score", "fixed 30 min 0.50"):
        assert not before[name].any() and after[name].any()
    assert not after["adaptive band"][-60:].any()
    assert all(flags.shape == (140,) and flags.dtype == np.bool_ for flags in after.values())
