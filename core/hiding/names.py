"""Names whose values are secrets, and words after such names that are no secrets."""

from __future__ import annotations

import re
from functools import lru_cache

HIDDEN = "***"

KEYS = (
    r"pass(?:word|wd|wort|phrase|code)|pwd|secret|token(?!i[sz])|credential|authorization|cookie"
    r"|(?:api|access|account|auth|private|secret|shared|signing|encryption|master|subscription"
    r"|functions|license|hmac|app|fernet|unseal)[-_. ]?key"
    r"|dsn|jwt|connection[-_. ]?string|masterauth|kennwort|phpsessid|jsessionid"
)
"""A regular expression for words in such names; short ones like ``pass`` are in SHORT_KEYS."""

SHORT_KEYS = r"(?:pass|sig|signature|creds?|bearer|ps?w)(?![a-z])"

_SECRET = re.compile(KEYS)
_PASS = re.compile(
    r"(?<![a-z])(?:pass|sig|signature|creds?|bearer)(?![a-z])|p(?:s?w)$"
    r"|(?<!by)(?<!com)(?<!sur)(?<!tres)(?<!over)(?<!under)(?<!multi)(?<!low)(?<!high)pass$"
)
_HARMLESS = re.compile(
    r"[-_. ](?:file|path|dir|name|type|kind|count|length|len|age|ttl|policy|url|uri|endpoint|host"
    r"|enabled|required|set|used|limit|min|max|status|valid|format|expir\w*|created\w*|updated\w*"
    r"|mode|algorithm|alg|version|domain|rotation|manager|store|driver|stdin|prompt|command|cmd|fd"
    r"|service|server|reset|consent|refresh|worker|exporter|operator|per[-_. ]\w+|total|ref|header"
    r"|secure|env|authentication|java|py|go|js|ts|rb|rs|cs|kt|php)$"
    r"|(?:password|token|secret|key)file$"
)
PROSE = re.compile(
    r"(?i)(?:expired?|invalid|missing|required|not|no|none|null|nil|true|false|unknown|wrong|bad"
    r"|empty|denied|failed|failure|is|was|are|must|should|could|can|cannot|can't|unable|the|an?|it"
    r"|this|that|please|too|unexpected|malformed|revoked|rejected|incorrect|mismatch|error|ok|yes"
    r"|to|or|and|if|when|with|for|in|of|from|by|on|option|instead|unset|set|unauthorized|forbidden"
    r"|try|use|see|contact|permission|access|user|only|allowed|granted|passed|successful|valid"
    r"|verified|loaded|started|ready|eof|timeout|invalid_\w{1,20}|lax|strict)[.!?]?"
)
SCHEMES = ("basic", "bearer", "digest", "negotiate", "token", "apikey", "aws4-hmac-sha256")
LITERALS = ("none", "null", "nil", "true", "false", "undefined", "yes", "no")
PLACEHOLDER = re.compile(
    r"\$(?:\{.*|\(.*|[A-Z_][A-Z\d_]*|[a-z_][a-z\d_]*)|\{\{.*|%(?:[a-z]|\(.*)|<[A-Za-z_ -]*>?"
    r"|={1,2}|(?:os\.environ|process\.env).*",
    re.DOTALL,
)
PLACE = re.compile(r"/[a-z][\w.-]*(?:/[\w.-]*)+|https?://[^@?]*|\d{3}")
WORD = re.compile(r"[a-z]{1,20}[.,!?:]?")
NEXT_WORD = re.compile(r"[ ]([a-z]{1,20})(?![\w:=])")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@lru_cache(maxsize=4096)
def _judge(name: str) -> bool:
    words = _CAMEL.sub("_", name).lower()
    found = _SECRET.search(words) or _PASS.search(words)
    return found is not None and _HARMLESS.search(words) is None


def is_secret_name(name: str) -> bool:
    """Return whether a key's name says that its value is a secret: ``PGPASSWORD``, ``X-Api-Key``
    and ``dbPass`` do; ``password_file``, ``token_count`` and ``passed`` do not."""
    return len(name) <= 200 and _judge(name)


def speaks(low: str) -> bool:
    """Return whether a text in lower case has a word after which a secret may follow."""
    return (
        "pass" in low or "token" in low or "secret" in low or "auth" in low or "pw" in low
        or "identified" in low or "_user" in low
    )  # fmt: skip
