"""The database is away while tocsin starts without a journal: alerts do not wait for it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.alerting.conftest import Desk, MakeDesk
from tests.conftest import eventually
from tests.kept import flush, kept, store_of
from tests.store.helpers import NOWHERE
from tocsin.core.history.access import HistoryAccess
from tocsin.core.lifecycle import restore
from tocsin.history import AlertFilter, HistoryStore

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long."""
    monkeypatch.setattr(restore, "ENOUGH", 0.2)
    monkeypatch.setattr(HistoryStore, "start_seconds", 0.2)


@pytest.fixture
def mute() -> Iterator[str]:
    """The DSN of a server that lets everybody connect and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"postgresql://u:p@127.0.0.1:{server.getsockname()[1]}/db"


async def begin_anew(desk: Desk, history: HistoryAccess) -> None:
    """The journal is gone, and another history is there."""
    await desk.stop()
    for file in desk.directory.glob("journal.db*"):
        file.unlink()
    desk.history = history
    await history.start()
    await desk.restart()


async def test_a_first_start_tells_though_the_database_does_not_answer(
    make_desk: MakeDesk, tmp_path: Path, mute: str
) -> None:
    """DATABASE_URL leads to what never answers: what fails is told, while the database has yet to
    be found away."""
    desk = await make_desk()
    history = kept(mute, tmp_path / "mute", desk.clock)
    await begin_anew(desk, history)
    desk.add("web")
    desk.see("web", "down")
    await eventually(lambda: not desk.alerting._restoring, 10)
    await desk.wait(5)
    assert desk.told() == [("fired", "web")]
    assert not history.state.is_readable
    await desk.stop()
    await history.stop()


async def test_what_a_database_remembers_counts_though_it_comes_late(
    make_desk: MakeDesk, database: str, tmp_path: Path, mute: str
) -> None:
    """Before the database is there, a failure that it knows is told again. Then the alert of now
    goes on, acknowledged as the one of before was, and that one ends in history; what has recovered
    meanwhile is told, and silences hold."""
    desk = await make_desk()
    before = kept(database, tmp_path / "spool", desk.clock)
    await before.start()
    await begin_anew(desk, before)
    await eventually(lambda: not desk.alerting._restoring)
    for name in ("web", "api", "db"):
        desk.add(name)
    desk.see("web", "down")
    desk.see("api", "down")
    await desk.wait(5)
    assert sorted(desk.told()) == [("fired", "api"), ("fired", "web")]
    (web,) = (alert for alert in desk.alerting.active() if alert.target == "web")
    desk.acknowledge(web, "ann", "on it")
    desk.silence("target=db", desk.now, desk.now + timedelta(hours=9))
    await desk.wait(1)
    await flush(before)
    dsn = mute

    async def give() -> str:
        return dsn

    history = kept(give, tmp_path / "spool 2", desk.clock)
    await begin_anew(desk, history)
    desk.see("web", "down")
    desk.see("api", "up")
    await eventually(lambda: not desk.alerting._restoring, 10)
    await desk.wait(5)
    assert desk.told() == [("fired", "web")]
    dsn = database
    async with asyncio.timeout(30):
        # It may have been found away meanwhile, and is then tried again after a while.
        while not all(alert.acknowledged_by for alert in desk.alerting.active()):
            await desk.wait(1)
            await asyncio.sleep(0.1)
    await desk.wait(5)
    assert desk.told() == [("fired", "web"), ("resolved", "api")]
    desk.see("db", "down")
    await desk.wait(5)
    assert ("fired", "db") not in desk.told()
    await flush(history)
    rows = await store_of(history).alerts(AlertFilter(active=True))
    assert {row.id for row in rows} == {alert.id for alert in desk.alerting.active()}
    (now,) = (alert for alert in desk.alerting.active() if alert.target == "web")
    assert now.id != web.id
    assert (now.acknowledged_by, now.comment) == ("ann", "on it")
    await desk.stop()
    await history.stop()
    await before.stop()


async def test_what_was_told_meanwhile_is_not_told_again_for_the_alert_of_before(
    make_desk: MakeDesk, database: str, tmp_path: Path, mute: str
) -> None:
    """Of an alert that the database remembers nobody was told, and then the journal is gone. What
    fails still is told before the database is there; it is one failure, and told once."""
    desk = await make_desk()
    before = kept(database, tmp_path / "spool", desk.clock)
    await before.start()
    await begin_anew(desk, before)
    await eventually(lambda: not desk.alerting._restoring)
    for name in ("web", "api"):
        desk.add(name)
    desk.notifier().fail(*["not now"] * 1000)
    desk.see("web", "down")
    desk.see("api", "down")
    await desk.wait(5)
    await flush(before)
    dsn = mute

    async def give() -> str:
        return dsn

    history = kept(give, tmp_path / "spool 2", desk.clock)
    await begin_anew(desk, history)
    desk.notifier().failures.clear()
    desk.see("web", "down")
    await eventually(lambda: not desk.alerting._restoring, 10)
    await desk.wait(5)
    assert desk.told() == [("fired", "web")]
    dsn = database
    async with asyncio.timeout(30):
        while ("fired", "api") not in desk.told():  # of which nothing was seen: it is told now
            await desk.wait(1)
            await asyncio.sleep(0.1)
    await desk.wait(60)
    assert sorted(desk.told_of("web", "api")) == [("fired", "api"), ("fired", "web")]
    desk.see("web", "up")
    await desk.wait(60)
    assert desk.told().count(("resolved", "web")) == 1
    await desk.stop()
    await history.stop()
    await before.stop()


async def test_what_this_run_has_written_itself_is_no_earlier_run(
    make_desk: MakeDesk, database: str, tmp_path: Path
) -> None:
    """At a first start the database comes when it has to be told, and gets, what this run owes to
    a channel that is away: that is told once, and no journal is said to have been lost."""
    desk = await make_desk()
    dsn = NOWHERE

    async def give() -> str:
        return dsn

    history = kept(give, tmp_path / "spool", desk.clock)
    await begin_anew(desk, history)
    desk.add("web")
    desk.notifier().fail(*["not now"] * 1000)
    desk.see("web", "down")
    await eventually(lambda: not desk.alerting._restoring, 10)
    await desk.wait(5)
    dsn = database
    async with asyncio.timeout(30):
        while desk.alerting._saved is not None:  # the database has not said yet what it knows
            await desk.wait(1)
            await asyncio.sleep(0.1)
    desk.notifier().failures.clear()
    await desk.wait(60)
    assert desk.told() == [("fired", "web")]
    assert desk.alerting.journal.incident is None
    await desk.stop()
    await history.stop()
