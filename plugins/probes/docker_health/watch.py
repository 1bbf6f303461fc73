"""Watching one engine: events first, then the inventory, then both for as long as it answers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from tocsin import Sink
from tocsin.plugins.probes.docker_health.containers import (
    Known,
    Registry,
    Slot,
    plain_name,
)
from tocsin.plugins.probes.docker_health.engine import (
    Engine,
    EngineAway,
    NoSuchContainer,
    Refused,
)
from tocsin.plugins.probes.docker_health.facts import (
    container_of,
    labels_of,
    name_of,
    state_of,
)
from tocsin.plugins.probes.docker_health.labels import is_on
from tocsin.plugins.probes.docker_health.reasons import LOOP_RESTARTS, SETTLED
from tocsin.plugins.probes.docker_health.redeploys import Redeploys
from tocsin.plugins.probes.docker_health.sampling import Sampler
from tocsin.plugins.probes.docker_health.telling import Teller

if TYPE_CHECKING:
    from tocsin.plugins.probes.docker_health.source import DockerSource

PING_EVERY = 5.0
PING_TIMEOUT = 4.0
RETRY = (0.5, 10.0)
INSPECT_PATIENCE = 0.05
"""Seconds for which the end of a container waits for its document; then the event must do, for an
engine that tidies up after a container does not answer about it."""

FIRST_SAMPLE = 1.2
"""Seconds between the first two CPU readings of a container."""

_TOLD = frozenset(
    "create start die kill stop oom pause unpause restart rename destroy update "
    "health_status".split()
)


class Watch:
    """One source's run."""

    def __init__(self, source: DockerSource, name: str, interval: float, sink: Sink) -> None:
        self.source = source
        self.name = name
        self.sink = sink
        self.engine = Engine(source.client)
        self._sampler = Sampler(self.engine)
        self.registry = Registry("" if name == source.autostart else f"@{name}")
        self._teller = Teller(name, sink, self.registry)
        self._redeploys = Redeploys(
            source.redeploy_grace, self.registry, self._teller, sink, self._spawn
        )
        self._interval = interval
        self._since: float | None = None
        self._seen: OrderedDict[tuple[int, str, str], None] = OrderedDict()
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Watch until cancelled, through any number of connections."""
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
                    f"the Docker Engine at {self.source.address} cannot be asked: {why}"
                )
            self.engine.hang_up()
            self._stop_tasks()
            if time.monotonic() - began > RETRY[1]:
                backoff = RETRY[0]
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, RETRY[1])

    def close(self) -> None:
        """Let go of everything."""
        self._stop_tasks()
        self.engine.close()

    def _stop_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _connection(self) -> None:
        await self.engine.connect()
        empty = self._redeploys.forget()
        for slot in self.registry.slots.values():
            for member in slot.members.values():
                member.blind = True  # who knows what happened meanwhile
        self._ended.clear()
        self.engine.listen(self._since, self._on_event)
        self._since = self._since or time.time()
        await self._inventory()
        for slot in empty:
            self._redeploys.retire(slot)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._until_the_stream_ends())
            group.create_task(self._ping())
            group.create_task(self._reconcile())
            group.create_task(self._sample())

    async def _until_the_stream_ends(self) -> None:
        await self._ended.wait()
        raise EngineAway("its stream of events has ended")

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_EVERY)
            try:
                async with asyncio.timeout(PING_TIMEOUT):
                    await self.engine.call("ping")
            except TimeoutError:
                raise EngineAway("it does not answer in time") from None
            except Refused as error:
                raise EngineAway(str(error)) from None

    async def _reconcile(self) -> None:
        while True:
            await asyncio.sleep(self.source.reconcile)
            await self._inventory()

    async def _sample(self) -> None:
        await self._sampler.read(self._running())
        await asyncio.sleep(FIRST_SAMPLE)
        while True:
            await self._sampler.read(self._running())
            for slot in list(self.registry.slots.values()):
                self._teller.tell(slot)
            await asyncio.sleep(self._interval)

    def _running(self) -> list[Known]:
        current = [slot.current for slot in self.registry.slots.values()]
        return [known for known in current if known is not None and known.running]

    # Inventory

    async def _inventory(self) -> None:
        listed = await self._ask("containers", all=True)
        ids = [str(item["Id"]) for item in listed]
        documents = await asyncio.gather(*(self._inspect(each) for each in ids))
        slots: dict[str, Slot] = {}
        for document in documents:
            if document is not None and self._wanted(document):
                slot, _ = self._put(document)
                slots[slot.target] = slot
        for slot in list(self.registry.slots.values()):
            for gone in [member for member in slot.members if member not in ids]:
                self._redeploys.gone(gone)
        for slot in slots.values():
            self._teller.discover(slot)
        self.sink.synced([slot.target for slot in self.registry.slots.values()])
        for slot in slots.values():
            await self._look_back(slot)
            self._teller.tell(slot)

    async def _ask(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A call that the whole watch depends on."""
        try:
            return await self.engine.call(method, *args, **kwargs)
        except (Refused, NoSuchContainer) as error:
            raise EngineAway(str(error)) from error

    async def _inspect(self, container_id: str) -> dict[str, Any] | None:
        with contextlib.suppress(NoSuchContainer, Refused):
            document: dict[str, Any] = await self.engine.call("inspect_container", container_id)
            return document
        return None

    def _wanted(self, document: dict[str, Any]) -> bool:
        return is_on(labels_of(document)) and self.source.wants(plain_name(document))

    def _put(self, document: dict[str, Any]) -> tuple[Slot, Known]:
        found = self.registry.find(str(document["Id"]))
        before = None if found is None else found[1].document
        slot, known = self.registry.put(document)
        if before is not None and _start_of(before) != _start_of(document) and known.blind:
            known.started()
            known.blind = True
        return slot, known

    async def _look_back(self, slot: Slot) -> None:
        """For an end nobody witnessed, ask the engine for the events it still remembers."""
        known = slot.current
        if known is None or not known.blind or state_of(known.document) != "exited":
            return
        facts = container_of(known.document, known.heard())
        known.blind = True
        if facts.finished_at is None:
            return
        finished = facts.finished_at.timestamp()
        with contextlib.suppress(Refused, NoSuchContainer):
            events = await self.engine.run(self._past, known.id, finished)
            for event in events:
                if event.get("Action") == "kill":
                    known.killed(str(event["Actor"]["Attributes"].get("signal", "")))
                elif event.get("Action") == "oom":
                    known.oom = True
                elif event.get("Action") == "die":
                    known.blind = False

    def _past(self, container_id: str, finished: float) -> list[dict[str, Any]]:
        assert self.engine.api is not None  # noqa: S101
        with contextlib.suppress(Exception):
            stream = self.engine.api.events(
                since=int(finished) - 15,
                until=int(finished) + 2,
                filters={"container": container_id},
                decode=True,
            )
            return list(stream)
        return []

    # Events

    def _on_event(self, event: dict[str, Any] | None) -> None:
        if event is None:
            self._ended.set()
            return
        action, container_id = str(event.get("Action", "")), str(event["Actor"]["ID"])
        kind = action.partition(":")[0]
        if kind not in _TOLD:
            return
        key = (int(event.get("timeNano", 0)), container_id, action)
        if key in self._seen:
            return  # told before a reconnect
        self._seen[key] = None
        if len(self._seen) > 4096:
            self._seen.popitem(last=False)
        self._since = max(self._since or 0, event.get("timeNano", 0) / 1e9)
        self._spawn(self._in_turn(container_id, kind, event))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @staticmethod
    async def _quietly(work: Coroutine[Any, Any, None]) -> None:
        """An engine that goes away in the middle is noticed, and told, by the ping."""
        with contextlib.suppress(EngineAway):
            await work

    async def _in_turn(self, container_id: str, kind: str, event: dict[str, Any]) -> None:
        """Events of one container one after the other, of several at once."""
        lock = self._locks.setdefault(container_id, asyncio.Lock())
        async with lock:
            await self._handle(container_id, kind, event)
        if kind == "destroy":
            self._locks.pop(container_id, None)

    async def _handle(self, container_id: str, kind: str, event: dict[str, Any]) -> None:
        attributes = event["Actor"].get("Attributes") or {}
        found = self.registry.find(container_id)
        if kind == "destroy":
            if found is not None:
                self._teller.report(found[0], kind, event)
                self._redeploys.gone(container_id)
            return
        if found is None:
            document = await self._inspect(container_id)
            if document is None or not self._wanted(document):
                return
            slot, known = self._put(document)
            slot.replacing = len(slot.members) > 1
            self._teller.discover(slot)
        else:
            slot, known = found
        self._teller.report(slot, kind, event)
        if kind == "kill":
            known.killed(str(attributes.get("signal", "")))
            return
        if kind == "oom":
            known.oom = True
            return
        if kind == "die":
            known.ended()
        elif kind == "start":
            known.started()
        await self._refresh(slot, known, kind, attributes)

    async def _refresh(
        self, slot: Slot, known: Known, kind: str, attributes: dict[str, Any]
    ) -> None:
        asked = asyncio.create_task(self._inspect(known.id))
        await asyncio.wait({asked}, timeout=INSPECT_PATIENCE if kind == "die" else None)
        document = asked.result() if asked.done() else None
        if document is not None:
            known.document = document
        elif kind == "die":
            known.document = _ended(known.document, attributes)
            self._spawn(self._correct(slot, known, known.document, asked))
        if kind == "rename" and slot.key[0] == "name":
            self._renamed(slot, known)
            return
        if plain_name(known.document) != name_of(known.document):
            slot.replacing = True
        if kind == "start":
            slot.replacing = slot.held = False
            self._teller.discover(slot)  # it may have another address
            await self._sampler.read([known])
            self._spawn(self._after(FIRST_SAMPLE, slot, known))
            if len(known.ends) >= LOOP_RESTARTS:
                self._spawn(self._after(SETTLED + 0.2, slot, None))
        if kind == "die":
            self._redeploys.died(slot, known)
        self._teller.tell(slot)

    async def _correct(
        self, slot: Slot, known: Known, told: dict[str, Any], asked: asyncio.Task[Any]
    ) -> None:
        """Tell what the engine says of an end after all, where nothing newer is known by then."""
        document = await asked
        if document is not None and known.document is told:
            known.document = document
            self._teller.tell(slot)

    def _renamed(self, slot: Slot, known: Known) -> None:
        self.registry.rename(slot, known.document)
        if not slot.members:
            self.registry.retire(slot)
            self.sink.retired(slot.target, f"renamed to {name_of(known.document)}")
        found = self.registry.find(known.id)
        if found is not None:
            self._teller.discover(found[0])
            self._teller.tell(found[0])

    async def _after(self, seconds: float, slot: Slot, known: Known | None) -> None:
        await asyncio.sleep(seconds)
        if known is not None:
            await self._sampler.read([known])
        self._teller.tell(slot)


def _ended(document: dict[str, Any], attributes: dict[str, Any]) -> dict[str, Any]:
    """A container's document as far as the event of its end tells it."""
    code = int(attributes.get("exitCode") or 0)
    state = {**(document.get("State") or {}), "Status": "exited", "Pid": 0, "ExitCode": code}
    return {**document, "State": state}


def _start_of(document: dict[str, Any]) -> str:
    return str((document.get("State") or {}).get("StartedAt"))
