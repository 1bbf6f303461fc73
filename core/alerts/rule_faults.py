"""Which rules fail, on what; a plugin whose rules all judge again has recovered."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from tocsin.core.alerts.model import Key


@define
class RuleFaults:
    """Keeps the faults of rules. ``failed`` is told of a plugin and the reason, ``recovered`` of a
    plugin whose last fault is gone."""

    failed: Callable[[str, str], object] = lambda _plugin, _reason: None
    recovered: Callable[[str], object] = lambda _plugin: None
    _open: dict[Key, str] = field(factory=dict)

    def __bool__(self) -> bool:
        return bool(self._open)

    def add(self, plugin: str, key: Key, reason: str) -> None:
        """A plugin's rule went wrong on a target."""
        self._open[key] = plugin
        self.failed(plugin, reason)

    def clear(self, key: Key) -> None:
        """The rule judges this target, or has it no more."""
        plugin = self._open.pop(key, None)
        if plugin is not None and plugin not in self._open.values():
            self.recovered(plugin)

    def forget(self, is_gone: Callable[[Key], bool]) -> None:
        """Targets or rules are gone."""
        for key in list(filter(is_gone, self._open)):
            self.clear(key)
