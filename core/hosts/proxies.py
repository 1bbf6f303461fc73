"""The classes that stand in the core for the classes of plugins in hosts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import field, frozen

from tocsin.core.contracts.context import Context
from tocsin.core.contracts.message import Message
from tocsin.core.contracts.model import Heartbeat, LogLine, Result, Target
from tocsin.core.contracts.notifier import Controls, Notifier, NotifierRuntime, Receipt
from tocsin.core.contracts.observer import AlertChange, Observer, ObserverRuntime
from tocsin.core.contracts.probe import Probe, ProbeRuntime, PushProbe
from tocsin.core.contracts.reviewer import Reviewer, ReviewerRuntime, ReviewRequest
from tocsin.core.contracts.rule import History, Rule, Verdict
from tocsin.core.contracts.service import Service, ServiceContext
from tocsin.core.contracts.source import Sink, Source, SourceRuntime
from tocsin.core.hosts import methods
from tocsin.core.hosts.methods import Checked, Serving
from tocsin.core.hosts.remote import Opened, RemoteOptions
from tocsin.core.logs import get_logger
from tocsin.core.plugin.runtimes import Remote

log = get_logger(__name__)


_UNBOUND: Any = None
"""What a proxy refers to before it is bound. Names of proxies that contracts do not have begin with
``tocsin_``, as those of a plugin's options may be any others."""


class _Hosted(Remote):
    """A runtime in a host."""

    __slots__ = ("opened",)

    def __init__(self, opened: Opened) -> None:
        self.opened = opened

    @property
    def is_lost(self) -> bool:
        """Return whether its process has ended."""
        return self.opened.is_lost

    async def close(self) -> None:
        """Close the runtime."""
        await self.opened.close()


class HostedCheck(_Hosted, ProbeRuntime):
    """A runtime of a probe in a host."""

    __slots__ = ("remote",)

    def __init__(self, opened: Opened, remote: RemoteOptions) -> None:
        super().__init__(opened)
        self.remote = remote

    async def look(self, target: Target) -> tuple[Result, str | None]:
        """Check a target; return the result, and what was invalid in it."""
        checked = await self.opened.ask(methods.CHECK, target)
        self.remote.network_hosts[target.name] = checked.host
        return checked.result, checked.wrong

    async def check(self, target: Target) -> Result:
        """Check a target."""
        return (await self.look(target))[0]


@frozen(kw_only=True)
class HostedProbe(Probe):
    """Options of a probe in a host."""

    tocsin_remote: RemoteOptions = field(init=False, default=_UNBOUND, eq=False, repr=False)

    async def open(self, context: Context) -> HostedCheck:
        """Open the runtime in the host."""
        return HostedCheck(await self.tocsin_remote.open(context), self.tocsin_remote)

    def network_host(self, target: Target) -> Any:
        """Return what the probe said when the check of the target was last down."""
        return self.tocsin_remote.network_hosts.get(target.name)


@frozen(kw_only=True)
class HostedPushProbe(PushProbe):
    """Options of a push probe in a host."""

    tocsin_remote: RemoteOptions = field(init=False, default=_UNBOUND, eq=False, repr=False)

    async def tocsin_look(
        self, target: Target, last: Heartbeat | None, silence: float
    ) -> tuple[Result, str | None]:
        """Judge a target; return the result, and what was invalid in it."""
        checked: Checked = await self.tocsin_remote.ask(methods.JUDGE, target, last, silence)
        return checked.result, checked.wrong

    def judge(self, target: Target, last: Heartbeat | None, silence: float) -> Result:
        """Fail: only the host can judge."""
        raise NotImplementedError("a push probe in a host is asked by tocsin_look()")


@frozen(kw_only=True)
class HostedRule(Rule):
    """Options of a rule in a host."""

    tocsin_remote: RemoteOptions = field(init=False, default=_UNBOUND, eq=False, repr=False)

    @property
    def lookback(self) -> float:
        """Return what the rule said when its options were checked."""
        return self.tocsin_remote.facts.get("lookback", 0.0)  # type: ignore[no-any-return]

    @property
    def looks_at(self) -> tuple[str, ...] | None:
        """Return what the rule said when its options were checked."""
        said = self.tocsin_remote.facts.get("looks_at")
        return tuple(said) if isinstance(said, list) else said

    async def tocsin_ask(self, history: History, now: datetime) -> tuple[Verdict, str | None]:
        """Evaluate the rule; return the verdict, and what was invalid in it."""
        return await self.tocsin_remote.ask(methods.EVALUATE, history, now)

    def evaluate(self, history: History, now: datetime) -> Verdict:
        """Fail: only the host can evaluate."""
        raise NotImplementedError("a rule in a host is asked by tocsin_ask()")


