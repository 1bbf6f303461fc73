"""The URL of a PostgreSQL database, as libpq writes it: whether it can be read as it was meant."""

from __future__ import annotations

from urllib.parse import urlsplit


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
            "cannot be read as a URL; in the password write / ? # [ ] as %2F %3F %23 %5B %5D"
        )


def _can_be_read(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    userinfo, _, hosts = parts.netloc.rpartition("@")
    ports = [host.rpartition(":")[2] for host in hosts.split(",") if ":" in host.rpartition("]")[2]]
    stray = not userinfo and "@" in f"{parts.path}{parts.query}{parts.fragment}"
    return not stray and all(port.isdigit() or not port for port in ports)
