"""Restart of targets on a person's request: only if allowed, not twice in a row, and audited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase

from attrs import define, field

from tocsin.core.clock import Clock
from tocsin.core.contracts.base import ActionError
from tocsin.core.contracts.model import AuditEntry

PAUSE = 10.0
"""Seconds between two restarts of the same target."""


class NotAllowed(ActionError):
    """The configuration does not allow the restart."""


class TooSoon(ActionError):
    """The target was restarted less than PAUSE seconds ago."""


@define
class Restarts:
    """Restarts targets.

    Attributes:
        do: restarts a target.
        allowed: returns the patterns of ``[actions] restart``.
        clock: the time.
        audit: stores an audit entry.
    """

    clock: Clock
    do: Callable[[str], Awaitable[None]]
    allowed: Callable[[], tuple[str, ...]]
    audit: Callable[[AuditEntry], None]
    _recent: dict[str, float] = field(factory=dict)

    def may(self, target: str) -> bool:
        """Return whether the configuration allows restarting a target."""
        return any(fnmatchcase(target, pattern) for pattern in self.allowed())

    async def restart(self, target: str, actor: str, role: str) -> None:
        """Restart a target, and write an audit entry whatever the outcome.

        Args:
            target: name of the target.
            actor: who requested it.
            role: role of the actor.

        Raises:
            NotAllowed: the configuration does not allow it.
            TooSoon: the target was restarted less than PAUSE seconds ago.
            ActionError: the restart failed.
        """

        def note(outcome: str) -> None:
            self.audit(
                AuditEntry(
                    actor=actor, role=role, action="restart", subject=target,
                    at=self.clock.now(), outcome=outcome,
                )
            )  # fmt: skip

        if not self.may(target):
            note("refused: not allowed")
            raise NotAllowed(
                f'restarting {target} is not allowed; add it to [actions] restart = ["{target}"]'
            )
        now = self.clock.monotonic()
        if now - self._recent.get(target, -PAUSE) < PAUSE:
            note("refused: restarted a moment ago")
            raise TooSoon(f"{target} was restarted through tocsin less than {PAUSE:g} s ago; wait")
        self._recent[target] = now
        try:
            await self.do(target)
        except ActionError as error:
            note(f"failed: {error}")
            raise
        except BaseException as error:  # an error in tocsin, or tocsin stops meanwhile
            note(f"failed: {type(error).__name__}")
            raise
        note("ok")
