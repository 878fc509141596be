"""The stories' figures: one module each, in which everything about them is declared once.

A story's module names its own measures and, as `KPIS`, what people read. Two kinds of measures need no code
beside their declaration: `PARTS`, counts of events by a field, and `DISTINCT`, sketches of users. Everything
else is derived: Redis fields, answers, gauges, the reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from schemas.events import Event
from streams.catalogue import BASE_MEASURES, USER_STEPS, USERS
from streams.figures import mini_programs, reviews, virality
from streams.kpi import Distinct, Kpi, Measure, Part

_PARTS: tuple[Part, ...] = (*reviews.PARTS, *mini_programs.PARTS)
PARTS: Mapping[type[Event], tuple[Part, ...]] = MappingProxyType(
    {part.event: tuple(each for each in _PARTS if each.event is part.event) for part in _PARTS}
)
# Of traffic; buyers are added order by order (`users`).
DISTINCT: tuple[Distinct, ...] = (*USER_STEPS, *virality.DISTINCT)
# Every sketch of users, by step.
SKETCHES: Mapping[str, Measure] = MappingProxyType(
    {**USERS, **{each.step: each.measure for each in DISTINCT}}
)
MEASURES: tuple[Measure, ...] = (
    *BASE_MEASURES,
    *(measure for part in _PARTS for measure in part.measures.values()),
    *mini_programs.MEASURES,
    *virality.MEASURES,
)
# What books make of events of traffic, beside the counts of the events themselves.
OF_TRAFFIC: tuple[Measure, ...] = (*mini_programs.OF_TRAFFIC, *virality.OF_TRAFFIC)
STORY_KPIS: tuple[Kpi, ...] = (*reviews.KPIS, *mini_programs.KPIS, *virality.KPIS)
