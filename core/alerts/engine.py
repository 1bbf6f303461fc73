"""The alert engine: results in, transitions out. It is synchronous and has no side effects outside
its state, so that live operation, ``tocsin replay`` and the tests run the same code."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from attrs import evolve

from tocsin.core.alerts.alert_table import AlertTable
from tocsin.core.alerts.evaluator import Evaluator, Verdicts
from tocsin.core.alerts.graph import Graph
from tocsin.core.alerts.inhibition import Inhibition, may_be_over
from tocsin.core.alerts.model import Key, Moment, Phase, Transition, differs
from tocsin.core.alerts.muting import Muting
from tocsin.core.alerts.rule_faults import RuleFaults
from tocsin.core.alerts.rule_set import RuleSet
from tocsin.core.alerts.silences import Silencer
from tocsin.core.alerts.state_machine import phase_of, step
from tocsin.core.boundary import cleaned_verdict
from tocsin.core.contracts.model import Event, Observation, Target
from tocsin.core.contracts.rule import Verdict, VerdictState

LOOK_EVERY = 1.0
"""Seconds between checks whether a silence, window or grace period has begun or ended."""


class Engine:
    """The recent history of all targets, and all alerts. For ``isolates`` and ``faults`` see
    :class:`Evaluator`; verdicts of isolated rules are passed to :meth:`judge`."""

    def __init__(
        self,
        quiet: Silencer | None = None,
        *,
        isolates: bool = False,
        faults: RuleFaults | None = None,
        grace: float = 60.0,
    ) -> None:
        self.evaluator = Evaluator(isolates, RuleFaults() if faults is None else faults)
        self.graph = Graph()
        self.inhibition = Inhibition(self.graph, self.evaluator, grace)
        self.muting = Muting(self.inhibition, quiet or Silencer(), self.evaluator)
        self.table = AlertTable(self.inhibition)
        self.alerts = self.table.alerts
        self._verdicts: dict[Key, Verdict] = {}
        self._look_at = 0.0

    def configure(
        self, rules: RuleSet, now: Moment, grace: float | None = None
    ) -> list[Transition]:
        """Apply a configuration; end or freeze alerts without a rule (RuleSet.unwatched)."""
        self.evaluator.configure(rules)
        if grace is not None:
            self.inhibition.grace = grace
        changes: list[Transition] = []
        for key in list(self.alerts):
            if key[0] not in rules.own and not self.evaluator.watches(key):
                changes += self.judge(key, rules.unwatched(key), now)
            else:  # its policy, or whether it explains other alerts, may have changed
                self.table.put(self.alerts[key])
        self.evaluator.forget()
        return changes

    def put(
        self, target: Target, source: str | None, checks: Mapping[str, Any], now: Moment
    ) -> list[Transition]:
        """Add or update a target and its checks."""
        moved = self.graph.put(target.name, target.depends_on, target.service)
        changes: list[Transition] = []
        if (recent := self.evaluator.put(target, source, checks, now)) is not None:
            if recent.latest:  # a removed check no longer counts as failed
                changes += self._judge_all(self.evaluator.evaluate(recent, self.alerts, now), now)
            else:
                changes += self._end(target.name, "its checks were removed", now)
        if moved:
            changes += self.recheck({target.name, *self.graph.below(target.name)}, now)
        return changes

    def drop(self, name: str, now: Moment, why: str = "the target was removed") -> list[Transition]:
        """Remove a target and resolve its alerts."""
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

    def observe(self, observation: Observation, now: Moment) -> list[Transition]:
        """Apply a result; results of unknown targets are ignored."""
        return self._judge_all(self.evaluator.observe(observation, self.alerts, now), now)

    def happened(self, event: Event, now: Moment) -> list[Transition]:
        """Apply an event of a target; events of unknown targets are ignored."""
        return self._judge_all(self.evaluator.happened(event, self.alerts, now), now)

    def review(self, targets: Iterable[str], now: Moment) -> list[Transition]:
        """Evaluate the rules of the named targets again, on the data already present."""
        return self._judge_all(self.evaluator.review(targets, self.alerts, now), now)

    def _judge_all(self, verdicts: Verdicts, now: Moment) -> list[Transition]:
        changes: list[Transition] = []
        for key, verdict in verdicts:
            changes += self.judge(key, verdict, now)
        return changes

    def judge(self, key: Key, verdict: Verdict, now: Moment) -> list[Transition]:
        """Apply a rule's verdict to its alert."""
        self.evaluator.note(key, verdict, now)
        if key not in self.alerts and verdict.state in (VerdictState.CLEAR, VerdictState.UNKNOWN):
            self.evaluator.rule_states.note(key, verdict)
            return []
        verdict = self._verdicts[key] = cleaned_verdict(verdict)
        return self._step(key, verdict, now)

    def _step(self, key: Key, verdict: Verdict, now: Moment) -> list[Transition]:
        before = self.alerts.get(key)
        policy = self.inhibition.policy(key)
        cover = self.muting.of(key, before, now)
        after, changes = step(key, before, verdict, now, policy, cover)
        if before is not None and after is not None and after.id != before.id:
            self.table.forget(before.id)
        if after is None:
            if before is not None:
                self.table.remove(before)
            self._verdicts.pop(key, None)
            self.evaluator.rule_states.note(key, verdict)
        elif before is None or differs(before, after):
            after = evolve(after, revision=after.revision + 1)
            self.table.put(after)
        else:
            self.alerts[key] = after
        out = [evolve(change, alert=evolve(change.alert, revision=after.revision))
               if after is not None else change for change in changes]  # fmt: skip
        if phase_of(before) is not phase_of(after):
            explains = self.evaluator.rules.inhibits(*key)
            if explains or self.evaluator.rules.leads(*key):
                out += self.recheck({key[1], *self.graph.below(key[1])}, now, but=key)
            for leader in self.inhibition.leaders(key[1]) if explains else ():
                if leader in self._verdicts:  # its severity follows the alerts it stands for
                    out += self._step(leader, self._verdicts[leader], now)
        return out

    def settle(self, now: Moment, *, freeze: bool = True) -> list[Transition]:
        """End the settling phase after a start: notify of the alerts that it held back.

        ``freeze``: every check had its chance to run, so alerts without a verdict since then
        freeze.
        """
        self.muting.settled = True
        unseen = Verdict.unknown("no result since the start") if freeze else None
        changes: list[Transition] = []
        for key in list(self.alerts):
            if (verdict := self._verdicts.get(key, unseen)) is not None:
                changes += self.judge(key, verdict, now)
        return changes

    def tick(self, now: Moment) -> list[Transition]:
        """Apply everything that is due by ``now``."""
        changes = self._judge_all(self.evaluator.recheck(self.alerts, now), now)
        for key in self.table.take_due(now.steady):
            if key in self._verdicts:
                changes += self._step(key, self._verdicts[key], now)
        if now.steady >= self._look_at or now.steady < self._look_at - LOOK_EVERY:
            self._look_at = now.steady + LOOK_EVERY
            changes += self.recheck(None, now)
        return changes

    def next_due(self, *, looking: bool = True) -> float | None:
        """Return the steady time at which :meth:`tick` next has work, or None. ``looking``: include
        the periodic check of suppressions."""
        times = [self.evaluator.next_recheck(), self.table.next_due()]
        if looking and any(self.muting.may_change(alert) for alert in self.alerts.values()):
            times.append(self._look_at)
        return min((at for at in times if at is not None), default=None)

    def recheck(
        self, targets: Collection[str] | None, now: Moment, but: Key | None = None
    ) -> list[Transition]:
        """Update the suppression of firing alerts of the given targets, or (None) of all."""
        changes: list[Transition] = []
        for key, alert in list(self.alerts.items()):
            if alert.phase is not Phase.FIRING or key == but or key not in self._verdicts:
                continue
            if targets is not None and key[1] not in targets:
                continue
            if targets is None and not self.muting.may_change(alert):
                continue
            cover = self.muting.of(key, alert, now)
            if cover is None and may_be_over(alert, now):
                continue
            if cover != alert.suppression:
                changes += self._step(key, self._verdicts[key], now)
        return changes
