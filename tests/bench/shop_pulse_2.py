"""Contestant: two production workers under one command, with the figures of the task."""

from __future__ import annotations

from streams.local.processes import Program
from tests.bench import shop_pulse
from tests.bench.harness import Place, Timing

NAME = "shop_pulse_2"


def prepare(place: Place) -> Program:
    """`shop-pulse worker --processes 2`."""
    return shop_pulse.prepare(place, processes=2)


def run(place: Place, program: Program) -> Timing:
    """See `shop_pulse.run`."""
    return shop_pulse.run(place, program)


def check(place: Place) -> None:
    """See `shop_pulse.check`."""
    shop_pulse.check(place)
