"""The machine gives tocsin less than it would take: memory, places to write to."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
import uuid
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.faults.fault import ROOT, Fault, Step
from tests.faults.peers import HarnessError
from tests.faults.world import World

MIB = 1024 * 1024
LARGE = 40
LOOK = 0.25
"""Seconds between two looks at whether tocsin still runs."""


class ReadOnlyRoot(Fault):
    """tocsin can write only to its data directory; all other file systems, /tmp included, are
    read-only. It is killed and started again, and PostgreSQL is stopped."""

    name = "read-only-root"
    needs = frozenset({ROOT})

    def prepare(self, world: World, stack: ExitStack) -> None:
        world.data.mkdir()
        data = str(world.data)
        script = (
            f"mount --make-rprivate / && mount --bind {data} {data} && "
            "cut -d' ' -f2 /proc/self/mounts | sort -r | while read place; do "
            f'case "$place" in {data}|/proc*|/sys*) ;; '
            '*) mount -o remount,bind,ro "$place" 2>/dev/null ;; esac; done; '
            f'touch /tmp/x /dev/shm/x {world.directory}/x 2>/dev/null && exit 9; exec "$@"'
        )
        world.prefix = ["unshare", "-m", "sh", "-c", script, "sh"]

    def inject(self, world: World) -> None:
        world.kill()
        world.restart()
        world.until(world.is_well, 60, "tocsin is well after its second start")
        asyncio.run(world.postgres.stop())

    def heal(self, world: World) -> None:
        asyncio.run(world.postgres.start())


class _Group:
    """A control group with a limit of memory, of cgroup v1 or v2."""

    def __init__(self) -> None:
        v1 = Path("/sys/fs/cgroup/memory")
        self._is_v1 = (v1 / "memory.limit_in_bytes").exists()
        root = v1 if self._is_v1 else Path("/sys/fs/cgroup")
        self.path = root / f"tocsin-fault-{uuid.uuid4().hex[:8]}"
        try:
            self.path.mkdir()
            self.limit(None)
        except OSError as error:
            raise HarnessError(f"no limit of memory can be set here: {error}") from error

    def limit(self, limit: int | None) -> None:
        """Set the limit, in bytes; None: there is none. What can be given back is given back."""
        name = "memory.limit_in_bytes" if self._is_v1 else "memory.max"
        none = "-1" if self._is_v1 else "max"
        (self.path / name).write_text(none if limit is None else str(limit))

    def used(self) -> int:
        """Bytes in use that cannot be given back: no pages of files."""
        name = "rss" if self._is_v1 else "anon"
        stat = dict(line.split() for line in (self.path / "memory.stat").read_text().splitlines())
        return int(stat[name])

    def close(self) -> None:
        """End it. Its processes have ended."""
        with suppress(OSError):
            self.path.rmdir()


class MemoryLimit(Fault):
    """tocsin may use only 2 to 16 MiB of memory more than it does, and a reload adds 40 checks with
    bodies of a megabyte; if the kernel kills it, it is started again."""

    name = "memory-limit"
    needs = frozenset({ROOT})

    def prepare(self, world: World, stack: ExitStack) -> None:
        self._large = False
        self._group = _Group()
        stack.callback(self._group.close)
        stack.callback(world.end_processes)
        script = f'echo $$ > {self._group.path}/cgroup.procs && exec "$@"'
        world.prefix = ["sh", "-c", script, "sh"]
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Large)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        stack.callback(self._server.server_close)
        stack.callback(self._server.shutdown)

    def config(self, world: World) -> str:
        text = super().config(world)
        if self._large:
            text += '[maintenance.large]\nschedule = "* * * * *"\nduration = "5m"\n'
            text += 'match = ["target=large*"]\n'
        for n in range(LARGE if self._large else 0):
            text += (
                f'[targets.large{n}.checks.http]\nprobe = "http"\ncontains = "needle"\n'
                f'url = "http://127.0.0.1:{self._server.server_port}/"\n'
            )
        return text

    def steps(self, world: World) -> list[Step]:
        begins, ends = world.script.begins, world.script.ends
        steps: list[Step] = [(begins, lambda: self._begin(world)), (ends, lambda: self._end(world))]
        looks = int((world.script.seconds - begins) / LOOK)
        return steps + [(begins + n * LOOK, lambda: self._look(world)) for n in range(1, looks)]

    def _begin(self, world: World) -> None:
        more = world.script.rng(self.name).randint(2, 16) * MIB
        self._group.limit(self._group.used() + more)
        self._reload(world, large=True)

    def _end(self, world: World) -> None:
        self._group.limit(None)
        self._look(world)
        self._reload(world, large=False)
        world.heals.append(time.monotonic())

    def _reload(self, world: World, *, large: bool) -> None:
        self._large = large
        world.running.config.write_text(world.config())
        if "  API  " in world.running.output():
            world.process.send_signal(signal.SIGHUP)
        else:  # it has not come so far as to be asked
            world.kill()
            world.restart()

    def _look(self, world: World) -> None:
        if world.process.poll() is None:
            return
        if world.process.returncode != -signal.SIGKILL:
            world.deaths.append(f"tocsin ended by itself, with status {world.process.returncode}")
        world.kill()
        world.restart()


class _Large(BaseHTTPRequestHandler):
    """Answers a megabyte."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(b"a" * MIB + b"needle")

    def log_message(self, *_: object) -> None:
        """Nothing."""
