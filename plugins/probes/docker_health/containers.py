"""Who is who: containers come and go under new ids, targets stay.

A Compose container is the same target under each new id of its project, service and number; any
other goes by its name. Of two that claim to be the same and run at once, each is a target of its
own.
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
"""Seconds within which an end is put down to a ``kill`` event; stop timeouts can be long."""

STOP_COUNTS_FOR = 30.0
"""Seconds after an end within which a ``stop`` event is of that end."""

OOM_COUNTS_FOR = 5.0
"""Seconds between an ``oom`` event and an end within which the one is the other's cause."""

REPEATED = 10.0  # most seconds of known events that a new connection asks for again

SIGNALLED = 128
"""What is added to the number of the signal that ended a process, for its exit code."""

MUTE_AFTER = 2
"""Inspects in a row without an answer after which the state of a container is unknown."""

_NAME = re.compile(r"[\w.-]{1,255}", re.ASCII)
_TEMPORARY = re.compile(r"[0-9a-f]{12}_(.+)")
"""The name Compose gives the one of two that is on its way."""


def key_of(document: Mapping[str, Any]) -> Key:
    """What identifies a container over redeploys."""
    if (member := member_of(document)) and service_of(document):
        return ("compose", *member)
    return ("name", plain_name(document))


def plain_name(document: Mapping[str, Any]) -> str:
    """The name, without what Compose puts before it for a while; a part of the id, where it is none
    that an engine gives."""
    name = name_of(document)
    if not _NAME.fullmatch(name):
        return str(document["Id"])[:12]
    match = _TEMPORARY.fullmatch(name) if SERVICE in labels_of(document) else None
    return match[1] if match else name


def signal_number(signal: str) -> str:
    """A signal's number, whichever way it is named: ``15``, ``TERM``, ``SIGTERM``."""
    name = signal.strip().upper()
    if name.isdecimal() or not name:
        return name
    try:
        return str(int(signal_module.Signals[name if name.startswith("SIG") else f"SIG{name}"]))
    except KeyError:
        return name


