"""From a survey to Prometheus' text: names, labels, units, and what is left out."""

from __future__ import annotations

import shutil
import subprocess
from importlib.metadata import version

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streams.answer import Group, Totals
from streams.exporter import expose, gauge
from streams.kpis import FIGURE_SETS, KPIS
from streams.requests import Meta
from streams.survey import RANKED_KPIS, ScopeTotals, Survey, WindowSurvey
from streams.trust import State, Trust

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
FIGURES = FIGURE_SETS["all"]
TRUSTED = Trust(as_of_ms=1_500, completeness=0.5, state=State.OPEN, silent_topics=frozenset({"ads"}))


def _survey(trust: Trust = TRUSTED) -> Survey:
    whole = {
        "events.view": 8,
        "gmv_paid:USD": 100,
        "orders:USD": 2,
        "sessions.view": 4,
        "sessions.purchase": 1,
    }
    users = {"users.view": 6, "users.purchase": 2, "gmv_paid:USD": 150, "orders:USD": 3}
    live = {"events.tag_tap": 2, "events.view": 4, "max.viewers": 9}
    scopes = (
        ScopeTotals("all", "", Totals(whole, users), KPIS),
        ScopeTotals("live", 'L"1\n', Totals(live, capped=frozenset(Group)), RANKED_KPIS),
        ScopeTotals("gateway", "adyen", Totals({"pay.attempts": 4, "pay.authorised": 3}), RANKED_KPIS),
    )
    meta = {
        "wm:views": "2500", "ing:views": "3000", "lag:views": "7", "hb:views": "1000", "owner": "w1",
        "write_ms": "250", "writes": "9", "refused": "1", "takeovers": "2", "up_ms": "4000",
        "rebalances": "3",
    }  # fmt: skip
    verdicts = {
        "accepted|views": 10, "dead_letters.not_json|views": 2, "late|purchases": 1, "misplaced|views": 3,
        "late_gmv:USD|purchases": 500, "sessions_expired|carts": 6,
    }  # fmt: skip
    window = WindowSurvey("5m", ("USD",), trust, scopes, {"live": True, "product": False})
    return Survey((Meta(meta), Meta()), (window,), verdicts, {"L1": 7})


def _samples(survey: Survey | None) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(expose(survey, FIGURES).decode())
        for sample in family.samples
    }


