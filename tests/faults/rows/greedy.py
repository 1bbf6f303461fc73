"""Somebody takes more than a share: of the slots for checks, of the connections to the API."""

from __future__ import annotations

import resource
import signal
import socket
import threading
import time
from contextlib import ExitStack, suppress

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
    """1,200 checks of something that never answers, with a timeout of an hour, come with a reload
    of the configuration, and go with another."""

    name = "tarpit"
    asks = 'probe = "tcp"\nhost = "127.0.0.1"\nport = {port}\nexpect = "a word"\n'
    """The check, but for its times."""

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
            for n in range(MANY)
        )
        return text + quiet + checks

    def inject(self, world: World) -> None:
        world.running.reach()
        self._reload(world, hung=True)
        deadline = time.monotonic() + 60
        while len(self._tarpit.held) < HUNG:
            if time.monotonic() > deadline:
                raise HarnessError(f"only {len(self._tarpit.held)} checks hang after 60 s")
            time.sleep(0.02)

    def heal(self, world: World) -> None:
        self._reload(world, hung=False)
        deadline = time.monotonic() + 20
        while world.running.get("/api/v1/status")["checks"] >= MANY:
            if time.monotonic() > deadline:
                raise HarnessError("the checks are still there 20 s after the reload")
            time.sleep(0.1)
        # What hangs is not let go: the checks are gone, and so are their slots.

    def _reload(self, world: World, *, hung: bool) -> None:
        self._hung = hung
        world.running.config.write_text(world.config())
        world.process.send_signal(signal.SIGHUP)


class TlsStalled(Tarpit):
    """1,200 checks of sites that accept the connection, and never answer the TLS handshake, come
    with a reload of the configuration, and go with another."""

    name = "tls-stalled"
    asks = 'probe = "http"\nurl = "https://127.0.0.1:{port}/"\n'


class SlowConnections(Fault):
    """1,100 half-open requests without a token at the API of a tocsin that may open 1,024 files;
    those that are closed come again."""

    name = "slow-connections"

    def prepare(self, world: World, stack: ExitStack) -> None:
        _many_files()
        self._over = threading.Event()
        self._clients: list[socket.socket] = []
        stack.callback(self._stop)

    def inject(self, world: World) -> None:
        world.running.reach()
        _, _, place = world.running.url.partition("://")
        host, _, port = place.rpartition(":")
        process = psutil.Process(world.process.pid)
        self._limits = process.rlimit(psutil.RLIMIT_NOFILE)
        process.rlimit(psutil.RLIMIT_NOFILE, (FEW_FILES, self._limits[1]))
        self._open((host, int(port)))
        self._thread = threading.Thread(target=self._again, args=((host, int(port)),), daemon=True)
        self._thread.start()

    def _open(self, place: tuple[str, int]) -> None:
        while len(self._clients) < SLOW and not self._over.is_set():
            client = socket.socket()
            self._clients.append(client)
            client.settimeout(1)
            with suppress(OSError):  # the backlog is full
                client.connect(place)
                client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            client.setblocking(False)

    def _again(self, place: tuple[str, int]) -> None:
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
            self._open(place)

    def heal(self, world: World) -> None:
        self._stop()
        psutil.Process(world.process.pid).rlimit(psutil.RLIMIT_NOFILE, self._limits)

    def _stop(self) -> None:
        self._over.set()
        if (thread := getattr(self, "_thread", None)) is not None:
            thread.join(10)
        while self._clients:
            self._clients.pop().close()


def _many_files() -> None:
    """The harness needs a descriptor for each connection, too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * MANY if hard == resource.RLIM_INFINITY else min(hard, 3 * MANY)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
