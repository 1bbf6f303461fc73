"""All channels: made from the configuration, changed by a reload, given what is theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from attrs import define, field

from tocsin.core.alerts.outbox import Decision, Row
from tocsin.core.config.settings import ChannelSettings
from tocsin.core.contracts.notifier import Notifier, NotifyError
from tocsin.core.logs import get_logger
from tocsin.core.monitor import events
from tocsin.core.monitor.withdraw import withdrawn
from tocsin.core.notify import Channel, Tools
from tocsin.core.notify.controls import ChannelControls, ControlContext
from tocsin.core.plugin.sandbox import PluginFault
from tocsin.core.plugin.supervisor import keep_running

log = get_logger(__name__)

CLOSE_DEADLINE = 2.0
"""Seconds a notifier may take to let go of what it holds."""


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
        """Make the channels that are not there yet."""
        for name, one in settings.items():
            if name not in self.channels:
                self.channels[name] = Channel(one, self.tools)

    def resume(self, rows: Iterable[Row], retry_after_until: Mapping[str, float]) -> None:
        """Rows of an earlier run; ``retry_after_until``: see ``Channel.resume``."""
        queued = [row for row in rows if row.decision is Decision.QUEUED]
        for name, channel in self.channels.items():
            channel.resume(
                [row for row in queued if row.channel == name], retry_after_until.get(name)
            )
        self._orphans(row for row in queued if row.channel not in self.channels)

    def start(self) -> None:
        """Begin to deliver, and to listen."""
        for channel in self:
            self._start(channel)

    async def stop(self) -> None:
        """End: messages under way are finished, the rest lies in the journal."""
        await self._deafen(*self._listeners)
        await asyncio.gather(*(channel.stop() for channel in self))
        await asyncio.gather(*(self._close(channel.settings) for channel in self))

    async def apply(self, settings: Mapping[str, ChannelSettings]) -> None:
        """Take over a configuration; channels that are the same go on undisturbed."""
        old = self.channels
        self.channels = {n: c for n, c in old.items() if settings.get(n) == c.settings}
        kept = set(self.channels)
        self.make(settings)
        for name in old.keys() - kept:
            channel = old[name]
            await self._deafen(name)
            await channel.stop()
            # Whoever takes its place begins anew.
            self.tools.executor.handle(events.ChannelChanged(name, is_failing=False))
            rows = channel.queue.leave()
            if name in self.channels:
                # Whoever asked to be left alone is asked no sooner for a changed line.
                self.channels[name].resume(rows, channel.record.retry_after_until)
            else:
                self._orphans(rows)
            await self._close(channel.settings)
        for name in self.channels.keys() - kept:
            self._start(self.channels[name])

    def _start(self, channel: Channel) -> None:
        channel.start()
        notifier, name = channel.settings.notifier, channel.settings.name
        if notifier is None or self.context is None or type(notifier).listen is Notifier.listen:
            return
        controls = ChannelControls(self.context, name)
        plugin = channel.settings.plugin or ""

        async def listen() -> None:
            never = asyncio.Event()
            while channel.availability.asked_until > self.tools.clock.monotonic():
                await self.tools.clock.wait(never, channel.availability.asked_until)
            try:
                await self.tools.isolation.call(
                    plugin, lambda: notifier.listen(controls), None, expects=(NotifyError,)
                )
            except NotifyError as error:
                if error.retry_after is not None:
                    channel.record.back_off(error.retry_after)
                raise

        def ended(reason: str, seconds: float) -> None:
            log.warning(
                "a channel does not hear; it still tells", channel=name, reason=reason,
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

    async def _close(self, settings: ChannelSettings) -> None:
        notifier = settings.notifier
        if notifier is not None:
            with suppress(PluginFault, TimeoutError):
                await self.tools.isolation.call(
                    settings.plugin or "", notifier.close, CLOSE_DEADLINE
                )

    def put(self, rows: Iterable[Row]) -> None:
        """Rows that are on disk: each to its channel."""
        queued = [row for row in rows if row.decision is Decision.QUEUED]
        for name in dict.fromkeys(row.channel for row in queued):
            mine = [row for row in queued if row.channel == name]
            if name in self.channels:
                self.channels[name].put(mine)
            else:
                self._orphans(mine)

    def _orphans(self, rows: Iterable[Row]) -> None:
        """Rows of channels that are configured no more."""
        why = "the channel is no longer configured"
        lost = [withdrawn(row, Decision.DEAD, why) for row in rows]
        for name in dict.fromkeys(row.channel for row in lost):  # what one was to tell, once
            mine = tuple(row for row in lost if row.channel == name)
            self.tools.executor.handle(events.RowsFinished(mine))
