"""A source's sink in a host: what it is told goes to the core, which validates it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from attrs import frozen

from tocsin.core.contracts.model import Event, LogLine, Result, Target
from tocsin.core.contracts.source import Claim
from tocsin.core.hosts import methods
from tocsin.core.hosts.peer import Peer


@frozen
class HostSink:
    """See :class:`tocsin.core.contracts.source.Sink`. May be called from any thread."""

    peer: Peer
    number: int

    def discovered(
        self,
        target: Target,
        checks: Mapping[str, Mapping[str, Any]] | None = None,
        claim: Claim | None = None,
    ) -> None:
        """Report a target that exists, or has changed."""
        self._report("discovered", target, checks, claim)

    def observed(self, target: str, result: Result, at: datetime | None = None) -> None:
        """Report the state of a target."""
        self._report("observed", target, result, at)

    def happened(self, event: Event) -> None:
        """Report an event."""
        self._report("happened", event)

    def retired(self, target: str, message: str) -> None:
        """Report that a target was removed on purpose."""
        self._report("retired", target, message)

    def synced(self, targets: Collection[str]) -> None:
        """Report a full inventory."""
        self._report("synced", list(targets))

    def impaired(self, message: str) -> None:
        """Report that the source cannot see its targets."""
        self._report("impaired", message)

    def _report(self, what: str, *arguments: Any) -> None:
        self.peer.note(methods.REPORT, (self.number, what, list(arguments)))


@frozen
class HostControls:
    """See :class:`tocsin.core.contracts.notifier.Controls`."""

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
