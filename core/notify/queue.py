"""What a channel still has to deliver: rows that gather, and messages that are fixed."""

from __future__ import annotations

from collections.abc import Iterable
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
    """The rows of one channel that are not finished. All times are monotonic seconds.

    Attributes:
        group: rows that are in no message yet.
        pending: messages that are fixed on disk and not delivered.
        forming: rows on their way from the group into a message.
    """

    settings: ChannelSettings
    group: Group = field(default=Factory(lambda self: Group(self.settings), takes_self=True))
    pending: Pending = field(factory=Pending)
    forming: list[Row] = field(factory=list)
    _late: set[UUID] = field(factory=set)
    """Rows that another channel delivers too, this one having failed for too long."""

    @property
    def rows(self) -> list[Row]:
        """All rows."""
        return [*self.pending.rows, *self.forming, *self.group.rows]

    def put(self, rows: Iterable[Row], now: float) -> list[Row]:
        """Add rows. Returns those that a newer row of their alert made superfluous."""
        self.group.put(rows, now)
        return self.group.thin()

    def resume(self, rows: Iterable[Row], now: float) -> list[Row]:
        """Add rows of an earlier run: those of a fixed message go out as that same message. Returns
        what :meth:`put` does."""
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
        """Gather the rows again whose message was not formed. Returns what :meth:`put` does."""
        rows, self.forming = self.forming, []
        return self.put(rows, now)

    def leave(self) -> list[Row]:
        """Take all rows out, for the channel that takes this one's place."""
        rows = self.rows
        self.pending, self.forming = Pending(), []
        self.group.take_all()
        return rows

    def next(self) -> tuple[Outgoing | None, float]:
        """The message that may be tried first, None without one; and when a new one is due."""
        due = self.group.due(self.pending.alerts)
        return self.pending.next(), inf if due is None else due + self.pending.put_off

    def take(self, now: float, *, everything: bool) -> tuple[Row, ...]:
        """Take the rows of a new message out of the group: what is due, or everything that need not
        wait for an earlier message."""
        but = self.pending.alerts
        self.forming = self.group.take_all(but) if everything else self.group.take(now, but)
        return tuple(self.forming)

    def formed(self, send: SendMessage | None, at: datetime, now: float) -> Outgoing | None:
        """The rows that were taken are in this message, or withdrawn."""
        self.forming = []
        if send is None:
            return None
        outgoing = Outgoing(send.id, list(send.rows), at, now + self.settings.give_up_after)
        self.pending.messages.append(outgoing)
        return outgoing

    def remove(self, outgoing: Outgoing) -> None:
        """A message is finished; nothing happens where it never was in the queue."""
        if outgoing in self.pending.messages:
            self.pending.messages.remove(outgoing)

    def give_up(self, now: float, *, is_failing: bool) -> list[list[Row]]:
        """Take out what was tried for too long: the rows of each such message, and those that
        waited as long for a channel that fails."""
        over = [message for message in self.pending.messages if message.ends <= now]
        self.pending.messages = [m for m in self.pending.messages if m not in over]
        given_up = [message.rows for message in over]
        if is_failing or self.pending.is_failing:
            given_up.append(self.group.take_older(now - self.settings.give_up_after))
        return [rows for rows in given_up if rows]

    def late(self, failing: float, now: float, steady: float) -> tuple[Row, ...]:
        """Rows that are late since the last call, so that another channel has to deliver them too.

        Args:
            failing: seconds for which the channel has been failing; 0 where it has not.
            now: the time.
            steady: the same on the durable clock that the rows' times are of.
        """
        late = self.pending.late([*self.forming, *self.group.rows], failing, now, steady)
        fresh = tuple(row for row in late if row.id not in self._late)
        self._late &= {row.id for row in self.rows}
        self._late |= {row.id for row in fresh}
        return fresh
