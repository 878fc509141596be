"""The stories: what each collects from the log, and what it says an answer must be.

A story is a module of its own; here they are listed, once for the replay of a partition and once for answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from verify import (
    ads,
    after_purchase,
    apps,
    attribution,
    commission,
    mini_programs,
    payments,
    reach,
    reviews,
    sellers,
    virality,
)
from verify.after_purchase import AfterPurchase
from verify.asked import Asked
from verify.attribution import Taps
from verify.mini_programs import Returns
from verify.model import Booking, CountedIn
from verify.reasons import Reasons
from verify.redirects import Redirects
from verify.rooms import Rooms
from verify.rules import Rules
from verify.stock import Shelves
from verify.virality import Arrivals


class Story(Protocol):
    """What one story collects in one partition number."""

    def add(self, event: Mapping[str, Any], offset: int) -> None:
        """An accepted, real event of any topic, in offset order per topic."""

    def bookings(self) -> Iterable[Booking]:
        """What the story adds to the panes, once everything was added."""


class TrafficStory(Protocol):
    """What one story makes of single events of traffic, in the scopes in which their day counts them."""

    def add(self, event: Mapping[str, Any], offset: int) -> None:
        """An accepted, real event of any topic, in offset order per topic."""

    def bookings(self, counted_in: CountedIn) -> Iterable[Booking]:
        """What the story adds to the panes, once everything was added."""


class Stories:
    """All stories of one partition number."""

    def __init__(self, rules: Rules) -> None:
        self.rooms = Rooms()
        self.shelves = Shelves()
        self.taps = Taps()
        self.reasons = Reasons()
        self.redirects = Redirects()
        self._all: tuple[Story, ...] = (
            *(self.rooms, self.taps, self.reasons, self.redirects),
            *(AfterPurchase(rules), sellers.LiveStarts()),
        )
        self._of_traffic: tuple[TrafficStory, ...] = (Returns(), Arrivals())

    def add(self, event: Mapping[str, Any], offset: int) -> None:
        """An accepted, real event of any topic, in offset order per topic."""
        self.shelves.add(event, offset)
        for story in self._all:
            story.add(event, offset)
        for of_traffic in self._of_traffic:
            of_traffic.add(event, offset)

    def bookings(self, counted_in: CountedIn) -> Iterable[Booking]:
        """What the stories add to the panes."""
        for story in self._all:
            yield from story.bookings()
        for of_traffic in self._of_traffic:
            yield from of_traffic.bookings(counted_in)


ANSWERS: tuple[Callable[[Asked], dict[str, Any]], ...] = (
    reviews.answer,
    attribution.answer,
    commission.answer,
    ads.answer,
    after_purchase.answer,
    payments.answer,
    reach.answer,
    apps.answer,
    sellers.answer,
    mini_programs.answer,
    virality.answer,
)
