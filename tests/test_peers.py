"""How peers of the bench are built. `make bench ARGS=--peers` runs them; CI does not fetch them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from streams.errors import PulseError
from tests.bench.peers import common
from tests.bench.peers.all import PEERS
from tests.bench.peers.common import HERE, Recipe, build


@pytest.fixture(autouse=True)
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Peers are built in a folder of the test."""
    monkeypatch.setattr(common, "BUILT", tmp_path)
    return tmp_path


def recipe(*code: str, tools: tuple[str, ...] = ()) -> Recipe:
    """A peer that is built by Python programs."""
    return Recipe(
        sources=["quix_app.py"],
        tools=tools,
        steps=lambda _folder: [[sys.executable, "-c", each] for each in code],
        command=lambda _folder: [],
    )


def test_a_peer_is_built_once_until_its_sources_change(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder says what it was built from."""
    count = f"open({str(built / 'builds')!r}, 'a').write('x')"
    assert build("peer", recipe(count)) == build("peer", recipe(count)) == built / "peer"
    assert (built / "builds").read_text() == "x"
    monkeypatch.setattr(common, "_sum_of", lambda _recipe: 0)
    build("peer", recipe(count))
    assert (built / "builds").read_text() == "xx"


def test_what_a_peer_lacks_is_told_in_one_line() -> None:
    """By name, and that the others can run without it."""
    with pytest.raises(
        PulseError, match=r"^peer needs no-such-tool: install it, or name the others with --only$"
    ):
        build("peer", recipe(tools=("no-such-tool",)))


def test_a_build_that_fails_names_its_log_and_is_tried_again(built: Path) -> None:
    """A half of a build is none."""
    with pytest.raises(PulseError, match=r"^peer could not be built: see .*build\.log$"):
        build("peer", recipe("raise SystemExit('no')"))
    assert (built / "peer" / "build.log").read_text() == "no\n"
    build("peer", recipe("pass"))


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.NAME)
def test_the_sources_of_a_peer_are_there(peer: common.Peer) -> None:
    """What it is built from lies beside the harness."""
    assert all((HERE / source).exists() for source in peer.recipe.sources)
