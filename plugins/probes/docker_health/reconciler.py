"""The inventory: inspects all containers of the engine, and finds those that no longer exist."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tocsin import Sink
from tocsin.plugins.probes.docker_health.addresses import Addresses
from tocsin.plugins.probes.docker_health.containers import MUTE_AFTER, Known
from tocsin.plugins.probes.docker_health.engine import Engine, part
from tocsin.plugins.probes.docker_health.errors import (
    EngineAway,
    NoSuchContainer,
    Refused,
    Unanswered,
)
from tocsin.plugins.probes.docker_health.facts import (
    container_of,
    is_build_step,
    labels_of,
    state_of,
)
from tocsin.plugins.probes.docker_health.inspecting import Happened, Inspector, by_list
from tocsin.plugins.probes.docker_health.labels import is_on
from tocsin.plugins.probes.docker_health.redeploys import Redeploys
from tocsin.plugins.probes.docker_health.registry import Registry, Slot, plain_name
from tocsin.plugins.probes.docker_health.telling import Teller


class Reconciler:
    """Updates the registry from the engine's list of containers.

    Events are handled meanwhile, and take precedence because they are newer.

    Args:
        engine: the connection.
        inspector: inspects the listed containers.
        registry: is updated.
        addresses: is updated first: it finds out where tocsin runs.
        teller: reports targets and their states.
        redeploys: handles containers that no longer exist.
        sink: is notified when the inventory is complete.
        wants: returns whether a container of the given name is to be watched.
    """

    def __init__(
        self,
        engine: Engine,
        inspector: Inspector,
        registry: Registry,
        addresses: Addresses,
        teller: Teller,
        redeploys: Redeploys,
        sink: Sink,
        wants: Callable[[str], bool],
    ) -> None:
        self._engine = engine
        self._inspector = inspector
        self._registry = registry
        self._addresses = addresses
        self._teller = teller
        self._redeploys = redeploys
        self._sink = sink
        self._wants = wants
        self._destroyed: set[str] = set()
        """Ids of containers that were destroyed since this inventory began."""
        self._taking = asyncio.Lock()

    async def take(self) -> frozenset[str]:
        """Take an inventory, and report targets and states.

        Returns:
            The ids of containers that appeared, disappeared, started or ended since the last
            inventory and whose change no event has reported so far.

        Raises:
            EngineAway: the engine cannot be queried.
        """
        async with self._taking:
            return await self._take()

    async def _take(self) -> frozenset[str]:
        await self._addresses.look(self._engine)
        self._destroyed.clear()
        before = self._registry.ids()
        listed = await self._engine.call("containers", all=True)
        if not isinstance(listed, list):
            raise EngineAway("its list of containers is not a list")
        items = {str(item["Id"]): item for each in listed if (item := part(each)).get("Id")}
        answers = await asyncio.gather(*map(self._inspector.inspect, items))
        slots: dict[str, Slot] = {}
        changed = before - items.keys() - self._destroyed
        for item, answer in zip(items.values(), answers, strict=True):
            name = by_list(item)["Name"]
            was = self._run_of(answer.id)
            with self._teller.about(answer.id, "the answer of the engine", name):
                if answer.document is not None:
                    if not isinstance(answer.document.get("Name"), str):
                        answer.document["Name"] = name
                    self.put(answer.document, answer.asked)
                elif not answer.silent:
                    continue  # gone; an event reports it
                elif self._registry.find(answer.id) is None:
                    self._put_unseen(by_list(item), answer.asked)
            if (found := self._registry.find(answer.id)) is not None:
                slots[found[0].target] = found[0]
                if self._run_of(answer.id) != was:
                    changed |= {answer.id}
        for gone in before - items.keys():
            self._redeploys.gone(gone)
        for slot in slots.values():
            await self._redeploys.tell_apart(slot)
        every = {**dict.fromkeys(slots.values()), **self._teller.rearranged()}
        for slot in every:
            self._teller.discover_alone(slot)
            await asyncio.sleep(0)  # labels take time: let other tasks run
        for service in dict.fromkeys(slot.service for slot in every):
            self._teller.discover_service(service)
            await asyncio.sleep(0)
        self._sink.synced(self._registry.targets())
        for slot in every:
            if slot.current is not None:
                with self._teller.about(slot.current.id, "its past events"):
                    await self._look_back(slot)
            self._teller.tell_alone(slot)
            await asyncio.sleep(0)
        self._teller.tell_services(every)
        return frozenset(changed)

    def _run_of(self, container_id: str) -> tuple[bool, str] | None:
        """Return whether a container runs, and its last start; None if it is unknown."""
        found = self._registry.find(container_id)
        return None if found is None else (found[1].running, _start_of(found[1].document))

    def put(self, document: dict[str, Any], asked: float) -> tuple[Slot, Known] | None:
        """Store a container's document that was requested at the monotonic time ``asked``.

        Returns:
            Its slot and record; None if it is not to be watched, or was destroyed meanwhile.
        """
        container_id = str(document["Id"])
        if container_id in self._destroyed or not self._wanted(document):
            return None
        found = self._registry.find(container_id)
        before = None if found is None else found[1].document
        slot, known = self._registry.put(document, asked)
        if before is not None and known.blind and _start_of(before) != _start_of(known.document):
            known.started()
            known.blind = True
        return slot, known

    def _put_unseen(self, document: dict[str, Any], asked: float) -> None:
        """Store a container that is listed, but about which the engine does not answer."""
        if (found := self.put(document, asked)) is not None:
            found[1].misses = MUTE_AFTER

    def _wanted(self, document: dict[str, Any]) -> bool:
        if is_build_step(document):
            return False
        return is_on(labels_of(document)) and self._wants(plain_name(document))

    def destroyed(self, container_id: str) -> None:
        """Note that a container was destroyed; an inventory that is under way may still list it."""
        self._destroyed.add(container_id)

    async def _look_back(self, slot: Slot) -> None:
        """Explain an end that was not observed by the past events that the engine still keeps."""
        known = slot.current
        if known is None or not known.blind or state_of(known.document) != "exited":
            return
        facts = container_of(known.document, known.heard())
        if facts.finished_at is None:
            return
        as_of, finished = known.as_of, facts.finished_at.timestamp()
        try:
            events = await self._engine.past(finished - 15, finished + 2, container=known.id)
        except (Refused, Unanswered, NoSuchContainer):
            return
        if known.as_of != as_of:
            return  # newer information came meanwhile
        known.died_at = finished  # now, because the events may come in any order
        for event in filter(None, map(Happened.of, events)):
            if event.kind == "kill":
                known.killed(event.attributes.get("signal", ""))
            elif event.kind == "oom":
                known.ran_out_of_memory(event.at)
            elif event.kind == "stop":
                known.stopped(event.at)
            elif event.kind == "die":
                known.died(event.at)


def _start_of(document: dict[str, Any]) -> str:
    return str(part(document, "State").get("StartedAt"))
