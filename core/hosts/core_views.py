"""Views of the running tocsin that routes in a plugin host read, portion by portion."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from attrs import define, field

from tocsin.core.contracts.metric import Metric
from tocsin.core.contracts.view import (
    AlertSnapshot,
    ChannelSnapshot,
    ComponentSnapshot,
    PluginSnapshot,
    Statistics,
    SystemView,
    TargetSnapshot,
)
from tocsin.core.hosts import methods
from tocsin.core.hosts.peer import Served, served
from tocsin.core.plugin.faults import PluginFault

PORTION = 100
"""Targets that are sent at once."""


@define(eq=False)
class CoreViews:
    """The views that routes read now, by number."""

    _views: dict[int, SystemView] = field(init=False, factory=dict)
    _iterations: dict[int, dict[int, AsyncIterator[TargetSnapshot]]] = field(
        init=False, factory=dict
    )
    """By view: iterations over its targets, by the host's number of each."""

    def open(self, number: int, view: SystemView | None) -> None:
        """Let the host read a view."""
        if view is not None:
            self._views[number] = view
            self._iterations[number] = {}

    def close(self, number: int) -> None:
        """Let the host read a view no longer."""
        self._views.pop(number, None)
        self._iterations.pop(number, None)

    def served(self) -> dict[str, Served]:
        """Return what the host may call."""
        return served(
            (methods.VIEW_TARGETS, self._targets),
            (methods.VIEW_ALERTS, self._alerts),
            (methods.VIEW_CHANNELS, self._channels),
            (methods.VIEW_COMPONENTS, self._components),
            (methods.VIEW_PLUGINS, self._plugins),
            (methods.VIEW_DESCRIPTIONS, self._descriptions),
            (methods.VIEW_STATISTICS, self._statistics),
        )

    def _view(self, number: int) -> SystemView:
        try:
            return self._views[number]
        except KeyError:
            raise PluginFault("reads the view of a request after its end") from None

    async def _targets(self, number: int, iteration: int) -> list[TargetSnapshot]:
        view = self._view(number)
        targets = self._iterations[number].setdefault(iteration, view.targets())
        found: list[TargetSnapshot] = []
        async for target in targets:
            found.append(target)
            if len(found) == PORTION:
                break
        return found

    async def _alerts(self, number: int) -> list[AlertSnapshot]:
        return list(await self._view(number).alerts())

    async def _channels(self, number: int) -> list[ChannelSnapshot]:
        return list(await self._view(number).channels())

    async def _components(self, number: int) -> list[ComponentSnapshot]:
        return list(await self._view(number).components())

    async def _plugins(self, number: int) -> list[PluginSnapshot]:
        return list(await self._view(number).plugins())

    async def _descriptions(self, number: int) -> Mapping[str, Any]:
        found: Mapping[str, Mapping[str, Metric]] = await self._view(number).descriptions()
        return found

    async def _statistics(self, number: int) -> Statistics:
        return await self._view(number).statistics()
