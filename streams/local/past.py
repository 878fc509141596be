"""The past of the simulated shop on this machine: sent once, and waited for until it is counted.

It stands before the canary and the live source in `streams.local.pulse`: what they send is of now, and where
that lies already, all of the past would be late.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

from streams.errors import PulseError
from streams.local.commands import Command, ReadService
from streams.local.processes import Sleep

_ANSWER_S = 5.0
_TICK_S = 0.3
# Without a step forward for so long there will be none.
_PATIENCE_S = 120.0


class Bar(Protocol):
    """A progress bar of click."""

    def update(self, n_steps: int) -> None:
        """Go so many steps forward."""


# Opens a bar of so many steps, with a label.
OpenBar = Callable[[int, str], AbstractContextManager[Bar]]


class Past(Command):
    """`shop-pulse history` as a program of one run."""

    def __init__(self, log: Path, environment: Mapping[str, str]) -> None:
        super().__init__("history", ["history", "--json"], log, environment, once=True)
        self._token = environment.get("SHOP_PULSE_TOKEN", "")

    def wait_counted(
        self, serve: ReadService, open_bar: OpenBar, check: Callable[[], None], sleep: Sleep
    ) -> None:
        """Return when the read service has counted all that was sent; at once where nothing was, or where
        it does not know.

        `check` raises what makes waiting useless. Raises PulseError where nothing moves any more.
        """
        said = json.loads(self.log.read_text().splitlines()[-1])
        sent = said["sent"]
        if not sent:
            return
        address = f"{serve.url}/api/v1/kpis?scope=all&from_ms={said['from_ms']}&to_ms={said['to_ms']}"
        counted, moved_at = 0, time.monotonic()
        with open_bar(sent, f"counting {said['days']} days of history") as bar:
            while counted < sent:
                check()
                found = self._counted(address)
                # More is counted than was sent if somebody else sends, too.
                now = sent if found is None else min(found, sent)
                if now > counted:
                    bar.update(now - counted)
                    counted, moved_at = now, time.monotonic()
                if time.monotonic() - moved_at > _PATIENCE_S:
                    raise PulseError(
                        f"only {counted} of {sent} records of history are counted: look into the worker's log"
                    )
                sleep(_TICK_S)

    def _counted(self, address: str) -> int | None:
        """How many records of the past have their verdict; 0 while there is no answer, None if none comes."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            request = urllib.request.Request(address, headers=headers)
            with urllib.request.urlopen(request, timeout=_ANSWER_S) as answer:
                quality: dict[str, Any] = json.load(answer)["quality"]
        except urllib.error.HTTPError as error:
            # A worker that keeps no days, or only some figures, cannot be asked for them.
            return None if error.code == HTTPStatus.BAD_REQUEST else 0
        except (OSError, ValueError):  # the first seconds of a read service
            return 0
        verdicts = ("accepted", "duplicates", "late", "dead_letters", "excluded")
        return sum(int(quality[verdict]) for verdict in verdicts)
