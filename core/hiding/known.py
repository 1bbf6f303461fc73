"""Known secrets: those of the configuration, their parts, and their encoded forms.

A secret that stands out (``xK9#…``, a token) is hidden wherever it occurs. One that is an ordinary
word, short, or a number (``postgres``, ``12345``) is not: sentences that merely use the word would
become unreadable, and their gaps would reveal the password. It is hidden where its position marks
it as a secret (after a key, in a URL, as an argument); see ``shapes``, which needs no known secret.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Iterable, Iterator
from itertools import takewhile
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from tocsin.core.hiding.names import HIDDEN, is_secret_name

SHORTEST = 6
"""Minimum length, in characters, of a secret that is hidden everywhere."""

BEGINNING = 8
"""Characters from which on the beginning of a secret is hidden as well, if a text was cut there."""

FEW = 60
"""Number of forms up to which each is searched for, which is fastest; more are indexed by their
beginnings."""

CUT = 150
"""Length, in characters, from which on a text may have been cut, and so end in half a secret."""

_WORD = re.compile(r"[A-Za-z][a-z]*(?:[-_. ][a-z]+)?|[A-Z]+|\d+")
_LONGEST_WORD = 16
_RANDOM = re.compile(r"(?=[^a-zA-Z]*[a-zA-Z])(?:(?=[^0-9]*[0-9])|(?=.*?[a-z][A-Z]))[\w.~%+=-]{16,}")
_SCHEME = re.compile(r"(?i)(basic|bearer|token|digest|apikey|bot)\s+(\S+)")
_VALUE = re.compile(r"(?:^|[;&,\s])([\w.-]+)\s?=\s?('[^']*'|[^;&,\s]+)")
_SESSION = re.compile(r"(?i)^sid$|sess|auth")
_GOES_ON = re.compile(r"[\w.~+/=-]")
_LIKE_WORDS = re.compile(r"://|%2[Ff]%2[Ff]|[ =]|\\+/")
_PORT = re.compile(r"\d{1,5}(?:[/?#,]|$)")


def stands_out(secret: str) -> bool:
    """Return whether a secret can be distinguished from an ordinary word or number."""
    if len(secret) < SHORTEST:
        return False
    return len(secret) > _LONGEST_WORD or _WORD.fullmatch(secret) is None


def parts_of(secret: str) -> Iterator[str]:
    """Yield a secret and its parts that are secrets by themselves: the password of a URL, the text
    after ``Bearer``, the token after a bot's number, the values of a cookie, each line of a key."""
    secret = secret.strip()
    yield secret
    lines = secret.split("\n")
    if len(lines) > 1:
        yield from (
            line.strip() for line in lines if len(line.strip()) >= 16 and "-----" not in line
        )
    elif "://" in secret:
        for part in _of_url(secret.partition("://")[2]):
            yield part
            yield unquote(part)
    else:
        yield from _of_text(secret)


def _of_url(rest: str) -> Iterator[str]:
    userinfo, at, place = rest.rpartition("@")
    user, colon, password = userinfo.partition(":")
    if at and colon and "/" not in user and not _PORT.match(password):
        yield password
        # If such characters are not escaped, libraries split the password there.
        yield from re.split(r"[/?#@:\[\]]", password)
    elif at and "/" not in userinfo:
        yield user
    else:
        place = rest
    path, _, query = place.partition("?")
    for segment in path.split("/")[1:]:
        if _RANDOM.fullmatch(segment):
            yield segment
    for name, value in _VALUE.findall(query):
        if is_secret_name(name) or name in ("sig", "key", "code") or _RANDOM.fullmatch(value):
            yield value


def _of_text(secret: str) -> Iterator[str]:
    if (match := _SCHEME.fullmatch(secret)) is not None:
        yield match[2]
        if match[1].lower() == "basic":
            try:
                pair = base64.b64decode(match[2], validate=True).decode()
            except (binascii.Error, ValueError):
                pair = ""
            yield pair
            yield pair.partition(":")[2]
    elif " " not in secret and ":" in secret:
        yield from (part for part in secret.split(":", 1) if len(part) >= SHORTEST)
    elif secret.startswith("whsec_"):
        yield secret[len("whsec_") :]
    for name, value in _VALUE.findall(secret):
        # A connection string contains host and user as well; in a cookie, all values are secrets.
        if is_secret_name(name) or _RANDOM.fullmatch(value) or _SESSION.search(name):
            yield value.strip("'")


