"""The life of an alert, as one pure function.

=============  ==================================================  ================================
state          how it is held                                      leaves it when
=============  ==================================================  ================================
(none)         no alert                                            rising or firing → pending
pending        PENDING                                             firing for the policy's wait →
                                                                   firing; clear → (none)
firing         FIRING                                              clear → resolved
acknowledged   FIRING, ``acknowledged_by`` set: no repeats, no     clear → resolved; taken back →
               escalation; over once the recovery was told         firing
escalated      FIRING, ``escalated``: severity raised, channels    clear → resolved
               added, after ``escalate_after`` repeats
suppressed     FIRING, ``suppression`` set: lives on, is not told  suppression over → told then
                                                                   (released); clear → resolved
resolved       RESOLVED, for a cooldown                            firing again (after the wait) →
                                                                   reopened; cooldown over → closed
reopened       FIRING, ``flaps`` ≥ 1: told when a cooldown has     clear → resolved
(flap)         passed since the last message; while it flaps
               (twice or more, each time shorter than a
               cooldown) every 4 cooldowns, and its recovery
               waits until it has lasted a cooldown
frozen         any, ``frozen`` set: the verdict is unknown; no     verdict known again: every moment
               time passes for it                                  moves on by the gap
=============  ==================================================  ================================

Told are: the firing, at once; each cooldown a repeat; the escalation in place of the repeat after
the last, or at once where it is graver than it was; the recovery, once, to those who heard of the
firing, also while suppressed: who was told of a failure is told of its end.
"""

from __future__ import annotations

from typing import Any

from attrs import define, evolve, field

from tocsin.core.alerts.due import FLAPS, is_flapping, next_word
from tocsin.core.alerts.model import (
    Alert,
    Cause,
    Change,
    Key,
    Moment,
    Phase,
    Policy,
    Suppression,
    Transition,
)
from tocsin.core.contracts.rule import Verdict, VerdictState


def step(
    key: Key,
    alert: Alert | None,
    verdict: Verdict,
    now: Moment,
    policy: Policy,
    suppression: Suppression | None = None,
) -> tuple[Alert | None, tuple[Transition, ...]]:
    """One step of an alert's life: what it is now, and what changed. Pure; ids come with ``now``.

    ``alert`` None: there is none; None is returned when there is none any more.
    """
    walk = _Walk(key, alert, verdict, now, policy, suppression)
    walk.go()
    return walk.alert, tuple(walk.changes)


def phase_of(alert: Alert | None) -> Phase | None:
    """Where an alert is in its life; None where there is none."""
    return None if alert is None else alert.phase


