"""Services: groups of containers with the same task, and which containers count as instances.

A service with several instances, or whose containers are replaced under new names (Swarm,
Kubernetes), is a target in addition to its instances. It is down while none of them serves.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from attrs import define, field

from tocsin import Reason, Result
from tocsin.plugins.probes.docker_health.aggregation import combined, looping, reason_in
from tocsin.plugins.probes.docker_health.facts import IMAGE_LABELS, membership_of, state_of
from tocsin.plugins.probes.docker_health.replicas import AT_ONCE, Replica

if TYPE_CHECKING:
    from tocsin.plugins.probes.docker_health.registry import Slot

_DONE = (Reason.COMPLETED, Reason.REMOVED, Reason.CREATED)


@define(eq=False)
class Service:
    """A service and its instances."""

    key: tuple[str, ...]
    names: tuple[str, str]
    slots: dict[Slot, None] = field(factory=dict)
    replicas: dict[str, Replica] = field(factory=dict)
    """The replicas by place."""
    target: str | None = None
    """Name of its target; None if it is no target."""
    without: float | None = None
    """Monotonic time since which it has no instance; None while it has one."""
    over: bool = False
    """It has had no instance for so long that it is no target any more."""
    lacking: str | None = None
    """Why an instance that its orchestrator wants does not exist; None if none is missing."""
    may_complete: bool = False
    """It may be a job: see :class:`Membership`."""
    last_done: str = ""
    """For a job, creation time of the newest container that completed."""
    dismissed: bool = False
    """Its orchestrator wants no instance: one that has failed no longer counts as a failure."""
    newest: str = ""
    """Creation time of its newest container, which may be gone."""

    @property
    def is_orchestrated(self) -> bool:
        """Whether an orchestrator replaces its containers by new ones with other names."""
        return self.key[0] != "compose"

    @property
    def is_there(self) -> bool:
        """Whether it has a container, should have one, or may get one within the grace."""
        is_between = self.without is not None and not self.over
        return bool(self.slots) or is_between or self.lacking is not None

    @property
    def instances(self) -> list[Slot]:
        """The containers that count as instances: not those that others have replaced."""
        return [slot for slot in self.slots if not slot.left]

    @property
    def runs(self) -> bool:
        """Whether any of its containers runs."""
        return any(slot.current is not None and slot.current.running for slot in self.slots)

    @property
    def is_target(self) -> bool:
        """Whether it is to be a target; once it is one, it stays one while it exists."""
        if self.is_orchestrated or self.target is not None:
            return self.is_there and not self.over
        return len(self.slots) > 1

    @property
    def why_gone(self) -> str:
        """Why the target of its earlier name was removed, as a clause."""
        if self.target is not None:
            return "renamed"
        return "stopped by its orchestrator" if self.over else "removed on purpose"

    def may_be_needed_by(self, slot: Slot) -> bool:
        """Return whether a container may depend on it by Compose's labels."""
        return slot.key[:2] == ("compose", self.key[1])

    def sort_out(self, now: float, ahead: float = 0.0) -> list[Slot]:
        """Find the containers of instances that an orchestrator has replaced or stopped.

        Args:
            now: monotonic time.
            ahead: seconds by which the engine's clock is ahead.

        Returns:
            The slots for which this has changed, either way.
        """
        if not self.is_orchestrated:
            return []
        there = {slot: known for slot in self.slots if (known := slot.current) is not None}
        for slot, known in there.items():
            replica = self.replicas.setdefault(slot.place, Replica(slot.generation))
            replica.newest = max(replica.newest, known.created)
        newest = max((replica.newest for replica in self.replicas.values()), default="")
        # A container that is created after the dismissal shows that the service is wanted again.
        self.dismissed = self.dismissed and not self.runs and newest <= self.newest
        self.newest = max(self.newest, newest)
        ends = {slot: end for slot, known in there.items() if (end := known.end(ahead))}
        if self.may_complete:
            for slot, end in ends.items():
                if end.reason is Reason.COMPLETED:
                    self.last_done = max(self.last_done, there[slot].created)
        changed = []
        for slot, known in sorted(there.items(), key=lambda item: item[1].created):
            end = ends.get(slot)
            is_stopped = end is not None and end.reason is Reason.STOPPED
            is_older = known.created < max(self.replicas[slot.place].newest, self.last_done)
            runs_no_more = end is not None or state_of(known.document) == "created"
            is_left = runs_no_more and (is_stopped or is_older or self.dismissed)
            if is_left != slot.left:
                slot.left = is_left
                changed.append(slot)
                if end is not None and is_left:
                    fails = slot.is_sick or not is_stopped
                    replica = self.replicas[slot.place]
                    replica.ended(known.id, end, now, fails=fails, is_sick=slot.is_sick)
        if any(not slot.left for slot in there):
            if self.over:  # the service was started again
                for replica in self.replicas.values():
                    replica.ends.clear()
            self.without, self.over, self.lacking = None, False, None
        elif self.without is None:
            self.without = now
        here = {slot.place for slot in self.slots}
        self.replicas = {place: each for place, each in self.replicas.items() if place in here}
        return changed

    def result(self, now: float, ahead: float = 0.0) -> Result | None:
        """Return its state, computed from the last reported states of its instances.

        Args:
            now: monotonic time.
            ahead: seconds by which the engine's clock is ahead.

        Returns:
            None if no state was reported yet.
        """
        if self.lacking is not None:
            return Result.down(f"no instance of it runs: {self.lacking}")
        if self.without is None and all(slot.told is None for slot in self.slots):
            return None
        seen = {slot: self._seen(slot, now, ahead) for slot in self.instances}
        told = [result for result in seen.values() if result is not None]
        at_work = {s: r for s, r in seen.items() if r is not None and reason_in(r) not in _DONE}
        if self.is_orchestrated:
            at_work |= self._between(seen, now)
        if at_work:
            by_name = {slot.target: result for slot, result in at_work.items()}
            return combined(by_name, loops_count=self.is_orchestrated)
        if not told:
            text = "being replaced by its orchestrator"
            return Result.degraded(text, attributes={"replacing": True})
        completed = [result for result in told if reason_in(result) is Reason.COMPLETED]
        return completed[0] if completed else Result.unknown(told[0].message)

    def _seen(self, slot: Slot, now: float, ahead: float) -> Result | None:
        """Return the last reported state of an instance, or a restart loop if its containers do
        not stay up."""
        replica, known = self.replicas.get(slot.place), slot.current
        if replica is None or known is None or self._is_done(slot):
            return slot.told
        loop = replica.loop(now, known.running_since(now, ahead))
        return slot.told if loop is None else looping(slot.told or Result.unknown(""), loop)

    def _is_done(self, slot: Slot) -> bool:
        """Return whether a container has completed, and no orchestrator starts it again."""
        facts = None if slot.told is None else slot.told.container
        if facts is None or facts.reason is not Reason.COMPLETED:
            return False
        if self.key[0] == "k8s":
            return self.may_complete
        over = facts.finished_at
        return over is not None and time.time() - over.timestamp() > AT_ONCE

    def _between(self, seen: Mapping[Slot, Result | None], now: float) -> dict[Slot, Result]:
        """Return a state for each place that no instance fills now.

        It is that of an instance that is yet to start, or that of the last one if the containers
        of the place do not stay up, and another one will follow.
        """
        found: dict[Slot, Result] = {}
        new = [s for s, r in seen.items() if r is None or reason_in(r) is Reason.CREATED]
        gone = [s for s, r in seen.items() if r is not None and reason_in(r) is Reason.REMOVED]
        filled = {slot.place for slot in seen.keys() - {*new, *gone}}
        for slot in new:
            if slot.place not in filled:
                found[slot] = seen[slot] or Result.unknown("not seen yet")
        if self.dismissed or self.over:
            return found
        filled |= {slot.place for slot in found}
        rollout = max(self.replicas.values(), key=lambda each: each.newest, default=Replica())
        left = [slot for slot in self.slots if slot.left and slot.current is not None]
        last = {slot.place: slot for slot in sorted(left, key=_created)}
        for place, slot in last.items():
            replica = None if place in filled else self.replicas.get(place)
            if replica is None or slot.told is None or replica.newest < self.last_done:
                continue
            if replica.generation != rollout.generation:
                continue  # replaced by containers in other places
            if (loop := replica.loop(now, None)) is not None:
                found[slot] = looping(slot.told, loop)
        return found


