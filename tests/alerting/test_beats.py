"""Last beats of jobs: what is accepted outlives a kill, a lost journal, and an update."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.alerting import test_lost_journal as lost
from tests.alerting.conftest import Desk, MakeDesk
from tests.alerting.test_survival import fill
from tests.conftest import eventually
from tocsin.core.checks.heartbeats import Heartbeats
from tocsin.core.contracts.model import Heartbeat, Status
from tocsin.core.journal import earlier, journal, keeper
from tocsin.core.journal.file import Entry, open_file, put
from tocsin.core.journal.salvage import salvage
from tocsin.core.monitor.events import BeatReceived
from tocsin.core.runtime.process import PROCESS
from tocsin.core.runtime.sqlite_file import transaction
from tocsin.testing import SettableClock


async def beat(desk: Desk, key: str, message: str = "") -> Heartbeat:
    """A job reports, and is answered."""
    made = Heartbeat(at=desk.now, status=Status.DOWN, message=message, metrics={"rows": 3.0})
    desk.alerting.executor.handle(BeatReceived(key, made))
    await desk.alerting.executor.committed()
    return made


def old_file(directory: Path, **beats: Heartbeat) -> Path:
    """The file in which earlier versions kept last beats."""
    file = directory / "heartbeats.json"
    said = {k: {"at": b.at.isoformat(), "status": b.status.value, "message": b.message}
            for k, b in beats.items()}  # fmt: skip
    file.write_text(json.dumps(said))
    return file


async def test_a_beat_that_was_answered_outlives_a_kill(
    make_desk: MakeDesk, tmp_path: Path
) -> None:
    """The directory as a SIGKILL after the answer leaves it has the beat, whole; of two of a job
    the last."""
    data, saved = tmp_path / "data", tmp_path / "saved"
    data.mkdir()
    desk = await make_desk(directory=data)
    await beat(desk, "job", "first")
    desk.clock.advance(5)
    expected = {"job": await beat(desk, "job", "last"), "other": await beat(desk, "other")}
    shutil.copytree(data, saved)
    again = await make_desk(directory=saved)
    assert again.state.beats == expected


async def test_a_journal_that_vanishes_is_written_anew_with_the_beats(
    make_desk: MakeDesk, tmp_path: Path
) -> None:
    """Its file is deleted while tocsin runs: the new one has them."""
    data, saved = tmp_path / "data", tmp_path / "saved"
    data.mkdir()
    desk = await make_desk(directory=data)
    expected = {"job": await beat(desk, "job")}
    for file in data.glob("journal.db*"):
        file.unlink()
    await eventually(lambda: desk.alerting.journal.incident)
    await desk.calm()
    shutil.copytree(data, saved)
    again = await make_desk(directory=saved)
    assert again.state.beats == expected


@pytest.mark.parametrize("damage", [lost.garbage_header, lost.garbage_first_page, lost.cut])
async def test_beats_are_read_of_a_damaged_journal(
    desk: Desk, damage: Callable[[Path], None]
) -> None:
    """As far as its pages can be read, and they lie in the new one."""
    expected = {f"job {n}": await beat(desk, f"job {n}", "x" * 400) for n in range(100)}
    await lost.kill(desk, damage)
    assert desk.alerting.journal.incident is not None
    kept = dict(desk.state.beats)
    assert len(kept) == 100 if damage is not lost.cut else len(kept) > 20
    assert kept.items() <= expected.items()
    shutil.rmtree(desk.directory / "left")
    await lost.kill(desk, lambda _: None)
    assert desk.state.beats == kept


@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.parametrize("is_vacuumed", [False, True])
def test_beats_are_found_without_the_first_page(
    tmp_path: Path, is_old: bool, is_vacuumed: bool
) -> None:
    """Also of a file that a version without beats made, and of one that was made shorter."""
    path = tmp_path / "journal.db"
    if is_old:
        with closing(open_file(path)) as db:
            db.execute("DROP TABLE beats")
            rows = [(str(n), n, b"x" * 500) for n in range(200)]
            db.executemany("INSERT INTO outbox (id, open, steady, data) VALUES (?, 0, ?, ?)", rows)
    with closing(open_file(path)) as db:
        with transaction(db):
            put(db, Entry(beats={"job": Heartbeat(at=datetime.now(UTC))}))
        if is_vacuumed:
            db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    lost.garbage_first_page(tmp_path)
    assert salvage(path).beats.keys() == {"job"}


async def test_what_was_salvaged_waits_for_a_disk_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new file cannot be made at first: what was read of the damaged one is written with the
    first entries that can be."""
    path, beat = tmp_path / "journal.db", Heartbeat(at=datetime.now(UTC))
    first = journal.Journal(path)
    await first.start()
    await first.commit(Entry(beats={"kept": beat}))
    await first.stop()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO silences (id, data) VALUES ('x', 'nonsense')")
    calls = 0

    def failing(path: Path) -> sqlite3.Connection:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return open_file(path)

    monkeypatch.setattr(keeper, "open_file", failing)
    second = journal.Journal(path)
    assert (await second.start()).beats.keys() == {"kept"}
    assert second.trouble is not None
    await second.commit(Entry(beats={"new": beat}))
    await second.stop()
    third = journal.Journal(path)
    saved = await third.start()
    await third.stop()
    assert saved.beats.keys() == {"kept", "new"}
    assert saved.fresh or saved.doubtful, "history is asked what the damaged file lacked"


