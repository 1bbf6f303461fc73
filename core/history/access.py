"""Access to history: what is stored is passed to its plugin in batches, and queries to it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from math import inf
from typing import Any, TypeVar

from attrs import define, field

from tocsin.core.boundary import plain
from tocsin.core.clock import Clock
from tocsin.core.contracts.history import HistoryRuntime, HistoryUnavailable
from tocsin.core.contracts.history_records import HistoryBatch, HistoryState, Record
from tocsin.core.contracts.model import ComponentHealth, Health
from tocsin.core.hiding import clean
from tocsin.core.history.plugin import HistoryPlugin
from tocsin.core.history.records import Stored, cleaned, record_of
from tocsin.core.ids import new_id
from tocsin.core.logs import get_logger
from tocsin.core.plugin.sandbox import PluginFault, describe

log = get_logger(__name__)

T = TypeVar("T")
R = TypeVar("R", bound=Record)

BATCH_SECONDS = 1.0
BATCH_RECORDS = 2000
"""Most records of a batch: a history in the core's loop must not delay checks."""

MOST_WAITING = 100_000
"""Most records that wait for a history that takes none; beyond it the oldest are dropped."""

WRITE_SECONDS = READ_SECONDS = 30.0
"""Time limit, in seconds, for one batch and for one query; a history has stricter ones of its own.
"""

RETRY_SECONDS = 5.0
"""Seconds after which a batch that was not taken is passed again."""


@define(eq=False, slots=False)
class HistoryAccess:
    """The history of a running tocsin, as the core uses it.

    Without a history, what is stored is dropped; while it cannot take it, it waits in memory. That
    it survives an outage of a database is the history's own matter, which knows how it is stored.

    Attributes:
        plugin: the plugin that keeps it.
        clock: the clock.
    """

    plugin: HistoryPlugin
    clock: Clock
    _waiting: deque[Record] = field(init=False, factory=deque)
    _batch: HistoryBatch | None = field(init=False, default=None)
    """The batch that was passed and not taken yet."""
    _refusal: str = field(init=False, default="")
    """Why it was not taken."""
    _retry_at: float = field(init=False, default=-inf)
    _dropped: int = field(init=False, default=0)
    _wake: asyncio.Event = field(init=False, factory=asyncio.Event)
    _busy: asyncio.Lock = field(init=False, factory=asyncio.Lock)
    _closing: bool = field(init=False, default=False)
    _task: asyncio.Task[None] | None = field(init=False, default=None)

    async def start(self) -> None:
        """Open the history, and start to pass records. It never raises: checks and alerts go on
        without history."""
        if not self.plugin.is_there:
            return
        await self.plugin.look()
        self._task = asyncio.create_task(self._run(), name="history")

    async def stop(self) -> None:
        """Pass what is left, and close the history."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
            self._retry_at = -inf
            await self.pass_on()
        if left := self._count():
            log.error("history is lost: it was not taken before the stop", records=left)
        await self.plugin.close()

    async def _run(self) -> None:
        while not self._closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(BATCH_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            await self.pass_on()
            await self.plugin.look()

    def write(self, item: Stored) -> None:
        """Have an object stored. Never blocks, never raises."""
        if not self.plugin.is_there:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(record_of(item))
        if len(self._waiting) == BATCH_RECORDS:
            self._wake.set()

    async def pass_on(self) -> None:
        """Pass everything that waits, unless the history does not take it now."""
        async with self._busy:
            while self._batch is not None or self._waiting:
                if self.clock.monotonic() < self._retry_at:
                    return
                if self._batch is None:
                    count = min(BATCH_RECORDS, len(self._waiting))
                    records = tuple(self._waiting.popleft() for _ in range(count))
                    self._batch = HistoryBatch(id=new_id(), records=records)
                try:
                    await self._pass(self._batch)
                except HistoryUnavailable as error:
                    if not self._refusal:
                        log.warning("history takes no records; they wait in memory",
                                    reason=str(error))  # fmt: skip
                    self._refusal = str(error)
                    self._retry_at = self.clock.monotonic() + RETRY_SECONDS
                    return
                self._batch, self._refusal = None, ""
                await asyncio.sleep(0)

    async def _pass(self, batch: HistoryBatch) -> None:
        """Pass one batch. Raises HistoryUnavailable: it is to be passed again."""
        try:
            await self.plugin.call("write", lambda history: history.write(batch), WRITE_SECONDS)
        except PluginFault:
            self._dropped += len(batch.records)

    def _count(self) -> int:
        return len(self._waiting) + (len(self._batch.records) if self._batch is not None else 0)

    # State

    @property
    def state(self) -> HistoryState:
        """The state of the history when it was asked last, about a second ago at most."""
        return self.plugin.state

    def health(self) -> ComponentHealth:
        """Return the health of the history."""
        state = self.state
        status, message, details = state.status, clean(str(state.message)), plain(state.details)
        if self._refusal:
            status, message = Health.DEGRADED, self._refusal
        if self._dropped:
            details["records_dropped"] = self._dropped
        return ComponentHealth(status=status, message=message, details=details)

    @property
    def is_disabled(self) -> bool:
        """Whether this installation keeps no history."""
        return not self.plugin.is_there or self.state.status is Health.DISABLED

    # Queries

    async def ask(self, query: Callable[[HistoryRuntime], Awaitable[T]], kind: Any) -> T:
        """Return the answer to a query.

        Args:
            query: calls a method of :class:`HistoryReader`.
            kind: the type of its answer.

        Raises:
            HistoryUnavailable: history cannot be read now.
        """
        try:
            return await self.plugin.call("query", query, READ_SECONDS, kind)
        except PluginFault as fault:
            text = f"history cannot be read: the plugin {self.plugin.name} {describe(fault)}"
            raise HistoryUnavailable(clean(text)) from fault

    async def records(
        self, query: Callable[[HistoryRuntime], Awaitable[Sequence[R]]], *kinds: type[R]
    ) -> list[R]:
        """Return the records that answer a query, without secrets that earlier versions stored.

        Args:
            query: calls a method of :class:`HistoryReader`.
            kinds: the types of the records.

        Raises:
            HistoryUnavailable: history cannot be read now.
        """

        async def checked(history: HistoryRuntime) -> list[R]:
            answer = await query(history)
            if not isinstance(answer, list | tuple):
                raise PluginFault(f"returned {type(answer).__name__}, not a list")
            if wrong := next((item for item in answer if not isinstance(item, kinds)), None):
                words = " or ".join(kind.__name__ for kind in kinds)
                raise PluginFault(f"returned {type(wrong).__name__} in a list of {words}")
            return [cleaned(item) for item in answer]

        return await self.ask(checked, list)