def _created(slot: Slot) -> str:
    return "" if slot.current is None else slot.current.created


@define
class Services:
    """All services of an engine; ``suffix`` is appended to the name of each."""

    suffix: str = ""
    changed: dict[Service, None] = field(factory=dict)
    """Services with an instance that was added, removed or changed, and not yet processed."""
    stale: bool = False
    """Names may have become ambiguous since they were last assigned."""
    _known: dict[tuple[str, ...], Service] = field(factory=dict)

    def __iter__(self) -> Iterator[Service]:
        return iter(self._known.values())

    def enlist(self, slot: Slot) -> None:
        """Add a container to the service that it belongs to now."""
        if slot.current is None:
            return
        if slot.service is not None and slot.current.document.get(IMAGE_LABELS, {}) is None:
            return  # which labels are from its image is not known for now
        # Of two containers with the same identity, the second is no instance.
        of = None if slot.key[0] == "id" else membership_of(slot.current.document)
        if (None if slot.service is None else slot.service.key) == (None if of is None else of.key):
            return
        self.leave(slot)
        if of is not None:
            service = self._known.setdefault(
                of.key, Service(of.key, of.names, may_complete=of.may_complete)
            )
            slot.service, slot.place, slot.generation = service, of.place, of.generation
            service.slots[slot] = self.changed[service] = None

    def leave(self, slot: Slot) -> None:
        """Remove a container from its service."""
        if slot.service is not None:
            slot.service.slots.pop(slot, None)
            self.changed[slot.service] = None
            slot.service, slot.left = None, False

    def of_compose(self, project: str, service: str) -> Service | None:
        """Return a service of Compose."""
        return self._known.get(("compose", project, service))

    def arrange(self, taken: Iterable[str]) -> list[tuple[Service, str | None]]:
        """Assign unique target names to all services that are targets.

        Args:
            taken: names of the targets of containers.

        Returns:
            The services whose name has changed, each with its earlier name.
        """
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
            if not service.is_there:
                del self._known[service.key]
            if service.target != before:
                changes.append((service, before))
        return changes
