"""Root causes: an alert is suppressed while the failure of another target explains it."""

from __future__ import annotations

from collections.abc import Collection
from math import inf

from attrs import define, field

from tocsin.core.alerts.evaluator import Evaluator
from tocsin.core.alerts.graph import Graph
from tocsin.core.alerts.model import Alert, Cause, Key, Moment, Phase, Policy, Suppression
from tocsin.core.contracts.rule import Severity

PATIENCE = 120.0
"""Maximum time, in seconds, for which an alert waits until it is known whether a target that it
depends on is down."""


@define
class Inhibition:
    """The open alerts that explain (inhibit) others.

    ``grace``: seconds after the resolution of such an alert for which dependent targets may still
    recover by themselves.

    A service explains other alerts only while all of its replicas are down. On one target, an alert
    that says that the target is down explains less severe ones of that kind (a stopped container
    explains its failed checks), and an alert that stands for such alerts (a restart loop) replaces
    them; all other alerts of the target are notified separately.
    """

    graph: Graph
    evaluator: Evaluator
    grace: float = 60.0
    _roots: dict[str, dict[Key, Alert]] = field(factory=dict)
    _leaders: dict[str, dict[Key, Alert]] = field(factory=dict)
    """Alerts that stand for the root alerts of the same target."""

    def put(self, alert: Alert) -> None:
        """Add or update an alert."""
        self.drop(alert.key)
        for known, has_it in (
            (self._roots, self.evaluator.rules.inhibits(*alert.key)),
            (self._leaders, self.evaluator.rules.leads(*alert.key)),
        ):
            if has_it:
                known.setdefault(alert.target, {})[alert.key] = alert

    def drop(self, key: Key) -> None:
        """Remove an alert."""
        for every in (self._roots, self._leaders):
            if (known := every.get(key[1])) is not None:
                known.pop(key, None)
                if not known:
                    del every[key[1]]

    def leaders(self, target: str) -> list[Key]:
        """Return the alerts of a target that stand for its other alerts."""
        return list(self._leaders.get(target, ()))

    def policy(self, key: Key) -> Policy:
        """Return an alert's policy; one that stands for others is handled as they are, once they
        fired."""
        policy = self.evaluator.rules.policy(*key)
        if self.evaluator.rules.leads(*key):
            mine = self._leaders.get(key[1], {}).get(key)
            since = inf if mine is None else mine.since
            for other in self._roots.get(key[1], {}).values():
                over = other.resolved is not None and other.resolved < since
                if other.key != key and other.fired is not None and not over:
                    policy = policy.joined(self.evaluator.rules.policy(*other.key))
        return policy

    def _leader(self, key: Key, mine: Alert | None, now: float) -> Alert | None:
        """Return the alert that stands for another one of its target, unless it is silenced."""
        silenced = (Cause.SILENCED, Cause.MAINTENANCE)
        for alert in self._leaders.get(key[1], {}).values() if self._explains(key) else ():
            is_told = alert.suppression is None or alert.suppression.cause not in silenced
            if alert.phase is Phase.FIRING and is_told and self._sure(alert, mine, now):
                return alert
        return None

    def _explains(self, key: Key) -> bool:
        return self.evaluator.rules.inhibits(*key)

    def _severity(self, key: Key) -> Severity:
        return self.evaluator.rules.policy(*key).severity

    def over(self, key: Key, mine: Alert | None, now: float) -> Suppression | None:
        """Return what explains an alert, or may turn out to explain it; None if nothing does.

        Args:
            key: rule and target of the alert.
            mine: the alert, or None if it is about to begin.
            now: steady seconds.
        """
        if not self._roots and not self._leaders:
            return None
        if (leader := self._leader(key, mine, now)) is not None:
            message = f"{leader.rule} on {leader.target} covers it"
            return Suppression(cause=Cause.INHIBITED, by=leader.target, message=message)
        found: list[tuple[Alert, Cause]] = []
        above = self.graph.above(key[1]) & self._roots.keys()
        for replicas in {self.graph.replicas(name) for name in above}:
            found += self._of_service(replicas, key, mine, now)
        yields = self.evaluator.rules.yields(*key)
        rank = self._severity(key).rank if yields else Severity.CRITICAL.rank
        found += [
            (alert, cause)
            for alert in self._roots.get(key[1], {}).values()
            if alert.key != key
            and self._severity(alert.key).rank > rank
            and (cause := self._force(alert, mine, now)) is not None
        ]
        if not found:
            return None
        firm = [alert for alert, cause in found if cause is Cause.INHIBITED]
        if firm:
            root = min(firm, key=lambda a: (self._depth(a, firm), a.fired or 0.0, a.target))
            message = f"{root.rule} on {root.target} explains it"
            if root.phase is Phase.RESOLVED:
                word = "recovered" if root.recovered else "gone"
                message = f"{root.target} has just {word}; this one may follow"
            return Suppression(cause=Cause.INHIBITED, by=root.target, message=message)
        root = min((alert for alert, _ in found), key=lambda a: (a.since, a.target))
        return Suppression(
            cause=Cause.HELD,
            by=root.target,
            message=f"waiting to see if {root.target} is the cause ({root.rule} is pending)",
        )

    def _of_service(
        self, replicas: Collection[str], key: Key, mine: Alert | None, now: float
    ) -> list[tuple[Alert, Cause]]:
        """Return the alerts of a service's replicas that explain another alert.

        There are none while one replica is up, or may have been up all the time; if a replica has
        only a pending alert, just the pending ones are returned.
        """
        each = [
            [
                (alert, cause)
                for alert in self._roots.get(name, {}).values()
                if (cause := self._force(alert, mine, now)) is not None
                and self._before(alert, key, mine)
            ]
            for name in replicas
        ]
        began = max((min((a.since for a, _ in of), default=inf) for of in each), default=inf)
        ended = min((max(_end(a) for a, _ in of) for of in each if of), default=inf)
        if began > ended or not all(each):
            return []
        waited_for = [of for of in each if all(cause is Cause.HELD for _, cause in of)]
        return [one for of in waited_for or each for one in of]

    def affected(self, target: str) -> tuple[str, ...]:
        """Return the names of all targets that depend on a target's service, sorted, with services
        in place of their instances; none while another replica is up."""
        for other in self.graph.replicas(target) - {target}:
            if not any(alert.open for alert in self._roots.get(other, {}).values()):
                return ()
        return self.graph.dependents(target)

    def _force(self, alert: Alert, mine: Alert | None, now: float) -> Cause | None:
        if alert.phase is Phase.FIRING:
            return Cause.INHIBITED if self._sure(alert, mine, now) else None
        if alert.phase is Phase.RESOLVED:
            recent = alert.resolved is not None and now - alert.resolved < self.grace
            return Cause.INHIBITED if recent else None
        return Cause.HELD if now - alert.since < PATIENCE else None

    def _sure(self, root: Alert, mine: Alert | None, now: float) -> bool:
        """Return whether a firing root alert still counts as down. If its verdict is unknown while
        that of the other alert is known, it does so for PATIENCE seconds: its next result may
        follow soon."""
        if root.frozen is None:
            return True
        if mine is None:
            return now - root.frozen < PATIENCE
        return mine.frozen is not None or now - max(root.frozen, mine.thawed or 0.0) < PATIENCE

    def _before(self, root: Alert, key: Key, mine: Alert | None) -> bool:
        """Return False if the targets depend on each other in a cycle and the root failed later."""
        if mine is None or key[1] not in self.graph.above(root.target):
            return True
        return (root.since, root.id) < (mine.since, mine.id)

    def _depth(self, alert: Alert, among: list[Alert]) -> int:
        above = self.graph.above(alert.target)
        return sum(other.target in above for other in among)


def _end(alert: Alert) -> float:
    return inf if alert.open or alert.resolved is None else alert.resolved


def may_be_over(alert: Alert, now: Moment) -> bool:
    """Return whether an alert's hold has ended and its own next result should be awaited, for at
    most PATIENCE seconds, because it may have recovered as well."""
    held = alert.suppression is not None and alert.suppression.cause is Cause.HELD
    return held and alert.fired is not None and now.steady - alert.fired < PATIENCE