class HostedChannel(_Hosted, NotifierRuntime):
    """A runtime of a notifier in a host."""

    __slots__ = ()

    async def send(self, message: Message) -> Receipt:
        """Deliver a message."""
        receipt, wrong = await self.opened.ask(methods.SEND, message)
        if wrong is not None:
            log.warning("a notifier returned an invalid receipt",
                        distribution=self.opened.host.distribution, reason=wrong)  # fmt: skip
        return receipt

    async def listen(self, controls: Controls) -> None:
        """Receive people's commands until cancelled."""
        calls, number = self.opened.host.calls, next(self.opened.host.numbers)
        calls.controls[number] = controls
        try:
            await self.opened.ask(methods.LISTEN, number)
        finally:
            calls.controls.pop(number, None)


@frozen(kw_only=True)
class HostedNotifier(Notifier):
    """Options of a notifier in a host."""

    tocsin_remote: RemoteOptions = field(init=False, default=_UNBOUND, eq=False, repr=False)

    @property
    def tocsin_may_listen(self) -> bool:
        """Return whether the class defines how to receive commands, or may open what does."""
        return self.tocsin_remote.offer.facts.get("listens") is True

    async def open(self, context: Context) -> HostedChannel:
        """Open the runtime in the host."""
        return HostedChannel(await self.tocsin_remote.open(context))


class HostedObserving(_Hosted, ObserverRuntime):
    """A runtime of an observer in a host."""

    __slots__ = ()

    async def changed(self, change: AlertChange) -> None:
        """Process one change."""
        await self.opened.ask(methods.CHANGED, change)


@frozen(kw_only=True)
class HostedObserver(Observer):
    """Options of an observer in a host."""

    tocsin_remote: RemoteOptions = field(init=False, default=_UNBOUND, eq=False, repr=False)

    async def open(self, context: Context) -> HostedObserving:
        """Open the runtime in the host."""
        return HostedObserving(await self.tocsin_remote.open(context))


class HostedReviewing(_Hosted, ReviewerRuntime):
    """A runtime of a reviewer in a host."""

    __slots__ = ()

    async def review(self, request: ReviewRequest) -> str | None:
        """Review one result."""
        return (await self.opened.ask(methods.REVIEW, request))[0]


@frozen(kw_only=True)
class HostedReviewer(Reviewer):
    """Options of a reviewer in a host."""

    tocsin_remote: RemoteOptions = field(init=False, default=_UNBOUND, eq=False, repr=False)

    async def open(self, context: Context) -> HostedReviewing:
        """Open the runtime in the host."""
        return HostedReviewing(await self.tocsin_remote.open(context))


class HostedWatch(_Hosted, SourceRuntime):
    """A runtime of a source in a host."""

    __slots__ = ()

    async def run(self, name: str, interval: float, sink: Sink) -> None:
        """Watch until cancelled."""
        calls, number = self.opened.host.calls, next(self.opened.host.numbers)
        calls.sinks[number] = sink
        try:
            await self.opened.ask(methods.RUN_SOURCE, number, name, interval)
        finally:
            calls.sinks.pop(number, None)

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        """Return the last lines of a target's log."""
        return await self.opened.ask(methods.LOGS, target, lines)

    async def restart(self, target: str) -> None:
        """Restart a target."""
        await self.opened.ask(methods.RESTART, target)

    async def inspect(self, target: str) -> Mapping[str, Any]:
        """Return all that the source knows of a target."""
        return await self.opened.ask(methods.INSPECT, target)


@frozen(kw_only=True)
class HostedSource(Source):
    """Options of a source in a host."""

    tocsin_remote: RemoteOptions = field(init=False, default=_UNBOUND, eq=False, repr=False)

    async def open(self, context: Context) -> HostedWatch:
        """Open the runtime in the host."""
        return HostedWatch(await self.tocsin_remote.open(context))


@frozen(kw_only=True)
class HostedService(Service):
    """Options of a service in a host."""

    tocsin_remote: RemoteOptions = field(init=False, default=_UNBOUND, eq=False, repr=False)

    async def run(self, context: ServiceContext) -> None:
        """Serve until cancelled."""
        calls, number = self.tocsin_remote.host.calls, next(self.tocsin_remote.host.numbers)
        serving = Serving(
            number=number,
            name=context.name,
            data_dir=self.tocsin_remote.host.data_dir,
            api_url=context.api_url,
            directory=str(context.directory),
            token_file=str(context.token_file),
        )
        calls.contexts[number] = context
        try:
            await self.tocsin_remote.ask(methods.RUN_SERVICE, serving)
        finally:
            calls.contexts.pop(number, None)

    def url(self) -> str | None:
        """Return what the service said when its options were checked."""
        return self.tocsin_remote.facts.get("url")


PROXIES: dict[str, type] = {
    "Probe": HostedProbe, "PushProbe": HostedPushProbe, "Rule": HostedRule, "Source": HostedSource,
    "Notifier": HostedNotifier, "Observer": HostedObserver, "Service": HostedService,
    "Reviewer": HostedReviewer,
}  # fmt: skip
"""The proxies by the names of the contracts."""
