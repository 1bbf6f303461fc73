"""Taking secrets out of text."""

from __future__ import annotations

import re
from collections.abc import Iterable

HIDDEN = "***"
_NAME = re.compile(
    r"pass(word|wd|phrase)?|pwd|token|secret|credential|authorization|(api|access|private)[-_ ]?key"
    r"|cookie|dsn",
    re.IGNORECASE,
)
# Anchored at "://", so that a long text of word characters costs no quadratic search.
_URL_PASSWORD = re.compile(r"(://[^\s/:@]*:)([^\s/]*)(@)")
_PARAMETER = re.compile(
    r"(?i)(?<![A-Za-z])((?:password|passwd|pwd|passphrase|token|secret|api[-_]?key)\s?=\s?)"
    r"(?!\*\*\*)('[^']*'|\"[^\"]*\"|[^\s&;,'\")\]}]+)"
)


def is_secret_name(name: str) -> bool:
    """Whether a key's name says that its value is a secret."""
    return _NAME.search(name) is not None


def hide_in_text(text: str, secrets: Iterable[str] = ()) -> str:
    """A text without the given secrets, passwords in URLs, and values of ``password=…``."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    if "://" in text:
        text = _URL_PASSWORD.sub(rf"\1{HIDDEN}\3", text)
    if "=" in text:
        text = _PARAMETER.sub(rf"\1{HIDDEN}", text)
    return text
