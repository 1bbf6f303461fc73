"""Distinguishes a target that is down from a failure of tocsin's own uplink.

If a check of an outside host finds it down, the reviewer first makes sure that tocsin has any
connection to the outside: it connects to the ``[uplink] addresses``, any one of which suffices. If
none can be reached, the result says nothing about the target.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from ipaddress import ip_address
from typing import ClassVar

from attrs import Attribute, define, field, frozen

from tocsin import (
    Context,
    Reviewer,
    ReviewerRuntime,
    ReviewRequest,
    Seconds,
    connect_to,
    hookimpl,
    look_up,
)

tocsin_api = "1"

FRESH = 5.0
"""Seconds for which a failure of the uplink is not checked again."""

RESOLVE_PATIENCE = 2.0
"""Timeout, in seconds, of the lookup of a name; then it counts as an outside name."""

REASON = "tocsin's own uplink failed"


def _check_addresses(_: object, __: Attribute[tuple[str, ...]], addresses: tuple[str, ...]) -> None:
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
            raise ValueError(
                f"{address!r} must have the form host:port, such as '1.1.1.1:443' or '[::1]:53'"
            )


def _check_timeout(_: object, __: Attribute[float], timeout: float) -> None:
    if not 0 < timeout <= 30:
        raise ValueError("must be more than 0 s and at most 30 s")


@frozen(kw_only=True)
class Uplink(Reviewer):
    """Does not blame outside hosts for a failure of tocsin's own network connection.

    Attributes:
        addresses: outside addresses as host:port; one that accepts a connection suffices. Without
            any, the connection is assumed to work.
        timeout: seconds for each of them to accept a connection, at most 30.
    """

    section: ClassVar[str | None] = "uplink"

    addresses: tuple[str, ...] = field(default=(), validator=_check_addresses)
    timeout: Seconds = field(default=3.0, validator=_check_timeout)

    async def open(self, context: Context) -> UplinkRuntime:
        """Return what checks the uplink while an outside host seems to be down."""
        if self.addresses:
            await context.report_trouble(None)
        return UplinkRuntime(self, context)


@define(eq=False)
class UplinkRuntime(ReviewerRuntime):
    """Whether the outside can be reached; checked only while an outside host seems to be down."""

    options: Uplink
    context: Context
    trouble: str | None = field(init=False, default=None)
    """Why the outside cannot be reached now, or None."""
    _began: float = field(init=False, default=0.0)
    _checked: float | None = field(init=False, default=None)
    """When the last attempt ended, in monotonic seconds; _began: when it began."""
    _lock: asyncio.Lock = field(init=False, factory=asyncio.Lock)
    _task: asyncio.Task[None] | None = field(init=False, default=None)

    async def review(self, request: ReviewRequest) -> str | None:
        """Return that the uplink failed, if any of the hosts is outside and it did."""
        if not self.options.addresses:
            return None
        outside = await asyncio.gather(*map(is_outside, request.hosts))
        return None if not any(outside) or await self.is_up() else REASON

    async def is_up(self) -> bool:
        """Return whether any address can be reached. An earlier success does not count, since the
        check that has failed since may be the first to notice a failure of the uplink."""
        clock = self.context.clock
        asked = clock.monotonic()
        async with self._lock:  # many checks fail at the same time; one attempt serves them all
            now = clock.monotonic()
            if self._checked is None:
                holds = False
            elif self.trouble is None:
                holds = self._began >= asked
            else:
                holds = now - self._checked < FRESH
            if not holds:
                self._began = now
                reached = await self._look()
                self._checked = clock.monotonic()
                await self._note(reached)
            return self.trouble is None

    async def _look(self) -> bool:
        tries = [asyncio.ensure_future(self._connects(a)) for a in self.options.addresses]
        try:
            for answer in asyncio.as_completed(tries):
                if await answer:
                    return True
            return False
        finally:
            for task in tries:
                task.cancel()

    async def _connects(self, address: str) -> bool:
        host, _, port = address.rpartition(":")
        try:
            async with asyncio.timeout(self.options.timeout):
                connected = await connect_to(host.strip("[]"), int(port))
        except (OSError, TimeoutError, UnicodeError):
            return False
        connected.close()
        return True

    async def _note(self, reached: bool) -> None:
        before, self.trouble = self.trouble, None
        if not reached:
            shown = ", ".join(self.options.addresses)
            self.trouble = (
                f"none of {shown} can be reached: outside hosts that are down are unknown"
            )
        await self.context.report_trouble(self.trouble)
        if reached and before is not None:
            self.context.log.info("the uplink works again")
        elif not reached and before is None:
            self.context.log.warning("the uplink failed", reason=self.trouble)
        if not reached and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._wait_for_it(), name="uplink")

    async def _wait_for_it(self) -> None:
        while self.trouble is not None:
            await self.context.clock.sleep(FRESH)
            await self.is_up()

    async def close(self) -> None:
        """Stop the task that waits for the uplink."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


async def is_outside(host: str) -> bool:
    """Return whether a host is beyond the local network: its address is global, its name has
    several parts and resolves to a global address, or its name cannot be resolved (without an
    uplink, names of outside hosts cannot)."""
    with contextlib.suppress(ValueError):
        return ip_address(host).is_global
    if "." not in host:
        return False  # a name of this machine, or of a container in the same network
    try:
        async with asyncio.timeout(RESOLVE_PATIENCE):
            found = await look_up(host, 0, timeout=RESOLVE_PATIENCE)  # with the checks' threads
    except (OSError, RuntimeError, TimeoutError, UnicodeError):
        return True
    return any(ip_address(str(row[4][0]).partition("%")[0]).is_global for row in found)


@hookimpl
def tocsin_reviewers() -> Mapping[str, type[Reviewer]]:
    """Provide the review of results while the uplink is down."""
    return {"uplink": Uplink}
