"""What mutes an alert: another target's failure, a silence, a window, or the settling phase."""

from __future__ import annotations

from attrs import define

from tocsin.core.alerts.evaluator import Evaluator
from tocsin.core.alerts.inhibition import Inhibition
from tocsin.core.alerts.model import SETTLING, Alert, Cause, Key, Moment, Phase, Suppression
from tocsin.core.alerts.silences import Silencer


@define
class Muting:
    """Combines everything that may mute an alert.

    Attributes:
        inhibition: alerts that explain others.
        quiet: silences and maintenance windows.
        evaluator: knows the targets.
        settled: whether the settling phase after the start is over; before, all alerts are muted.
    """

    inhibition: Inhibition
    quiet: Silencer
    evaluator: Evaluator
    settled: bool = True

    def of(self, key: Key, alert: Alert | None, now: Moment) -> Suppression | None:
        """Return what mutes an alert now, or None. ``alert`` None: one that is about to begin."""
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
        """Return whether an alert's suppression may begin or end by the passage of time alone."""
        return alert.phase is Phase.FIRING and (alert.suppression is not None or self.quiet.any())
