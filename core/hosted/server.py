"""The calls of the core, served by the plugin's own objects."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from attrs import define, evolve, field

from tocsin.core.contracts.base import ActionError, ServiceError
from tocsin.core.contracts.doctor import Finding, Installation
from tocsin.core.contracts.message import Message
from tocsin.core.contracts.model import CheckError, Heartbeat, LogLine, Result, Status, Target
from tocsin.core.contracts.notifier import NotifierRuntime, NotifyError, Receipt
from tocsin.core.contracts.observer import AlertChange
from tocsin.core.contracts.probe import Probe
from tocsin.core.contracts.reviewer import ReviewRequest
from tocsin.core.contracts.rule import History, Verdict
from tocsin.core.contracts.service import ServiceContext
from tocsin.core.hosted.construct import Constructor
from tocsin.core.hosted.loading import Loaded
from tocsin.core.hosted.priority import yield_to_core
from tocsin.core.hosted.routes import HostRoutes
from tocsin.core.hosted.runtimes import HostRuntimes
from tocsin.core.hosted.sink import HostControls, HostSink
from tocsin.core.hosts import methods
from tocsin.core.hosts.methods import Checked, Examining, Options, Serving
from tocsin.core.hosts.offers import PluginOffer
from tocsin.core.hosts.peer import OWNER, Peer, Served, served
from tocsin.core.plugin.faults import InvalidReceipt, PluginFault
from tocsin.core.plugin.guard import guarded
from tocsin.core.resolver.lookups import lookups_of_check
from tocsin.core.runtime.shortage import present_shortage
from tocsin.core.shapes import (
    fit_document,
    fit_findings,
    fit_lines,
    fit_reason,
    fit_receipt,
    fit_result,
    fit_verdict,
)

LEAST_AGAIN = 1.0
"""Minimum delay, in seconds, before a rule is rechecked without a new result."""


@define(eq=False)
class Server:
    """The plugins of this host, and what the core has opened of them.

    Attributes:
        loaded: the plugins.
        owners: by task: the call during which it was begun; see ``peer.OWNER``.
    """

    loaded: Loaded = field(factory=Loaded)
    owners: WeakKeyDictionary[asyncio.Task[Any], int] = field(factory=WeakKeyDictionary)
    _peer: Peer = field(init=False)
    _constructor: Constructor = field(init=False)
    _runtimes: HostRuntimes = field(init=False)
    _routes: HostRoutes = field(init=False)
    _yielding: asyncio.Task[None] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._constructor = Constructor(self.loaded.manager)
        self._runtimes = HostRuntimes(self._constructor)
        self._routes = HostRoutes(self.loaded)

    def task(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """Create a task, and remember the call that it belongs to; the loop's task factory."""
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **options)
        self.owners[task] = OWNER.get()
        return task

    def control(self) -> dict[str, Served]:
        """Return what the core calls while it loads plugins and reads its configuration."""
        return served((methods.LOAD, self._load), (methods.CONSTRUCT, self._construct))

    def calls(self) -> dict[str, Served]:
        """Return what the core calls while it runs."""
        return served(
            (methods.PING, self._ping),
            (methods.DEFINE, self._constructor.define),
            (methods.FORGET, self._constructor.forget),
            (methods.OPEN, self._runtimes.open),
            (methods.CLOSE, self._runtimes.close),
            (methods.CHECK, self._check),
            (methods.JUDGE, self._judge),
            (methods.EVALUATE, self._evaluate),
            (methods.SEND, self._send),
            (methods.LISTEN, self._listen),
            (methods.CHANGED, self._changed),
            (methods.REVIEW, self._review),
            (methods.EXAMINE, self._examine),
            (methods.RUN_SOURCE, self._run_source),
            (methods.LOGS, self._logs),
            (methods.RESTART, self._restart),
            (methods.INSPECT, self._inspect),
            (methods.RUN_SERVICE, self._run_service),
            (methods.ROUTE, self._routes.answer),
            (methods.STREAM, self._routes.stream),
            (methods.GRANT, self._routes.grant),
        )

    def attach(self, peer: Peer) -> None:
        """Use the connection over which calls come."""
        self._peer = self._runtimes.peer = self._routes.peer = peer

    # Loading

    async def _load(self, wanted: tuple[tuple[str, str], ...]) -> tuple[PluginOffer, ...]:
        offers = self.loaded.load(wanted)
        self._yielding = asyncio.create_task(yield_to_core())
        return offers

    async def _construct(self, options: Options) -> methods.Constructed:
        return await self._constructor.construct(options)

    async def _ping(self) -> int:
        serving = self._peer.serving
        owners = (self.owners.get(task, 0) for task in asyncio.all_tasks())
        return sum(1 for owner in owners if owner and owner not in serving)

    # Checks and rules

    async def _check(self, number: int, target: Target) -> Checked:
        async def look(runtime: Any) -> tuple[Result, str | None]:
            try:
                return fit_result(await runtime.check(target))
            except CheckError as error:
                return Result.failed(error), None

        with lookups_of_check() as lookups:
            result, wrong = await self._runtimes.call(number, look)
        if result.status is not Status.DOWN:
            return Checked(result=result, wrong=wrong)
        if (lack := lookups.trouble()) is None and (short := present_shortage()) is not None:
            lack = f"{short}, so this result is not valid: {result.message}"
        if lack is not None:
            result = evolve(result, status=Status.UNKNOWN, message=lack)
        return Checked(result=result, wrong=wrong, host=await self._network_host(number, target))

    async def _network_host(self, number: int, target: Target) -> str | tuple[str, ...] | None:
        probe: Probe = self._runtimes.options(number)

        async def ask() -> str | tuple[str, ...] | None:
            return probe.network_host(target)

        with suppress(PluginFault):
            host = await guarded(ask, None, ())
            return host if isinstance(host, str | tuple) else None
        return None

    async def _judge(
        self, options: int, target: Target, last: Heartbeat | None, silence: float
    ) -> Checked:
        probe, _ = await self._constructor.of(options)

        async def judge() -> tuple[Result, str | None]:
            return fit_result(probe.judge(target, last, silence), "judge")

        result, wrong = await guarded(judge, None, ())
        return Checked(result=result, wrong=wrong)

    async def _evaluate(
        self, options: int, history: History, now: datetime
    ) -> tuple[Verdict, str | None]:
        rule, _ = await self._constructor.of(options)

        async def evaluate() -> tuple[Verdict, str | None]:
            if not rule.applies(history.target):
                return Verdict.over("the rule does not apply to it"), None
            return fit_verdict(rule.evaluate(history, now), LEAST_AGAIN)

        return await guarded(evaluate, None, ())

    # Channels and observers

    async def _send(self, number: int, message: Message) -> tuple[Receipt, str | None]:
        async def send(runtime: Any) -> tuple[Receipt, str | None]:
            given = await runtime.send(message)
            try:
                return fit_receipt(given)
            except PluginFault as fault:
                raise InvalidReceipt(str(fault)) from fault

        return await self._runtimes.call(number, send, NotifyError)

    async def _listen(self, number: int, listening: int) -> None:
        if type(self._runtimes.get(number)).listen is NotifierRuntime.listen:
            await asyncio.Event().wait()  # it only sends
        controls = HostControls(self._peer, listening)
        await self._runtimes.keep(number, lambda runtime: runtime.listen(controls), NotifyError)

    async def _changed(self, number: int, change: AlertChange) -> None:
        await self._runtimes.call(number, lambda runtime: runtime.changed(change))

    async def _review(self, number: int, request: ReviewRequest) -> tuple[str | None]:
        async def review(runtime: Any) -> str | None:
            return fit_reason(await runtime.review(request))

        return (await self._runtimes.call(number, review),)

    async def _examine(self, given: Examining) -> list[Finding]:
        check = self.loaded.doctor_checks[given.plugin][given.check]
        context = self._runtimes.context(given.number, given.plugin, given.name, given.data_dir)
        made = [(name, await self._constructor.make(options)) for name, options in given.parts]
        installation = Installation(
            data_dir=Path(given.data_dir),
            configuration=given.configuration,
            parts=tuple((name, part) for name, part in made if part is not None),
        )

        async def examine() -> list[Finding]:
            return fit_findings(await check.handler(context, installation))

        return await guarded(examine, None, ())

    # Sources and services

    async def _run_source(self, number: int, run: int, name: str, interval: float) -> None:
        sink = HostSink(self._peer, run)
        await self._runtimes.keep(number, lambda runtime: runtime.run(name, interval, sink))

    async def _logs(self, number: int, target: str, lines: int) -> list[LogLine]:
        async def read(runtime: Any) -> list[LogLine]:
            return fit_lines(await runtime.logs(target, lines), lines)

        return await self._runtimes.call(number, read, ActionError)

    async def _restart(self, number: int, target: str) -> None:
        await self._runtimes.call(number, lambda runtime: runtime.restart(target), ActionError)

    async def _inspect(self, number: int, target: str) -> dict[str, Any]:
        async def read(runtime: Any) -> dict[str, Any]:
            return fit_document(await runtime.inspect(target))

        return await self._runtimes.call(number, read, ActionError)

    async def _run_service(self, options: int, serving: Serving) -> None:
        service, plugin = await self._constructor.of(options)
        context = ServiceContext(
            api_url=serving.api_url,
            directory=Path(serving.directory),
            token_file=Path(serving.token_file),
            context=self._runtimes.context(serving.number, plugin, serving.name, serving.data_dir),
        )
        await guarded(lambda: service.run(context), None, (ServiceError,))
