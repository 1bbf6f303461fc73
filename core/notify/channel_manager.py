"""All channels: creation from the configuration, reload, and distribution of rows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping

from attrs import define, field

from tocsin.core.alerts.outbox import Decision, Row
from tocsin.core.config.settings import ChannelSettings
from tocsin.core.contracts.notifier import Notifier, NotifierRuntime, NotifyError
from tocsin.core.hosts.proxies import HostedNotifier
from tocsin.core.logs import get_logger
from tocsin.core.monitor import events
from tocsin.core.monitor.withdraw import withdrawn
from tocsin.core.notify import Channel, Tools
from tocsin.core.notify.controls import ChannelControls, ControlContext
from tocsin.core.plugin.supervisor import keep_running

log = get_logger(__name__)


@define
class ChannelManager:
    """Channels by name."""

    tools: Tools
    context: ControlContext | None = None
    channels: dict[str, Channel] = field(factory=dict)
    _listeners: dict[str, asyncio.Task[None]] = field(factory=dict)

    def __iter__(self) -> Iterator[Channel]:
        return iter(self.channels.values())

    def make(self, settings: Mapping[str, ChannelSettings]) -> None:
        """Create the channels that do not exist yet."""
        for name, one in settings.items():
            if name not in self.channels:
                self.channels[name] = Channel(one, self.tools)

    def resume(self, rows: Iterable[Row], retry_after_until: Mapping[str, float]) -> None:
        """Give the rows of an earlier run to their channels.

        ``retry_after_until``: by channel, see ``open_at`` of :meth:`Channel.resume`.
        """
        queued = [row for row in rows if row.decision is Decision.QUEUED]
        for name, channel in self.channels.items():
            channel.resume(
                [row for row in queued if row.channel == name], retry_after_until.get(name)
            )
        self._orphans(row for row in queued if row.channel not in self.channels)

    def start(self) -> None:
        """Start delivery, and the listeners of notifiers that receive commands."""
        for channel in self:
            self._start(channel)

    async def stop(self) -> None:
        """Stop; deliveries in progress may finish, and the other rows remain in the journal."""
        await self._deafen(*self._listeners)
        await asyncio.gather(*(channel.stop() for channel in self))
        await asyncio.gather(*(self._close(channel) for channel in self))

    async def apply(self, settings: Mapping[str, ChannelSettings]) -> None:
        """Apply a configuration; unchanged channels keep running."""
        old = self.channels
        self.channels = {n: c for n, c in old.items() if settings.get(n) == c.settings}
        kept = set(self.channels)
        self.make(settings)
        for name in old.keys() - kept:
            channel = old[name]
            await self._deafen(name)
            await channel.stop()
            # Its successor starts without its failures.
            self.tools.executor.handle(events.ChannelChanged(name, is_failing=False))
            rows = channel.queue.leave()
            if name in self.channels:
                # The provider's back-off request stays in force across a changed setting.
                self.channels[name].resume(rows, channel.record.retry_after_until)
            else:
                self._orphans(rows)
            await self._close(channel)
        for name in self.channels.keys() - kept:
            self._start(self.channels[name])

    def _start(self, channel: Channel) -> None:
        channel.start()
        notifier, name = channel.settings.notifier, channel.settings.name
        runtime = channel.attempt.runtime
        if notifier is None or runtime is None or self.context is None:
            return
        if not _may_listen(notifier):
            return
        controls = ChannelControls(self.context, name)
        plugin = channel.settings.plugin or ""

        async def receive() -> None:
            opened = await runtime.get()
            if type(opened).listen is NotifierRuntime.listen:
                await asyncio.Event().wait()  # it only sends
            await opened.listen(controls)

        async def listen() -> None:
            never = asyncio.Event()
            while channel.availability.asked_until > self.tools.clock.monotonic():
                await self.tools.clock.wait(never, channel.availability.asked_until)
            try:
                await self.tools.isolation.call(plugin, receive, None, expects=(NotifyError,))
            except NotifyError as error:
                if error.retry_after is not None:
                    channel.record.back_off(error.retry_after)
                raise

        def ended(reason: str, seconds: float) -> None:
            log.warning(
                "a channel does not receive commands now", channel=name, reason=reason,
                next_start_seconds=seconds,
            )  # fmt: skip

        self._listeners[name] = asyncio.create_task(
            keep_running(listen, self.tools.clock, ended), name=f"listener {name}"
        )

    async def _deafen(self, *names: str) -> None:
        tasks = [self._listeners.pop(name) for name in names if name in self._listeners]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _close(self, channel: Channel) -> None:
        plugin = channel.settings.plugin or ""
        if (runtime := channel.attempt.runtime) is not None:
            await self.tools.isolation.close(plugin, runtime)
        self.tools.isolation.works(plugin, channel.attempt.part)

    def put(self, rows: Iterable[Row]) -> None:
        """Give rows that are on disk to their channels."""
        queued = [row for row in rows if row.decision is Decision.QUEUED]
        for name in dict.fromkeys(row.channel for row in queued):
            mine = [row for row in queued if row.channel == name]
            if name in self.channels:
                self.channels[name].put(mine)
            else:
                self._orphans(mine)

    def _orphans(self, rows: Iterable[Row]) -> None:
        """Mark rows of channels that are no longer configured as undeliverable."""
        why = "the channel is no longer configured"
        lost = [withdrawn(row, Decision.DEAD, why) for row in rows]
        for name in dict.fromkeys(row.channel for row in lost):  # one event for each channel
            mine = tuple(row for row in lost if row.channel == name)
            self.tools.executor.handle(events.RowsFinished(mine))


def _may_listen(notifier: Notifier) -> bool:
    """Return whether a notifier may receive commands, as far as its class tells."""
    if isinstance(notifier, HostedNotifier):
        return notifier.tocsin_may_listen
    return (type(notifier).open, type(notifier).listen) != (Notifier.open, Notifier.listen)
