"""What ``bench/hostile.py`` puts around a tocsin: a target that goes down and up and a receiver of
its alerts, plugins in a folder, and an account of every process that belongs to it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
from attrs import define, field
from hostile_plugins import Hostile
from stand import http_targets

GOOD = 200
"""Good http checks."""

STEADY = "steady"
"""The good target that goes down and up."""

MARK = "HOSTILE_BENCH"
"""The variable of the environment that marks the processes of one tocsin."""

PR_SET_CHILD_SUBREAPER = 36


class _Handler(BaseHTTPRequestHandler):
    """Answers for the target, and writes alerts down."""

    server: _Server

    def do_GET(self) -> None:
        """The target: down in the second half of each cycle."""
        self._answer(503 if self.server.peer.is_down() else 200)

    def do_POST(self) -> None:
        """The receiver."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        now = time.monotonic()
        for alert in body.get("data", {}).get("alerts", ()):
            if alert["target"] == STEADY and alert["kind"] != "resolved":
                self.server.peer.told.append(now)
        self._answer(200)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 100
    peer: Peer


@define(eq=False)
class Peer:
    """The target and the receiver. ``told`` has the times of the target's alerts."""

    cycle: float
    url: str = ""
    begun: float = field(factory=time.monotonic)
    told: list[float] = field(factory=list)

    def is_down(self) -> bool:
        """Whether the target is down now."""
        return (time.monotonic() - self.begun) % self.cycle >= self.cycle / 2

    def arrivals(self, end: float, patience: float) -> list[float | None]:
        """For each time that it went down until ``patience`` before ``end``: seconds until its
        alert came, at most a cycle; None where none did."""
        found: list[float | None] = []
        down = self.begun + self.cycle / 2
        while down + patience <= end:
            late = [at - down for at in self.told if down <= at < down + self.cycle]
            found.append(min(late) if late else None)
            down += self.cycle
        return found


@contextmanager
def peer(cycle: float) -> Iterator[Peer]:
    """A target and a receiver on a port of loopback."""
    made = Peer(cycle)
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.peer = made
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()


def install(place: Path, plugins: Iterable[Hostile]) -> None:
    """Write each plugin into a folder, a distribution each."""
    place.mkdir()
    for plugin in plugins:
        module = "hostile_" + plugin.name.replace("-", "_")
        info = place / f"{module}-1.0.dist-info"
        info.mkdir()
        (place / f"{module}.py").write_text(plugin.source)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: hostile-{plugin.name}\nVersion: 1.0\n"
        )
        (info / "entry_points.txt").write_text(f"[tocsin]\n{plugin.name} = {module}\n")


def configuration(plugins: Iterable[Hostile], good: str, other: Peer) -> str:
    """Good checks, the target that goes down and up, a channel, and what the plugins need."""
    return (
        http_targets(GOOD, good, 2)
        + f'[targets.{STEADY}.checks.http]\nprobe = "http"\nurl = "{other.url}/"\n'
        + 'interval = "1s"\n[alerts]\nwindow = "1s"\nescalate_after = 0\n'
        + "[rules.health_check_failed]\nfailures = 1\n"
        + f'cooldown = "{0.45 * other.cycle:g}s"\n'
        + f'[channels.hook]\nnotifier = "webhook"\nurl = "{other.url}/"\nmax_messages = 100000\n'
        + "allow_private = true\n"
        + "".join(plugin.config for plugin in plugins)
    )


def adopt_orphans() -> None:
    """From now on this process is the parent of every orphan among its descendants, so that none
    gets out of sight."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@define(eq=False)
class Tree:
    """The processes of one tocsin: its descendants, and what bears its mark. A process that was
    once seen stays counted, whoever its parent is now."""

    mark: str
    root: int
    seen: dict[int, psutil.Process] = field(factory=dict)
    core: float = 0.0
    """Megabytes of the first process when :meth:`memory` was last called."""

    def alive(self) -> list[psutil.Process]:
        """Those that run now."""
        found = []
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error, OSError):
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                if self._is_ours(process):
                    self.seen[process.pid] = process
                    found.append(process)
        return found

    def _is_ours(self, process: psutil.Process) -> bool:
        if process.pid == self.root or self.seen.get(process.pid) == process:
            return True
        parent = process.ppid()
        return parent in self.seen or process.environ().get(MARK) == self.mark

    def memory(self) -> float:
        """Megabytes of all; what several share counts once."""
        total = 0.0
        for process in self.alive():
            with suppress(psutil.Error):
                own = process.memory_full_info().pss / 1e6
                total += own
                if process.pid == self.root:
                    self.core = own
        return total

    def kill(self) -> list[str]:
        """Kill what still runs, each by its pid, until nothing does; their names."""
        names: list[str] = []
        for _ in range(20):
            left = self.alive()
            if not left:
                break
            for process in left:
                with suppress(psutil.Error):
                    names.append(process.name())
                    process.kill()  # compares when it was started, so never a stranger's pid
            psutil.wait_procs(left, 0.5)
        return names


def sweep() -> None:
    """Kill every descendant of this process, each by its pid; nobody else's."""
    for _ in range(20):
        left = psutil.Process().children(recursive=True)
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        if not psutil.wait_procs(left, 0.5)[1]:
            return


def heed_signals() -> None:
    """SIGTERM ends this process as SIGINT does, through every ``finally``."""

    def end(*_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)


def first_line(text: str, longest: int = 60) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def mark() -> str:
    """A mark that no other tocsin has."""
    return f"{os.getpid()}-{os.urandom(6).hex()}"
