"""Ends of containers that may be part of a redeploy by Compose, and removal of targets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from tocsin import Sink, clean_text
from tocsin.plugins.probes.docker_health.containers import Known
from tocsin.plugins.probes.docker_health.engine import Engine, part
from tocsin.plugins.probes.docker_health.errors import NoSuchContainer, Refused, Unanswered
from tocsin.plugins.probes.docker_health.facts import SERVICE, labels_of
from tocsin.plugins.probes.docker_health.inspecting import Inspector
from tocsin.plugins.probes.docker_health.registry import Registry, Slot
from tocsin.plugins.probes.docker_health.services import Service
from tocsin.plugins.probes.docker_health.telling import Teller

REDEPLOY_HINT = 0.5
"""Seconds after the stop of a container within which Compose begins to recreate it."""

_WANTED = ("accepted", "ready", "running")
"""States that Swarm desires for a task that is to run; "ready": before it starts it again."""


class Redeploys:
    """Holds back the end of a container that may be recreated, and retires targets without one.

    Args:
        engine: the connection.
        grace: seconds for which an end is held back at most, and after which a target that still
            has no container is retired.
        registry: all targets.
        teller: reports their states.
        inspector: inspects containers.
        sink: is notified of retired targets.
        spawn: runs a coroutine as a task.
    """

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
        """Hold back nothing any more, after a lost connection has ended all waiting tasks.

        Returns:
            The targets without a container, which are still to be retired.
        """
        slots = list(self._registry.slots.values())
        for slot in slots:
            slot.held, slot.replacing = False, 0.0
        return [slot for slot in slots if not slot.members]

    def died(self, slot: Slot, known: Known) -> None:
        """Handle the end of a container: hold it back if it may be part of a redeploy."""
        if _may_be_redeploy(known):
            slot.held = True
            self._spawn(self._hold(slot))

    async def _hold(self, slot: Slot) -> None:
        """Hold back the end of a container until Compose would have begun to recreate it."""
        await asyncio.sleep(REDEPLOY_HINT)
        if slot.held and (slot.replacing or len(slot.members) > 1):
            self.begin(slot)  # the new one has the whole grace, however long the stop took
        slot.held = False
        self._teller.tell(slot)

    def begin(self, slot: Slot) -> None:
        """Note that Compose recreates a container.

        If this takes longer than the grace, the state is reported: a failed start has no event.
        """
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
        """Remove a container; retire its target unless another one replaces it in time."""
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
        """Make containers of a slot that run at the same time separate targets.

        Otherwise one would hide the state of another. They are inspected first, because what is
        known of them may be outdated.
        """
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
        """Retire services that their orchestrator no longer runs on this engine.

        It has stopped all instances, or wants none, and no new one appears within the grace.
        """
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
                continue  # nothing new is known
            if service.without != since:
                continue
            service.lacking, service.over = lacking, lacking is None
            services.stale |= service.over
            self._teller.tell_service(service)
        self._teller.arrange()

    async def _is_dismissed(self, service: Service) -> bool:
        """Return whether Swarm wants no task of a service, or does not know the service any more.

        Raises:
            Unanswered: a manager did not complete the request.
        """
        if service.key[0] != "swarm":
            return False
        try:
            known = await self._of_manager(lambda api: api.inspect_service(service.key[1]))
        except NoSuchContainer:
            return True
        return part(known, "Spec", "Mode", "Replicated").get("Replicas") == 0

    async def _wanted(self, service: Service) -> str | None:
        """Return why a task that Swarm wants does not run.

        Returns:
            None if Swarm wants no task, if one runs (also on another node), or if this engine is
            no manager of the swarm, and so does not know.

        Raises:
            Unanswered: a manager did not complete the request.
        """
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
        """Return the answer of the engine as a manager of the swarm.

        Returns:
            None if it is no manager, or rejects the request.

        Raises:
            NoSuchContainer: the service does not exist.
            Unanswered: the engine did not complete the request.
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
        """Return whether the engine manages a swarm; others reject requests about a swarm.

        Raises:
            Unanswered: the engine did not complete the request.
        """
        try:
            info = await self._engine.read(lambda api: api.info())
        except (NoSuchContainer, Refused):
            return False
        return part(info, "Swarm").get("ControlAvailable") is True


def _may_be_redeploy(known: Known) -> bool:
    """Return whether Compose may have stopped it; SIGKILL alone is a person's action."""
    return SERVICE in labels_of(known.document) and known.heard().signal not in (None, "9")