async def test_a_journal_of_a_version_without_beats_goes_on(
    make_desk: MakeDesk, small_disk: Path
) -> None:
    """Also where it cannot be written; and the first beat lies in it."""
    desk = await make_desk(directory=small_disk)
    desk.add("web")
    desk.see("web")
    await desk.wait(30)
    await desk.stop()
    with closing(sqlite3.connect(small_disk / "journal.db")) as db:
        db.execute("DROP TABLE beats")
    fill(small_disk / "ballast")
    await desk.restart()
    assert desk.alerting.journal.trouble is not None
    assert ("health_check_failed", "web") in desk.alerting.engine.alerts
    (small_disk / "ballast").unlink()
    await desk.restart()
    assert desk.alerting.journal.incident is None
    assert ("health_check_failed", "web") in desk.alerting.engine.alerts
    expected = {"job": await beat(desk, "job")}
    await desk.restart()
    assert desk.state.beats == expected


@pytest.fixture
def disk_that_hangs() -> Iterator[threading.Event]:
    """The journal's commits do not come back until the event is set."""
    release = threading.Event()

    def hang(name: str) -> None:
        if name == "before commit":
            release.wait(30)

    PROCESS.crash_hook = hang
    yield release
    release.set()
    PROCESS.crash_hook = None


async def test_a_disk_that_does_not_answer_does_not_keep_a_job_waiting(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, disk_that_hangs: threading.Event
) -> None:
    """The beat is accepted after a while, and tocsin says that its journal is not written; once
    the disk answers, the beat is on it and all is well."""
    monkeypatch.setattr(journal, "PATIENCE", 0.05)
    expected = {"job": await beat(desk, "job")}
    assert desk.state.beats == expected
    trouble = desk.alerting.journal.trouble
    assert trouble is not None
    assert "not written within" in trouble
    assert desk.alerting.health()["journal"].message == trouble
    disk_that_hangs.set()
    await eventually(lambda: desk.alerting.journal.trouble is None)
    await desk.restart()
    assert desk.state.beats == expected


# What an earlier version left


async def test_beats_of_an_earlier_version_are_taken_over(desk: Desk, tmp_path: Path) -> None:
    """The first start moves them; a crash before the old file was gone does no harm, and of two
    beats of a job the later counts, whichever file has it."""
    old, earlier = Heartbeat(at=desk.now, status=Status.DOWN, message="disk full"), desk.now
    await desk.stop()
    file = old_file(tmp_path, job=old, idle=old)
    content = file.read_bytes()
    await desk.restart()
    assert desk.state.beats == {"job": old, "idle": old}
    assert not file.exists()
    desk.clock.advance(60)
    newer = await beat(desk, "job")
    file.write_bytes(content)
    await desk.restart()
    assert desk.state.beats == {"job": newer, "idle": old}
    assert not file.exists()
    latest = Heartbeat(at=earlier + timedelta(hours=1))  # the earlier version ran once more
    old_file(tmp_path, job=latest)
    await desk.restart()
    await desk.restart()
    assert desk.state.beats == {"job": latest, "idle": old}


async def test_the_old_file_of_beats_stays_until_the_journal_has_them(
    make_desk: MakeDesk, small_disk: Path
) -> None:
    """On a full disk beats are known all the same, and nothing is removed."""
    desk = await make_desk(directory=small_disk)
    await desk.stop()
    for left in small_disk.glob("journal.db*"):
        left.unlink()
    old = Heartbeat(at=desk.now)
    file = old_file(small_disk, job=old)
    fill(small_disk / "ballast")
    await desk.restart()
    assert desk.state.beats == {"job": old}
    assert file.exists()
    (small_disk / "ballast").unlink()
    await desk.restart()
    await desk.restart()
    assert desk.state.beats == {"job": old}
    assert not file.exists()


@pytest.mark.parametrize(
    "content",
    [b"{broken", b'{"job": {"message": "\xff"}}', b'{"job": {"at": "2026-01-01T00:00:00"}}'],
)
async def test_a_damaged_old_file_of_beats_is_said_once(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """It is kept under another name, one line of the log says so; tocsin starts."""
    said: list[str] = []
    monkeypatch.setattr(earlier.log, "warning", lambda event, **_: said.append(event))
    await desk.stop()
    (tmp_path / "heartbeats.json").write_bytes(content)
    for _ in range(2):
        await desk.restart()
    assert said == ["heartbeats could not be read"]
    assert (tmp_path / "heartbeats.json.broken").read_bytes() == content
    assert desk.state.beats == {}


# Silence


def test_silence_goes_on_over_a_restart(clock: SettableClock) -> None:
    """Of an earlier run's beat it is counted by the wall clock, and is never negative; of a job
    that was never heard, from when watching began."""
    known = {
        "job": Heartbeat(at=clock.now() - timedelta(minutes=5)),
        "ahead": Heartbeat(at=clock.now() + timedelta(hours=1)),
    }
    beats = Heartbeats(known, clock)
    for key in ("job", "ahead", "new"):
        beats.watch(key)
    clock.advance(10)
    assert beats.last("job") == (known["job"], 310)
    assert beats.last("ahead") == (known["ahead"], 10)
    assert beats.last("new") == (None, 10)
    assert beats.last("unwatched") == (None, 0)
    beats.receive("job")
    beats.watch("job")
    clock.advance(1)
    assert beats.last("job")[1] == 1
