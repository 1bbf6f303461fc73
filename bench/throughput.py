"""HTTP checks a second and core through the whole pipeline, as ``tocsin run`` wires it: schedule,
probe, live state, rules and alert engine, history.

    python bench/throughput.py [--quick] [--seconds 10] [--rounds 5] [--profile FILE]

One result of a hundred changes its check's status, and a rule of its own watches the latency; what
is printed beside it is ``lean``: nothing changes, and the default rules are all.

Beside it, in turns and against the same nginx: blackbox_exporter (Debian:
prometheus-blackbox-exporter), asked for ``/probe`` over kept connections by wrk, and wrk itself,
a new connection for each request. Each of the three is pinned to the first core; nginx, PostgreSQL
and whoever drives share the last. Rates are per second of the measured process's CPU time, and of
wall time. ``--profile`` instead writes where the pipeline's time goes (cProfile slows it down).
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import os
import pstats
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from attrs import frozen
from stand import (
    cpu_of,
    first_core,
    free_port,
    http_targets,
    last_core,
    nginx,
    postgres,
    program,
    runner,
    running,
    serving,
)
from table import line, machine

CHECKS, INTERVAL = 6_000, 1.0
"""6,000 checks a second: about what a core can do; far more would measure how runs are left out."""

AT_ONCE = 64
"""Requests under way at once, of each of the three."""

THRESHOLD = '[rules.slow]\nrule = "thresholds"\nmetric = "total_seconds"\nlevel = 1.0\n'

MESSAGES = {"200 OK", "status 503 Service Temporarily Unavailable, expected 200-299"}

WARM = 2.0
"""Seconds before measuring, for the first batch of history."""


@frozen
class Rate:
    """Requests a second of CPU time, and of wall time."""

    cpu: float
    wall: float


async def pipeline(
    seconds: float, dsn: str, url: str, profile: cProfile.Profile | None, *, lean: bool
) -> Rate:
    """A tocsin under more checks than it can run."""
    place = url if lean else f"{url}unsteady"
    config = http_targets(CHECKS, place, INTERVAL) + ("" if lean else THRESHOLD)
    with tempfile.TemporaryDirectory() as directory:
        async with running(Path(directory), config, DATABASE_URL=dsn) as monitor:
            monitor.scheduler.limit = AT_ONCE

            def done() -> int:
                return sum(target.checks["http"].runs for target in monitor.state)

            while any(target.message == "no result yet" for target in monitor.state):
                await asyncio.sleep(0.5)
            await asyncio.sleep(WARM)
            before, start, cpu = done(), time.perf_counter(), time.process_time()
            if profile is not None:
                profile.enable()
            await asyncio.sleep(seconds)
            wall, used, count = time.perf_counter() - start, time.process_time() - cpu, done()
            if profile is not None:
                profile.disable()
            told = {target.message for target in monitor.state} - MESSAGES
            if told:
                sys.exit(f"not every check gets its answer: {sorted(told)[:3]}")
    return Rate((count - before) / used, (count - before) / wall)


def ours(seconds: float, dsn: str, url: str, *lean: str) -> Rate:
    """The pipeline in a fresh process on the first core."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", dsn, url, "--seconds", str(seconds), *lean],
        capture_output=True, text=True, check=False, preexec_fn=first_core,
    )  # fmt: skip
    if done.returncode != 0:
        sys.exit(done.stderr)
    return Rate(**json.loads(done.stdout.splitlines()[-1]))


def wrk(seconds: float, url: str, *options: str, core: Callable[[], None] = first_core) -> float:
    """Requests a second of wrk."""
    done = subprocess.run(
        [program("wrk", "wrk"), "-t1", f"-c{AT_ONCE}", f"-d{seconds:.0f}s", *options, url],
        capture_output=True, text=True, check=True, preexec_fn=core,
    )  # fmt: skip
    found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    if found is None or "Non-2xx" in done.stdout:
        sys.exit(f"wrk did not get its answers:\n{done.stdout}")
    return float(found[1])


