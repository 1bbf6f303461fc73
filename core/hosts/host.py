"""One plugin host: the process in which the plugins of one distribution run."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import msgspec
from attrs import define, field, frozen

from tocsin.core.hosts import methods
from tocsin.core.hosts.core_calls import CoreCalls
from tocsin.core.hosts.core_peer import CorePeer
from tocsin.core.hosts.methods import Constructed, Options
from tocsin.core.hosts.nursery import Child, Nursery
from tocsin.core.hosts.offers import PluginOffer
from tocsin.core.hosts.output import BURST, RATE, Credit, Output
from tocsin.core.hosts.wire import Kind, Method, Splitter, encode, error_of
from tocsin.core.logs import get_logger
from tocsin.core.plugin.faults import RESTS, PluginFault
from tocsin.core.runtime.time_share import TimeShare

log = get_logger(__name__)

A = TypeVar("A", bound=tuple[Any, ...])
R = TypeVar("R")

LOAD_WITHIN = 45.0
"""Seconds within which the plugins of a host have to be imported and described."""

CONSTRUCT_WITHIN = 15.0
"""Seconds within which options have to be checked."""

REST = (1.0, 60.0)
"""Seconds between the end of a host and its next start: at first, and at most; they double."""

STEADY_AFTER = 120.0
"""Seconds that a host has to run, for its rests to begin anew."""


class Owner(Protocol):
    """What is notified of the ends of hosts."""

    def ended(self, host: Host, fault: PluginFault, peer: CorePeer | None) -> None:
        """Record that a host has ended; ``peer``: the connection that it had."""

    def flooded(self, host: Host) -> None:
        """Record that a host sends too much, and has to wait."""


@frozen
class Rest:
    """Why a host does not run.

    Attributes:
        until: when it may be started again, in monotonic seconds.
        seconds: length of the rest.
        reason: why it ended, as a clause.
    """

    until: float
    seconds: float
    reason: str


@define(eq=False)
class Host:
    """One host. It is started when it is first used, and after its end when it is next used.

    Loading and constructing may be done from any thread; all else belongs to the core's loop.

    Attributes:
        distribution: name of the distribution.
        plugins: its plugins: the value of the entry point by name.
        nursery: starts the process.
        output: logs what it writes.
        threads: for what blocks.
        share: of the core's time, which all hosts have together.
        owner: is notified of its ends.
        calls: what it may call at the core.
        peer: the connection of the running loop; None while there is none.
        child: the process; None while it does not run.
        rest: why it does not run; None: nothing is wrong.
        started_at: when it was last started, in monotonic seconds.
        is_over: whether it is not started again, since tocsin stops.
        data_dir: tocsin's data directory, in which plugins have directories.
        numbers: gives numbers to options, runtimes and streams.
        forgotten: numbers of options that are not used any more; any thread appends to it.
    """

    distribution: str
    nursery: Nursery
    output: Output
    threads: ThreadPoolExecutor
    share: TimeShare
    owner: Owner | None = None
    plugins: dict[str, str] = field(factory=dict)
    calls: CoreCalls = field(init=False, factory=CoreCalls)
    peer: CorePeer | None = field(init=False, default=None)
    child: Child | None = field(init=False, default=None)
    rest: Rest | None = field(init=False, default=None)
    started_at: float = field(init=False, default=0.0)
    data_dir: str = field(init=False, default="")
    is_over: bool = field(init=False, default=False)
    numbers: Iterator[int] = field(init=False, factory=lambda: itertools.count(1))
    forgotten: deque[int] = field(init=False, factory=deque)
    _lines: Credit = field(init=False, factory=lambda: Credit(BURST, RATE))
    _offers: tuple[PluginOffer, ...] = field(init=False, default=())
    _lock: threading.RLock = field(init=False, factory=threading.RLock)
    _swapping: threading.Lock = field(init=False, factory=threading.Lock)
    _starting: asyncio.Task[CorePeer] | None = field(init=False, default=None)

    def load(self) -> tuple[PluginOffer, ...]:
        """Start the host, unless it runs; return what its plugins offer. Blocks.

        Raises:
            PluginFault: it does not start, or its rest is not over.
        """
        with self._lock:
            if self.child is None:
                self._start()
            return self._offers

    def construct(self, options: Options) -> Constructed:
        """Return what comes of options. Blocks.

        Raises:
            PluginFault: the host does not run, or does not answer in time.
        """
        with self._lock:
            self.load()
            return self._ask_now(methods.CONSTRUCT, (options,), CONSTRUCT_WITHIN)

    def _start(self) -> None:
        if self.is_over:
            raise PluginFault("does not run, since tocsin stops")
        if self.rest is not None and (left := self.rest.until - time.monotonic()) > 0:
            raise PluginFault(f"{RESTS} {self.rest.reason}; it starts again in {left:.0f} s")
        self.started_at = time.monotonic()
        try:
            self.child = child = self.nursery.start_host()
        except PluginFault as fault:
            self._note_rest(fault)
            raise
        self.output.follow(child.output, self.distribution, self._lines)
        try:
            offers = self._ask_now(methods.LOAD, (tuple(self.plugins.items()),), LOAD_WITHIN)
        except PluginFault as fault:
            self.end(fault)  # it has ended, or is of no use
            raise
        sound = {offer.name for offer in self._offers if offer.fault is None}
        for offer in offers:
            if offer.fault is not None and offer.name in sound:
                raise self._fault(f"could not be loaded again: {offer.fault}")
        self._offers = offers

    def _ask_now(self, method: Method[A, R], arguments: A, seconds: float) -> R:
        """Call a method over the connection that any thread may use, and wait for the answer."""
        child, frame = self.child, None
        assert child is not None  # noqa: S101 - the callers have started it
        splitter, until = Splitter(), time.monotonic() + seconds
        try:
            child.control.settimeout(seconds)
            child.control.sendall(encode(Kind.CALL, 1, method.name, arguments))
            while frame is None:
                child.control.settimeout(max(0.01, until - time.monotonic()))
                data = child.control.recv(65536)
                if not data:
                    raise self._fault(self.nursery.how_ended(child.process))
                frame = next(iter(splitter.feed(data)), None)
        except TimeoutError:
            raise self._fault(f"did not {method.name} within {seconds:g} s") from None
        except (OSError, ValueError) as error:
            raise self._fault(f"broke its connection: {error}") from None
        if frame.kind is Kind.REFUSAL:
            raise error_of(frame.body)
        try:
            return method.answer.decode(frame.body)
        except msgspec.DecodeError as error:
            raise self._fault(f"answered {method.name} with what does not fit: {error}") from None

    def _fault(self, reason: str) -> PluginFault:
        """End the host for a reason; return the fault."""
        fault = PluginFault(self._sentence(reason), severe=True)
        self.end(fault)
        return fault

    def _sentence(self, reason: str) -> str:
        """Return the reason as a clause about any of its plugins."""
        if len(self.plugins) == 1:
            return reason
        return f"shares its process with others of {self.distribution}, which {reason}"

    async def connect(self) -> CorePeer:
        """Return the connection of the running loop; start the host first, if need be.

        Raises:
            PluginFault: it does not start, or its rest is not over.
        """
        loop = asyncio.get_running_loop()
        if (peer := self.peer) is not None and peer.loop is loop:
            return peer
        if self._starting is None or self._starting.get_loop() is not loop:
            self._starting = loop.create_task(self._connect(loop), name=f"host {self.distribution}")
            self._starting.add_done_callback(self._connected)
        return await asyncio.shield(self._starting)

    def _connected(self, task: asyncio.Task[CorePeer]) -> None:
        self._starting = None
        if not task.cancelled():
            task.exception()  # all who wait for it get it

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> CorePeer:
        if self.peer is not None:  # another loop's, which does not run any more
            self.end(None)
        if self.is_over:
            raise PluginFault("does not run, since tocsin stops")
        await loop.run_in_executor(self.threads, self.load)
        child = self.child
        if child is None:
            raise PluginFault("ended while it was started")
        peer = CorePeer(self.calls.served(), self._lost, self._flooded, self.share)
        self.peer = peer
        await loop.create_unix_connection(lambda: peer, sock=child.calls)
        return peer

    def _lost(self, why: str | None) -> None:
        child = self.child
        if child is None:
            return
        if why is None:
            loop = asyncio.get_running_loop()
            how = loop.run_in_executor(self.threads, self.nursery.how_ended, child.process)
            how.add_done_callback(lambda done: self._died(child, done))
            if self.peer is not None:
                self.peer.is_paused = True  # it is dead, not blocked
        else:
            self.fail(why)

    def _died(self, child: Child, how: asyncio.Future[str]) -> None:
        if self.child is child and not how.cancelled():
            self.fail("ended" if how.exception() is not None else how.result())

    def _flooded(self) -> None:
        if self.owner is not None:
            self.owner.flooded(self)

    def fail(self, reason: str) -> None:
        """End the host for a reason, as a clause."""
        if self.child is not None:
            self._fault(reason)

    def end(self, fault: PluginFault | None) -> Future[None] | None:
        """End the host with its process tree; its calls fail with ``fault``.

        Args:
            fault: what is wrong; None: nothing, and it may be started again at once.

        Returns:
            Done when the processes have ended; None if there are none.
        """
        with self._swapping:  # it may be ended in the loop and in a thread at once
            child, peer, self.child, self.peer = self.child, self.peer, None, None
        if child is None:
            return None
        self._note_rest(fault)
        child.control.close()
        if peer is None:
            child.calls.close()
        else:  # the socket is the transport's now
            why = fault or PluginFault("was ended, since tocsin stops")
            if threading.get_ident() == peer.home:
                peer.close(why)
            elif not peer.loop.is_closed():
                peer.loop.call_soon_threadsafe(peer.close, why)
        self.calls = CoreCalls(lines=self.calls.lines)
        ending = self.threads.submit(self.nursery.end_host, child)
        if fault is not None and self.owner is not None:
            self.owner.ended(self, fault, peer)
        return ending

    def _note_rest(self, fault: PluginFault | None) -> None:
        if fault is None:
            self.rest = None
            return
        now, before = time.monotonic(), self.rest
        if before is None or now - self.started_at > STEADY_AFTER:
            seconds = REST[0]
        else:
            seconds = min(before.seconds * 2, REST[1])
        self.rest = Rest(now + seconds, seconds, str(fault))
