"""Which container is which target: a redeploy changes the id of a container, but not its target.

A Compose container is identified by project, service and number, any other by its name. If two
containers with the same identity run at the same time, each is a separate target.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from tocsin import Result
from tocsin.plugins.probes.docker_health.containers import Known
from tocsin.plugins.probes.docker_health.facts import (
    SERVICE,
    labels_of,
    member_of,
    name_of,
    service_of,
)
from tocsin.plugins.probes.docker_health.services import Service, Services

Key = tuple[str, ...]

_NAME = re.compile(r"[\w.-]{1,255}", re.ASCII)

_TEMPORARY = re.compile(r"[0-9a-f]{12}_(.+)")
"""The temporary name that Compose gives a container during a redeploy: short id and name."""


def key_of(document: Mapping[str, Any]) -> Key:
    """Return what identifies a container across redeploys."""
    if (member := member_of(document)) and service_of(document):
        return ("compose", *member)
    return ("name", plain_name(document))


def plain_name(document: Mapping[str, Any]) -> str:
    """Return the name without Compose's temporary prefix; the short id if the name is invalid."""
    name = name_of(document)
    if not _NAME.fullmatch(name):
        return str(document["Id"])[:12]
    match = _TEMPORARY.fullmatch(name) if SERVICE in labels_of(document) else None
    return match[1] if match else name


@define(eq=False)
class Slot:
    """A target and its containers: one, or a few during a redeploy."""

    key: Key
    target: str
    members: dict[str, Known] = field(factory=dict)
    held: bool = False
    """Its end is not reported yet, because a redeploy may be the cause."""
    replacing: float = 0.0
    """Monotonic time at which the current redeploy began; 0: there is none."""
    service: Service | None = None
    """The service of which it is an instance."""
    place: str = ""
    generation: str = ""  # place: which replica of the service it is; generation: its rollout
    is_sick: bool = False
    """Its health check failed when it was last seen running."""
    left: bool = False
    """Another instance has replaced it, or it was stopped: it is no target any more."""
    told: Result | None = None
    """The last reported result."""

    @property
    def current(self) -> Known | None:
        """The container that represents the target: a running one, else the newest."""
        return max(self.members.values(), key=lambda m: (m.running, m.created), default=None)


@define
class Registry:
    """All slots; ``suffix`` is appended to the name of each target (``@nas``)."""

    suffix: str = ""
    slots: dict[Key, Slot] = field(factory=dict)
    _owners: dict[str, Slot] = field(factory=dict)
    _targets: dict[str, Slot] = field(factory=dict)
    _apart: set[str] = field(factory=set)
    """Ids of containers that are separate targets though others have the same identity."""
    services: Services = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.services = Services(self.suffix)

    def put(self, document: dict[str, Any], asked: float) -> tuple[Slot, Known]:
        """Store a document that was requested at the monotonic time ``asked``; return the
        container's slot and record, which are created if they are new."""
        container_id = str(document["Id"])
        slot = self._owners.get(container_id)
        if slot is not None:
            known = slot.members[container_id]
            known.take(document, asked)
        else:
            slot = self.slots.get(key_of(document)) or self._called_alike(document)
            slot = slot or self._make(key_of(document), document)
            known = slot.members[container_id] = Known(container_id, document, asked)
            self._owners[container_id] = slot
        key = key_of(known.document)
        # The key is new if its image could not be inspected before, or it had another project.
        alone = slot.key[0] == "name" or len(slot.members) == 1
        apart = container_id in self._apart or key in self.slots
        if key[0] == "compose" and alone and not apart:
            del self.slots[slot.key]
            slot.key = key
            self.slots[key] = slot
        self.services.enlist(slot)
        return slot, known

    def _called_alike(self, document: Mapping[str, Any]) -> Slot | None:
        """Return the slot of the target that a container of the same name belongs to, or None."""
        name = plain_name(document)
        slot = self._targets.get(name + self.suffix)
        if slot is None:
            return None
        others = [plain_name(member.document) for member in slot.members.values()]
        return slot if not others or name in others else None

    def _make(self, key: Key, document: Mapping[str, Any]) -> Slot:
        """Create a target with a unique name."""
        name, container_id = plain_name(document), str(document["Id"])
        names = [each + self.suffix for each in (name, f"{name}-{container_id[:12]}", container_id)]
        target = next((each for each in names if each not in self._targets), names[-1])
        slot = self.slots[key] = self._targets[target] = Slot(key, target)
        self.services.stale = True
        return slot

    def set_apart(self, slot: Slot) -> list[Slot]:
        """Create a target for all but one of a slot's containers if several run at the same time:
        a redeploy ends the old one first. The one that the target is named after stays, else the
        first. Returns the new slots."""
        running = [member for member in slot.members.values() if member.running]
        named = [
            member for member in running if name_of(member.document) + self.suffix == slot.target
        ]
        made = []
        for known in running:
            if known is not (named or running)[0]:
                self.drop(known.id)
                self._apart.add(known.id)
                other = self._make(("id", known.id), known.document)
                other.members[known.id] = known
                self._owners[known.id] = other
                made.append(other)
        return made

    def ids(self) -> set[str]:
        """Return the ids of all known containers."""
        return set(self._owners)

    def slot_of(self, known: Known) -> Slot | None:
        """Return the slot that a container belongs to now."""
        return self._owners.get(known.id)

    def find(self, container_id: str) -> tuple[Slot, Known] | None:
        """Return the slot and the record of a container."""
        slot = self._owners.get(container_id)
        return None if slot is None else (slot, slot.members[container_id])

    def document(self, container_id: str) -> dict[str, Any] | None:
        """Return the last inspect document of a container."""
        found = self.find(container_id)
        return None if found is None else found[1].document

    def drop(self, container_id: str) -> Slot | None:
        """Remove a container, and return the slot it belonged to, which may be empty now."""
        slot = self._owners.pop(container_id, None)
        self._apart.discard(container_id)
        if slot is not None:
            slot.members.pop(container_id, None)
        return slot

    def retire(self, slot: Slot) -> None:
        """Remove a target."""
        self.services.leave(slot)
        if self.slots.get(slot.key) is slot:
            del self.slots[slot.key]
        if self._targets.get(slot.target) is slot:
            del self._targets[slot.target]

    def rename(self, slot: Slot, document: dict[str, Any]) -> None:
        """Make a container that is identified by its name, which has changed, another target."""
        container_id = str(document["Id"])
        known = slot.members[container_id]
        self.drop(container_id)
        renamed, _ = self.put(document, known.as_of)
        known.document = document
        renamed.members[container_id] = known  # keep what events reported

    def by_target(self, target: str) -> Slot | None:
        """Return the slot of a target."""
        return self._targets.get(target)

    def of_service(self, project: str, service: str) -> list[str]:
        """Return the targets of a Compose service: its own, or those of its containers."""
        found = self.services.of_compose(project, service)
        if found is not None and found.target is not None:
            return [found.target]
        return [] if found is None else sorted(slot.target for slot in found.slots)

    def targets(self) -> list[str]:
        """Return the names of all targets, containers and services."""
        called = [service.target for service in self.services if service.target is not None]
        return [slot.target for slot in self.slots.values() if not slot.left] + called

    def arrange(self) -> list[tuple[Service, str | None]]:
        """Update which services are targets, and their names; return those whose name has changed,
        each with its earlier name."""
        return self.services.arrange(self._targets)
