"""The mark that stands in the place of a secret."""

from __future__ import annotations

import re
from collections.abc import Callable

from tocsin.core.hiding.names import HIDDEN

Found = Callable[[str], object]
"""Called with each secret that is hidden."""

_QUOTE = re.compile(r"\\{0,4}[\"']")


def mask(secret: str, found: Found | None, shown: str = HIDDEN) -> str:
    """Return the mark; ``found`` is called with the secret, without quotes around it."""
    if found is not None and (plain := secret.strip("\\\"'")) != HIDDEN:
        found(plain)
    return shown


def mask_quoted(value: str, found: Found | None) -> str:
    """Return the mark, in the same quotes as the value."""
    opening = _QUOTE.match(value)
    quote = "" if opening is None else opening[0]
    closed = quote if quote and value[len(quote) :].endswith(quote) else ""
    return f"{quote}{mask(value, found)}{closed}"
