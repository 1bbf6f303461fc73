"""One channel at work: its queue, and the stages that a message passes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from math import inf
from typing import Any
from uuid import UUID

from attrs import evolve

from tocsin.core.alerts.outbox import Decision, Row
from tocsin.core.config.settings import ChannelSettings
from tocsin.core.contracts.notifier import Receipt, test_message
from tocsin.core.ids import new_id
from tocsin.core.logs import get_logger
from tocsin.core.monitor import events
from tocsin.core.notify.deliver import (
    MAX_RETRY_AFTER,
    MOST_FAULTS,
    Attempt,
    Failure,
    backoff,
    put_into_words,
)
from tocsin.core.notify.group import Group
from tocsin.core.notify.limit import Limit
from tocsin.core.notify.pending import TRIES_UNDIVIDED, Outgoing, Pending
from tocsin.core.notify.tools import Tools
from tocsin.core.runtime import crash_points

log = get_logger(__name__)

LOOK_EVERY = 15.0
"""Seconds between two looks at what waits while a channel is shut."""

IN_FLIGHT = 5.0
"""Seconds that an attempt under way may still take when tocsin stops."""


class Channel:
    """A channel's worker. ``trouble`` says why it cannot deliver now, or is None."""

    def __init__(self, settings: ChannelSettings, tools: Tools) -> None:
        self.settings = settings
        self.tools = tools
        self.group = Group(settings)
        self.limit = Limit(settings.max_messages, settings.per)
        self.attempt = Attempt(settings, tools.isolation)
        self.trouble: str | None = None
        self.disabled: str | None = None
        self.failing_since: float | None = None
        self.sent_total = self.failed_total = 0
        self.last_sent: datetime | None = None
        self._open_at = self.asked_until = 0.0
        """Monotonic times: of the next attempt, and until which the provider wants none."""
        self._misses = 0
        """Failures since something was taken."""
        self._pending = Pending()
        self._forming: list[Row] = []
        """Rows on their way from the group into a message."""
        self._digest = False
        self._late: set[UUID] = set()
        """Rows of which others are told, this channel having failed for too long."""
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Rows to go out."""
        return len(self.unfinished())

    def failing_for(self) -> float | None:
        """Seconds since it began to fail; None where it does not, or is of no use at all."""
        if self.failing_since is None or self.disabled or self.settings.broken:
            return None
        return self.tools.clock.monotonic() - self.failing_since

    @property
    def shut_until(self) -> float | None:
        """Steady time until which the provider asked to be left alone; None where that is past."""
        wait = self.asked_until - self.tools.clock.monotonic()
        return self.tools.executor.steady.now().steady + wait if wait > 0 else None

    # What comes in

    def put(self, rows: Iterable[Row]) -> None:
        """Rows to deliver."""
        now = self.tools.clock.monotonic()
        self.group.put(rows, now)
        if superseded := self.group.thin():
            self.tools.executor.handle(events.RowsFinished(tuple(superseded)))
        self._wake.set()

    def resume(self, rows: Iterable[Row], open_at: float | None = None) -> None:
        """Rows of an earlier run that are to go out. Those of a message that was fixed go out as
        that same message. ``open_at``: steady time before which the channel must not be used."""
        now = self.tools.clock.monotonic()
        fixed: dict[UUID, list[Row]] = {}
        loose = []
        for row in rows:
            if row.message is None:
                loose.append(row)
            else:
                fixed.setdefault(row.message, []).append(row)
        ends = now + self.settings.give_up_after
        self._pending.messages += [
            Outgoing(identity, members, members[0].at, ends) for identity, members in fixed.items()
        ]
        if open_at is not None:
            self._open_at = self.asked_until = self.tools.executor.steady.monotonic_of(open_at)
            if self._open_at > now:
                self.failing_since = now
        self.put(loose)

    def unfinished(self) -> list[Row]:
        """Rows that are to go out, or are on their way."""
        return [*self._pending.rows, *self._forming, *self.group.rows]

    def leave(self) -> list[Row]:
        """All rows that are not finished, for whoever takes the channel over."""
        rows = self.unfinished()
        self._pending, self._forming = Pending(), []
        self.group.take_all()
        return rows

    # Life

    def start(self) -> None:
        """Begin to deliver."""
        self._task = asyncio.create_task(self._run(), name=f"channel {self.settings.name}")

    async def stop(self) -> None:
        """End; an attempt under way may finish. A reload and the end of tocsin may both ask for it
        at once."""
        self._stopping.set()
        self._wake.set()
        if (task := self._task) is not None:
            await asyncio.wait({task}, timeout=IN_FLIGHT)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                await self.turn()
            except asyncio.CancelledError:
                raise
            except Exception:
                # Ours, whatever it is: the rows are tried again.
                log.exception("a channel's turn failed inside tocsin", channel=self.settings.name)
                rows, self._forming = self._forming, []
                self.put(rows)
                await asyncio.sleep(1)

    # The stages

    async def turn(self) -> None:
        """One attempt: of the message whose time has come, a fixed one or a new one."""
        if outgoing := await self._next():
            await self._try(outgoing)

    async def _next(self) -> Outgoing | None:
        """Wait for the message to try; None where there is none, or the channel ends.

        One that fails does not block the channel: each waits for its own time, and new ones pass
        it. They wait longer, the more of them fail while nothing is taken, so that an outage does
        not end in many small messages.
        """
        clock = self.tools.clock
        while not self._stopping.is_set():
            self._wake.clear()
            now = clock.monotonic()
            self._tell_elsewhere()
            self._give_up(now)
            tried, but = self._pending.next(), self._pending.alerts
            due = self.group.due(but)
            due = inf if due is None else due + self._pending.put_off
            at = max(self._open_at, min(due, inf if tried is None else tried.open_at))
            if at <= now and (free := self.limit.free_at(now)) > now:
                # What comes meanwhile goes out with the rest.
                self._digest, at = self._digest or due <= now, free
            if at <= now:
                if tried is not None and tried.open_at <= due:
                    return tried
                if (made := await self._form(now, but)) is not None:
                    return made
                continue
            if self.unfinished() and self._is_failing:
                at = min(now + LOOK_EVERY, at)
            await clock.wait(self._wake, None if at == inf else at)
        return None

    @property
    def _is_failing(self) -> bool:
        return self._pending.is_failing or self.failing_since is not None

    async def _form(self, now: float, but: set[UUID]) -> Outgoing | None:
        """A new message of what is due, and is to be sent; None where nothing of it is."""
        digest, self._digest = self._digest, False
        tools, name = self.tools, self.settings.name
        self._forming = self.group.take_all(but) if digest else self.group.take(now, but)
        crash_points.point("message made")
        due = events.MessageDue(name, tuple(self._forming), digest=digest)
        effects = tools.executor.handle(due)
        self._forming = []
        if (send := effects.send) is None:
            return None
        ends = now + self.settings.give_up_after
        outgoing = Outgoing(send.id, list(send.rows), tools.clock.now(), ends)
        self._pending.messages.append(outgoing)
        await tools.executor.committed()
        crash_points.point("message on disk")
        return outgoing

    async def _try(self, outgoing: Outgoing) -> None:
        rows = tuple(outgoing.rows)
        due = events.MessageDue(self.settings.name, rows, message=outgoing.id)
        send = self.tools.executor.handle(due).send
        if send is None:  # all of it were ends of what this channel could not tell
            self._pending.messages.remove(outgoing)
            return
        if send.rows != rows:
            outgoing.rows, outgoing.enriched = list(send.rows), None
        outcome = await self._attempted(outgoing)
        outgoing.tried(fault=isinstance(outcome, Failure) and outcome.fault)
        if isinstance(outcome, Receipt):
            crash_points.point("accepted")
            self._delivered(outgoing, outcome)
        else:
            await self._failed(outgoing, outcome)

    async def _attempted(self, outgoing: Outgoing) -> Receipt | Failure:
        if self.disabled is not None:
            return Failure(message=self.disabled, permanent=True, everything=True)
        if outgoing.enriched is None:
            message = outgoing.message(self.settings.name, self.tools.references)
            made = await put_into_words(message, self.settings, self.tools.enrich)
            if isinstance(made, Failure):
                return made
            outgoing.enriched = made
        return await self.attempt(outgoing.enriched)

    async def _failed(self, outgoing: Outgoing, failure: Failure) -> None:
        self.failed_total += 1
        now, pending = self.tools.clock.monotonic(), self._pending
        refused = failure.permanent or outgoing.rows[0].faults >= MOST_FAULTS
        if refused or failure.answered:
            self.limit.sent(now)
        if outgoing.failing_since is None:
            outgoing.failing_since = now
        if not outgoing.passed or failure.everything:
            self._troubled(failure)
        if failure.disable:
            self.disabled = failure.message
        whole = refused and failure.everything
        if not whole and pending.may_divide(outgoing, refused=refused, answered=failure.answered):
            crash_points.point("message refused")
            halves = pending.divide(outgoing)
            rows = tuple(row for half in halves for row in half.rows)
            self.tools.executor.handle(events.RowsTried(rows))
            await self.tools.executor.committed()
            crash_points.point("halves on disk")
        elif refused or now >= outgoing.ends:
            self._dead(outgoing, failure)
        else:
            self._put_back(outgoing, failure)

    def _troubled(self, failure: Failure) -> None:
        """What failed says something about the channel."""
        if self.failing_since is None:
            self.failing_since = self.tools.clock.monotonic()
        if self.trouble != failure.message:
            name, why, permanent = self.settings.name, failure.message, failure.permanent
            log.warning("a channel could not deliver", channel=name, reason=why,
                        permanent=permanent, retry_after=failure.retry_after)  # fmt: skip
        self._set_trouble(failure.message)

    def _set_trouble(self, trouble: str | None) -> None:
        before, self.trouble = self.trouble, trouble
        if (before is None) is not (trouble is None):
            changed = events.ChannelChanged(self.settings.name, is_failing=trouble is not None)
            self.tools.executor.handle(changed)

    def _put_back(self, outgoing: Outgoing, failure: Failure) -> None:
        """Have a message wait for its next attempt; the channel waits as well, unless it takes
        others."""
        now = self.tools.clock.monotonic()
        seconds = backoff(outgoing.rows[0].attempts, failure)
        # Who wants to be left alone finds no fault in the message, at first.
        asked = failure.retry_after is not None and outgoing.tries <= TRIES_UNDIVIDED
        outgoing.open_at = now if asked else now + seconds
        self.tools.executor.handle(events.RowsTried(tuple(outgoing.rows)))
        if failure.retry_after is not None:
            self.leave_alone(seconds)
        elif not outgoing.passed:
            self._misses += 1
            self._open_at = max(self.asked_until, now + backoff(self._misses, failure))

    def _give_up(self, now: float) -> None:
        """What was tried, or waited for the channel, for too long."""
        why = Failure(message=self.trouble or "it was to be left alone for too long")
        for outgoing in [m for m in self._pending.messages if m.ends <= now]:
            self._dead(outgoing, why)
        if self._is_failing and (old := self.group.take_older(now - self.settings.give_up_after)):
            self._dead(Outgoing(new_id(), old, self.tools.clock.now(), now), why)

    def _tell_elsewhere(self) -> None:
        """What fails, or waits behind what fails, for too long is told by another channel, too."""
        if not self._is_failing:
            return
        now = self.tools.clock.monotonic()
        failing = 0.0 if self.failing_since is None else now - self.failing_since
        waiting = [*self._forming, *self.group.rows]
        late = self._pending.late(waiting, failing, now, self.tools.executor.steady.now().steady)
        news = tuple(row for row in late if row.id not in self._late)
        self._late &= {row.id for row in self.unfinished()}
        self._late |= {row.id for row in news}
        if news:
            self.tools.executor.handle(events.RowsLate(news))

    def leave_alone(self, seconds: float) -> None:
        """The provider wants to hear nothing for a while: until then nothing is sent, and nobody
        listens, also after a restart."""
        until = self.tools.clock.monotonic() + min(seconds, MAX_RETRY_AFTER)
        self.asked_until = max(self.asked_until, until)
        self._open_at = max(self._open_at, self.asked_until)
        shut = events.ChannelShut(self.settings.name, self.shut_until or 0.0)
        self.tools.executor.handle(shut)

    async def test(self) -> tuple[bool, str]:
        """Send a test message; whether that worked, and what was answered, in a sentence."""
        if (wait := self.asked_until - self.tools.clock.monotonic()) > 0:
            why = f": {self.trouble}" if self.trouble else ""
            return False, f"it is to be left alone for another {wait:.0f} s{why}"
        message = test_message(self.settings.name, self.tools.clock.now())
        outcome = await self.attempt(await self.tools.enrich(message, self.settings.notifier))
        if isinstance(outcome, Receipt):
            self._works()
            return True, outcome.answer
        if outcome.disable:
            self.disabled = outcome.message
            self._set_trouble(outcome.message)
        if outcome.retry_after is not None:
            self.leave_alone(outcome.retry_after)
        return False, outcome.message

    # Stage 7: record

    def _delivered(self, outgoing: Outgoing, receipt: Receipt) -> None:
        now = self.tools.clock.now()
        self.sent_total += 1
        self.last_sent = now
        if receipt.reference is not None:
            for row in outgoing.rows:
                self.tools.refer(self.settings.name, row.alert, receipt.reference)
        said: dict[str, object] = {"answer": receipt.answer[:500], "reference": receipt.reference}
        self._finish(outgoing, Decision.SENT, "", delivered_at=now, **said)
        self._works()
        self._pending.has_taken()
        self.limit.sent(self.tools.clock.monotonic())
        self.group.sent(self.tools.clock.monotonic())

    def _works(self) -> None:
        """Something has arrived, so that it is of use, whatever was said before."""
        if self.trouble is not None:
            log.info("a channel delivers again", channel=self.settings.name)
        self._set_trouble(None)
        self.disabled = self.failing_since = None
        self._misses, self._open_at = 0, self.asked_until

    def _dead(self, outgoing: Outgoing, failure: Failure) -> None:
        said = "a message could not be delivered and goes to the dead letters"
        name, notices = self.settings.name, len(outgoing.rows)
        log.error(said, channel=name, reason=failure.message, notices=notices)
        crash_points.point("given up")
        self._finish(outgoing, Decision.DEAD, failure.message)

    def _finish(
        self, outgoing: Outgoing, decision: Decision, reason: str, **fields: object
    ) -> None:
        said: dict[str, Any] = {"decision": decision, "reason": reason, **fields}
        done = [evolve(row, revision=row.revision + 1, **said) for row in outgoing.rows]
        with suppress(ValueError):  # rows that never were in a message
            self._pending.messages.remove(outgoing)
        self.tools.executor.handle(events.RowsFinished(tuple(done)))
