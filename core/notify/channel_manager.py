"""All channels: creation from the configuration, reload, and distribution of rows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping

from attrs import define, field

from tocsin.core.alerts.outbox import Decision, Row
from tocsin.core.config.settings import ChannelSettings
from tocsin.core.monitor import events
from tocsin.core.monitor.withdraw import withdrawn
from tocsin.core.notify import Channel, Tools
from tocsin.core.notify.controls import ControlContext
from tocsin.core.notify.listener import Listener


@define
class ChannelManager:
    """Channels by name. Without ``context`` none of them receives commands."""

    tools: Tools
    context: ControlContext | None = None
    channels: dict[str, Channel] = field(init=False, factory=dict)
    _listeners: dict[str, Listener] = field(init=False, factory=dict)

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
        if self.context is not None:
            listener = Listener(channel, self.context)
            self._listeners[channel.settings.name] = listener
            listener.start()

    async def _deafen(self, *names: str) -> None:
        listeners = [self._listeners.pop(name) for name in names if name in self._listeners]
        await asyncio.gather(*(listener.stop() for listener in listeners))

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
