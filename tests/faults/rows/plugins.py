"""Plugins of strangers break every promise that a plugin makes.

A rule whose one regular expression keeps Python's interpreter to itself is none of them: nothing
that runs in the same process is safe from that.
"""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from http.client import HTTPException

from tests.faults.fault import Fault, Step
from tests.faults.script import TARGETS
from tests.faults.world import World

HEAD = """
import asyncio
from attrs import frozen
from tocsin import (
    Claim, Event, Notifier, NotifyError, Observer, Probe, Result, Rule, Source, Target, Verdict,
    hookimpl,
)
"""

PLUGINS = {
    "hostile_observer": '''
@frozen(kw_only=True)
class Broken(Observer):
    """Cannot be made."""
    def __attrs_post_init__(self):
        raise RuntimeError("not today")
    async def changed(self, change):
        return

@hookimpl
def tocsin_observers():
    return {"hostile": Broken}
''',
    "hostile_flood": '''
NAMES = [f"hostile-{n}" for n in range(20)]

@frozen(kw_only=True)
class Flood(Source):
    """Tell without end, with metrics that are none, and of targets of others."""
    async def run(self, name, interval, sink):
        count = 0
        while True:
            for own in (*NAMES, "hostile\\nbroken"):
                sink.discovered(Target(name=own, kind="ship"), None, Claim(name="t0"))
                count += 1
                metrics = {
                    "text": "much", "huge": 10**400, "none": float("nan"), "a\\nb": 1.0,
                    f"new_{count}": float(count),
                }
                sink.observed(own, Result.up("well\\nor not", metrics=metrics))
            for own in ("t0", "t1"):
                sink.observed(own, Result.down("a lie"))
                sink.retired(own, "a lie")
            sink.synced(NAMES)
            await asyncio.sleep(0)

@hookimpl
def tocsin_sources():
    return {"hostile-flood": Flood}
''',
    "hostile_spin": '''
@frozen(kw_only=True)
class Spin(Source):
    """Turn its event loop without end."""
    async def run(self, name, interval, sink):
        while True:
            await asyncio.sleep(0)

@hookimpl
def tocsin_sources():
    return {"hostile-spin": Spin}
''',
    "hostile_loop": '''
@frozen(kw_only=True)
class Loop(Rule):
    """Loop for ever."""
    def evaluate(self, history, now):
        while True:
            pass

@hookimpl
def tocsin_rules():
    return {"hostile-loop": Loop}
''',
    "hostile_again": '''
@frozen(kw_only=True)
class Again(Rule):
    """Want to be asked again at once, and carry much."""
    def evaluate(self, history, now):
        return Verdict.clear(recheck_after=0.0, rule_state={"much": str(now) + "x" * 60_000})

@hookimpl
def tocsin_rules():
    return {"hostile-again": Again}
''',
    "hostile_notifier": '''
@frozen(kw_only=True)
class Patience(Notifier):
    """Ask for a rest that is no number."""
    async def send(self, message):
        error = NotifyError("later")
        error.retry_after = float("nan")
        raise error

@hookimpl
def tocsin_notifiers():
    return {"hostile": Patience}
''',
    "hostile_probe": '''
@frozen(kw_only=True)
class Exit(Probe):
    """Exit."""
    async def check(self, target):
        raise SystemExit(3)

@frozen(kw_only=True)
class Hang(Probe):
    """Hang."""
    async def check(self, target):
        await asyncio.sleep(3600)

@hookimpl
def tocsin_probes():
    return {"hostile-exit": Exit, "hostile-hang": Hang}
''',
}
"""The modules of the plugins, by name: each has a thread of its own."""

AT_ONCE = frozenset({"hostile_observer", "hostile_probe"})
"""Those that fail as soon as they run."""

CHANNEL = "hostile"

QUIET = """\
[observers.hostile]
enabled = false
"""

LOUD = """\
[sources.flood]
probe = "hostile-flood"
[sources.spin]
probe = "hostile-spin"
[rules.hostile_loop]
rule = "hostile-loop"
[rules.hostile_again]
rule = "hostile-again"
[channels.hostile]
notifier = "hostile"
[targets.hostile-exit.checks.exit]
probe = "hostile-exit"
[targets.hostile-hang.checks.hang]
probe = "hostile-hang"
timeout = "1s"
"""

# What they are found to be is nobody's concern here: only that all else goes on.
ALWAYS = """\
[maintenance.hostile]
schedule = "* * * * *"
duration = "5m"
match = ["target=hostile*"]
"""

ASKED = ("/metrics", "/api/v1/targets")
"""What the API is asked for every second."""

PATIENCE = 10.0
"""Seconds that it may take to answer."""


class PluginsHostile(Fault):
    """A reload adds plugins that raise, exit, hang, loop, flood, and return invalid numbers and
    names of others' targets; another reload removes them."""

    name = "plugins-hostile"
    plugin_threads = len(PLUGINS)
    refused = frozenset(
        (CHANNEL, target)
        for target in (*TARGETS, "tocsin", *(f"plugin {name}" for name in PLUGINS))
    )

    def prepare(self, world: World, stack: ExitStack) -> None:
        self._is_loud = False
        self._place = world.directory / "plugins"
        info = self._place / "hostile-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile\nVersion: 1.0\n")
        entries = "".join(f"{name} = {name}\n" for name in PLUGINS)
        (info / "entry_points.txt").write_text(f"[tocsin]\n{entries}")
        for name, code in PLUGINS.items():
            (self._place / f"{name}.py").write_text(HEAD + code)

    def env(self, world: World, who: str) -> Mapping[str, str]:
        if who != "tocsin":
            return {}
        paths = [str(self._place), os.environ.get("PYTHONPATH", "")]
        return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}

    def config(self, world: World) -> str:
        return super().config(world) + ALWAYS + (LOUD if self._is_loud else QUIET)

    def steps(self, world: World) -> list[Step]:
        begins, ends = world.script.begins, world.script.ends
        asked = [(begins + n, lambda: self._ask(world)) for n in range(1, int(ends - begins))]
        return [*super().steps(world), *asked]

    def inject(self, world: World) -> None:
        self._reload(world, loud=True)
        world.until(lambda: _failed(world) >= AT_ONCE, 20, "the plugins run")

    def heal(self, world: World) -> None:
        self._reload(world, loud=False)

    def _reload(self, world: World, *, loud: bool) -> None:
        self._is_loud = loud
        world.running.config.write_text(world.config())
        world.running.reach()
        world.process.send_signal(signal.SIGHUP)

    def _ask(self, world: World) -> None:
        token = {"Authorization": f"Bearer {world.running.token()}"}
        for path in ASKED:
            request = urllib.request.Request(world.running.url + path, headers=token)
            try:
                with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                    answer.read()
            except (OSError, HTTPException) as error:  # any other status than 200 is one
                world.deaths.append(f"{path}: {error}")


def _failed(world: World) -> set[str]:
    """The plugins that have failed."""
    items = world.running.get("/api/v1/plugins?limit=100")["items"]
    return {item["name"] for item in items if item["status"] == "failed"}
