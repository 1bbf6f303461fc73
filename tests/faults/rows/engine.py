"""The Docker Engine is in trouble: what cannot be seen is unknown, and never down."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import uuid
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

from tests.faults.fault import ENGINE, ROOT, Fault, Step
from tests.faults.peers import HarnessError
from tests.faults.relay import before_postgres
from tests.faults.world import World
from tests.probes.docker.proxy import Proxy, before_the_engine

PARTS = Path(__file__).parents[3] / ".ci" / "parts"
IMAGE = "busybox:1.36"
CONTAINERS = ("c0", "c1", "c2", "c3")
IDLE = 8
"""Containers that were never started: with them every connection to the engine is made before
descriptors are counted."""


class Engine:
    """A Docker Engine of the row's own, with running containers."""

    def __init__(self) -> None:
        self.directory = Path("/var/tmp") / f"tocsin-fault-{uuid.uuid4().hex[:8]}"
        self.socket = f"{self.directory}/docker.sock"

    def start(self) -> None:
        """Start it with its containers."""
        script, place = str(PARTS / "dockerd.sh"), str(self.directory)
        self._do(script, "start", place, self.socket, "--bridge=none", "--iptables=false")
        self._do(str(PARTS / "busybox-image.sh"), self.socket)
        for name in CONTAINERS:
            self.docker("run", "-d", "--name", name, "--network=none", IMAGE, "sleep", "1000")

    def add_idle(self) -> None:
        """Make containers that are never started."""
        for n in range(IDLE):
            self.docker("create", "--name", f"idle{n}", IMAGE, "true")

    def stop(self) -> None:
        """End it, its containers and all its files."""
        if (self.directory / "docker.pid").exists():
            with suppress(psutil.NoSuchProcess):
                self.signal(signal.SIGCONT)  # the run may have ended before its heal
            with suppress(HarnessError, subprocess.TimeoutExpired):
                self.docker("rm", "-f", "-v", *self.docker("ps", "-aq").split())
            self._do(str(PARTS / "dockerd.sh"), "stop", str(self.directory), self.socket)
        shutil.rmtree(self.directory, ignore_errors=True)

    def docker(self, *args: str) -> str:
        """What a command of the client says."""
        return self._do("docker", "-H", f"unix://{self.socket}", *args)

    def _do(self, *command: str) -> str:
        env = {**os.environ, "APART": "1"}
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=90, check=False
        )
        if done.returncode != 0:
            raise HarnessError(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
        return done.stdout.strip()

    def signal(self, number: int) -> None:
        """Send a signal to the engine and to its containerd; containers go on."""
        engine = psutil.Process(int((self.directory / "docker.pid").read_text()))
        for process in [engine, *engine.children()]:
            os.kill(process.pid, number)


class EngineFrozen(Fault):
    """The Docker Engine is frozen; a container dies meanwhile and has to be reported after the
    engine continues."""

    name = "engine-frozen"
    needs = frozenset({ROOT, ENGINE})
    blind = frozenset(CONTAINERS)

    def prepare(self, world: World, stack: ExitStack) -> None:
        self.engine = Engine()
        stack.callback(self.engine.stop)
        self.engine.start()
        state = ("inspect", "-f", "{{.State.Pid}}", CONTAINERS[0])
        self._doomed = int(self.engine.docker(*state))
        self._truth(world, dict.fromkeys(CONTAINERS, True))

    def config(self, world: World) -> str:
        return (
            f'[sources.docker]\nhost = "unix://{self.engine.socket}"\n'
            '[rules.container_down]\nfor = "0s"\n'
        )

    def is_ready(self, world: World) -> bool:
        world.running.reach()
        return len(world.running.get("/api/v1/containers")["items"]) == len(CONTAINERS)

    def inject(self, world: World) -> None:
        self.engine.signal(signal.SIGSTOP)
        os.kill(self._doomed, signal.SIGKILL)

    def heal(self, world: World) -> None:
        self.engine.signal(signal.SIGCONT)
        # Before this nobody could have known.
        self._truth(world, {CONTAINERS[0]: False})

    def _truth(self, world: World, up: dict[str, bool]) -> None:
        with (world.directory / "truth.jsonl").open("a") as ledger:
            for target, is_up in up.items():
                line = {"at": time.monotonic(), "target": target, "up": is_up, "number": None}
                ledger.write(json.dumps(line) + "\n")


class _ProxyThread:
    """A proxy before an engine, on a thread of its own."""

    def __init__(self, directory: Path, engine: str) -> None:
        self._begun, self._over = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(directory, engine)), daemon=True
        )
        self._thread.start()
        if not self._begun.wait(10):
            raise HarnessError("the proxy before the engine does not begin")

    async def _serve(self, directory: Path, engine: str) -> None:
        async with before_the_engine(directory, engine) as self.proxy:
            self._loop = asyncio.get_running_loop()
            self._begun.set()
            await self._over.wait()

    def mute_streams(self) -> None:
        """The streams of events that there are say nothing more."""
        self._loop.call_soon_threadsafe(self._mute, self.proxy)

    def cut(self) -> None:
        """Every connection that there is ends."""
        self._loop.call_soon_threadsafe(self.proxy.cut)

    @staticmethod
    def _mute(proxy: Proxy) -> None:
        proxy.mute(r"/events\?(?!.*until=)")

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)