@define(eq=False)
class Known:
    """One container, by id: its last inspect document, and what events said about it."""

    id: str
    document: dict[str, Any]
    as_of: float = 0.0
    """Monotonic moment at which the document was asked for, or the newest event taken in."""
    misses: int = 0
    """Inspects in a row that the engine did not answer."""
    missed_at: float = 0.0
    blind: bool = True
    """Nothing was witnessed of it since it last started."""
    trouble: str | None = None
    """Why what the engine says of it cannot be understood, or None."""
    kill_signal: str | None = None
    killed_at: float = 0.0
    oom: bool = False
    """An ``oom`` event came at its last end."""
    ooms: deque[float] = field(factory=lambda: deque(maxlen=100))
    """Of ``oom`` events since it started, in epoch seconds of the engine's clock."""
    ends: deque[float] = field(factory=lambda: deque(maxlen=100))
    began: float = 0.0
    """Monotonic moment at which it was seen to start; 0, it never was."""
    died_at: float = 0.0
    """Of its last end, in epoch seconds of the engine's clock."""
    exit_code: int | None = None
    """Of the last of ``ends``: the engine forgets it with the next start."""
    reading: Reading | None = None
    usage: Usage | None = None

    @property
    def running(self) -> bool:
        """Whether a process of it exists."""
        return state_of(self.document) in ("running", "paused")

    @property
    def mute(self) -> bool:
        """Whether the engine does not answer about it."""
        return self.misses >= MUTE_AFTER

    @property
    def pid(self) -> int:
        """Of its first process, 0 where there is none."""
        pid = part(self.document, "State").get("Pid")
        return pid if isinstance(pid, int) else 0

    @property
    def created(self) -> str:
        """When it was made, in the engine's words, which sort."""
        return str(self.document.get("Created", ""))

    def take(self, document: dict[str, Any], asked: float) -> bool:
        """Keep a document, asked for at the monotonic moment ``asked``; False, and nothing is
        kept, where something newer is known."""
        if asked < self.as_of:
            return False
        self.document, self.as_of, self.trouble = document, asked, None
        return True

    def missed(self, asked: float) -> None:
        """The engine did not answer; what was asked at the same time is one miss."""
        if asked >= self.missed_at:
            self.misses += 1
            self.missed_at = time.monotonic()

    def heard(self, ahead: float = 0.0) -> Heard:
        """Return what events said by now; ``ahead``: seconds the engine's clock is ahead."""
        now = time.monotonic()
        recent = [end for end in self.ends if now - end < LOOP_WINDOW]
        engine = time.time() + ahead
        running_for = now - self.began if self.running else None
        unseen, since = 0, 0.0
        started = parse_time(part(self.document, "State").get("StartedAt"))
        if self.blind and self.running and started and engine - started.timestamp() < SETTLED:
            # What restarted it just now, and how often before, the engine alone has seen.
            running_for = max(0.0, engine - started.timestamp())
            count = self.document.get("RestartCount")
            made = parse_time(self.document.get("Created"))
            unseen = count if isinstance(count, int) else 0
            since = engine - made.timestamp() if made else 0.0
            if unseen * LOOP_WINDOW < LOOP_RESTARTS * since:  # over its life, and no loop
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
        """It runs (again): what led to its last end is over."""
        self.kill_signal, self.oom, self.blind = None, False, False
        self.began = time.monotonic()
        self.ooms.clear()
        self.reading = self.usage = None

    def killed(self, signal: str) -> None:
        """A ``kill`` event: a person, or Compose, sent it a signal; Podman names none.

        Of several, the first that ends a container says how it was meant: a polite stop is
        followed by SIGKILL where it takes too long.
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
        """A ``stop`` event, before or after the end: somebody stopped it, though Podman reports no
        signal, and Docker perhaps of one that ends other programs only."""
        # One that waits for its next try may have ended a minute ago, without any further event.
        ended = not self.running and state_of(self.document) != "restarting"
        is_old = ended and at - self.died_at > STOP_COUNTS_FOR
        if is_old or self.kill_signal in (*ENDING_SIGNALS, BY_HAND):
            return
        self.kill_signal, self.killed_at = BY_HAND, time.monotonic()
        if self.ends and not self.running:
            self.ends.pop()  # a person's stops are no restart loop

    def ran_out_of_memory(self, at: float) -> None:
        """An ``oom`` event: one of its processes was killed, perhaps the first, which ends it."""
        self.ooms.append(at)
        self.oom = not self.running and abs(at - self.died_at) < OOM_COUNTS_FOR

    def has_ended_since(self, at: float, listening: float) -> bool:
        """Whether the run that began ``at`` is over, which makes its beginning no news: it was seen
        to end, or began before ``listening``, in (whole) seconds of the engine's clock."""
        if 0 < self.died_at - at < REPEATED:
            return True
        finished = parse_time(part(self.document, "State").get("FinishedAt"))
        ended = max(self.died_at, finished.timestamp() if finished else 0.0)
        return at < min(listening, ended)

    def died(self, at: float) -> None:
        """When it ended, and whether for want of memory."""
        self.blind, self.died_at = False, at
        self.oom = any(abs(at - oom) < OOM_COUNTS_FOR for oom in self.ooms)

    def ended(self, at: float, exit_code: int) -> None:
        """A ``die`` event."""
        self.died(at)
        self.reading = self.usage = None
        passed = time.monotonic() - self.killed_at
        if passed > (KILL_COUNTS_FOR if self.kill_signal else STOP_COUNTS_FOR):
            self.kill_signal = None
        if self.kill_signal in ("", str(exit_code - SIGNALLED)):  # that signal ended it
            self.kill_signal = self.kill_signal if self.kill_signal in ENDING_SIGNALS else BY_HAND
        if self.kill_signal is None:
            self.ends.append(time.monotonic())  # a person's restarts are no restart loop
            self.exit_code = exit_code


@define(eq=False)
class Slot:
    """One target, and the containers that are or were it, at most a few during a redeploy."""

    key: Key
    target: str
    members: dict[str, Known] = field(factory=dict)
    held: bool = False
    """Its end is not reported yet: it may be a redeploy."""
    replacing: float = 0.0
    """Monotonic moment from which on a redeploy goes on; 0, there is none."""
    service: Service | None = None
    """The service of which it is an instance."""
    place: str = ""
    generation: str = ""  # what it fills there, and of which rollout it is: see Replica
    is_sick: bool = False
    """Its health check failed when it was last seen to run."""
    left: bool = False
    """It is what is left of an instance that another one has replaced: no target any more."""
    told: Result | None = None
    """The result that was reported last."""

    @property
    def current(self) -> Known | None:
        """The container that stands for the target: a running one, else the newest."""
        return max(self.members.values(), key=lambda m: (m.running, m.created), default=None)