def forms_of(secret: str) -> Iterator[str]:
    """Yield the forms in which a secret may be written: in URLs, JSON, Python, HTML, hexadecimal
    and Base64."""
    yield secret
    yield unquote_plus(secret)
    for quoted in (quote(secret, safe=""), quote(secret), quote_plus(secret)):
        yield quoted
        yield re.sub("%..", lambda match: match[0].lower(), quoted)
    for written in (json.dumps(secret), json.dumps(secret, ensure_ascii=False), repr(secret)):
        yield written[1:-1]
    yield html.escape(secret)
    data = secret.encode("utf-8", "surrogatepass")
    yield data.hex()
    if len(data) >= 8:
        yield from _in_base64(data)


def _in_base64(data: bytes) -> Iterator[str]:
    """Yield what the Base64 forms of all texts that contain ``data`` have in common, one for each
    of three positions in a group of four letters (such as ``user:password`` for any user)."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + data).decode()
        part = whole[(8 * before + 5) // 6 : 8 * (before + len(data)) // 6]
        yield part
        yield part.replace("+", "-").replace("/", "_")


def _may_be_half(half: str, form: str) -> bool:
    """Return whether the end of a text may be half of a secret. Half of a URL or header does not
    count: the secret part of those has forms of its own."""
    return stands_out(half) and not _LIKE_WORDS.search(form)


def _pieces(text: str) -> list[str]:
    """Return all substrings of a text with which a form of a secret may begin or end."""
    return [text[at : at + SHORTEST] for at in range(len(text) - SHORTEST + 1)]


def _without_cut(text: str, form: str) -> str:
    """Hide beginnings of a form of a secret after which a text was cut and then continues."""
    pieces, done, at, head = [], 0, 0, form[:BEGINNING]
    while (at := text.find(head, at)) >= 0:
        pairs = zip(text[at : at + len(form)], form, strict=False)
        size = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        following = text[at + size : at + size + 1]  # another secret may have the same beginning
        if _GOES_ON.match(following) is None and _may_be_half(form[:size], form):
            pieces += [text[done:at], HIDDEN]
            at = done = at + size
        else:
            at += max(1, size - BEGINNING)
    return "".join(pieces) + text[done:] if pieces else text


class Known:
    """Secrets that are hidden wherever they occur."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._forms: tuple[str, ...] = ()
        self._begins: frozenset[str] | None = None
        self._ends: frozenset[str] = frozenset()
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> bool:
        """Add secrets; return whether any was new."""
        plain = {str.__str__(secret) for secret in secrets}
        new = {secret for secret in plain if stands_out(secret)} - self._secrets
        if not new:
            return False
        self._secrets |= new
        forms = {form for secret in new for form in forms_of(secret) if stands_out(form)}
        self._forms = tuple(sorted({*self._forms, *forms}, key=len, reverse=True))
        if len(self._forms) > FEW:
            self._begins = frozenset(form[:SHORTEST] for form in self._forms)
            self._ends = frozenset(form[-SHORTEST:] for form in self._forms)
        return True

    def hide(self, text: str) -> str:
        """Return a text without the secrets."""
        forms: Iterable[str] = ()
        if self._begins is None:
            forms = self._forms
        elif found := self._begins.intersection(_pieces(text)):
            forms = [form for form in self._forms if form[:SHORTEST] in found]
        if begun := [form for form in forms if form[:BEGINNING] in text]:
            for form in begun:
                text = text.replace(form, HIDDEN)
            for form in begun:  # only afterwards: forms of one secret may share their beginning
                text = _without_cut(text, form)
        return text if len(text) < CUT else self._without_halves(text)

    def _without_halves(self, text: str) -> str:
        """Hide halves of secrets at both ends of a text, which may have been cut to a length."""
        if self._begins is not None and (
            self._begins.isdisjoint(_pieces(text[-CUT:]))
            and self._ends.isdisjoint(_pieces(text[:CUT]))
        ):
            return text
        end = text.rstrip("….")
        for form in self._forms:
            at = end.rfind(form[:SHORTEST], max(0, len(end) - len(form)))
            if at >= 0 and form.startswith(end[at:]) and _may_be_half(end[at:], form):
                return end[:at] + HIDDEN + text[len(end) :]
        begin = text.lstrip("….")
        for form in self._forms:
            at = begin.find(form[-SHORTEST:], 0, len(form))
            half = begin[: at + SHORTEST]
            if at >= 0 and form.endswith(half) and _may_be_half(half, form):
                return text[: len(text) - len(begin)] + HIDDEN + begin[at + SHORTEST :]
        return text
