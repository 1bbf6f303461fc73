"""The open faults of plugins: a plugin is failed while one of its parts is."""

from __future__ import annotations

import re
from datetime import datetime

from attrs import define, field, frozen

from tocsin.core.plugin.faults import RESTS

MOST_REASONS = 20
"""Maximum number of reasons of one failed plugin that are logged."""


@frozen
class OpenFault:
    """Why a part failed, as a clause, and when it is tried again, if it is paused (aware UTC)."""

    reason: str
    retry_at: datetime | None = None


@define
class OpenFaults:
    """Open faults by plugin and part. A part is a check, a channel, the routes and so on."""

    _open: dict[str, dict[str, OpenFault]] = field(init=False, factory=dict)
    _logged: dict[str, set[str]] = field(init=False, factory=dict)
    """By failed plugin: the reasons that were logged, without numbers."""

    def add(self, plugin: str, part: str, fault: OpenFault) -> bool:
        """Add a fault; return whether its reason is to be logged: it is new since the plugin
        failed, and no consequence of another fault."""
        self._open.setdefault(plugin, {})[part] = fault
        if RESTS in fault.reason:
            return False
        known = self._logged.setdefault(plugin, set())
        kind = re.sub(r"\d+", "", fault.reason)
        if kind in known or len(known) >= MOST_REASONS:
            return False
        known.add(kind)
        return True

    def remove(self, plugin: str, part: str | None) -> OpenFault | None:
        """Remove the fault of a part, or of all parts; return another that is open, if any."""
        parts = self._open.get(plugin, {})
        if part is None:
            parts.clear()
        else:
            parts.pop(part, None)
        if parts:
            return next(reversed(parts.values()))
        self._open.pop(plugin, None)
        self._logged.pop(plugin, None)
        return None
