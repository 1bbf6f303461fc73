"""How long a start looks around before it tells: counted over the lives of tocsin that follow one
another, so that one that is killed again and again tells all the same."""

from __future__ import annotations

from attrs import define, evolve

from tocsin.core.alerts.durable_clock import Anchor, goes_on
from tocsin.core.journal.file import Life

SETTLE_MOST = 60.0
"""Seconds for which checks that have not run yet are waited for."""

SIGN_EVERY, SIGN_EVERY_YOUNG = 20.0, 5.0
"""Seconds between two signs of life in the journal: usually, and while looking around."""

NEXT_LIFE = 60.0
"""Seconds after its last sign of life in which a start continues an earlier life."""

BRIEF = 10.0
"""Seconds after the last sign of life that count as looking around; what is longer was off."""


@define
class Settling:
    """Where a start is with looking around. Times are steady seconds.

    Attributes:
        life: what the journal is to remember of this life.
        began: when this life began.
        has_looked: this life has seen all there is, or waited for it for long enough.
        signed: when the journal got the last sign of life.
    """

    life: Life
    began: float
    has_looked: bool = False
    signed: float = 0.0

    @classmethod
    def after(cls, before: Life | None, anchor: Anchor | None, here: Anchor) -> Settling:
        """A start.

        A life that was killed before it had settled, or stopped, is continued: the time for which
        it looked around counts. After one that had settled and was killed, nothing is waited for:
        the state of all alerts is known. After a long pause, a boot of the machine, or an orderly
        stop of a life that had settled, looking around begins anew.

        Args:
            before: the earlier life, or None.
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
        """Note how far looking around is. ``looked_around``: this life has seen all there is."""
        self.has_looked = self.has_looked or looked_around or now - self.began >= SETTLE_MOST
        if not self.life.settled and (self.has_looked or now - self.life.since >= SETTLE_MOST):
            self.life = evolve(self.life, settled=True)
            self.signed = 0.0  # the next life is to know

    def sign(self, now: float) -> Life | None:
        """What to write down as a sign of life now, or None where the last is not old."""
        if now - self.signed < (SIGN_EVERY if self.life.settled else SIGN_EVERY_YOUNG):
            return None
        self.signed = now
        return self.life

    def ended(self) -> Life:
        """What the journal is to remember after an orderly stop."""
        return evolve(self.life, ended=True)
