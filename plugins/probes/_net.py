"""Helpers shared by network probes: names of servers, certificate expiry."""

from __future__ import annotations

import ssl
import time
from typing import Any

from attrs import Attribute


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