@define
class _Walk:
    key: Key
    alert: Alert | None
    verdict: Verdict
    now: Moment
    policy: Policy
    suppression: Suppression | None
    changes: list[Transition] = field(factory=list)

    def go(self) -> None:
        if self.verdict.state is VerdictState.UNKNOWN:
            if self.alert is not None and self.alert.frozen is None:
                self._set(frozen=self.now.steady)
            if self.alert is not None and self.verdict.carry:
                self._set(carry=self.verdict.carry)
            return
        self._thaw()
        if self.alert is not None and self.alert.phase is Phase.RESOLVED:
            if self.verdict.carry != self.alert.carry:
                self._set(carry=self.verdict.carry)
            self._resolved(self.alert)
        if self.alert is None or self.alert.phase is Phase.RESOLVED:
            self._begin()
        if self.alert is not None and self.alert.phase is Phase.PENDING:
            self._pending(self.alert)
        if self.alert is not None and self.alert.phase is Phase.FIRING:
            self._firing(self.alert)

    def _set(self, **fields: Any) -> Alert:
        assert self.alert is not None  # noqa: S101
        self.alert = evolve(self.alert, **fields)
        return self.alert

    def _tell(self, kind: Change, *, reason: str = "", why: str = "") -> None:
        assert self.alert is not None  # noqa: S101
        self.changes.append(
            Transition(
                id=self.now.ids.new(), kind=kind, alert=self.alert, at=self.now.wall,
                notify=not reason, reason=reason, why=why,
            )
        )  # fmt: skip

    def _keep(self, kind: Change) -> None:
        assert self.alert is not None  # noqa: S101
        self.changes.append(
            Transition(id=self.now.ids.new(), kind=kind, alert=self.alert, at=self.now.wall)
        )

    def _thaw(self) -> None:
        if self.alert is None or self.alert.frozen is None:
            return
        gap = max(0.0, self.now.steady - self.alert.frozen)
        moved = {
            name: value + gap
            for name in ("since", "armed", "fired", "resolved", "last_told", "hold_until")
            if (value := getattr(self.alert, name)) is not None
        }
        if gap:
            moved["thawed"] = self.now.steady
        self._set(frozen=None, **moved)

    # Resolved, and on the way there

    def _resolved(self, alert: Alert) -> None:
        now, policy = self.now.steady, self.policy
        assert alert.resolved is not None  # noqa: S101
        if alert.told and not self._settling() and now >= (alert.hold_until or now):
            self._recover()
        if now - alert.resolved >= policy.cooldown and not self._awaited():
            self._keep(Change.CLOSED)
            self.alert = None

    def _awaited(self) -> bool:
        """Whether people still wait for the recovery."""
        return self.alert is not None and self.alert.told

    def _settling(self) -> bool:
        return self.suppression is not None and self.suppression.cause is Cause.SETTLING

    def _recover(self) -> None:
        self._set(told=False, last_told=self.now.steady, hold_until=None, owed=frozenset())
        self._tell(Change.RESOLVED)

    def _resolve(self, alert: Alert) -> None:
        now = self.now.steady
        flapping = is_flapping(alert, self.policy, now)
        alert = self._set(
            phase=Phase.RESOLVED,
            resolved=now,
            resolved_at=self.now.wall,
            downtime=max(0.0, now - alert.since),
            resolution=self.verdict.message or "back in order",
            recovered=self.verdict.recovered,
            suppression=None,
            hold_until=now + self.policy.cooldown if flapping else None,
            carry=self.verdict.carry,
        )
        if not alert.told:
            if alert.unheard:  # what fires next is news
                self._set(last_told=None, unheard=False)
            self._tell(Change.RESOLVED, reason="unheard", why="nobody was told that it fired")
        elif flapping:
            self._tell(Change.RESOLVED, reason="flapping", why="told once it has lasted a cooldown")
        elif self._settling():
            self._tell(Change.RESOLVED, reason=Cause.SETTLING, why="tocsin has just started")
        else:
            self._recover()

    # Pending

    def _begin(self) -> None:
        if self.verdict.state is VerdictState.CLEAR:
            return
        rule, target = self.key
        if self.alert is None:
            self.alert = Alert(
                id=self.now.ids.new(),
                rule=rule,
                target=target,
                since=self.now.steady,
                since_at=self.now.wall,
            )
        self._set(
            phase=Phase.PENDING,
            since=self.now.steady,
            since_at=self.now.wall,
            armed=None,
            message=self.verdict.message,
            details=self.verdict.details,
            carry=self.verdict.carry,
            severity=self.policy.severity.raised()
            if self.alert.escalated
            else self.policy.severity,
        )
        if self.alert.resolved is None:
            self._keep(Change.PENDING)

    def _pending(self, alert: Alert) -> None:
        state, now = self.verdict.state, self.now.steady
        if state is VerdictState.CLEAR:
            if alert.resolved is not None:  # it was about to reopen
                self._set(phase=Phase.RESOLVED, carry=self.verdict.carry)
                return
            self._keep(Change.CANCELLED)
            self.alert = None
            return
        armed = None
        if state is VerdictState.FIRING:
            armed = now if alert.armed is None else alert.armed
        alert = self._set(
            armed=armed,
            message=self.verdict.message,
            details=self.verdict.details,
            carry=self.verdict.carry,
        )
        if armed is not None and now - armed >= self.policy.wait:
            self._fire(alert)

    # Firing

    def _fire(self, alert: Alert) -> None:
        now = self.now.steady
        again = alert.resolved is not None
        if again and not alert.told and alert.recovered:
            # Whoever took note of it was told that all was well: this is news to them.
            alert = self._set(acknowledged_by=None, acknowledged_at=None, comment="")
        alert = self._set(
            phase=Phase.FIRING,
            fired=now,
            fired_at=self.now.wall,
            resolved=None,
            resolved_at=None,
            downtime=None,
            resolution="",
            recovered=True,
            hold_until=None,
            flaps=alert.flaps + again,
            suppression=self.suppression,
        )
        kind = Change.REOPENED if again else Change.FIRED
        if alert.told:  # its recovery was held back, so nothing is news
            self._tell(kind, reason="flapping", why="its recovery had not been told yet")
        elif self.suppression is not None:
            self._tell(kind, reason=self.suppression.cause, why=self.suppression.message)
        elif alert.last_told is not None and now < next_word(alert, self.policy):
            self._tell(kind, reason="cooldown", why="it fired before, not long ago")
        else:
            self._say(kind if alert.flaps < FLAPS else Change.FLAPPING)

    def _say(self, kind: Change) -> None:
        assert self.alert is not None  # noqa: S101
        flapping = kind in (Change.FLAPPING, Change.REOPENED)
        self._set(
            told=True,
            unheard=False,
            last_told=self.now.steady,
            flaps_told=self.alert.flaps_told + flapping,
        )
        self._tell(kind)

    def _firing(self, alert: Alert) -> None:
        if self.verdict.state is VerdictState.CLEAR:
            self._resolve(alert)
            return
        now, before = self.now.steady, alert.severity
        said = alert.said
        alert = self._set(
            message=self.verdict.message,
            details=self.verdict.details,
            carry=self.verdict.carry,
            severity=self.policy.severity.raised() if alert.escalated else self.policy.severity,
        )
        if self._suppressed(alert) or alert.acknowledged_by is not None:
            return
        if alert.owed or alert.last_told is None:
            self._say(Change.RELEASED)
        elif said and alert.severity.rank > before.rank:
            self._say(Change.ESCALATED)
        elif now < next_word(alert, self.policy):
            return
        elif is_flapping(alert, self.policy, now):
            self._say(Change.FLAPPING)
        elif not said:
            self._say(Change.REOPENED)
        elif self.policy.escalate_after and not alert.escalated:
            if alert.repeats >= self.policy.escalate_after:
                self._set(escalated=True, severity=self.policy.severity.raised())
                self._say(Change.ESCALATED)
            else:
                self._repeat(alert)
        else:
            self._repeat(alert)

    def _repeat(self, alert: Alert) -> None:
        self._set(repeats=alert.repeats + 1)
        self._say(Change.REPEATED)

    def _suppressed(self, alert: Alert) -> bool:
        """Take over what suppresses it; True while something does."""
        if self._settling() and (alert.said or alert.suppression is not None):
            return True  # no news: it only waits for what tocsin has not looked at yet
        if self.suppression != alert.suppression:
            alert = self._set(suppression=self.suppression)
            if self.suppression is not None:
                self._tell(
                    Change.SUPPRESSED, reason=self.suppression.cause, why=self.suppression.message
                )
        return self.suppression is not None