def _labels(**labels: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def test_figures_carry_scope_window_and_currency() -> None:
    """One gauge per KPI, named by its path; a value from a client is escaped, not trusted."""
    samples = _samples(_survey())
    whole = {"scope_kind": "all", "scope": "", "window": "5m"}
    assert samples["shop_pulse_gmv_paid_minor", _labels(**whole, currency="USD")] == 100
    assert samples["shop_pulse_aov_minor", _labels(**whole, currency="USD")] == 50
    assert samples["shop_pulse_events_view", _labels(**whole)] == 8
    assert samples["shop_pulse_events_by_type_view", _labels(**whole)] == 8
    live = {"scope_kind": "live", "scope": 'L"1\n', "window": "5m"}
    assert samples["shop_pulse_events_tag_tap", _labels(**live)] == 2
    gateway = {"scope_kind": "gateway", "scope": "adyen", "window": "5m"}
    assert samples["shop_pulse_payments_success_rate", _labels(**gateway)] == 0.75


def test_people_have_gauges_of_their_own() -> None:
    """Sessions, users over their own range, and viewers; where a cap was met, no share of it is told."""
    samples = _samples(_survey())
    whole = _labels(scope_kind="all", scope="", window="5m")
    assert samples["shop_pulse_sessions_view", whole] == 4
    assert samples["shop_pulse_purchases_per_view_sessions", whole] == 0.25
    assert samples["shop_pulse_users_view", whole] == 6
    usd = _labels(scope_kind="all", scope="", window="5m", currency="USD")
    assert samples["shop_pulse_gmv_per_buyer_minor", usd] == 75
    live = _labels(scope_kind="live", scope='L"1\n', window="5m")
    assert samples["shop_pulse_viewers_peak", live] == 9
    assert ("shop_pulse_tag_taps_per_view_events", live) not in samples
    assert ("shop_pulse_users_view", live) not in samples
    assert samples["shop_pulse_viewers_now", _labels(scope_kind="live", scope="L1")] == 7
    assert samples["shop_pulse_capped", _labels(scope_kind="live", window="5m")] == 1
    assert samples["shop_pulse_capped", _labels(scope_kind="product", window="5m")] == 0


def test_others_add_gauges_of_their_own() -> None:
    """What the service counts about itself stands beside the figures, also while Redis does not answer."""
    text = expose(None, FIGURES, [gauge("stream_clients", "Streams that are open.", (), {(): 3})]).decode()
    assert "shop_pulse_stream_clients 3.0" in text


def test_what_cannot_be_said_has_no_sample() -> None:
    """A ratio over nothing, a count that a kind does not keep and event types of named ids are left out."""
    samples = _samples(_survey())
    names_by_kind = {(name, dict(labels).get("scope_kind")) for name, labels in samples}
    assert ("shop_pulse_tag_taps_per_view_events", "live") not in names_by_kind
    assert ("shop_pulse_events_view", "gateway") not in names_by_kind
    assert ("shop_pulse_events_by_type_view", "live") not in names_by_kind
    assert ("shop_pulse_payments_attempts", "live") not in names_by_kind


def test_the_pipelines_own_state_is_in_base_units() -> None:
    """Times and durations in seconds, per partition; facts that no worker has published are absent."""
    samples = _samples(_survey())
    views = _labels(topic="views", partition="0")
    assert samples["shop_pulse_watermark_timestamp_seconds", views] == 2.5
    assert samples["shop_pulse_ingest_timestamp_seconds", views] == 3
    assert samples["shop_pulse_source_heartbeat_timestamp_seconds", views] == 1
    assert samples["shop_pulse_lag_records", views] == 7
    first = _labels(partition="0")
    assert samples["shop_pulse_write_duration_seconds", first] == 0.25
    assert samples["shop_pulse_writes", first] == 9
    assert samples["shop_pulse_writes_refused", first] == 1
    assert samples["shop_pulse_takeovers", first] == 2
    assert samples["shop_pulse_rebalances", first] == 3
    assert samples["shop_pulse_last_write_timestamp_seconds", first] == 4
    assert samples["shop_pulse_owner_info", _labels(partition="0", owner="w1")] == 1
    assert not [labels for _, labels in samples if ("partition", "1") in labels]


def test_trust_is_exported_with_every_window() -> None:
    """State as one series per state, exactly one of them 1; silent topics by name."""
    samples = _samples(_survey())
    assert samples["shop_pulse_completeness", _labels(window="5m")] == 0.5
    assert samples["shop_pulse_as_of_timestamp_seconds", _labels(window="5m")] == 1.5
    states = {dict(labels)["state"]: n for (name, labels), n in samples.items() if name == "shop_pulse_state"}
    assert states == {"open": 1, "stale": 0, "final": 0, "source_silent": 0}
    assert samples["shop_pulse_source_silent", _labels(topic="ads")] == 1
    assert samples["shop_pulse_source_silent", _labels(topic="views")] == 0


def test_records_of_the_last_hour_have_one_verdict_each() -> None:
    """Misplaced and expired are counted beside: the sum over verdicts is the number of records."""
    samples = _samples(_survey())
    records = {
        (dict(labels)["topic"], dict(labels)["verdict"], dict(labels)["reason"]): n
        for (name, labels), n in samples.items()
        if name == "shop_pulse_records_last_hour"
    }
    assert records == {
        ("views", "accepted", ""): 10,
        ("views", "dead_letter", "not_json"): 2,
        ("purchases", "late", ""): 1,
    }
    assert samples["shop_pulse_misplaced_records_last_hour", _labels(topic="views")] == 3
    assert samples["shop_pulse_sessions_expired_last_hour", _labels(topic="carts")] == 6
    assert samples["shop_pulse_late_gmv_last_hour_minor", _labels(currency="USD")] == 500


def test_before_anything_was_read_there_are_no_figures() -> None:
    """Without watermarks a zero would look like no sales: only trust and the pipeline's state are left."""
    samples = _samples(_survey(Trust(None, 0.0, State.STALE, frozenset())))
    assert not [name for name, _ in samples if name == "shop_pulse_gmv_paid_minor"]
    assert samples["shop_pulse_state", _labels(window="5m", state="stale")] == 1
    assert not [name for name, _ in samples if name == "shop_pulse_as_of_timestamp_seconds"]


def test_without_redis_only_the_build_is_left() -> None:
    """`redis_up` tells a dead Redis from a dead read service; no figure is repeated from memory."""
    assert _samples(None) == {
        ("shop_pulse_build_info", _labels(version=version("shop-pulse"))): 1,
        ("shop_pulse_redis_up", ()): 0,
    }


def test_gauges_of_all_figures_have_names_of_their_own() -> None:
    """Shortened paths still tell every KPI apart."""
    assert len({kpi.gauge for kpi in KPIS}) == len(KPIS)


def test_promtool_finds_nothing_to_say() -> None:
    """Names, help texts and units follow Prometheus' conventions."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.fail("promtool is missing; run `make setup`")
    text = expose(_survey(), FIGURES)
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
