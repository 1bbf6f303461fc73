"""Secrets that are known: the configuration's, their parts, and how they look elsewhere.

A secret that stands out (``xK9#…``, a token) is hidden wherever it is seen. One that is an ordinary
word, a short one or a number (``postgres``, ``12345``) is not: sentences that merely use the word
would become unreadable, and would tell the password by their gaps. It is hidden where it stands as
a secret, after a key, in a URL, as an argument; for that it need not be known (see ``shapes``).
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
"""Characters of what is hidden everywhere."""

BEGINNING = 8
"""Characters at which the beginning of one is hidden as well, wherever a text was cut in two."""

FEW = 60
"""Up to so many forms are looked for one by one, which is fastest; more by their beginnings."""

CUT = 150
"""Texts of at least so many characters may have been cut, and end in half a secret."""

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
    """A secret and what of it is secret by itself: the password of a URL, what follows ``Bearer``,
    the token behind a bot's number, the values of a cookie, each line of a key."""
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
        # Where such characters are not escaped, libraries take the password apart.
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
        # A connection string names host and user as well; a cookie's values all are secrets.
        if is_secret_name(name) or _RANDOM.fullmatch(value) or _SESSION.search(name):
            yield value.strip("'")


def forms_of(secret: str) -> Iterator[str]:
    """How a secret may be written: in URLs, JSON, Python, HTML, hexadecimal, Base64."""
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
    """What the Base64 of any text with ``data`` in it has in common: it may begin at each of three
    places in a group of four letters (``user:password`` for every user)."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + data).decode()
        part = whole[(8 * before + 5) // 6 : 8 * (before + len(data)) // 6]
        yield part
        yield part.replace("+", "-").replace("/", "_")


def _may_be_half(half: str, form: str) -> bool:
    """Return whether the end of a text may be half of a secret. The beginning of a URL or of a
    header is not: the secret part of those has forms of its own."""
    return stands_out(half) and not _LIKE_WORDS.search(form)


def _pieces(text: str) -> list[str]:
    """All that a secret in a text may begin or end with."""
    return [text[at : at + SHORTEST] for at in range(len(text) - SHORTEST + 1)]


def _without_cut(text: str, form: str) -> str:
    """A text without what begins like a form of a secret: who cuts a text goes on after."""
    pieces, done, at, head = [], 0, 0, form[:BEGINNING]
    while (at := text.find(head, at)) >= 0:
        pairs = zip(text[at : at + len(form)], form, strict=False)
        size = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        following = text[at + size : at + size + 1]  # another secret may begin alike
        if _GOES_ON.match(following) is None and _may_be_half(form[:size], form):
            pieces += [text[done:at], HIDDEN]
            at = done = at + size
        else:
            at += max(1, size - BEGINNING)
    return "".join(pieces) + text[done:] if pieces else text


class Known:
    """Secrets that are hidden wherever they stand."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._forms: tuple[str, ...] = ()
        self._begins: frozenset[str] | None = None
        self._ends: frozenset[str] = frozenset()
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> bool:
        """Learn more secrets; whether there was a new one."""
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
        """A text without them."""
        forms: Iterable[str] = ()
        if self._begins is None:
            forms = self._forms
        elif found := self._begins.intersection(_pieces(text)):
            forms = [form for form in self._forms if form[:SHORTEST] in found]
        if begun := [form for form in forms if form[:BEGINNING] in text]:
            for form in begun:
                text = text.replace(form, HIDDEN)
            for form in begun:  # only now: a secret begins like its own other forms
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
