"""Alerts with every part real: what goes wrong in a shop reaches whoever is paged, under its own name.

Three shops live side by side under one Prometheus with the committed rules, each with a trouble of its own:
what takes minutes, since nothing of the rules is shortened, is waited for once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from streams.local.kafka import KafkaServer
from streams.local.redis import RedisServer
from tests.integration.alerting_kit import ENV, GRAFANA, Watch, Watched
from tests.integration.pipeline import wait_until

# What is true of these shops whatever their pipeline does: of lives of the history nobody said that they
# ended, and the source sells on for minutes when a shelf is empty.
OF_THE_SHOP = {"ShopPulseLiveHeartbeatLost", "ShopPulseOversold", "ShopPulsePinnedProductOut"}

DASHBOARDS = sorted((Path(__file__).parents[2] / "dashboards" / "grafana").glob("*.json"))
STEP = "tag_tap_per_view"
# What young, healthy shops do not tell, and why. A panel or rule that needs one of these shows nothing here.
NOT_TOLD = {
    "gmv_baseline": "no week lies behind",
    "orders_baseline": "no week lies behind",
    "refund_baseline": "no week lies behind",
    "cohort_usual_reached": "no week lies behind",
    "cohort:diluted": "no week lies behind",
    "gmv:ratio_of_baseline": "no week lies behind",
    "misplaced_records": "every key lies in its partition",
    "sessions_expired": "no session is a day old",
    "capped": "no cap is met",
    "late_gmv": "no order comes a week late",
    "oversold_units": "whether a shelf runs empty is chance",
    "redirection_sample_ratio": "whom the arms of these minutes hold is chance",
    "redirection_uplift": "days pass before a rule's uplift is told",
    "creator_earnings_median": "of whole days, and these shops are minutes old",
    "active_users": "of whole days, and these shops are minutes old",
    "refunds_of_purchases_per_gmv_paid_by_age": "of whole days, and these shops are minutes old",
}


@pytest.fixture(scope="module")
def watch(
    kafka: KafkaServer, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watch]:
    """One shop whose gateway is down, one whose worker stops, one whose orders fall silent for a while."""
    folder = tmp_path_factory.mktemp("alerting")
    # What falls has to fall among enough carts and attempts to be told from chance.
    gateway = Watched("gateway", kafka, redis_server, folder, rate=60)
    stopped, silent = (Watched(name, kafka, redis_server, folder) for name in ("stopped", "silent"))
    shops = [gateway, stopped, silent]
    watched = Watch(shops, folder)
    try:
        for shop in shops:
            shop.start()
        quiet = [shop.quiet_past() for shop in shops]
        wait_until(lambda: not any(each.running for each in quiet), "the quiet past")
        busy = [
            gateway.busy_past("--incident", "gateway-down:adyen@6m+14m"),
            stopped.busy_past(),
            silent.busy_past(),
        ]
        wait_until(lambda: not any(each.running for each in busy), "the busy past")
        gateway.open("--incident", "gateway-down:adyen@0s+1h")
        stopped.open()
        silent.open()
        watched.start()
        stopped.stop_worker()
        silent.suffer("--incident", "source-silent:purchases@0s+160s")
        yield watched
    finally:
        watched.end()


def test_every_rule_is_evaluated(watch: Watch) -> None:
    """No rule is broken, also on what a running service exports."""
    groups = watch.ask("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 30
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []


def test_somebody_would_notice_a_dead_alerting(watch: Watch) -> None:
    """The watchdog fires, whatever happens, and reaches whoever listens for it."""
    wait_until(lambda: "ShopPulseWatchdog" in {each.name for each in watch.webhook.told}, "the watchdog")


def test_a_silent_source_pages_under_its_name(watch: Watch) -> None:
    """Orders that no longer come are no fall of conversion: the topic is named, and it ends when they do."""
    told = watch.wait_for("silent", "ShopPulseSourceSilent")
    assert (told.labels["topic"], told.labels["env"], told.labels["severity"]) == (
        "purchases",
        ENV,
        "critical",
    )
    assert told.annotations["runbook_url"].endswith("#shoppulsesourcesilent")
    assert told.annotations["dashboard_url"].startswith(f"{GRAFANA}/d/shop-pulse-")
    watch.wait_for_end("silent", "ShopPulseSourceSilent")
    assert watch.webhook.ever("silent", "business") <= OF_THE_SHOP
    assert watch.webhook.ever("silent", "pipeline") == {"ShopPulseSourceSilent"}


def test_a_stopped_worker_pages_under_its_name(watch: Watch) -> None:
    """Figures that are no longer current are no loss of sales; it ends once a worker reads on."""
    told = watch.wait_for("stopped", "ShopPulseStale")
    assert told.labels["severity"] == "critical"
    assert "This says nothing about sales" in told.annotations["description"]
    assert watch.webhook.ever("stopped", "business") <= OF_THE_SHOP
    assert watch.webhook.ever("stopped", "pipeline") == {"ShopPulseStale"}
    watch.shop("stopped").start_worker_again()
    watch.wait_for_end("stopped", "ShopPulseStale")


def test_troubles_stay_with_their_shop(watch: Watch) -> None:
    """The pipeline of the shop whose gateway is down is well, whatever happens to the others."""
    assert watch.webhook.ever("gateway", "pipeline") == set()


def test_a_gateway_that_is_down_pages(watch: Watch) -> None:
    """The page says what fails now and usually, of how many, who holds, where to look and what to do."""
    told = watch.wait_for("gateway", "ShopPulseGatewayFailing")
    assert (told.labels["gateway"], told.labels["severity"]) == ("adyen", "critical")
    text = told.annotations["description"]
    told_of = r"Now [\d.]+% fail in the window of \d+m, usually [\d.]+%, of \d+ attempts\."
    assert re.search(told_of, text), text
    assert "stripe holds." in text
    assert told.annotations["runbook_url"] == "docs/runbook.md#shoppulsegatewayfailing"
    shop = f"var-env={ENV}&var-shop=gateway"
    assert told.annotations["dashboard_url"] == f"{GRAFANA}/d/shop-pulse-payments?{shop}"


def test_conversion_that_falls_names_its_cause(watch: Watch) -> None:
    """Fewer carts are paid: the page says now, expected, n, since when, what is lost, and why."""
    # Of views the past of two hours hardly says what is usual: which surfaces and lives it had is chance.
    told = watch.wait_for("gateway", "ShopPulseConversionDrop", step="purchase_per_add_to_cart")
    text = told.annotations["description"]
    assert re.search(r"Now [\d.]+% in the window of \d+m, expected [\d.]+%, n = \d+\. Since \d", text), text
    assert re.search(r"Orders lost so far: \d+\. Orders lost a minute: [\d.]+\.", text), text
    assert re.search(r"Cause 1: gateway adyen( on \w+)?, [\d.]+% of the loss", text), text
    assert "no value" not in text


def test_every_recorded_series_is_there(watch: Watch) -> None:
    """Each recording rule finds data in what running services export."""
    wait_until(lambda: watch.webhook.heard("gateway", "ShopPulseConversionDrop") != [], "a drop", 300)
    rules = [rule for group in watch.ask("rules")["groups"] for rule in group["rules"]]
    recorded = {rule["name"] for rule in rules if rule["type"] == "recording"}
    assert watch.wait_for_data(filter(_is_told, recorded)) == []


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=[path.stem for path in DASHBOARDS])
def test_every_panel_shows_something(watch: Watch, dashboard: Path) -> None:
    """Each variable offers something, and each panel's expression finds data once all are chosen."""
    wait_until(lambda: watch.webhook.heard("gateway", "ShopPulseConversionDrop") != [], "a drop", 300)
    told = json.loads(dashboard.read_text())
    chosen = {"env": ENV, "shop": "gateway", "currency": "USD", "step": STEP, "live": _a_live(watch)}
    chosen["gateway_scope"], chosen["window"] = _a_gateway_and_window(watch)
    for variable in told["templating"]["list"]:
        if variable["type"] == "query" and _is_told(variable["query"]):
            offered = watch.offers(_asked(variable["query"], chosen))
            if chosen.get(variable["name"]) not in offered:
                chosen[variable["name"]] = offered[0]
    asked = [target["expr"] for panel in told["panels"] for target in panel.get("targets", ())]
    assert watch.wait_for_data(_asked(each, chosen) for each in filter(_is_told, asked)) == []


