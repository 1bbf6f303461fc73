"""What went wrong with a connection, as results for people."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Mapping

from tocsin import Result, own_shortage


class Trouble(Exception):
    """The peer did not do what its protocol asks for; the message is a clause that says what."""


class Unusable(Exception):
    """tocsin itself lacks something; the message is a sentence with the remedy."""


FAILURES = (OSError, EOFError, UnicodeError, Trouble, Unusable)
"""What a connection may end with. UnicodeError: the host name is malformed."""


def failure(
    error: BaseException, place: str, late: str, metrics: Mapping[str, float] | None = None
) -> Result:
    """Return the result of an error.

    Args:
        error: one of FAILURES.
        place: what was connected to, for the message.
        late: what did not happen in time, as a clause, for a TimeoutError.
        metrics: what has been measured until then.

    Returns:
        ``down``, or ``unknown`` if the cause lies with tocsin.
    """
    known = dict(metrics or {})
    if isinstance(error, Unusable):
        return Result.unknown(own_shortage(error) or str(error), metrics=known)
    if isinstance(error, TimeoutError):
        clause = late
    elif isinstance(error, Trouble):
        clause = str(error)
    else:
        clause = in_words(error)
    return Result.failed(error, f"{place}: {clause}", metrics=known)


_CLAUSES = {
    errno.ECONNABORTED: "the connection was closed early",
    errno.ECONNREFUSED: "the connection was refused",
    errno.ECONNRESET: "the connection was reset",
    errno.EHOSTUNREACH: "there is no route to the host",
    errno.ENETUNREACH: "there is no route to the host",
    errno.EPIPE: "the connection was reset",
}


def in_words(error: BaseException) -> str:
    """Return a clause for an error of the network."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = (error.verify_message or error.reason or "unknown reason").rstrip(".")
        return f"the certificate is not valid: {reason}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or str(error)).replace('_', ' ').lower()}"
    if isinstance(error, socket.gaierror | UnicodeError):
        return "the host name cannot be resolved"
    if isinstance(error, EOFError):
        return "the connection was closed early"
    if isinstance(error, OSError):
        if error.errno in _CLAUSES:
            return _CLAUSES[error.errno]
        if isinstance(error, ConnectionResetError):  # asyncio's own has no number
            return _CLAUSES[errno.ECONNRESET]
        if error.strerror:
            return error.strerror[0].lower() + error.strerror[1:]
    return str(error) or type(error).__name__


def wrapped(error: BaseException) -> BaseException:
    """Return the error of the network or of TLS that a library's error was made from."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if isinstance(one, ssl.SSLError | socket.gaierror):
            return one
        inner = getattr(one, "certificate_error", None) or getattr(one, "os_error", None)
        one = inner if isinstance(inner, BaseException) else one.__cause__
    return error


def because(text: str, cause: BaseException) -> Trouble:
    """Return a Trouble that an error caused, so that a shortage of tocsin's is still recognized."""
    trouble = Trouble(text)
    trouble.__cause__ = cause
    return trouble
