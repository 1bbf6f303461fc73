"""One tocsin with some misbehaving plugins, watched from outside for a while."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

from attrs import define, field
from hostile_plugins import Hostile
from hostile_stand import GOOD, MARK, Peer, Tree, configuration, install, mark, peer
from stand import Running

ANSWER = 2.0
"""Seconds within which /health and /metrics have to answer."""

END = 10.0
"""Seconds within which tocsin has to end."""

START, START_EACH = 45.0, 21.0
"""Seconds that it may take to start, and more for each plugin that hangs while it loads."""

ASK_OF_STATUS = 5.0

stopping = threading.Event()
"""The bench is to end."""


class Interrupted(Exception):
    """The bench was told to end."""


@define(eq=False)
class Outcome:
    """What was seen. Times in seconds, memory in megabytes.

    ``death`` says how tocsin ended by itself, or did not start; ``reasons`` has every reason that
    a plugin was said to have failed for; ``refused`` how many of the ``asked`` requests were not
    answered in time, by path; ``ran`` how many checks ran in the second half of the time.
    """

    plugins: Sequence[Hostile]
    death: str = ""
    log_end: str = ""
    p99: float | None = None
    worst: float | None = None
    memory: float = 0.0
    memory_last: float = 0.0
    memory_core: float = 0.0
    lines: float = 0.0
    asked: dict[str, int] = field(factory=dict)
    refused: dict[str, int] = field(factory=dict)
    answers_last: dict[str, bool] = field(factory=dict)
    arrivals: list[float | None] = field(factory=list)
    reasons: dict[str, list[str]] = field(factory=dict)
    ran: float = 0.0
    exit_time: float | None = None
    left: list[str] = field(factory=list)

    def named(self, plugin: Hostile) -> bool | None:
        """Whether a plugin was named as it asks for; None if it asks for nothing."""
        if not plugin.named:
            return None
        said = self.reasons.get(plugin.name, ())
        return any(re.search(plugin.named, reason, re.IGNORECASE) for reason in said)

    def down(self) -> str:
        """How the whole process was taken down, or empty."""
        if self.death:
            return self.death
        if not all(self.answers_last.values()):
            return "does not answer"
        return "checks stand still" if self.ran < GOOD / 20 else ""


def _get(url: str, token: str, timeout: float) -> bytes:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return bytes(answer.read(8_000_000))


@define(eq=False)
class Watch:
    """Threads that ask a tocsin again and again, until ``over``."""

    running: Running
    token: str
    outcome: Outcome
    over: threading.Event = field(factory=threading.Event)
    threads: list[threading.Thread] = field(factory=list)
    runs: list[tuple[float, float]] = field(factory=list)

    def every(self, seconds: float, ask: Callable[[], None]) -> None:
        """Call a function every so many seconds in a thread of its own."""

        def turn() -> None:
            while not self.over.is_set():
                ask()
                self.over.wait(seconds)

        self.threads.append(threading.Thread(target=turn, daemon=True))
        self.threads[-1].start()

    def answers(self, path: str) -> None:
        """Whether it answers in time."""
        begun, ok = time.monotonic(), True
        try:
            _get(self.running.url + path, self.token, ANSWER)
        except (OSError, HTTPException):
            ok = False
        ok = ok and time.monotonic() - begun <= ANSWER
        if self.over.is_set():
            return  # it is being stopped
        self.outcome.asked[path] = self.outcome.asked.get(path, 0) + 1
        self.outcome.refused[path] = self.outcome.refused.get(path, 0) + (not ok)
        self.outcome.answers_last[path] = ok

    def provoke(self, path: str) -> None:
        """Ask a misbehaving route."""
        with suppress(OSError, HTTPException):
            _get(self.running.url + path, self.token, 12.0)

    def _json(self, path: str) -> Any:
        status, answer = self.running.ask(path)
        return answer if status == 200 else None

    def status(self) -> None:
        """Lateness of checks, and why which plugin failed."""
        with suppress(OSError, HTTPException, ValueError):
            said = self._json("/api/v1/status")
            if said is not None:
                scheduler = said["scheduler"]
                self.outcome.p99 = max(self.outcome.p99 or 0.0, scheduler["lateness_p99"])
                self.outcome.worst = max(self.outcome.worst or 0.0, scheduler["lateness_max"])
                self.runs.append((time.monotonic(), scheduler["runs_total"]))
        with suppress(OSError, HTTPException, ValueError):
            for item in (self._json("/api/v1/plugins?limit=1000") or {"items": ()})["items"]:
                if item["status"] == "failed":
                    reasons = self.outcome.reasons.setdefault(item["name"], [])
                    if item["reason"] not in reasons and len(reasons) < 100:
                        reasons.append(item["reason"])
        with suppress(OSError, HTTPException, ValueError):
            for name, part in (self._json("/health") or {"components": {}})["components"].items():
                if part["status"] == "ok":
                    continue
                reasons = self.outcome.reasons.setdefault(name.partition(".")[2], [])
                if part["message"] not in reasons and len(reasons) < 100:
                    reasons.append(part["message"])


def _reach(running: Running, tree: Tree, outcome: Outcome) -> bool:
    """Wait until it says where its API is, or is given up."""
    slow = sum(1 for p in outcome.plugins if re.search("hang|spin|lookback|endless", p.name))
    deadline = time.monotonic() + START + START_EACH * slow
    assert running.process is not None
    while not (found := re.search(r"API +(http://\S+)", running.output())):
        if stopping.is_set():
            raise Interrupted
        if running.process.poll() is not None:
            outcome.death = f"{_how(running.process)} while it starts"
            outcome.log_end = running.output()[-600:]
            return False
        if time.monotonic() > deadline:
            outcome.death = "does not start"
            return False
        outcome.memory = max(outcome.memory, tree.memory())
        time.sleep(0.2)
    running.url = found[1]
    return True


def _how(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit {code}"


def _lines(path: Path) -> int:
    count = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            count += block.count(b"\n")
    return count


def _read_log(path: Path, outcome: Outcome) -> None:
    """Add the reasons that the log has; a plugin may have recovered between two looks."""
    for line in path.read_text(errors="replace").splitlines():
        with suppress(ValueError):
            said = json.loads(line)
            if said.get("level") == "error" and {"plugin", "reason"} <= said.keys():
                reasons = outcome.reasons.setdefault(said["plugin"], [])
                if said["reason"] not in reasons and len(reasons) < 100:
                    reasons.append(said["reason"])


def _look(running: Running, tree: Tree, outcome: Outcome, other: Peer, seconds: float) -> None:
    """Watch for so long, or until it dies."""
    watch = Watch(running, running.token(), outcome)
    assert running.process is not None
    begun = other.begun = time.monotonic()
    before = _lines(running.log)
    for path in ("/health", "/metrics"):
        watch.every(1.0, lambda path=path: watch.answers(path))  # type: ignore[misc]
    watch.every(1.0, watch.status)
    for path in (path for plugin in outcome.plugins for path in plugin.asks):
        watch.every(1.0, lambda path=path: watch.provoke(path))  # type: ignore[misc]
    try:
        while time.monotonic() < begun + seconds:
            if stopping.is_set():
                raise Interrupted
            if running.process.poll() is not None:
                after = time.monotonic() - begun
                outcome.death = f"{_how(running.process)} after {after:.0f} s"
                break
            outcome.memory_last = tree.memory()
            outcome.memory = max(outcome.memory, outcome.memory_last)
            outcome.memory_core = tree.core
            time.sleep(0.5)
        took = time.monotonic() - begun
    finally:
        watch.over.set()
    outcome.lines = (_lines(running.log) - before) / took * 60
    _read_log(running.log, outcome)
    outcome.arrivals = other.arrivals(time.monotonic(), min(10.0, 0.6 * other.cycle))
    late = [runs for at, runs in watch.runs if at > begun + seconds / 2]
    outcome.ran = max(late) - min(late) if late else 0.0


def _stop(running: Running, tree: Tree, outcome: Outcome) -> None:
    """SIGINT, and after END seconds SIGKILL; what is left of it."""
    process, begun = running.process, time.monotonic()
    assert process is not None
    if process.poll() is None:
        tree.alive()
        process.send_signal(signal.SIGINT)
        try:
            process.wait(END)
            outcome.exit_time = time.monotonic() - begun
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    time.sleep(0.5)  # children may notice only now that it is gone
    outcome.left = [p.name() for p in tree.alive()]


def observe(
    plugins: Sequence[Hostile], seconds: float, cycle: float, good: str, dsn: str
) -> Outcome:
    """Run a tocsin with these plugins for so long.

    Args:
        plugins: the misbehaving ones.
        seconds: how long, once it is up.
        cycle: seconds in which the good target goes down and up.
        good: URL of what the good checks ask.
        dsn: of a database of its own.
    """
    outcome = Outcome(plugins)
    with (
        tempfile.TemporaryDirectory(prefix="tocsin-bench-", ignore_cleanup_errors=True) as name,
        peer(cycle) as other,
    ):
        place = Path(name) / "plugins"
        install(place, plugins)
        own = mark()
        env = {"DATABASE_URL": dsn, "PYTHONPATH": str(place), MARK: own}
        running = Running(Path(name), configuration(plugins, good, other), with_path(env))
        running.spawn()
        assert running.process is not None
        tree = Tree(own, running.process.pid)
        try:
            if _reach(running, tree, outcome):
                _look(running, tree, outcome, other, seconds)
            _stop(running, tree, outcome)
        finally:
            if running.process.poll() is None:
                running.process.kill()
                running.process.wait()
            tree.kill()
    return outcome


def with_path(env: dict[str, str]) -> dict[str, str]:
    """The environment, with the plugins before what PYTHONPATH already has."""
    paths = [env["PYTHONPATH"], os.environ.get("PYTHONPATH", "")]
    return env | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
