"""Which container is which target: a redeploy changes a container's id, but not its target.

A Compose container is identified by project, service and number, any other by its name. If two
containers with the same identity run at the same time, each is a separate target.
"""

from __future__ import annotations

import re
import signal as signal_module
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from tocsin import Result
from tocsin.plugins.probes.docker_health.engine import part
from tocsin.plugins.probes.docker_health.facts import (
    SERVICE,
    labels_of,
    member_of,
    name_of,
    parse_time,
    service_of,
    state_of,
)
from tocsin.plugins.probes.docker_health.reasons import (
    BY_HAND,
    ENDING_SIGNALS,
    LOOP_RESTARTS,
    LOOP_WINDOW,
    SETTLED,
    Heard,
)
from tocsin.plugins.probes.docker_health.services import Service, Services
from tocsin.plugins.probes.docker_health.stats import Reading, Usage

Key = tuple[str, ...]
KILL_COUNTS_FOR = 120.0
"""Seconds after a ``kill`` event within which it explains an end; stop timeouts can be long."""

STOP_COUNTS_FOR = 30.0
"""Seconds after an end within which a ``stop`` event explains it."""

OOM_COUNTS_FOR = 5.0
"""Seconds between an ``oom`` event and an end within which the event explains the end."""

REPEATED = 10.0  # most seconds of known events that a new connection requests again

SIGNALLED = 128
"""The exit code of a process that a signal ended, less the signal's number."""

MUTE_AFTER = 2
"""Unanswered inspect requests in a row after which the state of a container is unknown."""

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


def signal_number(signal: str) -> str:
    """Return the number of a signal that is given as ``15``, ``TERM`` or ``SIGTERM``."""
    name = signal.strip().upper()
    if name.isdecimal() or not name:
        return name
    try:
        return str(int(signal_module.Signals[name if name.startswith("SIG") else f"SIG{name}"]))
    except KeyError:
        return name


