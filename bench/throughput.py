"""HTTP checks a second and core through the whole pipeline: schedule, probe, evaluate, store.

    python bench/throughput.py [--seconds 10] [--rounds 3]

Needs nginx (Debian: nginx-light); measures wrk with ``Connection: close`` beside it where that is
installed. Each runs on one core of its own, in turns, against the same nginx on loopback. Prints
rates and ratios; asserts nothing, for machines differ.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tocsin import Target
from tocsin.core.bus import Bus
from tocsin.core.clock import SystemClock
from tocsin.core.config.settings import BUILT_IN, PluginSettings
from tocsin.core.embedded import EmbeddedPostgres
from tocsin.core.isolation import Isolation
from tocsin.core.model import Observation
from tocsin.core.plugin_manager import PluginManager
from tocsin.core.runner import Runner
from tocsin.core.scheduler import Scheduler
from tocsin.core.state import CheckState, LiveState
from tocsin.core.store import Store
from tocsin.plugins.probes.http import HttpProbe

PORT = 18970
CHECKS = 10_000
URL = f"http://127.0.0.1:{PORT}/"


@contextmanager
def nginx() -> Iterator[None]:
    """A private nginx on the last core, answering a few bytes."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        sys.exit("nginx is not installed; on Debian: apt-get install nginx-light")
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "nginx.conf"
        config.write_text(
            f"daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/e;"
            "events { worker_connections 4096; }"
            f"http {{ access_log off; server {{ listen 127.0.0.1:{PORT} backlog=4096;"
            ' location / { return 200 "ok"; } } }'
        )
        process = subprocess.Popen([program, "-c", str(config)], preexec_fn=last_core)
        try:
            time.sleep(0.5)
            yield
        finally:
            process.terminate()
            process.wait()


def last_core() -> None:
    """Move to the last core."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def first_core() -> None:
    """Move to the first core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


async def pipeline(seconds: float, dsn: str) -> tuple[float, float]:
    """Checks a second of wall time, and of this process's CPU time."""
    clock = SystemClock()
    state = LiveState(Bus())
    plugins = PluginManager(PluginSettings())
    plugins.load()
    with tempfile.TemporaryDirectory() as directory:
        store = Store(dsn, Path(directory), clock=clock)
        await store.start()
        done = 0

        def record(observation: Observation) -> None:
            nonlocal done
            if state.record(observation):
                store.write(observation)
                done += observation.result.status == "up"

        runner = Runner(clock, Isolation(frozenset(BUILT_IN), lambda *_: None), plugins, record)
        scheduler = Scheduler(clock, limit=64)
        probe = HttpProbe(url=URL)
        for n in range(CHECKS):
            target = Target(name=f"t{n}")
            state.put(target, declared=True, source=None, at=clock.now())
            state.put_check(CheckState(target=target.name, name="http", probe="http", interval=1))

            async def run(target: Target = target) -> None:
                await runner.run(target, "http", "http", probe)

            scheduler.put(f"t{n}/http", 1.0, run, spread=1.0)
        task = asyncio.create_task(scheduler.run())
        await asyncio.sleep(1)
        start, cpu, before = time.perf_counter(), time.process_time(), done
        await asyncio.sleep(seconds)
        count = done - before
        wall, used = time.perf_counter() - start, time.process_time() - cpu
        task.cancel()
        await asyncio.wait({task})
        await store.stop()
    return count / wall, count / used


def wrk(seconds: float) -> float | None:
    """Requests a second of wrk with a new connection each."""
    program = shutil.which("wrk")
    if program is None:
        return None
    done = subprocess.run(
        [program, "-t1", "-c64", f"-d{seconds:.0f}s", "-H", "Connection: close", URL],
        capture_output=True, text=True, check=True, preexec_fn=first_core,
    )  # fmt: skip
    found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    return float(found[1]) if found else None


def main() -> None:
    """Measure in turns and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    directory = tempfile.mkdtemp(prefix="tocsin-bench-")
    server = EmbeddedPostgres()
    dsn = asyncio.run(server.start(Path(directory) / "pg"))
    try:
        import uvloop

        run = uvloop.run
    except ImportError:
        run = asyncio.run
    ours, theirs = [], []
    with nginx():
        everywhere = os.sched_getaffinity(0)
        for _ in range(given.rounds):
            first_core()
            ours.append(run(pipeline(given.seconds, dsn)))
            os.sched_setaffinity(0, everywhere)
            if (rate := wrk(given.seconds)) is not None:
                theirs.append(rate)
    asyncio.run(server.stop())
    shutil.rmtree(directory, ignore_errors=True)
    per_core = [cpu for _, cpu in ours]
    print(
        f"machine: {os.cpu_count()} cores; {given.rounds} rounds of {given.seconds:g} s, in turns"
    )
    spread = f"{min(per_core):,.0f} to {max(per_core):,.0f}"
    print(f"whole pipeline: {statistics.median(per_core):,.0f} checks/s and core ({spread})")
    print(f"  in wall time: {statistics.median(wall for wall, _ in ours):,.0f} checks/s")
    if theirs:
        print(f"wrk, new connection each: {statistics.median(theirs):,.0f} requests/s")
        ratio = statistics.median(per_core) / statistics.median(theirs)
        print(f"pipeline / wrk: {ratio:.2f}")


if __name__ == "__main__":
    main()
