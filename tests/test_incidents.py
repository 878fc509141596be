"""Incidents: how they are written, and when they hold."""

from __future__ import annotations

import pytest

from streams.errors import PulseError
from streams.sources.incidents import Incident, Incidents, parse


@pytest.mark.parametrize(
    ("text", "incident"),
    [
        ("gateway-down:adyen@60s+120s", Incident("gateway-down", "adyen", 60_000, 180_000)),
        ("checkout-broken@2m+1h", Incident("checkout-broken", "", 120_000, 3_720_000)),
        ("traffic-halves@0s+1s", Incident("traffic-halves", "", 0, 1_000)),
        ("source-silent:tag-taps@5s+5s", Incident("source-silent", "tag-taps", 5_000, 10_000)),
    ],
)
def test_incidents_are_read(text: str, incident: Incident) -> None:
    """Kind, target, start and length; seconds, minutes and hours."""
    assert parse(text) == incident


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "write KIND"),
        ("gateway-down:adyen", "write KIND"),
        ("gateway-down:adyen@60+120", "write KIND"),
        ("gateway-down:adyen@60s+120s ", "write KIND"),
        ("gateway-up:adyen@60s+120s", "the kind is one of gateway-down, checkout-broken"),
        ("gateway-down@60s+120s", "gateway-down needs one of adyen, alipay"),
        ("gateway-down:paypal@60s+120s", "gateway-down needs one of adyen, alipay"),
        ("source-silent:shop.views@60s+120s", "source-silent needs one of views"),
        ("checkout-broken:adyen@60s+120s", "takes no target"),
        ("traffic-halves@60s+0s", "above 0"),
    ],
)
def test_a_malformed_incident_is_one_line_that_says_what_to_write(text: str, hint: str) -> None:
    """Nothing that cannot be meant is accepted, and the line names what could be."""
    with pytest.raises(PulseError, match=hint) as raised:
        parse(text)
    assert repr(text) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_incident_holds_for_its_target_from_its_start_to_before_its_end() -> None:
    """[start, end) after the beginning of the run, at no other target."""
    incidents = Incidents([parse("gateway-down:adyen@10s+5s")], start_ms=1_000_000)
    held = [
        incidents.holds("gateway-down", "adyen", 1_000_000 + time) for time in (9_999, 10_000, 14_999, 15_000)
    ]
    assert held == [False, True, True, False]
    assert not incidents.holds("gateway-down", "stripe", 1_012_000)
    assert not incidents.holds("traffic-halves", "", 1_012_000)
