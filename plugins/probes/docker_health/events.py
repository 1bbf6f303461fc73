"""Handling of events: each updates a container's record, and reports the new state."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from attrs import define, field

from tocsin import Sink
from tocsin.plugins.probes.docker_health.containers import Known
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
from tocsin.plugins.probes.docker_health.registry import Registry, Slot, plain_name
from tocsin.plugins.probes.docker_health.sampling import Sampler
from tocsin.plugins.probes.docker_health.stream import Stream
from tocsin.plugins.probes.docker_health.telling import Teller

INSPECT_PATIENCE = 0.05
"""Seconds to wait for the document after a ``die`` event; then the event is used alone, because an
engine that cleans up after a container does not answer about it."""

FIRST_SAMPLE = 1.2
"""Seconds between the first two CPU readings of a container."""

FIRST_START = 3.0
"""Seconds after which a created container is inspected: a failed start has no event."""


@define(eq=False, kw_only=True)
class EventHandler:
    """Handles the events of one engine.

    Attributes:
        registry: all targets.
        inspector: inspects containers.
        reconciler: decides which containers are watched.
        redeploys: holds back ends that may be part of a redeploy.
        sampler: reads the counters of a container.
        stream: the stream that the events come from.
        teller: reports the states of targets.
        sink: is notified of renamed targets.
        spawn: runs a coroutine as a task.
    """

    _registry: Registry
    _inspector: Inspector
    _reconciler: Reconciler
    _redeploys: Redeploys
    _sampler: Sampler
    _stream: Stream
    _teller: Teller
    _sink: Sink
    _spawn: Callable[[Coroutine[Any, Any, None]], None]
    _locks: dict[str, asyncio.Lock] = field(init=False, factory=dict)

    async def handle(self, happened: Happened) -> None:
        """Handle an event after the earlier ones of the same container; others run concurrently."""
        lock = self._locks.setdefault(happened.container, asyncio.Lock())
        name = happened.attributes.get("name")
        async with lock:
            with self._teller.about(happened.container, "an event about it", name):
                await self._apply(happened)
        if happened.kind == "destroy":
            self._locks.pop(happened.container, None)

    async def _apply(self, happened: Happened) -> None:
        container_id, kind, attributes = happened.container, happened.kind, happened.attributes
        found = self._registry.find(container_id)
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
            slot = self._registry.slot_of(known) or slot
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
            slot = self._registry.slot_of(known) or slot
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
        self._registry.rename(slot, known.document)
        if not slot.members:
            self._registry.retire(slot)
            self._sink.retired(slot.target, f"renamed to {name_of(known.document)}")
            self._teller.arrange()
        found = self._registry.find(known.id)
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
