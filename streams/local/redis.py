"""A Redis of our own, set as the figures need it: on disk within a second, never evicting.

It stands where the figures lie, when nobody else's Redis is named in the settings.
"""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from streams.errors import PulseError
from streams.local.ports import free_port
from streams.local.processes import Program


class RedisServer(Program):
    """One Redis on loopback. Its data lies in `folder`: a second start goes on with it."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        log: Path | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        """`options`: further directives of redis.conf, which win (a test's wrong policy, a size limit)."""
        super().__init__("Redis", log or folder / "redis.log")
        self.folder = folder
        self.port = port or free_port()
        self._options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(folder),
            "save": "",  # the append-only file alone: a snapshot forks, and doubles the memory it writes
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
        } | dict(options or {})

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """Redis's command line; all its configuration stands there."""
        pairs = [word for name, value in self._options.items() for word in (f"--{name}", value)]
        return ["redis-server", *pairs]

    def prepare(self) -> None:
        """Make its data folder."""
        if shutil.which("redis-server") is None:
            raise PulseError(
                "redis-server is missing; run `make setup`, or name your Redis in SHOP_PULSE_REDIS"
            )
        self.folder.mkdir(parents=True, exist_ok=True)

    def last_line(self) -> str:
        """Its last line without process id, role, time and level (`14815:M 21 Nov 2026 03:48:41.958 # …`)."""
        return re.sub(r"^\d+:\w \d+ \w+ \d+ [\d:.]+ . ", "", super().last_line())

    def ready(self) -> bool:
        """Whether it answers PING with PONG: while it reads its data it answers LOADING."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.settimeout(1)
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
