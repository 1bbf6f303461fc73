"""Rules of third-party plugins: each runs where its plugin runs, with a timeout, so that a slow one
delays no other."""

from __future__ import annotations

import asyncio
import time

from attrs import define, field, frozen

from tocsin.core.alerts.model import Key
from tocsin.core.alerts.rule_faults import RuleFaults
from tocsin.core.alerts.rule_set import DEADLINE, BoundRule, Judge
from tocsin.core.clock import Clock
from tocsin.core.contracts.rule import History, Verdict
from tocsin.core.hosts.proxies import HostedRule
from tocsin.core.monitor.events import Judged
from tocsin.core.monitor.executor import Executor
from tocsin.core.plugin.sandbox import Isolation, PluginFault
from tocsin.core.runtime.time_share import TimeShare
from tocsin.core.shapes import fit_verdict

REST = (60.0, 3600.0)
"""Initial and maximum pause, in seconds, of a plugin whose rule did not return; it doubles each
time."""

AT_ONCE = 50
"""Maximum number of rules of one plugin that are evaluated at the same time; others wait, and only
the newest history of each."""

SHARE, SHARE_OF_ALL = 0.05, 0.1
"""Share of the core's time that verdicts of one plugin's rules may take, and of all together."""

LEAST_AGAIN = 1.0
"""Minimum delay, in seconds, before a rule is rechecked without a new result."""

_FAILED = Verdict.unknown("the rule failed")
_NOTHING_TO_SAY = Verdict.over("the rule does not apply to it")


@frozen
class _Rest:
    """A pause of a plugin's rules: its end (monotonic seconds), its length in seconds, and the
    reason."""

    until: float
    seconds: float
    reason: str


@define(eq=False)
class _Turns:
    """Turns of one plugin's rules: so many at once, and a share of the core's time.

    Attributes:
        of_all: the time that the rules of all plugins share.
        waiting: what is to be evaluated, in order; each key once.
        running: what is being evaluated.
        workers: number of tasks that evaluate.
    """

    of_all: TimeShare
    share: TimeShare = field(factory=lambda: TimeShare(SHARE))
    waiting: dict[Key, Judge] = field(factory=dict)
    running: set[Key] = field(factory=set)
    workers: int = 0

    def next(self) -> Judge | None:
        """Take what is to be evaluated next; None if there is nothing."""
        key = next((key for key in self.waiting if key not in self.running), None)
        if key is None:
            return None
        self.running.add(key)
        return self.waiting.pop(key)

    async def wait(self) -> None:
        """Wait until there is time left; called in a turn."""
        while True:
            seconds = max(self.share.shortage(), self.of_all.shortage())
            if not seconds:
                return
            await asyncio.sleep(seconds)

    def spend(self, seconds: float) -> None:
        """Record time that a verdict took."""
        self.share.spend(seconds)
        self.of_all.spend(seconds)


@define
class IsolatedRuleRunner:
    """Runs rules where their plugins run.

    Verdicts return to ``executor`` as events; ``faults`` records the rules' errors.
    """

    clock: Clock
    isolation: Isolation
    executor: Executor
    faults: RuleFaults
    _rests: dict[str, _Rest] = field(factory=dict)
    """Pauses of plugins whose rules blocked their thread."""
    _time: TimeShare = field(factory=lambda: TimeShare(SHARE_OF_ALL))
    _turns: dict[str, _Turns] = field(factory=dict)
    """By plugin."""

    def run(self, asked: Judge) -> None:
        """Evaluate a rule in its turn, on the history that there is then."""
        turns = self._turns.setdefault(asked.rule.plugin, _Turns(self._time))
        turns.waiting[asked.key] = asked
        if turns.workers < AT_ONCE:
            turns.workers += 1
            self.executor.spawn(self._work(turns))

    @property
    def is_busy(self) -> bool:
        """Return whether any rule waits or runs."""
        return any(turns.waiting or turns.running for turns in self._turns.values())

    async def _work(self, turns: _Turns) -> None:
        try:
            while (asked := turns.next()) is not None:
                try:
                    await turns.wait()
                    await self._judge(asked, turns)
                finally:
                    turns.running.discard(asked.key)
        finally:
            turns.workers -= 1

    async def _judge(self, asked: Judge, turns: _Turns) -> None:
        engine, began = self.executor.monitor.engine, time.monotonic()
        rule = engine.evaluator.rule(asked.key)
        if rule is None or rule.plugin != asked.rule.plugin:
            return
        alert = engine.alerts.get(asked.key)
        history = engine.evaluator.history(rule, asked.key, alert, self.clock.now())
        turns.spend(time.monotonic() - began)
        verdict, fault = await self._ask(rule, history)
        if self.isolation.is_leaving or engine.evaluator.rule(asked.key) is None:
            return  # it could not answer, or target or rule were removed meanwhile
        began = time.monotonic()
        if fault is None:
            self.faults.clear(asked.key)
        else:
            self.faults.add(rule.plugin, asked.key, f"rule {rule.name} {fault}")
        self.executor.handle(Judged(asked.key, verdict))
        turns.spend(time.monotonic() - began)

    async def _ask(self, bound: BoundRule, history: History) -> tuple[Verdict, str | None]:
        """Return the verdict, and what went wrong or None."""
        if (rest := self._rests.get(bound.plugin)) and self.clock.monotonic() < rest.until:
            return _FAILED, f"is paused, since it {rest.reason}"
        at = self.clock.now()

        async def evaluate() -> tuple[Verdict, str | None]:
            if isinstance(bound.rule, HostedRule):
                return await bound.rule.tocsin_ask(history, at)
            if not bound.rule.applies(history.target):
                return _NOTHING_TO_SAY, None
            return fit_verdict(bound.rule.evaluate(history, at), LEAST_AGAIN)

        try:
            answer = await self.isolation.call(bound.plugin, evaluate, DEADLINE)
        except PluginFault as fault:
            if fault.severe:
                self.isolation.reset(bound.plugin, fault)
                self._rest(bound.plugin, str(fault))
            return _FAILED, str(fault)
        except TimeoutError:
            return _FAILED, f"did not end within {DEADLINE:g} s"
        self._rests.pop(bound.plugin, None)
        return answer

    def _rest(self, plugin: str, reason: str) -> None:
        """Pause a plugin's rules, so that those waiting for its thread do not fail one by one."""
        now, before = self.clock.monotonic(), self._rests.get(plugin)
        if before is None or now >= before.until:
            seconds = REST[0] if before is None else min(before.seconds * 2, REST[1])
            self._rests[plugin] = _Rest(now + seconds, seconds, reason)
