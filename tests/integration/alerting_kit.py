"""Shops that are watched: a pipeline and a read service each, one Prometheus, one Alertmanager, a webhook."""

from __future__ import annotations

import json
import signal
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from streams.local.alertmanager import AlertmanagerServer
from streams.local.kafka import KafkaServer
from streams.local.ports import free_port
from streams.local.processes import end
from streams.local.prometheus import PrometheusServer, rule_files
from streams.local.redis import RedisServer
from tests.integration.pipeline import Child, Pipeline, wait_until

GRAFANA = "https://grafana.example"
ENV = "test"
# Events a second where nothing is judged, and how long the two parts of the past are.
RATE = 20
QUIET_S, BUSY_S = 7_200, 1_200


class Told(NamedTuple):
    """An alert as a receiver is told of it; `firing` is False once it has resolved."""

    firing: bool
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.labels["alertname"]


class Webhook:
    """Whoever is paged: keeps what it was told, in order."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        told = self.told

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                told.extend(
                    Told(each["status"] == "firing", each["labels"], each["annotations"])
                    for each in body["alerts"]
                )
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}/"

    def heard(self, shop: str, name: str) -> list[Told]:
        """All it was told of an alert of a shop, in order."""
        return [each for each in list(self.told) if each.name == name and each.labels.get("shop") == shop]

    def fires(self, shop: str, name: str) -> bool:
        """Whether the last word on it was that it fires, of any series."""
        latest = {tuple(sorted(each.labels.items())): each.firing for each in self.heard(shop, name)}
        return any(latest.values())

    def ever(self, shop: str, about: str) -> set[str]:
        """Names of all that ever fired for a shop, about the `business` or the `pipeline`."""
        return {
            each.name
            for each in list(self.told)
            if each.firing and each.labels.get("shop") == shop and each.labels["about"] == about
        }

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Watched:
    """One shop: its past at full speed, then traffic as it comes; a worker, a read service and the canary."""

    def __init__(
        self, name: str, kafka: KafkaServer, redis: RedisServer, folder: Path, *, rate: int = RATE
    ) -> None:
        self.name = name
        self._rate = rate
        self.port = free_port()
        home = folder / f"shop-{name}"
        home.mkdir()
        self.pipeline = Pipeline(
            kafka,
            redis,
            home,
            partitions=2,
            api_port=self.port,
            top_k=10,
            # Cohorts are judged a minute after their first view, not a quarter of an hour.
            cohort_horizon_ms=60_000,
        )
        self.worker: Child | None = None
        self._live: Child | None = None

    def start(self) -> None:
        """What reads; the shop has no past yet."""
        self.pipeline.create_topics()
        self.worker = self.pipeline.worker()
        self.pipeline.start("serve", "serve")

    def quiet_past(self) -> Child:
        """Sends two hours at full speed, of which whole hours are over that say what is usual."""
        start_ms = time.time_ns() // 1_000_000 - (QUIET_S + BUSY_S) * 1_000
        return self._generate("quiet", self._rate // 5, QUIET_S, "--start-ms", str(start_ms), "--max-speed")

    def busy_past(self, *incidents: str) -> Child:
        """Sends what came after that, until now; incidents are at times of these twenty minutes."""
        wrong = ("--unreadable", "0.001", "--late", "0.002")  # as everywhere, and too few to page
        return self._generate("busy", self._rate, BUSY_S, "--max-speed", *wrong, *incidents)

    def open(self, *incidents: str) -> None:
        """From now on traffic comes as it happens, and canaries with it."""
        self._live = self._generate("live", self._rate, 3_600, *incidents)
        self.pipeline.start("canary", "canary")

    def suffer(self, *incidents: str) -> None:
        """From now on traffic goes on with these incidents."""
        assert self._live is not None
        self._live.stop()
        self._live = self._generate("suffering", self._rate, 3_600, *incidents)

    def _generate(self, name: str, rate: int, seconds: int, *options: str) -> Child:
        fixed = ["--flat", "--rate", str(rate), "--for", str(seconds), "--seed", str(sum(name.encode()))]
        return self.pipeline.start(name, "generate", *fixed, *options)

    def is_current(self) -> bool:
        """Whether its figures are of the last half minute."""
        address = f"http://127.0.0.1:{self.port}/api/v1/kpis?scope=all&window=5m"
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                as_of_ms = json.load(answer)["as_of_ms"]
        except OSError:
            return False
        return as_of_ms is not None and time.time() - as_of_ms / 1_000 < 30

    def stop_worker(self) -> None:
        """It hangs: alive, and doing nothing."""
        assert self.worker is not None
        self.worker.send(signal.SIGSTOP)

    def start_worker_again(self) -> None:
        """As a supervisor does: after so long its own watchdog would end it anyway."""
        assert self.worker is not None
        self.worker.kill()
        self.worker.launch()


class Watch:
    """Prometheus with the committed rules over several shops, and an Alertmanager that tells the webhook."""

    def __init__(self, shops: list[Watched], folder: Path) -> None:
        self.webhook = Webhook()
        self._alertmanager = AlertmanagerServer(folder / "alertmanager", webhook=self.webhook.url)
        self.prometheus = _OverShops(
            folder / "prometheus",
            {shop.name: f"127.0.0.1:{shop.port}" for shop in shops},
            alertmanager=self._alertmanager.address,
        )
        self._shops = shops

    def shop(self, name: str) -> Watched:
        """A shop by its name."""
        return next(shop for shop in self._shops if shop.name == name)

    def start(self) -> None:
        """Both servers, ready. Only once all shops are current: business rules want five minutes of trust."""
        wait_until(lambda: all(shop.is_current() for shop in self._shops), "current figures", 600)
        for server in (self._alertmanager, self.prometheus):
            server.start()
        trusted = "shop_pulse:trusted == 1"
        # A busy machine stumbles now and then, and trust begins anew.
        wait_until(lambda: len(self.values(trusted)) == len(self._shops), "figures that are trusted", 600)

    def end(self) -> None:
        """Everything, the shops too."""
        end([self.prometheus, self._alertmanager])
        for shop in self._shops:
            shop.pipeline.end()
        self.webhook.close()

    def ask(self, what: str, **parameters: str) -> Any:
        """The data of an answer of Prometheus' API."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.prometheus.url}/api/v1/{what}?{query}", timeout=10) as answer:
            return json.load(answer)["data"]

    def offers(self, query: str) -> list[str]:
        """What a variable of a dashboard offers, something at least: `label_values(SELECTOR, LABEL)`."""
        selector, label = query.removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
        assert self.wait_for_data([selector]) == []
        return sorted({labels[label] for labels, _ in self.values(selector)})

    def values(self, expression: str) -> list[tuple[Mapping[str, str], float]]:
        """Labels and value of each series that an expression gives now."""
        found = self.ask("query", query=expression)["result"]
        return [(each["metric"], float(each["value"][1])) for each in found]

    def wait_for_data(self, expressions: Iterable[str], patience_s: float = 60) -> list[str]:
        """Expressions that found nothing all the time; a scrape that is late hides some for once."""
        left, until = list(expressions), time.monotonic() + patience_s
        while (left := [each for each in left if not self.values(each)]) and time.monotonic() < until:
            time.sleep(1)
        return left

    def wait_for(self, shop: str, name: str, **labels: str) -> Told:
        """What was told first of an alert with these labels, once it has fired."""

        def heard() -> Told | None:
            found = self.webhook.heard(shop, name)
            return next((each for each in found if labels.items() <= each.labels.items()), None)

        # Two minutes without a sign, one more to be sure, and what is under way.
        wait_until(lambda: heard() is not None, f"{name} of {shop} {labels}", 600)
        told = heard()
        assert told is not None
        return told

    def wait_for_end(self, shop: str, name: str) -> None:
        """Returns once it has resolved."""
        wait_until(lambda: not self.webhook.fires(shop, name), f"the end of {name} of {shop}")


class _OverShops(PrometheusServer):
    """As `up` has it, but for several targets."""

    def __init__(self, folder: Path, targets: Mapping[str, str], *, alertmanager: str) -> None:
        super().__init__(
            folder,
            "",
            rules=rule_files("prometheus"),
            links={"pulse_url": "https://pulse.example", "grafana_url": GRAFANA},
            alertmanager=alertmanager,
        )
        self._targets = targets

    def prepare(self) -> None:
        """Write the configuration and name the shops in it."""
        super().prepare()
        config = json.loads(self._config.read_text())
        config["scrape_configs"][0]["static_configs"] = [
            {"targets": [target], "labels": {"env": ENV, "shop": shop}}
            for shop, target in self._targets.items()
        ]
        self._config.write_text(json.dumps(config))
