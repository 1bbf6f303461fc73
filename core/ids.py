"""Identifiers that sort by time of creation: UUID version 7 (RFC 9562)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from attrs import define
from uuid_utils.compat import uuid7

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 253_402_300_799_000
"""Milliseconds from the epoch to the end of the year 9999, the last one that datetime supports."""


def new_id() -> UUID:
    """Return a new UUIDv7 (RFC 9562 section 5.7)."""
    return uuid7()


@define(eq=False)
class Ids:
    """Generates the ids of objects that one event creates.

    Each id is a function of the event's id and of the number of ids before it. If the same events
    are handled again, the same ids result. They sort like the event's id.

    Attributes:
        event: the event's id, a UUIDv7; if None, it is created with the first id.
    """

    event: UUID | None = None
    _made: int = 0

    def new(self) -> UUID:
        """Return the next id: the event's id with its last 32 bits, which are random, increased.

        See RFC 9562 section 6.2, method 1.
        """
        if self.event is None:
            self.event = new_id()
        low = (self.event.int + self._made) & 0xFFFF_FFFF
        self._made += 1
        return UUID(int=self.event.int >> 32 << 32 | low)


def time_of(identity: UUID) -> datetime:
    """Return the time at which a UUIDv7 was created; for other UUIDs the result is meaningless."""
    return _EPOCH + timedelta(milliseconds=min(identity.int >> 80, _LATEST))
