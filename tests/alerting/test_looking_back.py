"""A rule that looks back at results goes on after a restart of tocsin as if there had been none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from statistics import mean

import pytest
from attrs import frozen

from tests.alerting import conftest
from tests.alerting.conftest import CONFIG, Desk, MakeDesk
from tests.kept import flush, kept
from tests.store.helpers import NOWHERE
from tocsin import Event, History, Notifier, Rule, Verdict, hookimpl
from tocsin.testing import RecordingNotifier

SLOW = CONFIG + '\n[rules.slow]\nrule = "slow-lately"\n'


@frozen(kw_only=True)
class SlowLately(Rule):
    """Fires while the last five minutes were slow in the mean, three results of them at least."""

    @property
    def lookback(self) -> float:
        return 300.0

    def evaluate(self, history: History, now: datetime) -> Verdict:
        """By what was seen, not by what is carried."""
        seen = [o.result.latency for o in history.observations if o.result.latency is not None]
        if len(seen) < 3:
            return Verdict.clear(f"{len(seen)} results")
        slow, kinds = mean(seen), "".join(event.action[0] for event in history.events)
        text = f"{len(seen)} results and {kinds or 'no'} events, {slow:g} s"
        return Verdict.firing(text) if slow > 1 else Verdict.clear(text)


class _Plugin:
    @hookimpl
    def tocsin_notifiers(self) -> dict[str, type[Notifier]]:
        return {"recording": RecordingNotifier}

    @hookimpl
    def tocsin_rules(self) -> dict[str, type[Rule]]:
        return {"slow-lately": SlowLately}


@pytest.fixture(autouse=True)
def rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule is installed."""
    monkeypatch.setattr(conftest, "_Plugin", _Plugin)


def see(desk: Desk, latency: float) -> None:
    """One result, which history gets, too."""
    desk.see("web", "up", latency=latency)


async def until(desk: Desk, condition: Callable[[], object]) -> None:
    """Let time pass, and the database answer, until a condition holds."""
    async with asyncio.timeout(20):
        while not condition():
            await desk.wait(0.5)
            await asyncio.sleep(0.02)


async def with_history(make_desk: MakeDesk, database: str, tmp_path: Path) -> Desk:
    """A desk whose results go to a database; ``web`` was slow, and that is told."""
    desk = await make_desk(SLOW)
    desk.history = kept(database, tmp_path / "kept", desk.clock)
    await desk.history.start()
    await desk.restart()
    desk.add("web")
    await until(desk, lambda: not desk.alerting.engine.evaluator.reading.waiting)
    for _ in range(3):
        see(desk, 2.0)
        at = desk.clock.now()
        event = Event(target="web", source="docker", action="die", at=at)
        desk.alerting.executor.happened(event)
        await desk.wait(20)
    assert desk.told() == [("fired", "web")]
    await flush(desk.history)
    return desk


async def test_what_a_rule_looks_back_at_is_there_after_a_restart(
    make_desk: MakeDesk, database: str, tmp_path: Path
) -> None:
    """The alert goes on, and the next result is judged together with those of before: nothing is
    told until it is over, which takes as many quick results as without a restart."""
    desk = await with_history(make_desk, database, tmp_path)
    await desk.restart()
    see(desk, 0.5)  # alone, it would end the alert
    await until(desk, lambda: not desk.alerting.engine.evaluator.reading.waiting)
    await desk.wait(2)
    assert desk.told() == []
    (alert,) = desk.alerting.active()
    assert alert.message == "4 results and ddd events, 1.625 s"
    for _ in range(4):
        await desk.wait(5)
        see(desk, 0.01)
    await desk.wait(5)
    assert desk.told() == [("resolved", "web")]
    await desk.stop()
    await desk.history.stop()


async def test_nobody_waits_for_ever_for_what_was_before(
    make_desk: MakeDesk, database: str, tmp_path: Path
) -> None:
    """While the database cannot be read the rule does not judge, for a while; then it judges by
    what it has seen itself."""
    desk = await with_history(make_desk, database, tmp_path)
    before, desk.history = desk.history, kept(NOWHERE, tmp_path / "none", desk.clock)
    await desk.restart()
    see(desk, 0.5)
    await desk.wait(19)
    assert desk.told() == []
    see(desk, 0.5)
    see(desk, 0.5)
    await desk.wait(3)
    assert desk.told() == [("resolved", "web")]
    await desk.stop()
    await before.stop()


async def test_without_a_database_nobody_waits(make_desk: MakeDesk) -> None:
    """There is nothing to be read: the rule judges at once."""
    desk = await make_desk(SLOW)
    desk.add("web")
    for _ in range(3):
        desk.see("web", "up", latency=2.0)
    await desk.wait(1)
    assert desk.told() == [("fired", "web")]


async def test_a_rule_that_carries_all_it_needs_is_given_nothing_else(desk: Desk) -> None:
    """No target waits for the rules that are there by default."""
    desk.add("box", kind="container")
    assert not desk.alerting.engine.evaluator.reading.waiting
