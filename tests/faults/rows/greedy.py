"""Somebody takes more than a share: of the slots for checks, of the connections to the API."""

from __future__ import annotations

import resource
import signal
import socket
import threading
import time
from contextlib import ExitStack, suppress
from typing import ClassVar

import psutil

from tests.faults.fault import Fault
from tests.faults.peers import HarnessError
from tests.faults.world import World

MANY = 1200
"""Checks that hang; more than tocsin runs at once."""

HUNG = 1000
"""So many hang when the fault is there: as many as tocsin begins before others wait."""

GROUPS = 60
"""Targets that they belong to."""

SLOW = 1100
"""Half-open requests."""

FEW_FILES = 1024
"""Descriptors that tocsin may have while its API is held by slow connections."""


class _Tarpit:
    """Accepts connections and never says a word. ``held``: those that are open."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self._listener.getsockname()[1]
        self.held: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self.held.append(self._listener.accept()[0])

    def close(self) -> None:
        """End it."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        while self.held:
            self.held.pop().close()


class Tarpit(Fault):
    """A reload adds 1,200 checks of a server that never answers, with a timeout of an hour; another
    reload removes them."""

    name = "tarpit"
    asks = 'probe = "tcp"\nhost = "127.0.0.1"\nport = {port}\nexpect = "a word"\n'
    """The check, but for its times."""
    many: ClassVar[int] = MANY
    hang: ClassVar[int] = HUNG
    """So many hang when the fault is there."""

    def prepare(self, world: World, stack: ExitStack) -> None:
        _many_files()
        self._hung = False
        self._tarpit = _Tarpit()
        stack.callback(self._tarpit.close)

    def config(self, world: World) -> str:
        text = super().config(world)
        if not self._hung:
            return text
        quiet = "".join(
            f"[targets.tar{n}.rules.health_check_failed]\nenabled = false\n" for n in range(GROUPS)
        )
        checks = "".join(
            f"[targets.tar{n % GROUPS}.checks.c{n}]\n{self.asks.format(port=self._tarpit.port)}"
            'interval = "1s"\ntimeout = "1h"\n'
            for n in range(self.many)
        )
        return text + quiet + checks

    def inject(self, world: World) -> None:
        world.running.reach()
        self._reload(world, hung=True)
        deadline = time.monotonic() + 60
        while len(self._tarpit.held) < self.hang:
            if time.monotonic() > deadline:
                raise HarnessError(f"only {len(self._tarpit.held)} checks hang after 60 s")
            time.sleep(0.02)

    def heal(self, world: World) -> None:
        self._reload(world, hung=False)
        deadline = time.monotonic() + 20
        while world.running.get("/api/v1/status")["checks"] >= self.many:
            if time.monotonic() > deadline:
                raise HarnessError("the checks are still there 20 s after the reload")
            time.sleep(0.1)
        # What hangs is not let go: the checks are gone, and so are their slots.

    def _reload(self, world: World, *, hung: bool) -> None:
        self._hung = hung
        world.running.config.write_text(world.config())
        world.process.send_signal(signal.SIGHUP)


class TlsStalled(Tarpit):
    """A reload adds 1,200 checks of sites that accept the connection but never answer the TLS
    handshake; another reload removes them."""

    name = "tls-stalled"
    asks = 'probe = "http"\nurl = "https://127.0.0.1:{port}/"\n'


class _SlowClients:
    """Half-open requests to the API; those that are closed come again."""

    def __init__(self, world: World, many: int) -> None:
        world.running.reach()
        host, _, port = world.running.url.partition("://")[2].rpartition(":")
        self._place, self._many = (host, int(port)), many
        self._over = threading.Event()
        self._clients: list[socket.socket] = []
        self._open()
        self._thread = threading.Thread(target=self._again, daemon=True)
        self._thread.start()

    def _open(self) -> None:
        while len(self._clients) < self._many and not self._over.is_set():
            client = socket.socket()
            self._clients.append(client)
            client.settimeout(1)
            with suppress(OSError):  # the backlog is full
                client.connect(self._place)
                client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            client.setblocking(False)

    def _again(self) -> None:
        while not self._over.wait(0.2):
            for client in list(self._clients):
                try:
                    is_gone = client.recv(1024) == b""
                except BlockingIOError:
                    is_gone = False
                except OSError:
                    is_gone = True
                if is_gone:
                    client.close()
                    self._clients.remove(client)
            self._open()

    def close(self) -> None:
        """End them."""
        self._over.set()
        self._thread.join(10)
        while self._clients:
            self._clients.pop().close()


class SlowConnections(Fault):
    """1,100 half-open requests without a token are kept up at the API of a tocsin that may open
    1,024 files."""

    name = "slow-connections"

    def prepare(self, world: World, stack: ExitStack) -> None:
        _many_files()
        self._own = stack.enter_context(ExitStack())

    def inject(self, world: World) -> None:
        process = psutil.Process(world.process.pid)
        self._limits = process.rlimit(psutil.RLIMIT_NOFILE)
        process.rlimit(psutil.RLIMIT_NOFILE, (FEW_FILES, self._limits[1]))
        self._own.callback(_SlowClients(world, SLOW).close)

    def heal(self, world: World) -> None:
        self._own.close()
        psutil.Process(world.process.pid).rlimit(psutil.RLIMIT_NOFILE, self._limits)


class FewDescriptors(Tarpit):
    """tocsin may open only 128 to 256 files, from its start or from some time on, while 200 checks
    hang and 300 half-open requests to its API are kept up."""

    name = "few-descriptors"
    many = 200
    hang = 10
    slow = 300

    def prepare(self, world: World, stack: ExitStack) -> None:
        super().prepare(world, stack)
        self._own = stack.enter_context(ExitStack())
        rng = world.script.rng(self.name)
        self._files = rng.choice((128, 160, 192, 256))
        self._from_start = rng.random() < 0.5
        if self._from_start:
            world.prefix = ["prlimit", f"--nofile={self._files}:{self._files}"]

    def inject(self, world: World) -> None:
        process = psutil.Process(world.process.pid)
        self._limits = process.rlimit(psutil.RLIMIT_NOFILE)
        process.rlimit(psutil.RLIMIT_NOFILE, (self._files, self._limits[1]))
        super().inject(world)
        self._own.callback(_SlowClients(world, self.slow).close)

    def heal(self, world: World) -> None:
        self._own.close()
        psutil.Process(world.process.pid).rlimit(psutil.RLIMIT_NOFILE, self._limits)
        # It refuses others until it has seen that those are gone.
        world.running.until(lambda: world.running.ask("/api/v1/status")[0] == 200)
        super().heal(world)


def _many_files() -> None:
    """The harness needs a descriptor for each connection, too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * MANY if hard == resource.RLIM_INFINITY else min(hard, 3 * MANY)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
