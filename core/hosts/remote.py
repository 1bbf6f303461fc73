"""Objects of plugins in hosts, as the core refers to them: options, and runtimes that are open."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define, field, frozen

from tocsin.core.contracts.context import Context
from tocsin.core.hosts import methods
from tocsin.core.hosts.core_peer import CorePeer
from tocsin.core.hosts.host import Host
from tocsin.core.hosts.methods import Opening, Options
from tocsin.core.hosts.offers import Offer
from tocsin.core.hosts.wire import Method

R = TypeVar("R")


@define(eq=False)
class RemoteOptions:
    """Options that a plugin in a host keeps as an object.

    Attributes:
        host: the host.
        offer: what the plugin says about the class.
        options: the options.
        facts: what the plugin said about them when they were checked.
        network_hosts: by target: the host to which its check, when it was last down, connects.
    """

    host: Host
    offer: Offer
    options: Options
    facts: Mapping[str, Any] = field(factory=dict)
    network_hosts: dict[str, str | tuple[str, ...] | None] = field(init=False, factory=dict)
    number: int = field(init=False)
    __weakref__: Any = field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.number = next(self.host.numbers)
        weakref.finalize(self, self.host.forgotten.append, self.number)

    async def peer(self) -> CorePeer:
        """Return the connection, over which the host has got these options.

        Raises:
            PluginFault: the host does not run.
        """
        peer = await self.host.connect()
        if self.number not in peer.defined:
            peer.defined.add(self.number)
            peer.note(methods.DEFINE, (self.number, self.options))
        return peer

    async def ask(self, method: Method[Any, R], *arguments: Any) -> R:
        """Call a method of the object; see :meth:`Peer.ask`."""
        return await (await self.peer()).ask(method, (self.number, *arguments))

    async def open(self, context: Context) -> Opened:
        """Open a runtime of the object.

        Raises:
            PluginFault: the host does not run, or the plugin fails.
        """
        peer = await self.peer()
        opened = Opened(self.host, peer, next(self.host.numbers))
        self.host.calls.contexts[opened.number] = context
        opening = Opening(options=self.number, name=context.name, data_dir=self.host.data_dir)
        try:
            await peer.ask(methods.OPEN, (opened.number, opening))
        except BaseException:
            self.host.calls.contexts.pop(opened.number, None)
            raise
        return opened


@frozen(eq=False)
class Opened:
    """A runtime that is open in a host.

    Attributes:
        host: the host.
        peer: the connection of the process in which it is open.
        number: its number.
    """

    host: Host
    peer: CorePeer
    number: int

    @property
    def is_lost(self) -> bool:
        """Return whether its process has ended."""
        return self.peer.why_closed is not None

    async def ask(self, method: Method[Any, R], *arguments: Any) -> R:
        """Call a method of the runtime; see :meth:`Peer.ask`."""
        return await self.peer.ask(method, (self.number, *arguments))

    async def close(self) -> None:
        """Close the runtime."""
        if not self.is_lost:
            try:
                await self.peer.ask(methods.CLOSE, (self.number,))
            finally:
                self.host.calls.contexts.pop(self.number, None)
