"""The errors of rules, and the recovery of their plugins."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from tocsin.core.alerts.model import Key


@define
class RuleFaults:
    """Open errors by alert key. ``failed`` is called with a plugin and the reason at each error,
    ``recovered`` with a plugin when its last error is cleared, ``raised`` with a plugin, the reason
    and what its rule raised."""

    failed: Callable[[str, str], object] = lambda _plugin, _reason: None
    recovered: Callable[[str], object] = lambda _plugin: None
    raised: Callable[[str, str, BaseException], object] = lambda _plugin, _reason, _error: None
    _open: dict[Key, str] = field(factory=dict)

    def __bool__(self) -> bool:
        return bool(self._open)

    def add(self, plugin: str, key: Key, reason: str, error: BaseException | None = None) -> None:
        """Record an error of a plugin's rule on a target; ``error``: what the rule raised here."""
        self._open[key] = plugin
        self.failed(plugin, reason)
        if error is not None:
            self.raised(plugin, reason, error)

    def clear(self, key: Key) -> None:
        """Clear the error of a rule that works again on this target, or no longer watches it."""
        plugin = self._open.pop(key, None)
        if plugin is not None and plugin not in self._open.values():
            self.recovered(plugin)

    def forget(self, is_gone: Callable[[Key], bool]) -> None:
        """Clear the errors of removed targets or rules."""
        for key in list(filter(is_gone, self._open)):
            self.clear(key)
