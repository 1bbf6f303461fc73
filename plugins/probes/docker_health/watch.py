"""Watching one engine: first events, then the inventory, then both while it answers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from tocsin import Sink
from tocsin.plugins.probes.docker_health.addresses import Addresses
from tocsin.plugins.probes.docker_health.containers import Known
from tocsin.plugins.probes.docker_health.engine import Engine
from tocsin.plugins.probes.docker_health.errors import EngineAway
from tocsin.plugins.probes.docker_health.events import FIRST_SAMPLE, EventHandler
from tocsin.plugins.probes.docker_health.inspecting import Happened, Inspector
from tocsin.plugins.probes.docker_health.reconciler import Reconciler
from tocsin.plugins.probes.docker_health.redeploys import Redeploys
from tocsin.plugins.probes.docker_health.registry import Registry
from tocsin.plugins.probes.docker_health.sampling import Sampler
from tocsin.plugins.probes.docker_health.stream import Stream
from tocsin.plugins.probes.docker_health.telling import Teller

if TYPE_CHECKING:
    from tocsin.plugins.probes.docker_health.source import DockerSource

PING_EVERY = 5.0
PING_TIMEOUT = 4.0
VERIFY_EVERY = 5.0
"""Seconds between two checks that the stream delivered all events."""

RETRY = (0.5, 10.0)
"""Shortest and longest pause between two connections, in seconds."""


class Watch:
    """One run of a source.

    Args:
        source: the options.
        name: name of the source.
        interval: seconds between two reports of all states.
        sink: receives the reports.
    """

    def __init__(self, source: DockerSource, name: str, interval: float, sink: Sink) -> None:
        self.source = source
        self.name = name
        self.sink = sink
        self.engine = Engine(source.client)
        self._sampler = Sampler(self.engine)
        self.registry = Registry("" if name == source.autostart else f"@{name}")
        addresses = Addresses(source.address)
        self._teller = Teller(name, sink, self.registry, addresses, self.engine)
        self._inspector = Inspector(self.engine, self.registry)
        self._redeploys = Redeploys(
            self.engine,
            source.redeploy_grace,
            self.registry,
            self._teller,
            self._inspector,
            sink,
            self._spawn,
        )
        self._reconciler = Reconciler(
            self.engine,
            self._inspector,
            self.registry,
            addresses,
            self._teller,
            self._redeploys,
            sink,
            source.wants,
        )
        self._interval = interval
        self._stream = Stream(self.engine, name, self._on_event, self._reconciler.take)
        self._events = EventHandler(
            registry=self.registry,
            inspector=self._inspector,
            reconciler=self._reconciler,
            redeploys=self._redeploys,
            sampler=self._sampler,
            stream=self._stream,
            teller=self._teller,
            sink=sink,
            spawn=self._spawn,
        )
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Watch the engine until cancelled; connect again after each lost connection."""
        backoff = RETRY[0]
        while True:
            began = time.monotonic()
            try:
                await self._connection()
            except* EngineAway as away:
                why = str(away.exceptions[0])
                while isinstance(away.exceptions[0], BaseExceptionGroup):
                    away = away.exceptions[0]
                    why = str(away.exceptions[0])
                self.sink.impaired(
                    f"the Docker Engine at {self.source.address} cannot be queried: {why}"
                )
            self.engine.hang_up()
            self._stop_tasks()
            if time.monotonic() - began > RETRY[1]:
                backoff = RETRY[0]
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, RETRY[1])

    def close(self) -> None:
        """Release all tasks, threads and connections."""
        self._stop_tasks()
        self.engine.close()

    def _stop_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _connection(self) -> None:
        await self.engine.connect()
        now = await self.engine.now()
        empty = self._redeploys.forget()
        for slot in self.registry.slots.values():
            for member in slot.members.values():
                member.blind = True  # events may have been missed
                member.misses = 0
        self._stream.connect(now)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._until_the_stream_ends())
            group.create_task(self._ping())
            group.create_task(self._verify())
            await self._reconciler.take()
            for slot in empty:
                self._redeploys.retire(slot)
            group.create_task(self._reconcile())
            group.create_task(self._sample())

    async def _until_the_stream_ends(self) -> None:
        """Open the stream again when it ends while the engine still answers; a proxy may close it.

        The new stream begins at the last event; an inventory finds what the engine has forgotten.
        """
        pause = 0.0
        while True:
            began = time.monotonic()
            await self._stream.ended.wait()
            await self._answer()
            await asyncio.sleep(pause)
            self._stream.open_again()
            await self._reconciler.take()
            is_short = time.monotonic() - began < RETRY[1]
            pause = min(max(RETRY[0], 2 * pause), RETRY[1]) if is_short else 0.0

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_EVERY)
            await self._answer()

    async def _answer(self) -> None:
        """Check that the engine answers; raise EngineAway if it does not."""
        try:
            async with asyncio.timeout(PING_TIMEOUT):
                await self.engine.call("ping")
        except TimeoutError:
            raise EngineAway("it does not answer in time") from None

    async def _verify(self) -> None:
        while True:
            await self._stream.verify(await self.engine.now())
            await asyncio.sleep(VERIFY_EVERY)

    async def _reconcile(self) -> None:
        while True:
            await asyncio.sleep(self.source.reconcile)
            await self._stream.look()

    async def _sample(self) -> None:
        await self._sampler.read(self._running())
        await asyncio.sleep(FIRST_SAMPLE)
        while True:
            await self._sampler.read(self._running())
            self._teller.tell_all(list(self.registry.slots.values()))
            await self._redeploys.end_services()
            await asyncio.sleep(self._interval)

    def _running(self) -> list[Known]:
        current = [slot.current for slot in self.registry.slots.values()]
        return [k for k in current if k is not None and k.running and not k.mute]

    def _on_event(self, happened: Happened) -> None:
        self._spawn(self._events.handle(happened))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @staticmethod
    async def _quietly(work: Coroutine[Any, Any, None]) -> None:
        """Ignore EngineAway: the ping detects and reports a lost connection."""
        with contextlib.suppress(EngineAway):
            await work
