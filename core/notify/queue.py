"""A channel's undelivered rows: those not yet in a message, and messages fixed on disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from math import inf
from uuid import UUID

from attrs import Factory, define, field

from tocsin.core.alerts.outbox import Row
from tocsin.core.config.settings import ChannelSettings
from tocsin.core.monitor.effects import SendMessage
from tocsin.core.notify.group import Group
from tocsin.core.notify.pending import Outgoing, Pending


@define
class Queue:
    """The unfinished rows of one channel. All times are monotonic seconds.

    Attributes:
        settings: the channel's configuration.
        group: rows that are in no message yet.
        pending: messages that are fixed on disk and not delivered.
        forming: rows taken from the group for a message that is being formed.
    """

    settings: ChannelSettings
    group: Group = field(default=Factory(lambda self: Group(self.settings), takes_self=True))
    pending: Pending = field(factory=Pending)
    forming: list[Row] = field(factory=list)
    _late: set[UUID] = field(factory=set)
    """Ids of rows that another channel delivers, too, since this one has failed for too long."""

    @property
    def rows(self) -> list[Row]:
        """All rows."""
        return [*self.pending.rows, *self.forming, *self.group.rows]

    def put(self, rows: Iterable[Row], now: float) -> list[Row]:
        """Add rows; return the rows that a newer one of their alert supersedes."""
        self.group.put(rows, now)
        return self.group.thin()

    def resume(self, rows: Iterable[Row], now: float) -> list[Row]:
        """Add the rows of an earlier run. Rows of a fixed message are sent as that same message.

        Returns:
            The superseded rows, as :meth:`put` does.
        """
        fixed: dict[UUID, list[Row]] = {}
        loose = []
        for row in rows:
            if row.message is None:
                loose.append(row)
            else:
                fixed.setdefault(row.message, []).append(row)
        ends = now + self.settings.give_up_after
        self.pending.messages += [
            Outgoing(identity, members, members[0].at, ends) for identity, members in fixed.items()
        ]
        return self.put(loose, now)

    def put_back(self, now: float) -> list[Row]:
        """Move the rows of an unformed message back to the group; return what :meth:`put` does."""
        rows, self.forming = self.forming, []
        return self.put(rows, now)

    def leave(self) -> list[Row]:
        """Remove and return all rows, for the channel's successor."""
        rows = self.rows
        self.pending, self.forming = Pending(), []
        self.group.take_all()
        return rows

    def next(self) -> tuple[Outgoing | None, float]:
        """Return the message to try first (or None), and the time at which a new one is due."""
        due = self.group.due(self.pending.alerts)
        return self.pending.next(), inf if due is None else due + self.pending.put_off

    def take(self, now: float, *, everything: bool) -> tuple[Row, ...]:
        """Move the rows of a new message out of the group and return them.

        Args:
            now: the time.
            everything: whether to take all rows that need not wait for an earlier message, instead
                of those that are due.
        """
        but = self.pending.alerts
        self.forming = self.group.take_all(but) if everything else self.group.take(now, but)
        return tuple(self.forming)

    def formed(self, send: SendMessage | None, at: datetime, now: float) -> Outgoing | None:
        """Add the message formed from the rows taken; return it, or None if all were withdrawn."""
        self.forming = []
        if send is None:
            return None
        outgoing = Outgoing(send.id, list(send.rows), at, now + self.settings.give_up_after)
        self.pending.messages.append(outgoing)
        return outgoing

    def remove(self, outgoing: Outgoing) -> None:
        """Remove a message; do nothing if it is not in the queue."""
        if outgoing in self.pending.messages:
            self.pending.messages.remove(outgoing)

    def give_up(self, now: float, *, is_failing: bool) -> Iterator[list[Row]]:
        """Remove and yield, one after another, the rows that were tried for ``give_up_after``
        seconds: those of each such message, and, if the channel fails, those that waited as long.
        """
        for message in [m for m in self.pending.messages if m.ends <= now]:
            self.remove(message)
            yield message.rows
        is_failing = is_failing or self.pending.is_failing
        if is_failing and (old := self.group.take_older(now - self.settings.give_up_after)):
            yield old

    def late(self, failing: float, now: float, steady: float) -> tuple[Row, ...]:
        """Return rows that became late since the last call; another channel has to deliver them,
        too.

        Args:
            failing: seconds for which the channel has been failing; 0 if it has not.
            now: the time.
            steady: the same in steady seconds, as the rows' times are.
        """
        late = self.pending.late([*self.forming, *self.group.rows], failing, now, steady)
        fresh = tuple(row for row in late if row.id not in self._late)
        self._late &= {row.id for row in self.rows}
        self._late |= {row.id for row in fresh}
        return fresh
