"""What went wrong with a connection, as results for people."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping

from tocsin import CheckError, Result, describe_error


class Trouble(Exception):
    """The peer did not do what its protocol asks for; the message is a clause that says what."""


FAILURES = (OSError, EOFError, UnicodeError, Trouble, CheckError)
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
    if isinstance(error, TimeoutError):
        clause = late
    elif isinstance(error, Trouble):
        clause = str(error)
    else:
        clause = describe_error(error)
    return Result.failed(error, f"{place}: {clause}", metrics=known)


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
