"""A Prometheus of our own that reads `/metrics`, where its binary is installed. Nothing depends on it."""

from __future__ import annotations

import http.client
import json
import shutil
from pathlib import Path

from streams.local.ports import free_port
from streams.local.processes import Program

_SCRAPE_INTERVAL = "5s"


def installed() -> bool:
    """Whether this machine has Prometheus."""
    return shutil.which("prometheus") is not None


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
    """One Prometheus on loopback that scrapes `target` (`host:port`), with a token if one is needed."""

    def __init__(self, folder: Path, target: str, *, token: str = "", log: Path | None = None) -> None:
        super().__init__("Prometheus", log or folder / "prometheus.log")
        self.folder = folder
        self.port = free_port()
        self._target = target
        self._token = token

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
            "static_configs": [{"targets": [self._target]}],
        }
        if self._token:
            job["authorization"] = {"credentials": self._token}
        config = {
            "global": {"scrape_interval": _SCRAPE_INTERVAL, "evaluation_interval": _SCRAPE_INTERVAL},
            "scrape_configs": [job],
        }
        self._config.touch(mode=0o600)  # it may hold the token
        self._config.write_text(json.dumps(config, indent=1))

    def ready(self) -> bool:
        """Whether it answers queries."""
        return answers(self.port, "/-/ready")

    @property
    def _config(self) -> Path:
        return self.folder / "prometheus.yml"
