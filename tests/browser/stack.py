"""`shop-pulse up` in a process of its own, and a browser: what browser tests and screenshots stand on."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Browser, Playwright

from streams.errors import PulseError
from streams.scopes import NO_NAMES

# How long anything may take before it is given up; nothing asserts a time.
PATIENCE_S = 120.0
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class RunningPulse:
    """A whole pulse with all its data in `folder`, on free ports; `token` is the operator's, "" for none."""

    def __init__(self, folder: Path, token: str = "") -> None:
        self.token = token
        self._environment = os.environ | {
            "SHOP_PULSE_DATA_DIR": str(folder),
            "SHOP_PULSE_API_PORT": "0",
            "SHOP_PULSE_TOKEN": token,
        }
        self._folder = folder

    def start(self) -> None:
        """Returns when the read service answers. Raises PulseError with what `up` said last."""
        command = [sys.executable, "-m", "streams", "up", "--json"]
        self._process = subprocess.Popen(
            command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise PulseError(self._process.communicate()[1].strip().splitlines()[-1])
        self.url = self._published()["api"]

    def stop(self) -> None:
        """Ends everything that it started, stopped processes too."""
        for pid in self._pids():
            os.kill(pid, signal.SIGCONT)
        self._process.send_signal(signal.SIGINT)
        self._process.communicate()

    def ask(self, path: str) -> Any:
        """What the API answers to the operator."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        request = urllib.request.Request(f"{self.url}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=15) as answer:
            return json.load(answer)

    def host_link(self, live_id: str) -> str:
        """The private link that a host gets for this live."""
        made = subprocess.run(
            [sys.executable, "-m", "streams", "token", "--live", live_id, "--for", "1h", "--url", self.url],
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return made.stdout.strip()

    @contextmanager
    def resting(self, part: str) -> Iterator[None]:
        """The part (`generate`, `worker`, `serve`) stands still meanwhile, as if its machine hung."""
        pid = self._pid(part)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def wait_for_sales(self, orders: int = 3, patience_s: float = PATIENCE_S) -> str:
        """A live on air, once figures are current and it has so many orders; of several that sells most."""
        found: list[str] = []

        def sells(live_id: str) -> bool:
            live = self.ask(f"/api/v1/lives/{quote(live_id)}")
            watched = live["now"]["viewers"]["now"] and live["pinned"]
            return bool(watched and live["since_start"]["orders"] >= orders)

        def sold() -> bool:
            try:
                if self.ask("/api/v1/kpis?scope=all&window=5m")["state"] == "open":
                    lives = self.ask("/api/v1/scopes?kind=live&window=5m")["scopes"][:10]
                    names = [each["scope"].removeprefix("live:") for each in lives]
                    found.extend(name for name in names if name not in NO_NAMES and sells(name))
            except urllib.error.HTTPError as error:
                # The first seconds of a read service; a live that sold before its room was heard of.
                if error.code not in {503, 404}:
                    raise
            return bool(found)

        until(sold, "a live that sells", lambda: time.sleep(1), patience_s)
        return found[0]

    def _published(self) -> dict[str, Any]:
        published: dict[str, Any] = json.loads((self._folder / "up.json").read_text())
        return published

    def _pid(self, part: str) -> int:
        pid = self._published()["pids"][part]
        first: int = pid[0] if isinstance(pid, list) else pid
        return first

    def _pids(self) -> list[int]:
        return [self._pid(part) for part in ("worker", "serve", "generate")]


def until(
    fact: Callable[[], bool], what: str, pause: Callable[[], object], patience_s: float = PATIENCE_S
) -> None:
    """Returns when `fact` holds; AssertionError if it never does. `pause` lets time pass."""
    end = time.monotonic() + patience_s
    while not fact():
        assert time.monotonic() < end, f"waited {patience_s:.0f} s in vain for: {what}"
        pause()


def launch(playwright: Playwright) -> Browser:
    """Debian's Chromium, or another that is installed; playwright's own is never fetched."""
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        raise PulseError("chromium is missing; run `make setup`, or install the package as root")
    return playwright.chromium.launch(executable_path=path)


def zeroes(texts: list[str]) -> list[str]:
    """The texts in which a number is 0."""
    return [text for text in texts if re.search(r"(?<![\d.,:])0(?:\.0+)?(?![\d.,:])", text)]
