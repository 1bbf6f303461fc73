"""What tocsin costs on a machine: CPU and memory with 13 and with 200 containers.

    python bench/footprint.py [--quick] [--seconds 300]

Starts containers of its own on the local engine (default socket; the image busybox:1.36 must be
there) and a ``tocsin run`` that samples each every 30 seconds and checks each with one http check.
Counted are the core process, the embedded PostgreSQL beside it, and what the engine itself
(``dockerd`` and ``containerd``) uses more than without anybody asking; beside it, what the engine
and the client use while ``docker stats`` runs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import psutil
from attrs import frozen
from stand import Running, cpu_of, memory_of
from table import line, machine

INTERVAL = 30.0
WARM = 45.0
"""Seconds before measuring: start, first samples, migrations."""


@frozen(kw_only=True)
class Cost:
    """Shares of a core, and megabytes."""

    core: float
    database: float
    engine: float
    rss: float
    pss: float
    database_pss: float


@contextmanager
def containers(count: int) -> Iterator[str]:
    """So many containers that serve HTTP; gives the pattern of their names."""
    engine = docker.from_env()
    prefix = f"tocsin-bench-{os.getpid()}-{count}-"
    labels = {"tocsin.http": ":8080/"}
    command = ["httpd", "-f", "-p", "8080", "-h", "/bin"]
    names = [f"{prefix}{n}" for n in range(count)]
    try:
        for name in names:
            engine.containers.run("busybox:1.36", command, name=name, labels=labels, detach=True)
        yield f"{prefix}*"
    finally:
        for name in names:
            try:
                engine.containers.get(name).remove(force=True)
            except docker.errors.NotFound:
                continue


def engine_cpu() -> float:
    """Seconds of CPU time of the engine's processes."""
    total = 0.0
    for process in psutil.process_iter(["name", "pid"]):
        if (process.info["name"] or "").startswith(("dockerd", "containerd")):
            try:
                total += cpu_of(process.info["pid"])
            except psutil.NoSuchProcess:
                continue
    return total


def idle(seconds: float) -> float:
    """The share of a core that the engine takes while nobody asks."""
    before = engine_cpu()
    time.sleep(seconds)
    return (engine_cpu() - before) / seconds


def database_of(directory: Path) -> list[int]:
    """The processes of the embedded PostgreSQL."""
    pidfile = directory / "data" / "postgres" / "postmaster.pid"
    if not pidfile.exists():
        return []
    server = psutil.Process(int(pidfile.read_text().split()[0]))
    return [server.pid, *(child.pid for child in server.children())]


def watched(directory: Path, pattern: str, seconds: float) -> Cost:
    """What a tocsin over these containers costs."""
    config = f'interval = "{INTERVAL:g}s"\n[sources.docker]\ninclude = ["{pattern}"]\n'
    quiet = idle(min(30.0, seconds))
    with Running(directory, config, host_disk=True) as tocsin:
        assert tocsin.process is not None
        pid = tocsin.process.pid
        time.sleep(WARM)
        database = database_of(directory)

        def spent() -> tuple[float, float, float]:
            return cpu_of(pid), sum(map(cpu_of, database)), engine_cpu()

        before, start = spent(), time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - start
        core, other, engine = (
            (now - then) / took for now, then in zip(spent(), before, strict=True)
        )
        rss, pss = memory_of(pid)
        cost = Cost(
            core=core,
            database=other,
            engine=engine - quiet,
            rss=rss,
            pss=pss,
            database_pss=sum(memory_of(one)[1] for one in database),
        )
        tocsin.stop()
    return cost


def docker_stats(seconds: float) -> tuple[float, float]:
    """Shares of a core of the client and (beyond idle) of the engine, while it runs."""
    quiet = idle(min(20.0, seconds))
    client = subprocess.Popen(["docker", "stats"], stdout=subprocess.DEVNULL)
    try:
        time.sleep(5)
        before = cpu_of(client.pid), engine_cpu()
        time.sleep(seconds)
        now = cpu_of(client.pid), engine_cpu()
    finally:
        client.kill()
        client.wait()
    return (now[0] - before[0]) / seconds, (now[1] - before[1]) / seconds - quiet


def measure(count: int, seconds: float) -> None:
    """So many containers, watched and then shown by ``docker stats``."""
    with containers(count) as pattern, tempfile.TemporaryDirectory() as directory:
        cost = watched(Path(directory), pattern, seconds)
        client, engine = docker_stats(min(30.0, seconds))
    print(
        f"{count} containers each {INTERVAL:g} s, {seconds:.0f} s: core {cost.core:.2%} of a core, "
        f"{cost.rss:.1f} MB resident, {cost.pss:.1f} proportional; the engine {cost.engine:+.2%}; "
        f"embedded PostgreSQL {cost.database:.2%}, {cost.database_pss:.1f} MB proportional\n"
        f"docker stats: client {client:.2%}, engine {engine:+.2%} of a core"
    )
    bound = count == 13
    line(
        f"{count} containers at {INTERVAL:g} s: the core process",
        "<= 0.5 % of a core, <= 70 MB" if bound else "-",
        f"{cost.core:.2%} of a core, {cost.rss:.0f} MB resident ({cost.pss:.0f} proportional); "
        f"engine {cost.engine:+.2%}; PostgreSQL apart: {cost.database:.2%}, "
        f"{cost.database_pss:.0f} MB",
        holds=(cost.core <= 0.005 and cost.rss <= 70) if bound else None,
    )
    line(
        f"the same {count} containers in docker stats",
        "-",
        f"client {client:.2%} of a core, engine {engine:+.2%}",
        holds=None,
    )


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="13 containers for a minute")
    options.add_argument("--seconds", type=float, default=300)
    given = options.parse_args()
    try:
        docker.from_env().ping()
    except docker.errors.DockerException:
        sys.exit("no Docker Engine answers on its default socket")
    print(machine())
    for count in (13,) if given.quick else (13, 200):
        measure(count, 60 if given.quick else given.seconds)


if __name__ == "__main__":
    main()
