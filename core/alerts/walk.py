"""The working state of one step of the state machine."""

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
    """The input of one step, the alert as changed so far, and its changes.

    Attributes:
        key: rule and target.
        alert: None if there is none, or none any more.
        verdict: the rule's verdict.
        now: the moment of the step.
        policy: how the alert is handled.
        suppression: what mutes the alert now.
        changes: changes made so far.
    """

    key: Key
    alert: Alert | None
    verdict: Verdict
    now: Moment
    policy: Policy
    suppression: Suppression | None
    changes: list[Transition] = field(factory=list)

    def set(self, **fields: Any) -> Alert:
        """Set fields of the alert, which must exist; return it."""
        assert self.alert is not None  # noqa: S101
        self.alert = evolve(self.alert, **fields)
        return self.alert

    def notify(self, kind: Change, *, reason: str = "", why: str = "") -> None:
        """Add a change that people are notified of, unless ``reason`` says why not."""
        self._note(kind, notify=not reason, reason=reason, why=why)

    def record(self, kind: Change) -> None:
        """Add a change that is recorded without a notification."""
        self._note(kind)

    def _note(self, kind: Change, **fields: Any) -> None:
        assert self.alert is not None  # noqa: S101
        change = Transition(
            id=self.now.ids.new(), kind=kind, alert=self.alert, at=self.now.wall, **fields
        )
        self.changes.append(change)

    def thaw(self) -> None:
        """Unfreeze the alert: shift all its times by as long as it was frozen."""
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
        """Whether the recovery still has to be notified."""
        return self.alert is not None and self.alert.notified

    @property
    def is_settling(self) -> bool:
        """Whether the settling phase after a start suppresses the alert."""
        return self.suppression is not None and self.suppression.cause is Cause.SETTLING
