"""Private keys as PEM writes them (RFC 7468)."""

from __future__ import annotations

import re
from collections.abc import Callable

from tocsin.core.hiding.names import HIDDEN

_PEM = re.compile(
    r"(-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)"
    r"((?:[^-]|-(?!----END)){0,20000}+)(-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?"
)
_LINE_ENDS = re.compile(r"\\+[nrt]")
"""Line ends as written in an escaped text."""


def hide_keys(text: str, found: Callable[[str], object] | None) -> str:
    """Return a text without the private keys in it; ``found`` is called with each of them."""

    def hide(match: re.Match[str]) -> str:
        begin, key, end = match.groups(default="")
        if found is not None and (bare := _LINE_ENDS.sub(" ", key).strip()):
            found(bare)
        return f"{begin} {HIDDEN} {end}"

    return _PEM.sub(hide, text)
