"""Who is who: containers come and go under new ids, targets stay.

A Compose container is the same target under each new id of its project, service and number; any
other goes by its name.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Mapping
from typing import Any
from unicodedata import category

from attrs import define, field

from tocsin.plugins.probes.docker_health.facts import (
    PROJECT,
    SERVICE,
    labels_of,
    name_of,
    parse_time,
    state_of,
)
from tocsin.plugins.probes.docker_health.reasons import ENDING_SIGNALS, LOOP_WINDOW, Heard
from tocsin.plugins.probes.docker_health.stats import Reading, Usage

Key = tuple[str, ...]
MAX_NAME = 100
"""Characters of a name that a label asks for."""

KILL_COUNTS_FOR = 120.0
"""Seconds within which an end is put down to a ``kill`` event; stop timeouts can be long."""

MUTE_AFTER = 2
"""Inspects in a row without an answer after which the state of a container is unknown."""

_TEMPORARY = re.compile(r"[0-9a-f]{12}_(.+)")
"""The name Compose gives the one of two that is on its way."""


def key_of(document: Mapping[str, Any]) -> Key:
    """What identifies a container over redeploys."""
    labels = labels_of(document)
    if SERVICE in labels and labels.get("com.docker.compose.oneoff", "False") != "True":
        number = labels.get("com.docker.compose.container-number", "1")
        return ("compose", labels.get(PROJECT, ""), labels[SERVICE], number)
    return ("name", plain_name(document))


def plain_name(document: Mapping[str, Any]) -> str:
    """The name, without what Compose puts before it for a while."""
    name = name_of(document)
    match = _TEMPORARY.fullmatch(name)
    return match[1] if match else name


def _asked_name(document: Mapping[str, Any]) -> str:
    """What ``tocsin.name`` says, or nothing where the configuration would refuse such a name."""
    name = labels_of(document).get("tocsin.name", "").strip()
    hidden = any(category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in name)
    return "" if hidden or len(name) > MAX_NAME else name


@define(eq=False)
class Known:
    """One container, by id: its last inspect document, and what was heard of it."""

    id: str
    key: Key
    document: dict[str, Any]
    as_of: float = 0.0
    """Monotonic moment at which the document was asked for, or the newest event taken in."""
    misses: int = 0
    """Inspects in a row that the engine did not answer."""
    missed_at: float = 0.0
    blind: bool = True
    """Nothing was witnessed of it since it last started."""
    kill_signal: str | None = None
    killed_at: float = 0.0
    oom: bool = False
    ends: deque[float] = field(factory=lambda: deque(maxlen=100))
    died_at: float = 0.0
    """Of the last ``die`` event, in epoch seconds of the engine's clock."""
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
        return int((self.document.get("State") or {}).get("Pid") or 0)

    @property
    def created(self) -> str:
        """When it was made, in the engine's words, which sort."""
        return str(self.document.get("Created", ""))

    def take(self, document: dict[str, Any], asked: float) -> bool:
        """Keep a document, asked for at the monotonic moment ``asked``; False, and nothing is
        kept, where something newer is known."""
        if asked < self.as_of:
            return False
        self.document, self.as_of = document, asked
        return True

    def missed(self, asked: float) -> None:
        """The engine did not answer; what was asked at the same time is one miss."""
        if asked >= self.missed_at:
            self.misses += 1
            self.missed_at = time.monotonic()

    def heard(self) -> Heard:
        """What was heard, as of now."""
        now = time.monotonic()
        recent = [end for end in self.ends if now - end < LOOP_WINDOW]
        started = parse_time((self.document.get("State") or {}).get("StartedAt"))
        running_for = time.time() - started.timestamp() if started and self.running else None
        return Heard(
            signal=self.kill_signal,
            oom=self.oom,
            restarts=len(recent),
            exit_code=self.exit_code if recent else None,
            window=now - recent[0] if recent else 0.0,
            running_for=running_for,
            blind=self.blind,
        )

    def started(self) -> None:
        """It runs (again): what led to its last end is over."""
        self.kill_signal, self.oom, self.blind = None, False, False
        self.reading = self.usage = None

    def killed(self, signal: str) -> None:
        """A ``kill`` event: a person, or Compose, sent it a signal.

        Of several, the first that ends a container says how it was meant: a polite stop is
        followed by SIGKILL where it takes too long.
        """
        now = time.monotonic()
        stale = now - self.killed_at > KILL_COUNTS_FOR
        if stale or self.kill_signal not in ENDING_SIGNALS:
            self.kill_signal = signal
        self.killed_at = now

    def has_ended_since(self, at: float) -> bool:
        """Whether the run that began at ``at``, in epoch seconds of the engine's clock, is over."""
        finished = parse_time((self.document.get("State") or {}).get("FinishedAt"))
        return at < max(self.died_at, finished.timestamp() if finished else 0.0)

    def ended(self, at: float, exit_code: int) -> None:
        """A ``die`` event."""
        self.blind, self.died_at = False, at
        self.reading = self.usage = None
        if time.monotonic() - self.killed_at > KILL_COUNTS_FOR:
            self.kill_signal = None
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
    """Its end is not told yet: it may be a redeploy."""
    replacing: float = 0.0
    """Monotonic moment from which on a redeploy goes on; 0, there is none."""

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

    def put(self, document: dict[str, Any], asked: float) -> tuple[Slot, Known]:
        """Take in a document, asked for at the monotonic moment ``asked``: the container's slot and
        record, made where they are new."""
        container_id = str(document["Id"])
        known_slot = self._owners.get(container_id)
        if known_slot is not None:
            known = known_slot.members[container_id]
            known.take(document, asked)
            return known_slot, known
        key = key_of(document)
        slot = self.slots.get(key)
        if slot is None:
            slot = self.slots[key] = Slot(key, self._name(document))
        known = slot.members[container_id] = Known(container_id, key, document, asked)
        self._owners[container_id] = slot
        return slot, known

    def _name(self, document: Mapping[str, Any]) -> str:
        """A name for a new target that no other has."""
        taken = {slot.target for slot in self.slots.values()}
        wanted = _asked_name(document) or plain_name(document)
        for name in (wanted, plain_name(document), f"{wanted}-{str(document['Id'])[:12]}"):
            full = name.replace("/", "-") + self.suffix
            if full not in taken:
                return full
        return f"{document['Id']}{self.suffix}"

    def ids(self) -> set[str]:
        """The containers known."""
        return set(self._owners)

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
        if slot is not None:
            slot.members.pop(container_id, None)
        return slot

    def retire(self, slot: Slot) -> None:
        """A target is gone."""
        self.slots.pop(slot.key, None)

    def rename(self, slot: Slot, document: dict[str, Any]) -> None:
        """A container that goes by its name has another one: it is another target now."""
        container_id = str(document["Id"])
        known = slot.members[container_id]
        self.drop(container_id)
        renamed, fresh = self.put(document, known.as_of)
        known.key, known.document = fresh.key, document
        renamed.members[container_id] = known  # what was heard of it is still true

    def by_target(self, target: str) -> Slot | None:
        """The slot of a target."""
        return next((slot for slot in self.slots.values() if slot.target == target), None)

    def of_service(self, project: str, service: str) -> list[str]:
        """The targets of a Compose service."""
        return sorted(
            slot.target
            for slot in self.slots.values()
            if slot.key[:3] == ("compose", project, service)
        )
