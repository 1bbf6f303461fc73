"""The settling phase after a start, in which no notification is sent until every check has run.

Its time is summed over consecutive runs, so that a tocsin that is killed again and again still
notifies.
"""

from __future__ import annotations

from attrs import define, evolve

from tocsin.core.alerts.durable_clock import Anchor, goes_on
from tocsin.core.journal.file import Life

SETTLE_MOST = 60.0
"""Maximum length of the settling phase, in seconds."""

SIGN_EVERY, SIGN_EVERY_YOUNG = 20.0, 5.0
"""Seconds between signs of life in the journal: normally, and during the settling phase."""

NEXT_LIFE = 60.0
"""Seconds after a run's last sign of life within which a start continues that run."""

BRIEF = 10.0
"""Seconds after the last sign of life that count towards settling; the rest counts as downtime."""


@define
class Settling:
    """The state of the settling phase. Times are steady seconds.

    Attributes:
        life: what the journal is to keep about this run.
        began: when this run began.
        has_looked: whether every check of this run has run, or was waited for long enough.
        signed: when the last sign of life was written to the journal.
    """

    life: Life
    began: float
    has_looked: bool = False
    signed: float = 0.0

    @classmethod
    def after(cls, before: Life | None, anchor: Anchor | None, here: Anchor) -> Settling:
        """Return the state at a start.

        A run that was killed or stopped before it had settled is continued: its settling time
        counts. After one that had settled and was killed, there is no settling phase, since the
        state of all alerts is known. After a long pause, a reboot, or an orderly stop of a settled
        run, settling begins anew.

        Args:
            before: the earlier run, or None.
            anchor: its last sign of life.
            here: this moment.
        """
        now = here.steady
        fresh = cls(Life(since=now), now)
        if before is None or anchor is None or not goes_on(anchor, here):
            return fresh
        off = here.monotonic - anchor.monotonic
        if off > NEXT_LIFE or (before.settled and before.ended):
            return fresh
        return cls(evolve(before, since=before.since + max(0.0, off - BRIEF), ended=False), now)

    def look(self, now: float, looked_around: bool) -> None:
        """Update the phase. ``looked_around``: whether every check of this run has run."""
        self.has_looked = self.has_looked or looked_around or now - self.began >= SETTLE_MOST
        if not self.life.settled and (self.has_looked or now - self.life.since >= SETTLE_MOST):
            self.life = evolve(self.life, settled=True)
            self.signed = 0.0  # write the change to the journal at once

    def sign(self, now: float) -> Life | None:
        """Return the sign of life to write to the journal now; None if the last is recent."""
        if now - self.signed < (SIGN_EVERY if self.life.settled else SIGN_EVERY_YOUNG):
            return None
        self.signed = now
        return self.life

    def ended(self) -> Life:
        """Return what to write to the journal after an orderly stop."""
        return evolve(self.life, ended=True)
