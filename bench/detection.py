"""Detection latency: from ``docker kill`` to the API's answer and to the event stream.

    python bench/detection.py [--kills 50]

Starts a tocsin of its own on the local engine (default socket) and kills containers of its own, one
after the other. The image busybox:1.36 must be there. Prints p50 and p99, in milliseconds and as a
ratio to the engine's own time for a kill; asserts nothing, for machines differ.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path

import aiohttp
import docker

from tocsin.core.app import Tocsin, data_directory, load_plugins
from tocsin.core.config import load_config

PREFIX = "tocsin-bench-"


def percentile(values: list[float], share: float) -> float:
    """The value below which that share lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def measure(kills: int, directory: Path) -> None:
    """Kill containers and watch."""
    config = directory / "tocsin.toml"
    config.write_text(f'[sources.docker]\ninclude = ["{PREFIX}*"]\n')
    env = {**os.environ, "TOCSIN_DATA_DIR": str(directory / "data"), "TOCSIN_API_PORT": "0"}
    plugins = load_plugins(config, env)
    monitor = Tocsin(config, env, plugins, load_config(config, env, plugins))
    engine = docker.from_env()
    names = [f"{PREFIX}{os.getpid()}-{n}" for n in range(kills)]
    engine_times, api_times, stream_times = [], [], []
    with data_directory(monitor.data_dir):
        await monitor.start()
        token = (monitor.data_dir / "admin.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        try:
            for name in names:
                await asyncio.to_thread(
                    engine.containers.run, "busybox:1.36", "sleep 1000", name=name, detach=True
                )
            async with aiohttp.ClientSession(headers=headers) as session:
                while len(monitor.state.targets) < kills:
                    await asyncio.sleep(0.1)
                await asyncio.sleep(3)
                stream = await session.get(f"{monitor.api_url}/api/v1/stream?kinds=status")
                heard: dict[str, float] = {}

                async def listen() -> None:
                    async for line in stream.content:
                        if line.startswith(b"data: "):
                            news = json.loads(line[6:])
                            if news["after"] == "down":
                                heard[news["target"]] = time.perf_counter()

                listener = asyncio.create_task(listen())
                for name in names:
                    container = await asyncio.to_thread(engine.containers.get, name)
                    url = f"{monitor.api_url}/api/v1/containers/{name}"
                    start = time.perf_counter()
                    kill = asyncio.create_task(asyncio.to_thread(container.kill))
                    while True:
                        async with session.get(url) as answer:
                            seen = (await answer.json())["container"]["status"]
                        if seen == "down":
                            break
                        await asyncio.sleep(0.002)
                    api_times.append(time.perf_counter() - start)
                    await kill
                    engine_times.append(time.perf_counter() - start)
                    while name not in heard:
                        await asyncio.sleep(0.001)
                    stream_times.append(heard[name] - start)
                listener.cancel()
                stream.close()
        finally:
            for name in names:
                try:
                    engine.containers.get(name).remove(force=True)
                except docker.errors.NotFound:
                    continue
            await monitor.stop()
    print(f"machine: {os.cpu_count()} cores; {kills} kills")
    base = percentile(engine_times, 0.5)
    for what, times in (("API's answer", api_times), ("event stream", stream_times)):
        p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
        print(
            f"docker kill to the {what}: p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms "
            f"({p50 / base:.2f} times the engine's own time for the call)"
        )


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=50)
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as directory:
        asyncio.run(measure(options.parse_args().kills, Path(directory)))


if __name__ == "__main__":
    main()
