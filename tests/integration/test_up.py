"""`shop-pulse up` as a user runs it: ready in one line, mended when a part dies, and gone without a trace."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.errors import PulseError
from streams.local import up as up_module

START_S = 120
STOP_S = 40


def _start(folder: Path, *arguments: str, **environ: str) -> subprocess.Popen[str]:
    """`shop-pulse up` in its own process, with all its data in `folder`."""
    return subprocess.Popen(
        [sys.executable, "-m", "streams", "up", *arguments],
        env=os.environ | {"SHOP_PULSE_DATA_DIR": str(folder)} | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _run(folder: Path, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """The same to its end: exit code, stdout, stderr."""
    process = _start(folder, *arguments, **environ)
    out, err = process.communicate(timeout=START_S)
    return process.returncode, out, err


def _left(folder: Path) -> list[str]:
    """The command lines of all processes that were started for this folder and still live."""
    mark = f"SHOP_PULSE_DATA_DIR={folder}\0".encode()
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (each / "environ").read_bytes() + b"\0":
                found.append((each / "cmdline").read_text().replace("\0", " ")[:100])
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended while we looked, or is another user's
    return found


def _eventually(holds: Callable[[], bool], within_s: float = 60) -> bool:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.1)
    return False


def _ask(prometheus: str, what: str) -> Any:
    """The data that Prometheus' API answers with."""
    with urllib.request.urlopen(f"{prometheus}/api/v1/{what}", timeout=5) as answer:
        return json.load(answer)["data"]


def _urls(at: dict[str, Any], what: str, active: str, key: str) -> list[str]:
    """Addresses of what Prometheus has found."""
    return [each[key] for each in _ask(at["prometheus"], what)[active]]


def _published(folder: Path) -> dict[str, Any]:
    published: dict[str, Any] = json.loads((folder / "up.json").read_text())
    return published


def _pasts(folder: Path) -> list[dict[str, Any]]:
    """What each run of `shop-pulse history` said."""
    return [json.loads(line) for line in (folder / "logs" / "history.log").read_text().splitlines()]


def _pid(folder: Path, part: str) -> int | None:
    pid = _published(folder)["pids"][part]
    first: int | None = pid[0] if isinstance(pid, list) else pid
    return first


