"""A source's sink in a host: the valid part of what it is told goes to the core."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from attrs import frozen

from tocsin.core.contracts.model import Event, LogLine, Result, Target
from tocsin.core.contracts.source import Claim
from tocsin.core.hosts import methods
from tocsin.core.hosts.peer import Peer
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.shapes import (
    fit_discovered,
    fit_happened,
    fit_observed,
    fit_retired,
    fit_synced,
)


@frozen
class HostSink:
    """See :class:`tocsin.core.contracts.source.Sink`. May be called from any thread.

    ``number``: that of the run.
    """

    peer: Peer
    number: int

    def discovered(
        self,
        target: Target,
        checks: Mapping[str, Mapping[str, Any]] | None = None,
        claim: Claim | None = None,
    ) -> None:
        """Report a target that exists, or has changed."""
        self._report("discovered", fit_discovered(target, checks, claim))

    def observed(self, target: str, result: Result, at: datetime | None = None) -> None:
        """Report the state of a target."""
        self._report("observed", fit_observed(target, result, at, datetime.now(UTC)))

    def happened(self, event: Event) -> None:
        """Report an event."""
        self._report("happened", fit_happened(event, datetime.now(UTC)))

    def retired(self, target: str, message: str) -> None:
        """Report that a target was removed on purpose."""
        self._report("retired", fit_retired(target, message))

    def synced(self, targets: Collection[str]) -> None:
        """Report a full inventory."""
        self._report("synced", fit_synced(targets))

    def impaired(self, message: str) -> None:
        """Report that the source cannot see its targets."""
        self._report("impaired", ((str(message),), []))

    def _report(self, what: str, fitted: tuple[tuple[Any, ...] | None, list[str]]) -> None:
        arguments, wrong = fitted
        for clause in wrong:
            self._send("blame", clause)
        if arguments is not None:
            try:
                self._send(what, *arguments)
            except PluginFault as fault:  # it is too large
                self._send("blame", str(fault))

    def _send(self, what: str, *arguments: Any) -> None:
        self.peer.note(methods.REPORT, (self.number, what, list(arguments)))


@frozen
class HostControls:
    """See :class:`tocsin.core.contracts.notifier.Controls`. ``number``: that of the listening."""

    peer: Peer
    number: int

    async def acknowledge(self, alert: UUID, by: str) -> str:
        """Acknowledge a firing alert."""
        return await self.peer.ask(methods.ACKNOWLEDGE, (self.number, alert, by))

    async def silence(self, alert: UUID, seconds: float, by: str) -> str:
        """Silence the target and rule of an alert."""
        return await self.peer.ask(methods.SILENCE, (self.number, alert, seconds, by))

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        """Return the last lines of a target's log."""
        return await self.peer.ask(methods.READ_LOGS, (self.number, target, lines))

    async def restart(self, target: str, by: str) -> str:
        """Restart a target."""
        return await self.peer.ask(methods.RESTART_TARGET, (self.number, target, by))
