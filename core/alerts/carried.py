"""What rules carry from one verdict to the next while there is no alert that keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field

from tocsin.core.alerts.model import Alert, Key
from tocsin.core.boundary import cleaned_verdict
from tocsin.core.contracts.rule import Verdict, VerdictState

Carry = Mapping[str, Any]


@define
class Carried:
    """By alert key. ``dirty`` has what changed since it was saved last."""

    kept: dict[Key, Carry] = field(factory=dict)
    dirty: dict[Key, Carry] = field(factory=dict)

    def of(self, key: Key, alert: Alert | None) -> Carry:
        """What comes back to a rule: what its alert keeps, or what is kept here."""
        return self.kept.get(key, {}) if alert is None else alert.carry

    def note(self, key: Key, verdict: Verdict) -> None:
        """Keep what a verdict asks for; an unknown one that carries nothing changes nothing."""
        if verdict.carry:
            self._put(key, cleaned_verdict(verdict).carry)
        elif verdict.state is not VerdictState.UNKNOWN:
            self._put(key, {})

    def _put(self, key: Key, carry: Carry) -> None:
        if carry == self.kept.get(key, {}):
            return
        self.dirty[key] = carry
        if carry:
            self.kept[key] = carry
        else:
            del self.kept[key]

    def forget(self, gone: Callable[[Key], bool]) -> None:
        """Drop what is of no use any more."""
        for key in [key for key in self.kept if gone(key)]:
            self._put(key, {})

    def take_dirty(self) -> dict[Key, Carry]:
        """What changed, to be saved; empty where nothing is carried any more."""
        taken, self.dirty = self.dirty, {}
        return taken
