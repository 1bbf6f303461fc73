"""Lookups of host names that keep working as far as possible while the resolver does not answer.

Checks and delivery (channels, the dead man's ping, the uplink) each have a few threads: a lookup by
the system's resolver cannot be cancelled. Addresses, and names in the hosts file, need no thread. A
second request for a name waits for the lookup in progress. A check waits at most PATIENCE seconds;
delivery uses the last good answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Sequence
from contextvars import ContextVar, Token

from aiohappyeyeballs import AddrInfoType, start_connection
from aiohttp.abc import AbstractResolver, ResolveResult
from attrs import Factory, define, field

from tocsin.core.resolver.local_names import Address, HostsFile, numeric
from tocsin.core.resolver.threads import Lookup, LookupThreads
from tocsin.core.runtime.shortage import LookupTrouble, is_clear

PATIENCE = 5.0
"""Seconds that a check waits for a lookup, or SHARE of its own timeout if that is less."""

SHARE = 0.8

LONG = 1.0
"""Seconds after which a lookup that its check has given up counts as unanswered."""

FRESH = 5.0
"""Seconds for which an answer is used again."""

DELIVERY_PATIENCE = 2.0
"""Seconds that delivery waits for a lookup before it uses the last good answer."""

STALE = 86400.0
"""Seconds for which delivery may use the last good answer while the resolver does not answer."""

DELIVERY_AT_MOST = 20.0
"""Seconds that delivery waits if there is no earlier answer."""

MOST_KEPT = 4096
"""Maximum number of names whose last answers are kept."""

EYEBALLS = 0.25
"""Seconds after which the next address of a name is tried in parallel (RFC 8305)."""

FORGOTTEN = 600.0
"""Seconds after which a failed name that is no longer requested is not reported any more."""


@define
class LookupWatch:
    """The lookups of one run of a check. Those without any answer, not even that there is no such
    name, are a problem of tocsin and not of the target. It covers what is looked up in its ``with``
    block, in tasks that the block starts, and in other threads that it waits for."""

    _open: dict[str, None] = field(factory=dict)
    _token: Token[LookupWatch | None] = field(init=False)

    def __enter__(self) -> LookupWatch:
        """Begin to record."""
        self._token = _watch.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        """End the recording."""
        _watch.reset(self._token)

    def trouble(self) -> str | None:
        """Return what could not be looked up, as a clause, or None."""
        host = next(iter(self._open), None)
        return None if host is None else str(LookupTrouble(host, "no answer in time"))

    def begin(self, host: str) -> None:
        """Record that a lookup begins."""
        self._open[host] = None

    def answered(self, host: str) -> None:
        """Record that a lookup was answered."""
        self._open.pop(host, None)


_watch: ContextVar[LookupWatch | None] = ContextVar("tocsin_lookups", default=None)


def lookups_of_check() -> LookupWatch:
    """Return a context manager for one run of a check, which records its lookups."""
    return LookupWatch()


@define(eq=False)
class Lookups:
    """The threads that look up host names, and the results."""

    checks: LookupThreads = Factory(lambda: LookupThreads("tocsin lookup", 32))
    delivery: LookupThreads = Factory(lambda: LookupThreads("tocsin delivery lookup", 8))
    hosts_file: HostsFile = Factory(HostsFile)
    answers: dict[tuple[str, int], tuple[float, list[Address]]] = Factory(dict)
    """By name and family: when the last answer came, and the answer."""
    failing: dict[str, tuple[float, str]] = Factory(dict)
    """Names that checks could not look up: when that was last, and why."""

    def forget(self) -> None:
        """Forget all results, so that the next tocsin in this process starts without them."""
        self.answers.clear()
        self.failing.clear()

    def trouble(self) -> str | None:
        """Return which names checks could not look up the last time, as a sentence, or None."""
        now = time.monotonic()
        for host in [host for host, (at, _) in self.failing.items() if now - at > FORGOTTEN]:
            del self.failing[host]
        if not self.failing:
            return None
        host, (_, why) = next(iter(self.failing.items()))
        return (
            f"{len(self.failing)} host names cannot be looked up, such as {host} ({why}); "
            "see /etc/resolv.conf and the name servers in it"
        )

    def without_resolver(self, host: str, family: int) -> list[Address] | None:
        """Return the addresses of a numeric host or a name in the hosts file, else None. Raises
        gaierror."""
        one = numeric(host)
        if one is None:
            return self.hosts_file.find(host, family)
        if family not in (socket.AF_UNSPEC, one[0]):
            raise socket.gaierror(socket.EAI_NONAME, "the address is not of the requested family")
        return [one]

    async def for_check(
        self, host: str, family: int, timeout: float | None, watch: LookupWatch
    ) -> list[Address]:
        """Look up a name for a check; see :func:`look_up`."""
        if (kept := self._kept(host, family, FRESH)) is not None:
            return kept
        patience = PATIENCE if timeout is None else min(PATIENCE, SHARE * timeout)
        watch.begin(host)
        began = time.monotonic()
        try:
            found = await self._ask(self.checks, host, family, patience)
        except LookupTrouble as trouble:
            self.failing[host] = (time.monotonic(), trouble.why)
            raise
        except asyncio.CancelledError as error:
            # For callers that turn this into a timeout.
            error.__cause__ = LookupTrouble(host, "no answer in time")
            if (now := time.monotonic()) - began > LONG:  # else the check was probably removed
                self.failing[host] = (now, "no answer in time")
            raise
        except (socket.gaierror, UnicodeError):
            watch.answered(host)
            self.failing.pop(host, None)
            raise
        watch.answered(host)
        self.failing.pop(host, None)
        return found

    async def for_delivery(self, host: str, family: int) -> list[Address]:
        """Look up a name for delivery; see :func:`look_up`."""
        if (kept := self._kept(host, family, FRESH)) is not None:
            return kept
        last = self._kept(host, family, STALE)
        patience = DELIVERY_AT_MOST if last is None else DELIVERY_PATIENCE
        try:
            return await self._ask(self.delivery, host, family, patience)
        except (LookupTrouble, RuntimeError, MemoryError):  # RuntimeError: no thread can be started
            if last is None:
                raise
            return last

    def _kept(self, host: str, family: int, seconds: float) -> list[Address] | None:
        at, found = self.answers.get((host, family), (0.0, None))
        return found if found is not None and time.monotonic() - at <= seconds else None

    async def _ask(
        self, threads: LookupThreads, host: str, family: int, seconds: float
    ) -> list[Address]:
        """Look up a name, or wait for the lookup in progress. Raises as :func:`look_up`."""
        lookup = threads.ask(host, family)
        if not await _ended(lookup, seconds):
            threads.give_up(lookup)
            waits = "no answer" if lookup.has_begun else "no thread was free for it"
            raise LookupTrouble(host, f"{waits} within {seconds:g} s")
        try:
            found = lookup.outcome.result()
        except socket.gaierror as error:
            if is_clear(error):
                raise
            raise LookupTrouble(host, (error.strerror or str(error)).lower()) from error
        self.answers.pop((host, family), None)
        self.answers[host, family] = (time.monotonic(), found)
        if len(self.answers) > MOST_KEPT:
            del self.answers[next(iter(self.answers))]
        return found


async def _ended(lookup: Lookup, seconds: float) -> bool:
    """Return whether a lookup ends in time. Others may wait for it in other event loops."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(over.set)

    lookup.outcome.add_done_callback(tell)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds)
    return lookup.outcome.done()


