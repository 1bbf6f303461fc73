"""The states that rules keep between verdicts while they have no alert."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field

from tocsin.core.alerts.model import Alert, Key
from tocsin.core.boundary import cleaned_verdict
from tocsin.core.contracts.rule import Verdict, VerdictState

RuleState = Mapping[str, Any]


@define
class RuleStates:
    """States by alert key. ``dirty`` holds the changes since the last save."""

    kept: dict[Key, RuleState] = field(factory=dict)
    dirty: dict[Key, RuleState] = field(factory=dict)

    def of(self, key: Key, alert: Alert | None) -> RuleState:
        """Return the state to pass to a rule: that of its alert, or the one kept here."""
        return self.kept.get(key, {}) if alert is None else alert.rule_state

    def note(self, key: Key, verdict: Verdict) -> None:
        """Keep a verdict's state; an unknown verdict without a state changes nothing."""
        if verdict.rule_state:
            self._put(key, cleaned_verdict(verdict).rule_state)
        elif verdict.state is not VerdictState.UNKNOWN:
            self._put(key, {})

    def _put(self, key: Key, rule_state: RuleState) -> None:
        if rule_state == self.kept.get(key, {}):
            return
        self.dirty[key] = rule_state
        if rule_state:
            self.kept[key] = rule_state
        else:
            del self.kept[key]

    def forget(self, gone: Callable[[Key], bool]) -> None:
        """Delete the states of all keys for which ``gone`` returns True."""
        for key in [key for key in self.kept if gone(key)]:
            self._put(key, {})

    def take_dirty(self) -> dict[Key, RuleState]:
        """Return and clear the changes to save; an empty state means deletion."""
        taken, self.dirty = self.dirty, {}
        return taken
