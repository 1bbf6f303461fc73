"""Strangers' rules, each in a thread of its own: what comes late, and what is to be asked again."""

from __future__ import annotations

import threading
from collections.abc import Coroutine
from datetime import datetime
from typing import Any, ClassVar

import pytest
from attrs import frozen

from tests.alerting.conftest import CONFIG, Desk, MakeDesk
from tests.conftest import eventually
from tests.contexts import contexts
from tocsin import History, Rule, Target, Verdict, hookimpl
from tocsin.core.alerts.durable_clock import DurableMonotonicClock
from tocsin.core.alerts.model import Policy
from tocsin.core.alerts.rule_faults import RuleFaults
from tocsin.core.alerts.rule_set import BoundRule, Judge, RuleSet
from tocsin.core.contracts.rule import VerdictState
from tocsin.core.lifecycle.isolated_rules import IsolatedRuleRunner
from tocsin.core.monitor import Effects, Monitor, events
from tocsin.core.monitor.events import MonitorEvent
from tocsin.core.monitor.executor import Executor
from tocsin.core.plugin.sandbox import Isolation, PluginFault
from tocsin.testing import SettableClock

ODD = """
[rules.odd]
rule = "odd"
"""


@frozen(kw_only=True)
class Odd(Rule):
    """Fire, when the gate is open, and want to be asked again."""

    def evaluate(self, history: History, now: datetime) -> Verdict:
        Plugin.asked += 1
        Plugin.gate.wait(5)
        if Plugin.fault:
            raise RuntimeError("odd")
        return Verdict.firing("odd", recheck_after=10.0)


class Plugin:
    """A stranger's."""

    gate = threading.Event()
    asked = 0
    fault = False

    @hookimpl
    def tocsin_rules(self) -> dict[str, type[Rule]]:
        return {"odd": Odd}


@pytest.fixture
async def odd(make_desk: MakeDesk) -> Desk:
    """A desk with the target ``web`` and a stranger's rule, its gate shut."""
    Plugin.gate, Plugin.asked, Plugin.fault = threading.Event(), 0, False
    desk = await make_desk()
    desk.plugins.add("odd", Plugin, "tests", "0")
    desk.config = CONFIG + ODD
    await desk.restart()
    desk.add("web")
    await desk.wait(1.1)
    return desk


def busy(desk: Desk) -> bool:
    return desk.alerting.executor.rules.is_busy


@pytest.mark.parametrize("fault", [False, True])
@pytest.mark.parametrize("gone", ["target", "rule"])
async def test_a_verdict_on_what_is_gone_is_no_news(odd: Desk, gone: str, fault: bool) -> None:
    """While the rule was asked, the target went, or the rule was taken away: neither a firing
    verdict nor a fault leaves anything behind."""
    Plugin.fault = fault
    odd.see("web", "up")
    await eventually(lambda: Plugin.asked)
    if gone == "target":
        odd.alerting.executor.handle(events.TargetGone("web"))
    else:
        await odd.alerting.apply(odd.load(CONFIG))
    Plugin.gate.set()
    await eventually(lambda: not busy(odd))
    await odd.wait(5)
    assert odd.alerting.engine.alerts == {}
    assert odd.told() == []
    assert all(record.status == "ok" for record in odd.plugins.records)


async def test_it_is_asked_again_each_time_it_wishes(odd: Desk) -> None:
    """Nothing changes but the time: the rule is asked again ten seconds later, and again."""
    Plugin.gate.set()
    odd.see("web", "up")
    await eventually(lambda: odd.alerting.active() and not busy(odd))
    for number in range(2, 6):
        await odd.wait(10.1)
        await eventually(lambda number=number: Plugin.asked == number and not busy(odd))
    assert odd.told() == [("fired", "web")]


class Costly(Isolation):
    """Every call costs the plugin its thread."""

    def __init__(self) -> None:
        super().__init__(frozenset(), lambda *_: None, contexts())
        self.asked = self.resets = 0

    async def call(self, *_: Any, **__: Any) -> Any:
        self.asked += 1
        raise PluginFault("blocked its event loop for 2 s", severe=True)

    def reset(self, plugin: str, fault: PluginFault) -> None:
        self.resets += 1


class Held(Executor):
    """An executor that keeps verdicts, and what is to run beside."""

    def __init__(self, clock: SettableClock) -> None:
        self.monitor, self.steady = Monitor(), DurableMonotonicClock(clock)
        self.judged, self.beside = list[Verdict](), list[Coroutine[Any, Any, None]]()

    def handle(self, event: MonitorEvent) -> Effects:
        assert isinstance(event, events.Judged)
        self.judged.append(event.verdict)
        return Effects()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.beside.append(work)


async def test_a_rule_that_costs_its_lane_rests(clock: SettableClock) -> None:
    """A rule that loops is asked again after a minute, then after two, not at every result: each
    time one more thread would be busy. Until then its verdict is unknown, with the reason."""
    isolation, executor, blamed = Costly(), Held(clock), list[str]()
    faults = RuleFaults(lambda plugin, reason: blamed.append(reason))
    rules = IsolatedRuleRunner(clock, isolation, executor, faults)
    bound = BoundRule(name="odd", rule=Odd(), plugin="p", policy=Policy(), inline=False)
    book = RuleSet(rules={"odd": bound}, overrides={}, own={})
    executor.monitor.handle(events.Configured(book, {}, (), 0.0), executor.steady.now())
    executor.monitor.handle(events.TargetPut(Target(name="web")), executor.steady.now())

    async def results(count: int) -> None:
        for _ in range(count):
            rules.run(Judge(bound, ("odd", "web")))
            await executor.beside.pop()

    await results(50)
    assert isolation.asked == isolation.resets == 1
    assert {verdict.state for verdict in executor.judged} == {VerdictState.UNKNOWN}
    assert "is paused" in blamed[-1]
    clock.advance(61)
    await results(50)
    clock.advance(61)
    await results(50)
    assert isolation.asked == 2
    clock.advance(61)
    await results(50)
    assert isolation.asked == 3


@frozen(kw_only=True)
class Counting(Rule):
    """Counts how often it was asked; all is well."""

    def evaluate(self, history: History, now: datetime) -> Verdict:
        Counter.seen.append(count := history.rule_state.get("count", 0) + 1)
        return Verdict.clear(rule_state={"count": count})


class Counter:
    """A stranger's."""

    seen: ClassVar[list[int]] = []

    @hookimpl
    def tocsin_rules(self) -> dict[str, type[Rule]]:
        return {"counting": Counting}


async def test_what_is_carried_without_an_alert_outlives_tocsin(make_desk: MakeDesk) -> None:
    """A clear verdict's carry lies in the journal, and comes back after a restart."""
    Counter.seen.clear()
    desk = await make_desk()
    desk.plugins.add("counting", Counter, "tests", "0")
    desk.config = CONFIG + '[rules.counting]\nrule = "counting"\n'
    await desk.restart()
    desk.add("web")
    await desk.wait(1.1)
    for number in (1, 2):
        desk.see("web", "up")
        await eventually(lambda number=number: Counter.seen[-1:] == [number] and not busy(desk))
    await desk.restart()
    desk.see("web", "up")
    await eventually(lambda: Counter.seen == [1, 2, 3] and not busy(desk))