class StreamSilent(EngineFrozen):
    """The engine's stream of events stays open but sends nothing more; then a container dies."""

    name = "stream-silent"
    blind = frozenset(CONTAINERS[:1])  # for the seconds until it is asked for

    def prepare(self, world: World, stack: ExitStack) -> None:
        super().prepare(world, stack)
        self._proxy = _ProxyThread(self.engine.directory, self.engine.socket)
        stack.callback(self._proxy.close)

    def config(self, world: World) -> str:
        return (
            f'[sources.docker]\nhost = "{self._proxy.proxy.host}"\nreconcile = "1h"\n'
            '[rules.container_down]\nfor = "0s"\n'
        )

    def inject(self, world: World) -> None:
        self._proxy.mute_streams()
        self._truth(world, {CONTAINERS[0]: False})
        os.kill(self._doomed, signal.SIGKILL)

    def heal(self, world: World) -> None:
        """Nothing is healed from outside: tocsin has to renew the stream."""


class StreamCut(StreamSilent):
    """A proxy closes all its connections to the engine about every second while the engine works; a
    container dies meanwhile."""

    name = "stream-cut"
    blind = frozenset()

    def steps(self, world: World) -> list[Step]:
        begins, ends = world.script.begins, world.script.ends
        rng = world.script.rng(self.name)
        steps = [*super().steps(world), ((begins + ends) / 2, lambda: self._kill(world))]
        at = begins
        while (at := at + rng.uniform(0.7, 1.3)) < ends:
            steps.append((at, self._proxy.cut))
        return steps

    def inject(self, world: World) -> None:
        self._proxy.cut()

    def _kill(self, world: World) -> None:
        self._truth(world, {CONTAINERS[0]: False})
        os.kill(self._doomed, signal.SIGKILL)

    def heal(self, world: World) -> None:
        if "a source cannot see" in world.running.output():
            world.deaths.append("the source said that it cannot see an engine that is well")


class SocketPermissions(EngineFrozen):
    """The engine's socket loses its permissions or its name, for a tocsin that cannot override
    that, and its connections are closed; a container dies meanwhile and has to be reported
    afterwards."""

    name = "socket-permissions"

    def prepare(self, world: World, stack: ExitStack) -> None:
        super().prepare(world, stack)
        self._proxy = _ProxyThread(self.engine.directory, self.engine.socket)
        stack.callback(self._proxy.close)
        self._socket = self._proxy.proxy.socket
        self._is_renamed = world.script.rng(self.name).random() < 0.5
        relay = before_postgres(world.dsn)  # whose directory is another user's
        stack.callback(relay.close)
        world.database = f"127.0.0.1:{relay.port}"
        gone = "-dac_override,-dac_read_search"
        world.prefix = ["setpriv", f"--inh-caps={gone}", f"--bounding-set={gone}", "--"]

    def config(self, world: World) -> str:
        return (
            f'[sources.docker]\nhost = "{self._proxy.proxy.host}"\n'
            '[rules.container_down]\nfor = "0s"\n'
        )

    def inject(self, world: World) -> None:
        if self._is_renamed:
            self._socket.rename(f"{self._socket}.away")
        else:
            self._mode = self._socket.stat().st_mode & 0o777
            self._socket.chmod(0)
        self._proxy.cut()
        time.sleep(0.2)  # it is cut on the proxy's own thread
        os.kill(self._doomed, signal.SIGKILL)

    def heal(self, world: World) -> None:
        # Before this nobody could have known.
        self._truth(world, {CONTAINERS[0]: False})
        if self._is_renamed:
            Path(f"{self._socket}.away").rename(self._socket)
        else:
            self._socket.chmod(self._mode)


class EngineClock(EngineFrozen):
    """A container dies while the engine's clock is an hour slow, or fast and later set back; then
    that container starts, and another one dies."""

    name = "engine-clock"
    blind = frozenset()

    def prepare(self, world: World, stack: ExitStack) -> None:
        super().prepare(world, stack)
        self._proxy = _ProxyThread(self.engine.directory, self.engine.socket)
        stack.callback(self._proxy.close)
        self._proxy.proxy.off = 3600 if world.script.seed % 2 else -3600

    def config(self, world: World) -> str:
        return (
            f'[sources.docker]\nhost = "{self._proxy.proxy.host}"\nreconcile = "1h"\n'
            '[rules.container_down]\nfor = "0s"\n'
        )

    def steps(self, world: World) -> list[Step]:
        # Within seconds the source has noticed that the engine's clock was set.
        return [*super().steps(world), (world.script.ends + 6, lambda: self._go_on(world))]

    def inject(self, world: World) -> None:
        self._truth(world, {CONTAINERS[0]: False})
        os.kill(self._doomed, signal.SIGKILL)

    def heal(self, world: World) -> None:
        self._proxy.proxy.off = min(0, self._proxy.proxy.off)

    def _go_on(self, world: World) -> None:
        self._truth(world, {CONTAINERS[0]: True})
        self.engine.docker("start", CONTAINERS[0])
        doomed = int(self.engine.docker("inspect", "-f", "{{.State.Pid}}", CONTAINERS[1]))
        self._truth(world, {CONTAINERS[1]: False})
        os.kill(doomed, signal.SIGKILL)
