"""Asking the engine about one container; and what stands in for an answer where there is none."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import frozen

from tocsin.plugins.probes.docker_health.containers import Known, Registry
from tocsin.plugins.probes.docker_health.engine import (
    Engine,
    NoSuchContainer,
    Refused,
    Unanswered,
)


@frozen(kw_only=True)
class Inspected:
    """What came of asking.

    Attributes:
        id: of the container.
        asked: the monotonic moment before; what is known from later is newer.
        document: the engine's, or None.
        silent: there is none though the container is there, as far as anybody knows.
    """

    id: str
    asked: float
    document: dict[str, Any] | None
    silent: bool = False


class Inspector:
    """Inspects containers and counts, for each, how often the engine did not answer in a row."""

    def __init__(self, engine: Engine, registry: Registry) -> None:
        self._engine = engine
        self._registry = registry

    async def inspect(self, container_id: str) -> Inspected:
        """Ask about one container. Raises EngineAway where there is no connection at all."""
        asked = time.monotonic()
        try:
            document = await self._engine.about("inspect_container", container_id)
        except NoSuchContainer:
            return Inspected(id=container_id, asked=asked, document=None)
        except (Refused, Unanswered):
            if (found := self._registry.find(container_id)) is not None:
                found[1].missed(asked)
            return Inspected(id=container_id, asked=asked, document=None, silent=True)
        if (found := self._registry.find(container_id)) is not None:
            found[1].misses = 0
        return Inspected(id=container_id, asked=asked, document=document)

    async def renew(self, known: Known) -> None:
        """Ask about a container that is known, and keep the answer."""
        answer = await self.inspect(known.id)
        if answer.document is not None:
            known.take(answer.document, answer.asked)


def by_list(item: Mapping[str, Any]) -> dict[str, Any]:
    """A container's document as far as the engine's list of containers tells it."""
    created = datetime.fromtimestamp(float(item.get("Created") or 0), UTC)
    names = [str(name) for name in item.get("Names") or ()]  # links of others are among them
    return {
        "Id": str(item["Id"]),
        "Name": next((name for name in names if name.count("/") == 1), ""),
        "Created": created.isoformat(timespec="microseconds"),
        "Config": {"Image": item.get("Image"), "Labels": item.get("Labels")},
        "State": {"Status": item.get("State")},
    }


def exit_code_of(attributes: Mapping[str, Any]) -> int:
    """The exit code that the event of an end names; 0 where it names none."""
    return int(attributes.get("exitCode") or 0)


def by_end(document: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """A container's document as far as the event of its end tells it."""
    code = exit_code_of(attributes)
    state = {**(document.get("State") or {}), "Status": "exited", "Pid": 0, "ExitCode": code}
    return {**document, "State": state}


def by_start(document: Mapping[str, Any]) -> dict[str, Any]:
    """A container's document as far as the event of its start, just now, tells it."""
    state = {
        **(document.get("State") or {}), "Status": "running", "Pid": 0, "ExitCode": 0,
        "Error": "", "OOMKilled": False, "StartedAt": datetime.now(UTC).isoformat(),
    }  # fmt: skip
    state.pop("Health", None)
    return {**document, "State": state}
