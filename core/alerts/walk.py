"""One step of an alert's life under way."""

from __future__ import annotations

from typing import Any

from attrs import define, evolve, field

from tocsin.core.alerts.model import (
    Alert,
    Cause,
    Change,
    Key,
    Moment,
    Policy,
    Suppression,
    Transition,
)
from tocsin.core.contracts.rule import Verdict

_MOMENTS = ("since", "firing_since", "fired", "resolved", "last_notified", "hold_until")
"""Fields of an alert that are steady times."""


@define
class Walk:
    """What one step starts from, the alert as it is by now, and what changed.

    Attributes:
        key: rule and target.
        alert: None: there is none, or none any more.
        verdict: what the rule says.
        now: the moment of the step.
        policy: how the alert is treated.
        suppression: what mutes the alert now.
        changes: what the step has changed so far.
    """

    key: Key
    alert: Alert | None
    verdict: Verdict
    now: Moment
    policy: Policy
    suppression: Suppression | None
    changes: list[Transition] = field(factory=list)

    def set(self, **fields: Any) -> Alert:
        """Change fields of the alert, which is there; returns it."""
        assert self.alert is not None  # noqa: S101
        self.alert = evolve(self.alert, **fields)
        return self.alert

    def notify(self, kind: Change, *, reason: str = "", why: str = "") -> None:
        """Note a change that people are notified of, unless there is a ``reason`` not to."""
        self._note(kind, notify=not reason, reason=reason, why=why)

    def record(self, kind: Change) -> None:
        """Note a change that nobody is notified of."""
        self._note(kind)

    def _note(self, kind: Change, **fields: Any) -> None:
        assert self.alert is not None  # noqa: S101
        change = Transition(
            id=self.now.ids.new(), kind=kind, alert=self.alert, at=self.now.wall, **fields
        )
        self.changes.append(change)

    def thaw(self) -> None:
        """The verdict is known again: every moment of the alert moves on by the gap."""
        if self.alert is None or self.alert.frozen is None:
            return
        gap = max(0.0, self.now.steady - self.alert.frozen)
        moved = {
            name: value + gap
            for name in _MOMENTS
            if (value := getattr(self.alert, name)) is not None
        }
        if gap:
            moved["thawed"] = self.now.steady
        self.set(frozen=None, **moved)

    @property
    def is_awaited(self) -> bool:
        """Whether people still wait for the recovery."""
        return self.alert is not None and self.alert.notified

    @property
    def is_settling(self) -> bool:
        """Whether tocsin has not looked around since its start."""
        return self.suppression is not None and self.suppression.cause is Cause.SETTLING
