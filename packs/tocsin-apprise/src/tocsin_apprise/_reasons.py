"""Works out from Apprise's log records why a service did not take a message."""

from __future__ import annotations

import ast
import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus

from attrs import frozen

from tocsin import clean_text, decode_text
from tocsin_apprise._masking import Mask

Record = tuple[int, str]

LONGEST = 160
"""Characters of a server's answer that are shown."""

_STATUS = re.compile(r"\berror=(\d{3})(?:\d\d)?\b")
"""Nearly all plugins log this. ntfy's own codes are the status and two digits (42901)."""

_SMTP = re.compile(r"\((\d{3}), b?(['\"])(.*?)\2|was refused: (\d{3}) b?(['\"])(.*?)\5")
"""The text of smtplib's exceptions, and the warning about a refused recipient."""

_DETAILS = re.compile(r"Response Details:\s*(.*)", re.DOTALL)
_EXCEPTION = re.compile(r"(?:[\w/ ]+ )?Exception(?: socket_\w+)?: (.*)", re.DOTALL)
_ERRNO = re.compile(r"\[Errno (\d{1,5})\]")
_RETRY = re.compile(
    r"retry[-_ ]?after(?P<unit>[-_ ]?ms|[-_ ]?millis\w*|[-_ ]?seconds)?[\\\"' ]*[:= ][\\\"' ]*"
    r"(?P<number>\d{1,12}(?:\.\d{1,9})?)",
    re.IGNORECASE,
)
_NOBODY = re.compile(r"\bnot? \S.* to notify\b", re.IGNORECASE)
_CRASH = re.compile(r"Notification service '.*' raised an exception")

_NETWORK = (
    (r"Failed to resolve|NameResolution|getaddrinfo|Name or service not known|name resolution",
     "the host name cannot be resolved"),
    (r"CERTIFICATE_VERIFY_FAILED|certificate verify failed",
     "the server's certificate is not trusted"),
    (r"SSLError|\[SSL|WRONG_VERSION_NUMBER|UNEXPECTED_EOF", "the TLS connection failed"),
    (r"connect timeout|ConnectTimeout", "no connection was made in time"),
    (r"timed out|timeout", "no answer came in time"),
    (r"RemoteDisconnected|Remote end closed|unexpectedly closed|IncompleteRead|reset by peer",
     "the server closed the connection without a complete answer"),
)  # fmt: skip


@frozen(kw_only=True)
class Failure:
    """Why a service did not take a message; see ``tocsin.NotifyError`` for the last four.

    Attributes:
        message: the reason, a clause without secrets.
        cause: the operating system's error, so that tocsin recognizes a shortage of its own.
        permanent: a retry would fail as well.
        everything: any other message would be refused as well.
        answered: the server certainly did not take the message.
        retry_after: the delay in seconds that the server asks for.
    """

    message: str
    cause: BaseException | None = None
    permanent: bool = False
    everything: bool = False
    answered: bool = False
    retry_after: float | None = None


def failure_of(records: Sequence[Record], mask: Mask) -> Failure:
    """Return why a call failed.

    If several recipients of one URL failed for different reasons, it is a temporary one, if any,
    so that none is given up too early.

    Args:
        records: level and text of what Apprise logged during the call.
        mask: removes the secrets of the URL.
    """
    details = _details(records)
    found = [_of_status(int(m[1]), details, mask) for m in _matches(_STATUS, records)]
    found = found or [
        _of_smtp(int(m[1] or m[4]), m[3] or m[6] or "", mask) for m in _matches(_SMTP, records)
    ]
    if found:
        return next((one for one in reversed(found) if not one.permanent), found[-1])
    for match in reversed(list(_matches(_EXCEPTION, records))):
        crashed = any(_CRASH.search(text) for _, text in records)
        return _of_exception(match[1], mask, crashed=crashed)
    for level, text in reversed(records):
        if level >= logging.WARNING:
            nobody = _NOBODY.search(text) is not None
            shown = _shown(text, mask).rstrip(".") or _UNSAID
            return Failure(message=shown, permanent=nobody, everything=nobody, answered=nobody)
    return Failure(message=_UNSAID)


_UNSAID = "Apprise reports a failure without a reason"


def _matches(pattern: re.Pattern[str], records: Iterable[Record]) -> Iterator[re.Match[str]]:
    for _, text in records:
        if (match := pattern.search(text)) is not None:
            yield match


def _details(records: Iterable[Record]) -> str:
    """Return the last answer's body, which the plugins log as bytes in Python's notation."""
    text = ""
    for match in _matches(_DETAILS, records):
        text = match[1].strip()
    if text[:2] in ("b'", 'b"'):
        try:
            raw: object = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError):  # shortened within an escape
            return text[2:-1]
        return decode_text(raw, "") if isinstance(raw, bytes) else ""
    return text


def _of_status(status: int, details: str, mask: Mask) -> Failure:
    """Return the failure for an HTTP status (RFC 9110, section 15)."""
    try:
        said = f"it answered {status} {HTTPStatus(status).phrase}"
    except ValueError:
        said = f"it answered {status}"
    if details and not details.lstrip().startswith("<"):  # no pages for browsers
        said += f": {_shown(details, mask)}"
    if 300 <= status < 400:
        return Failure(
            message=f"{said}; redirects are not followed: write the final address into the URL",
            permanent=True,
            everything=True,
        )
    if status in (408, 425, 429) or status >= 500 or status < 300:
        # A gateway (502, 504) does not know whether the server took the request.
        answered = status in (425, 500, 501) or status > 504
        return Failure(message=said, answered=answered, retry_after=_retry_after(details))
    if status in (401, 403):
        said += "; check the credentials in the URL"
    elif status in (404, 405, 410):
        said += "; check the URL"
    everything = status in (401, 402, 403, 404, 405, 407, 410)
    return Failure(message=said, permanent=True, everything=everything, answered=True)


def _of_smtp(code: int, answer: str, mask: Mask) -> Failure:
    """Return the failure for a mail server's reply (RFC 5321, section 4.2)."""
    said = f"the mail server answered {code}"
    if answer:
        said += f": {_shown(answer, mask)}"
    if code >= 500:
        # 552 and 554 may be about this mail's size or contents; the others about login, sender
        # and recipients, which all mails share.
        return Failure(
            message=said, permanent=True, everything=code not in (552, 554), answered=True
        )
    return Failure(message=said, answered=True)


def _of_exception(text: str, mask: Mask, *, crashed: bool) -> Failure:
    if (number := _ERRNO.search(text)) is not None:
        code = int(number[1])
        error = OSError(code, os.strerror(code))
        return Failure(message=f"no connection: {error.strerror}", cause=error)
    for pattern, words in _NETWORK:
        if re.search(pattern, text, re.IGNORECASE):
            return Failure(message=words)
    shown = _shown(text, mask)
    if crashed:
        return Failure(message=f"Apprise's plugin failed: {shown or 'without a reason'}")
    return Failure(message=shown or _UNSAID)


def _retry_after(details: str) -> float | None:
    """Return the delay in seconds that an answer's body asks for; Apprise shows no headers."""
    found = _RETRY.search(details)
    if found is None:
        return None
    milliseconds = "m" in (found["unit"] or "").lower()
    return float(found["number"]) / (1000 if milliseconds else 1)


def _shown(text: str, mask: Mask) -> str:
    return clean_text(" ".join(mask(text).split()), longest=LONGEST)
