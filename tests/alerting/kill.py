"""Kills tocsin's alerting with SIGKILL at labelled points, and sees that nothing is lost.

    python -m tests.alerting.kill --runs 1000 --jobs 2

Each run is a seed. A child process drives the whole of alerting (engine, journal, pipeline) with
targets that fail and recover, and delivers to a receiver in a process of its own that writes a
ledger. At a random passage of a random point (``core.faults.POINTS``) the child is killed; a second
child goes on from the journal, seeing the targets as they are. Then it must hold:

1. every row that the journal ever held as to be told was accepted by the receiver, or its channel
   refuses everything, or everything about this target, and then it is a dead letter (an end: or a
   row that says why it is not told) and its fallback channel has it;
2. a target that is down in the end was told as down, one that was told as down and is up was told
   as up, and nothing else comes last; the fallback channel, which is told by itself of nothing that
   fires, and hears of the end both by itself and in place of the other, knows the same;
3. no notice was accepted twice but where, at the kill, the receiver had accepted it and our mark
   was not on disk yet; and then in a message of the same id.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from attrs import frozen

from tests.alerting.well import Well
from tests.contexts import contexts
from tests.kept import no_history
from tocsin import Message, Notifier, NotifyError, Receipt, Result, Status, Target, hookimpl
from tocsin.core.clock import SystemClock
from tocsin.core.config import load_config
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.contracts.model import Observation
from tocsin.core.journal.journal import Entry
from tocsin.core.lifecycle import Alerting, manager
from tocsin.core.monitor import events
from tocsin.core.monitor.bus import Bus
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.sandbox import Isolation
from tocsin.core.runtime import crash_points
from tocsin.core.runtime.process import PROCESS
from tocsin.core.state import CheckState

TARGETS = tuple(f"t{n}" for n in range(6))
PICKY = "t2"
"""The target whose notices one of the channels refuses."""

CONFIG = """
[alerts]
cooldown = "1h"
hold = "5ms"
window = "20ms"
[rules.health_check_failed]
failures = 1
[channels.a]
notifier = "posting"
path = "{path}"
[channels.b]
notifier = "posting"
path = "{path}"
[channels.c]
notifier = "posting"
path = "{path}"
refuses = true
fallback = "d"
[channels.e]
notifier = "posting"
path = "{path}"
picky = "{picky}"
fallback = "d"
[channels.d]
notifier = "posting"
path = "{path}"
min_severity = "critical"
"""


@frozen(kw_only=True)
class Posting(Notifier):
    """Hands messages to the receiver; or ``refuses`` them for good, as one whom nobody reads;
    ``picky``: those that hold a notice about this target."""

    path: str
    refuses: bool = False
    picky: str = ""

    async def send(self, message: Message) -> Receipt:
        """One line there, one word back."""
        if self.refuses:
            raise NotifyError("nobody reads this", permanent=True, everything=True)
        if any(notice.target == self.picky for notice in message.notices):
            raise NotifyError("one of these is refused", permanent=True)
        try:
            reader, writer = await asyncio.open_unix_connection(self.path)
        except OSError as error:
            raise NotifyError(str(error)) from error
        notices = [[str(n.id), n.kind.value, n.target] for n in message.notices]
        line = {"channel": message.channel, "message": str(message.id), "notices": notices}
        writer.write(json.dumps(line).encode() + b"\n")
        answer = await reader.readline()
        writer.close()
        if answer != b"ok\n":
            raise NotifyError("the receiver did not accept it")
        return Receipt(answer="ok")


class _Plugin:
    @hookimpl
    def tocsin_notifiers(self) -> dict[str, type]:
        return {"posting": Posting}


BELL = b"\n"
"""What :func:`caught_up` sends: answered like a message, and kept nowhere."""


def caught_up(path: Path) -> None:
    """Wait until the receiver has dealt with everything that was sent to it: a child that is dead
    may have left a message that is still on the way."""
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect(str(path))
        asked.sendall(BELL)
        while asked.recv(16):
            pass


def receive(path: str, ledger: str) -> None:
    """The receiver: what it has acknowledged is in the ledger, on disk."""
    with socket.socket(socket.AF_UNIX) as server, open(ledger, "ab", buffering=0) as file:  # noqa: PTH123
        server.bind(path)
        server.listen(16)
        while True:
            connection, _ = server.accept()
            with connection:
                data = b""
                while not data.endswith(b"\n") and (piece := connection.recv(65536)):
                    data += piece
                if data.endswith(b"\n"):
                    if data != BELL:
                        file.write(data)
                    try:
                        connection.sendall(b"ok\n")
                    except OSError:
                        continue


@frozen
class Plan:
    """One run: what happens to the targets, and where the kill falls."""

    steps: tuple[tuple[float, str, str], ...]
    point: str
    passage: int

    @classmethod
    def of(cls, seed: int) -> Plan:
        """The plan of a seed. Every third run, some targets do not fail at all."""
        rng = random.Random(seed)
        steps = []
        for target in TARGETS:
            fails = rng.uniform(0, 0.15)
            if rng.random() < 0.9:
                steps.append((fails, target, "down"))
                if rng.random() < 0.6:
                    steps.append((fails + rng.uniform(0.01, 0.15), target, "up"))
        point = rng.choice(crash_points.POINTS)
        return cls(tuple(sorted(steps)), point, rng.randint(1, 8))


def child(plan: Plan, directory: Path, kill: bool) -> None:
    """A tocsin that is killed, or the one that goes on after it."""
    if kill:
        left = [plan.passage]

        def hook(name: str) -> None:
            if name == plan.point:
                left[0] -= 1
                if left[0] == 0:
                    if name == "given up":  # time for what was submitted alone to reach the disk
                        time.sleep(0.1)
                    os.kill(os.getpid(), signal.SIGKILL)

        PROCESS.crash_hook = hook
    asyncio.run(_drive(plan, directory))
    os._exit(0)


async def _drive(plan: Plan, directory: Path) -> None:
    manager.TICK = 0.02
    clock, plugins = SystemClock(), PluginManager(PluginSettings(), discover=_only_rules)
    plugins.load()
    plugins.add("posting", _Plugin, "tests", "0")
    config = directory / "tocsin.toml"
    config.write_text(CONFIG.format(path=directory / "receiver", picky=PICKY))
    settings = load_config(config, {"TOCSIN_DATA_DIR": str(directory)}, plugins)
    bus = Bus()
    alerting = Alerting(
        settings, data_dir=directory, clock=clock,
        history=no_history(clock), bus=bus,
        isolation=Isolation(
            plugins.inline | {"posting"}, lambda *_: None, contexts()
        ),
        plugins=plugins, itself=Well(),
    )  # fmt: skip
    progress = directory / "progress"
    done = len(progress.read_bytes()) if progress.exists() else 0

    def see(target: str, status: str) -> None:
        result = Result(status=Status(status), message=status)
        seen = Observation(target=target, check="c", at=clock.now(), result=result)
        alerting.executor.handle(events.Observed(seen))

    await alerting.start()
    truth = dict.fromkeys(TARGETS, "up")
    truth.update({target: status for _, target, status in plan.steps[:done]})
    for target in TARGETS:
        alerting.executor.handle(events.TargetPut(Target(name=target)))
        check = CheckState(target=target, name="c", probe="tcp", interval=30)
        alerting.executor.handle(events.CheckPut(check))
        see(target, truth[target])
    while not alerting.engine.muting.settled:
        await asyncio.sleep(0.005)
    last = plan.steps[done - 1][0] if done else 0.0
    with progress.open("ab", buffering=0) as file:
        for at, target, status in plan.steps[done:]:
            await asyncio.sleep(max(0.0, at - last))
            last = at
            file.write(b".")  # the world has changed, whether we live to see it or not
            see(target, status)
    while (
        any(channel.queue.rows for channel in alerting.channels.values())
        or alerting.executor._tasks
    ):
        await asyncio.sleep(0.005)
    await alerting.journal.commit(Entry())
    await alerting.stop()


def _only_rules() -> list[Any]:
    from importlib.metadata import entry_points

    return [e for e in entry_points(group="tocsin") if e.name == "down"]


def in_child(work: Callable[[], None]) -> int:
    """Run in a forked process; returns its exit status, negative for a signal. It is stopped after
    a while if it does not end."""
    process = get_context("fork").Process(target=work)
    process.start()
    process.join(60)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError("the child did not end within a minute")
    return process.exitcode


def run(seed: int) -> str:
    """One run; returns what happened: the point it was killed at, or ``survived``. Raises
    AssertionError for a loss or a forbidden double."""
    plan = Plan.of(seed)
    directory = Path(tempfile.mkdtemp(prefix="tocsin-kill-"))
    ledger = directory / "ledger"
    ledger.touch()
    receiver = get_context("fork").Process(
        target=receive, args=(str(directory / "receiver"), str(ledger)), daemon=True
    )
    receiver.start()
    try:
        while not (directory / "receiver").exists():
            os.sched_yield()
        first = in_child(lambda: child(plan, directory, kill=True))
        assert first in (0, -signal.SIGKILL), f"seed {seed}: the child ended with {first}"
        killed = first != 0
        caught_up(directory / "receiver")
        window = _in_window(directory) if killed else frozenset()
        second = in_child(lambda: child(plan, directory, kill=False))
        assert second == 0, f"seed {seed}: the second child ended with {second}"
        check(seed, plan, directory, plan.point if killed else None, window)
    finally:
        receiver.kill()
        receiver.join()
    shutil.rmtree(directory)
    return plan.point if killed else "survived"


def _ledger(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "ledger").read_text().splitlines()]


def _rows(directory: Path) -> list[dict[str, Any]]:
    path = directory / "journal.db"
    if not path.exists():
        return []
    with sqlite3.connect(path) as journal:
        if not journal.execute("SELECT 1 FROM sqlite_master WHERE name = 'outbox'").fetchone():
            return []
        return [json.loads(data) for (data,) in journal.execute("SELECT data FROM outbox")]


def _in_window(directory: Path) -> frozenset[str]:
    """Ids of notices that the receiver has accepted and that are not marked on disk."""
    accepted = {notice[0] for line in _ledger(directory) for notice in line["notices"]}
    unmarked = {r["notice"]["id"] for r in _rows(directory) if r["decision"] == "queued"}
    return frozenset(accepted & unmarked)


def check(
    seed: int, plan: Plan, directory: Path, killed_at: str | None, window: frozenset[str]
) -> None:
    """See that what must hold holds; ``window``: notices that may come twice."""
    lines = _ledger(directory)
    accepted: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    for line in lines:
        for notice, kind, target in line["notices"]:
            told = accepted.setdefault((line["channel"], target), [])
            told.append((notice, kind, line["message"]))
    where = f"seed {seed}, killed at {killed_at!r}, {directory}"
    # 1. Nothing that was written down was lost.
    arrived = {(channel, n[0]) for (channel, _), told in accepted.items() for n in told}
    for row in _rows(directory):
        assert row["decision"] != "queued", f"{where}: a row was never told: {row}"
        unheard = row["decision"] == "unheard" and row["channel"] != "-"
        if row["decision"] == "dead" or unheard:
            refuses = row["channel"] == "c" or (row["channel"], row["target"]) == ("e", PICKY)
            assert refuses, f"{where}: {row}"
            kinds = [kind for _, kind, _ in accepted.get(("d", row["target"]), [])]
            assert row["notice"]["kind"] in kinds, f"{where}: nobody was told: {row}"
        if row["decision"] == "sent":
            key = (row["channel"], row["notice"]["id"])
            assert key in arrived, f"{where}: marked as sent, never accepted: {row}"
    # 2. Everybody knows how it is.
    truth = dict.fromkeys(TARGETS, "up")
    truth.update({target: status for _, target, status in plan.steps})
    for channel, target in product(("a", "b", "d", "e"), TARGETS):
        status = truth[target]
        if (channel, target) != ("e", PICKY):
            kinds = [kind for _, kind, _ in _once(accepted.get((channel, target), []))]
            if channel == "d":
                kinds = list(dict.fromkeys(kinds))
            allowed = [["fired"]] if status == "down" else [[], ["fired", "resolved"]]
            assert kinds in allowed, f"{where}: {target} is {status}, {channel} heard {kinds}"
    # 3. Doubles only in the one window, and under one id.
    for (channel, target), told in accepted.items():
        for notice, count in Counter(n for n, _, _ in told).items():
            messages = {message for n, _, message in told if n == notice}
            assert len(messages) == 1, f"{where}: {target} came to {channel} in {messages}"
            assert count == 1 or notice in window, f"{where}: {target} twice to {channel}"


def _once(told: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    return list({notice: (notice, kind, message) for notice, kind, message in told}.values())


def main() -> None:
    """Run many, and say how often each point was hit."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    seeds = range(given.first, given.first + given.runs)
    outcomes: Counter[str] = Counter()
    mine: list[int] = []
    for job in range(1, given.jobs):
        if os.fork() == 0:
            seeds = seeds[job :: given.jobs]
            break
        mine.append(job)
    else:
        seeds = seeds[:: given.jobs]
    for seed in seeds:
        outcomes[run(seed)] += 1
    sys.stdout.write("".join(f"{count:5d}  {point}\n" for point, count in outcomes.most_common()))
    sys.stdout.flush()
    if mine:
        failed = [status for _ in mine if (status := os.wait()[1])]
        if failed:
            sys.exit(1)
    elif given.jobs > 1:
        os._exit(0)


if __name__ == "__main__":
    main()
