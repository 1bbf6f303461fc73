"""One channel's worker: it forms messages from queued rows and tries to deliver them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf

from tocsin.core.alerts.outbox import Row
from tocsin.core.config.settings import ChannelSettings
from tocsin.core.contracts.message import test_message
from tocsin.core.contracts.notifier import Receipt
from tocsin.core.monitor import events
from tocsin.core.notify.availability import Availability
from tocsin.core.notify.deliver import Attempt, Failure, put_into_words
from tocsin.core.notify.limit import Limit
from tocsin.core.notify.pending import Outgoing
from tocsin.core.notify.queue import Queue
from tocsin.core.notify.record import Recorder
from tocsin.core.notify.tools import Tools
from tocsin.core.notify.worker import Worker
from tocsin.core.runtime import crash_points

LOOK_EVERY = 15.0
"""Seconds between checks of the queue while a channel fails."""


class Channel(Worker):
    """The worker of one channel.

    Attributes:
        settings: its configuration.
        tools: what all channels share.
        availability: whether it works, and when the next attempt may be made.
        queue: what it has not delivered yet.
        limit: its rate limit.
        attempt: hands a message to its notifier.
        record: records the outcome of attempts.
    """

    def __init__(self, settings: ChannelSettings, tools: Tools) -> None:
        super().__init__(settings.name)
        self.settings = settings
        self.tools = tools
        self.availability = Availability()
        self.queue = Queue(settings)
        self.limit = Limit(settings.max_messages, settings.per)
        self.attempt = Attempt(settings, tools.isolation)
        self.record = Recorder(settings, tools, self.queue, self.availability, self.limit)
        self._digest = False
        """The next message takes every waiting row, since the rate limit held rows back."""

    # Input

    def put(self, rows: Iterable[Row]) -> None:
        """Queue rows for delivery."""
        self._drop(self.queue.put(rows, self._now()))

    def resume(self, rows: Iterable[Row], open_at: float | None = None) -> None:
        """Queue the rows of an earlier run.

        Args:
            rows: rows that are not finished.
            open_at: steady time, in seconds, before which the provider asked for no request; None
                if it did not.
        """
        now = self._now()
        if open_at is not None:
            self.availability.resume(self.tools.executor.steady.monotonic_of(open_at), now)
        self._drop(self.queue.resume(rows, now))

    def _drop(self, superfluous: Sequence[Row]) -> None:
        if superfluous:
            self.tools.executor.handle(events.RowsFinished(tuple(superfluous)))
        self.wake.set()

    def _now(self) -> float:
        return self.tools.clock.monotonic()

    def failing_for(self) -> float | None:
        """Return the seconds since it began to fail; None if it works, is disabled or broken."""
        since = self.availability.impaired_since
        if since is None or self.availability.disabled or self.settings.broken:
            return None
        return self._now() - since

    @property
    def trouble(self) -> str | None:
        """Why it does not deliver, or not receive commands; None if it works."""
        return self.settings.broken or self.availability.trouble or self.availability.unheard

    # A turn: choose a message, form it, try to deliver it

    async def turn(self) -> None:
        """Wait for the next due message, new or retried, and make one attempt to deliver it."""
        if outgoing := await self._next():
            await self._try(outgoing)

    def recover(self) -> None:
        """Queue again the rows of a turn that failed because of an error in tocsin."""
        self._drop(self.queue.put_back(self._now()))

    async def _next(self) -> Outgoing | None:
        """Wait for the message to try next; return None when the channel stops.

        A failing message does not block the channel: each message has its own retry time, and new
        ones may overtake it. The more messages fail while none is delivered, the longer new ones
        are put off, so that an outage does not end in many small messages.
        """
        while not self.stopping.is_set():
            self.wake.clear()
            now = self._now()
            self._look_at_failing(now)
            tried, due = self.queue.next()
            at = max(self.availability.open_at, min(due, inf if tried is None else tried.open_at))
            if at <= now and (free := self.limit.free_at(now)) > now:
                # Rows that arrive until then join the digest.
                self._digest, at = self._digest or due <= now, free
            if at <= now:
                if tried is not None and tried.open_at <= due:
                    return tried
                if (made := await self._form(now)) is not None:
                    return made
                continue
            if self._is_failing and self.queue.rows:
                at = min(now + LOOK_EVERY, at)
            await self.tools.clock.wait(self.wake, None if at == inf else at)
        return None

    @property
    def _is_failing(self) -> bool:
        return self.availability.failing_since is not None or self.queue.pending.is_failing

    def _look_at_failing(self, now: float) -> None:
        """Send rows that fail for too long to another channel; give up those past the limit."""
        since = self.availability.failing_since
        if self._is_failing:
            failing = 0.0 if since is None else now - since
            if late := self.queue.late(failing, now, self.tools.executor.steady.now().steady):
                self.tools.executor.handle(events.RowsLate(late))
        why = self.availability.trouble or "the provider asked for too long a pause"
        for rows in self.queue.give_up(now, is_failing=since is not None):
            self.record.dead(rows, why)

    async def _form(self, now: float) -> Outgoing | None:
        """Form a message from the due rows and commit it; return None if nothing is left."""
        digest, self._digest = self._digest, False
        rows = self.queue.take(now, everything=digest)
        crash_points.point("message made")
        due = events.MessageDue(self.settings.name, rows, digest=digest)
        send = self.tools.executor.handle(due).send
        outgoing = self.queue.formed(send, self.tools.clock.now(), now)
        if outgoing is not None:
            await self.tools.executor.committed()
            crash_points.point("message on disk")
        return outgoing

    async def _try(self, outgoing: Outgoing) -> None:
        rows = tuple(outgoing.rows)
        due = events.MessageDue(self.settings.name, rows, message=outgoing.id)
        send = self.tools.executor.handle(due).send
        if send is None:  # only recoveries of firings that this channel could not deliver
            self.queue.remove(outgoing)
            return
        if send.rows != rows:
            outgoing.rows, outgoing.enriched = list(send.rows), None
        outcome = await self._attempted(outgoing)
        outgoing.tried(fault=isinstance(outcome, Failure) and outcome.fault)
        if isinstance(outcome, Receipt):
            crash_points.point("accepted")
            self.record.delivered(outgoing, outcome)
        else:
            await self.record.failed(outgoing, outcome)

    async def _attempted(self, outgoing: Outgoing) -> Receipt | Failure:
        if (reason := self.availability.disabled) is not None:
            return Failure(message=reason, permanent=True, everything=True)
        if outgoing.enriched is None:
            message = outgoing.message(self.settings.name, self.tools.references)
            made = await put_into_words(message, self.settings, self.tools.enrich)
            if isinstance(made, Failure):
                return made
            outgoing.enriched = made
        return await self.attempt(outgoing.enriched)

    async def test(self) -> tuple[bool, str]:
        """Send a test message; return whether it was delivered, and the answer or the error."""
        known, record = self.availability, self.record
        if (wait := known.asked_until - self._now()) > 0:
            why = f": {known.trouble}" if known.trouble else ""
            return False, f"the provider asked for a pause of another {wait:.0f} s{why}"
        message = test_message(self.settings.name, self.tools.clock.now())
        outcome = await self.attempt(await self.tools.enrich(message, self.settings.notifier))
        if isinstance(outcome, Receipt):
            record.works()
            return True, outcome.answer
        if outcome.disable:
            record.disable(outcome.message)
        if outcome.retry_after is not None:
            record.back_off(outcome.retry_after)
        return False, outcome.message
