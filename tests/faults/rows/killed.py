"""tocsin itself is killed."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack, suppress
from functools import partial

from tests.faults.fault import Fault, Step
from tests.faults.records import read_lines
from tests.faults.world import World


class Killed(Fault):
    """tocsin is killed with SIGKILL several times, at random or right after a change, sometimes
    during its start, and is started again after a while."""

    name = "killed"

    def steps(self, world: World) -> list[Step]:
        rng = world.script.rng(self.name)
        steps: list[Step] = []
        at, last = rng.uniform(0.05, 0.3) * world.script.seconds, 0.7 * world.script.seconds
        while at < last:
            # Two in three where most is under way: journaled, held, sent, not marked yet.
            on_heels = partial(self._kill_after_change, world, rng.uniform(0, 0.5))
            steps.append((at, on_heels if rng.random() < 2 / 3 else world.kill))
            at += rng.uniform(0, 1.5)
            steps.append((at, world.restart))
            # One in four does not live to see everything.
            at += rng.uniform(0.1, 2) if rng.random() < 0.25 else rng.uniform(2.5, 6)
        return steps

    def _kill_after_change(self, world: World, delay: float) -> None:
        """Kill so many seconds after a target has answered something new, if one does soon."""

        def states() -> dict[str, bool]:
            return {line["target"]: line["up"] for line in read_lines(world.targets.ledger)}

        before, patience = states(), time.monotonic() + 3
        while states() == before and time.monotonic() < patience:
            time.sleep(0.01)
        time.sleep(delay)
        world.kill()


class _Hanging:
    """An HTTP server that answers until ``hangs`` is set, and never after that."""

    def __init__(self) -> None:
        self.hangs = False
        self._kept: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):  # it is closed
            while True:
                peer, _ = self._server.accept()
                if self.hangs:
                    self._kept.append(peer)
                    continue
                with peer, suppress(OSError):
                    peer.recv(65536)
                    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def close(self) -> None:
        """End it."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for peer in self._kept:
            peer.close()


class CrashLoop(Fault):
    """tocsin is killed every few seconds, so that no process has seen every check, since one check
    hangs."""

    name = "crash-loop"

    def prepare(self, world: World, stack: ExitStack) -> None:
        self._peer = _Hanging()
        stack.callback(self._peer.close)

    def config(self, world: World) -> str:
        return (
            super().config(world) + '[targets.hangs.checks.http]\nprobe = "http"\nretries = 0\n'
            f'url = "http://127.0.0.1:{self._peer.port}/"\ntimeout = "10m"\n'
        )

    def inject(self, world: World) -> None:
        self._peer.hangs = True

    def heal(self, world: World) -> None:
        """The check hangs on: nothing that fails may wait for it."""

    def steps(self, world: World) -> list[Step]:
        rng = world.script.rng(self.name)
        steps: list[Step] = [(world.script.begins, lambda: self.inject(world))]
        at = world.script.begins
        while at < 0.7 * world.script.seconds:
            steps += [(at, world.kill), (at + 0.3, world.restart)]
            at += rng.uniform(3, 5)
        return steps
