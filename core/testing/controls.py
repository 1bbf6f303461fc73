"""Controls that record what a notifier does for people, and the check of ``listen``."""

from __future__ import annotations

import asyncio
from uuid import UUID

from attrs import define, field

from tocsin.core.contracts.base import ActionError
from tocsin.core.contracts.model import LogLine
from tocsin.core.contracts.notifier import NotifierRuntime, NotifyError
from tocsin.core.units import format_duration

LISTENS = 0.2
"""Seconds for which ``listen`` is tried."""

GRACE = 1.0
"""Seconds within which it has to end after its cancellation."""


@define(eq=False)
class RecordingControls:
    """See :class:`tocsin.Controls`; answers and refuses in the words of the real ones.

    Attributes:
        alerts: state of each alert by its id: ``firing``, ``pending`` or ``resolved``; others do
            not exist.
        log_lines: the log of each target; others do not exist.
        restartable: names of the targets that may be restarted.
        refusal: what every method raises; None: nothing.
        acknowledged: who acknowledged an alert, by its id.
        done: what was done, in order: the action, the id of the alert or the name of the target,
            and the person.
    """

    alerts: dict[UUID, str] = field(factory=dict)
    log_lines: dict[str, list[LogLine]] = field(factory=dict)
    restartable: set[str] = field(factory=set)
    refusal: ActionError | None = None
    acknowledged: dict[UUID, str] = field(factory=dict)
    done: list[tuple[str, str, str]] = field(factory=list)

    async def acknowledge(self, alert: UUID, by: str) -> str:
        """Record the acknowledgement of a firing alert."""
        self._check(alert)
        if alert in self.acknowledged:
            raise ActionError(f"it is acknowledged already, by {self.acknowledged[alert]}")
        self.acknowledged[alert] = by
        self.done.append(("acknowledge", str(alert), by))
        return f"acknowledged by {by}"

    async def silence(self, alert: UUID, seconds: float, by: str) -> str:
        """Record the silence of a firing alert."""
        self._check(alert)
        self.done.append(("silence", str(alert), by))
        return f"silenced for {format_duration(seconds)} by {by}"

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        """Return the last of :attr:`log_lines`."""
        if self.refusal is not None:
            raise self.refusal
        if target not in self.log_lines:
            raise ActionError(f"there is no target called {target!r}", missing=True)
        return self.log_lines[target][-lines:]

    async def restart(self, target: str, by: str) -> str:
        """Record the restart of a target."""
        if self.refusal is not None:
            raise self.refusal
        if target not in self.restartable:
            raise ActionError(
                f'restarting {target} is not allowed; add it to [actions] restart = ["{target}"]'
            )
        self.done.append(("restart", target, by))
        return f"restarted by {by}"

    def _check(self, alert: UUID) -> None:
        if self.refusal is not None:
            raise self.refusal
        state = self.alerts.get(alert)
        if state is None:
            raise ActionError("there is no alert with this id, or it ended long ago", missing=True)
        if state != "firing":
            raise ActionError(f"it does not fire {'yet' if state == 'pending' else 'any more'}")


async def check_listen(runtime: NotifierRuntime, controls: RecordingControls) -> None:
    """Check that ``listen`` runs until it is cancelled; nothing, if the runtime only sends.

    It may also raise a NotifyError, as for a provider that does not answer.

    Raises:
        AssertionError: it violates the contract.
    """
    if type(runtime).listen is NotifierRuntime.listen:
        return
    task = asyncio.ensure_future(runtime.listen(controls))
    await asyncio.wait({task}, timeout=LISTENS)
    if not task.done():
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=GRACE)
        assert done, f"listen() ignored its cancellation for {GRACE:g} s"
        if not task.cancelled():
            error = task.exception()
            assert error is None, f"listen() raised {error!r} when it was cancelled"
        return
    assert not task.cancelled(), "listen() cancelled itself"
    error = task.exception()
    assert error is not None, "listen() returned; it has to run until it is cancelled"
    assert isinstance(error, NotifyError), f"listen() raised {error!r}, not a NotifyError"
