"""The evaluator: runs the rules on each target's recent history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeAlias

from attrs import define, field

from tocsin.core.alerts.model import Alert, Key, Moment, Phase
from tocsin.core.alerts.recent import Reading, Recent
from tocsin.core.alerts.recheck_timers import RecheckTimers
from tocsin.core.alerts.rule_faults import RuleFaults
from tocsin.core.alerts.rule_set import EMPTY, BoundRule, Judge, RuleSet
from tocsin.core.alerts.rule_states import RuleStates
from tocsin.core.contracts.model import Event, Observation, Target
from tocsin.core.contracts.rule import History, Verdict
from tocsin.core.plugin.faults import describe

Alerts: TypeAlias = Mapping[Key, Alert]
Verdicts: TypeAlias = Iterator[tuple[Key, Verdict]]
"""Lazy: applying one rule's verdict may change the alerts that the next rule sees."""


@define
class Evaluator:
    """The targets, their recent history, and the rules that watch them.

    Attributes:
        isolates: whether rules of third-party plugins are queued in ``asked`` instead of run here;
            their verdicts arrive later. False: every rule runs here.
        asked: queued evaluations; the monitor takes and clears them.
        faults: records which plugin's rule raised, and why.
        rules: the rules of the configuration in force.
        rule_states: states that rules keep between verdicts while they have no alert.
        reading: targets that wait for their stored history.
    """

    isolates: bool = False
    faults: RuleFaults = field(factory=RuleFaults)
    rules: RuleSet = EMPTY
    rule_states: RuleStates = field(factory=RuleStates)
    reading: Reading = field(factory=Reading)
    asked: list[Judge] = field(factory=list)
    _targets: dict[str, Recent] = field(factory=dict)
    _bound: dict[str, dict[Key, BoundRule]] = field(factory=dict)
    _rechecks: RecheckTimers = field(factory=RecheckTimers)

    def configure(self, rules: RuleSet) -> None:
        """Apply a configuration."""
        self.rules = rules
        self._bound.clear()
        for recent in self._targets.values():
            self._rules_of(recent)

    def forget(self) -> None:
        """Delete the states and faults of rules that no longer watch their target."""
        for kept in (self.rule_states, self.faults):
            kept.forget(lambda key: not self.watches(key) and not self.rules.may_lack(key))

    def put(
        self, target: Target, source: str | None, checks: Mapping[str, Any], now: Moment
    ) -> Recent | None:
        """Add or update a target; return its history if results of a removed check were deleted."""
        recent = self._targets.get(target.name)
        if recent is None:
            recent = self._targets[target.name] = Recent(target, source)
            self.reading.expect(recent, self._rules_of(recent).values(), now.steady)
        elif (recent.target, recent.source) != (target, source):
            recent.target, recent.source = target, source
            self._bound.pop(target.name, None)
        is_shorter = recent.forget(checks)
        self._rules_of(recent)
        return recent if is_shorter else None

    def drop(self, name: str) -> None:
        """Remove a target."""
        self._targets.pop(name, None)
        self._bound.pop(name, None)
        for kept in (self.rule_states, self.faults):
            kept.forget(lambda key: key[1] == name)

    def target(self, name: str) -> Target | None:
        """Return a target by name, or None."""
        recent = self._targets.get(name)
        return None if recent is None else recent.target

    @property
    def targets(self) -> frozenset[str]:
        """Names of all targets."""
        return frozenset(self._targets)

    def watches(self, key: Key) -> bool:
        """Return whether an alert's rule still watches its target; True for an unknown target."""
        return key[1] not in self._targets or self.rule(key) is not None

    def _rules_of(self, recent: Recent) -> dict[Key, BoundRule]:
        name = recent.target.name
        rules = self._bound.get(name)
        if rules is None:
            rules = {(rule.name, name): rule for rule in self.rules.of(recent.target)}
            self._bound[name] = rules
            recent.lookback = max((rule.lookback for rule in rules.values()), default=0.0)
        return rules

    def observe(self, observation: Observation, alerts: Alerts, now: Moment) -> Verdicts:
        """Add a result to its target's history and yield the verdicts."""
        recent = self._targets.get(observation.target)
        if recent is not None:
            recent.observe(observation)
            yield from self.evaluate(recent, alerts, now)

    def happened(self, event: Event, alerts: Alerts, now: Moment) -> Verdicts:
        """Add an event to its target's history and yield the verdicts."""
        recent = self._targets.get(event.target)
        if recent is not None and recent.lookback:
            recent.happened(event)
            yield from self.evaluate(recent, alerts, now)

    def review(self, targets: Iterable[str], alerts: Alerts, now: Moment) -> Verdicts:
        """Yield the verdicts of targets that have results, without new data."""
        for name in targets:
            recent = self._targets.get(name)
            if recent is not None and recent.latest:
                yield from self.evaluate(recent, alerts, now)

    def evaluate(self, recent: Recent, alerts: Alerts, now: Moment) -> Verdicts:
        """Yield the verdicts of all rules of a target, without those that change nothing."""
        is_any_faulty, kept = bool(self.faults), self.rule_states.kept
        for key, rule in self._rules_of(recent).items():
            if recent.unread and rule.reads_back:
                continue
            alert = alerts.get(key)
            bare = alert is None and not kept.get(key)
            if bare and rule.has_nothing_in(recent.latest):
                if is_any_faulty:
                    self.faults.clear(key)
                continue
            if self.isolates and not rule.inline:
                self.asked.append(Judge(rule, key))
                continue
            if bare and not rule.lookback:
                history = recent.plain()
            else:
                history = self.history(rule, key, alert, now.wall)
            verdict = self._judge(rule, key, history, now)
            if bare and not self._rechecks and verdict.is_no_news:
                continue
            yield key, verdict

    def rule(self, key: Key) -> BoundRule | None:
        """Return the rule of an alert; None if it does not watch the target, or there is none."""
        recent = self._targets.get(key[1])
        return None if recent is None else self._rules_of(recent).get(key)

    def history(self, rule: BoundRule, key: Key, alert: Alert | None, wall: datetime) -> History:
        """Return the history for a rule that watches its target now."""
        return self._targets[key[1]].history(
            rule.lookback,
            wall,
            firing=alert is not None and alert.phase is Phase.FIRING,
            rule_state=self.rule_states.of(key, alert),
            snapshot=self.isolates and not rule.inline,
            reads_back=rule.reads_back,
        )

    def _judge(self, rule: BoundRule, key: Key, history: History, now: Moment) -> Verdict:
        """Return a rule's verdict."""
        try:
            verdict, wrong = rule.judge(history, now.wall)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a rule's fault is not ours
            self.faults.add(rule.plugin, key, f"rule {rule.name} {describe(error)}")
            return Verdict.unknown("the rule failed")
        if wrong is not None:
            self.faults.add(rule.plugin, key, f"rule {rule.name} {wrong}")
        elif self.faults:
            self.faults.clear(key)
        return verdict

    def note(self, key: Key, verdict: Verdict, now: Moment) -> None:
        """Set or clear the time of a rule's next recheck, as its verdict asks."""
        if verdict.recheck_after is not None:
            self._rechecks.want(key, now.steady + verdict.recheck_after)
        elif self._rechecks:
            self._rechecks.want(key, None)

    def next_recheck(self) -> float | None:
        """Return the steady time of the earliest recheck, or None."""
        return self._rechecks.next()

    def recheck(self, alerts: Alerts, now: Moment) -> Verdicts:
        """Yield the verdicts of rules whose recheck is due by ``now``."""
        while (key := self._rechecks.take(now.steady)) is not None:
            rule = self.rule(key)
            if rule is not None and self.isolates and not rule.inline:
                self.asked.append(Judge(rule, key))
            elif rule is not None:
                history = self.history(rule, key, alerts.get(key), now.wall)
                yield key, self._judge(rule, key, history, now)
