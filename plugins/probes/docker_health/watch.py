"""Watching one engine: first events, then the inventory, then both while it answers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from tocsin import Sink
from tocsin.plugins.probes.docker_health.addresses import Addresses
from tocsin.plugins.probes.docker_health.containers import (
    Known,
    Registry,
    Slot,
    plain_name,
)
from tocsin.plugins.probes.docker_health.engine import Engine, EngineAway
from tocsin.plugins.probes.docker_health.facts import name_of, state_of
from tocsin.plugins.probes.docker_health.inspecting import (
    Happened,
    Inspected,
    Inspector,
    by_end,
    by_start,
    exit_code_of,
)
from tocsin.plugins.probes.docker_health.reasons import LOOP_RESTARTS, SETTLED
from tocsin.plugins.probes.docker_health.reconciler import Reconciler
from tocsin.plugins.probes.docker_health.redeploys import Redeploys
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

INSPECT_PATIENCE = 0.05
"""Seconds to wait for the document after a ``die`` event; then the event is used alone, because an
engine that cleans up after a container does not answer about it."""

FIRST_SAMPLE = 1.2
"""Seconds between the first two CPU readings of a container."""

FIRST_START = 3.0
"""Seconds after which a created container is inspected: a failed start has no event."""


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
        self._locks: dict[str, asyncio.Lock] = {}
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

    # Events

    def _on_event(self, happened: Happened) -> None:
        self._spawn(self._in_turn(happened))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @staticmethod
    async def _quietly(work: Coroutine[Any, Any, None]) -> None:
        """Ignore EngineAway: the ping detects and reports a lost connection."""
        with contextlib.suppress(EngineAway):
            await work

    async def _in_turn(self, happened: Happened) -> None:
        """Handle an event after the earlier ones of the same container; others run concurrently."""
        lock = self._locks.setdefault(happened.container, asyncio.Lock())
        name = happened.attributes.get("name")
        async with lock:
            with self._teller.about(happened.container, "an event about it", name):
                await self._handle(happened)
        if happened.kind == "destroy":
            self._locks.pop(happened.container, None)

    async def _handle(self, happened: Happened) -> None:
        container_id, kind, attributes = happened.container, happened.kind, happened.attributes
        found = self.registry.find(container_id)
        if kind == "destroy":
            self._reconciler.destroyed(container_id)
            if found is not None:
                self._teller.report(found[0], happened)
                self._redeploys.gone(container_id)
            return
        if found is None:
            answer = await self._inspector.inspect(container_id)
            if answer.document is None:
                return  # gone already; if there was no answer, the inventory finds it
            taken = self._reconciler.put(answer.document, answer.asked)
            if taken is None:
                return
            slot, known = taken
            if len(slot.members) > 1:
                self._redeploys.begin(slot)
            else:
                slot.replacing = 0.0
            await self._redeploys.tell_apart(slot)
            slot = self.registry.slot_of(known) or slot
            self._teller.discover(slot)
        else:
            slot, known = found
        at = happened.at
        if kind == "start" and known.has_ended_since(at, self._stream.began):
            return  # an outdated event: the stream begins before this connection
        self._teller.report(slot, happened)
        if kind == "kill":
            known.killed(attributes.get("signal", ""))
            return
        if kind == "oom":
            known.ran_out_of_memory(at)
            self._teller.tell(slot)
            return
        if kind == "stop":
            known.stopped(at)
        if kind == "die":
            known.ended(at, exit_code_of(attributes))
        elif kind == "start":
            known.started()
        elif kind == "health_status":
            slot.is_sick = happened.detail == "unhealthy"
        await self._refresh(slot, known, happened)

    async def _refresh(self, slot: Slot, known: Known, happened: Happened) -> None:
        kind, attributes = happened.kind, happened.attributes
        known.as_of = time.monotonic()
        asking = asyncio.create_task(self._inspector.inspect(known.id))
        await asyncio.wait({asking}, timeout=INSPECT_PATIENCE if kind == "die" else None)
        answer = asking.result() if asking.done() else None
        document = None if answer is None else answer.document
        if answer is not None and document is not None:
            known.take(document, answer.asked)
        elif kind == "die":
            known.document, known.misses = by_end(known.document, attributes), 0
            if answer is None:
                self._spawn(self._correct(slot, known, asking))
        elif kind == "start":
            known.document, known.misses = by_start(known.document, happened.at), 0
        if kind == "rename" and slot.key[0] != "compose":
            self._renamed(slot, known)
            return
        if plain_name(known.document) != name_of(known.document) and not slot.replacing:
            others = (member for member in slot.members.values() if member is not known)
            if not any(member.running for member in others):  # the new one may run already
                self._redeploys.begin(slot)
        if kind == "create":
            self._spawn(self._look_again(FIRST_START, slot, known))
        if kind == "start":
            slot.held, slot.replacing = False, 0.0
            await self._redeploys.tell_apart(slot)
            slot = self.registry.slot_of(known) or slot
            self._teller.discover(slot)  # its address may have changed
            if document is not None:
                await self._sampler.read([known])
            self._spawn(self._after(FIRST_SAMPLE, slot, known))
            if len(known.ends) >= LOOP_RESTARTS:
                self._spawn(self._after(SETTLED + 0.2, slot, None))
        if kind == "die":
            self._redeploys.died(slot, known)
        self._teller.tell(slot)

    async def _correct(self, slot: Slot, known: Known, asking: asyncio.Task[Inspected]) -> None:
        """Report a late answer about an end, unless something newer is known by then."""
        answer = await asking
        if answer.document is not None and known.take(answer.document, answer.asked):
            self._teller.tell(slot)

    def _renamed(self, slot: Slot, known: Known) -> None:
        self.registry.rename(slot, known.document)
        if not slot.members:
            self.registry.retire(slot)
            self.sink.retired(slot.target, f"renamed to {name_of(known.document)}")
            self._teller.arrange()
        found = self.registry.find(known.id)
        if found is not None:
            self._teller.discover(found[0])
            self._teller.tell(found[0])

    async def _look_again(self, seconds: float, slot: Slot, known: Known) -> None:
        await asyncio.sleep(seconds)
        if state_of(known.document) == "created":
            await self._inspector.renew(known)
            self._teller.tell(slot)

    async def _after(self, seconds: float, slot: Slot, known: Known | None) -> None:
        await asyncio.sleep(seconds)
        if known is not None:
            await self._sampler.read([known])
        self._teller.tell(slot)
