"""A real API over a real store, on a thread of its own: what the pages are tried against."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

from attrs import evolve

from tests.api.conftest import Stack, StackActions
from tests.conftest import eventually
from tests.dashboard.past import HABITS, MB, fill, usage
from tests.kept import flush, store_of
from tests.running import free_port
from tocsin.core.contracts.container import Container, Reason
from tocsin.core.contracts.model import LogLine, Result
from tocsin.core.contracts.route import Role
from tocsin.core.http import ApiServer


class TownActions(StackActions):
    """Containers write the log lines a test gives them."""

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        assert isinstance(self.stack, TownStack)
        return self.stack.lines.get(target, [])[-lines:]


class TownStack(Stack):
    """A stack whose containers write the log lines a test gives them."""

    lines: dict[str, list[LogLine]]

    def __init__(self, directory: Path, database: str) -> None:
        super().__init__(directory, database)
        self.actions = TownActions(self)


class Town:
    """The stack behind a real HTTP server; ``calls`` counts the requests it was asked. No answer
    passes the ``gate`` while it is closed."""

    def __init__(self, directory: Path, database: str) -> None:
        self.directory = directory
        self._database = database
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.calls: Counter[str] = Counter()
        self.gate = asyncio.Event()
        self.gate.set()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def do(self, what: Coroutine[Any, Any, Any]) -> Any:
        """Run something in the stack's own loop."""
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(60)

    def act(self, function: Any, *args: Any, **fields: Any) -> Any:
        """Call something in the stack's own loop."""

        async def call() -> Any:
            return function(*args, **fields)

        return self.do(call())

    def start(self) -> None:
        """Bring it up."""
        self._thread.start()
        self.do(self._start())

    async def _start(self) -> None:
        self.stack = TownStack(self.directory, self._database)
        self.stack.lines = {}
        await self.stack.history.start()
        await flush(self.stack.history)  # the schema is there
        await self.stack.alerting.start()
        self.tokens = {role.value: self.stack.tokens.create(role.value, role) for role in Role}
        await self.open()

    async def open(self) -> None:
        """Let the API answer."""
        self.server = ApiServer(self.stack)
        make = self.server.application

        def counting() -> Any:
            app = make()

            async def count(request: Any, _: Any) -> None:
                self.calls[request.path] += 1
                await self.gate.wait()

            app.on_response_prepare.append(count)
            return app

        self.server.application = counting  # type: ignore[method-assign]
        await self.server.start("127.0.0.1", self.port)

    async def close(self) -> None:
        """Let the API be gone."""
        await self.server.stop()

    def reach(self, port: int) -> None:
        """Wait until something listens."""

        async def listens() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return False
            writer.close()
            return True

        self.do(eventually(listens, 60))

    def stop(self) -> None:
        """Take it down."""
        self.do(self._stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)

    async def _stop(self) -> None:
        await self.server.stop()
        await self.stack.alerting.stop()
        await self.stack.history.stop()

    # What there is to be seen

    def put(self, name: str, result: Result, kind: str = "container", **fields: Any) -> None:
        """A target with one check, and what it saw."""
        check, probe = ("docker", "docker-health") if kind == "container" else ("http", "http")

        def add() -> None:
            if name not in self.stack.state.targets:
                self.stack.add(name, kind, check, probe, **fields)
            self.stack.see(name, check, result)

        self.act(add)

    def trade_system(self) -> None:
        """The plan's containers, all in order but one whose memory is short."""
        rng = random.Random(3)
        for name in HABITS:
            cpu, memory = usage(name, self.stack.clock.now(), rng, None)
            self.put(
                name, Result.up("running", container=running(cpu, memory)),
                critical=name in ("postgres", "nginx", "fastapi-prod"),
                depends_on=() if name in ("postgres", "tradingview") else ("postgres",),
                expected={"cpu_percent": HABITS[name].cpu * 2,
                          "memory_bytes": HABITS[name].memory * 1.3},
            )  # fmt: skip
        done = evolve(running(0, 0), state="exited", reason=Reason.COMPLETED, exit_code=0,
                      cpu_percent=None, memory_bytes=None, memory_percent=None)  # fmt: skip
        self.put("certbot", Result.up("completed", container=done))
        self.put("host", Result.up("61 % of / is free", metrics={"disk_free_percent": 61.0}),
                 "host")  # fmt: skip

    def history(self, days: float) -> None:
        """The past of the trade system."""
        self.do(fill(store_of(self.stack.history), self.stack.clock.now(), days))


def running(cpu: float = 5.0, memory: int = 100 * MB, **fields: Any) -> Container:
    """A container that runs."""
    return Container(
        id="abc", image="busybox:1.36", state="running", reason=Reason.RUNNING, project="shop",
        service="web", cpu_percent=cpu, memory_bytes=memory, memory_limit_bytes=1024 * MB,
        memory_percent=memory / 1024e4, network_rx_bytes=4_000_000, network_tx_bytes=900_000,
        restart_count=2, ports=("8003->8000/tcp",), **fields,
    )  # fmt: skip


def log_lines(town: Town, texts: list[str]) -> list[LogLine]:
    """Lines, a second apart."""
    now = town.stack.clock.now()
    return [
        LogLine(text=text, at=now - timedelta(seconds=len(texts) - n), stream="stdout")
        for n, text in enumerate(texts)
    ]
