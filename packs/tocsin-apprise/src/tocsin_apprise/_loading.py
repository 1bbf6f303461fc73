"""Makes a service of Apprise from a URL, or says what is wrong with the URL."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import cast

from apprise import (
    Apprise,
    AppriseAsset,
    NotificationManager,
    NotifyBase,
    OverflowMode,
    PersistentStoreMode,
)

from tocsin import clean_text
from tocsin_apprise._masking import Mask
from tocsin_apprise._records import captured

SHARE = 0.8
"""Part of a channel's timeout that a plugin may wait for its server, so that its own reason is
known before the timeout."""

_SCHEME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9+.-]{0,30})://")
_SEVERAL = re.compile(r"[\s,]+[a-z0-9]{2,20}://", re.IGNORECASE)
_OPTIONAL = re.compile(r"[?&]optional=(?!no|false|off|0)", re.IGNORECASE)

Plugins = dict[str, type[NotifyBase]]


def scheme_of(url: str) -> str:
    """Return the scheme of a URL, in lower case; empty if it has none."""
    found = _SCHEME.match(url)
    return found[1].lower() if found else ""


def load(url: str, timeout: float) -> Apprise:
    """Return an Apprise object with the one service of a URL.

    Nothing is read from Apprise's configuration files, and nothing is stored on disk.

    Args:
        url: the URL.
        timeout: seconds that one delivery may take.

    Raises:
        ValueError: Apprise cannot use the URL. The text shows no part of it.
    """
    if not scheme_of(url):
        raise ValueError(
            'has no scheme; write an Apprise URL such as "ntfy://host/topic" '
            "(https://appriseit.com/services/)"
        )
    if _SEVERAL.search(url):
        raise ValueError("holds several URLs; write each as a string of its own in a list")
    if _OPTIONAL.search(url):
        raise ValueError(
            "has the parameter optional, with which Apprise reports failures as success; remove it"
        )
    with captured():  # what Apprise logs contains parts of the URL
        asset = _asset()
        loaded = Apprise(asset=asset)
        service = Apprise.instantiate(url, asset=asset)
        if service is None:
            raise ValueError(_why(scheme_of(url)))
        if len(service) == 0:
            raise ValueError(f"names nobody to notify; see {_manual(type(service))}")
        loaded.add(service)
    service.retry = 0  # tocsin retries
    if not re.search(r"[?&]overflow=", url, re.IGNORECASE):
        service.overflow_mode = OverflowMode.SPLIT
    patience = max(0.1, timeout * SHARE)
    if not re.search(r"[?&]cto=", url, re.IGNORECASE):
        service.socket_connect_timeout = patience
    if not re.search(r"[?&]rto=", url, re.IGNORECASE):
        service.socket_read_timeout = patience
    return loaded


def _asset() -> AppriseAsset:
    return AppriseAsset(
        app_id="tocsin",
        app_desc="tocsin",
        language="en",
        storage_mode=PersistentStoreMode.MEMORY,
        # 0: the call is made in the calling thread. A limit would use a pool of six threads that
        # all channels of the process share, and that one hanging service would fill.
        service_timeout=0,
        async_mode=False,
        # A redirected POST becomes a GET of a login page, which answers 200 and notifies nobody.
        http_redirects=False,
        pgp_autogen=False,
        pem_autogen=False,
    )


def mask_for(url: str, service: NotifyBase) -> Mask:
    """Return the mask that removes the secrets of a URL; a server's name is none."""
    tokens = cast("dict[str, dict[str, object]]", getattr(service, "template_tokens", {}))
    token = tokens.get("host")
    host = cast("str | None", getattr(service, "host", None))
    known = [host] if host and token is not None and not token.get("private") else []
    port = cast("int | None", getattr(service, "port", None))
    if port is not None:
        known.append(str(port))
    try:
        urls = [url, cast("Callable[[], str]", service.url)()]
    except Exception:  # noqa: BLE001 - a third party's code; the URL as written remains
        urls = [url]
    return Mask(urls, known)


def _why(scheme: str) -> str:
    """Return why Apprise did not load a URL of a scheme."""
    plugins = cast("Callable[[], Plugins]", NotificationManager)()
    if scheme not in plugins:
        return (
            "is of a service that Apprise does not know; "
            "see https://appriseit.com/services/ for its URLs"
        )
    plugin = plugins[scheme]
    if not plugin.enabled:
        packages = plugin.requirements.get("packages_required") or []
        needed = [packages] if isinstance(packages, str) else packages
        names = clean_text(", ".join(needed), longest=100)
        remedy = f"install {names}" if names else f"see {_manual(plugin)}"
        return f"cannot be used on this system; {remedy}"
    return f"is not complete or not valid; see {_manual(plugin)}"


def _manual(plugin: type[NotifyBase]) -> str:
    return str(plugin.setup_url or plugin.service_url or "https://appriseit.com/services/")
