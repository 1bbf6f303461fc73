"""Asking the engine about one container; and what stands in for an answer where there is none."""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import frozen

from tocsin import clean_text
from tocsin.plugins.probes.docker_health.containers import Known, Registry
from tocsin.plugins.probes.docker_health.engine import (
    Engine,
    NoSuchContainer,
    Refused,
    Unanswered,
    part,
)
from tocsin.plugins.probes.docker_health.facts import IMAGE_LABELS, needs_image

IMAGES_KEPT = 1000
"""Images whose labels are remembered; an image never changes."""

IMAGES_AGAIN = 60.0
"""Seconds for which an image is not inspected once the engine did not answer about it; none at all,
once it was silent about two."""

SILENT = 5.0
"""Seconds after which no answer is a silence, for which others wait."""


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


@frozen(kw_only=True)
class Happened:
    """An event of the engine about a container.

    Attributes:
        container: its id.
        kind: the action without its detail; ``detail``: of ``health_status``, what came of it.
        nano: when, in nanoseconds of the engine's clock since 1970.
        attributes: what else it says, texts; labels of the container are among them.
    """

    container: str
    kind: str
    detail: str
    nano: int
    attributes: Mapping[str, str]

    @property
    def at(self) -> float:
        """When, in seconds."""
        return self.nano / 1e9

    @classmethod
    def of(cls, event: object) -> Happened | None:
        """Out of the engine's document; None for what is no such event."""
        told = part(event)
        action, nano = told.get("Action"), told.get("timeNano", 0)
        container, attributes = part(told, "Actor").get("ID"), part(told, "Actor", "Attributes")
        if not (isinstance(action, str) and isinstance(container, str) and container):
            return None
        kind, _, detail = action.partition(":")
        return cls(
            container=container,
            kind=kind,
            detail=clean_text(detail.strip(), longest=140),
            nano=nano if isinstance(nano, int) and 0 <= nano < 1 << 63 else 0,
            attributes={
                key: clean_text(text, longest=340)
                for key, text in attributes.items()
                if isinstance(text, str)
            },
        )


class Inspector:
    """Inspects containers and counts, for each, how often the engine did not answer in a row."""

    def __init__(self, engine: Engine, registry: Registry) -> None:
        self._engine = engine
        self._registry = registry
        self._images: OrderedDict[str, Mapping[str, Any]] = OrderedDict()
        self._resting: dict[str, float] = {}
        """By image, until when it is not inspected."""
        self._none_until = 0.0
        self._silent: str | None = None
        """The image about which the engine was silent last."""
        self._one_image = asyncio.Lock()

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
        if not isinstance(document, dict):
            return Inspected(id=container_id, asked=asked, document=None, silent=True)
        document["Id"] = container_id  # by which alone it is known here
        if needs_image(document):
            document[IMAGE_LABELS] = await self._labels_of_image(str(document.get("Image")))
        if (found := self._registry.find(container_id)) is not None:
            found[1].misses = 0
        return Inspected(id=container_id, asked=asked, document=document)

    async def _labels_of_image(self, image: str) -> Mapping[str, Any] | None:
        """The labels of an image; None where it cannot be inspected."""
        async with self._one_image:
            if image in self._images:
                self._images.move_to_end(image)
                return self._images[image]
            asked = time.monotonic()
            self._resting = {each: end for each, end in self._resting.items() if end > asked}
            if image in self._resting or asked < self._none_until:
                return None
            try:
                labels = part(await self._engine.about("inspect_image", image), "Config", "Labels")
            except NoSuchContainer:
                return None
            except (Refused, Unanswered):
                again = time.monotonic() + IMAGES_AGAIN
                self._resting[image] = again
                if time.monotonic() - asked > SILENT:
                    if self._silent not in (None, image):
                        self._none_until = again
                    self._silent = image
                return None
            self._images[image] = labels
            if len(self._images) > IMAGES_KEPT:
                self._images.popitem(last=False)
            return labels

    async def renew(self, known: Known) -> None:
        """Ask about a container that is known, and keep the answer."""
        answer = await self.inspect(known.id)
        if answer.document is not None:
            known.take(answer.document, answer.asked)


def by_list(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a container's document as far as the engine's list of containers gives it."""
    created, names = item.get("Created"), item.get("Names")
    if not (isinstance(created, int) and 0 <= created < 1 << 36):
        created = 0
    listed = [str(name) for name in names] if isinstance(names, list) else []
    return {
        "Id": str(item["Id"]),
        # Links of others are among them.
        "Name": next((name for name in listed if name.count("/") == 1), ""),
        "Created": datetime.fromtimestamp(created, UTC).isoformat(timespec="microseconds"),
        "Config": {"Image": item.get("Image"), "Labels": item.get("Labels")},
        "State": {"Status": item.get("State")},
    }


def exit_code_of(attributes: Mapping[str, Any]) -> int:
    """The exit code that the event of an end names; 0 where it names none, or what is none: a label
    ``exitCode`` of the container stands in its place."""
    code = str(attributes.get("exitCode"))
    return int(code) if re.fullmatch(r"\d{1,10}", code, re.ASCII) else 0


def by_end(document: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a container's document as far as the event of its end gives it."""
    code = exit_code_of(attributes)
    state = {**part(document, "State"), "Status": "exited", "Pid": 0, "ExitCode": code}
    return {**document, "State": state}


def by_start(document: Mapping[str, Any], at: float) -> dict[str, Any]:
    """A container's document as far as the event of its start, at a moment of the engine's clock,
    tells it."""
    state = {
        **part(document, "State"), "Status": "running", "Pid": 0, "ExitCode": 0,
        "Error": "", "OOMKilled": False, "StartedAt": datetime.fromtimestamp(at, UTC).isoformat(),
    }  # fmt: skip
    state.pop("Health", None)
    return {**document, "State": state}
