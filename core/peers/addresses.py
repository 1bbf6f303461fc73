"""A guard against requests to private addresses."""

from __future__ import annotations

import ipaddress
import socket

from aiohappyeyeballs import AddrInfoType
from attrs import define

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


def is_public_address(address: str) -> bool:
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
        if any(not is_public_address(str(one)) for one in (inner, isatap) if one is not None):
            return False
    return not any(ip in network for network in _NOT_PUBLIC if network.version == ip.version)


@define
class PublicAddresses:
    """A socket factory that refuses private addresses:
    ``aiohttp.TCPConnector(socket_factory=PublicAddresses())``.

    It checks the address of the connection itself, so that neither a host name that resolves to a
    private address nor a redirect can bypass it.

    Attributes:
        refused: the private address that was refused last; None: none was.
    """

    refused: str | None = None

    def __call__(self, info: AddrInfoType) -> socket.socket:
        """Return a non-blocking socket. Raises PermissionError for a private address."""
        family, kind, proto, _, address = info
        if not is_public_address(str(address[0])):
            self.refused = str(address[0])
            raise PermissionError(f"{address[0]} is a private address")
        made = socket.socket(family, kind, proto)
        made.setblocking(False)
        return made
