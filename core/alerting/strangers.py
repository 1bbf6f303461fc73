"""Strangers' rules: each runs in its plugin's lane, with a deadline; a slow one delays nobody."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from attrs import define, field

from tocsin.core.alerts.book import Bound
from tocsin.core.alerts.model import Key, Moment
from tocsin.core.alerts.rule_faults import RuleFaults
from tocsin.core.clock import Clock
from tocsin.core.isolation import Isolation, PluginFault
from tocsin.core.shapes import fit_verdict
from tocsin.core.verdicts import History, Verdict

DEADLINE = 5.0
"""Seconds a rule may take."""

LEAST_AGAIN = 1.0
"""Seconds after which a rule is asked again at the earliest, though nothing new was seen."""

_FAILED = Verdict.unknown("the rule failed")
_NOTHING_TO_SAY = Verdict.clear("the rule does not apply to it")


@define
class Strangers:
    """Runs rules elsewhere. ``judge`` takes their verdicts, ``faults`` what they do wrong,
    ``spawn`` runs a task, ``watches`` tells whether the rule and its target are (still) there."""

    clock: Clock
    isolation: Isolation
    judge: Callable[[Key, Verdict], None]
    faults: RuleFaults
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    watches: Callable[[Key], bool]
    _busy: dict[Key, History | None] = field(factory=dict)
    """Rules under way, and the newest history that came meanwhile."""

    def run(self, bound: Bound, key: Key, history: History, _: Moment) -> None:
        """Have a rule judge; while it still does, only the newest history waits."""
        if key in self._busy:
            self._busy[key] = history
            return
        self._busy[key] = None
        self.spawn(self._work(bound, key, history))

    async def _work(self, bound: Bound, key: Key, history: History) -> None:
        latest: History | None = history
        try:
            while latest is not None:
                verdict, fault = await self._ask(bound, latest)
                if not self.watches(key):
                    break  # gone while it was asked; what it says is of nothing
                if fault is None:
                    self.faults.clear(key)
                else:
                    self.faults.add(bound.plugin, key, f"rule {bound.name} {fault}")
                self.judge(key, verdict)
                latest, self._busy[key] = self._busy[key], None
        finally:
            del self._busy[key]

    async def _ask(self, bound: Bound, history: History) -> tuple[Verdict, str | None]:
        """The verdict, and what went wrong."""
        at = self.clock.now()

        async def evaluate() -> tuple[Verdict, str | None]:
            if not bound.rule.applies(history.target):
                return _NOTHING_TO_SAY, None
            return fit_verdict(bound.rule.evaluate(history, at), LEAST_AGAIN)

        try:
            return await self.isolation.call(bound.plugin, evaluate, DEADLINE)
        except PluginFault as fault:
            if fault.severe:
                self.isolation.reset(bound.plugin, fault)
            return _FAILED, str(fault)
        except TimeoutError:
            return _FAILED, f"did not end within {DEADLINE:g} s"
