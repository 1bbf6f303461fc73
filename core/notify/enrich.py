"""Enriching, just before delivery: log lines, status and rendered text are added to a message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from zoneinfo import ZoneInfo

from attrs import define, evolve, field

from tocsin.core.boundary import plain
from tocsin.core.contracts.message import Kind, Message, Notice, TargetStatus
from tocsin.core.contracts.model import LogLine
from tocsin.core.contracts.notifier import Notifier
from tocsin.core.hiding import clean, visible
from tocsin.core.logs import get_logger
from tocsin.core.templates.renderer import Renderer
from tocsin.core.units import time_zone

log = get_logger(__name__)

PATIENCE = 2.0
"""Maximum time, in seconds, to wait for log lines; then the message is sent without them."""

LONGEST = 2000
"""Maximum length of a log line in a message, in characters."""

MOST = 5
"""Maximum number of alerts with log lines in one message."""


def _nothing(_: str, __: int) -> Awaitable[list[LogLine]]:
    raise LookupError("no source provides logs")


def _cleaned(notice: Notice) -> Notice:
    """Return the notice without control characters and secrets, as a second line of defence: a
    notifier may send its fields unchanged."""
    return evolve(
        notice,
        target=visible(notice.target),
        message=clean(notice.message),
        affected=tuple(map(visible, notice.affected)),
        details=plain(notice.details),
    )


@define
class Enricher:
    """Adds log lines, the status of every target and the rendered text to a message.

    Attributes:
        renderer: renders the text.
        timezone: of the times in the text.
        logs: returns the last lines of a target.
        target_statuses: returns every target, worst first.
        can_restart: returns whether people may restart a target.
        actions: returns what the source of a target can do with it.
    """

    renderer: Renderer = field(factory=lambda: Renderer(clean=clean))
    timezone: str = "UTC"
    logs: Callable[[str, int], Awaitable[list[LogLine]]] = _nothing
    target_statuses: Callable[[], tuple[TargetStatus, ...]] = tuple
    can_restart: Callable[[str], bool] = lambda _: False
    actions: Callable[[str], Collection[str]] = lambda _: ()
    _zone: ZoneInfo = field(init=False)
    """Cached, so that no file is read while a message is made."""

    def __attrs_post_init__(self) -> None:
        self._zone = time_zone(self.timezone)

    async def __call__(self, message: Message, notifier: Notifier | None) -> Message:
        """Return the message as it is sent. Errors of log lookups are logged, not raised."""
        notices = message.notices
        if notifier is not None:
            notices = await self._with_logs(notices, notifier.log_lines)
        wants = notifier is not None and notifier.wants_system
        message = evolve(
            message,
            notices=tuple(
                evolve(
                    _cleaned(n),
                    can_restart=self.can_restart(n.target),
                    has_logs="logs" in self.actions(n.target),
                )
                for n in notices
            ),
            system=self.target_statuses() if wants else (),
            timezone=self.timezone,
        )
        return evolve(message, words=self.renderer.words(message))

    async def _with_logs(self, notices: tuple[Notice, ...], lines: int) -> tuple[Notice, ...]:
        wanted = [
            n.target
            for n in notices
            if n.kind not in (Kind.RESOLVED, Kind.TEST) and "logs" in self.actions(n.target)
        ][:MOST]
        if not lines or not wanted:
            return notices
        tasks = {t: asyncio.ensure_future(self._lines(t, lines)) for t in dict.fromkeys(wanted)}
        try:
            await asyncio.wait(tasks.values(), timeout=PATIENCE)
        finally:
            for task in tasks.values():
                task.cancel()
        found = {t: task.result() for t, task in tasks.items() if task.done()}
        return tuple(
            evolve(n, logs=found.get(n.target, ())) if n.kind is not Kind.RESOLVED else n
            for n in notices
        )

    async def _lines(self, target: str, lines: int) -> tuple[LogLine, ...]:
        try:
            found = await self.logs(target, lines)
            return tuple(evolve(x, text=clean(x.text, longest=LONGEST)) for x in found[-lines:])
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - an alert without its logs is still an alert
            log.debug("no log lines for an alert", target=target, reason=str(error))
            return ()
