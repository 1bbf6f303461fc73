"""One channel at work: its queue, and the stages that a message passes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from uuid import UUID

from attrs import define, evolve, field

from tocsin.core import faults
from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.steady import SteadyClock
from tocsin.core.clock import Clock
from tocsin.core.config.settings import ChannelSettings
from tocsin.core.ids import new_id
from tocsin.core.isolation import Isolation
from tocsin.core.journal import Entry, Journal, JournalError
from tocsin.core.logs import get_logger
from tocsin.core.notices import Kind, Message, Notice, Receipt
from tocsin.core.outbox import Decision, Row
from tocsin.core.pipeline.dedupe import dedupe
from tocsin.core.pipeline.deliver import (
    FALLBACK_AFTER,
    MAX_RETRY_AFTER,
    MOST_FAULTS,
    Attempt,
    Failure,
    backoff,
)
from tocsin.core.pipeline.enrich import Enricher
from tocsin.core.pipeline.group import Group
from tocsin.core.pipeline.limit import Limit
from tocsin.core.pipeline.suppress import inhibit, silence
from tocsin.core.verdicts import Severity

log = get_logger(__name__)

LOOK_EVERY = 15.0
"""Seconds between two looks at what waits while a channel is shut."""

MOST_REFERENCES = 20_000
"""So many messages are known by the name that their provider gave them."""

IN_FLIGHT = 5.0
"""Seconds that an attempt under way may still take when tocsin stops."""


@define
class Tools:
    """What every channel works with.

    ``record`` takes rows that have changed; ``owe`` is told of a row that was held back at the last
    moment; ``fall_back`` of rows that a channel could not deliver.
    """

    clock: Clock
    steady: SteadyClock
    engine: Engine
    journal: Journal
    isolation: Isolation
    record: Callable[[list[Row]], object]
    owe: Callable[[Row], None]
    fall_back: Callable[[ChannelSettings, list[Row]], None] = field(default=lambda _, __: None)
    enrich: Enricher = field(factory=Enricher)
    references: OrderedDict[tuple[str, UUID], str] = field(factory=OrderedDict)
    """What providers called their last message, by channel and alert, oldest first."""

    def refer(self, channel: str, alert: UUID, reference: str) -> None:
        """Keep what a provider called a message; the oldest give way."""
        self.references[channel, alert] = reference
        self.references.move_to_end((channel, alert))
        while len(self.references) > MOST_REFERENCES:
            self.references.popitem(last=False)


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
        self._begun: list[tuple[Message, list[Row]]] = []
        self._current: list[Row] = []
        self._elsewhere: frozenset[UUID] = frozenset()
        """Rows that another channel was told of, this one having failed for too long."""
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Rows that are to go out."""
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
        return self.tools.steady.now().steady + wait if wait > 0 else None

    # What comes in

    def put(self, rows: Iterable[Row]) -> None:
        """Rows to deliver."""
        now = self.tools.clock.monotonic()
        for row in rows:
            self.group.put(row, now)
        self._wake.set()

    def resume(self, rows: Iterable[Row], open_at: float | None = None) -> None:
        """Rows that an earlier run had not finished; those of a message begun go out as that same
        message. ``open_at``: steady time before which the channel must not be used."""
        begun: dict[UUID, list[Row]] = {}
        loose = []
        for row in rows:
            if row.message is None:
                loose.append(row)
            else:
                begun.setdefault(row.message, []).append(row)
        for identity, members in begun.items():
            self._begun.append((self._message(identity, members, members[0].at), members))
        if open_at is not None:
            self._open_at = self.asked_until = self.tools.steady.monotonic_of(open_at)
            if self._open_at > (now := self.tools.clock.monotonic()):
                self.failing_since = now
        self.put(loose)

    def unfinished(self) -> list[Row]:
        """Rows that are to go out, or are on their way."""
        begun = [row for _, members in self._begun for row in members]
        return [*begun, *self._current, *self.group.rows]

    def leave(self) -> list[Row]:
        """All rows that are not finished, for whoever takes the channel over."""
        rows = self.unfinished()
        self._begun, self._current = [], []
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
                log.exception("a channel's turn failed inside tocsin", channel=self.settings.name)
                if self._current:
                    self._dead(Failure(message="tocsin itself failed to send it"))
                await asyncio.sleep(1)

    # The stages

    async def turn(self) -> None:
        """One message, through all stages."""
        if self._begun:
            message, self._current = self._begun.pop(0)
            await self._deliver(message)
            return
        rows, digest = await self._gather(), False
        while rows:
            self._current = rows
            rows = inhibit(rows, self.tools.engine, self.tools.steady.now, self._stop_row)
            rows = silence(rows, self.tools.engine, self.tools.steady.now, self._stop_row)
            self._current = rows = dedupe(rows, self._stop_row)
            if not rows:
                return  # what is still being collected goes on being collected
            if not await self._limited(rows):
                message = await self._begin(rows, digest)
                await self._deliver(message)
                return
            digest = True
            rows, self._current = self._current + self.group.take_all(), []

    async def _gather(self) -> list[Row]:
        clock = self.tools.clock
        while not self._stopping.is_set() and not self._begun:
            self._wake.clear()
            due = self.group.due()
            if due is not None and due <= clock.monotonic():
                return self.group.take(clock.monotonic())
            await clock.wait(self._wake, due)
        return []

    def _stop_row(self, row: Row, decision: Decision, why: str) -> None:
        stopped = evolve(row, decision=decision, reason=why, revision=row.revision + 1)
        if decision is not Decision.SUPERSEDED and row.news:
            self.tools.owe(stopped)
        self.tools.record([stopped])

    async def _limited(self, rows: list[Row]) -> bool:
        """Wait for the rate limit, where there is anything to wait for: what comes meanwhile then
        goes out with the rest, as a digest."""
        clock = self.tools.clock
        free = self.limit.free_at(clock.monotonic())
        if free <= clock.monotonic():
            return False
        self._current = rows
        await clock.wait(self._stopping, free)
        if self._stopping.is_set():
            raise asyncio.CancelledError  # the rows lie in the journal
        return True

    async def _begin(self, rows: list[Row], digest: bool) -> Message:
        """Fix what goes out together, and its id, on disk: a retry is the same message."""
        identity = new_id()
        faults.point("message made")
        self._current = [
            evolve(row, message=identity, digest=digest, revision=row.revision + 1) for row in rows
        ]
        with suppress(JournalError):  # it is told all the same; the journal says so
            await self.tools.journal.commit(Entry(rows=tuple(self._current)))
        faults.point("message on disk")
        return self._message(identity, self._current, self.tools.clock.now())

    def _message(self, identity: UUID, rows: list[Row], at: datetime) -> Message:
        name, references = self.settings.name, self.tools.references
        notices: list[Notice] = [
            evolve(row.notice, reply_to=references.get((name, row.alert)))
            for row in rows
            if row.notice is not None
        ]
        return Message(
            id=identity, channel=name, notices=tuple(notices), created_at=at,
            digest=any(row.digest for row in rows),
        )  # fmt: skip

    async def _deliver(self, message: Message) -> None:
        clock = self.tools.clock
        end = clock.monotonic() + self.settings.give_up_after
        rich: Message | None = None
        while True:
            await self._until_open(end)
            if self._stopping.is_set():
                return  # the rows lie in the journal and go out after the next start
            if self._open_at > clock.monotonic():
                self._dead(Failure(message=self.trouble or "it was to be left alone for too long"))
                return
            if rich is None:
                rich = await self.tools.enrich(message, self.settings.notifier)
            if self.disabled is not None:
                outcome: Receipt | Failure = Failure(message=self.disabled, permanent=True)
            else:
                outcome = await self.attempt(rich)
            fault = isinstance(outcome, Failure) and outcome.fault
            self._current = [
                evolve(r, attempts=r.attempts + 1, faults=r.faults + 1 if fault else 0)
                for r in self._current
            ]
            if isinstance(outcome, Receipt):
                faults.point("accepted")
                self._delivered(outcome)
                return
            self._failed(outcome)
            hopeless = outcome.permanent or self._current[0].faults >= MOST_FAULTS
            if hopeless or clock.monotonic() >= end:
                self._dead(outcome)
                return
            self._shut(backoff(self._current[0].attempts, outcome), outcome)

    async def _until_open(self, end: float) -> None:
        """Wait for the next attempt, at most until ``end``; what waits for too long meanwhile, the
        message at hand or what came after it, is told elsewhere."""
        clock = self.tools.clock
        while not self._stopping.is_set():
            self._tell_elsewhere()
            now, until = clock.monotonic(), min(self._open_at, end)
            if until <= now:
                return
            await clock.wait(self._stopping, min(until, now + LOOK_EVERY))

    def _tell_elsewhere(self) -> None:
        if self.failing_since is None:
            return
        rows, now = self.unfinished(), self.tools.steady.now().steady
        failing = self.tools.clock.monotonic() - self.failing_since
        late = [row for row in rows if min(failing, now - row.steady) >= FALLBACK_AFTER]
        news = [row for row in late if row.id not in self._elsewhere]
        self._elsewhere = frozenset(row.id for row in late)
        if news:
            self.tools.fall_back(self.settings, news)

    def _shut(self, seconds: float, failure: Failure) -> None:
        """Wait for a while before the next attempt."""
        self._open_at = max(self.asked_until, self.tools.clock.monotonic() + seconds)
        self.tools.journal.submit(Entry(rows=tuple(self._current)))
        if failure.retry_after is not None:
            self.leave_alone(seconds)

    def leave_alone(self, seconds: float) -> None:
        """The provider wants to hear nothing for a while: until then nothing is sent, and nobody
        listens, also after a restart."""
        until = self.tools.clock.monotonic() + min(seconds, MAX_RETRY_AFTER)
        self.asked_until = max(self.asked_until, until)
        self._open_at = max(self._open_at, self.asked_until)
        self.tools.journal.submit(Entry(gates={self.settings.name: self.shut_until or 0.0}))

    async def test(self) -> tuple[bool, str]:
        """Send a test message; whether that worked, and what was answered, in a sentence."""
        now = self.tools.clock.now()
        if (wait := self.asked_until - self.tools.clock.monotonic()) > 0:
            why = f": {self.trouble}" if self.trouble else ""
            return False, f"it is to be left alone for another {wait:.0f} s{why}"
        notice = Notice(
            id=new_id(), alert=new_id(), kind=Kind.TEST, rule="test", target="tocsin",
            severity=Severity.INFO, message="This is a test of tocsin. Nothing is wrong.", at=now,
            since=now,
        )  # fmt: skip
        name = self.settings.name
        message = Message(id=new_id(), channel=name, notices=(notice,), created_at=now)
        outcome = await self.attempt(await self.tools.enrich(message, self.settings.notifier))
        if isinstance(outcome, Receipt):
            self._works()
            return True, outcome.answer
        if outcome.disable:
            self.disabled = self.trouble = outcome.message
        if outcome.retry_after is not None:
            self._shut(outcome.retry_after, outcome)
        return False, outcome.message

    # Stage 7: record

    def _delivered(self, receipt: Receipt) -> None:
        now = self.tools.clock.now()
        self._works()
        self.sent_total += 1
        self.last_sent = now
        if receipt.reference is not None:
            for row in self._current:
                self.tools.refer(self.settings.name, row.alert, receipt.reference)
        self._finish(
            Decision.SENT, "", delivered_at=now, answer=receipt.answer[:500],
            reference=receipt.reference,
        )  # fmt: skip
        self.limit.sent(self.tools.clock.monotonic())
        self.group.sent(self.tools.clock.monotonic())

    def _works(self) -> None:
        """Something has arrived, so that it is of use, whatever was said before."""
        if self.trouble is not None:
            log.info("a channel delivers again", channel=self.settings.name)
        self.disabled = self.trouble = self.failing_since = None

    def _failed(self, failure: Failure) -> None:
        self.failed_total += 1
        if self.failing_since is None:
            self.failing_since = self.tools.clock.monotonic()
        if self.trouble != failure.message:
            log.warning(
                "a channel could not deliver", channel=self.settings.name, reason=failure.message,
                permanent=failure.permanent, retry_after=failure.retry_after,
            )  # fmt: skip
        self.trouble = failure.message
        if failure.disable:
            self.disabled = failure.message

    def _dead(self, failure: Failure) -> None:
        log.error(
            "a message could not be delivered and goes to the dead letters",
            channel=self.settings.name, reason=failure.message, notices=len(self._current),
        )  # fmt: skip
        rows = [row for row in self._current if row.id not in self._elsewhere]
        with self.tools.journal.together():
            self._finish(Decision.DEAD, failure.message)
            faults.point("given up")
            self.tools.fall_back(self.settings, rows)

    def _finish(self, decision: Decision, reason: str, **fields: object) -> None:
        done = [
            evolve(
                row, decision=decision, reason=reason, revision=row.revision + 1,
                **fields,  # type: ignore[arg-type]
            )
            for row in self._current
        ]  # fmt: skip
        self._current = []
        self.tools.record(done)
