"""The alert engine: results in, transitions out. Synchronous and without side effects of its own,
so that the running tocsin, ``tocsin replay`` and the tests drive the very same code."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import count
from typing import Any
from uuid import UUID

from attrs import evolve

from tocsin.core.alerts.carried import Carried
from tocsin.core.alerts.due import due
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
from tocsin.core.alerts.recent import Reading, Recent
from tocsin.core.alerts.recheck_timers import RecheckTimers
from tocsin.core.alerts.rule_faults import RuleFaults
from tocsin.core.alerts.rule_set import EMPTY, BoundRule, RuleSet
from tocsin.core.alerts.silences import Silencer
from tocsin.core.alerts.state_machine import phase_of, step
from tocsin.core.boundary import cleaned_verdict
from tocsin.core.contracts.model import Event, Observation, Target
from tocsin.core.contracts.rule import History, Verdict, VerdictState
from tocsin.core.plugin.faults import describe

LOOK_EVERY = 1.0
"""Seconds between two looks at what time alone ends: silences, windows, graces."""

Outside = Callable[[BoundRule, Key, History, Moment], None]


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
        self.graph = Graph()
        self.quiet = quiet or Silencer()
        self.settled = True
        self.book = EMPTY
        self.inhibition = Inhibition(self.graph, lambda: self.book, grace)
        self._outside, self._faults = outside, RuleFaults() if faults is None else faults
        self.carried, self.reading = Carried(), Reading()
        self._keys: dict[UUID, Key] = {}
        """Where an alert is, by its id."""
        self._recent: dict[str, Recent] = {}
        self._bound: dict[str, tuple[BoundRule, ...]] = {}
        self._verdicts: dict[Key, Verdict] = {}
        self._timers: list[tuple[float, int, Key]] = []
        self._looks = RecheckTimers()
        self._order, self._look_at = count(), 0.0

    # What there is

    def load(self, alerts: Iterable[Alert]) -> None:
        """Take over alerts of an earlier run; nothing is told of them before :meth:`settle`."""
        for alert in alerts:
            self._put(alert)

    def configure(self, book: RuleSet, now: Moment, grace: float | None = None) -> list[Transition]:
        """Take over a configuration; alerts whose rule is gone are resolved."""
        self.book = book
        if grace is not None:
            self.inhibition.grace = grace
        self._bound.clear()
        changes: list[Transition] = []
        for key in list(self.alerts):
            if key[0] not in book.own and not self.watches(key):
                changes += self.judge(key, Verdict.over("its rule was taken away"), now)
            else:  # its policy may be another, and whether it explains others
                self._put(self.alerts[key])
        for recent in self._recent.values():
            self._bounds(recent)
        for kept in (self.carried, self._faults):
            kept.forget(lambda key: not self.watches(key))
        return changes

    def put(
        self, target: Target, source: str | None, checks: Mapping[str, Any], now: Moment
    ) -> list[Transition]:
        """A target is there, or has changed."""
        recent = self._recent.get(target.name)
        moved = self.graph.put(target.name, target.depends_on, target.service)
        if recent is None:
            recent = self._recent[target.name] = Recent(target, source)
            self.reading.expect(recent, self._bounds(recent), now.steady)
        elif (recent.target, recent.source) != (target, source):
            recent.target, recent.source = target, source
            self._bound.pop(target.name, None)
        changes: list[Transition] = []
        if recent.forget(checks):  # a check that is gone fails no more
            if recent.latest:
                changes += self._evaluate(recent, now)
            else:
                changes += self._end(target.name, "its checks were taken away", now)
        self._bounds(recent)
        if moved:
            changes += self.recheck({target.name, *self.graph.below(target.name)}, now)
        return changes

    def drop(self, name: str, now: Moment, why: str = "the target was removed") -> list[Transition]:
        """A target is gone for good: its alerts are resolved."""
        self._recent.pop(name, None)
        self._bound.pop(name, None)
        self._faults.forget(lambda key: key[1] == name)
        self.carried.forget(lambda key: key[1] == name)
        changes = self._end(name, why, now)
        below = self.graph.below(name)
        self.graph.put(name, ())
        return changes + self.recheck(below, now)

    def _end(self, target: str, why: str, now: Moment) -> list[Transition]:
        changes: list[Transition] = []
        for key in [key for key in self.alerts if key[1] == target]:
            changes += self.judge(key, Verdict.over(why), now)
        return changes

    def target(self, name: str) -> Target | None:
        """A target that is there."""
        recent = self._recent.get(name)
        return None if recent is None else recent.target

    def watches(self, key: Key) -> bool:
        """Whether the rule of an alert still watches its target, or that is not there."""
        recent = self._recent.get(key[1])
        return recent is None or any(bound.name == key[0] for bound in self._bounds(recent))

    def checks(self, target: str) -> list[str]:
        """Names of the checks that something was seen of."""
        recent = self._recent.get(target)
        return [] if recent is None else list(recent.latest)

    @property
    def targets(self) -> frozenset[str]:
        """Names of the targets that were put."""
        return frozenset(self._recent)

    def find(self, alert_id: UUID) -> Alert | None:
        """An alert that is open, or was not long ago."""
        key = self._keys.get(alert_id)
        return None if key is None else self.alerts.get(key)

    def _bounds(self, recent: Recent) -> tuple[BoundRule, ...]:
        bounds = self._bound.get(recent.target.name)
        if bounds is None:
            bounds = self._bound[recent.target.name] = self.book.of(recent.target)
            recent.lookback = max((b.lookback for b in bounds), default=0.0)
        return bounds

    # What is seen

    def observe(self, observation: Observation, now: Moment) -> list[Transition]:
        """Take in a result of a target that is there."""
        recent = self._recent.get(observation.target)
        if recent is None:
            return []
        recent.observe(observation)
        return self._evaluate(recent, now)

    def happened(self, event: Event, now: Moment) -> list[Transition]:
        """Take in an event of a target that is there."""
        recent = self._recent.get(event.target)
        if recent is None or not recent.lookback:
            return []
        recent.happened(event)
        return self._evaluate(recent, now)

    def review(self, targets: Iterable[str], now: Moment) -> list[Transition]:
        """Have the rules of targets judge anew by what was seen already."""
        changes: list[Transition] = []
        for name in targets:
            recent = self._recent.get(name)
            if recent is not None and recent.latest:
                changes += self._evaluate(recent, now)
        return changes

    def _evaluate(self, recent: Recent, now: Moment) -> list[Transition]:
        changes: list[Transition] = []
        plain: History | None = None
        name = recent.target.name
        for bound in self._bounds(recent):
            if recent.unread and bound.reads_back:
                continue
            key = (bound.name, name)
            alert = self.alerts.get(key)
            bare = alert is None and not self.carried.of(key, alert)
            if bare and bound.inline and not bound.lookback:
                if plain is None:
                    plain = recent.history(0.0, now.wall, firing=False, carried={})
                history = plain
            else:
                history = self._history(recent, bound, alert, now)
            changes += self._run(bound, key, history, now)
        return changes

    def _history(
        self, recent: Recent, bound: BoundRule, alert: Alert | None, now: Moment
    ) -> History:
        return recent.history(
            bound.lookback,
            now.wall,
            firing=alert is not None and alert.phase is Phase.FIRING,
            carried=self.carried.of((bound.name, recent.target.name), alert),
            snapshot=not bound.inline,
            reads_back=bound.reads_back,
        )

    def _run(self, bound: BoundRule, key: Key, history: History, now: Moment) -> list[Transition]:
        if not bound.inline and self._outside is not None:
            self._outside(bound, key, history, now)
            return []
        try:
            verdict, wrong = bound.judge(history, now.wall)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a rule's fault is not ours
            self._faults.add(bound.plugin, key, f"rule {bound.name} {describe(error)}")
            verdict = Verdict.unknown("the rule failed")
        else:
            if wrong is not None:
                self._faults.add(bound.plugin, key, f"rule {bound.name} {wrong}")
            elif self._faults:
                self._faults.clear(key)
        return self.judge(key, verdict, now)

    def judge(self, key: Key, verdict: Verdict, now: Moment) -> list[Transition]:
        """Take in a verdict."""
        if verdict.again is not None:
            self._looks.want(key, now.steady + verdict.again)
        elif self._looks:
            self._looks.want(key, None)
        if key not in self.alerts and verdict.state in (VerdictState.CLEAR, VerdictState.UNKNOWN):
            self.carried.note(key, verdict)
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
            self.carried.note(key, verdict)
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
            found = self.quiet.mutes(stand_in, self.target(key[1]), now.wall) or found
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
        changes: list[Transition] = []
        while (key := self._looks.take(now.steady)) is not None:
            recent = self._recent.get(key[1])
            bound = next((b for b in self._bound.get(key[1], ()) if b.name == key[0]), None)
            if recent is not None and bound is not None:
                history = self._history(recent, bound, self.alerts.get(key), now)
                changes += self._run(bound, key, history, now)
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
        times = [] if (look := self._looks.next()) is None else [look]
        times += [at for at, _, _ in self._timers[:1]]
        if looking and any(self._waits(alert) for alert in self.alerts.values()):
            times.append(self._look_at)
        return min(times, default=None)

    def _waits(self, alert: Alert) -> bool:
        """Whether something may begin or end to suppress it without anything being seen."""
        return alert.phase is Phase.FIRING and (alert.suppression is not None or self.quiet.any())

    def next_look(self) -> float | None:
        """The steady time at which a rule wants to be asked again first, or None."""
        return self._looks.next()

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
