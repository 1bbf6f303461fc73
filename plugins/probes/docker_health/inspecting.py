"""Queries about one container, and documents made of events where the engine does not answer."""

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
from tocsin.plugins.probes.docker_health.containers import Known
from tocsin.plugins.probes.docker_health.engine import Engine, part
from tocsin.plugins.probes.docker_health.errors import NoSuchContainer, Refused, Unanswered
from tocsin.plugins.probes.docker_health.facts import IMAGE_LABELS, needs_image
from tocsin.plugins.probes.docker_health.registry import Registry

AGO, AHEAD = 365 * 86400.0, 3600.0
"""Seconds before and after the present within which an event can be: one is heard when it happens,
or after an interruption."""

IMAGES_KEPT = 1000
"""Most images whose labels are cached; an image never changes."""

IMAGES_AGAIN = 60.0
"""Seconds for which an image is not inspected again after the engine did not answer about it; after
two images without a timely answer, no image is inspected for as long."""

SILENT = 5.0
"""Seconds after which an unanswered request about an image delays too many others."""


@frozen(kw_only=True)
class Inspected:
    """The result of an inspect request.

    Attributes:
        id: id of the container.
        asked: monotonic time of the request; information of a later time is newer.
        document: the engine's document, or None.
        silent: there is no document, but the container may exist: the engine did not say that it
            does not.
    """

    id: str
    asked: float
    document: dict[str, Any] | None
    silent: bool = False


@frozen(kw_only=True)
class Happened:
    """An event of the engine about a container.

    Attributes:
        container: id of the container.
        kind: the action without its detail.
        detail: the result, for the kind ``health_status``.
        nano: time of the event, in nanoseconds since 1970 of the engine's clock.
        attributes: further texts; the labels of the container are among them.
    """

    container: str
    kind: str
    detail: str
    nano: int
    attributes: Mapping[str, str]

    @property
    def at(self) -> float:
        """Time of the event, in seconds since 1970 of the engine's clock."""
        return self.nano / 1e9

    def moment(self, ahead: float) -> datetime:
        """Return its time by tocsin's clock, which the engine's is ``ahead`` of by seconds; the
        present if the engine did not say when, or not a time that an engine can have."""
        at, now = self.at - ahead, time.time()
        return datetime.fromtimestamp(at if now - AGO < at < now + AHEAD else now, UTC)

    @classmethod
    def of(cls, event: object) -> Happened | None:
        """Parse an event document of the engine; None if it is not an event about a container."""
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
    """Inspects containers, and counts the unanswered requests in a row for each of them."""

    def __init__(self, engine: Engine, registry: Registry) -> None:
        self._engine = engine
        self._registry = registry
        self._images: OrderedDict[str, Mapping[str, Any]] = OrderedDict()
        self._resting: dict[str, float] = {}
        """By image, the monotonic time until which it is not inspected."""
        self._none_until = 0.0
        self._silent: str | None = None
        """The last image about which the engine gave no timely answer."""
        self._one_image = asyncio.Lock()

    async def inspect(self, container_id: str) -> Inspected:
        """Inspect one container.

        Raises:
            EngineAway: there is no connection to the engine.
        """
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
        document["Id"] = container_id  # the id by which it is known here
        if needs_image(document):
            document[IMAGE_LABELS] = await self._labels_of_image(str(document.get("Image")))
        if (found := self._registry.find(container_id)) is not None:
            found[1].misses = 0
        return Inspected(id=container_id, asked=asked, document=document)

    async def _labels_of_image(self, image: str) -> Mapping[str, Any] | None:
        """Return the labels of an image; None if it cannot be inspected."""
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
        """Inspect a known container, and store the answer in its record."""
        answer = await self.inspect(known.id)
        if answer.document is not None:
            known.take(answer.document, answer.asked)


def by_list(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a container's document that the engine's list of containers contains."""
    created, names = item.get("Created"), item.get("Names")
    if not (isinstance(created, int) and 0 <= created < 1 << 36):
        created = 0
    listed = [str(name) for name in names] if isinstance(names, list) else []
    return {
        "Id": str(item["Id"]),
        # Names under which other containers link to it have two slashes.
        "Name": next((name for name in listed if name.count("/") == 1), ""),
        "Created": datetime.fromtimestamp(created, UTC).isoformat(timespec="microseconds"),
        "Config": {"Image": item.get("Image"), "Labels": item.get("Labels")},
        "State": {"Status": item.get("State")},
    }


def exit_code_of(attributes: Mapping[str, Any]) -> int:
    """Return the exit code in the attributes of a ``die`` event; 0 if there is no valid one.

    A label ``exitCode`` of the container may replace it in the attributes.
    """
    code = str(attributes.get("exitCode"))
    return int(code) if re.fullmatch(r"\d{1,10}", code, re.ASCII) else 0


def by_end(document: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a container's document, updated by the attributes of its ``die`` event."""
    code = exit_code_of(attributes)
    state = {**part(document, "State"), "Status": "exited", "Pid": 0, "ExitCode": code}
    return {**document, "State": state}


def by_start(document: Mapping[str, Any], at: float) -> dict[str, Any]:
    """Return a container's document, updated by its ``start`` event.

    Args:
        document: the document before.
        at: time of the event, in seconds since 1970 of the engine's clock.
    """
    state = {
        **part(document, "State"), "Status": "running", "Pid": 0, "ExitCode": 0,
        "Error": "", "OOMKilled": False, "StartedAt": datetime.fromtimestamp(at, UTC).isoformat(),
    }  # fmt: skip
    state.pop("Health", None)
    return {**document, "State": state}
