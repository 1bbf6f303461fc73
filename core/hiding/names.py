"""Names that say that what follows is a secret."""

from __future__ import annotations

import re
from functools import lru_cache

HIDDEN = "***"

KEYS = (
    r"pass(?:word|wd|wort|phrase|code)|pwd|secret|token|credential|authorization|cookie|dsn"
    r"|(?:api|access|account|auth|private|secret|shared|signing|encryption|master)[-_. ]?key"
    r"|jwt|connection[-_. ]?string"
)
"""A regular expression of the words; ``pass`` alone is :data:`_PASS`."""

_SECRET = re.compile(KEYS)
_PASS = re.compile(r"(?<![a-z])(?:pass|sig|signature)(?![a-z])|(?:db|root|user|smtp)pass$")
_HARMLESS = re.compile(
    r"[-_. ](?:file|path|dir|name|type|kind|count|length|len|age|ttl|policy|url|uri|endpoint|host"
    r"|enabled|required|set|used|limit|min|max|status|valid|format|expir\w*|created\w*|updated\w*"
    r"|mode|algorithm|alg|version|domain|rotation|manager|store|driver|stdin|prompt|command|cmd|fd)$"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@lru_cache(maxsize=4096)
def _judge(name: str) -> bool:
    words = _CAMEL.sub("_", name).lower()
    found = _SECRET.search(words) or _PASS.search(words)
    return found is not None and _HARMLESS.search(words) is None


def is_secret_name(name: str) -> bool:
    """Whether a key's name says that its value is a secret: ``PGPASSWORD``, ``X-Api-Key``,
    ``dbPass``; not ``password_file``, ``token_count``, ``passed``."""
    return len(name) <= 200 and _judge(name)
