"""An Alertmanager of our own that shows what fires, where its binary is installed. Nothing depends on it.

It stands behind Prometheus, at the end of the way of a page. It tells nobody unless it is given a webhook:
what fires is seen on its page.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from streams.local.ports import free_port
from streams.local.processes import Program
from streams.local.prometheus import answers

# Debian gives the program a name of its own.
_NAMES = ("alertmanager", "prometheus-alertmanager")


def binary() -> str | None:
    """The name of this machine's Alertmanager; None if there is none."""
    return next((name for name in _NAMES if shutil.which(name)), None)


class AlertmanagerServer(Program):
    """One Alertmanager on loopback; `webhook` is a URL that is told at once what fires and what resolves."""

    def __init__(self, folder: Path, *, webhook: str | None = None, log: Path | None = None) -> None:
        super().__init__("Alertmanager", log or folder / "alertmanager.log")
        self.folder = folder
        self.port = free_port()
        self._webhook = webhook

    @property
    def address(self) -> str:
        """Where it answers: `host:port`."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://{self.address}"

    def command(self) -> list[str]:
        """Its command line; without a cluster it needs no second port."""
        return [
            binary() or _NAMES[0],
            f"--config.file={self._config}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]

    def prepare(self) -> None:
        """Write its configuration: JSON, which is YAML too."""
        self.folder.mkdir(parents=True, exist_ok=True)
        receiver: dict[str, object] = {"name": "shown"}
        route: dict[str, object] = {"receiver": "shown", "group_by": ["alertname", "env", "shop"]}
        if self._webhook is not None:
            receiver["webhook_configs"] = [{"url": self._webhook, "send_resolved": True}]
            # Each alert on its own and at once: whoever listens wants to know when it came.
            route |= {"group_by": ["..."], "group_wait": "0s", "group_interval": "1s"}
        self._config.write_text(json.dumps({"route": route, "receivers": [receiver]}, indent=1))

    def ready(self) -> bool:
        """Whether it takes alerts."""
        return answers(self.port, "/-/ready")

    @property
    def _config(self) -> Path:
        return self.folder / "alertmanager.yml"
