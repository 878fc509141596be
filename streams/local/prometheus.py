"""A Prometheus of our own that reads `/metrics`, where its binary is installed. Nothing depends on it.

It stands behind the read service, with the rules that are committed in `dashboards/`: the recording rules
always, and of the sets of alerts the one that `SHOP_PULSE_ALERTS` names.
"""

from __future__ import annotations

import http.client
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from streams.local.ports import free_port
from streams.local.processes import Program

_INTERVAL = "5s"
# In a checkout and in an installed wheel alike, packages stand side by side.
DASHBOARDS = Path(__file__).resolve().parents[2] / "dashboards"
# Every rule keeps these apart; who runs several shops gives each its own in the configuration of Prometheus.
LABELS = {"env": "dev", "shop": "main"}


def installed() -> bool:
    """Whether this machine has Prometheus."""
    return shutil.which("prometheus") is not None


def rule_files(alerts: str) -> list[Path]:
    """The committed rules to load when `alerts` (`prometheus`, `grafana`, `none`) is the active set."""
    return [
        DASHBOARDS / "prometheus" / "recording.yml",
        *sorted((DASHBOARDS / "alerts" / alerts / "prometheus").glob("*.yml")),
    ]


def answers(port: int, path: str, host: str = "127.0.0.1", token: str = "") -> bool:
    """Whether a GET of `path` on this machine gives 200 within a second."""
    connection = http.client.HTTPConnection(host, port, timeout=1)
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class PrometheusServer(Program):
    """One Prometheus on loopback that scrapes `target` (`host:port`), with a token if one is needed.

    `rules` are files of rules; `links` are the base addresses that their texts name (`pulse_url`,
    `grafana_url`, `runbook_url`); `alertmanager` (`host:port`) is told what fires.
    """

    def __init__(
        self,
        folder: Path,
        target: str,
        *,
        token: str = "",
        rules: Sequence[Path] = (),
        links: Mapping[str, str] | None = None,
        alertmanager: str | None = None,
        log: Path | None = None,
    ) -> None:
        super().__init__("Prometheus", log or folder / "prometheus.log")
        self.folder = folder
        self.port = free_port()
        self._target = target
        self._token = token
        self._rules = rules
        self._links = dict(links or {})
        self._alertmanager = alertmanager

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """Its command line."""
        return [
            "prometheus",
            f"--config.file={self._config}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        ]

    def prepare(self) -> None:
        """Write its configuration: JSON, which is YAML too."""
        self.folder.mkdir(parents=True, exist_ok=True)
        job: dict[str, object] = {
            "job_name": "shop-pulse",
            "static_configs": [{"targets": [self._target], "labels": LABELS}],
        }
        if self._token:
            job["authorization"] = {"credentials": self._token}
        config: dict[str, object] = {
            "global": {
                "scrape_interval": _INTERVAL,
                "evaluation_interval": _INTERVAL,
                "external_labels": self._links,
            },
            "rule_files": [str(path) for path in self._rules],
            "scrape_configs": [job],
        }
        if self._alertmanager is not None:
            targets = [{"targets": [self._alertmanager]}]
            config["alerting"] = {
                "alertmanagers": [{"static_configs": targets}],
                # Texts read them; as labels of an alert they would only make it another one.
                "alert_relabel_configs": [{"action": "labeldrop", "regex": "(pulse|grafana|runbook)_url"}],
            }
        self._config.touch(mode=0o600)  # it may hold the token
        self._config.write_text(json.dumps(config, indent=1))

    def ready(self) -> bool:
        """Whether it answers queries."""
        return answers(self.port, "/-/ready")

    @property
    def _config(self) -> Path:
        return self.folder / "prometheus.yml"
