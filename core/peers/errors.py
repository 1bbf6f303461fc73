"""Errors of the network, of TLS and of files, as clauses for people."""

from __future__ import annotations

import errno
import socket
import ssl

_CLAUSES = {
    errno.ECONNABORTED: "the connection was closed early",
    errno.ECONNREFUSED: "the connection was refused",
    errno.ECONNRESET: "the connection was reset",
    errno.EHOSTUNREACH: "there is no route to the host",
    errno.ENETUNREACH: "there is no route to the host",
    errno.EPIPE: "the connection was reset",
}


def describe_error(error: BaseException) -> str:
    """Return a clause that describes an error of a connection or a file.

    Args:
        error: an ``OSError``, also of ``ssl`` or of a lookup; ``EOFError`` (the peer closed the
            connection), ``UnicodeError`` (the host name is malformed), or another error.

    Returns:
        A clause such as ``"the connection was refused"``. Addresses and credentials, which the text
        of some errors contains, are not part of it; of an error of another kind, it is the text.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = (error.verify_message or error.reason or "unknown reason").rstrip(".")
        return f"the certificate is not valid: {reason}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or str(error)).replace('_', ' ').lower()}"
    if isinstance(error, socket.gaierror | UnicodeError):
        return "the host name cannot be resolved"
    if isinstance(error, EOFError):  # asyncio.IncompleteReadError is one
        return "the connection was closed early"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        if error.errno in _CLAUSES:
            return _CLAUSES[error.errno]
        if isinstance(error, ConnectionResetError):  # asyncio's own has no number
            return _CLAUSES[errno.ECONNRESET]
        if isinstance(error, ConnectionRefusedError):
            return _CLAUSES[errno.ECONNREFUSED]
        if error.strerror:
            return error.strerror[0].lower() + error.strerror[1:]
    return str(error) or type(error).__name__
