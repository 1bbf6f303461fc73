"""The alert engine: results in, transitions out. Synchronous and without side effects of its own,
so that the running tocsin, ``tocsin replay`` and the tests drive the very same code."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import count
from typing import Any
from uuid import UUID

from attrs import evolve

from tocsin.core.alerts.due import due
from tocsin.core.alerts.evaluator import Evaluator, Outside, Verdicts
from tocsin.core.alerts.graph import Graph
from tocsin.core.alerts.inhibition import Inhibition, may_be_over
from tocsin.core.alerts.model import (
    SETTLING,
    Alert,
    Cause,
    Key,
    Moment,
    Phase,
    Suppression,
    Transition,
    differs,
)
from tocsin.core.alerts.noted import acknowledged
from tocsin.core.alerts.rule_faults import RuleFaults
from tocsin.core.alerts.rule_set import RuleSet
from tocsin.core.alerts.silences import Silencer
from tocsin.core.alerts.state_machine import phase_of, step
from tocsin.core.boundary import cleaned_verdict
from tocsin.core.contracts.model import Event, Observation, Target
from tocsin.core.contracts.rule import Verdict, VerdictState

LOOK_EVERY = 1.0
"""Seconds between two looks at what time alone ends: silences, windows, graces."""


class Engine:
    """All targets' histories and all alerts.

    ``outside`` runs a rule that may not run here (a stranger's) and comes back by :meth:`judge`;
    None: every rule runs here. ``faults`` keeps which plugin's rule raised, and what.
    """

    def __init__(
        self,
        quiet: Silencer | None = None,
        *,
        outside: Outside | None = None,
        faults: RuleFaults | None = None,
        grace: float = 60.0,
    ) -> None:
        self.alerts: dict[Key, Alert] = {}
        self.dirty: set[Key] = set()
        """Alerts that changed in a way that must outlive us, or ended; whoever saves them clears
        it."""
        self.evaluator = Evaluator(outside, RuleFaults() if faults is None else faults)
        self.graph = Graph()
        self.quiet = quiet or Silencer()
        self.settled = True
        self.inhibition = Inhibition(self.graph, lambda: self.book, grace)
        self._keys: dict[UUID, Key] = {}
        """Where an alert is, by its id."""
        self._verdicts: dict[Key, Verdict] = {}
        self._timers: list[tuple[float, int, Key]] = []
        self._order, self._look_at = count(), 0.0

    @property
    def book(self) -> RuleSet:
        """The rules of the configuration in force."""
        return self.evaluator.rules

    # What there is

    def load(self, alerts: Iterable[Alert]) -> None:
        """Take over alerts of an earlier run; nothing is told of them before :meth:`settle`."""
        for alert in alerts:
            self._put(alert)

    def configure(
        self, rules: RuleSet, now: Moment, grace: float | None = None
    ) -> list[Transition]:
        """Take over a configuration; alerts whose rule is gone are resolved."""
        self.evaluator.configure(rules)
        if grace is not None:
            self.inhibition.grace = grace
        changes: list[Transition] = []
        for key in list(self.alerts):
            if key[0] not in rules.own and not self.evaluator.watches(key):
                changes += self.judge(key, Verdict.over("its rule was taken away"), now)
            else:  # its policy may be another, and whether it explains others
                self._put(self.alerts[key])
        self.evaluator.forget()
        return changes

    def put(
        self, target: Target, source: str | None, checks: Mapping[str, Any], now: Moment
    ) -> list[Transition]:
        """A target is there, or has changed."""
        moved = self.graph.put(target.name, target.depends_on, target.service)
        changes: list[Transition] = []
        if (recent := self.evaluator.put(target, source, checks, now)) is not None:
            if recent.latest:  # a check that is gone fails no more
                changes += self._judge_all(self.evaluator.evaluate(recent, self.alerts, now), now)
            else:
                changes += self._end(target.name, "its checks were taken away", now)
        if moved:
            changes += self.recheck({target.name, *self.graph.below(target.name)}, now)
        return changes

    def drop(self, name: str, now: Moment, why: str = "the target was removed") -> list[Transition]:
        """A target is gone for good: its alerts are resolved."""
        self.evaluator.drop(name)
        changes = self._end(name, why, now)
        below = self.graph.below(name)
        self.graph.put(name, ())
        return changes + self.recheck(below, now)

    def _end(self, target: str, why: str, now: Moment) -> list[Transition]:
        changes: list[Transition] = []
        for key in [key for key in self.alerts if key[1] == target]:
            changes += self.judge(key, Verdict.over(why), now)
        return changes

    def find(self, alert_id: UUID) -> Alert | None:
        """An alert that is open, or was not long ago."""
        key = self._keys.get(alert_id)
        return None if key is None else self.alerts.get(key)

    # What is seen

    def observe(self, observation: Observation, now: Moment) -> list[Transition]:
        """Take in a result of a target that is there."""
        return self._judge_all(self.evaluator.observe(observation, self.alerts, now), now)

    def happened(self, event: Event, now: Moment) -> list[Transition]:
        """Take in an event of a target that is there."""
        return self._judge_all(self.evaluator.happened(event, self.alerts, now), now)

    def review(self, targets: Iterable[str], now: Moment) -> list[Transition]:
        """Have the rules of targets judge anew by what was seen already."""
        return self._judge_all(self.evaluator.review(targets, self.alerts, now), now)

    def _judge_all(self, verdicts: Verdicts, now: Moment) -> list[Transition]:
        changes: list[Transition] = []
        for key, verdict in verdicts:
            changes += self.judge(key, verdict, now)
        return changes

    def judge(self, key: Key, verdict: Verdict, now: Moment) -> list[Transition]:
        """Take in a verdict."""
        self.evaluator.note(key, verdict, now)
        if key not in self.alerts and verdict.state in (VerdictState.CLEAR, VerdictState.UNKNOWN):
            self.evaluator.carried.note(key, verdict)
            return []
        verdict = self._verdicts[key] = cleaned_verdict(verdict)
        return self._step(key, verdict, now)

    def _step(self, key: Key, verdict: Verdict, now: Moment) -> list[Transition]:
        before = self.alerts.get(key)
        policy = self.inhibition.policy(key)
        cover = self._cover(key, before, now)
        after, changes = step(key, before, verdict, now, policy, cover)
        if before is not None and (after is None or after.id != before.id):
            self._keys.pop(before.id, None)
        if after is None:
            self.alerts.pop(key, None)
            self._verdicts.pop(key, None)
            self.inhibition.drop(key)
            self.dirty.add(key)
            self.evaluator.carried.note(key, verdict)
        elif before is None or differs(before, after):
            after = evolve(after, revision=after.revision + 1)
            self._put(after)
        else:
            self.alerts[key] = after
        out = [evolve(change, alert=evolve(change.alert, revision=after.revision))
               if after is not None else change for change in changes]  # fmt: skip
        if phase_of(before) is not phase_of(after):
            explains = self.book.inhibits(*key)
            if explains or self.book.leads(*key):
                out += self.recheck({key[1], *self.graph.below(key[1])}, now, but=key)
            for leader in self.inhibition.leaders(key[1]) if explains else ():
                if leader in self._verdicts:  # it may be as grave now as what it stands for
                    out += self._step(leader, self._verdicts[leader], now)
        return out

    def _put(self, alert: Alert) -> None:
        self.alerts[alert.key] = alert
        self._keys[alert.id] = alert.key
        self.dirty.add(alert.key)
        self.inhibition.put(alert)
        when = due(alert, self.inhibition.policy(alert.key))
        if when is not None:
            heapq.heappush(self._timers, (when, next(self._order), alert.key))

    def _cover(self, key: Key, alert: Alert | None, now: Moment) -> Suppression | None:
        """What keeps an alert from being told now."""
        found = self.inhibition.over(key, alert, now.steady)
        if (found is None or found.cause is Cause.HELD) and self.quiet.any():
            policy = self.book.policy(*key)
            stand_in = alert or Alert(
                rule=key[0], target=key[1], severity=policy.severity, since=0.0, since_at=now.wall
            )
            found = self.quiet.mutes(stand_in, self.evaluator.target(key[1]), now.wall) or found
        return found if found is not None or self.settled else SETTLING

    # What time does

    def settle(self, now: Moment, *, freeze: bool = True) -> list[Transition]:
        """Looking around is over: what waited for that is told.

        ``freeze``: all has been looked at since the start; alerts of which nothing was said freeze.
        """
        self.settled = True
        unseen = Verdict.unknown("nothing seen since the start") if freeze else None
        changes: list[Transition] = []
        for key in list(self.alerts):
            if (verdict := self._verdicts.get(key, unseen)) is not None:
                changes += self.judge(key, verdict, now)
        return changes

    def tick(self, now: Moment) -> list[Transition]:
        """Do what is due by now."""
        changes = self._judge_all(self.evaluator.recheck(self.alerts, now), now)
        while self._timers and self._timers[0][0] <= now.steady:
            _, _, key = heapq.heappop(self._timers)
            alert = self.alerts.get(key)
            if alert is None or key not in self._verdicts:
                continue
            when = due(alert, self.inhibition.policy(key))
            if when is not None and when <= now.steady:
                changes += self._step(key, self._verdicts[key], now)
        if now.steady >= self._look_at or now.steady < self._look_at - LOOK_EVERY:
            self._look_at = now.steady + LOOK_EVERY
            changes += self.recheck(None, now)
        return changes

    def next_due(self, *, looking: bool = True) -> float | None:
        """The steady time of the next :meth:`tick` that does something (``looking``: or looks
        whether something suppresses), or None."""
        times = [] if (look := self.evaluator.next_recheck()) is None else [look]
        times += [at for at, _, _ in self._timers[:1]]
        if looking and any(self._waits(alert) for alert in self.alerts.values()):
            times.append(self._look_at)
        return min(times, default=None)

    def _waits(self, alert: Alert) -> bool:
        """Whether something may begin or end to suppress it without anything being seen."""
        return alert.phase is Phase.FIRING and (alert.suppression is not None or self.quiet.any())

    def recheck(
        self, targets: Collection[str] | None, now: Moment, but: Key | None = None
    ) -> list[Transition]:
        """See anew what suppresses the firing alerts of some targets, or of all."""
        changes: list[Transition] = []
        for key, alert in list(self.alerts.items()):
            if alert.phase is not Phase.FIRING or key == but or key not in self._verdicts:
                continue
            if targets is not None and key[1] not in targets:
                continue
            if targets is None and not self._waits(alert):
                continue
            cover = self._cover(key, alert, now)
            if cover is None and may_be_over(alert, now):
                continue
            if cover != alert.suppression:
                changes += self._step(key, self._verdicts[key], now)
        return changes

    # What people and channels do

    def acknowledge(
        self, alert: Alert, by: str | None, comment: str, now: Moment
    ) -> list[Transition]:
        """Note that somebody looks after a firing alert (``by`` None: no more)."""
        changed, change = acknowledged(alert, by, comment, now)
        changed = evolve(changed, revision=alert.revision + 1)
        self._put(changed)
        return [evolve(change, alert=changed)]

    def queued(self, key: Key, channels: Collection[str], *, recovered: bool = False) -> None:
        """Channels are to be told of the firing (or, ``recovered``, of its end)."""
        alert = self.alerts.get(key)
        if alert is not None:
            heard = frozenset[str]() if recovered else alert.heard
            self.alerts[key] = evolve(alert, heard=heard, owed=alert.owed - frozenset(channels))
            self.dirty.add(key)

    def revise(self, alert_id: UUID, become: Callable[[Alert], Alert]) -> None:
        """Note what channels did about an alert that is known: see
        :mod:`tocsin.core.alerts.noted`."""
        alert = self.find(alert_id)
        if alert is not None and (changed := become(alert)) != alert:
            self.alerts[alert.key] = evolve(changed, revision=alert.revision + 1)
            self.dirty.add(alert.key)
