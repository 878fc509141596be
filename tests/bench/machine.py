"""What a process used and on what machine, from /proc."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from streams.local.kafka import JARS

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_LIBRARIES = ("faust-streaming", "aiokafka", "msgspec", "redis", "uvloop")


@dataclass(frozen=True)
class Cpu:
    """Processor time of a process and its children, in seconds; `main_s`: that of their main threads."""

    total_s: float
    main_s: float

    def __sub__(self, before: Cpu) -> Cpu:
        return Cpu(self.total_s - before.total_s, self.main_s - before.main_s)


def cpu_of(pid: int) -> Cpu:
    """What this process and its children have used so far."""
    pids = _with_children(pid)
    return Cpu(
        sum(_seconds(Path(f"/proc/{each}/stat")) for each in pids),
        sum(_seconds(Path(f"/proc/{each}/task/{each}/stat")) for each in pids),
    )


def _with_children(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text(encoding="ascii").split():
            found += _with_children(int(child))
    return found


def _seconds(stat: Path) -> float:
    # The name of the program stands in brackets and may hold anything; what follows are plain numbers.
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def peak_rss_mib(pid: int) -> float:
    """The most memory that this process has held, and each of its children."""
    return sum(_status_kib(each, "VmHWM") for each in _with_children(pid)) / 1024


def rss_mib(pid: int) -> float:
    """The memory that this process alone holds now."""
    return _status_kib(pid, "VmRSS") / 1024


def _status_kib(pid: int, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"/proc/{pid}/status names no {name}")
    return int(found[1])


def described(redis_version: str) -> dict[str, object]:
    """The machine and the versions, as far as figures depend on them."""
    models = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    kafka = next(JARS.glob("kafka_*.jar"), Path("unknown"))
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": models[0] if models else platform.machine(),
        "load_before": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "kafka": kafka.stem.rpartition("-")[2],
        "redis_server": redis_version,
        **{name: version(name) for name in _LIBRARIES},
    }
