"""Messages that are fixed on disk and not delivered yet, and which of them is tried next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from attrs import define, evolve, field

from tocsin.core.alerts.outbox import Row
from tocsin.core.contracts.notifier import Message
from tocsin.core.ids import new_id
from tocsin.core.notify.deliver import FALLBACK_AFTER, MOST_FAULTS

UNPROVEN = 3
"""So many messages may fail, none having been taken since, before new ones are put off: by then
the channel is more likely at fault than the messages."""

PUT_OFF = 60.0
"""Seconds for which a new message is put off then, doubled with each more that fails."""

PIECES = 4
"""Into so many pieces a message is divided that fails for now, while nothing shows that the channel
takes others."""

TRIES_UNDIVIDED = 2
"""Failed tries before that."""


@define(eq=False)
class Outgoing:
    """A message that is fixed on disk. Times are monotonic seconds.

    ``ends``: when it is given up; ``open_at``: not to be tried before. ``failing_since``: its first
    failure; ``passed``: the channel has taken another message since, so that this one is at fault.
    """

    id: UUID
    rows: list[Row]
    at: datetime
    ends: float
    open_at: float = 0.0
    tries: int = 0
    failing_since: float | None = None
    passed: bool = False
    enriched: Message | None = None

    @property
    def alerts(self) -> set[UUID]:
        """What it is about."""
        return {row.alert for row in self.rows}

    @property
    def is_unproven(self) -> bool:
        """It fails, and nothing shows that the channel would take another."""
        return self.failing_since is not None and not self.passed

    def message(self, channel: str, references: Mapping[tuple[str, UUID], str]) -> Message:
        """What its channel's notifier is given; ``references`` by channel and alert."""
        notices = tuple(
            evolve(row.notice, reply_to=references.get((channel, row.alert)))
            for row in self.rows
            if row.notice is not None
        )
        digest = any(row.digest for row in self.rows)
        return Message(
            id=self.id, channel=channel, notices=notices, created_at=self.at, digest=digest
        )

    def tried(self, *, fault: bool) -> None:
        """Count an attempt; ``fault``: in which the notifier broke."""
        self.tries += 1
        self.rows = [
            evolve(row, attempts=row.attempts + 1, faults=row.faults + 1 if fault else 0)
            for row in self.rows
        ]

    def halves(self) -> list[Outgoing]:
        """Its first and its second half, as messages of their own."""
        middle = len(self.rows) // 2
        made = []
        for part in (self.rows[:middle], self.rows[middle:]):
            identity = new_id()
            rows = [
                evolve(
                    row, message=identity, faults=min(row.faults, MOST_FAULTS - 1),
                    revision=row.revision + 1,
                )
                for row in part
            ]  # fmt: skip
            made.append(
                Outgoing(
                    identity, rows, self.at, self.ends, tries=self.tries,
                    failing_since=self.failing_since, passed=self.passed,
                )
            )  # fmt: skip
        return made


@define
class Pending:
    """The messages, in the order in which they are to arrive."""

    messages: list[Outgoing] = field(factory=list)

    @property
    def rows(self) -> list[Row]:
        """All their rows."""
        return [row for message in self.messages for row in message.rows]

    @property
    def alerts(self) -> set[UUID]:
        """What they are about: later news of these wait, so that no end overtakes its beginning."""
        return {row.alert for row in self.rows}

    @property
    def is_failing(self) -> bool:
        """Whether any of them has failed."""
        return any(message.failing_since is not None for message in self.messages)

    @property
    def put_off(self) -> float:
        """Seconds for which a new message is put off."""
        unproven = sum(message.is_unproven for message in self.messages)
        return 0.0 if unproven < UNPROVEN else PUT_OFF * 2.0 ** min(unproven - UNPROVEN, 20)

    def next(self) -> Outgoing | None:
        """The one that may be tried first, of those that need not wait for an earlier one about
        the same alert; None where there is none."""
        found: Outgoing | None = None
        before: set[UUID] = set()
        for message in self.messages:
            alerts = message.alerts
            if before.isdisjoint(alerts) and (found is None or message.open_at < found.open_at):
                found = message
            before |= alerts
        return found

    def may_divide(self, message: Outgoing, *, refused: bool, answered: bool) -> bool:
        """Whether a message that failed is to be tried in halves.

        Args:
            message: the one that failed.
            refused: it was refused for good.
            answered: it was surely not taken, so that no half of it can arrive twice.
        """
        if len(message.rows) < 2 or refused:
            return len(message.rows) > 1
        few = sum(m.is_unproven for m in self.messages) < PIECES
        return answered and (message.passed or (few and message.tries >= TRIES_UNDIVIDED))

    def divide(self, message: Outgoing) -> list[Outgoing]:
        """Put its halves in its place, and return them."""
        at, halves = self.messages.index(message), message.halves()
        self.messages[at : at + 1] = halves
        return halves

    def has_taken(self) -> None:
        """The channel has taken a message."""
        for message in self.messages:
            message.passed = message.failing_since is not None

    def late(
        self, waiting: Iterable[Row], failing: float, monotonic: float, steady: float
    ) -> list[Row]:
        """Rows that fail for so long that another channel is to be told: of the messages, and of
        those ``waiting`` behind one of them, or for the channel, which is ``failing`` for so many
        seconds."""
        for_long: dict[UUID, float] = {}
        for message in self.messages:
            since = message.failing_since
            seconds = max(failing, 0.0 if since is None else monotonic - since)
            for_long |= {a: max(seconds, for_long.get(a, 0.0)) for a in message.alerts}
        return [
            row
            for row in (*self.rows, *waiting)
            if min(for_long.get(row.alert, failing), steady - row.steady) >= FALLBACK_AFTER
        ]