def bare(seconds: float, url: str) -> Rate:
    """wrk with a new connection for each request: what there is to be had on a core."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    rate = wrk(seconds, url, "-H", "Connection: close")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Rate(rate * seconds / used, rate)


def blackbox(seconds: float, url: str) -> Rate:
    """blackbox_exporter, driven the way Prometheus drives it, only faster."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "blackbox.yml"
        config.write_text("modules:\n  http_2xx:\n    prober: http\n")
        command = [
            program("prometheus-blackbox-exporter", "prometheus-blackbox-exporter"),
            f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ]  # fmt: skip
        # It would start a thread for each core of the machine, though it may use one only.
        env = {**os.environ, "GOMAXPROCS": "1"}
        with serving(command, port, env=env, preexec_fn=first_core) as process:
            ask = f"http://127.0.0.1:{port}/probe?target={url}&module=http_2xx"
            with urllib.request.urlopen(ask, timeout=10) as answer:
                if b"probe_success 1" not in answer.read():
                    sys.exit("blackbox_exporter does not find nginx up")
            wrk(WARM, ask, core=last_core)
            before = cpu_of(process.pid)
            rate = wrk(seconds, ask, core=last_core)
            used = cpu_of(process.pid) - before
    return Rate(rate * seconds / used, rate)


def tell(name: str, rates: list[Rate]) -> float:
    """Print the rates of one of the three; their median a second of CPU time."""
    cpu = [rate.cpu for rate in rates]
    wall = [rate.wall for rate in rates]
    print(
        f"{name:42s} {statistics.median(cpu):8,.0f} a second and core "
        f"({min(cpu):,.0f} to {max(cpu):,.0f}); in wall time {statistics.median(wall):,.0f} "
        f"({min(wall):,.0f} to {max(wall):,.0f})",
        flush=True,
    )
    return statistics.median(cpu)


def measure(seconds: float, rounds: int) -> None:
    """All of them in turns."""
    mine, lean, exporter, most = [], [], [], []
    with postgres() as dsn, nginx() as url:
        for _ in range(rounds):
            mine.append(ours(seconds, dsn, url))
            lean.append(ours(seconds, dsn, url, "--lean"))
            exporter.append(blackbox(seconds, url))
            most.append(bare(seconds, url))
            every = (mine, lean, exporter, most)
            told = "; ".join(f"{r[-1].cpu:,.0f} a second and core" for r in every)
            print(f"pipeline, the same lean, blackbox_exporter, wrk: {told}", flush=True)
    print(f"{machine()}; {rounds} rounds of {seconds:g} s, in turns; median, least to most")
    rate = tell("whole pipeline", mine)
    quiet = tell("whole pipeline, lean", lean)
    other = tell("blackbox_exporter", exporter)
    bound = tell("wrk, new connection each", most)
    spread = f"{min(r.cpu for r in mine):,.0f} to {max(r.cpu for r in mine):,.0f}"
    line(
        "HTTP checks through the whole pipeline, a second and core",
        f"5 × blackbox_exporter ({5 * other:,.0f})",
        f"{rate:,.0f} ({spread}); {rate / other:.2f} × blackbox_exporter"
        f" (lean {quiet:,.0f}; {quiet / other:.2f} ×)",
        holds=rate >= 5 * other,
    )
    line(
        "the same beside wrk, new connection each",
        f"aim: half ({bound / 2:,.0f})",
        f"{rate / bound:.2f} of wrk's {bound:,.0f}",
        holds=rate >= bound / 2,
    )


def one(seconds: float, dsn: str, url: str, profile: str | None, *, lean: bool) -> None:
    """One round of ours, in this process."""
    recorder = cProfile.Profile() if profile else None
    rate = runner()(pipeline(seconds, dsn, url, recorder, lean=lean))
    if recorder is not None:
        with Path(str(profile)).open("w") as file:
            pstats.Stats(recorder, stream=file).sort_stats("tottime").print_stats(60)
    print(json.dumps({"cpu": rate.cpu, "wall": rate.wall}))


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="one short round")
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--profile", metavar="FILE")
    options.add_argument("--lean", action="store_true", help="with --profile: the lean one")
    options.add_argument("--one", nargs=2, metavar=("DSN", "URL"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        dsn, url = given.one
        one(given.seconds, dsn, url, given.profile, lean=given.lean)
    elif given.profile:
        with postgres() as dsn, nginx() as url:
            first_core()
            one(given.seconds, dsn, url, given.profile, lean=given.lean)
    else:
        measure(3 if given.quick else given.seconds, 1 if given.quick else given.rounds)


if __name__ == "__main__":
    main()
