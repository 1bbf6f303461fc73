"""Ends that may be no ends: Compose making a container anew; and targets that are gone for good."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from tocsin import Sink, clean_text
from tocsin.plugins.probes.docker_health.containers import Known, Registry, Slot
from tocsin.plugins.probes.docker_health.engine import (
    Engine,
    NoSuchContainer,
    Refused,
    Unanswered,
    part,
)
from tocsin.plugins.probes.docker_health.facts import SERVICE, labels_of
from tocsin.plugins.probes.docker_health.inspecting import Inspector
from tocsin.plugins.probes.docker_health.services import Service
from tocsin.plugins.probes.docker_health.telling import Teller

REDEPLOY_HINT = 0.5
"""Seconds within which Compose, having stopped a container, shows that it makes it anew."""

_WANTED = ("accepted", "ready", "running")
"""What Swarm desires of a task that is to run; "ready" while it waits to start it again."""


class Redeploys:
    """Holds back the end of a container that may be made anew, for at most ``grace`` seconds, and
    retires a target that stays without one for as long. ``spawn`` runs work beside."""

    def __init__(
        self,
        engine: Engine,
        grace: float,
        registry: Registry,
        teller: Teller,
        inspector: Inspector,
        sink: Sink,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._engine = engine
        self._grace = grace
        self._registry = registry
        self._teller = teller
        self._inspector = inspector
        self._sink = sink
        self._spawn = spawn

    def forget(self) -> list[Slot]:
        """A lost connection has ended all waiting: nothing is held back any more. Returns the
        targets without a container, which still wait to be retired."""
        slots = list(self._registry.slots.values())
        for slot in slots:
            slot.held, slot.replacing = False, 0.0
        return [slot for slot in slots if not slot.members]

    def died(self, slot: Slot, known: Known) -> None:
        """A container has ended; hold that back where it may be a redeploy."""
        if _may_be_redeploy(known):
            slot.held = True
            self._spawn(self._hold(slot))

    async def _hold(self, slot: Slot) -> None:
        """Keep the end of a container back for the moment it takes Compose to show its intent."""
        await asyncio.sleep(REDEPLOY_HINT)
        if slot.held and (slot.replacing or len(slot.members) > 1):
            self.begin(slot)  # however long the old one took to stop, the new one has the grace
        slot.held = False
        self._teller.tell(slot)

    def begin(self, slot: Slot) -> None:
        """Compose recreates a container. Where that takes longer than the grace, the state is
        reported: a start that fails has no event."""
        slot.replacing = time.monotonic()
        self._spawn(self._limit(slot, slot.replacing))

    async def _limit(self, slot: Slot, began: float) -> None:
        await asyncio.sleep(self._grace)
        if slot.replacing == began:
            slot.replacing = 0.0
            if slot.current is not None:
                await self._inspector.renew(slot.current)
            self._teller.tell(slot)

    def gone(self, container_id: str) -> None:
        """A container is no more; its target retires where no other takes its place in time."""
        found = self._registry.find(container_id)
        if found is None:
            return
        slot, known = found
        self._registry.drop(container_id)
        if slot.members:
            self._teller.discover(slot)
            self._teller.tell(slot)
            return
        self._teller.tell_removed(slot, known)
        self.retire(slot)

    async def tell_apart(self, slot: Slot) -> None:
        """See that containers which run at the same time hide nothing of each other, whatever they
        claim to be. What is known of one may be old: the engine is asked before that counts."""
        running = [member for member in slot.members.values() if member.running]
        if len(running) < 2:
            return
        for member in running:
            await self._inspector.renew(member)
        for other in self._registry.set_apart(slot):
            slot.held, slot.replacing = False, 0.0
            self._teller.discover(other)
            self._teller.tell(other)

    def retire(self, slot: Slot) -> None:
        """Retire a target that has no container, unless it gets one in time."""
        self._spawn(self._retire(slot))

    async def _retire(self, slot: Slot) -> None:
        await asyncio.sleep(self._grace)
        if not slot.members and self._registry.by_target(slot.target) is slot:
            self._registry.retire(slot)
            self._sink.retired(slot.target, "removed on purpose")
            self._teller.arrange()

    async def end_services(self) -> None:
        """Retire services that an orchestrator has given up here: it has stopped all instances, or
        wants none, and there is none again within the grace."""
        services, now = self._registry.services, time.monotonic()
        for service in list(services):
            since = service.without
            try:
                idle = not (service.runs or service.over)
                if idle and await self._is_dismissed(service) != service.dismissed:
                    service.dismissed = not service.dismissed
                    services.changed[service] = None
                if since is None or service.over or now - since < self._grace:
                    continue
                lacking = await self._wanted(service)
            except Unanswered:
                continue  # nothing is known that was not known before
            if service.without != since:
                continue
            service.lacking, service.over = lacking, lacking is None
            services.stale |= service.over
            self._teller.tell_service(service)
        self._teller.arrange()

    async def _is_dismissed(self, service: Service) -> bool:
        """Whether Swarm wants no task of a service, or knows it no more. Raises Unanswered."""
        if service.key[0] != "swarm":
            return False
        try:
            known = await self._of_manager(lambda api: api.inspect_service(service.key[1]))
        except NoSuchContainer:
            return True
        return part(known, "Spec", "Mode", "Replicated").get("Replicas") == 0

    async def _wanted(self, service: Service) -> str | None:
        """Why a task that Swarm wants does not run; None where it wants none, where one runs, on
        another node, or where only a manager would know. Raises Unanswered."""
        if service.key[0] != "swarm":
            return None
        of_it = {"service": service.key[1]}
        try:
            answer = await self._of_manager(lambda api: api.tasks(filters=of_it))
        except NoSuchContainer:
            return None
        tasks = [each for each in answer if isinstance(each, dict)] if answer else []
        wanted = [part(each, "Status") for each in tasks if each.get("DesiredState") in _WANTED]
        if not wanted or any(status.get("State") == "running" for status in wanted):
            return None
        newest = sorted(tasks, key=lambda each: str(each.get("CreatedAt")), reverse=True)
        errors = [error for each in newest if (error := part(each, "Status").get("Err"))]
        words = [*errors, *(status.get("Message") or status.get("State") for status in wanted)]
        return clean_text(str(words[0]), longest=240)

    async def _of_manager(self, ask: Callable[[Any], Any]) -> Any:
        """What a manager of the swarm answers; None where the engine is none, or does not say.

        Raises:
            NoSuchContainer: there is no such service.
            Unanswered: as it says.
        """
        try:
            return await self._engine.read(ask)
        except Refused:
            return None
        except (NoSuchContainer, Unanswered):
            if await self._is_manager():
                raise
            return None

    async def _is_manager(self) -> bool:
        """Whether the engine manages a swarm; others answer 503, or know no such question. Raises
        Unanswered."""
        try:
            info = await self._engine.read(lambda api: api.info())
        except (NoSuchContainer, Refused):
            return False
        return part(info, "Swarm").get("ControlAvailable") is True


def _may_be_redeploy(known: Known) -> bool:
    """Compose stops politely what it makes anew; a bare SIGKILL is somebody's hand."""
    return SERVICE in labels_of(known.document) and known.heard().signal not in (None, "9")
