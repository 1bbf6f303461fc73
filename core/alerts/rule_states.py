"""What rules keep from one verdict to the next while there is no alert that holds it."""

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
    """By alert key. ``dirty`` has what changed since it was saved last."""

    kept: dict[Key, RuleState] = field(factory=dict)
    dirty: dict[Key, RuleState] = field(factory=dict)

    def of(self, key: Key, alert: Alert | None) -> RuleState:
        """What comes back to a rule: what its alert holds, or what is kept here."""
        return self.kept.get(key, {}) if alert is None else alert.rule_state

    def note(self, key: Key, verdict: Verdict) -> None:
        """Keep the state that a verdict has; an unknown one without a state changes nothing."""
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
        """Drop what is of no use any more."""
        for key in [key for key in self.kept if gone(key)]:
            self._put(key, {})

    def take_dirty(self) -> dict[Key, RuleState]:
        """What changed, to be saved; empty where nothing is kept any more."""
        taken, self.dirty = self.dirty, {}
        return taken
