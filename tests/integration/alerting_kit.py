"""Shops that are watched: a pipeline and a read service each, one Prometheus, one Alertmanager, a webhook."""

from __future__ import annotations

import json
import signal
import threading
import urllib.parse
import urllib.request
from collections.abc import Mapping
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
    """One shop: history at full speed, then traffic as it comes, a worker, a read service and the canary."""

    def __init__(self, name: str, kafka: KafkaServer, redis: RedisServer, folder: Path) -> None:
        self.name = name
        self.port = free_port()
        (folder / name).mkdir()
        self.pipeline = Pipeline(
            kafka,
            redis,
            folder / name,
            partitions=2,
            api_port=self.port,
            top_k=3,
            # Cohorts are judged a minute after their first view, not a quarter of an hour.
            cohort_horizon_ms=60_000,
        )
        self.worker: Child | None = None

    def start(self, history_s: int, rate: int, *incidents: str) -> None:
        """Its past, with incidents at times of that past; then everything that reads."""
        self.pipeline.create_topics()
        self.generate("history", rate, "--max-speed", "--for", str(history_s), *incidents)
        self.worker = self.pipeline.worker()
        self.pipeline.start("serve", "serve")
        self.pipeline.start("canary", "canary")

    def stop_worker(self) -> None:
        """It hangs: alive, and doing nothing."""
        assert self.worker is not None
        self.worker.send(signal.SIGSTOP)

    def let_worker_go_on(self) -> None:
        """It does what it did before."""
        assert self.worker is not None
        self.worker.send(signal.SIGCONT)

    def generate(self, name: str, rate: int, *options: str) -> Child:
        """Starts a generator."""
        seed = str(len(name) * 100 + sum(name.encode()))
        return self.pipeline.start(name, "generate", "--flat", "--rate", str(rate), "--seed", seed, *options)


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
        """Both servers, ready."""
        for server in (self._alertmanager, self.prometheus):
            server.start()

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

    def values(self, expression: str) -> list[tuple[Mapping[str, str], float]]:
        """Labels and value of each series that an expression gives now."""
        found = self.ask("query", query=expression)["result"]
        return [(each["metric"], float(each["value"][1])) for each in found]

    def wait_for(self, shop: str, name: str) -> Told:
        """What was told first of an alert, once it has fired."""
        # Two minutes without a sign, one more to be sure, and what is under way.
        wait_until(lambda: self.webhook.heard(shop, name) != [], f"{name} of {shop}", 300)
        return self.webhook.heard(shop, name)[0]

    def wait_for_end(self, shop: str, name: str) -> None:
        """Returns once it has resolved."""
        wait_until(lambda: not self.webhook.fires(shop, name), f"the end of {name} of {shop}", 120)


class _OverShops(PrometheusServer):
    """As it is shipped, but for several targets and a shorter interval."""

    def __init__(self, folder: Path, targets: Mapping[str, str], *, alertmanager: str) -> None:
        super().__init__(
            folder,
            "",
            rules=rule_files("prometheus"),
            links={"pulse_url": "https://pulse.example", "grafana_url": GRAFANA},
            alertmanager=alertmanager,
            interval_s=2,
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
