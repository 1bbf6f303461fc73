"""How fast the API answers at 1,000 targets whose results keep coming, asked 50 times a second.

    python bench/api.py [--quick] [--targets 1000] [--rate 50] [--seconds 60]

A real tocsin in a process of its own, with its embedded PostgreSQL; a source tells of the
containers, each every 30 seconds, one in fifty is down. Requests go out at fixed moments, whether
or not the ones before were answered, and count from the moment they were due (open loop).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import aiohttp

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from table import line, machine  # noqa: E402
from tests.running import Running  # noqa: E402

BOUNDS = {1000: 0.020, 10_000: 0.100}
"""Seconds, by the number of targets up to which it holds."""

PATHS = {
    "status": "/api/v1/status",
    "containers, a page of 100": "/api/v1/containers",
    "containers, all in one page": "/api/v1/containers?limit=1000",
    "containers, what changed": "/api/v1/containers?limit=1000&since={revision}",
    "alerts": "/api/v1/alerts",
    "alerts that fire": "/api/v1/alerts/active",
}
FLEET = '''
import asyncio, datetime, random
from attrs import frozen
from tocsin import Container, Reason, Result, Source, Target, hookimpl

@frozen(kw_only=True)
class Fleet(Source):
    """Tells of many containers in turn."""
    size: int
    async def run(self, name, interval, sink):
        names = [f"container-{n:04}" for n in range(self.size)]
        born = datetime.datetime.now(datetime.timezone.utc)
        for n, target in enumerate(names):
            sink.discovered(Target(name=target, kind="container", labels={"team": "a", "tier": "b"},
                                   critical=n % 10 == 0))
            sink.observed(target, self.look(n, born))
        sink.synced(names)
        while True:
            for n, target in enumerate(names):
                await asyncio.sleep(interval / self.size)
                sink.observed(target, self.look(n, born))

    def look(self, n, born):
        down = n % 50 == 7
        facts = Container(
            id=f"{n:064x}", image="registry.example/shop/web:1.2.3", health="healthy",
            state="exited" if down else "running", exit_code=1 if down else None,
            reason=Reason.CRASHED if down else Reason.RUNNING, started_at=born, created_at=born,
            ports=("8080/tcp",), project=f"shop{n % 20}", service=f"web{n}",
            restart_policy="always", cpu_percent=random.random() * 80, memory_bytes=10**8 + n,
            memory_limit_bytes=10**9, memory_percent=10.0, network_rx_bytes=10**9 + n,
            network_tx_bytes=10**8 + n)
        metrics = {k: float(getattr(facts, k)) for k in (
            "cpu_percent", "memory_bytes", "memory_percent", "memory_limit_bytes",
            "network_rx_bytes", "network_tx_bytes", "restart_count")}
        if down:
            return Result.down("crashed with exit code 1", container=facts, metrics=metrics)
        return Result.up("running", container=facts, metrics=metrics)

@hookimpl
def tocsin_sources():
    return {"fleet": Fleet}
'''


def fleet(directory: Path, size: int) -> tuple[str, dict[str, str]]:
    """The plugin in a directory; the configuration and environment that use it."""
    place = directory / "plugin"
    info = place / "fleet-1.0.dist-info"
    info.mkdir(parents=True)
    (place / "fleet.py").write_text(FLEET)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fleet\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tocsin]\nfleet = fleet\n")
    config = (
        '[sources.docker]\nenabled = false\n[rules.container_down]\nfor = "1s"\n'
        f'[sources.fleet]\nprobe = "fleet"\nsize = {size}\ninterval = "30s"\n'
    )
    return config, {"PYTHONPATH": str(place)}


async def ask(running: Running, rate: float, seconds: float) -> dict[str, list[float]]:
    """Seconds from due to answered, by what was asked."""
    times: dict[str, list[float]] = defaultdict(list)
    revision = ""
    headers = {"Authorization": f"Bearer {running.token()}"}
    async with aiohttp.ClientSession(running.url, headers=headers) as session:

        async def one(name: str, due: float) -> None:
            nonlocal revision
            async with session.get(PATHS[name].format(revision=revision)) as answer:
                body = await answer.read()
                times[name].append(time.perf_counter() - due)
                if answer.status != 200:
                    raise RuntimeError(f"{name}: {answer.status} {body[:200]!r}")
            if name == "containers, what changed":
                place = body.index(b'"revision":"') + 12
                revision = body[place : body.index(b'"', place)].decode()

        begin = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for n in range(int(rate * seconds)):
                due = begin + n / rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                tasks.create_task(one(list(PATHS)[n % len(PATHS)], due))
    return times


def percentile(values: list[float], share: float) -> float:
    """The value below which that share lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--targets", type=int, default=1000)
    options.add_argument("--rate", type=float, default=50.0, help="requests a second")
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--quick", action="store_true", help="10 seconds")
    given = options.parse_args()
    seconds = 10.0 if given.quick else given.seconds
    print(f"{machine()}; {given.targets} targets, {given.rate:g} requests a second, {seconds:g} s")
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as name:
        config, env = fleet(Path(name), given.targets)
        with Running(Path(name), config, env) as running:
            running.until(
                lambda: running.get("/api/v1/status")["targets"]["up"] >= given.targets * 0.9
                and running.get("/health")["components"]["database"]["status"] == "ok"
                and running.get("/api/v1/status")["active_alerts"] >= given.targets // 50, 120,
            )  # fmt: skip
            time.sleep(5)
            asyncio.run(ask(running, given.rate, 3))  # the first requests find nothing ready
            times = asyncio.run(ask(running, given.rate, seconds))
            running.stop()
    for what, found in {**times, "all": [t for some in times.values() for t in some]}.items():
        p50, p99 = percentile(found, 0.5) * 1000, percentile(found, 0.99) * 1000
        print(f"{what:30s} {len(found):6d} requests, p50 {p50:6.1f} ms, p99 {p99:6.1f} ms, "
              f"longest {max(found) * 1000:6.1f} ms")  # fmt: skip
    bound = next(
        (b for targets, b in BOUNDS.items() if given.targets <= targets), max(BOUNDS.values())
    )
    every = [percentile(found, 0.99) for found in times.values()]
    line(
        f"status, containers, alerts at {given.targets} targets, {given.rate:g} requests/s",
        f"p99 <= {bound * 1000:.0f} ms",
        f"p99 {max(every) * 1000:.1f} ms (the slowest of {len(every)} endpoints)",
        holds=max(every) <= bound,
    )


if __name__ == "__main__":
    main()
