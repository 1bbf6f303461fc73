"""What a plugin host adds to a check, and what a host costs.

    python bench/hosts.py [--quick] [--checks 4000] [--rounds 5]

A probe that does nothing and the probe ``http``, which asks an nginx on loopback, run in the core's
process and in a plugin host in turn, twenty at a time. What is compared is the processor time of
core and host together for each check; wall time depends on what else the machine does. The memory
is what the last of twenty hosts has for itself.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from importlib.metadata import distributions
from pathlib import Path

import psutil
import uvloop
from attrs import define
from stand import nginx
from table import line, machine

from tocsin import Target
from tocsin.core.checks.polled_check import PolledCheck
from tocsin.core.clock import SystemClock
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.config.errors import Problems
from tocsin.core.config.structure import construct
from tocsin.core.plugin.contexts import Contexts
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.sandbox import Isolation

SOURCE = """
from attrs import frozen
from tocsin import Probe, Result, hookimpl
from tocsin.plugins.probes.http import HttpProbe

@frozen(kw_only=True)
class Nothing(Probe):
    async def check(self, target):
        return Result.up("nothing was done", metrics={"nothing_seconds": 0.5})

@frozen(kw_only=True)
class Http(HttpProbe):
    pass

@hookimpl
def tocsin_probes():
    return {"bench-nothing": Nothing, "bench-http": Http}
"""

AT_ONCE = 20
"""Checks that run at the same time."""

BOUND = 100.0
"""Microseconds that a host may add to a check."""


def install(site: Path, name: str) -> None:
    """Install a distribution with the two probes, as pip would."""
    module = f"tocsin_{name}"
    (site / f"{module}.py").write_text(SOURCE.replace("bench-", f"{name}-"))
    info = site / f"{module}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[tocsin]\n{name} = {module}\n")


@define
class Place:
    """Plugins loaded to run in one place.

    Attributes:
        manager: the plugins.
        isolation: runs them.
    """

    manager: PluginManager
    isolation: Isolation

    @classmethod
    def make(cls, site: Path, *, inline: bool) -> Place:
        """Load the plugins of a folder."""
        manager = PluginManager(
            PluginSettings(inline=("bench",) if inline else None),
            lambda: [
                entry
                for found in distributions(path=[str(site)])
                for entry in found.entry_points.select(group="tocsin")
            ],
        )
        manager.load()
        contexts = Contexts(site, SystemClock(), os.environ)
        return cls(manager, Isolation(manager.inline, print, contexts, manager.hosts))

    def check(self, probe: str, **options: object) -> PolledCheck:
        """Return a check of a probe."""
        plugin = probe.partition("-")[0]
        problems = Problems("bench")
        made, broken = construct(self.manager.probes[probe].cls, options, (probe,), problems)
        assert broken is None, broken
        assert not problems.found, problems.found
        return PolledCheck(made, self.isolation.contexts.of(plugin, f"x/{probe}"))

    def cpu(self) -> float:
        """Return the processor time of the core and of its hosts, in seconds."""
        hosts = (host.child.process for host in self.manager.hosts if host.child is not None)
        times = [process.cpu_times() for process in (psutil.Process(), *hosts)]
        return sum(each.user + each.system for each in times)


async def run(place: Place, check: PolledCheck, checks: int) -> float:
    """Run a check so many times; return the processor time of each, in microseconds."""
    plugin, target = "bench", Target(name="x")
    await place.isolation.call(plugin, check.open, 10)

    async def one(number: int) -> None:
        for _ in range(number):
            await place.isolation.call(plugin, lambda: check.look(target), 11)

    before = place.cpu()
    await asyncio.gather(*(one(checks // AT_ONCE) for _ in range(AT_ONCE)))
    return (place.cpu() - before) / checks * 1e6


async def measure(site: Path, url: str, checks: int, rounds: int) -> None:
    """Print the figures."""
    places = {"core": Place.make(site, inline=True), "host": Place.make(site, inline=False)}
    for name, options, number in (
        ("no-op", {}, checks * 5),
        ("http", {"url": url}, checks),
    ):  # fmt: skip
        probe = {"no-op": "bench-nothing", "http": "bench-http"}[name]
        found: dict[str, list[float]] = {where: [] for where in places}
        for _ in range(rounds):
            for where, place in places.items():
                check = place.check(probe, **options)
                found[where].append(await run(place, check, number))
                await place.isolation.close("bench", check)
        core, host = (statistics.median(found[where]) for where in ("core", "host"))
        print(f"{name}: {core:.0f} us in the core, {host:.0f} us in a host, {number} checks")
        added = host - core
        text = f"{added:.0f} us ({core:.0f} to {host:.0f}), median of {rounds}"
        line(f"CPU that a host adds to a check: {name}", f"<= {BOUND:.0f} us", text,
             holds=added <= BOUND)  # fmt: skip
    for place in places.values():
        await place.isolation.stop()


def memory(number: int) -> None:
    """Print what the last of many hosts has for itself, and how long each took to start."""
    with tempfile.TemporaryDirectory() as directory:
        site = Path(directory)
        _visible(site)
        for index in range(number):
            install(site, f"bench{index}")
        began = time.monotonic()
        place = Place.make(site, inline=False)
        took = (time.monotonic() - began) / number
        *_, last = place.manager.hosts
        assert last.child is not None
        own = last.child.process.memory_full_info().uss / 1e6
        line("memory of a host's own", "-", f"{own:.1f} MB, of {number} hosts", holds=None)
        line("start of a host", "-", f"{took * 1000:.0f} ms, its plugin's import included",
             holds=None)  # fmt: skip
        asyncio.run(place.isolation.stop())


def _visible(site: Path) -> None:
    sys.path.insert(0, str(site))
    os.environ["PYTHONPATH"] = os.pathsep.join((str(site), *sys.path[1:]))


def main() -> None:
    """Run the bench."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--checks", type=int, default=4000)
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args()
    checks, rounds = (1000, 2) if given.quick else (given.checks, given.rounds)
    print(machine())
    with tempfile.TemporaryDirectory() as directory, nginx() as url:
        site = Path(directory)
        _visible(site)
        install(site, "bench")
        uvloop.run(measure(site, url, checks, rounds))
    memory(20)


if __name__ == "__main__":
    main()
