"""Restarting a target for somebody: only where that is allowed, not twice in a row, audited."""

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
    """The configuration does not allow it."""


class TooSoon(ActionError):
    """It was restarted a moment ago."""


@define
class Restarts:
    """``do`` restarts a target; ``allowed`` gives the patterns of ``[actions] restart``."""

    clock: Clock
    do: Callable[[str], Awaitable[None]]
    allowed: Callable[[], tuple[str, ...]]
    audit: Callable[[AuditEntry], None]
    _recent: dict[str, float] = field(factory=dict)

    def may(self, target: str) -> bool:
        """Whether the configuration allows restarting a target."""
        return any(fnmatchcase(target, pattern) for pattern in self.allowed())

    async def restart(self, target: str, actor: str, role: str) -> None:
        """Restart a target; audited, whatever comes of it.

        Raises:
            NotAllowed, TooSoon: it was not tried. ActionError: it failed.
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
        except BaseException as error:  # a fault of ours, or tocsin stops meanwhile
            note(f"failed: {type(error).__name__}")
            raise
        note("ok")
