"""Checks of the hooks that a plugin implements, with sentences in place of pluggy's errors."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from tocsin.core.config.suggest import did_you_mean
from tocsin.core.plugin import hookspecs
from tocsin.core.plugin.faults import PluginFault

_MARK = f"{hookspecs.GROUP}_impl"
"""The attribute that ``hookimpl`` gives to a function."""

_SPECS = {
    name: tuple(inspect.signature(spec).parameters)
    for name, spec in vars(hookspecs).items()
    if hasattr(spec, f"{hookspecs.GROUP}_spec")
}
"""The parameters of the hooks by name."""


def check_hooks(plugin: object) -> None:
    """Refuse a plugin that implements a hook that does not exist, or takes what no hook gives.

    Args:
        plugin: the object that has the implementations.

    Raises:
        PluginFault: it does; the text says what to implement instead.
    """
    for name, options in _implemented(plugin):
        hook = options.get("specname") or name
        if hook == "tocsin_endpoints":
            raise PluginFault(
                "implements tocsin_endpoints, which has ended: implement tocsin_routes() -> "
                "Sequence[Route] in place of it, make a Route of each Endpoint, and take query and "
                "body as parameters of the handler"
            )
        if hook not in _SPECS:
            if options.get("optionalhook"):
                continue
            raise PluginFault(
                f"implements the hook {hook}, which does not exist; {did_you_mean(hook, _SPECS)}"
            )
        parameters = inspect.signature(getattr(plugin, name)).parameters.values()
        needed = [
            each.name
            for each in parameters
            if each.default is each.empty
            and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        ]
        if more := [each for each in needed if each not in _SPECS[hook]]:
            raise PluginFault(
                f"implements {hook} with the argument {more[0]!r}, which the hook does not give; "
                "remove it"
            )


def _implemented(plugin: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the names of the implementations of a plugin, with the options of ``hookimpl``."""
    for name in dir(plugin):
        member = inspect.getattr_static(plugin, name, None)
        function = getattr(member, "__func__", member)
        options = getattr(function, _MARK, None) if inspect.isroutine(function) else None
        if isinstance(options, Mapping):
            yield name, options
