"""URLs of PostgreSQL databases in the format of libpq: validation, and conversion for asyncpg.

Format: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote_plus, urlsplit

_LIBPQ_ALONE = frozenset(
    "connect_timeout keepalives keepalives_idle keepalives_interval keepalives_count sslsni "
    "tcp_user_timeout fallback_application_name load_balance_hosts gssencmode channel_binding "
    "sslcompression sslcertmode min_protocol_version max_protocol_version".split()
)
"""Parameters that only libpq knows. asyncpg would send them to the server as settings, and the
server would reject them.
"""

_CANNOT_BE_KEPT = {
    "channel_binding": ("require",), "gssencmode": ("require",), "requirepeer": None,
    "require_auth": None, "sslcertmode": ("require",),
}  # fmt: skip
"""Security requirements that tocsin cannot meet, by value (None: any value); dropping them silently
would be unsafe.
"""


def check_dsn(url: str) -> None:
    """Check that a URL names a PostgreSQL database, and that its parts can be split safely.

    If a password contains an unescaped ``/``, libraries take a part of it for the host and show
    that in their errors.

    Raises:
        ValueError: the URL cannot be used. The message says what to write, and quotes nothing of
            the URL but an unsupported parameter.
    """
    if not url.startswith(("postgresql://", "postgres://")):
        raise ValueError("must have the form postgresql://user:password@host:port/database")
    if not _can_be_read(url):
        raise ValueError(
            "cannot be read as a URL; in the password write / ? # [ ] @ as %2F %3F %23 %5B %5D %40"
        )
    for name, value in parse_qsl(urlsplit(url).query):
        values = _CANNOT_BE_KEPT.get(name, ())
        if values is None or value in values:
            wanted = f"{name} = {value}" if values else name
            raise ValueError(f"requires {wanted}, which tocsin does not support; remove it")


def usable_dsn(url: str) -> str:
    """Return a URL that passed :func:`check_dsn` in the form that asyncpg needs.

    Parameters that only libpq knows are removed. Each ``@`` in the password is escaped, since
    asyncpg takes the first one as the end of the password.
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
    # An "@" after the host belongs to the password, and so does everything before it.
    named = [field for field in parts.query.split("&") if re.match("(user|password)=", field)]
    rest = [field for field in parts.query.split("&") if not userinfo or field not in named]
    stray = "@" in "".join([parts.path, parts.fragment, *rest])
    return not stray and all(port.isdecimal() or not port for port in ports)
