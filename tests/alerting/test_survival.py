"""What survives: restarts, a lost journal, a full disk, a clock that jumps, a stranger's rule."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from tests.alerting.conftest import CONFIG, Desk, MakeDesk, catalog
from tests.conftest import eventually
from tests.kept import flush, kept, store_of
from tocsin.core.alerts.silences import Window
from tocsin.core.contracts.model import ComponentHealth, Health
from tocsin.core.contracts.rule import Verdict
from tocsin.core.ids import new_id
from tocsin.core.journal.journal import Entry, Journal
from tocsin.core.monitor import events
from tocsin.history import AlertFilter
from tocsin.testing import SettableClock


async def test_an_alert_goes_on_over_a_restart_in_silence(desk: Desk) -> None:
    """Unchanged while tocsin was away: nothing is told again, repeats go on at their time, and the
    recovery comes with the whole downtime."""
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(100)
    await desk.stop()
    desk.clock.advance(50)
    await desk.restart()
    desk.see("web", "down")
    await desk.wait(700)
    assert desk.told() == []
    await desk.wait(60)
    assert desk.told() == [("repeated", "web")]
    desk.see("web", "up")
    await desk.wait(10)
    assert desk.told()[-1] == ("resolved", "web")
    assert desk.notifier().notices[-1].downtime == pytest.approx(910, abs=2)


async def test_what_was_told_days_ago_is_still_referred_to(desk: Desk) -> None:
    """An alert that somebody acknowledged on Friday, a restart on Sunday: the recovery still names
    the message that told it first."""
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(1)
    (alert,) = desk.alerting.active()
    desk.acknowledge(alert, "ann")
    desk.clock.advance(2 * 86400)
    await desk.restart()
    desk.see("web", "down")
    await desk.wait(2)
    desk.see("web", "up")
    await desk.wait(10)
    (notice,) = desk.notifier().notices
    assert (notice.kind.value, notice.reply_to) == ("resolved", "1")


async def test_what_changed_while_it_was_away_is_told(desk: Desk) -> None:
    """Down before and up after: the recovery is told, once everything has been looked at."""
    desk.add("web")
    desk.add("api")
    desk.see("web", "down")
    await desk.wait(10)
    desk.looked_around = False
    await desk.restart()
    desk.see("web", "up")
    await desk.wait(20)
    assert desk.told() == [], "not before everything was looked at"
    desk.see("api", "up")
    desk.looked_around = True
    await desk.wait(2)
    assert desk.told() == [("resolved", "web")]


async def test_a_check_that_never_answers_does_not_hold_everything_up(desk: Desk) -> None:
    """A minute after the start what is known is told, though one check has not been heard of."""
    desk.looked_around = False
    desk.add("web")
    await desk.restart()
    desk.see("web", "down")
    await desk.wait(58)
    assert desk.told() == []
    await desk.wait(4)
    assert desk.told() == [("fired", "web")]


async def test_an_alert_of_a_target_that_is_no_more_is_ended(desk: Desk) -> None:
    """The configuration lost the target while tocsin was away: whoever was told hears the end."""
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(10)
    desk.targets.clear()
    await desk.restart()
    await desk.wait(5)
    assert desk.told() == [("resolved", "web")]
    assert desk.notifier().notices[0].message == "the target is no longer watched"


@pytest.mark.parametrize(
    ("gone", "why"),
    [("rule", "its rule was removed"), ("check", "its checks were removed")],
)
async def test_an_alert_that_nothing_looks_after_any_more_is_ended(
    desk: Desk, gone: str, why: str
) -> None:
    """The configuration lost the rule, or the target's only check, while tocsin was away: whoever
    was told hears the end; no alert stays open for ever."""
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(10)
    if gone == "rule":
        desk.config = CONFIG.replace("failures = 1", "failures = 1\nenabled = false")
    await desk.restart()
    if gone == "rule":
        desk.see("web", "down")
    else:
        desk.alerting.executor.handle(events.CheckGone("web", "c"))
    await desk.wait(5)
    assert desk.told() == [("resolved", "web")]
    assert desk.notifier().notices[0].message == why
    assert desk.alerting.active() == []


@pytest.mark.slow
async def test_silences_survive_and_end(desk: Desk) -> None:
    """A silence holds over a restart; when it ends, what still fires is told."""
    now = desk.now
    desk.silence("target=w*", now, now + timedelta(hours=1), "work")
    desk.add("web")
    await desk.restart()
    desk.see("web", "down")
    await desk.wait(3590)
    assert desk.told() == []
    assert ("fired", "ops", "silenced") in desk.ledger("web")
    await desk.wait(20)
    assert desk.told() == [("fired", "web")]


@pytest.mark.slow
async def test_a_window_that_somebody_made_opens_by_its_schedule(desk: Desk) -> None:
    """Over a restart too; what fires before is told, what fires in it is not, with the window
    named, and is told when it closes."""
    now = desk.now
    opens = now + timedelta(hours=2)
    hourly = Window(name="patching", schedule=f"{opens:%M %H} * * *", duration=1800.0)
    desk.silence("target=w*", now, now + timedelta(days=3), window=hourly)
    desk.add("web")
    desk.add("web-2")
    await desk.restart()
    desk.see("web-2", "down")
    await desk.wait(5)
    assert desk.told() == [("fired", "web-2")]
    await desk.wait(7200)
    desk.see("web", "down")
    await desk.wait(5)
    assert ("fired", "ops", "maintenance") in desk.ledger("web")
    (alert,) = (a for a in desk.alerting.active() if a.target == "web")
    assert alert.suppression is not None
    assert alert.suppression.by == "patching"
    await desk.wait(1860)
    assert ("fired", "web") in desk.told()


async def test_without_a_journal_the_database_remembers(
    make_desk: MakeDesk, database: str, tmp_path: Path
) -> None:
    """The journal is gone: what fires is known from the database, is not told again, and its end
    is told to those who had heard."""
    desk = await make_desk()
    desk.history = kept(database, tmp_path / "spool", desk.clock)
    await desk.history.start()
    await desk.restart()
    now = desk.now
    desk.silence("target=zzz", now, now + timedelta(hours=9))
    weekly = Window(name="weekly", schedule="0 3 * * 0", duration=3600.0)
    desk.silence("target=web", now, now + timedelta(days=90), window=weekly)
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(5)
    await flush(desk.history)
    await desk.stop()
    for file in tmp_path.glob("journal.db*"):
        file.unlink()
    await desk.restart()
    await eventually(lambda: not desk.alerting._restoring)
    assert [a.target for a in desk.alerting.active()] == ["web"]
    assert len(desk.alerting.quiet.silences) == 2
    assert desk.alerting.quiet.made_windows(now)["weekly"].window == weekly
    desk.see("web", "down")
    await desk.wait(10)
    assert desk.told_of("web") == []
    desk.see("web", "up")
    await desk.wait(10)
    assert desk.told_of("web") == [("resolved", "web")]
    await desk.history.stop()


@pytest.mark.parametrize("failures", [1, 3])
async def test_results_that_come_before_the_database_change_nothing(
    make_desk: MakeDesk, database: str, tmp_path: Path, failures: int
) -> None:
    """Without a journal, a target fails its check before the database could be read: the alert that
    was told and acknowledged goes on, and the one just begun ends in history; nobody hears."""
    desk = await make_desk()
    desk.history = kept(database, tmp_path / "spool", desk.clock)
    await desk.history.start()
    await desk.restart()
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(5)
    (first,) = desk.alerting.active()
    desk.acknowledge(first, "ann", "on it")
    await flush(desk.history)
    await desk.stop()
    for file in tmp_path.glob("journal.db*"):
        file.unlink()
    desk.config = CONFIG.replace("failures = 1", f"failures = {failures}")
    await desk.restart()
    desk.see("web", "down")
    (newcomer,) = desk.alerting.engine.alerts.values()
    assert newcomer.id != first.id
    await eventually(lambda: not desk.alerting._restoring)
    await desk.wait(5)
    (alert,) = desk.alerting.active()
    assert (alert.id, alert.acknowledged_by, alert.comment) == (first.id, "ann", "on it")
    await desk.wait(2000)
    assert desk.told_of("web") == []
    await flush(desk.history)
    rows = await store_of(desk.history).alerts(AlertFilter(active=True))
    assert [row.id for row in rows] == [first.id]
    desk.see("web", "up")
    await desk.wait(10)
    assert desk.told_of("web") == [("resolved", "web")]
    await flush(desk.history)
    assert await store_of(desk.history).alerts(AlertFilter(active=True)) == []
    await desk.history.stop()


async def test_of_two_alerts_for_one_failure_one_goes_on(
    make_desk: MakeDesk, database: str, tmp_path: Path
) -> None:
    """History that knows two open alerts of one rule on one target: the one that was told goes on,
    the other is ended there."""
    desk = await make_desk()
    desk.history = kept(database, tmp_path / "spool", desk.clock)
    await desk.history.start()
    await desk.restart()
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(5)
    (first,) = desk.alerting.active()
    desk.history.write(evolve(first, id=new_id(), notified=False, ever_notified=False))
    await flush(desk.history)
    assert len(await store_of(desk.history).alerts(AlertFilter(active=True))) == 2
    await desk.stop()
    for file in tmp_path.glob("journal.db*"):
        file.unlink()
    await desk.restart()
    await eventually(lambda: not desk.alerting._restoring)
    desk.see("web", "down")
    await desk.wait(5)
    assert [alert.id for alert in desk.alerting.active()] == [first.id]
    assert desk.told() == []
    await flush(desk.history)
    rows = await store_of(desk.history).alerts(AlertFilter(active=True))
    assert [row.id for row in rows] == [first.id]
    await desk.history.stop()


async def test_who_takes_note_before_the_database_answers_is_remembered(
    make_desk: MakeDesk, database: str, tmp_path: Path
) -> None:
    """Somebody acknowledges the alert that has just begun: the stored one that goes on in its place
    is acknowledged by them."""
    desk = await make_desk()
    desk.history = kept(database, tmp_path / "spool", desk.clock)
    await desk.history.start()
    await desk.restart()
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(5)
    (first,) = desk.alerting.active()
    await flush(desk.history)
    await desk.stop()
    for file in tmp_path.glob("journal.db*"):
        file.unlink()
    await desk.restart()
    desk.see("web", "down")
    (newcomer,) = desk.alerting.active()
    desk.acknowledge(newcomer, "bob", "mine")
    await eventually(lambda: not desk.alerting._restoring)
    await desk.wait(5)
    (alert,) = desk.alerting.active()
    assert (alert.id, alert.acknowledged_by, alert.comment) == (first.id, "bob", "mine")
    await desk.history.stop()


async def test_a_rule_whose_plugin_does_not_load_ends_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart the rule is missing: its alert stands still and nobody hears of a recovery;
    its plugin's failure is told. When it loads again, what it then sees is told."""
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(10)
    with monkeypatch.context() as broken:
        broken.setitem(sys.modules, "tocsin.plugins.rules.down", None)
        desk.plugins = catalog()
        await desk.restart()
        assert desk.settings.rules["health_check_failed"].rule is None
        desk.see("web", "up")
        await desk.wait(2000)
        assert [target for _, target in desk.told() if target != "plugin down"] == []
        assert ("fired", "plugin down") in desk.told()
        (alert,) = (a for a in desk.alerting.active() if a.target == "web")
        assert alert.frozen is not None
    desk.plugins = catalog()
    await desk.restart()
    desk.see("web", "up")
    await desk.wait(10)
    assert ("resolved", "web") in desk.told()


