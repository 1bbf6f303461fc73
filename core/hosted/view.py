"""The view of the running tocsin that a route in a host gets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from attrs import define, field

from tocsin.core.contracts.metric import Metric
from tocsin.core.contracts.view import (
    AlertSnapshot,
    ChannelSnapshot,
    ComponentSnapshot,
    PluginSnapshot,
    Statistics,
    TargetSnapshot,
)
from tocsin.core.hosts import methods
from tocsin.core.hosts.peer import Peer


@define(eq=False)
class HostView:
    """See :class:`tocsin.core.contracts.view.SystemView`."""

    peer: Peer
    number: int
    _iterations: int = field(init=False, default=0)

    async def targets(self) -> AsyncIterator[TargetSnapshot]:
        """Iterate over all targets."""
        self._iterations += 1
        asked = (self.number, self._iterations)
        while portion := await self.peer.ask(methods.VIEW_TARGETS, asked):
            for target in portion:
                yield target

    async def alerts(self) -> Sequence[AlertSnapshot]:
        """Return the firing alerts, newest first."""
        return await self.peer.ask(methods.VIEW_ALERTS, (self.number,))

    async def channels(self) -> Sequence[ChannelSnapshot]:
        """Return the channels."""
        return await self.peer.ask(methods.VIEW_CHANNELS, (self.number,))

    async def components(self) -> Sequence[ComponentSnapshot]:
        """Return the health of the components of tocsin."""
        return await self.peer.ask(methods.VIEW_COMPONENTS, (self.number,))

    async def plugins(self) -> Sequence[PluginSnapshot]:
        """Return the plugins, sorted by name."""
        return await self.peer.ask(methods.VIEW_PLUGINS, (self.number,))

    async def descriptions(self) -> Mapping[str, Mapping[str, Metric]]:
        """Return what the metrics of each probe and source mean."""
        return await self.peer.ask(methods.VIEW_DESCRIPTIONS, (self.number,))

    async def statistics(self) -> Statistics:
        """Return the counters of tocsin itself."""
        return await self.peer.ask(methods.VIEW_STATISTICS, (self.number,))