@define
class Registry:
    """All slots; ``suffix`` goes behind each target's name (``@nas``)."""

    suffix: str = ""
    slots: dict[Key, Slot] = field(factory=dict)
    _owners: dict[str, Slot] = field(factory=dict)
    _targets: dict[str, Slot] = field(factory=dict)
    _apart: set[str] = field(factory=set)
    """Containers that are targets of their own, whatever they claim to be."""
    services: Services = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.services = Services(self.suffix)

    def put(self, document: dict[str, Any], asked: float) -> tuple[Slot, Known]:
        """Take in a document, asked for at the monotonic moment ``asked``: the container's slot and
        record, made where they are new."""
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
        # Its image could not be inspected before, or it was another's in another project.
        alone = slot.key[0] == "name" or len(slot.members) == 1
        apart = container_id in self._apart or key in self.slots
        if key[0] == "compose" and alone and not apart:
            del self.slots[slot.key]
            slot.key = key
            self.slots[key] = slot
        self.services.enlist(slot)
        return slot, known

    def _called_alike(self, document: Mapping[str, Any]) -> Slot | None:
        """The target that a container of the same name is, or was."""
        name = plain_name(document)
        slot = self._targets.get(name + self.suffix)
        if slot is None:
            return None
        others = [plain_name(member.document) for member in slot.members.values()]
        return slot if not others or name in others else None

    def _make(self, key: Key, document: Mapping[str, Any]) -> Slot:
        """A new target, under a name that no other has."""
        name, container_id = plain_name(document), str(document["Id"])
        names = [each + self.suffix for each in (name, f"{name}-{container_id[:12]}", container_id)]
        target = next((each for each in names if each not in self._targets), names[-1])
        slot = self.slots[key] = self._targets[target] = Slot(key, target)
        self.services.stale = True
        return slot

    def set_apart(self, slot: Slot) -> list[Slot]:
        """Make targets of their own of all containers but one that run at the same time as the same
        target: nobody makes one anew while it runs. The one whose name the target has stays, else
        the first. Returns the new targets."""
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
        """The containers known."""
        return set(self._owners)

    def slot_of(self, known: Known) -> Slot | None:
        """The target that a container stands for now."""
        return self._owners.get(known.id)

    def find(self, container_id: str) -> tuple[Slot, Known] | None:
        """The slot and record of a container."""
        slot = self._owners.get(container_id)
        return None if slot is None else (slot, slot.members[container_id])

    def document(self, container_id: str) -> dict[str, Any] | None:
        """The last inspect document of a container."""
        found = self.find(container_id)
        return None if found is None else found[1].document

    def drop(self, container_id: str) -> Slot | None:
        """A container is gone; returns the slot it leaves, perhaps empty."""
        slot = self._owners.pop(container_id, None)
        self._apart.discard(container_id)
        if slot is not None:
            slot.members.pop(container_id, None)
        return slot

    def retire(self, slot: Slot) -> None:
        """A target is gone."""
        self.services.leave(slot)
        if self.slots.get(slot.key) is slot:
            del self.slots[slot.key]
        if self._targets.get(slot.target) is slot:
            del self._targets[slot.target]

    def rename(self, slot: Slot, document: dict[str, Any]) -> None:
        """A container that goes by its name has another one: it is another target now."""
        container_id = str(document["Id"])
        known = slot.members[container_id]
        self.drop(container_id)
        renamed, _ = self.put(document, known.as_of)
        known.document = document
        renamed.members[container_id] = known  # what events said about it still holds

    def by_target(self, target: str) -> Slot | None:
        """The slot of a target."""
        return self._targets.get(target)

    def of_service(self, project: str, service: str) -> list[str]:
        """The targets that a Compose service is: one of its own, or its containers."""
        found = self.services.of_compose(project, service)
        if found is not None and found.target is not None:
            return [found.target]
        return [] if found is None else sorted(slot.target for slot in found.slots)

    def targets(self) -> list[str]:
        """All targets that there are, containers and services."""
        called = [service.target for service in self.services if service.target is not None]
        return [slot.target for slot in self.slots.values() if not slot.left] + called

    def arrange(self) -> list[tuple[Service, str | None]]:
        """See which services are targets of their own, and what they are called; returns those that
        are called otherwise now, and what they were called before."""
        return self.services.arrange(self._targets)
