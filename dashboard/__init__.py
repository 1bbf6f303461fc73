"""The dashboard: a Streamlit application, loaded and supervised like any third-party service.

This module is the plugin. It is the only one that uses tocsin's public Python API, and it imports
without Streamlit. The application runs in a child process and reads only the HTTP API:

1. ``process``   the child process: its environment, supervision and termination
2. ``serve``     what runs in it: the server, the theme, the sign-in routes
3. ``app``       the pages and their addresses; ``views`` the pages themselves
4. ``client``    the API and its errors; ``live`` incremental lists; ``session`` the current reader
5. ``words``, ``tones``, ``parts``, ``charts``  safe text, and the elements that pages share
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from attrs import field, frozen

from tocsin import Service, ServiceContext, ServiceError, hookimpl
from tocsin.dashboard.process import Settings
from tocsin.dashboard.process import serve as serve_in_a_child

NEEDED = ("streamlit", "plotly", "httpx")


def _host(_: object, __: object, value: str) -> None:
    if not value or (any(c in value for c in "/ :") and not _is_ip(value)):
        raise ValueError(
            "expected an address or host name to listen on, such as '127.0.0.1', or '0.0.0.0' for "
            "every IPv4 address"
        )


def _port(_: object, __: object, value: int) -> None:
    if not 1 <= value <= 65535:
        raise ValueError("must be from 1 to 65535")


def _path(_: object, __: object, value: str) -> None:
    if not all(c.isascii() and (c.isalnum() or c in "-_/") for c in value):
        raise ValueError("expected a path such as 'monitoring/tocsin'")


def _hosts(_: object, __: object, value: tuple[str, ...]) -> None:
    for name in value:
        if not _is_ip(name) and not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", name):
            raise ValueError(
                f"{name!r} is not a host name; write it as it appears in the browser's address "
                "bar, without https:// and without a port, such as 'watch.example.org'"
            )


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine only."""
    return host == "localhost" or (_is_ip(host) and ipaddress.ip_address(host).is_loopback)


def _absent() -> list[str]:
    return [name for name in NEEDED if find_spec(name) is None]


@frozen(kw_only=True)
class DashboardService(Service):
    """Show everything in a browser.

    Attributes:
        host: the address to listen on.
        port: the TCP port to listen on.
        sign_in: whether readers must sign in with a personal token before anything is shown; if
            unset, they must where other machines can reach the dashboard: ``host`` is not a
            loopback address, or ``base_path`` or ``hosts`` show that a reverse proxy is used.
        base_path: the URL path under which a reverse proxy serves the dashboard.
        hosts: the host names in readers' address bars, such as "watch.example.org", if a reverse
            proxy is used; requests for other names and from pages of other origins are refused.
    """

    host: str = field(default="127.0.0.1", validator=_host)
    port: int = field(default=8501, validator=_port)
    sign_in: bool | None = None
    base_path: str = field(default="", validator=_path)
    hosts: tuple[str, ...] = field(default=(), validator=_hosts)

    def url(self) -> str | None:
        """Return the address of the dashboard, or None if its packages are not installed."""
        if _absent():
            return None
        host = f"[{self.host}]" if ":" in self.host else self.host
        base = self.base_path.strip("/")
        return f"http://{host}:{self.port}" + (f"/{base}" if base else "")

    def settings(self, api_url: str, token_file: str) -> Settings:
        """Return the settings of the child process.

        Args:
            api_url: base URL of the HTTP API.
            token_file: path of the file with the dashboard's own token.
        """
        local = is_loopback(self.host)
        proxied = bool(self.base_path.strip("/") or self.hosts)
        return Settings(
            host=self.host,
            port=self.port,
            base_path=self.base_path.strip("/"),
            sign_in=(not local or proxied) if self.sign_in is None else self.sign_in,
            hosts=[self.host, *self.hosts],
            any_host=not local and not self.hosts,
            api_url=api_url,
            token_file=token_file,
        )

    async def run(self, context: ServiceContext) -> None:
        """Serve until cancelled.

        Raises:
            ServiceError: a package is missing (permanent), or the child process ended.
        """
        if absent := _absent():
            raise ServiceError(
                f"{', '.join(absent)}: not installed; run: pip install 'tocsin[dashboard]'",
                permanent=True,
            )
        settings = self.settings(context.api_url, str(context.token_file))
        reason = await serve_in_a_child(settings, context.directory)
        raise ServiceError(reason)


@hookimpl
def tocsin_services() -> Mapping[str, Any]:
    """Register the service ``dashboard``."""
    return {"dashboard": DashboardService}
