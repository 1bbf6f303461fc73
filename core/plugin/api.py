"""The version of the plugin API, and what of it will end."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from tocsin.core.plugin.faults import PluginFault
from tocsin.core.shapes import show

API = 1
"""The version that this tocsin offers. It rises when plugins have to change."""


@frozen(kw_only=True)
class Deprecation:
    """A hook that will end, two minor versions after it was deprecated.

    Attributes:
        hook: its name.
        since: version of tocsin that deprecated it.
        until: first version of tocsin without it.
        instead: what to do, as a clause that begins with a verb.
    """

    hook: str
    since: str
    until: str
    instead: str


DEPRECATED: tuple[Deprecation, ...] = ()
"""The hooks that will end."""


def api_of(plugin: object) -> int:
    """Return the version of the API that a plugin was written for: its ``tocsin_api``, else 1.

    Raises:
        PluginFault: it is no version, or one that this tocsin does not offer.
    """
    given = getattr(plugin, "tocsin_api", "1")
    text = str(given)
    if not (isinstance(given, str | int) and text.isascii() and text.isdigit()):
        raise PluginFault(f'has tocsin_api = {show(given)}; write tocsin_api = "{API}"')
    version = int(text[:9])
    if version > API:
        raise PluginFault(
            f"was written for version {version} of the plugin API, and this tocsin offers {API}; "
            "upgrade tocsin, or install an older version of the plugin"
        )
    if version < API:
        raise PluginFault(
            f"was written for version {version} of the plugin API, which ended; this tocsin offers "
            f"{API}: install a newer version of the plugin"
        )
    return version


def remark_on(hook: str, deprecated: Sequence[Deprecation] = DEPRECATED) -> str | None:
    """Return a clause about a hook that will end; None if it will not."""
    for one in deprecated:
        if one.hook == hook:
            return f"uses {hook}, which ends with tocsin {one.until}; {one.instead}"
    return None


def remark_on_history(name: str) -> str:
    """Return a clause about a history of a plugin in a host, where none can be used."""
    return (
        f"provides the history {name!r}, which runs in tocsin's own process: to use it, name the "
        "plugin in [plugins] inline"
    )
