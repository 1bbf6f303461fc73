"""Identifiers that sort by time of creation: UUID version 7 (RFC 9562)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from uuid_utils.compat import uuid7

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 253_402_300_799_000
"""Milliseconds until the end of the last year that a date can name."""


def new_id() -> UUID:
    """Return a fresh UUIDv7 (RFC 9562 section 5.7)."""
    return uuid7()


def time_of(identity: UUID) -> datetime:
    """When a UUIDv7 was made; of another kind some moment."""
    return _EPOCH + timedelta(milliseconds=min(identity.int >> 80, _LATEST))
