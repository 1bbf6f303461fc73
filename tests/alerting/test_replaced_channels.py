"""Channels that are reloaded or replaced: what waits or was told elsewhere is told once."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.alerting.conftest import CONFIG, Desk, MakeDesk
from tocsin import Event, NotifyError, Observation
from tocsin.core.history.access import HistoryAccess
from tocsin.testing import RecordingNotifier


async def test_a_reload_keeps_alerts_and_what_waits(desk: Desk) -> None:
    """A channel that changes hands its queue over; one that is taken away leaves dead letters;
    alerts go on as they are."""
    desk.notifier().fail(*["busy"] * 50)
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(2)
    changed = CONFIG + 'label = "new"\n'
    await desk.alerting.apply(desk.load(changed))
    await desk.wait(5)
    assert desk.told() == [("fired", "web")]
    desk.notifier().fail(*["busy"] * 50)
    desk.see("web", "up")
    await desk.wait(2)
    await desk.alerting.apply(desk.load(re.sub(r"\[channels(.|\n)*", "", CONFIG)))
    assert ("resolved", "ops", "dead") in desk.ledger("web")


def channels(**tables: str) -> str:
    """A configuration with channels by name, and what stands in their tables."""
    base = CONFIG.partition("[channels")[0]
    made = (f'[channels.{name}]\nnotifier = "recording"\n{said}\n' for name, said in tables.items())
    return base + "".join(made)


async def reload(desk: Desk, config: str) -> None:
    """Take over another configuration while time stands still."""
    task = asyncio.ensure_future(desk.alerting.apply(desk.load(config)))
    while not task.done():
        await desk.calm()
    await task


async def test_what_failed_for_long_is_told_by_the_channel_that_takes_its_place(
    make_desk: MakeDesk,
) -> None:
    """The only channel fails for ten minutes, and another is put in its place: it tells that the
    alert fired, and then of its end."""
    desk = await make_desk(channels(b=""))
    desk.add("web")
    desk.notifier("b").fail(*["down"] * 500)
    desk.see("web")
    await desk.wait(600)
    desk.see("web", "up")
    await desk.wait(1)
    await reload(desk, channels(a=""))
    await desk.wait(60)
    told = [kind for kind, target in desk.told("a") if target == "web"]
    assert told == ["fired", "resolved"]


async def test_a_fallback_that_is_configured_while_a_channel_fails_is_told(
    make_desk: MakeDesk,
) -> None:
    """The only channel fails for ten minutes; somebody gives it a fallback, which is told."""
    critical = 'min_severity = "critical"\n'
    desk = await make_desk(channels(b=""))
    desk.add("web")
    desk.notifier("b").fail(*["down"] * 500)
    desk.see("web")
    await desk.wait(600)
    settings = desk.load(channels(b='fallback = "a"\n', a=critical))
    notifier = settings.channels["b"].notifier
    assert isinstance(notifier, RecordingNotifier)
    notifier.fail(*["down"] * 500)
    await desk.alerting.apply(settings)
    await desk.wait(1000)
    assert desk.told("a")[0] == ("fired", "web")


async def test_a_channel_that_a_reload_has_mended_takes_the_place_of_others(
    make_desk: MakeDesk,
) -> None:
    """It failed, its line was changed, and it has nothing to say yet: what another one cannot
    deliver is told by it, and not by one that is known to fail."""
    critical = 'min_severity = "critical"\n'
    desk = await make_desk(channels(c=critical, a="", b=critical))
    for name in ("web", "db"):
        desk.add(name, critical=True)
    desk.notifier("a").fail(*["down"] * 3)
    desk.see("web")
    await desk.wait(3)
    await reload(desk, channels(c=critical, a=f'label = "new"\n{critical}', b=""))
    await desk.wait(30)
    desk.notifier("c").fail(NotifyError("gone", permanent=True, disable=True))
    await desk.alerting.test("c")
    refused = NotifyError("no", permanent=True, everything=True)
    desk.notifier("b").fail(*[refused] * 100)
    desk.see("db")
    await desk.wait(30)
    assert ("fired", "db") in desk.told("a")
    assert desk.alerting.monitor.deliveries.failing == {"b", "c"}


async def test_what_two_channels_owed_is_told_once(make_desk: MakeDesk) -> None:
    """Both are configured no more after a start: the one that is left tells it once."""
    desk = await make_desk(channels(a="", b=""))
    desk.add("web")
    for name in "ab":
        desk.notifier(name).hang.set()
    desk.see("web")
    await desk.calm()
    desk.config = channels(c="")
    await desk.restart()
    await desk.wait(10)
    assert desk.told("c") == [("fired", "web")]


async def test_what_died_of_an_earlier_firing_leaves_the_present_one_to_be_told(
    desk: Desk,
) -> None:
    """It fired, recovered, and fired again within the cooldown; then its first message dies. Nobody
    was told, so that the present firing is told at once, as one."""
    desk.add("web")
    desk.notifier().fail(*["down"] * 4, NotifyError("no", permanent=True))
    desk.see("web")
    await desk.wait(2)
    desk.see("web", "up")
    await desk.wait(2)
    desk.see("web")
    await desk.wait(100)
    desk.see("web")
    await desk.wait(10)
    assert desk.told() == [("fired", "web")]


async def test_what_cannot_be_judged_is_history_all_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of tocsin's own in judging a result, or an event, costs neither its row of history
    nor the next result."""
    desk.add("web")
    rows: list[object] = []
    monkeypatch.setattr(HistoryAccess, "write", lambda _, item: rows.append(item))
    with monkeypatch.context() as broken:
        broken.setattr(desk.alerting.engine, "observe", lambda *_: 1 / 0)
        broken.setattr(desk.alerting.engine, "happened", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            desk.see("web")
        event = Event(target="web", source="c", action="die", at=desk.clock.now())
        with pytest.raises(ZeroDivisionError):
            desk.alerting.executor.happened(event)
    assert [type(row) for row in rows] == [Observation, Event]
    desk.see("web")
    await desk.wait(1)
    assert desk.told() == [("fired", "web")]
