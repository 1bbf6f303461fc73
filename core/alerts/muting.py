"""What mutes an alert: the failure of another target, a silence, a window, or a fresh start."""

from __future__ import annotations

from attrs import define

from tocsin.core.alerts.evaluator import Evaluator
from tocsin.core.alerts.inhibition import Inhibition
from tocsin.core.alerts.model import SETTLING, Alert, Cause, Key, Moment, Phase, Suppression
from tocsin.core.alerts.silences import Silencer


@define
class Muting:
    """Asks all that may mute an alert.

    Attributes:
        inhibition: failures that explain others.
        quiet: silences and maintenance windows.
        evaluator: knows the targets.
        settled: whether tocsin has looked around since its start; before, nothing is notified.
    """

    inhibition: Inhibition
    quiet: Silencer
    evaluator: Evaluator
    settled: bool = True

    def of(self, key: Key, alert: Alert | None, now: Moment) -> Suppression | None:
        """What mutes an alert now (``alert`` None: one that is about to begin), or None."""
        found = self.inhibition.over(key, alert, now.steady)
        if (found is None or found.cause is Cause.HELD) and self.quiet.any():
            severity = self.evaluator.rules.policy(*key).severity
            stand_in = alert or Alert(
                rule=key[0], target=key[1], severity=severity, since=0.0, since_at=now.wall
            )
            target = self.evaluator.target(key[1])
            found = self.quiet.mutes(stand_in, target, now.wall) or found
        return found if found is not None or self.settled else SETTLING

    def may_change(self, alert: Alert) -> bool:
        """Whether something may begin or end to mute an alert without anything being seen."""
        return alert.phase is Phase.FIRING and (alert.suppression is not None or self.quiet.any())
