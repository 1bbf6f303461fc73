"""What network probes share: words for what goes wrong, TLS contexts, certificate ages."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from attrs import Attribute

from tocsin import Result, own_shortage


class Unusable(Exception):
    """What a check was given, such as a file, cannot be used; that says nothing of its target."""

    def result(self, metrics: dict[str, float]) -> Result:
        """The check is unknown, and says why."""
        return Result.unknown(own_shortage(self) or str(self), metrics=metrics)


def check_server_name(_: object, attribute: Attribute[Any], value: str | None) -> None:
    """Validate an option that names a server. Raises ValueError."""
    try:
        possible = b"\0" not in (value or "").encode("idna")
    except UnicodeError:
        possible = False
    if not possible:
        raise ValueError(f"{attribute.name} is no name that a server can have")


@lru_cache(maxsize=64)
def tls_context(verify: bool, ca_file: str | None) -> ssl.SSLContext:
    """A client context. Making one reads all certificates of the machine, so they are kept.

    Raises:
        Unusable: the CA file, or the machine's, cannot be read, or holds no certificate.
    """
    machine = ssl.get_default_verify_paths().cafile
    try:
        if ca_file is None and machine is not None:
            Path(machine).open("rb").close()  # ssl would go on, and trust nobody
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:  # ssl.SSLError, too
        file = f"ca_file {ca_file}" if ca_file is not None else f"the machine's {machine}"
        bad = isinstance(error, ssl.SSLError | ValueError)
        why = "it holds no certificate" if bad else in_words(error)
        raise Unusable(f"{file} cannot be used: {why}") from error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def certificate_days(connection: ssl.SSLObject | None) -> float | None:
    """Days until the peer's verified certificate expires; None where it is not known."""
    if connection is None:
        return None
    certificate = connection.getpeercert()
    if not certificate or "notAfter" not in certificate:
        return None
    try:
        expires = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    except ValueError:  # a time that no calendar has
        return None
    return round((expires - time.time()) / 86400, 3)


def in_words(error: BaseException) -> str:
    """A network error as a clause people understand; without addresses' credentials."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message or error.reason or "unknown reason"
        return f"the certificate is not valid: {reason}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or str(error)).replace('_', ' ').lower()}"
    if isinstance(error, socket.gaierror | UnicodeError):  # no name of that shape can be
        return "the host name cannot be resolved"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, ConnectionResetError | BrokenPipeError) or (
        isinstance(error, OSError) and error.errno in (errno.ECONNRESET, errno.EPIPE)
    ):
        return "the connection was reset"
    if isinstance(error, asyncio.IncompleteReadError | EOFError):
        return "the connection was closed early"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return str(error) or type(error).__name__
