"""The delay that a server asks for (RFC 9110, section 10.2.3)."""

from __future__ import annotations

import email.utils
import re
from datetime import UTC, datetime


def parse_retry_after(value: str | None) -> float | None:
    """Return the delay that a ``Retry-After`` header asks for.

    Args:
        value: value of the header, seconds or a date; None: there is no such header.

    Returns:
        Seconds, for ``retry_after`` of a :class:`tocsin.NotifyError`; not negative. None if the
        header does not exist or cannot be understood.
    """
    text = (value or "").strip()
    if not 0 < len(text) <= 64:
        return None
    if re.fullmatch(r"[0-9]{1,15}(\.[0-9]+)?", text):  # Discord's may be fractional
        return float(text)
    try:
        at = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
