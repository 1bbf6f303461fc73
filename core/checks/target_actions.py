"""What people may do with a target through its source: read its log, inspect it, restart it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field

from tocsin.core.checks.restarts import Restarts
from tocsin.core.checks.source_supervisor import SourceSupervisor
from tocsin.core.clock import Clock
from tocsin.core.contracts.model import AuditEntry, LogLine
from tocsin.core.contracts.source import Action


@define(eq=False)
class TargetActions:
    """Performs actions on targets.

    Attributes:
        clock: the time.
        allowed: returns the patterns of ``[actions] restart``.
        audit: stores an audit entry.
        sources: the sources; set before the first action.
    """

    clock: Clock
    allowed: Callable[[], tuple[str, ...]]
    audit: Callable[[AuditEntry], None]
    sources: SourceSupervisor = field(init=False)
    _restarts: Restarts = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make what restarts targets."""
        self._restarts = Restarts(self.clock, self._restart, self.allowed, self.audit)

    async def _restart(self, target: str) -> None:
        await self.sources.restart(target)

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        """Return the last lines of a target's log.

        Raises:
            ActionError: the target has no log, or its source cannot provide it.
        """
        return await self.sources.logs(target, lines)

    async def restart(self, target: str, actor: str, role: str) -> None:
        """Restart a target and record it in the audit log.

        Args:
            target: name of the target.
            actor: name of the token that asked for it.
            role: role of that token.

        Raises:
            ActionError: the restart is not allowed, comes too soon, or failed.
        """
        await self._restarts.restart(target, actor, role)

    def actions(self, target: str) -> frozenset[Action]:
        """Return what the source of a target can do with it."""
        return self.sources.actions(target)

    def may_restart(self, target: str) -> bool:
        """Return whether the source of a target can restart it, and the configuration allows it."""
        return "restart" in self.actions(target) and self._restarts.may(target)

    async def inspect(self, target: str) -> Mapping[str, Any]:
        """Return the source's inspect document of a target, with secrets redacted.

        Raises:
            ActionError: the target is unknown, or its source cannot provide the document.
        """
        return await self.sources.inspect(target)
