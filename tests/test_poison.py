"""The poison corpus: every record gets its verdict from both decoders, alone and within a batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import pytest

from schemas.codec import decode, decode_batch
from schemas.plain import decode_plain
from schemas.verdicts import Rejected
from tests.agreement import agreed_verdict, verdict_of
from tests.poison import Poison, corpus, text, view

CORPUS = corpus()
# The least that the processor's clock can tell, and what an interruption may cost.
CLOCK_S = 0.02


@pytest.mark.parametrize("poison", CORPUS, ids=lambda poison: poison.name)
def test_verdict(poison: Poison) -> None:
    """Each poisoned record gets the stated verdict from all decoders, without an exception."""
    assert agreed_verdict(poison.value, poison.topic) == poison.verdict


def test_poison_harms_no_neighbour() -> None:
    """Right events around each poisoned record of a batch come out as if it were not there."""
    right = text(view())
    event = decode(right, "views")
    for poison in CORPUS:
        batch = decode_batch([right, poison.value, right], "views")
        assert batch == [event, decode(poison.value, "views"), event], poison.name


def test_names_are_unique() -> None:
    """A failing record can be found by its name."""
    assert len({poison.name for poison in CORPUS}) == len(CORPUS)


def test_verdicts_come_quickly() -> None:
    """No record of 64 KiB costs a decoder more than a hundred times what an ordinary one of that size does,
    however it is built: no quadratic scan, which would cost thousands of times as much."""
    usual = text(view(x="x" * 60_000))
    for decoder in (decode, decode_plain):
        ordinary = _processor_seconds(partial(decoder, usual, "views"), 20)
        for poison in CORPUS:
            cost = _processor_seconds(partial(decoder, poison.value, poison.topic), 1)
            assert cost < 100 * ordinary + CLOCK_S, poison.name


def _processor_seconds(decode_once: Callable[[], object], times: int) -> float:
    started = time.process_time()
    for _ in range(times):
        decode_once()
    return (time.process_time() - started) / times


def test_details_are_short() -> None:
    """A rejection's detail is one short line of ASCII, fit for a Kafka header, whatever the record held."""
    for poison in CORPUS:
        judged = decode(poison.value, poison.topic)
        if isinstance(judged, Rejected):
            assert judged.detail.isascii() and judged.detail.isprintable(), poison.name
            assert 0 < len(judged.detail) <= 160, poison.name


def test_verdict_does_not_depend_on_when() -> None:
    """A second look at the same bytes gives the same verdict: no state is kept between records."""
    first = [verdict_of(decode(poison.value, poison.topic)) for poison in CORPUS]
    again = [verdict_of(decode(poison.value, poison.topic)) for poison in reversed(CORPUS)]
    assert first == again[::-1]
