"""What a plugin host calls at the core, for the runtimes that are open in it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from attrs import define, field

from tocsin.core.contracts.base import ActionError, Secret
from tocsin.core.contracts.context import Context
from tocsin.core.contracts.model import Event, LogLine, Result, Target
from tocsin.core.contracts.notifier import Controls
from tocsin.core.contracts.service import ServiceContext
from tocsin.core.contracts.source import Claim, Sink
from tocsin.core.hosts import methods
from tocsin.core.hosts.core_views import CoreViews
from tocsin.core.hosts.output import Credit
from tocsin.core.hosts.peer import Served, served
from tocsin.core.plugin.faults import PluginFault

_REPORTS: dict[str, Any] = {
    "discovered": tuple[Target, Mapping[str, Any] | None, Claim | None],
    "observed": tuple[str, Result, datetime | None],
    "happened": tuple[Event],
    "retired": tuple[str, str],
    "synced": tuple[Collection[str], bool],
    "impaired": tuple[str],
    "blame": tuple[str],
}
"""Methods of the core's sink, and the types of their arguments. In addition to the contract's,
``synced`` is told whether no name was left out as invalid, and ``blame`` what was invalid."""

BURST, RATE = 50.0, 0.1
"""Lines that a host may log at once, and per second afterwards; further ones are dropped."""

LEVELS = ("debug", "info", "warning", "error")


@define(eq=False)
class CoreCalls:
    """The core's side of the runtimes of one host, by their numbers.

    Attributes:
        contexts: the contexts of runtimes.
        sinks: the sinks of sources that run, by the numbers of the runs.
        controls: what people may do through channels that listen, by the numbers of the calls of
            ``listen``.
        streams: where the chunks of open streams go.
        views: the views of the running tocsin that routes read.
        lines: lines that the host may still log.
    """

    contexts: dict[int, Context | ServiceContext] = field(factory=dict)
    sinks: dict[int, Sink] = field(factory=dict)
    controls: dict[int, Controls] = field(factory=dict)
    streams: dict[int, Callable[[bytes], object]] = field(factory=dict)
    views: CoreViews = field(factory=CoreViews)
    lines: Credit = field(factory=lambda: Credit(BURST, RATE))

    def served(self) -> dict[str, Served]:
        """Return what the host may call."""
        return self.views.served() | served(
            (methods.LOG, self._log),
            (methods.EMIT, self._emit),
            (methods.SECRET, self._secret),
            (methods.STORED, self._stored),
            (methods.STORE, self._store),
            (methods.STORED_KEYS, self._stored_keys),
            (methods.REPORT_TROUBLE, self._report_trouble),
            (methods.REPORT, self._report),
            (methods.CHUNK, self._chunk),
            (methods.ACKNOWLEDGE, self._acknowledge),
            (methods.SILENCE, self._silence),
            (methods.READ_LOGS, self._read_logs),
            (methods.RESTART_TARGET, self._restart),
        )

    def _context(self, number: int) -> Context | ServiceContext:
        try:
            return self.contexts[number]
        except KeyError:
            raise PluginFault("uses its context after its end") from None

    def _log(self, number: int, level: str, event: str, facts: dict[str, Any]) -> None:
        context = self.contexts.get(number)
        if level in LEVELS and context is not None and self.lines.take():
            getattr(context.log, level)(event, **{k: v for k, v in facts.items() if k != "event"})

    async def _emit(self, number: int, event: Event) -> None:
        await self._context(number).emit(event)

    async def _secret(self, number: int, name: str) -> tuple[Secret | None]:
        return (await self._context(number).secret(name),)

    async def _stored(self, number: int, key: str) -> tuple[Any]:
        return (await self._context(number).storage.get(key),)

    async def _store(self, number: int, key: str, value: Any) -> None:
        await self._context(number).storage.put(key, value)

    async def _stored_keys(self, number: int, prefix: str) -> list[str]:
        return list(await self._context(number).storage.keys(prefix))

    async def _report_trouble(self, number: int, trouble: str | None) -> None:
        await self._context(number).report_trouble(trouble)

    def _report(self, number: int, what: str, arguments: list[Any]) -> None:
        sink = self.sinks.get(number)
        if sink is None or what not in _REPORTS:
            return
        try:
            known = msgspec.convert(arguments, _REPORTS[what])
        except msgspec.ValidationError:
            known = tuple(arguments)  # the sink says what is wrong with it
        getattr(sink, what)(*known)

    def _chunk(self, number: int, data: bytes) -> None:
        if (take := self.streams.get(number)) is not None:
            take(data)

    def _controls(self, number: int) -> Controls:
        try:
            return self.controls[number]
        except KeyError:
            raise ActionError("the channel does not listen any more") from None

    async def _acknowledge(self, number: int, alert: UUID, by: str) -> str:
        return await self._controls(number).acknowledge(alert, by)

    async def _silence(self, number: int, alert: UUID, seconds: float, by: str) -> str:
        return await self._controls(number).silence(alert, seconds, by)

    async def _read_logs(self, number: int, target: str, lines: int) -> list[LogLine]:
        return await self._controls(number).logs(target, lines)

    async def _restart(self, number: int, target: str, by: str) -> str:
        return await self._controls(number).restart(target, by)
