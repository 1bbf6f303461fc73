"""One HTTP request of a command, limited in time as a whole."""

from __future__ import annotations

import http.client
import socket
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from urllib.parse import quote, urlsplit, urlunsplit


class NoConnection(Exception):
    """Nothing listens at the address; the text says why, as a clause."""


def exchange(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None, patience: float
) -> tuple[int, str]:
    """Send a request; return status and body of the answer.

    The standard library's client serves here: importing a better one takes longer than the request.

    Raises:
        NoConnection: there is no connection.
        OSError, http.client.HTTPException, ValueError: there is no valid answer.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""  # it was checked
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(host, parts.port, timeout=patience)
    try:
        connection.connect()
    except TimeoutError:
        raise NoConnection("no answer in time") from None
    except OSError as error:
        raise NoConnection(
            getattr(error, "reason", None) or error.strerror or str(error)
        ) from error
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
    with _cut_after(patience, connection.sock) as is_late:
        try:
            connection.request(method, urlunsplit(("", "", path, parts.query, "")), body, headers)
            answer = connection.getresponse()
            raw = answer.read()
        except (OSError, http.client.HTTPException):
            if is_late():
                raise TimeoutError from None
            raise
        finally:
            connection.close()
    if is_late():
        raise TimeoutError
    if not raw and answer.status != 204 and answer.getheader("Content-Length") != "0":
        raise ValueError("the answer is incomplete")
    if answer.getheader("Content-Encoding") == "gzip":
        try:
            raw = zlib.decompress(raw, zlib.MAX_WBITS | 16)
        except zlib.error as error:
            raise ValueError(f"the answer is no gzip: {error}") from error
    # Always UTF-8, as tocsin sends it: a different server must not choose the codec.
    return answer.status, raw.decode("utf-8", "replace")


@contextmanager
def _cut_after(seconds: float, connected: socket.socket) -> Iterator[Callable[[], bool]]:
    """Shut a socket down when the block takes longer; give a function that tells whether it did.

    The socket's own timeout starts again with each byte that trickles in.
    """
    late = threading.Event()

    def cut() -> None:
        late.set()
        with suppress(OSError):
            connected.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield late.is_set
    finally:
        timer.cancel()
