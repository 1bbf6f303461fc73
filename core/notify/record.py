"""The consequences of a delivery attempt for the message and its channel."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from attrs import define, evolve

from tocsin.core.alerts.outbox import Decision, Row
from tocsin.core.config.settings import ChannelSettings
from tocsin.core.contracts.notifier import Receipt
from tocsin.core.logs import get_logger
from tocsin.core.monitor import events
from tocsin.core.notify.availability import Availability
from tocsin.core.notify.deliver import MOST_FAULTS, Failure, backoff
from tocsin.core.notify.limit import Limit
from tocsin.core.notify.pending import TRIES_UNDIVIDED, Outgoing
from tocsin.core.notify.queue import Queue
from tocsin.core.notify.tools import Tools
from tocsin.core.runtime import crash_points

log = get_logger(__name__)


@define(eq=False)
class Recorder:
    """Records the outcome of one channel's attempts: in its queue, its availability, and as events.

    Attributes:
        sent_total: messages delivered since the start.
        failed_total: attempts that failed since the start.
        last_sent: when the last message was delivered, aware UTC.
    """

    settings: ChannelSettings
    tools: Tools
    queue: Queue
    availability: Availability
    limit: Limit
    sent_total: int = 0
    failed_total: int = 0
    last_sent: datetime | None = None

    @property
    def _now(self) -> float:
        return self.tools.clock.monotonic()

    def delivered(self, outgoing: Outgoing, receipt: Receipt) -> None:
        """Record that the provider took a message."""
        now = self.tools.clock.now()
        self.sent_total += 1
        self.last_sent = now
        if receipt.reference is not None:
            for row in outgoing.rows:
                self.tools.refer(self.settings.name, row.alert, receipt.reference)
        said: dict[str, object] = {"answer": receipt.answer[:500], "reference": receipt.reference}
        self.queue.remove(outgoing)
        self._finish(outgoing.rows, Decision.SENT, "", delivered_at=now, **said)
        self.works()
        self.queue.pending.has_taken()
        self.limit.sent(self._now)
        self.queue.group.sent(self._now)

    async def failed(self, outgoing: Outgoing, failure: Failure) -> None:
        """Record a failed attempt: divide the message, schedule a retry, or give it up."""
        self.failed_total += 1
        now, pending = self._now, self.queue.pending
        refused = failure.permanent or outgoing.rows[0].faults >= MOST_FAULTS
        if refused or failure.answered:
            self.limit.sent(now)
        if outgoing.failing_since is None:
            outgoing.failing_since = now
        if not outgoing.passed or failure.everything:
            self._fails(failure)
        if failure.disable:
            self.availability.disabled = failure.message
        whole = refused and failure.everything
        if not whole and pending.may_divide(outgoing, refused=refused, answered=failure.answered):
            await self._divide(outgoing)
        elif refused or now >= outgoing.ends:
            self.queue.remove(outgoing)
            self.dead(outgoing.rows, failure.message)
        else:
            self._try_later(outgoing, failure)

    async def _divide(self, outgoing: Outgoing) -> None:
        crash_points.point("message refused")
        halves = self.queue.pending.divide(outgoing)
        rows = tuple(row for half in halves for row in half.rows)
        self.tools.executor.handle(events.RowsTried(rows))
        await self.tools.executor.committed()
        crash_points.point("halves on disk")

    def _try_later(self, outgoing: Outgoing, failure: Failure) -> None:
        """Schedule the next attempt of a message, and have the channel wait as well, unless it
        delivers others."""
        now = self._now
        seconds = backoff(outgoing.rows[0].attempts, failure)
        # The first Retry-After answers are a matter of the channel, not of the message.
        asked = failure.retry_after is not None and outgoing.tries <= TRIES_UNDIVIDED
        outgoing.open_at = now if asked else now + seconds
        self.tools.executor.handle(events.RowsTried(tuple(outgoing.rows)))
        if failure.retry_after is not None:
            self.back_off(seconds)
        elif not outgoing.passed:
            self.availability.wait(failure, now)

    def dead(self, rows: Sequence[Row], reason: str) -> None:
        """Give up rows: move them to the dead letters."""
        log.error("a message could not be delivered and goes to the dead letters",
                  channel=self.settings.name, reason=reason, notices=len(rows))  # fmt: skip
        crash_points.point("given up")
        self._finish(rows, Decision.DEAD, reason)

    def _finish(
        self, rows: Sequence[Row], decision: Decision, reason: str, **fields: object
    ) -> None:
        said: dict[str, Any] = {"decision": decision, "reason": reason, **fields}
        done = tuple(evolve(row, revision=row.revision + 1, **said) for row in rows)
        self.tools.executor.handle(events.RowsFinished(done))

    # Consequences for the channel

    def works(self) -> None:
        """Record that the channel delivered something."""
        was_failing = self.availability.trouble is not None
        self.availability.works()
        if was_failing:
            log.info("a channel delivers again", channel=self.settings.name)
            self._changed(is_failing=False)

    def _fails(self, failure: Failure) -> None:
        before = self.availability.trouble
        self.availability.fails(failure, self._now)
        if before != failure.message:
            log.warning("a channel could not deliver", channel=self.settings.name,
                        reason=failure.message, permanent=failure.permanent,
                        retry_after=failure.retry_after)  # fmt: skip
        if before is None:
            self._changed(is_failing=True)

    def disable(self, reason: str) -> None:
        """Mark the channel as unusable until a person repairs it."""
        before = self.availability.trouble
        self.availability.disabled = self.availability.trouble = reason
        if before is None:
            self._changed(is_failing=True)

    def back_off(self, seconds: float) -> None:
        """Obey a provider's request for a delay: until then nothing is sent and no listener
        connects, even after a restart."""
        self.availability.back_off(seconds, self._now)
        self.tools.executor.handle(
            events.ChannelShut(self.settings.name, self.retry_after_until or 0.0)
        )

    @property
    def retry_after_until(self) -> float | None:
        """The steady time, in seconds, until which the provider asked for no request; None if it is
        past."""
        wait = self.availability.asked_until - self._now
        return self.tools.executor.steady.now().steady + wait if wait > 0 else None

    def _changed(self, *, is_failing: bool) -> None:
        changed = events.ChannelChanged(self.settings.name, is_failing=is_failing)
        self.tools.executor.handle(changed)
