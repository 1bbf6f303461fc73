"""The world of one run: a tocsin under test and the peers it talks to."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import psutil
from attrs import evolve

from tests.faults.fault import Fault
from tests.faults.peers import HarnessError, ReceiverPeer, TargetsPeer, marked
from tests.faults.records import Life, Outage
from tests.faults.script import TARGETS, Script
from tests.running import Running
from tests.store.conftest import Server

CHANNELS = ("ops", "pager")
STOP_PATIENCE = 40.0
"""Seconds for an orderly stop; its own deadline is core.cli.run.STOP_DEADLINE, 20 s."""

_CONFIG = """\
interval = "1s"
[alerts]
cooldown = "1h"
escalate_after = 0
window = "1s"
hold = "{hold}"
[rules.health_check_failed]
failures = 1
"""


class World:
    """Peers and tocsin; leaving the block ends all of them.

    ``receivers`` by channel, ``targets``, ``postgres``: the peers. ``data``: the data directory,
    ``prefix``: a program with its arguments that executes ``tocsin run``, ``database``: the host
    and port of PostgreSQL in place of its socket, ``ports``: those of receivers by channel; a row
    may set these in ``prepare``. ``planted``: secrets of the configuration that nobody must see.
    ``lives``, ``outages``, ``heals``, ``health``: what happened, see ``records``.
    """

    def __init__(self, directory: Path, script: Script, fault: Fault) -> None:
        self.directory, self.script, self.fault = directory, script, fault
        self.data = directory / "data"
        self.mark = uuid.uuid4().hex
        self.planted = {
            name: secrets.token_hex(12)
            for name in ("database password", "webhook path", "target header", "webhook key")
        }
        self.receivers: dict[str, ReceiverPeer] = {}
        self.lives: list[Life] = []
        self.outages: list[Outage] = []
        self.heals: list[float] = []
        self.health: list[tuple[float, bool]] = []
        self.deaths: list[str] = []
        self.kills: list[Path] = []
        """Directories with the journal as each kill left it."""
        self.dropped = 0
        """Rows of history that tocsin says it has dropped."""
        self.prefix: list[str] = []
        self.database = ""
        self.ports: dict[str, int] = {}
        self.main = Running.main
        """The Python program that is tocsin."""
        self._running: Running | None = None
        self._stack = ExitStack()
        self._over = threading.Event()

    def __enter__(self) -> Self:
        try:
            self._bring_up()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _bring_up(self) -> None:
        self._stack.callback(self.end_processes)
        # A short path: PostgreSQL's socket lies in it.
        home = Path(tempfile.mkdtemp(prefix="tfpg"))
        self._stack.callback(shutil.rmtree, home, ignore_errors=True)
        self.postgres = Server(home / "pg")
        self._stack.callback(self._stop_postgres)
        self.dsn = asyncio.run(self.postgres.start())
        key = f"{self.planted['webhook key']}{self.planted['webhook key']}"
        self._key = "whsec_" + key  # hexadecimal digits are base64, too
        for channel in CHANNELS:
            peer = ReceiverPeer(self.directory, channel, self._key, self.fault.env(self, channel))
            self.receivers[channel] = peer
            self._stack.callback(peer.close)
        self.targets = TargetsPeer(self.directory, json.dumps(self.script.failures))
        self._stack.callback(self.targets.close)
        self.fault.prepare(self, self._stack)
        watch = threading.Thread(target=self._watch_health, daemon=True)
        watch.start()
        self._stack.callback(watch.join, 5)
        self._stack.callback(self._over.set)

    def _stop_postgres(self) -> None:
        self.postgres.thaw()
        asyncio.run(self.postgres.stop())

    def end_processes(self) -> None:
        """End tocsin, and all that it began."""
        for process in marked(self.mark):
            process.kill()
            process.wait(10)

    # tocsin

    def config(self) -> str:
        """The text of tocsin.toml."""
        parts = [_CONFIG.format(hold=self.fault.hold), self.fault.config(self)]
        for channel, peer in self.receivers.items():
            port = self.ports.get(channel, peer.port)
            parts.append(
                f'[channels.{channel}]\nnotifier = "webhook"\nallow_private = true\n'
                f'url = "http://127.0.0.1:{port}/{self.planted["webhook path"]}"\n'
                f'secret = "{self._key}"\nmax_messages = 100000\n'
            )
        for target in TARGETS:
            parts.append(
                f'[targets.{target}.checks.http]\nprobe = "http"\nretries = 0\n'
                f'url = "http://127.0.0.1:{self.targets.port}/{target}"\n'
                f'headers = {{ X-Key = "{self.planted["target header"]}" }}\n'
            )
        return "".join(parts)

    @property
    def running(self) -> Running:
        """The present tocsin, or the last one."""
        if self._running is None:
            raise HarnessError("tocsin was not started yet")
        return self._running

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """Its process."""
        process = self.running.process
        assert process is not None
        return process

    def spawn(self) -> None:
        """Start tocsin; it is not awaited."""
        place = self.directory / f"life-{len(self.lives) + 1}"
        place.mkdir()
        password = self.planted["database password"]
        env = {
            "TOCSIN_FAULTS_RUN": self.mark,
            "TOCSIN_DATA_DIR": str(self.data),
            "DATABASE_URL": self.dsn.replace("postgres@/", f"postgres:{password}@{self.database}/"),
            **self.fault.env(self, "tocsin"),
        }
        running = Running(place, self.config(), env)
        running.data = self.data
        running.prefix, running.main = self.prefix, self.main
        self.lives.append(Life(time.monotonic()))
        running.spawn()
        self._running = running

    def restart(self) -> None:
        """Start tocsin after a kill: from now on everything can be well again."""
        self.spawn()
        self.heals.append(self.lives[-1].begun)

    def kill(self) -> None:
        """SIGKILL. The journal is kept as it is then, once the receivers have dealt with what was
        on its way to them."""
        self.process.kill()
        self.process.wait()
        self._ended(killed=True)
        time.sleep(0.1)  # what the kernel still holds reaches the receivers
        for peer in self.receivers.values():
            peer.caught_up()
        place = self.directory / f"kill-{len(self.kills) + 1}"
        place.mkdir()
        for file in self.data.glob("journal.db*"):
            shutil.copy(file, place)
        self.kills.append(place)

    def stop(self) -> None:
        """An orderly stop."""
        process = self.process
        if process.poll() is not None:
            self.deaths.append(f"tocsin ended by itself, with status {process.returncode}")
            self._ended()
            return
        self._ended()
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            self.deaths.append(f"an orderly stop did not end within {STOP_PATIENCE:g} s")
            process.kill()
            process.wait()
            return
        if status != 0:
            self.deaths.append(f"an orderly stop ended with status {status}")

    def _ended(self, *, killed: bool = False) -> None:
        self.lives[-1] = evolve(self.lives[-1], ended=time.monotonic(), killed=killed)

    # The fault

    def break_with(self, fault: Fault) -> None:
        """Inject the fault, and note since when it is there."""
        fault.inject(self)
        self.outages.append(
            Outage(time.monotonic(), float("inf"), fault.deaf, fault.blind, fault.rings)
        )

    def heal_from(self, fault: Fault) -> None:
        """Heal it, and note until when it was there and since when it is gone."""
        self.outages[-1] = evolve(self.outages[-1], ended=time.monotonic())
        fault.heal(self)
        self.heals.append(time.monotonic())

    # Waiting

    def until(self, condition: Callable[[], object], seconds: float, what: str) -> None:
        """Wait for something that the harness needs. Raises HarnessError."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None:
                raise HarnessError(f"tocsin ended before {what}: {self.running.output()[-2000:]}")
            if time.monotonic() > deadline:
                raise HarnessError(f"not within {seconds:g} s: {what}")
            time.sleep(0.1)

    def is_well(self) -> bool:
        """Whether /health said ``ok`` when it was asked last, after the last heal."""
        since = max([*self.heals, self.lives[-1].begun])
        return bool(self.health) and self.health[-1][1] and self.health[-1][0] > since

    def _watch_health(self) -> None:
        while not self._over.wait(0.2):
            asked = time.monotonic()
            url = self._url()
            try:
                if not url:
                    raise OSError("it has not said where its API is")
                with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
                    said = json.loads(answer.read())
                # Until the database was met the component says ok, with a message.
                met = said["components"]["database"]["message"] == ""
                ok = said["status"] == "ok" and met
            except (OSError, ValueError, KeyError):
                ok = False
            self.health.append((asked, ok))

    def _url(self) -> str:
        """Where the API of the present process is, once it has said so."""
        running = self._running
        if running is None or not running.log.exists():
            return ""
        _, _, rest = running.output().partition("  API      ")
        return rest.split(" ", 1)[0].strip() if " " in rest else ""

    def open_handles(self) -> tuple[int, int]:
        """Descriptors and threads of tocsin."""
        process = psutil.Process(self.process.pid)
        return process.num_fds(), process.num_threads()
