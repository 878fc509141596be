"""Sharing: who gets a share opens it, some become new users, and some of these share in their turn.

It stands beside the shoppers' visits. In a mini-program sharing is common: three in ten of its users come by
it (K-factor), and sharing that began once goes on for a while by itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, Protocol

from streams.sources.world import Market, Shopper, World, newcomer

CHANNELS: Final = ("chat", "chat", "story", "link")
# Of visits: to a mini-program, and all others.
PROGRAM_SHARERS: Final = 0.45
SHARERS: Final = 0.03
# Of those who open a share.
PROGRAM_NEW_USERS: Final = 0.6
NEW_USERS: Final = 0.15
# Of new users of a mini-program: they share it, too, after so long.
NEW_SHARERS: Final = 0.3
CYCLE_MIN_MS: Final = 20_000
CYCLE_MAX_MS: Final = 20 * 60_000


class Visit(Protocol):
    """A visit as far as sharing needs it."""

    market: Market
    time_ms: int

    def put(self, topic: str, event_type: str, more: str, pause_ms: int) -> None:
        """Write down what happens now."""


# A visit by the link of a share: of whom, when, with which mini-program (empty: none).
BeginVisit = Callable[[Market, Shopper, int, str], Visit]


class Sharing:
    """What shares lead to."""

    def __init__(self, world: World, run: str, rng: random.Random, begin: BeginVisit) -> None:
        """`run` stands in every share's id."""
        self._world = world
        self._run = run
        self._draw = rng.random
        self._begin = begin
        self._shares = 0
        self._new_users = 0

    def end_visit(self, visit: Visit, program: str) -> None:
        """Perhaps the shopper shares; `program` is the mini-program that was visited, or empty."""
        if self._draw() < (PROGRAM_SHARERS if program else SHARERS):
            self._share(visit, program)

    def _share(self, visit: Visit, program: str) -> None:
        self._shares += 1
        share_id = f"h{self._run}-{self._shares}"
        shared = f',"share_id":"{share_id}","channel":"{CHANNELS[self._shares % len(CHANNELS)]}"'
        visit.put("engagement", "share", shared, 500)
        for _ in range(int(self._draw() * 4)):
            is_new = self._draw() < (PROGRAM_NEW_USERS if program else NEW_USERS)
            friend = self._friend(visit.market, is_new)
            at_ms = visit.time_ms + 2_000 + int(self._draw() * 60_000)
            seen = self._begin(visit.market, friend, at_ms, program)
            seen.put("engagement", "share_open", shared, 3_000)
            if program:
                seen.put("views", "mini_program_open", ',"entry":"shared_link"', 3_000)
            if is_new:
                seen.put("engagement", "share_convert", f',"share_id":"{share_id}"', 500)
                if program and self._draw() < NEW_SHARERS:
                    again_ms = seen.time_ms + CYCLE_MIN_MS + int(self._draw() ** 2 * CYCLE_MAX_MS)
                    again = self._begin(visit.market, friend, again_ms, program)
                    again.put("views", "mini_program_open", ',"entry":"search"', 3_000)
                    self._share(again, program)

    def _friend(self, market: Market, is_new: bool) -> Shopper:
        if not is_new:
            return self._world.shopper(market, self._draw())
        self._new_users += 1
        return newcomer(market, self._new_users, self._run)
