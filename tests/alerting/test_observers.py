"""Plugins that are told of every change of every alert."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import pytest
from attrs import frozen

from tests.alerting.conftest import CONFIG, Desk, MakeDesk, catalog
from tests.conftest import eventually
from tocsin import AlertChange, Context, Observer, hookimpl
from tocsin.core.config import ConfigError
from tocsin.core.contracts.base import private
from tocsin.testing import RecordingContext, check_observer_conformance


@frozen(kw_only=True)
class Keyed(Observer):
    """Needs a secret of the environment."""

    async def open(self, context: Context) -> Observer:
        secret = await context.secret("KEY")
        assert secret is not None
        await context.storage.put("key", secret.reveal())
        diary = Diary()
        diary.gate.set()
        return diary


@frozen(kw_only=True)
class Diary(Observer):
    """Write everything down."""

    prefix: str = ""
    changes: list[AlertChange] = private(factory=list)
    faults: list[BaseException] = private(factory=list)
    gate: asyncio.Event = private(factory=asyncio.Event)
    closed: list[bool] = private(factory=list)

    async def changed(self, change: AlertChange) -> None:
        if self.faults:
            raise self.faults.pop()
        await self.gate.wait()
        self.changes.append(change)

    async def close(self) -> None:
        self.closed.append(True)


@frozen(kw_only=True)
class Needy(Diary):
    """Needs to be told where."""

    place: str


class _Plugin:
    @hookimpl
    def tocsin_observers(self) -> dict[str, type]:
        return {"diary": Diary, "needy": Needy}


@pytest.fixture
async def observed(make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk with the observer ``diary``, in the core's own loop."""

    def with_plugin() -> Any:
        manager = catalog()
        manager.add("diaries", lambda: _Plugin(), "tests", "0")
        return manager

    monkeypatch.setattr("tests.alerting.conftest.catalog", with_plugin)
    desk = await make_desk("[plugins]\ninline = ['diaries', 'down', 'recording']\n" + CONFIG)
    desk.add("web")
    diary(desk).gate.set()
    return desk


def diary(desk: Desk) -> Diary:
    found = desk.settings.observers["diary"].observer
    assert isinstance(found, Diary)
    return found


async def test_an_observer_hears_the_whole_story(observed: Desk) -> None:
    """Pending, fired, acknowledged, resolved, in order, with who and why; what is kept from people
    is told, too, with its reason."""
    observed.see("web")
    await observed.wait(1)
    (alert,) = observed.alerting.active()
    observed.acknowledge(alert, "ann", "on it")
    observed.see("web", "up")
    await observed.wait(1)
    await eventually(lambda: len(diary(observed).changes) >= 4)
    heard = diary(observed).changes
    assert [c.kind for c in heard] == ["pending", "fired", "acknowledged", "resolved"]
    assert {(c.alert, c.rule, c.target) for c in heard} == {(alert.id, alert.rule, "web")}
    assert heard[1].notify
    assert heard[2].actor == "ann"
    assert heard[3].downtime is not None


async def test_a_change_is_told_once_it_is_in_the_journal(observed: Desk) -> None:
    """While the journal has not written, observers have heard nothing."""
    journal, real = observed.alerting.journal, observed.alerting.journal.submit
    held: list[asyncio.Future[None]] = []

    def hold(entry: object) -> asyncio.Future[None]:
        held.append(asyncio.get_running_loop().create_future())
        return held[-1]

    journal.submit = hold  # type: ignore[method-assign]
    observed.see("web")
    for _ in range(50):
        await asyncio.sleep(0)
    assert held
    assert diary(observed).changes == []
    journal.submit = real  # type: ignore[method-assign]
    for done in held:
        done.set_result(None)
    await eventually(lambda: diary(observed).changes)


async def test_a_faulty_observer_is_named_and_recovers(observed: Desk) -> None:
    """One that raises is a failed plugin with a reason; alerts go on; the next change that it takes
    clears it."""
    diary(observed).faults.append(ValueError("no ink"))
    observed.see("web")
    await observed.wait(1)
    record = next(r for r in observed.plugins.records if r.name == "diaries")
    assert "observer diary raised ValueError: no ink" in str(record.reason) or not record.reason
    assert ("fired", "web") in observed.told()
    await eventually(lambda: diary(observed).changes)
    record = next(r for r in observed.plugins.records if r.name == "diaries")
    assert record.status == "ok"


