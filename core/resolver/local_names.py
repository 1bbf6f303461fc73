"""Addresses that need no resolver: numeric hosts, and names in the hosts file.

They are computed at once, without a thread, so that they never wait for a resolver.
"""

from __future__ import annotations

import os
import re
import socket
from contextlib import suppress
from pathlib import Path

Address = tuple[int, tuple[str | int, ...]]
"""An address family, and the socket address with 0 as the port."""

HOSTS = Path("/etc/hosts")
SWITCH = Path("/etc/nsswitch.conf")

MOST = 4_000_000
"""Maximum number of bytes read of the hosts file; some block hundreds of thousands of names."""

_SHORT = re.compile(r"(0x[0-9a-f]+|[0-9]+)(\.(0x[0-9a-f]+|[0-9]+)){0,3}", re.IGNORECASE)
"""IPv4 addresses as inet_aton(3) accepts them: ``127.1``, ``2130706433``."""


def numeric(host: str) -> Address | None:
    """Return the address if a host is one; None if it is a name.

    Raises:
        socket.gaierror: an IPv6 address has a zone that is no network interface here.
    """
    if ":" in host:
        host = host[1:-1] if (host[0], host[-1]) == ("[", "]") else host
        bare, _, zone = host.partition("%")
        try:
            socket.inet_pton(socket.AF_INET6, bare)
        except OSError:
            return None
        return socket.AF_INET6, (bare, 0, 0, _zone(zone) if zone else 0)
    if not host[:1].isdigit() or not _SHORT.fullmatch(host):
        return None
    try:
        return socket.AF_INET, (socket.inet_ntoa(socket.inet_aton(host)), 0)
    except OSError:
        return None


def _zone(zone: str) -> int:
    if zone.isascii() and zone.isdigit():
        return int(zone)
    try:
        return socket.if_nametoindex(zone)
    except OSError:
        raise socket.gaierror(socket.EAI_NONAME, f"no network interface {zone!r}") from None


class _Read:
    """A file that is read again only after it has changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, ...] | None = None

    def new_lines(self) -> list[list[str]] | None:
        """Return its lines as words, without comments; None if it is unchanged since the last call.

        Raises:
            OSError: it cannot be read; the next call tries again.
        """
        found = os.stat(self.path)  # noqa: PTH116
        stamp = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
        if stamp == self._stamp:
            return None
        with self.path.open("rb") as file:
            text = file.read(MOST).decode("utf-8", "replace")
        self._stamp = stamp
        return [words for line in text.splitlines() if (words := line.partition("#")[0].split())]


class HostsFile:
    """The names in a hosts file, and whether ``nsswitch.conf`` ranks it before the resolver."""

    def __init__(self, hosts: Path = HOSTS, switch: Path = SWITCH) -> None:
        self._hosts, self._switch = _Read(hosts), _Read(switch)
        self._names: dict[str, list[Address]] = {}
        self._is_first = True
        self.find("localhost", socket.AF_UNSPEC)  # read the files now, not when an alert is sent

    def find(self, host: str, family: int) -> list[Address] | None:
        """Return the addresses of a name; None if the resolver has to be asked, since the file has
        none of that family or the resolver is ranked before it."""
        with suppress(OSError):  # if a file cannot be opened, what was read last stays valid
            if (lines := self._hosts.new_lines()) is not None:
                self._names = _parse(lines)
        with suppress(OSError):
            if (lines := self._switch.new_lines()) is not None:
                self._is_first = _is_first(lines)
        if not self._is_first:
            return None
        found = self._names.get(host.lower(), ())
        return [one for one in found if family in (socket.AF_UNSPEC, one[0])] or None


def _parse(lines: list[list[str]]) -> dict[str, list[Address]]:
    names: dict[str, list[Address]] = {}
    for address, *aliases in lines:
        with suppress(socket.gaierror):
            if (found := numeric(address)) is not None:
                for alias in aliases:
                    rows = names.setdefault(alias.lower(), [])
                    if found not in rows:
                        rows.append(found)
    for rows in names.values():
        rows.sort(key=lambda one: one[0] != socket.AF_INET6)  # IPv6 first, as getaddrinfo does
    return names


def _is_first(lines: list[list[str]]) -> bool:
    for word, *services in lines:
        if word == "hosts:" and "files" in services:
            return not {"dns", "resolve"} & set(services[: services.index("files")])
    return True