LOOKUPS = Lookups()
"""One object for the process: plugins look up names in any thread and event loop, and a lookup that
hangs cannot be cancelled, so the number of threads has to be limited for the whole process."""


async def look_up(
    host: str, port: int, *, family: int = socket.AF_UNSPEC, timeout: float | None = None
) -> list[AddrInfoType]:
    """Return the addresses of a host, as ``getaddrinfo`` gives them for TCP.

    Args:
        host: an address, or a name.
        port: the port to put into the addresses.
        family: AF_UNSPEC, AF_INET or AF_INET6.
        timeout: timeout of the check in seconds; None: the lookup is for delivery.

    Raises:
        socket.gaierror: there is no such name, or it has no address of that family.
        UnicodeError: the name is malformed.
        LookupTrouble: the resolver does not answer; ``own_shortage`` recognizes it.
    """
    found = LOOKUPS.without_resolver(host, family)
    if found is None:
        watch = _watch.get()
        if watch is None and timeout is None:
            found = await LOOKUPS.for_delivery(host, family)
        else:
            found = await LOOKUPS.for_check(host, family, timeout, watch or LookupWatch())
    return [
        (kind, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (place[0], port, *place[2:]))
        for kind, place in found
    ]


async def connect_to(host: str, port: int, *, timeout: float | None = None) -> socket.socket:
    """Return a connected, non-blocking TCP socket; of several addresses, the first to answer.

    Args:
        host: an address, or a name.
        port: its port.
        timeout: as for :func:`look_up`; connecting has no timeout.

    Raises:
        OSError: the lookup failed, or no address can be connected to.
        UnicodeError: the name is malformed.
    """
    found = await look_up(host, port, timeout=timeout)
    return await start_connection(found, happy_eyeballs_delay=EYEBALLS)


class TocsinResolver(AbstractResolver):
    """A resolver for ``aiohttp.TCPConnector(resolver=…)``; ``timeout``: see :func:`look_up`."""

    def __init__(self, timeout: float | None = None) -> None:
        self._timeout = timeout

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host. Raises OSError."""
        return [
            ResolveResult(
                hostname=host, host=str(place[0]), port=port, family=kind, proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, proto, _, place in await look_up(
                host, port, family=family, timeout=self._timeout
            )
        ]  # fmt: skip

    async def close(self) -> None:
        """Do nothing: there are no resources."""


def addresses(found: Sequence[AddrInfoType]) -> list[str]:
    """Return the addresses alone, without ports."""
    return [str(row[4][0]) for row in found]
