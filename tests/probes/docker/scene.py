"""An engine of the tests: containers of services, made and ended as an orchestrator does."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from attrs import define, field

from tests.probes.docker.test_names import COMPOSE, container
from tocsin import Result
from tocsin.plugins.probes.docker_health.addresses import Addresses
from tocsin.plugins.probes.docker_health.containers import Known as KnownContainer
from tocsin.plugins.probes.docker_health.engine import Engine
from tocsin.plugins.probes.docker_health.facts import IMAGE_LABELS
from tocsin.plugins.probes.docker_health.registry import Registry
from tocsin.plugins.probes.docker_health.source import DockerSource
from tocsin.plugins.probes.docker_health.telling import Teller
from tocsin.testing import RecordingSink


def replica(
    number: int, service: str = "api", project: str = "shop", **labels: str
) -> dict[str, Any]:
    """One of several containers of a service that Compose has made."""
    named = {
        "com.docker.compose.service": service, "com.docker.compose.project": project,
        "com.docker.compose.container-number": str(number),
    }  # fmt: skip
    identity = sum(map(ord, project + service)) * 100 + number
    return _made(identity, f"{project}-{service}-{number}", {**COMPOSE, **named, **labels})


def task(slot: int, number: int, service: str = "web") -> dict[str, Any]:
    """A container of a Swarm service: the ``number``-th task in a slot."""
    name = f"{service}.{slot}.{number:025d}"
    labels = {
        "com.docker.swarm.service.name": service, "com.docker.swarm.task.name": name,
        "com.docker.swarm.task.id": f"{number:025d}",
    }  # fmt: skip
    return _made(1000 * slot + number, name, labels)


def pod(name: str, uid: str = "u1", attempt: int = 0, **more: Any) -> dict[str, Any]:
    """A container that a kubelet has made."""
    kind = more.get("container", "web")
    identity = sum(map(ord, kind + name + uid)) * 10 + attempt
    return _made(identity, f"k8s_{kind}_{name}_default_{uid}_{attempt}", {})


def _made(number: int, name: str, labels: dict[str, str]) -> dict[str, Any]:
    image: dict[str, Any] = {IMAGE_LABELS: {}}
    made = f"2026-01-01T00:{number // 60 % 60:02d}:{number % 60:02d}Z"
    return container(number, name, labels=labels, Created=made, **image)


def stamp(seconds: float) -> str:
    """Seconds since 1970 as an engine writes them."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


@define
class Scene:
    """A registry, and what is told of it."""

    registry: Registry = field(factory=Registry)
    sink: RecordingSink = field(factory=RecordingSink)
    teller: Teller = field(init=False)

    def __attrs_post_init__(self) -> None:
        engine = Engine(DockerSource().client)  # nobody asks it
        addresses = Addresses("unix:///x")
        self.teller = Teller("docker", self.sink, self.registry, addresses, engine)

    def see(self, *documents: dict[str, Any]) -> None:
        """Containers are there, and run."""
        for document in documents:
            self.registry.put(document, time.monotonic())
        for document in documents:
            slot, known = self.found(document)
            known.started()
            self.teller.discover(slot)
            self.teller.tell(slot)

    def create(self, document: dict[str, Any]) -> None:
        """A container is made, and has yet to start."""
        document["State"] = {"Status": "created"}
        slot, _ = self.registry.put(document, time.monotonic())
        self.teller.discover(slot)
        self.teller.tell(slot)

    def found(self, document: dict[str, Any]) -> tuple[Any, KnownContainer]:
        found = self.registry.find(document["Id"])
        assert found is not None
        return found

    def end(
        self, document: dict[str, Any], code: int = 1, signal: str | None = None, **times: float
    ) -> None:
        """A container ends, by itself or by a signal; ``times`` are the engine's, in seconds."""
        slot, known = self.found(document)
        if signal is not None:
            known.killed(signal)
        known.ended(time.time(), code)
        told = {name: stamp(seconds) for name, seconds in times.items()}
        document["State"] = {"Status": "exited", "ExitCode": code, **told}
        self.teller.tell(slot)

    def remove(self, document: dict[str, Any]) -> None:
        """A container is removed, and its target retired."""
        slot, known = self.found(document)
        self.registry.drop(document["Id"])
        if not slot.members:
            self.teller.tell_removed(slot, known)
            self.registry.retire(slot)
            self.sink.retired(slot.target, "removed on purpose")
            self.teller.arrange()

    def last(self, target: str) -> Result:
        result = self.sink.last(target)
        assert result is not None
        return result

    def targets(self) -> set[str]:
        return set(self.registry.targets())
