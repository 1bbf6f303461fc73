"""A system that plugins under test can read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime

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


@define(kw_only=True)
class FixedSystem:
    """A running tocsin that returns what a test gives it; see :class:`tocsin.SystemView`.

    Attributes:
        targets: the targets.
        alerts: the alerts that fire.
        channels: the channels.
        components: the components of ``/health``.
        plugins: the plugins.
        descriptions: the descriptions of metrics, by probe and name of the metric.
        statistics: the version, and counters since the start.
    """

    _targets: Sequence[TargetSnapshot] = ()
    _alerts: Sequence[AlertSnapshot] = ()
    _channels: Sequence[ChannelSnapshot] = ()
    _components: Sequence[ComponentSnapshot] = ()
    _plugins: Sequence[PluginSnapshot] = ()
    _descriptions: Mapping[str, Mapping[str, Metric]] = field(factory=dict)
    _statistics: Statistics = field(
        factory=lambda: Statistics(version="0", started_at=datetime(2026, 1, 15, tzinfo=UTC))
    )

    async def targets(self) -> AsyncIterator[TargetSnapshot]:
        """Iterate over the given targets."""
        for target in self._targets:
            yield target

    async def alerts(self) -> Sequence[AlertSnapshot]:
        """Return the given alerts."""
        return self._alerts

    async def channels(self) -> Sequence[ChannelSnapshot]:
        """Return the given channels."""
        return self._channels

    async def components(self) -> Sequence[ComponentSnapshot]:
        """Return the given components."""
        return self._components

    async def plugins(self) -> Sequence[PluginSnapshot]:
        """Return the given plugins."""
        return self._plugins

    async def descriptions(self) -> Mapping[str, Mapping[str, Metric]]:
        """Return the given descriptions."""
        return self._descriptions

    async def statistics(self) -> Statistics:
        """Return the given counters."""
        return self._statistics
