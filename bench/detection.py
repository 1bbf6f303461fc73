"""How long it takes from a container's death to the API, the journal and the notifier.

    python bench/detection.py [--quick] [--kills 50]

A ``tocsin run`` of its own watches containers of its own on the local engine (default socket),
which are killed one after the other; the image busybox:1.36 must be there. The rule
``container_down`` has ``for = 0``; the notifier is a small plugin that writes down when it was
called, its channel has the usual hold of 0.3 s; the journal is read as another process sees it.
Times count from the engine's own time stamp of the death; what its call for the kill takes is
printed beside them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import docker
from stand import Running, percentile
from table import line, machine
from tests.recorder import Recorder

PREFIX = f"tocsin-bench-{os.getpid()}-"
CONFIG = f"""
interval = "30s"
[sources.docker]
include = ["{PREFIX}*"]
[rules.container_down]
for = "0s"
"""
LOOK = 0.001
"""Seconds between two looks at the API, the journal and the notifier's file."""

PATIENCE = 10.0


class Watcher:
    """Looks at a tocsin from outside until each part of it knows of a death."""

    def __init__(self, tocsin: Running, recorder: Recorder, session: aiohttp.ClientSession) -> None:
        self.tocsin, self.recorder, self.session = tocsin, recorder, session
        self.heard: dict[str, float] = {}
        self.died: dict[str, float] = {}
        self.journal = sqlite3.connect(f"file:{tocsin.data / 'journal.db'}?mode=ro", uri=True)

    async def listen(self) -> None:
        """Take the time of each container's death in the event stream."""
        url = f"{self.tocsin.url}/api/v1/stream?kinds=status"
        async with self.session.get(url, timeout=aiohttp.ClientTimeout(total=None)) as stream:
            async for row in stream.content:
                if row.startswith(b"data: "):
                    news = json.loads(row[6:])
                    if news["after"] == "down":
                        self.heard[news["target"]] = time.time()

    def deaths(self, engine: docker.DockerClient) -> None:
        """Take the engine's own time of each death, on a thread of its own."""
        for news in engine.events(decode=True, filters={"event": "die"}):
            self.died[news["Actor"]["Attributes"]["name"]] = news["timeNano"] / 1e9

    async def api(self, name: str) -> float:
        """When the API says that a container is down."""
        url = f"{self.tocsin.url}/api/v1/containers/{name}"
        while True:
            async with self.session.get(url) as answer:
                if (await answer.json())["container"]["status"] == "down":
                    return time.time()
            await asyncio.sleep(LOOK)

    async def until(self, found: Callable[[], object]) -> float:
        """When something can be seen."""
        while not found():
            await asyncio.sleep(LOOK)
        return time.time()

    def journaled(self, name: str) -> bool:
        """Whether the alert is in the journal, firing."""
        row = self.journal.execute(
            "SELECT data FROM alerts WHERE rule = 'container_down' AND target = ?", (name,)
        ).fetchone()
        return row is not None and b"firing" in row[0]

    def told(self, name: str) -> list[float]:
        """When the notifier was called for a container."""
        return [n["told_at"] for n in self.recorder.told if n["target"] == name]

    async def death(self, kill: Callable[[], object], name: str) -> dict[str, float]:
        """Kill a container; seconds until each part knew."""

        async def ask() -> float:
            await asyncio.to_thread(kill)
            return time.time()

        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            start = time.time()
            engine = group.create_task(ask())
            api = group.create_task(self.api(name))
            journal = group.create_task(self.until(lambda: self.journaled(name)))
            group.create_task(self.until(lambda: self.told(name)))
            group.create_task(self.until(lambda: name in self.heard))
            group.create_task(self.until(lambda: name in self.died))
        died = self.died[name]
        return {
            "engine": engine.result() - start,
            "stream": self.heard[name] - died,
            "api": api.result() - died,
            "journal": journal.result() - died,
            "notifier": min(self.told(name)) - died,
        }


async def measure(kills: int, directory: Path) -> list[dict[str, float]]:
    """Kill containers and watch."""
    engine = docker.from_env()
    names = [f"{PREFIX}{n}" for n in range(kills)]
    recorder = Recorder(directory)
    config = CONFIG + recorder.channel("ops", "max_messages = 100000\nwindow = '10ms'")
    env = {"PYTHONPATH": str(recorder.place)}
    try:
        for name in names:
            await asyncio.to_thread(
                engine.containers.run, "busybox:1.36", "sleep 3600", name=name, detach=True
            )
        with Running(directory, config, env) as tocsin:
            headers = {"Authorization": f"Bearer {tocsin.token()}"}
            async with aiohttp.ClientSession(headers=headers) as session:
                watcher = Watcher(tocsin, recorder, session)
                url = f"{tocsin.url}/api/v1/status"
                while True:
                    async with session.get(url) as answer:
                        if (await answer.json())["targets"].get("up", 0) >= kills:
                            break
                    await asyncio.sleep(0.2)
                await asyncio.sleep(5)  # its own start is over
                threading.Thread(target=watcher.deaths, args=(engine,), daemon=True).start()
                listening = asyncio.create_task(watcher.listen())
                await asyncio.sleep(0.5)
                deaths = []
                for name in names:
                    container = await asyncio.to_thread(engine.containers.get, name)
                    deaths.append(await watcher.death(container.kill, name))
                listening.cancel()
                await asyncio.wait({listening})
            tocsin.stop()
    finally:
        for name in names:
            try:
                engine.containers.get(name).remove(force=True)
            except docker.errors.NotFound:
                continue
    return deaths


def tell(deaths: list[dict[str, float]]) -> None:
    """Print the times, and the figures that have a bound."""
    found = {}
    for part in deaths[0]:
        times = [1000 * death[part] for death in deaths]
        found[part] = percentile(times, 0.5), percentile(times, 0.99)
        what = "the call of docker kill" if part == "engine" else f"death to {part}"
        print(f"{what:24s} p50 {found[part][0]:4.0f} ms, p99 {found[part][1]:4.0f} ms")
    for part, what, bound in (
        ("journal", "alert journaled", 250),
        ("notifier", "handed to the notifier (for = 0)", 500),
        ("api", "seen in the API", None),
    ):
        p50, p99 = found[part]
        line(
            f"container dies, {what}",
            "-" if bound is None else f"p99 <= {bound} ms",
            f"p50 {p50:.0f}, p99 {p99:.0f} ms (docker kill itself p50 {found['engine'][0]:.0f})",
            holds=None if bound is None else p99 <= bound,
        )


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="ten kills")
    options.add_argument("--kills", type=int, default=50)
    given = options.parse_args()
    try:
        docker.from_env().ping()
    except docker.errors.DockerException:
        sys.exit("no Docker Engine answers on its default socket")
    print(machine())
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as directory:
        tell(asyncio.run(measure(10 if given.quick else given.kills, Path(directory))))


if __name__ == "__main__":
    main()
