"""Rules of third-party plugins: each runs on its plugin's thread, with a deadline; a slow one
delays no other."""

from __future__ import annotations

from attrs import define, field, frozen

from tocsin.core.alerts.model import Key
from tocsin.core.alerts.rule_faults import RuleFaults
from tocsin.core.alerts.rule_set import BoundRule, Judge
from tocsin.core.clock import Clock
from tocsin.core.contracts.rule import History, Verdict
from tocsin.core.monitor.events import Judged
from tocsin.core.monitor.executor import Executor
from tocsin.core.plugin.sandbox import Isolation, PluginFault
from tocsin.core.shapes import fit_verdict

DEADLINE = 5.0
"""Seconds a rule may take."""

REST = (60.0, 3600.0)
"""Seconds of the first rest of a plugin whose rule does not end, doubled each time, and of the
longest."""

LEAST_AGAIN = 1.0
"""Seconds after which a rule is asked again at the earliest, though nothing new was seen."""

_FAILED = Verdict.unknown("the rule failed")
_NOTHING_TO_SAY = Verdict.over("the rule does not apply to it")


@frozen
class _Rest:
    """Until when (monotonic seconds) no rule of a plugin is asked, for how long, and why."""

    until: float
    seconds: float
    reason: str


@define
class IsolatedRuleRunner:
    """Runs rules elsewhere. Their verdicts come back to ``executor`` as events; ``faults`` keeps
    what they do wrong."""

    clock: Clock
    isolation: Isolation
    executor: Executor
    faults: RuleFaults
    _rests: dict[str, _Rest] = field(factory=dict)
    """Of plugins whose rules cost them their thread."""
    _busy: dict[Key, History | None] = field(factory=dict)
    """Rules under way, and the newest history that came meanwhile."""

    def run(self, asked: Judge) -> None:
        """Have a rule judge; while it still does, only the newest history waits."""
        bound, key, history = asked.rule, asked.key, asked.history
        if key in self._busy:
            self._busy[key] = history
            return
        self._busy[key] = None
        self.executor.spawn(self._work(bound, key, history))

    async def _work(self, bound: BoundRule, key: Key, history: History) -> None:
        latest: History | None = history
        try:
            while latest is not None:
                verdict, fault = await self._ask(bound, latest)
                rules = self.executor.monitor.engine.evaluator
                if rules.target(key[1]) is None or not rules.watches(key):
                    break  # gone while it was asked; what it says is of nothing
                if fault is None:
                    self.faults.clear(key)
                else:
                    self.faults.add(bound.plugin, key, f"rule {bound.name} {fault}")
                self.executor.handle(Judged(key, verdict))
                latest, self._busy[key] = self._busy[key], None
        finally:
            del self._busy[key]

    async def _ask(self, bound: BoundRule, history: History) -> tuple[Verdict, str | None]:
        """The verdict, and what went wrong."""
        if (rest := self._rests.get(bound.plugin)) and self.clock.monotonic() < rest.until:
            return _FAILED, f"rests, since it {rest.reason}"
        at = self.clock.now()

        async def evaluate() -> tuple[Verdict, str | None]:
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
        """Ask no rule of a plugin for a while; those that wait for its thread fail together."""
        now, before = self.clock.monotonic(), self._rests.get(plugin)
        if before is None or now >= before.until:
            seconds = REST[0] if before is None else min(before.seconds * 2, REST[1])
            self._rests[plugin] = _Rest(now + seconds, seconds, reason)
