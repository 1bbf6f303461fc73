"""The network address of a container as seen from tocsin.

Checks that a container's labels ask for, and that name no host, connect to the container itself.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen

from tocsin.plugins.probes.docker_health.engine import Engine, part
from tocsin.plugins.probes.docker_health.errors import NoSuchContainer, Refused, Unanswered
from tocsin.plugins.probes.docker_health.facts import state_of

Document = Mapping[str, Any]

LOOPBACK = "127.0.0.1"
NOT_NOW = "it has no address now"
NOT_SHARED = "no network in common with tocsin"
NOT_SEEN = "it uses the network of a container that tocsin does not watch"
OF_ITS_HOST = "it uses its host's network; write the whole address in the label"

_MOUNTED = re.compile(
    r"/containers/([0-9a-f]{64})/\S+ /etc/(?:hostname|hosts|resolv\.conf) ", re.ASCII
)


@frozen
class Place:
    """The address of a container, or None with the reason as a clause."""

    address: str | None
    why: str = ""


class Addresses:
    """Finds the addresses of the containers of one engine, as seen from where tocsin runs."""

    def __init__(self, engine: str) -> None:
        parts = urlsplit(engine)
        self._local = parts.scheme == "unix" or parts.hostname in ("localhost", LOOPBACK, "::1")
        self._on_host = self._local
        """Whether tocsin shares the loopback interface of the engine's host."""
        self._within: frozenset[str] | None = None
        """Networks of tocsin's own container; None: no container, or one on the host's network."""

    async def look(self, engine: Engine) -> None:
        """Determine where tocsin runs: outside containers, or in which networks of the engine.

        The earlier result is kept if the engine does not answer about tocsin's own container.

        Raises:
            EngineAway: the engine cannot be queried.
        """
        with contextlib.suppress(Unanswered):
            await self._look(engine)

    async def _look(self, engine: Engine) -> None:
        own = None
        for container_id in own_ids():
            own = own or await _inspect(engine, container_id)
        if own is not None and (joined := _joined(own)) is not None:
            own = await _inspect(engine, joined)
        if own is None:
            self._on_host, self._within = self._local, None
        else:
            self._on_host = _mode(own) == "host"
            self._within = None if self._on_host else frozenset(_networks(own))

    def of(self, document: Document, find: Callable[[str], Document | None]) -> Place:
        """Return the address of a container.

        A container that does not run has none: its last address may belong to another one by now.

        Args:
            document: the container's inspect document.
            find: returns the inspect document of a container by its id, or None.
        """
        if state_of(document) not in ("running", "paused"):
            return Place(None, NOT_NOW)
        if (joined := _joined(document)) is not None:
            other = find(joined)
            if other is None or _joined(other) is not None:
                return Place(None, NOT_SEEN)
            return self.of(other, find)
        if _mode(document) == "host":
            return Place(LOOPBACK) if self._on_host else Place(None, OF_ITS_HOST)
        networks = _networks(document)
        for network, address in networks.items():
            if self._within is None or network in self._within:
                return Place(address)
        return Place(None, NOT_SHARED if networks else NOT_NOW)


def own_ids(mounts: Path = Path("/proc/self/mountinfo")) -> list[str]:
    """Return the ids, full or short, that the container of this process may have.

    Docker mounts files from a directory that is named by the full id; the default host name is the
    short id. The list is empty outside a container.

    Args:
        mounts: the mount table of this process (proc(5)).
    """
    found = []
    with contextlib.suppress(OSError, UnicodeError):
        found += _MOUNTED.findall(mounts.read_text())[:1]
    name = socket.gethostname()
    return [*found, name] if re.fullmatch("[0-9a-f]{12}", name) else found


async def _inspect(engine: Engine, container_id: str) -> Document | None:
    with contextlib.suppress(NoSuchContainer, Refused):
        document: Document = part(await engine.about("inspect_container", container_id))
        if str(document.get("Id")).startswith(container_id):  # it may be another's name
            return document
    return None


def _mode(document: Document) -> str:
    return str(part(document, "HostConfig").get("NetworkMode") or "")


def _joined(document: Document) -> str | None:
    """Return the id of the container whose network this one uses, or None."""
    kind, _, other = _mode(document).partition(":")
    return other if kind == "container" else None


def _networks(document: Document) -> dict[str, str]:
    """Return the container's address in each network, by the id of the network."""
    return {
        str(part(network).get("NetworkID") or name): str(address)
        for name, network in part(document, "NetworkSettings", "Networks").items()
        if (address := part(network).get("IPAddress") or part(network).get("GlobalIPv6Address"))
    }
