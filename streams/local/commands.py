"""Shop Pulse's own commands as programs of this machine: worker, read service, sources of events.

They stand along the whole way of an event; `streams.local.pulse` puts them together. Each is started as a
user would start it, with the addresses in its environment.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from streams.local.processes import Program
from streams.local.prometheus import answers


class Command(Program):
    """`shop-pulse ARGUMENTS` as a program. `once`: it ends by itself when its work is done."""

    ready_within_s = 120.0

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        *,
        once: bool = False,
    ) -> None:
        super().__init__(name, log)
        self.once = once
        self._arguments = list(arguments)
        self._environment = environment

    def command(self) -> list[str]:
        """The same Python and the same code as ours."""
        return [sys.executable, "-m", "streams", *self._arguments]

    def environment(self) -> Mapping[str, str]:
        """Ours, with the addresses of this pulse."""
        return self._environment

    def last_line(self) -> str:
        """Its last line, without the name that stands before every error of ours."""
        return super().last_line().removeprefix("shop-pulse: ")


class ReadService(Command):
    """`shop-pulse serve`, ready when its /readyz says so."""

    def __init__(self, log: Path, environment: Mapping[str, str], host: str, port: int) -> None:
        super().__init__("serve", ["serve"], log, environment)
        self.port = port
        # Whoever listens on every address is asked on loopback.
        self.host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)

    @property
    def address(self) -> str:
        """Where it answers: `host:port`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://{self.address}"

    def ready(self) -> bool:
        """Whether it has figures to answer with."""
        token = self._environment.get("SHOP_PULSE_TOKEN", "")
        return answers(self.port, "/readyz", self.host, token)
