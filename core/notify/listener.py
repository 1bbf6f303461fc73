"""The listener of a channel: it receives people's commands, and is started again when it ends."""

from __future__ import annotations

import asyncio

from attrs import define, field

from tocsin.core.contracts.notifier import Notifier, NotifierRuntime, NotifyError
from tocsin.core.hiding import clean
from tocsin.core.hosts.proxies import HostedNotifier
from tocsin.core.logs import get_logger
from tocsin.core.notify.channel import Channel
from tocsin.core.notify.controls import ChannelControls, ControlContext
from tocsin.core.plugin.runtimes import Runtime
from tocsin.core.plugin.sandbox import PluginFault, describe
from tocsin.core.plugin.supervisor import keep_running

log = get_logger(__name__)

WORKS_AFTER = 30.0
"""Seconds for which a listener that failed has to run before it counts as working."""


@define(eq=False)
class Listener:
    """Receives the commands of one channel.

    Attributes:
        channel: the channel.
        context: what the controls of all channels share.
    """

    channel: Channel
    context: ControlContext
    _task: asyncio.Task[None] | None = field(init=False, default=None)

    @property
    def _name(self) -> str:
        return self.channel.settings.name

    @property
    def _plugin(self) -> str:
        return self.channel.settings.plugin or ""

    @property
    def _part(self) -> str:
        """The part of the plugin that is at fault if the listener fails."""
        return f"listener {self._name}"

    def start(self) -> None:
        """Start to listen, if the notifier may receive commands."""
        notifier, runtime = self.channel.settings.notifier, self.channel.attempt.runtime
        if notifier is None or runtime is None or not _may_listen(notifier):
            return
        running = keep_running(lambda: self._listen(runtime), self.channel.tools.clock, self._ended)
        self._task = asyncio.create_task(running, name=f"listener {self._name}")

    async def stop(self) -> None:
        """Stop to listen. A failure of the listener is forgotten with it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._works()

    async def _listen(self, runtime: Runtime[NotifierRuntime]) -> None:
        tools, availability = self.channel.tools, self.channel.availability
        never = asyncio.Event()
        while availability.asked_until > tools.clock.monotonic():
            await tools.clock.wait(never, availability.asked_until)
        controls, called = ChannelControls(self.context, self._name), ["open"]

        async def receive() -> None:
            opened = await runtime.get()
            called.append("listen")
            if type(opened).listen is NotifierRuntime.listen:
                await asyncio.Event().wait()  # it only sends
            await opened.listen(controls)

        proving = None if availability.unheard is None else asyncio.create_task(self._prove())
        try:
            await tools.isolation.call(self._plugin, receive, None, expects=(NotifyError,))
            self._fails(f"failed in {called[-1]}(): it returned", PluginFault("returned"))
        except NotifyError as error:
            if error.retry_after is not None:
                self.channel.record.back_off(error.retry_after)
            self._fails(f"refuses in {called[-1]}(): {error}")
            raise
        except (PluginFault, TimeoutError) as error:
            fault = error if isinstance(error, PluginFault) else PluginFault(describe(error))
            self._fails(f"failed in {called[-1]}(): it {describe(fault)}", fault)
            raise
        finally:
            if proving is not None:
                proving.cancel()

    async def _prove(self) -> None:
        """Wait until the listener has run long enough to count as working."""
        clock = self.channel.tools.clock
        await clock.wait(asyncio.Event(), clock.monotonic() + WORKS_AFTER)
        log.info("a channel receives commands again", channel=self._name, plugin=self._plugin)
        self._works()

    def _fails(self, clause: str, fault: PluginFault | None = None) -> None:
        clause, now = clean(clause), self.channel.tools.clock.monotonic()
        text = f"the channel does not receive commands: plugin {self._plugin} {clause}"
        self.channel.availability.hears_nothing(text, now)
        if fault is not None:
            said = f"{clause} (channel {self._name})"
            self.channel.tools.isolation.breach(self._plugin, self._part, fault, said=said)

    def _works(self) -> None:
        """Clear a failure, and that of the plugin unless another part of it has one."""
        self.channel.availability.hears()
        self.channel.tools.isolation.works(self._plugin, self._part)

    def _ended(self, _: str, seconds: float) -> None:
        log.warning(
            "a channel does not receive commands now", channel=self._name, plugin=self._plugin,
            reason=self.channel.availability.unheard, next_start_seconds=seconds,
        )  # fmt: skip


def _may_listen(notifier: Notifier) -> bool:
    """Return whether a notifier may receive commands, as far as its class tells."""
    if isinstance(notifier, HostedNotifier):
        return notifier.tocsin_may_listen
    return (type(notifier).open, type(notifier).listen) != (Notifier.open, Notifier.listen)
