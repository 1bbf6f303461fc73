"""Commands from within a channel: acknowledge, silence, read logs, restart. All are audited."""

from __future__ import annotations

import asyncio
import glob
from collections.abc import Collection, Coroutine
from datetime import timedelta
from typing import Any, Protocol, TypeVar
from uuid import UUID

from attrs import define, evolve, field, frozen

from tocsin.core.alerts.matchers import Matcher
from tocsin.core.alerts.model import Alert
from tocsin.core.alerts.silences import Silence
from tocsin.core.clock import Clock
from tocsin.core.contracts.base import ActionError
from tocsin.core.contracts.model import AuditEntry, LogLine
from tocsin.core.hiding import clean
from tocsin.core.monitor.effects import Outcome
from tocsin.core.monitor.events import Acknowledged
from tocsin.core.monitor.executor import Executor
from tocsin.core.monitor.silencing import Silencing
from tocsin.core.units import format_duration

T = TypeVar("T")

LONGEST = 2000
"""Maximum length of a log line in an answer, in characters."""


class Actions(Protocol):
    """Actions on targets that other parts of tocsin perform for people."""

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        """Return the last lines of a target. Raises ActionError."""

    async def restart(self, target: str, actor: str, role: str) -> None:
        """Restart a target and write the audit entry. Raises ActionError."""

    def actions(self, target: str) -> Collection[str]:
        """Return what the source of a target can do with it: ``logs``, ``restart``, ``inspect``."""

    def may_restart(self, target: str) -> bool:
        """Return whether people may restart a target."""


@frozen
class ControlContext:
    """The resources shared by the controls of all channels."""

    clock: Clock
    executor: Executor
    silencing: Silencing
    actions: Actions


@define
class ChannelControls:
    """The controls given to one channel's notifier: see ``contracts.notifier.Controls``.

    They may be called from the event loop of any thread: the work runs in the core's loop.
    """

    context: ControlContext
    channel: str
    _home: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop)

    async def acknowledge(self, alert: UUID, by: str) -> str:
        """Acknowledge a firing alert; return a confirmation.

        Args:
            alert: id of the alert.
            by: the person's name.

        Raises:
            ActionError: the alert does not fire or is acknowledged already, or there is none with
                this id.
        """

        async def work() -> str:
            entry = self._entry("acknowledge", str(alert), by)
            event = Acknowledged(alert, clean(by), audit=entry)
            outcome = await self.context.executor.submit(event)
            if outcome.alert is None:
                raise ActionError(outcome.refused, missing=outcome.is_missing)
            return f"acknowledged by {by}"

        return await self._at_home(work())

    async def silence(self, alert: UUID, seconds: float, by: str) -> str:
        """Silence an alert's target and rule; return a confirmation.

        Args:
            alert: id of the alert.
            seconds: duration of the silence.
            by: the person's name.

        Raises:
            ActionError: the alert does not fire, or there is none with this id.
        """

        async def work() -> str:
            found = self._firing(alert)
            now = self.context.clock.now()
            made = Silence(
                matchers=(
                    Matcher("rule", glob.escape(found.rule), False),
                    Matcher("target", glob.escape(found.target), False),
                ),
                starts_at=now,
                ends_at=now + timedelta(seconds=seconds),
                created_by=clean(by),
                comment=f"by {self.channel}",
            )
            entry = self._entry(
                "silence", str(made.id), by, matchers=[str(m) for m in made.matchers],
                until=made.ends_at.isoformat(),
            )  # fmt: skip
            await self.context.silencing.put(made, entry)
            return f"silenced for {format_duration(seconds)} by {by}"

        return await self._at_home(work())

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        """Return the last lines of a target.

        Raises:
            ActionError: they cannot be read.
        """

        async def work() -> list[LogLine]:
            found = (await self.context.actions.logs(target, lines))[-lines:]
            return [evolve(line, text=clean(line.text, longest=LONGEST)) for line in found]

        return await self._at_home(work())

    async def restart(self, target: str, by: str) -> str:
        """Restart a target; return a confirmation.

        Raises:
            ActionError: restarting is not allowed, or failed.
        """

        async def work() -> str:
            await self.context.actions.restart(target, clean(by), f"channel {self.channel}")
            return f"restarted by {by}"

        return await self._at_home(work())

    def _firing(self, identity: UUID) -> Alert:
        found = self.context.executor.monitor.firing(identity)
        if isinstance(found, Outcome):
            raise ActionError(found.refused, missing=found.is_missing)
        return found

    def _entry(self, action: str, subject: str, by: str, **details: Any) -> AuditEntry:
        return AuditEntry(
            actor=clean(by), role=f"channel {self.channel}", action=action, subject=subject,
            at=self.context.clock.now(), details=details,
        )  # fmt: skip

    async def _at_home(self, work: Coroutine[Any, Any, T]) -> T:
        if asyncio.get_running_loop() is self._home:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._home))
