"""Messages that are fixed on disk and not delivered yet, and the order of their attempts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from attrs import define, evolve, field

from tocsin.core.alerts.outbox import Row
from tocsin.core.contracts.message import Message
from tocsin.core.ids import new_id
from tocsin.core.notify.deliver import FALLBACK_AFTER, MOST_FAULTS

UNPROVEN = 3
"""Number of failing messages, since one was last delivered, from which new messages are put off: by
then the channel is a more likely cause than the messages."""

PUT_OFF = 60.0
"""Seconds for which a new message is put off then, doubled with each further failing message."""

PIECES = 4
"""Number of failing messages below which one may be divided after temporary failures, while nothing
shows that the channel delivers others."""

TRIES_UNDIVIDED = 2
"""Failed attempts before such a message is divided."""


@define(eq=False)
class Outgoing:
    """A message that is fixed on disk. Times are monotonic seconds.

    Attributes:
        id: identifies the message.
        rows: what it is formed from.
        at: when it was formed.
        ends: when it is given up.
        open_at: earliest time of the next attempt.
        tries: number of attempts.
        failing_since: time of its first failure.
        passed: the channel has delivered another message since then, so that this one is the cause.
        enriched: the message as it is sent, once that is made.
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
        """Ids of the alerts that it is about."""
        return {row.alert for row in self.rows}

    @property
    def is_unproven(self) -> bool:
        """Whether it fails, and nothing shows that the channel would deliver another."""
        return self.failing_since is not None and not self.passed

    def message(self, channel: str, references: Mapping[tuple[str, UUID], str]) -> Message:
        """Return the message to pass to the notifier.

        ``references``: the provider's name of the last message, by channel and alert.
        """
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
        """Count an attempt; ``fault``: whether it ended in an error of the notifier itself."""
        self.tries += 1
        self.rows = [
            evolve(row, attempts=row.attempts + 1, faults=row.faults + 1 if fault else 0)
            for row in self.rows
        ]

    def halves(self) -> list[Outgoing]:
        """Return its first and second half as new messages."""
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
        """All rows of the messages."""
        return [row for message in self.messages for row in message.rows]

    @property
    def alerts(self) -> set[UUID]:
        """Ids of their alerts. Newer rows of these have to wait, so that no recovery overtakes its
        firing."""
        return {row.alert for row in self.rows}

    @property
    def is_failing(self) -> bool:
        """Whether any message has failed."""
        return any(message.failing_since is not None for message in self.messages)

    @property
    def put_off(self) -> float:
        """Seconds for which a new message is put off."""
        unproven = sum(message.is_unproven for message in self.messages)
        return 0.0 if unproven < UNPROVEN else PUT_OFF * 2.0 ** min(unproven - UNPROVEN, 20)

    def next(self) -> Outgoing | None:
        """Return the message with the earliest next attempt, of those that need not wait for an
        earlier message about the same alert; None if there is none."""
        found: Outgoing | None = None
        before: set[UUID] = set()
        for message in self.messages:
            alerts = message.alerts
            if before.isdisjoint(alerts) and (found is None or message.open_at < found.open_at):
                found = message
            before |= alerts
        return found

    def may_divide(self, message: Outgoing, *, refused: bool, answered: bool) -> bool:
        """Return whether a failed message is to be tried in halves.

        Args:
            message: the message that failed.
            refused: whether the failure is permanent.
            answered: whether the provider certainly did not take it, so that no half can arrive
                twice.
        """
        if len(message.rows) < 2 or refused:
            return len(message.rows) > 1
        few = sum(m.is_unproven for m in self.messages) < PIECES
        return answered and (message.passed or (few and message.tries >= TRIES_UNDIVIDED))

    def divide(self, message: Outgoing) -> list[Outgoing]:
        """Replace a message by its halves, and return them."""
        at, halves = self.messages.index(message), message.halves()
        self.messages[at : at + 1] = halves
        return halves

    def has_taken(self) -> None:
        """Record that the channel has delivered a message."""
        for message in self.messages:
            message.passed = message.failing_since is not None

    def late(
        self, waiting: Iterable[Row], failing: float, monotonic: float, steady: float
    ) -> list[Row]:
        """Return rows that have failed for FALLBACK_AFTER seconds, so that another channel has to
        deliver them, too.

        Args:
            waiting: rows in no message, which wait for an earlier message of their alert or for the
                channel.
            failing: seconds for which the channel has been failing; 0 if it has not.
            monotonic: the time.
            steady: the same in steady seconds.
        """
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
