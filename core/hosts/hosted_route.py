"""Routes of plugins in hosts: query and body are decoded there, and the answer is encoded there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from attrs import frozen

from tocsin.core.contracts.route import Request, Role, Route
from tocsin.core.contracts.view import SystemView
from tocsin.core.hosts import methods
from tocsin.core.hosts.host import Host
from tocsin.core.hosts.methods import Answered, Asked
from tocsin.core.hosts.offers import RouteOffer
from tocsin.core.plugin.faults import PluginFault

OVERHEAD = 512
"""Bytes that each chunk takes of a stream's window besides its own."""


async def _answer(request: Request) -> object:
    """Fail: a host answers."""
    raise NotImplementedError


async def _stream(request: Request) -> AsyncIterator[bytes]:
    """Fail: a host answers."""
    raise NotImplementedError
    yield b""


@frozen
class _Decoded:
    """Stands for a class of query parameters, or of a body, that only a host has."""


@frozen(kw_only=True)
class HostedRoute(Route):
    """A route of a plugin in a host.

    Attributes:
        host: the host.
        plugin: name of the plugin.
        number: position of the route among those of the plugin.
        offer: what the plugin says about it.
    """

    host: Host
    plugin: str
    number: int
    offer: RouteOffer

    @property
    def _is_remote(self) -> bool:
        """Return True: its types are not known here."""
        return True

    @property
    def query(self) -> type[Any] | None:
        """A class without fields if the route takes a query."""
        return _Decoded if self.offer.takes_query else None

    @property
    def body(self) -> type[Any] | None:
        """A class without fields if the route takes a body."""
        return _Decoded if self.offer.takes_body else None

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return self.offer.summary

    @property
    def wants_view(self) -> bool:
        """Whether the handler reads the state of the running tocsin."""
        return self.offer.takes_view

    async def ask(
        self,
        request: Request,
        query: Mapping[str, str],
        document: object,
        view: SystemView | None = None,
    ) -> Answered:
        """Return the answer of the route.

        Raises:
            PluginFault, ActionError: the plugin failed, or refuses.
        """
        peer = await self.host.connect()
        number, views = next(self.host.numbers), self.host.calls.views
        views.open(number, view)
        asked = self._asked(request, query, document, None if view is None else number)
        try:
            return await peer.ask(methods.ROUTE, (asked,))
        finally:
            views.close(number)

    async def stream(
        self,
        request: Request,
        query: Mapping[str, str],
        document: object,
        view: SystemView | None = None,
    ) -> AsyncGenerator[bytes | Answered, None]:
        """Yield what the route yields; at last, its answer if it is a problem.

        Raises:
            PluginFault, ActionError: the plugin failed, or refuses.
        """
        peer = await self.host.connect()
        number, streams = next(self.host.numbers), self.host.calls.streams
        views = self.host.calls.views
        views.open(number, view)
        chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        streams[number] = chunks.put_nowait
        asked = (
            number, self._asked(request, query, document, None if view is None else number),
        )  # fmt: skip
        running = asyncio.ensure_future(peer.ask(methods.STREAM, asked))
        running.add_done_callback(lambda _: chunks.put_nowait(None))
        try:
            while (data := await chunks.get()) is not None:
                yield data
                peer.note(methods.GRANT, (number, len(data) + OVERHEAD))
            if (answer := await running).status is not None:
                yield answer
        finally:
            streams.pop(number, None)
            views.close(number)
            if not running.cancel() and not running.cancelled():
                running.exception()  # else asyncio logs that it was never retrieved

    def _asked(
        self, request: Request, query: Mapping[str, str], document: object, view: int | None
    ) -> Asked:
        return Asked(
            plugin=self.plugin, route=self.number, request=request, query=query,
            document=document, view=view,
        )  # fmt: skip


def route_of(offer: RouteOffer, number: int, plugin: str, host: Host) -> HostedRoute:
    """Return the route that stands for one of a plugin.

    Raises:
        PluginFault: what the plugin offers is no route.
    """
    try:
        return HostedRoute(
            method=offer.method,
            path=offer.path,
            role=None if offer.role is None else Role(offer.role),
            handler=_stream if offer.streams else _answer,
            media=offer.media,
            wants_system=offer.wants_system,
            host=host,
            plugin=plugin,
            number=number,
            offer=offer,
        )
    except ValueError as error:
        raise PluginFault(f"offers a route that does not fit: {error}") from error
