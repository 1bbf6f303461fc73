"""Look-ups of host names that keep working as far as possible while the resolver is away.

Checks and delivery (channels, the dead man's ping, the uplink) have threads of their own each, few
of them: a lookup by the system's resolver cannot be ended before it ends by itself. Addresses, and
names of the hosts file, take no thread at all. A second request for a name waits for the look-up
that is under way. A check waits PATIENCE seconds at most; delivery takes the last good answer.
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
"""Seconds that a check waits for a lookup, or SHARE of its own timeout where that is less."""

SHARE = 0.8

LONG = 1.0
"""Seconds after which a lookup that a check has given up counts as one without an answer."""

FRESH = 5.0
"""Seconds for which an answer holds without asking again."""

DELIVERY_PATIENCE = 2.0
"""Seconds that delivery waits for a lookup before it takes the last good answer."""

STALE = 86400.0
"""Seconds for which delivery may take the last good answer of a resolver that is away."""

DELIVERY_AT_MOST = 20.0
"""Seconds that delivery waits where there is no answer to take."""

MOST_KEPT = 4096
"""Names whose last answers are kept."""

EYEBALLS = 0.25
"""Seconds that an address of a name may take before the next is tried beside it (RFC 8305)."""

FORGOTTEN = 600.0
"""Seconds after which a name that could not be looked up, and is not asked for, is no trouble."""


@define
class LookupWatch:
    """The lookups of one run of a check: those that have given no answer, not even that there is no
    such name, are tocsin's own trouble. What is looked up in its ``with`` block, in tasks that the
    block begins and in other threads that it waits for, is looked up for the check."""

    _open: dict[str, None] = field(factory=dict)
    _token: Token[LookupWatch | None] = field(init=False)

    def __enter__(self) -> LookupWatch:
        """From now on."""
        self._token = _watch.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Up to here."""
        _watch.reset(self._token)

    def trouble(self) -> str | None:
        """What could not be looked up, as a clause, or None."""
        host = next(iter(self._open), None)
        return None if host is None else str(LookupTrouble(host, "no answer in time"))

    def begin(self, host: str) -> None:
        """A lookup begins."""
        self._open[host] = None

    def answered(self, host: str) -> None:
        """It gave an answer."""
        self._open.pop(host, None)


_watch: ContextVar[LookupWatch | None] = ContextVar("tocsin_lookups", default=None)


def lookups_of_check() -> LookupWatch:
    """For a ``with`` block that makes one run of a check."""
    return LookupWatch()


@define(eq=False)
class Lookups:
    """The threads that look host names up, and what they found."""

    checks: LookupThreads = Factory(lambda: LookupThreads("tocsin lookup", 32))
    delivery: LookupThreads = Factory(lambda: LookupThreads("tocsin delivery lookup", 8))
    hosts_file: HostsFile = Factory(HostsFile)
    answers: dict[tuple[str, int], tuple[float, list[Address]]] = Factory(dict)
    """By name and family: when there was an answer last, and which."""
    failing: dict[str, tuple[float, str]] = Factory(dict)
    """Names that checks could not look up: when last, and why."""

    def forget(self) -> None:
        """Forget what was found: the next tocsin of this process begins without it."""
        self.answers.clear()
        self.failing.clear()

    def trouble(self) -> str | None:
        """Which names checks could not look up when they tried last, as a sentence, or None."""
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
        """Return the addresses of an address or a name in the hosts file. Raises gaierror."""
        one = numeric(host)
        if one is None:
            return self.hosts_file.find(host, family)
        if family not in (socket.AF_UNSPEC, one[0]):
            raise socket.gaierror(socket.EAI_NONAME, "the address is not of the family asked for")
        return [one]

    async def for_check(
        self, host: str, family: int, timeout: float | None, watch: LookupWatch
    ) -> list[Address]:
        """Look a name up for a check, as look_up does."""
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
            # For who makes a timeout of it.
            error.__cause__ = LookupTrouble(host, "no answer in time")
            if (now := time.monotonic()) - began > LONG:  # else the check was removed, as it seems
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
        """Look a name up for delivery, as look_up does."""
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
        """Look up, or wait for who does. Raises as look_up."""
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
    """Whether a lookup, which others may wait for in other event loops, ends in time."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(over.set)

    lookup.outcome.add_done_callback(tell)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds)
    return lookup.outcome.done()


LOOKUPS = Lookups()
"""One for the process: plugins look names up in any thread and event loop, and a lookup that hangs
cannot be ended, so the number of its threads has to be bounded for the whole process."""


async def look_up(
    host: str, port: int, *, family: int = socket.AF_UNSPEC, timeout: float | None = None
) -> list[AddrInfoType]:
    """The addresses of a host, as ``getaddrinfo`` gives them for TCP.

    Args:
        host: an address, or a name.
        port: put into the addresses.
        family: AF_UNSPEC, AF_INET or AF_INET6.
        timeout: of the check, in seconds; given, the lookup is one for a check.

    Raises:
        socket.gaierror: there is no such name, or it has no address of that family.
        UnicodeError: no name has such a shape.
        LookupTrouble: the resolver is away; ``own_shortage`` knows it.
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
    """A connected, non-blocking TCP socket to a host; of several addresses the first that answers.

    Args:
        host: an address, or a name.
        port: its port.
        timeout: as for look_up; connecting has no timeout of its own.

    Raises:
        OSError: as look_up, or no address can be connected to. UnicodeError: as look_up.
    """
    found = await look_up(host, port, timeout=timeout)
    return await start_connection(found, happy_eyeballs_delay=EYEBALLS)


class TocsinResolver(AbstractResolver):
    """For ``aiohttp.TCPConnector(resolver=…)``; ``timeout`` is the one of :func:`look_up`."""

    def __init__(self, timeout: float | None = None) -> None:
        self._timeout = timeout

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a host. Raises OSError."""
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
        """There is nothing to let go."""


def addresses(found: Sequence[AddrInfoType]) -> list[str]:
    """The addresses alone."""
    return [str(row[4][0]) for row in found]