def _is_told(expression: str) -> bool:
    """Whether these shops tell all that an expression reads."""
    of_a_live = "$live" in expression or 'scope_kind="live"' in expression
    judged_only = "cohort" in expression and "shop_pulse_orders" not in expression
    return not (of_a_live and judged_only) and not any(name in expression for name in NOT_TOLD)


def _a_live(watch: Watch) -> str:
    """A live that goes on and sells; whether it is large enough to be judged is chance."""
    going_on = 'shop_pulse_viewers_now{shop="gateway"} and on (scope) shop_pulse_orders{shop="gateway"}'
    assert watch.wait_for_data([going_on]) == []
    return watch.values(going_on)[0][0]["scope"]


def _a_gateway_and_window(watch: Watch) -> tuple[str, str]:
    """One that fell, and the longest window that tells of it: which have enough attempts is chance."""
    ratio = 'scope_step_window:shop_pulse_cohort:ratio{shop="gateway", scope_kind="platform,gateway"}'
    fell = f"{ratio} and on (shop, scope, step) scope_step:shop_pulse_cohort_low:count"
    assert watch.wait_for_data([fell]) == []
    labels = [each for each, _ in watch.values(fell)]
    longest = max(labels, key=lambda each: int(each["window"].removesuffix("m")))
    return longest["scope"], longest["window"]


def _asked(expression: str, chosen: Mapping[str, str]) -> str:
    """An expression as Grafana asks it."""
    return re.sub(r"\$(\w+)", lambda name: chosen[name[1]], expression)