async def test_an_observer_that_is_taken_away_fails_no_more(observed: Desk) -> None:
    """The plugin of one that raised has recovered."""
    diary(observed).faults.extend([ValueError("no ink")] * 100)
    observed.see("web")

    def status() -> str:
        return next(r.status for r in observed.plugins.records if r.name == "diaries")

    await eventually(lambda: status() == "failed")
    without = f"{observed.config}\n[observers.diary]\nenabled = false\n"
    await observed.alerting.apply(observed.load(without))
    assert status() == "ok"


async def test_a_good_observer_forgives_nothing_else_of_its_plugin(observed: Desk) -> None:
    """A plugin that failed in another way stays failed, and its alert stays, though its observer
    takes every change, that alert's own included."""
    observed.plugins.fail("diaries", "its rule raised ValueError")
    await observed.wait(30)
    await eventually(lambda: len(diary(observed).changes) >= 2)
    assert observed.told() == [("fired", "plugin diaries")]


async def test_a_slow_observer_delays_nobody_and_loses_the_oldest(
    observed: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that hangs holds nothing up; what it could not take is counted, the newest is kept."""
    diary(observed).gate.clear()
    watch = observed.alerting.observers._watches["diary"]
    monkeypatch.setattr("tocsin.core.lifecycle.observers.QUEUE", 100)
    watch.waiting = deque(watch.waiting, maxlen=100)
    for n in range(30):
        observed.add(f"t{n}")
        observed.see(f"t{n}")
    await observed.wait(1)
    assert sum(kind == "fired" for kind, _ in observed.told()) >= 30
    assert len(watch.waiting) <= 100
    for n in range(30):
        observed.see(f"t{n}", "up")
        observed.see(f"t{n}", "down")
    await observed.wait(1)
    assert len(watch.waiting) == 100
    assert watch.missed > 0
    diary(observed).gate.set()
    await eventually(lambda: not watch.waiting)


async def test_a_reload_changes_observers_and_closes_the_old(observed: Desk) -> None:
    """Other options: a new one, the old one closed; switched off: none."""
    old = diary(observed)
    observed.see("web")
    await eventually(lambda: old.changes)
    base = observed.config
    settings = observed.load(base + '\n[observers.diary]\nprefix = "x"\n')
    await observed.alerting.apply(settings)
    assert old.closed == [True]
    assert set(observed.alerting.observers._watches) == {"diary"}
    await observed.alerting.apply(observed.load(base + "\n[observers.diary]\nenabled = false\n"))
    assert not observed.alerting.observers._watches


async def test_what_a_configuration_may_say_of_observers(observed: Desk) -> None:
    """One that needs options runs once it has them; unknown names and options are told."""
    assert set(observed.settings.observers) == {"diary"}
    more = observed.load(observed.config + '\n[observers.needy]\nplace = "here"\n')
    assert set(more.observers) == {"diary", "needy"}
    with pytest.raises(ConfigError, match=r"observers\.dairy: no plugin provides.*did you mean"):
        observed.load(observed.config + "\n[observers.dairy]\n")
    with pytest.raises(ConfigError, match=r"observers\.diary\.prefx: there is no such option"):
        observed.load(observed.config + "\n[observers.diary]\nprefx = 1\n")
    with pytest.raises(ConfigError, match=r"observers\.diary: expected a table"):
        observed.load(observed.config + "\n[observers]\ndiary = 7\n")


async def test_the_suite_of_observers() -> None:
    """The testing kit's suite passes a good one, and catches one that leaves tasks behind."""
    good = Diary()
    good.gate.set()
    await check_observer_conformance(good)
    context = RecordingContext(secrets={"KEY": "s3cret"})
    await check_observer_conformance(Keyed(), context)
    assert await context.storage.get("key") == "s3cret"

    @frozen(kw_only=True)
    class Litter(Observer):
        """Leaves tasks behind."""

        tasks: list[Any] = private(factory=list)

        async def changed(self, change: AlertChange) -> None:
            self.tasks.append(asyncio.create_task(asyncio.sleep(60)))

    litter = Litter()
    with pytest.raises(AssertionError, match="left tasks behind"):
        await check_observer_conformance(litter)
    for task in litter.tasks:
        task.cancel()
