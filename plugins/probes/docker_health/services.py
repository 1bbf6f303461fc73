"""Services: what several containers do together, and which of them count as its instances.

A service that has several instances, or whose containers are made anew under other names (Swarm,
Kubernetes), is a target beside its instances: it is down while none of them serves.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from attrs import define, evolve, field

from tocsin import Container, Reason, Result, Status, format_duration
from tocsin.plugins.probes.docker_health.facts import (
    container_of,
    membership_of,
    state_of,
)
from tocsin.plugins.probes.docker_health.reasons import LOOP_RESTARTS, LOOP_WINDOW

if TYPE_CHECKING:
    from tocsin.plugins.probes.docker_health.containers import Slot

KIND = "replicated-service"
"""The kind of target that a service is."""

_DONE = (Reason.COMPLETED, Reason.REMOVED, Reason.CREATED)
MOST_NAMED = 3
"""Instances that do not serve whose reasons are given."""


@define
class Place:
    """What an orchestrator keeps filled: a slot of a Swarm service, a container of a pod. Each try
    to run it is a container of its own, so that none of them restarts."""

    ends: deque[float] = field(factory=lambda: deque(maxlen=100))
    """Monotonic moments at which a container in it ended by itself, and another one followed."""
    last: str = ""
    """How the last of them ended."""

    def loop(self, now: float) -> str | None:
        """That it does not stay up, in a clause; None where it does."""
        recent = [end for end in self.ends if now - end < LOOP_WINDOW]
        if len(recent) < LOOP_RESTARTS:
            return None
        within = format_duration(max(1, now - min(recent)))
        return f"restart loop: {len(recent)} ends in {within}; {self.last}"


@define(eq=False)
class Service:
    """A service and its instances. ``target``: what it is called, None where it is no target of its
    own."""

    key: tuple[str, ...]
    names: tuple[str, str]
    slots: dict[Slot, None] = field(factory=dict)
    places: dict[str, Place] = field(factory=dict)
    target: str | None = None
    without: float | None = None
    """Monotonic moment since which it has no instance; None while it has one."""
    over: bool = False
    """It has had none for so long that it is a target no more."""
    lacking: str | None = None
    """Why an instance that there should be is not there."""

    @property
    def is_orchestrated(self) -> bool:
        """Whether its containers are made anew under other names."""
        return self.key[0] != "compose"

    @property
    def instances(self) -> list[Slot]:
        """Those that count; what is left of instances that others have replaced does not."""
        return [slot for slot in self.slots if not slot.left]

    @property
    def is_target(self) -> bool:
        """Whether it is to be a target of its own: what was one stays one while it is there."""
        if self.is_orchestrated or self.target is not None:
            return bool(self.slots) and not self.over
        return len(self.slots) > 1

    @property
    def why_gone(self) -> str:
        """Why it is no target any more, by the name that it had."""
        if self.target is not None:
            return "called otherwise"
        if not self.slots:
            return "removed on purpose"
        return "stopped by its orchestrator"

    def may_be_needed_by(self, slot: Slot) -> bool:
        """Whether a container may depend on it by Compose's labels."""
        return slot.key[:2] == ("compose", self.key[1])

    def sort_out(self, now: float) -> list[Slot]:
        """See, at a monotonic moment, which containers are left of instances that an orchestrator
        has replaced, or stopped. Returns those of which that was not known, or is so no more."""
        if not self.is_orchestrated:
            return []
        newest: dict[str, str] = {}
        for slot in self.slots:
            if (known := slot.current) is not None:
                place = _place(slot)
                newest[place] = max(newest.get(place, ""), known.created)
        changed = []
        for slot in self.slots:
            ended = _end(slot)
            stopped = ended is not None and ended.reason is Reason.STOPPED
            known = slot.current
            older = known is not None and known.created < newest[_place(slot)]
            left = ended is not None and (stopped or older)
            if left != slot.left:
                slot.left = left
                changed.append(slot)
                if left and ended is not None and ended.reason is not Reason.STOPPED:
                    self._note_end(slot, ended, now)
        if self.instances:
            self.without, self.over, self.lacking = None, False, None
            here = {_place(slot) for slot in self.slots}
            self.places = {name: place for name, place in self.places.items() if name in here}
        elif self.without is None:
            self.without = now
        return changed

    def _note_end(self, slot: Slot, ended: Container, now: float) -> None:
        """A container ended by itself, and another one has its place."""
        at = ended.finished_at
        place = self.places.setdefault(_place(slot), Place())
        place.ends.append(now if at is None else now - max(0.0, time.time() - at.timestamp()))
        place.last = "" if slot.told is None else slot.told.message

    def result(self, now: float) -> Result | None:
        """How it does at a monotonic moment, by what was told of its instances last. None where
        nothing was."""
        told = {}
        for slot in self.instances:
            if slot.told is not None:
                told[slot.target] = slot.told
                place = self.places.get(_place(slot))
                if place is not None and (loop := place.loop(now)) is not None:
                    told[slot.target] = evolve(slot.told, status=Status.DOWN, message=loop)
        if not told:
            if self.without is None or not self.slots:
                return None
            if self.lacking is not None:
                return Result.down(f"no instance of it runs: {self.lacking}")
            return Result.degraded("being replaced by its orchestrator")
        if at_work := {n: r for n, r in told.items() if _reason_in(r) not in _DONE}:
            told = at_work
        return combined(told)


