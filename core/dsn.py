"""The URL of a PostgreSQL database, as libpq writes it: whether it can be read as it was meant, and
what asyncpg has to be given of it."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote_plus, urlsplit

_LIBPQ_ALONE = frozenset(
    "connect_timeout keepalives keepalives_idle keepalives_interval keepalives_count sslsni "
    "tcp_user_timeout fallback_application_name load_balance_hosts gssencmode channel_binding "
    "sslcompression sslcertmode min_protocol_version max_protocol_version".split()
)
"""Parameters about libpq's own doings. asyncpg sends whatever it does not know to the server as a
setting, which no server knows either."""

_CANNOT_BE_KEPT = {
    "channel_binding": ("require",), "gssencmode": ("require",), "requirepeer": None,
    "require_auth": None, "sslcertmode": ("require",),
}  # fmt: skip
"""Demands on security, by value (None: any), that are not silently left out."""


def check_dsn(url: str) -> None:
    """See that a URL names a PostgreSQL database, and that user and password end where they seem
    to. Of one whose password holds a bare ``/``, libraries take half of the password for a host,
    and name it in their errors.

    Raises:
        ValueError: it does not; the message says what to write, and nothing of the URL.
    """
    if not url.startswith(("postgresql://", "postgres://")):
        raise ValueError("must read postgresql://user:password@host:port/database")
    if not _can_be_read(url):
        raise ValueError(
            "cannot be read as a URL; in the password write / ? # [ ] @ as %2F %3F %23 %5B %5D %40"
        )
    for name, value in parse_qsl(urlsplit(url).query):
        values = _CANNOT_BE_KEPT.get(name, ())
        if values is None or value in values:
            wanted = f"{name} = {value}" if values else name
            raise ValueError(f"asks for {wanted}, which tocsin cannot see to; leave it out")


def usable_dsn(url: str) -> str:
    """A URL that passed :func:`check_dsn`, as asyncpg is to get it: without the parameters that
    libpq alone heeds, and with each ``@`` of the password escaped, since it takes the first one for
    the end of it.
    """
    head, _, query = url.partition("?")
    scheme, _, rest = head.partition("://")
    authority, slash, path = rest.partition("/")
    userinfo, at, hosts = authority.rpartition("@")
    head = f"{scheme}://{userinfo.replace('@', '%40')}{at}{hosts}{slash}{path}"
    kept = [
        field
        for field in query.split("&")
        if field and unquote_plus(field.partition("=")[0]) not in _LIBPQ_ALONE
    ]
    return f"{head}?{'&'.join(kept)}" if kept else head


def _can_be_read(url: str) -> bool:
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        return False
    userinfo, _, hosts = parts.netloc.rpartition("@")
    ports = [host.rpartition(":")[2] for host in hosts.split(",") if ":" in host.rpartition("]")[2]]
    ports += [port for name, value in query if name == "port" for port in value.split(",")]
    # An "@" beyond the last one of the authority is of the password, and so is what stands before.
    named = [field for field in parts.query.split("&") if re.match("(user|password)=", field)]
    rest = [field for field in parts.query.split("&") if not userinfo or field not in named]
    stray = "@" in "".join([parts.path, parts.fragment, *rest])
    return not stray and all(port.isdecimal() or not port for port in ports)
