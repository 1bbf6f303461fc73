"""HTTP requests of the notifiers, which refuse private addresses unless these are allowed."""

from __future__ import annotations

import email.utils
import ipaddress
import re
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import aiohttp
from attrs import Factory, define

from tocsin import NotifyError, TocsinResolver

T = TypeVar("T")

MAX_ANSWER = 1_000_000
"""Maximum bytes of an answer that are read."""

_NOT_PUBLIC = tuple(
    ipaddress.ip_network(text)
    for text in (
        # https://www.iana.org/assignments/iana-ipv4-special-registry. Its blocks include metadata
        # services of clouds: 169.254.0.0/16, 192.0.0.192 (Oracle), 100.100.100.200 (Alibaba).
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # Azure's metadata and DNS services, in a public block
        # https://www.iana.org/assignments/iana-ipv6-special-registry: Teredo, benchmarks, ORCHID,
        # documentation. Addresses outside of 2000::/3 have a special or an obsolete use.
        "2001::/23", "2001:db8::/32", "3ffe::/16", "3fff::/20",
    )
)  # fmt: skip
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_OPEN = ipaddress.ip_network("2000::/3")
"""The part of IPv6 from which global unicast addresses are assigned."""


def is_public(address: str) -> bool:
    """Return whether an IP address is a public one; text that is not an address is not public.

    An IPv6 address that contains an IPv4 address (mapped as in ``::ffff:10.0.0.1``, 6to4, NAT64,
    ISATAP) is public only if that one is.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        low = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        isatap = low if int(ip) >> 32 & 0xFDFFFFFF == 0x5EFE else None
        inner = ip.ipv4_mapped or ip.sixtofour or (low if ip in _NAT64 else None)
        if inner is None and ip not in _OPEN:
            return False
        if any(not is_public(str(one)) for one in (inner, isatap) if one is not None):
            return False
    return not any(ip in network for network in _NOT_PUBLIC if network.version == ip.version)


@define
class Guard:
    """A socket factory that refuses private addresses.

    It checks the address of the connection itself, so that neither a host name that resolves to a
    private address nor a redirect can bypass it.

    Attributes:
        refused: the private address that was refused last; None: none was.
    """

    refused: str | None = None

    def __call__(self, info: Any) -> socket.socket:
        """Return a non-blocking socket. Raises PermissionError for a private address."""
        family, kind, proto, _, address = info
        if not is_public(address[0]):
            self.refused = address[0]
            raise PermissionError(f"{address[0]} is a private address")
        made = socket.socket(family, kind, proto)
        made.setblocking(False)
        return made


@define
class Progress:
    """Counts the parts of a message that its receiver accepted, so that a retry sends the rest."""

    _taken: dict[UUID, int] = Factory(dict)

    def left(self, message: UUID, parts: Sequence[T]) -> Sequence[T]:
        """Return the parts that are not accepted yet."""
        return parts[self._taken.get(message, 0) :]

    def one(self, message: UUID) -> None:
        """Count one more part as accepted; only the newest 100 messages are remembered."""
        self._taken[message] = self._taken.get(message, 0) + 1
        while len(self._taken) > 100:
            del self._taken[next(iter(self._taken))]

    def forget(self, message: UUID) -> None:
        """Forget a message, all parts of which were accepted."""
        self._taken.pop(message, None)


async def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    timeout: float,
    allow_private: bool,
    verify: bool = True,
) -> tuple[int, Mapping[str, str], bytes]:
    """Send a POST request, without following redirects.

    Args:
        url: the URL.
        body: the body of the request.
        headers: the headers of the request.
        timeout: seconds for the whole exchange.
        allow_private: whether private addresses may be reached.
        verify: whether to check the server's certificate.

    Returns:
        Status, headers and body of the answer; a body beyond :data:`MAX_ANSWER` bytes is cut.

    Raises:
        NotifyError: there was no answer. The text does not show the URL, which may be a secret.
    """
    guard = Guard()
    connector = aiohttp.TCPConnector(
        socket_factory=None if allow_private else guard,
        ssl=verify,
        force_close=True,
        use_dns_cache=False,
        resolver=TocsinResolver(),
    )
    limit = aiohttp.ClientTimeout(total=timeout)
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector,
                timeout=limit,
                trust_env=False,
                auto_decompress=False,
                skip_auto_headers=("Accept-Encoding",),
                cookie_jar=aiohttp.DummyCookieJar(),
            ) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            raw = b""
            while len(raw) < MAX_ANSWER and (chunk := await answer.content.read(MAX_ANSWER)):
                raw += chunk
            return answer.status, answer.headers, raw
    except TimeoutError:
        raise NotifyError(f"no answer within {timeout:g} s") from None
    except (aiohttp.InvalidURL, ValueError):
        raise NotifyError(
            "the URL is not valid; correct it", permanent=True, everything=True
        ) from None
    except (aiohttp.ClientError, OSError) as error:
        if guard.refused is not None:
            raise NotifyError(
                f"{guard.refused} is a private address; set allow_private = true to reach it",
                permanent=True,
                everything=True,
            ) from None
        raise NotifyError(_in_words(error)) from None


def _in_words(error: Exception) -> str:
    """Describe an error without the URL, which may contain a secret."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host name cannot be resolved"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "the server's certificate is not trusted"
    if isinstance(error, aiohttp.ClientSSLError):
        return "the TLS connection failed"
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, OSError) and cause.strerror:
        return f"no connection: {cause.strerror}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed the connection without an answer"
    return f"the request failed: {type(error).__name__}"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the delay in seconds of ``Retry-After`` (RFC 9110, 10.2.3: seconds or a date)."""
    text = headers.get("Retry-After", "").strip()
    if not 0 < len(text) <= 64:
        return None
    if re.fullmatch(r"[0-9]{1,15}(\.[0-9]+)?", text):  # Discord's may be fractional
        return float(text)
    try:
        at = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
