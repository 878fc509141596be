"""`python -m tests.bench.rebuild`: how long a rebuild takes after a loss of Redis; totals verified.

The same records and figures as for the contestant `shop_pulse_all`, counted by the command that an operator
would run: nothing is served before, so it switches as soon as the whole log is counted.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from streams.catch_up import duration
from streams.errors import PulseError
from streams.local.commands import Command
from tests.bench import shop_pulse_all
from tests.bench.__main__ import fill
from tests.bench.harness import Place, bench_folder, servers
from tests.bench.machine import cpu_of, described, peak_rss_mib

SAMPLE_S = 0.5


def measure(folder: Path, events: int, seed: int) -> dict[str, Any]:
    """One rebuild; what `--json` prints. Raises PulseError if it fails, or a total is wrong."""
    with servers(folder) as started:
        client = started.client()
        info: Any = client.info("server")
        machine = described(str(info["redis_version"]))
        place = Place(started, fill(started, "many.", events, seed), "shop", folder)
        program = Command(
            "rebuild", ["rebuild", "--json"], folder / "rebuild.log", place.environment(), once=True
        )
        began_s, peak_mib, cpu_s = time.monotonic(), 0.0, 0.0
        program.launch()
        while program.running:
            cpu_s = cpu_of(program.pid).total_s
            peak_mib = max(peak_mib, _peak_mib(program.pid))
            time.sleep(SAMPLE_S)
        whole_s = time.monotonic() - began_s
        if program.exit_code:
            raise PulseError(f"the rebuild failed: {program.last_line()} (log: {program.log})")
        result = json.loads(program.last_line())
        shop_pulse_all.check(replace(place, name=result["generation"]))
        memory: Any = client.info("memory")
    return {
        "records": result["records"],
        "records_per_s": result["records_per_s"],
        "seconds": result["seconds"],
        "seconds_with_start_and_switch": round(whole_s, 1),
        "rebuild_cpu_us_per_record": round(1e6 * cpu_s / result["records"], 1),
        "rebuild_peak_rss_mib": round(peak_mib),
        "redis_mib": memory["used_memory"] >> 20,
        "machine": machine,
    }


def _peak_mib(pid: int) -> float:
    try:
        return peak_rss_mib(pid)
    except ValueError:
        return 0.0  # It has just ended: what it held is gone.


@click.command()
@click.option("--events", type=click.IntRange(1), default=1_000_000, show_default=True, help="In the log.")
@click.option("--seed", type=click.IntRange(0, 2**31), default=1, show_default=True, help="Of the records.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON, not a sentence.")
def command(events: int, seed: int, as_json: bool) -> None:
    """Measure a rebuild from a log of so many events, on servers started for it, totals verified."""
    with bench_folder() as folder:
        found = measure(folder, events, seed)
    if as_json:
        click.echo(json.dumps(found))
        return
    started = f"with start and switch {found['seconds_with_start_and_switch']:,.0f} s"
    memory = (
        f"{found['rebuild_cpu_us_per_record']} µs of a processor each, "
        f"peak {found['rebuild_peak_rss_mib']} MiB, "
        f"Redis {found['redis_mib']} MiB"
    )
    ten_million = duration(1e7 / found["records_per_s"])
    click.echo(
        f"{found['records']:,} records in {found['seconds']:,.0f} s ({found['records_per_s']:,}/s), "
        f"{started}; {memory}; 10 M at this speed: {ten_million}"
    )


if __name__ == "__main__":
    command()