@define
class Services:
    """All services of an engine; ``suffix`` goes behind the name of each."""

    suffix: str = ""
    changed: dict[Service, None] = field(factory=dict)
    """Those of which an instance has come, gone or changed since that was last looked at."""
    stale: bool = False
    """Names may clash that did not before."""
    _known: dict[tuple[str, ...], Service] = field(factory=dict)

    def __iter__(self) -> Iterator[Service]:
        return iter(self._known.values())

    def enlist(self, slot: Slot) -> None:
        """Make a container an instance of the service that it belongs to now."""
        if slot.current is None:
            return
        # Of two that claim to be the same one, the second stands for itself.
        of = None if slot.key[0] == "id" else membership_of(slot.current.document)
        if (None if slot.service is None else slot.service.key) == (None if of is None else of.key):
            return
        self.leave(slot)
        if of is not None:
            service = self._known.setdefault(of.key, Service(of.key, of.names))
            slot.service, service.slots[slot], self.changed[service] = service, None, None

    def leave(self, slot: Slot) -> None:
        """A container is an instance no more."""
        if slot.service is not None:
            slot.service.slots.pop(slot, None)
            self.changed[slot.service] = None
            slot.service, slot.left = None, False

    def of_compose(self, project: str, service: str) -> Service | None:
        """A service of Compose, by project and name."""
        return self._known.get(("compose", project, service))

    def called(self, target: str) -> Service | None:
        """The service that is the target of a name."""
        return next((each for each in self if each.target == target), None)

    def arrange(self, taken: Iterable[str]) -> list[tuple[Service, str | None]]:
        """Give each service that is a target its name, one that no container has. Returns those
        that are called otherwise now, and what they were called before."""
        used, self.stale = set(taken), False
        wanted = dict.fromkeys(service for service in self if service.is_target)
        alike: dict[str, int] = {}
        for service in wanted:
            alike[service.names[0]] = alike.get(service.names[0], 0) + 1
        changes = []
        for service in list(self):
            before, service.target = service.target, None
            if service in wanted:
                plain, long = (name + self.suffix for name in service.names)
                clash = plain in used or alike[service.names[0]] > 1
                name = long if clash else plain
                while name in used:
                    name += "-service"
                service.target = name
                used.add(name)
            if not service.slots:
                del self._known[service.key]
            if service.target != before:
                changes.append((service, before))
        return changes


def combined(told: dict[str, Result]) -> Result:
    """What the states of all instances, by name, come to.

    The metric ``replicas_down`` leaves out those that start over and over, of which another alert
    tells.
    """
    failing = {n: r for n, r in told.items() if _fails(r)}
    unseen = {n: r for n, r in told.items() if r.status is Status.UNKNOWN}
    count, serving = len(told), len(told) - len(failing) - len(unseen)
    looping = sum(_reason_in(r) is Reason.RESTARTING for r in failing.values())
    metrics = {"replicas": float(count), "replicas_down": float(len(failing) - looping)}
    if len(unseen) == count:
        return Result.unknown(next(iter(unseen.values())).message, metrics=metrics)
    if not failing:
        limping = {n: r for n, r in told.items() if r.status is Status.DEGRADED}
        text = "1 replica runs" if count == 1 else f"all {count} replicas run"
        text = text if not unseen else f"{serving} of {count} replicas run{_named(unseen)}"
        if limping:
            return Result.degraded(text + _named(limping), metrics=metrics)
        return Result.up(text, metrics=metrics)
    if serving or unseen:
        serve = "serves" if serving == 1 else "serve"
        text = f"{serving} of {count} replicas {serve}{_named({**failing, **unseen})}"
        return Result.degraded(text, metrics=metrics)
    reason = _reason_in(next(iter(failing.values())))
    attributes = {} if reason is None else {"reason": str(reason)}
    if count == 1:
        (only,) = failing.values()
        return Result.down(only.message, metrics=metrics, attributes=attributes)
    text = f"none of its {count} replicas serves{_named(failing)}"
    return Result.down(text, metrics=metrics, attributes=attributes)


def _fails(result: Result) -> bool:
    return result.status is Status.DOWN or _reason_in(result) is Reason.RESTARTING


def _named(told: dict[str, Result]) -> str:
    said = [f"{name}: {result.message}" for name, result in sorted(told.items())]
    more = f"; and {len(said) - MOST_NAMED} more" if len(said) > MOST_NAMED else ""
    return f": {'; '.join(said[:MOST_NAMED])}{more}" if said else ""


def _reason_in(result: Result) -> Reason | None:
    return None if result.container is None else result.container.reason


def _end(slot: Slot) -> Container | None:
    """The facts of a container that has ended, as far as they can be understood."""
    known = slot.current
    if known is None or state_of(known.document) not in ("exited", "dead", "stopped"):
        return None
    try:
        return container_of(known.document, known.heard())
    except Exception:  # noqa: BLE001 - what it is will be told as not understood
        return None


def _place(slot: Slot) -> str:
    known = slot.current
    of = None if known is None else membership_of(known.document)
    return "" if of is None else of.place
