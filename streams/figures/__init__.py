"""The stories' figures: one module each, in which everything about them is declared once.

A story's module names its own measures and, as `KPIS`, what people read. Some kinds of measures need no code
beside their declaration: `PARTS`, counts of events by a field (`ORDER_PARTS`, of orders by a scope), and
`DISTINCT`, sketches of users. Everything else is derived: Redis fields, answers, gauges, the reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from schemas.events import Event
from streams.catalogue import BASE_MEASURES, USER_STEPS, USERS
from streams.figures import (
    after_purchase,
    apps,
    attribution,
    commission,
    in_stream,
    mini_programs,
    payments_more,
    reach,
    recommendations,
    refund_rate,
    reviews,
    showcase,
    take,
    virality,
)
from streams.kpi import Distinct, Kpi, Measure, OrderPart, Part

_PARTS: tuple[Part, ...] = (
    *(*reviews.PARTS, *after_purchase.PARTS, *showcase.PARTS, *recommendations.PARTS),
    *mini_programs.PARTS,
)
PARTS: Mapping[type[Event], tuple[Part, ...]] = MappingProxyType(
    {part.event: tuple(each for each in _PARTS if each.event is part.event) for part in _PARTS}
)
ORDER_PARTS: tuple[OrderPart, ...] = (*recommendations.ORDER_PARTS, *in_stream.ORDER_PARTS)
# Of traffic; buyers are added order by order (`users`).
DISTINCT: tuple[Distinct, ...] = (*USER_STEPS, *reach.DISTINCT, *apps.DISTINCT, *virality.DISTINCT)
# Every sketch of users, by step.
SKETCHES: Mapping[str, Measure] = MappingProxyType(
    {**USERS, **{each.step: each.measure for each in DISTINCT}}
)
MEASURES: tuple[Measure, ...] = (
    *BASE_MEASURES,
    *(measure for part in _PARTS for measure in part.measures.values()),
    *(each.measure for each in DISTINCT if each.step not in USERS),
    *(*attribution.MEASURES, *commission.MEASURES, *take.MEASURES, *apps.MEASURES),
    *(*after_purchase.MEASURES, *payments_more.MEASURES, *refund_rate.MEASURES),
    *(*mini_programs.MEASURES, *virality.MEASURES),
    *(measure for order_part in ORDER_PARTS for measure in order_part.measures.values()),
)
# What books make of events of traffic, beside the counts of the events themselves.
OF_TRAFFIC: tuple[Measure, ...] = (*mini_programs.OF_TRAFFIC, *virality.OF_TRAFFIC)
STORY_KPIS: tuple[Kpi, ...] = (
    *(*reviews.KPIS, *attribution.KPIS, *commission.KPIS, *take.KPIS, *apps.KPIS),
    *(*after_purchase.KPIS, *payments_more.KPIS, *refund_rate.KPIS, *reach.KPIS),
    *(*showcase.KPIS, *recommendations.KPIS, *in_stream.KPIS),
    *(*mini_programs.KPIS, *virality.KPIS),
)
