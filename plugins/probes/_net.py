"""Helpers shared by network probes: error messages, TLS contexts, certificate expiry."""

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
    """An input of a check, such as a file, is unusable; the target's state stays unknown."""

    def result(self, metrics: dict[str, float]) -> Result:
        """Return an unknown result whose message is the reason."""
        return Result.unknown(own_shortage(self) or str(self), metrics=metrics)


def check_server_name(_: object, attribute: Attribute[Any], value: str | None) -> None:
    """Validate an option that names a server.

    Raises:
        ValueError: the value cannot be a server name.
    """
    try:
        possible = b"\0" not in (value or "").encode("idna")
    except UnicodeError:
        possible = False
    if not possible:
        raise ValueError(f"{attribute.name} is not a valid server name; write a host name")


@lru_cache(maxsize=64)
def tls_context(verify: bool, ca_file: str | None) -> ssl.SSLContext:
    """Return a client context, cached because creating one reads all CA certificates.

    Args:
        verify: whether to verify the server's certificate and host name.
        ca_file: path of the CA certificates; None: those of the machine.

    Raises:
        Unusable: the CA file, or the machine's, cannot be read or contains no certificate.
    """
    machine = ssl.get_default_verify_paths().cafile
    try:
        if ca_file is None and machine is not None:
            Path(machine).open("rb").close()  # ssl would ignore the error and trust no CA
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:  # includes ssl.SSLError
        file = f"ca_file {ca_file}" if ca_file is not None else f"the machine's {machine}"
        bad = isinstance(error, ssl.SSLError | ValueError)
        why = "it contains no certificate" if bad else in_words(error)
        raise Unusable(f"{file} cannot be used: {why}") from error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def certificate_days(connection: ssl.SSLObject | None) -> float | None:
    """Return the days until the peer's verified certificate expires, or None if unknown."""
    if connection is None:
        return None
    certificate = connection.getpeercert()
    if not certificate or "notAfter" not in certificate:
        return None
    try:
        expires = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    except ValueError:  # not a valid date
        return None
    return round((expires - time.time()) / 86400, 3)


def in_words(error: BaseException) -> str:
    """Return a readable clause for a network error, without credentials from addresses."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message or error.reason or "unknown reason"
        return f"the certificate is not valid: {reason}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or str(error)).replace('_', ' ').lower()}"
    if isinstance(error, socket.gaierror | UnicodeError):  # UnicodeError: not a valid host name
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