@pytest.fixture(scope="module")
def pulse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A running pulse without a source: its folder, and what it printed when it was ready."""
    folder = tmp_path_factory.mktemp("up") / "data"
    process = _start(folder, "--json", "--source", "none", "--workers", "2")
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate(timeout=STOP_S)[1]
    yield folder, json.loads(line)
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=STOP_S)
    assert (process.returncode, rest) == (0, ""), err
    assert not (folder / "up.json").exists()
    assert _left(folder) == []


def test_it_says_where_everything_is(pulse: tuple[Path, dict[str, Any]]) -> None:
    """One line of JSON when all is ready, the same in up.json, and the addresses answer."""
    folder, at = pulse
    assert set(at) == {"kafka", "redis", "api", "metrics", "prometheus", "alertmanager", "pids"}
    assert set(at["pids"]) == {
        "kafka", "redis", "worker", "serve", "canary", "prometheus", "alertmanager"
    }  # fmt: skip
    assert len(at["pids"]["worker"]) == 2
    assert _published(folder) == at
    assert at["metrics"] == at["api"] + "/metrics"
    watching = (at["prometheus"] + "/-/ready", at["alertmanager"] + "/-/ready")
    for url in (at["api"] + "/readyz", at["metrics"], *watching):
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert answer.status == 200


def test_the_committed_rules_are_loaded(pulse: tuple[Path, dict[str, Any]]) -> None:
    """Prometheus evaluates the recording rules and the active set of alerts, and knows its Alertmanager."""
    _, at = pulse
    groups = _ask(at["prometheus"], "rules")["groups"]
    assert {Path(group["file"]).name for group in groups} == {"recording.yml", "alerts.yml"}
    told = [at["alertmanager"] + "/api/v2/alerts"]
    # Servers are found by and by.
    assert _eventually(lambda: _urls(at, "alertmanagers", "activeAlertmanagers", "url") == told)
    assert _eventually(lambda: _urls(at, "targets", "activeTargets", "scrapeUrl") == [at["metrics"]])
    (target,) = _ask(at["prometheus"], "targets")["activeTargets"]
    assert (target["labels"]["env"], target["labels"]["shop"]) == ("dev", "main")


def test_one_folder_has_one_pulse(pulse: tuple[Path, dict[str, Any]]) -> None:
    """A second `up` says in one line that one is running, and leaves that alone."""
    folder, _ = pulse
    before = _published(folder)
    code, out, err = _run(folder, "--source", "none")
    assert (code, out) == (1, "")
    assert err.startswith("shop-pulse: one is already running in") and err.count("\n") == 1
    assert _published(folder) == before


@pytest.mark.parametrize(
    "part", ["worker", "serve", "redis", "kafka", "canary", "prometheus", "alertmanager"]
)
def test_a_part_that_died_is_started_again(part: str, pulse: tuple[Path, dict[str, Any]]) -> None:
    """up.json names the new process; addresses stay, and the read service is ready again."""
    folder, at = pulse
    old = _pid(folder, part)
    assert old is not None
    os.kill(old, signal.SIGKILL)
    assert _eventually(lambda: _pid(folder, part) not in (old, None))
    after = _published(folder)
    assert {name: value for name, value in after.items() if name != "pids"} == {
        name: value for name, value in at.items() if name != "pids"
    }

    def ready() -> bool:
        try:
            with urllib.request.urlopen(at["api"] + "/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    assert _eventually(ready)


@pytest.mark.parametrize(
    ("number", "after_s"),
    [
        (signal.SIGINT, 0.0),
        (signal.SIGTERM, 1.0),
        (signal.SIGINT, 2.5),
        (signal.SIGTERM, 4.5),
        (signal.SIGHUP, 6.5),
    ],
)
def test_a_signal_ends_everything_at_any_moment(
    number: signal.Signals, after_s: float, tmp_path: Path
) -> None:
    """While Kafka is formatted, while it or the worker starts: no process and no traceback is left."""
    folder = tmp_path / "data"
    process = _start(folder, "--json", "--source", "none")
    # Before that Python itself is still starting, and a signal is Python's.
    assert _eventually((folder / "lock").exists)
    time.sleep(after_s)
    process.send_signal(number)
    _, err = process.communicate(timeout=STOP_S)
    assert process.returncode in (0, 128 + number)
    assert "Traceback" not in err
    assert _left(folder) == []
    assert not (folder / "up.json").exists()


def test_nothing_is_left_after_kill_9(tmp_path: Path) -> None:
    """The kernel ends what we no longer can; the next `up` in the folder just starts, and keeps the data.

    The past of the shop is counted when `up` says that it runs, nothing of it late; kept, it is not sent
    again.
    """
    folder = tmp_path / "data"
    process = _start(folder, "--json", "--source", "generate")
    assert process.stdout is not None
    api = json.loads(process.stdout.readline())["api"]
    (past,) = _pasts(folder)
    days = f"from_ms={past['from_ms']}&to_ms={past['to_ms']}"
    with urllib.request.urlopen(f"{api}/api/v1/kpis?scope=all&{days}", timeout=15) as answer:
        quality = json.load(answer)["quality"]
    assert quality["accepted"] >= past["sent"] > 30_000
    assert (quality["late"], quality["dead_letters"]) == (0, 0)
    process.kill()
    process.communicate(timeout=STOP_S)
    assert _eventually(lambda: _left(folder) == [], within_s=5)
    meta = (folder / "kafka" / "data" / "meta.properties").read_text()
    code, out, err = _run(folder, "--json", "--source", "generate", "--keep", "--for", "1")
    assert (code, out.count("\n")) == (0, 1), err
    assert (folder / "kafka" / "data" / "meta.properties").read_text() == meta
    assert [each["sent"] for each in _pasts(folder)] == [past["sent"], 0]


def test_a_new_pulse_starts_empty_and_ends_by_itself(tmp_path: Path) -> None:
    """`--for` ends it with exit code 0; without `--keep` the next has other data; a person gets addresses."""
    folder = tmp_path / "data"
    seen = set()
    for _ in range(2):
        code, out, err = _run(folder, "--source", "none", "--for", "0.5")
        assert code == 0, err
        assert "Ctrl-C ends it" in out and "/api/v1/kpis?scope=all&window=5m" in out
        seen.add((folder / "kafka" / "data" / "meta.properties").read_text())
    assert len(seen) == 2
    assert _left(folder) == []


def test_a_port_that_was_asked_for_and_is_taken_is_one_line(tmp_path: Path) -> None:
    """A default port gives way, one that the user named does not."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, out, err = _run(tmp_path / "data", "--source", "none", SHOP_PULSE_API_PORT=port)
    assert (code, out) == (1, "")
    assert f"port {port} of 127.0.0.1 is taken" in err and err.count("\n") == 1


@pytest.mark.parametrize("missing", ["java", "redis-server"])
def test_a_missing_program_is_one_line(missing: str, tmp_path: Path) -> None:
    """It is named, with the command that brings it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in {"java", "redis-server"} - {missing}:
        found = next(each for folder in os.get_exec_path() if (each := Path(folder) / name).exists())
        (programs / name).symlink_to(found)
    folder = tmp_path / "data"
    code, _, err = _run(folder, "--json", PATH=str(programs))
    assert code == 1
    assert f"shop-pulse: {missing} is missing; run `make setup`" in err and "Traceback" not in err
    assert _left(folder) == []


def test_a_folder_of_others_is_not_touched(tmp_path: Path) -> None:
    """Starting empty removes only what an earlier `up` has left."""
    theirs = tmp_path / "redis" / "dump.rdb"
    theirs.parent.mkdir()
    theirs.write_text("precious")
    code, _, err = _run(tmp_path)
    assert code == 1 and "holds files of others" in err and err.count("\n") == 1
    assert theirs.read_text() == "precious"


def test_more_workers_than_partitions_is_one_line(tmp_path: Path) -> None:
    """They would only stand idle."""
    code, _, err = _run(tmp_path / "data", "--workers", "5")
    assert code == 1 and "--workers 5 is more than there are partitions (4)" in err and err.count("\n") == 1


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    """It says how much to free."""
    with pytest.raises(PulseError, match=r"the disk of .* is full \(\d+ MiB left\): free 512 MiB"):
        up_module._require_space(tmp_path, 2**40)
    up_module._require_space(tmp_path, 1)