@define(eq=False)
class Known:
    """A container: its last inspect document, and what events reported about it."""

    id: str
    document: dict[str, Any]
    as_of: float = 0.0
    """Monotonic time at which the document was requested, or the newest event was applied."""
    misses: int = 0
    """Inspect requests in a row that the engine did not answer."""
    missed_at: float = 0.0
    blind: bool = True
    """Events since its last start may have been missed."""
    trouble: str | None = None
    """Why the engine's data about it cannot be understood, or None."""
    kill_signal: str | None = None
    killed_at: float = 0.0
    oom: bool = False
    """An ``oom`` event accompanied its last end."""
    ooms: deque[float] = field(factory=lambda: deque(maxlen=100))
    """Times of ``oom`` events since its start, in epoch seconds of the engine's clock."""
    ends: deque[float] = field(factory=lambda: deque(maxlen=100))  # monotonic; no manual stops
    began: float = 0.0
    """Monotonic time at which its last start was observed; 0: none was."""
    died_at: float = 0.0
    """Time of its last end, in epoch seconds of the engine's clock."""
    exit_code: int | None = None
    """Exit code at the last of ``ends``; the engine forgets it at the next start."""
    reading: Reading | None = None
    usage: Usage | None = None

    @property
    def running(self) -> bool:
        """Whether it has processes: a paused container has, too."""
        return state_of(self.document) in ("running", "paused")

    @property
    def mute(self) -> bool:
        """Whether the engine does not answer inspect requests about it."""
        return self.misses >= MUTE_AFTER

    @property
    def pid(self) -> int:
        """Id of its main process; 0 if there is none."""
        pid = part(self.document, "State").get("Pid")
        return pid if isinstance(pid, int) else 0

    @property
    def created(self) -> str:
        """When it was created, as the engine's text, which sorts by time."""
        return str(self.document.get("Created", ""))

    def take(self, document: dict[str, Any], asked: float) -> bool:
        """Store a document that was requested at the monotonic time ``asked``, and return True;
        return False if something newer is known."""
        if asked < self.as_of:
            return False
        self.document, self.as_of, self.trouble = document, asked, None
        return True

    def missed(self, asked: float) -> None:
        """Count an unanswered request; several that were pending at the same time count once."""
        if asked >= self.missed_at:
            self.misses += 1
            self.missed_at = time.monotonic()

    def heard(self, ahead: float = 0.0) -> Heard:
        """Return what events reported; ``ahead``: seconds by which the engine's clock is ahead."""
        now = time.monotonic()
        recent = [end for end in self.ends if now - end < LOOP_WINDOW]
        engine = time.time() + ahead
        running_for = now - self.began if self.running else None
        unseen, since = 0, 0.0
        started = parse_time(part(self.document, "State").get("StartedAt"))
        if self.blind and self.running and started and engine - started.timestamp() < SETTLED:
            # Its recent start was not observed; only the engine's count tells of earlier restarts.
            running_for = max(0.0, engine - started.timestamp())
            count = self.document.get("RestartCount")
            made = parse_time(self.document.get("Created"))
            unseen = count if isinstance(count, int) else 0
            since = engine - made.timestamp() if made else 0.0
            if unseen * LOOP_WINDOW < LOOP_RESTARTS * since:  # too rare for a loop
                unseen, since = 0, 0.0
        return Heard(
            signal=self.kill_signal,
            oom=self.oom,
            oom_before=bool(self.ooms) and not self.oom,
            ooms=sum(at > engine - LOOP_WINDOW for at in self.ooms) if self.ooms else None,
            restarts=max(len(recent), unseen),
            exit_code=self.exit_code if recent else None,
            window=now - recent[0] if recent else since,
            running_for=running_for,
            blind=self.blind,
        )

    def started(self) -> None:
        """Apply a ``start`` event: discard what explained the last end."""
        self.kill_signal, self.oom, self.blind = None, False, False
        self.began = time.monotonic()
        self.ooms.clear()
        self.reading = self.usage = None

    def killed(self, signal: str) -> None:
        """Apply a ``kill`` event: a person, or Compose, sent a signal; Podman does not name it.

        Of several signals, the first that ends containers shows the intention: SIGKILL follows
        a regular stop that takes too long.
        """
        now = time.monotonic()
        number = signal_number(signal)
        if number == signal_number(str(part(self.document, "Config").get("StopSignal") or "")):
            number = number if number in ENDING_SIGNALS else BY_HAND
        stale = now - self.killed_at > KILL_COUNTS_FOR
        if stale or self.kill_signal not in (*ENDING_SIGNALS, BY_HAND):
            self.kill_signal = number
        self.killed_at = now

    def stopped(self, at: float) -> None:
        """Apply a ``stop`` event, which comes before or after the end: a person stopped it, even
        if the signal is unknown (Podman), or none of :data:`ENDING_SIGNALS`."""
        # Between two restarts it may have ended a minute ago, with no event since.
        ended = not self.running and state_of(self.document) != "restarting"
        is_old = ended and at - self.died_at > STOP_COUNTS_FOR
        if is_old or self.kill_signal in (*ENDING_SIGNALS, BY_HAND):
            return
        self.kill_signal, self.killed_at = BY_HAND, time.monotonic()
        if self.ends and not self.running:
            self.ends.pop()  # manual stops are no restart loop

    def ran_out_of_memory(self, at: float) -> None:
        """Apply an ``oom`` event: one of its processes was killed, perhaps the main one."""
        self.ooms.append(at)
        self.oom = not self.running and abs(at - self.died_at) < OOM_COUNTS_FOR

    def has_ended_since(self, at: float, listening: float) -> bool:
        """Return whether the run that began at ``at`` has ended, so that its ``start`` event is
        outdated. Events are received from ``listening`` on; both are whole epoch seconds of the
        engine's clock."""
        if 0 < self.died_at - at < REPEATED:
            return True
        finished = parse_time(part(self.document, "State").get("FinishedAt"))
        ended = max(self.died_at, finished.timestamp() if finished else 0.0)
        return at < min(listening, ended)

    def died(self, at: float) -> None:
        """Record the time of an end, and whether an ``oom`` event explains it."""
        self.blind, self.died_at = False, at
        self.oom = any(abs(at - oom) < OOM_COUNTS_FOR for oom in self.ooms)

    def ended(self, at: float, exit_code: int) -> None:
        """Apply a ``die`` event."""
        self.died(at)
        self.reading = self.usage = None
        passed = time.monotonic() - self.killed_at
        if passed > (KILL_COUNTS_FOR if self.kill_signal else STOP_COUNTS_FOR):
            self.kill_signal = None
        if self.kill_signal in ("", str(exit_code - SIGNALLED)):  # this signal ended it
            self.kill_signal = self.kill_signal if self.kill_signal in ENDING_SIGNALS else BY_HAND
        if self.kill_signal is None:
            self.ends.append(time.monotonic())  # manual restarts are no restart loop
            self.exit_code = exit_code


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
