"""Reports to the core: the state of a target as a result, and what happened to it as an event."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from attrs import evolve

from tocsin import (
    REPLICATED,
    Claim,
    Container,
    Event,
    Reason,
    Result,
    Sink,
    Status,
    Target,
    clean_text,
)
from tocsin.plugins.probes.docker_health.addresses import Addresses, Place
from tocsin.plugins.probes.docker_health.containers import Known
from tocsin.plugins.probes.docker_health.engine import Engine
from tocsin.plugins.probes.docker_health.errors import EngineAway
from tocsin.plugins.probes.docker_health.facts import (
    IMAGE_LABELS,
    container_of,
    health_detail,
    is_one_off,
    start_error,
)
from tocsin.plugins.probes.docker_health.inspecting import Happened
from tocsin.plugins.probes.docker_health.labels import LabelSettings, read_labels
from tocsin.plugins.probes.docker_health.reasons import Heard, result_of
from tocsin.plugins.probes.docker_health.registry import Registry, Slot
from tocsin.plugins.probes.docker_health.services import Service

_OF_INTEREST = {"die": "exitCode", "kill": "signal", "rename": "oldName"}
"""By kind of event, the attribute that is kept; others may be labels of the same name."""


class Teller:
    """Reports the targets of one source, their states and events to its sink."""

    def __init__(
        self, name: str, sink: Sink, registry: Registry, addresses: Addresses, engine: Engine
    ) -> None:
        self._name = name
        self._sink = sink
        self._registry = registry
        self._addresses = addresses
        self._engine = engine

    def discover(self, slot: Slot) -> None:
        """Report a target with the settings in its labels, and its service."""
        self.arrange()
        self.discover_alone(slot)
        self.discover_service(slot.service)

    def discover_alone(self, slot: Slot) -> None:
        """Report a target with the settings in its labels, without its service."""
        if (current := slot.current) is None:
            return
        with self.about(current.id, "its labels"):
            if not slot.left:
                asked = self._label_settings(slot, current)
                self._sink.discovered(asked.target, asked.checks, asked.claim)

    def _label_settings(self, slot: Slot, current: Known) -> LabelSettings:
        place = self._addresses.of(current.document, self._registry.document)
        suffix = self._registry.suffix
        asked = read_labels(slot.target, current.document, self._registry, place, suffix)
        if slot.service is None or slot.service.target is None:
            return asked
        # The labels for name and dependencies apply to its service.
        service = slot.service.target
        target = evolve(asked.target, depends_on=(service,), service=service)
        claim = evolve(asked.claim, name=None, also=(), depends_on=False)
        return evolve(asked, target=target, claim=claim)

    def discover_service(self, service: Service | None) -> None:
        """Report a service with the settings in the labels of its instances."""
        if service is None or service.target is None:
            return
        suffix, each = self._registry.suffix, []
        for slot in service.instances or service.slots:
            if (known := slot.current) is not None:
                with self.about(known.id, "its labels"):
                    of = (slot.target, known.document, self._registry, Place(None), suffix)
                    each.append(read_labels(*of))
        above = [name for asked in each for name in asked.target.depends_on]
        first = each[0].claim if each else Claim()
        self._sink.discovered(
            Target(
                name=service.target,
                kind=REPLICATED,
                critical=any(asked.target.critical for asked in each),
                depends_on=tuple(n for n in dict.fromkeys(above) if n != service.target),
            ),
            None,
            Claim(
                name=first.name,
                by_image=first.by_image,
                identity=first.identity,
                depends_on=any(asked.claim.depends_on for asked in each),
            ),
        )

    def arrange(self) -> None:
        """Update the targets of services for changed containers, and report what this affects."""
        again = self.rearranged()
        for slot in again:
            self.discover_alone(slot)
        for service in dict.fromkeys(slot.service for slot in again):
            self.discover_service(service)
        if again:
            self.tell_all(again)

    def rearranged(self) -> dict[Slot, None]:
        """Update the targets of services for changed containers.

        Returns:
            The slots that are to be reported again.
        """
        services = self._registry.services
        if not services.changed and not services.stale:
            return {}
        now, again = time.monotonic(), dict[Slot, None]()
        touched = dict(services.changed)
        for service in touched:
            del services.changed[service]
            for slot in service.sort_out(now, self._engine.ahead):
                if slot.left:
                    self._sink.retired(slot.target, "replaced by its orchestrator")
                else:
                    again[slot] = None
        changed = self._registry.arrange()
        for service, before in changed:
            if before is not None:
                self._sink.retired(before, service.why_gone)
            again |= dict.fromkeys(service.instances)
        for service, _ in changed:
            self.discover_service(service)
            others = self._registry.slots.values()
            again |= dict.fromkeys(slot for slot in others if service.may_be_needed_by(slot))
        for service in {**touched, **dict(changed)}:
            self.tell_service(service)
        return again

    def tell(self, slot: Slot) -> None:
        """Report the state of a target, unless its end is held back, and that of its service."""
        self.tell_alone(slot)
        self.arrange()
        service = slot.service
        if service is not None and slot is next(iter(service.instances), None):
            self.tell_service(service)  # once for all healthy instances

    def tell_all(self, slots: Iterable[Slot]) -> None:
        """Report the states of several targets."""
        for slot in slots:
            self.tell_alone(slot)
        self.tell_services(slots)

    def tell_services(self, slots: Iterable[Slot]) -> None:
        """Report the services of containers whose states were just reported."""
        self.arrange()
        for service in dict.fromkeys(slot.service for slot in slots):
            if service is not None:
                self.tell_service(service)

    def tell_alone(self, slot: Slot) -> None:
        """Report the state of a target, unless its end is held back, without its service."""
        known = slot.current
        if known is None or slot.held:
            return
        with self.about(known.id, "its state"):
            self._put(slot, self._state(slot, known))

    def _put(self, slot: Slot, result: Result) -> None:
        """Report the state of a container, and note whether its service is affected."""
        before, slot.told = slot.told, result
        if (facts := result.container) is not None and facts.state == "running":
            slot.is_sick = facts.health == "unhealthy"
        if slot.service is not None and (before is None or _differs(before, result)):
            self._registry.services.changed[slot.service] = None
        if not slot.left:
            self._sink.observed(slot.target, result)

    def tell_service(self, service: Service) -> None:
        """Report the state of a service, if it is a target."""
        if (
            service.target is not None
            and (combined := service.result(time.monotonic(), self._engine.ahead)) is not None
        ):
            self._sink.observed(service.target, combined)

    def _state(self, slot: Slot, known: Known) -> Result:
        if known.trouble is not None:
            return Result.unknown(known.trouble)
        heard = known.heard(self._engine.ahead)
        facts = container_of(known.document, heard, known.usage, self._engine.ahead)
        if known.mute:
            unseen = evolve(facts, reason=Reason.UNSEEN)
            return Result.unknown("the engine does not answer about it", container=unseen)
        if slot.replacing and not known.running:
            return Result.degraded("being redeployed by Compose", container=facts)
        result = result_of(facts, heard, health_detail(known.document), start_error(known.document))
        message = result.message
        if result.status is Status.DOWN and not known.running and is_one_off(known.document):
            # The person who runs a one-off job sees how it ends, and nothing depends on it.
            result = evolve(result, status=Status.DEGRADED, attributes={"one_off": True})
            message = f"one-off job: {message}"
        if known.document.get(IMAGE_LABELS, {}) is None:
            message += " (not treated as part of a Compose project: its image cannot be inspected)"
        return evolve(result, metrics=_metrics(facts, heard), message=message)

    def tell_removed(self, slot: Slot, known: Known) -> None:
        """Report that the last container of a target was removed."""
        with self.about(known.id, "its end"):
            facts = container_of(
                known.document, known.heard(self._engine.ahead), None, self._engine.ahead
            )
            facts = evolve(facts, reason=Reason.REMOVED, state="removed")
            self._put(slot, Result.unknown("removed", container=facts))
            self.arrange()

    def report(self, slot: Slot, happened: Happened) -> None:
        """Report an event of a target, and of its service, for their history."""
        kept = {"container": happened.container[:12]}
        name = _OF_INTEREST.get(happened.kind)
        if name is not None and name in happened.attributes:
            kept[name] = happened.attributes[name]
        if happened.detail:
            kept["health"] = happened.detail
        at = happened.moment(self._engine.ahead)
        self._report(slot.target, happened.kind, at, kept)
        if slot.service is not None and slot.service.target is not None:
            self._report(slot.service.target, happened.kind, at, {"instance": slot.target, **kept})

    def _report(self, target: str, action: str, at: datetime, kept: dict[str, str]) -> None:
        self._sink.happened(
            Event(target=target, source=self._name, action=action, at=at, attributes=kept)
        )

    @contextmanager
    def about(self, container_id: str, what: str, name: object = None) -> Iterator[None]:
        """Handle any error in the block: one container becomes unknown, others are not affected.

        Args:
            container_id: id of the container.
            what: the data that the block handles; the subject of the reported sentence.
            name: name of the container, if the registry may not know it yet.

        Raises:
            EngineAway: the only error that is passed on.
        """
        try:
            yield
        except EngineAway:
            raise
        except Exception as error:  # noqa: BLE001 - see above
            words = clean_text(" ".join(str(error).split()), longest=140)
            reason = f"{what} cannot be understood: {type(error).__name__} {words}".strip()
            found = self._registry.find(container_id)
            if found is None:
                bare = {"Id": container_id, "Name": name if isinstance(name, str) else ""}
                found = self._registry.put(bare, time.monotonic())
                found[1].trouble = reason
            slot = found[0]
            service = None if slot.service is None else slot.service.target
            above = () if service is None else (service,)
            target = Target(name=slot.target, kind="container", depends_on=above, service=service)
            if not slot.left:
                self._sink.discovered(target, None, Claim(refused=(reason,)))
            self._put(slot, Result.unknown(reason))
            self.arrange()


def _differs(before: Result, after: Result) -> bool:
    """Return whether a state differs from the one before in status or reason."""
    old, new = before.container, after.container
    if before.status is not after.status or (old is None) != (new is None):
        return True
    return old is not None and new is not None and old.reason is not new.reason


def _metrics(facts: Container, heard: Heard) -> dict[str, float]:
    metrics = facts.metrics
    if facts.started_at is not None and facts.state in ("running", "paused"):
        metrics["uptime_seconds"] = max(0.0, time.time() - facts.started_at.timestamp())
    if heard.ooms is not None and facts.state == "running":
        metrics["oom_kills"] = float(heard.ooms)
    return metrics
