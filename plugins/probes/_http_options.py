"""Validators of the http probe's options."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from attrs import Attribute
from yarl import URL

from tocsin import Secret
from tocsin.plugins.probes._http_expect import json_expectation, parse_statuses

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_ENDS = frozenset("\r\n\0")
FAMILIES = {"any": socket.AF_UNSPEC, "ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}


def check_url(_: object, __: object, url: str) -> None:
    """Check that the option is a URL of http or https. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must read http://host/path or https://host/path")
    with suppress(UnicodeError):  # the check itself reports an invalid host name
        URL(url)  # raises ValueError, for example if the port is out of range


def check_method(_: object, __: object, value: str) -> None:
    """Check that the option is one word. Raises ValueError."""
    if not _TOKEN.fullmatch(value):
        raise ValueError(f"method must be one word such as GET, not {value[:40]!r}")


def check_line(_: object, attribute: Attribute[Any], value: Secret | None) -> None:
    """Check that the option is one line. Raises ValueError."""
    if value is not None and set(value.reveal()) & _ENDS:
        raise ValueError(f"{attribute.name} must be one line")


def check_headers(_: object, __: object, value: Mapping[str, Secret]) -> None:
    """Check that names are valid, and values one line. Raises ValueError."""
    for name, secret in value.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name[:40]!r} is not a valid header name")
        if set(secret.reveal()) & _ENDS:
            raise ValueError(f"the header {name[:40]} must be one line")


def check_statuses(_: object, __: object, value: list[int | str]) -> None:
    """Check status codes and ranges. Raises ValueError."""
    parse_statuses(value)


def check_family(_: object, __: object, value: str) -> None:
    """Check that the option is a key of :data:`FAMILIES`. Raises ValueError."""
    if value not in FAMILIES:
        raise ValueError(f"must be one of {', '.join(FAMILIES)}")


def check_json(_: object, __: object, value: Mapping[str, Any]) -> None:
    """Check the paths and expected values of a JSON body. Raises ValueError."""
    for path, wanted in value.items():
        json_expectation(path, wanted)
