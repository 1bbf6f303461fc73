"""What goes in: texts that have broken programs before, secrets in the shapes in which they are
written, and mutations of both."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

MARK = "pl4nt3d"
"""In every planted secret, in lower or upper case."""

SHORT = (
    "", " ", "0", "-1", "+1", "1_000", "0x10", "0b1", "1e3", "1e400", "-1e400", "inf", "NaN", "-0",
    "\x00", "\x07", "\x1b[2J", "\x1b]0;t\x07", "\u202e", "\u2066", "\u2028", "\x85", "\x0c", "\r\n",
    "\ufeff", "\ud800", "\udcff", "²", "١٢", "½", "１２", "ß", "İ", "é" * 60, "🔔", "a\u0301" * 40,
    "${HOME}", "${", "$$", "$(id)", "`id`", "{{7*7}}", "{% for x in y %}", "%s%n", "%00", "%2e%2e/",
    "../../etc/passwd", "'; DROP TABLE x;--", "<script>", "&lt;", "[b]", "[/]", "a..b", "xn--", ":",
    "::", ":/", "//", "http://[", "http://a:99999/", "http://\x00/", "[::1]:80", "[::1%25lo]", "]:",
    "x:", ":99999", "-", "_", ".", "/", "\\", '"', "'", '"""', "#", "=", "[]", "{}", "[[[[", "}}}}",
    "true", "null", "None", "1970-01-01", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00Z",
    "1h", "99999999999h", "1e309s", "-5s", "5000000", "1.5.5", "1TB", "9" * 25 + "GB", "host", "*",
)  # fmt: skip
LONG = (
    "9" * 400, "1" * 5000, "x:" + "1" * 5000, "[" * 3000 + "]" * 3000, '{"a":' * 3000 + "1" * 3000,
    "a" * 20_000, "a." * 2000, "\x1b[31m" * 2000, "(" * 2000, str(10**400), "0." + "3" * 5000,
    "xn--" + "a" * 3000, "é" * 8000, " " * 20_000, "\n" * 5000, "a=" * 5000, "{" * 5000,
    "[[" * 2000, "'" * 5000, "1," * 5000, "-" * 5000, "$." * 3000,
)  # fmt: skip

SHAPES = (
    "password={}", "passwd: {}", "PGPASSWORD={}", "DB_PASSWORD='{}'", "Authorization: Bearer {}",
    "authorization: Basic {}", "postgresql://app:{}@db:5432/x", "https://user:{}@example.test/a",
    "redis://:{}@cache:6379/0", "amqp://guest:{}@mq/%2f", '{{"password": "{}"}}',
    '{{"api_key":"{}","a":1}}', "'secret': '{}'", "SECRET_KEY={}", "aws_secret_access_key={}",
    "aws_secret_access_key = {}", "X-Api-Key: {}", "Set-Cookie: session={}; Path=/",
    "Cookie: sid={}", "token={}", "client_secret={}", "--password {}", "--password={}",
    "--token {}", "redis-cli -a {} ping", "curl -u admin:{} http://x", "mysql -uroot -p{} db",
    "curl -H 'Authorization: Bearer {}'", "https://example.test/hook?token={}&a=1",
    "\x1b[1mpassword\x1b[0m={}", "\x1b[31mpassword={}\x1b[0m", "pass\u200bword={}",
    "-----BEGIN PRIVATE KEY-----\\n{}\\n-----END PRIVATE KEY-----",
)  # fmt: skip


def secret(rng: Random) -> str:
    """A secret value."""
    return f"{MARK}{rng.getrandbits(64):016x}"


def planted(rng: Random) -> str:
    """A secret, in a shape by which people and programs know one."""
    if rng.random() < 0.05:
        return f"AKIA{MARK.upper()}{rng.randrange(10**9):09d}"
    return rng.choice(SHAPES).format(secret(rng))


def arguments(rng: Random) -> list[str]:
    """A secret among the arguments of a program, as a shell would have split them."""
    text = planted(rng)
    return text.split(" ") if text.startswith("--") or " -" in text else [text]


def nasty(rng: Random) -> str:
    """One odd text; a long one now and then."""
    if rng.random() < 0.06:
        return rng.choice(LONG)
    if rng.random() < 0.1:
        return "".join(
            chr(rng.choice((rng.randrange(0x80), rng.randrange(0x3000)))) for _ in "12345"
        )
    return rng.choice(SHORT)


def mutate(rng: Random, text: str) -> str:
    """A text with some of it changed; one in eight stays as it is, and all that have a secret in
    them: out of its shape nobody could know it for one."""
    if MARK in text.lower():
        return text
    for _ in range(rng.choice((0, 1, 1, 1, 1, 2, 2, 3))):
        at = rng.randrange(len(text) + 1)
        end = min(len(text), at + rng.randrange(1, 6))
        match rng.randrange(6):
            case 0:
                text = text[:at] + nasty(rng) + text[at:]
            case 1:
                text = text[:at] + nasty(rng) + text[end:]
            case 2:
                text = text[:at] + text[end:]
            case 3:
                text = text[:end] + text[at:]
            case 4:
                text = text[:at] + text[at:end].swapcase() + text[end:]
            case _:
                text = nasty(rng)
    return text


def said(rng: Random) -> str:
    """What a program might say: a line or more, odd, now and then with a secret in it."""
    words = [
        rng.choice(("OK", "error", "2026-01-02 ERROR x", "connection refused", nasty(rng)))
        for _ in range(rng.randrange(1, 4))
    ]
    if rng.random() < 0.3:
        # Nothing right beside it: what is glued to a secret's name is another name.
        words.insert(rng.randrange(len(words) + 1), planted(rng))
    return rng.choice((" ", "\n", "  ")).join(words)


def twist(rng: Random, value: Any, path: Sequence[str] = ()) -> Any:
    """A document with one place of it changed: another type, missing, deeper, odd. Words with a
    secret among them stay as they are, as a text does."""
    if isinstance(value, list) and any(isinstance(e, str) and MARK in e.lower() for e in value):
        return value
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: twist(rng, value[key], (*path, key))}
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        return [*value[:at], twist(rng, value[at], path), *value[at + 1 :]]
    if isinstance(value, str) and rng.random() < 0.6:
        return mutate(rng, value)
    return rng.choice(
        (None, True, False, 0, -1, 2**31, 2**63, 10**30, 10**400, 1.5, -1e308, "", "x", [], {},
         [None], nasty(rng), {"": None}, [[]], {nasty(rng): nasty(rng)})
    )  # fmt: skip
