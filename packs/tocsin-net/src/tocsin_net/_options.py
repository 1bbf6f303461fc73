"""Validators of options. Their errors say in one sentence what to write instead."""

from __future__ import annotations

from attrs import Attribute

MAX_PORT = 65535


def check_host(_: object, attribute: Attribute[str], value: str) -> None:
    """Validate the name or address of a host.

    Raises:
        ValueError: the value is something else, such as a URL.
    """
    host = value.strip("[]")
    odd = any(c.isspace() or not c.isprintable() or c in "/@?#" for c in host)
    if not host or odd or host.startswith(".") or host.count(":") == 1:
        raise ValueError(
            f"{attribute.name} must be only a host name or an address; a port has an option of "
            "its own"
        )


def check_port(_: object, attribute: Attribute[int], value: int) -> None:
    """Validate the number of a port.

    Raises:
        ValueError: there is no such port.
    """
    if not 1 <= value <= MAX_PORT:
        raise ValueError(f"{attribute.name} must be from 1 to {MAX_PORT}")


def check_server_name(_: object, attribute: Attribute[str | None], value: str | None) -> None:
    """Validate the name that a certificate is checked against.

    Raises:
        ValueError: the value cannot be a host name.
    """
    if value is None:
        return
    try:
        value.encode("idna")
        possible = bool(value) and not value.startswith(".") and "\0" not in value
    except UnicodeError:
        possible = False
    if not possible:
        raise ValueError(f"{attribute.name} is not a valid server name; write a host name")


def check_line(_: object, attribute: Attribute[str | None], value: str | None) -> None:
    """Validate a text that is sent as part of one line.

    Raises:
        ValueError: it contains a line end or another control character.
    """
    if value is not None and any(ord(c) < 32 or ord(c) == 127 for c in str.__str__(value)):
        raise ValueError(f"{attribute.name} must be one line without control characters")


def bare(host: str) -> str:
    """Return a host without the brackets of an IPv6 address."""
    return host.strip("[]")


def place(host: str, port: int) -> str:
    """Return host and port as people write them; an IPv6 address in brackets."""
    return f"[{bare(host)}]:{port}" if ":" in host else f"{host}:{port}"
