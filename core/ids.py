"""Identifiers that sort by time of creation: UUID version 7 (RFC 9562)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from attrs import define
from uuid_utils.compat import uuid7

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 253_402_300_799_000
"""Milliseconds until the end of the last year that a date can name."""


def new_id() -> UUID:
    """Return a fresh UUIDv7 (RFC 9562 section 5.7)."""
    return uuid7()


@define(eq=False)
class Ids:
    """The ids that follow from one event: a function of the event's own id, and of how many there
    were before. Who handles the same events again makes the same ids. They sort as the event does.

    Attributes:
        event: the event's id, a UUIDv7; made when the first id is asked for, unless it is given.
    """

    event: UUID | None = None
    _made: int = 0

    def new(self) -> UUID:
        """The next id. A UUIDv7 ends in 32 random bits (RFC 9562 section 6.2, method 1): these
        count on."""
        if self.event is None:
            self.event = new_id()
        low = (self.event.int + self._made) & 0xFFFF_FFFF
        self._made += 1
        return UUID(int=self.event.int >> 32 << 32 | low)


def time_of(identity: UUID) -> datetime:
    """When a UUIDv7 was made; of another kind some moment."""
    return _EPOCH + timedelta(milliseconds=min(identity.int >> 80, _LATEST))