async def test_a_damaged_journal_is_set_aside(desk: Desk, tmp_path: Path) -> None:
    """What cannot be read is kept under another name, and tocsin goes on."""
    await desk.stop()
    (tmp_path / "journal.db").write_bytes(b"this is no database " * 500)
    for name in ("journal.db-wal", "journal.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    await desk.restart()
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(25)
    assert desk.told_of("web") == [("fired", "web")]
    assert ("fired", "tocsin") in desk.told()
    assert len(list(tmp_path.glob("journal.db.broken-*"))) == 1


async def test_what_is_committed_is_on_the_disk(desk: Desk) -> None:
    """The journal's connection waits for the disk at each commit, and writes ahead; no test could
    see a power cut that it did not survive."""
    db = desk.alerting.journal._keeper._open()
    assert db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def fill(file: Path) -> None:
    """Write until there is no room left."""
    with file.open("wb", buffering=0) as opened, suppress(OSError):
        while True:
            opened.write(b"x" * 512)


@pytest.mark.slow
async def test_a_full_disk_is_one_alert_and_no_end(make_desk: MakeDesk, small_disk: Path) -> None:
    """The journal's disk is full: alerts are told all the same, one alert says what is wrong, and
    when there is room again the journal has everything."""
    desk = await make_desk(directory=small_disk)
    desk.add("web")
    desk.add("api")
    ballast = small_disk / "ballast"
    fill(ballast)
    for n in range(200):  # until the room that the journal had in reserve is used up
        desk.see("web", "down")
        desk.see("web", "up")
        desk.alerting.engine.table.dirty |= set(desk.alerting.engine.alerts)
        desk.alerting.executor.handle(events.Ticked())
        if n % 20 == 0:
            await desk.calm()
    await desk.calm()
    assert desk.alerting.journal.trouble is not None
    assert "full" in desk.alerting.journal.trouble
    desk.see("api", "down")
    await desk.wait(60)
    assert ("fired", "api") in desk.told()
    impaired = [kind for kind, rule, _ in desk.notifier().notified() if rule == "monitor_impaired"]
    assert impaired == ["fired"]
    ballast.unlink()
    await eventually(lambda: desk.alerting.journal.trouble is None)
    assert desk.alerting.journal.waiting == 0
    await desk.wait(20)
    assert ("resolved", "tocsin") in desk.told()
    before = len(desk.notifier().delivered)
    await desk.restart()
    desk.see("api", "down")
    desk.see("web", "up")
    await desk.wait(30)
    assert desk.told() == []
    assert before > 0


async def test_a_start_on_a_full_disk_is_no_end_either(
    make_desk: MakeDesk, small_disk: Path
) -> None:
    """With no room for a journal at all, tocsin starts, tells alerts, and says what is wrong."""
    desk = await make_desk(directory=small_disk)
    await desk.stop()
    for file in small_disk.glob("journal.db*"):
        file.unlink()
    fill(small_disk / "ballast")
    desk._make()
    await desk.start()
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(60)
    assert {("fired", "web"), ("fired", "tocsin")} <= set(desk.told())
    (small_disk / "ballast").unlink()


@pytest.mark.slow
async def test_a_fault_of_our_own_does_not_stop_the_clock_of_alerts(desk: Desk) -> None:
    """What raises inside is logged, and a second later the watch goes on: a look at health, and
    the engine's own ticks."""
    desk.add("web")
    tick = desk.alerting.engine.tick

    def fail(now: object) -> Any:
        desk.alerting.engine.tick = tick  # type: ignore[method-assign]
        raise RuntimeError("a fault of ours")

    desk.alerting.engine.tick = fail  # type: ignore[method-assign]
    desk.health = None  # type: ignore[assignment]
    desk.see("web", "down")
    await desk.wait(5)
    desk.health = {"source.docker": ComponentHealth(status=Health.DEGRADED, message="no socket")}
    await desk.wait(920)
    assert ("fired", "tocsin") in desk.told()
    assert ("repeated", "web") in desk.told()


async def test_what_the_journal_holds_is_read_from_a_full_disk(
    make_desk: MakeDesk, small_disk: Path
) -> None:
    """A start on a full disk knows what fired before: it is not told twice, and its end is told."""
    desk = await make_desk(directory=small_disk)
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(30)
    await desk.stop()
    fill(small_disk / "ballast")
    desk._make()
    await desk.start()
    assert desk.alerting.journal.trouble is not None
    desk.see("web", "down")
    await desk.wait(60)
    desk.see("web", "up")
    await desk.wait(60)
    assert [kind for kind, target in desk.told() if target == "web"] == ["fired", "resolved"]
    (small_disk / "ballast").unlink()


class Unspeakable:
    """What cannot be written down."""

    def __str__(self) -> str:
        raise ValueError("no words")


async def test_words_that_are_none_do_not_end_the_journal(desk: Desk) -> None:
    """Half a character in a message is written as a question mark, what has no words of its own by
    its type. An entry that cannot be written at all is left out; everything else goes on being
    written."""
    desk.add("web")
    key = ("monitor_impaired", "half")
    half = Verdict.firing("file \udcff", details={"\udcff": ["\udcff"]})
    desk.alerting.executor.handle(events.Judged(key, half))
    none = Verdict.firing("nothing", details={"x": Unspeakable()})
    desk.alerting.executor.handle(events.Judged(("monitor_impaired", "x"), none))
    (alert,) = (a for a in desk.alerting.engine.alerts.values() if a.target == "x")
    unfit = evolve(alert, rule="unfit", target="unfit", details={"x": Unspeakable()})
    desk.alerting.journal.submit(Entry(alerts=(unfit,)))
    desk.see("web", "down")
    await desk.wait(30)
    assert ("fired", "web") in desk.told()
    assert desk.alerting.journal.trouble is None
    saved = await Journal(desk.directory / "journal.db").start()
    assert {alert.target for alert in saved.alerts} == {"web", "half", "x"}
    assert {alert.message for alert in saved.alerts} == {"c: web is down", "file ?", "nothing"}


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_clock_that_jumps_moves_nothing(
    desk: Desk, clock: SettableClock, hours: int
) -> None:
    """The wall clock set forward or back by an hour: no false alert, no early or late repeat, no
    stall, the right downtime; also when tocsin is restarted afterwards."""
    desk.add("web")
    desk.add("api")
    desk.see("web", "down")
    desk.see("api", "up")
    await desk.wait(100)
    clock.wall += timedelta(hours=hours)
    desk.see("api", "up")
    await desk.wait(100)
    assert desk.told() == [("fired", "web")]
    await desk.restart()
    desk.see("web", "down")
    desk.see("api", "up")
    await desk.wait(690)
    assert desk.told() == []
    await desk.wait(30)
    assert desk.told() == [("repeated", "web")]
    desk.see("web", "up")
    await desk.wait(10)
    assert desk.notifier().notices[-1].downtime == pytest.approx(920, abs=3)


async def test_the_rows_of_a_message_begun_go_out_as_that_message(desk: Desk) -> None:
    """Stopped while a message was being tried: after the start the same message, with the same id,
    goes out, once."""
    desk.notifier().fail(*["busy"] * 3)
    desk.add("web")
    desk.see("web", "down")
    await desk.wait(2)
    (first, *_) = desk.notifier().attempts
    await desk.restart()
    desk.see("web", "down")
    await desk.wait(10)
    assert [message.id for message in desk.notifier().delivered] == [first.id]
