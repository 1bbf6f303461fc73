"""A journal that is lost or damaged: what was owed is told, what was delivered is not."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.alerting.conftest import CONFIG, Desk, MakeDesk
from tests.conftest import eventually
from tests.kept import flush, kept
from tocsin import NotifyError
from tocsin.core.alerts.outbox import Decision, Row
from tocsin.core.ids import new_id
from tocsin.core.journal.file import Entry, open_file, put, read
from tocsin.core.journal.upkeep import prune
from tocsin.testing import SettableClock

PAGE = 4096


def journal(directory: Path) -> Path:
    return directory / "journal.db"


def merge(directory: Path) -> Path:
    """Move what lies in the write-ahead log into the file."""
    with closing(sqlite3.connect(journal(directory))) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for suffix in ("-wal", "-shm"):
        journal(directory).with_name(f"journal.db{suffix}").unlink(missing_ok=True)
    return journal(directory)


def truncated(directory: Path) -> None:
    """The file ends after half of its pages."""
    file = merge(directory)
    pages = file.stat().st_size // PAGE
    with file.open("r+b") as opened:
        opened.truncate(pages // 2 * PAGE)


def zeroed(directory: Path) -> None:
    """All pages but the first are zeros."""
    file = merge(directory)
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.seek(PAGE)
        opened.write(bytes(size - PAGE))


def garbage(directory: Path) -> None:
    """The header, and all that follows, is something else."""
    file = merge(directory)
    file.write_bytes(b"\xa5" * file.stat().st_size)


def deleted(directory: Path) -> None:
    """The file and what lies beside it are gone."""
    merge(directory).unlink()


def empty(directory: Path) -> None:
    """The file has no content."""
    merge(directory).write_bytes(b"")


def other_tables(directory: Path) -> None:
    """The table of the outbox is not there, nor the column of alerts."""
    with closing(sqlite3.connect(merge(directory))) as db:
        db.executescript("ALTER TABLE outbox RENAME TO letters")


def other_columns(directory: Path) -> None:
    """A column has another name."""
    with closing(sqlite3.connect(merge(directory))) as db:
        db.executescript("ALTER TABLE outbox RENAME COLUMN data TO text")


def other_version(directory: Path) -> None:
    """The file says that another program made it, and holds nothing that is known."""
    with closing(sqlite3.connect(merge(directory))) as db:
        db.executescript("PRAGMA user_version = 99; DELETE FROM outbox; DELETE FROM alerts")


def damaged_log(directory: Path) -> None:
    """The write-ahead log, in which everything still lies, is overwritten in its midst."""
    log = journal(directory).with_name("journal.db-wal")
    size = log.stat().st_size
    assert size > 4 * PAGE
    with log.open("r+b") as opened:
        opened.seek(200)
        opened.write(b"\xa5" * 600)


def garbage_log(directory: Path) -> None:
    """The write-ahead log is something else."""
    log = journal(directory).with_name("journal.db-wal")
    log.write_bytes(b"\xa5" * log.stat().st_size)


def no_log(directory: Path) -> None:
    """The write-ahead log is gone."""
    journal(directory).with_name("journal.db-wal").unlink()


DAMAGES = (
    truncated, zeroed, garbage, deleted, empty, other_tables, other_columns, other_version,
    damaged_log, garbage_log, no_log,
)  # fmt: skip


@pytest.fixture
async def remembered(make_desk: MakeDesk, database: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk with a database."""
    desk = await make_desk(config=CONFIG.replace("[channels", "[alerts]\nhold = 0\n[channels"))
    desk.history = kept(database, tmp_path / "spool", desk.clock)
    await desk.history.start()
    await desk.restart()
    yield desk
    await desk.history.stop()


async def leave_owed(desk: Desk) -> None:
    """Of two failures one was delivered and one was not, when tocsin is killed."""
    desk.add("told")
    desk.add("owed")
    await desk.wait(2)
    desk.see("told")
    desk.see("owed", "up")
    await desk.wait(30)
    assert desk.told() == [("fired", "told")]
    desk.notifier().fail(*["not now"] * 1000)
    desk.see("owed")
    await desk.wait(30)
    assert ("fired", "ops", "queued") in desk.ledger("owed")
    await flush(desk.history)


async def kill(desk: Desk, damage: Callable[[Path], None]) -> None:
    """Start from what a SIGKILL now would leave, after some damage."""
    left = desk.directory / "left"
    left.mkdir()
    for file in desk.directory.glob("journal.db*"):
        shutil.copy(file, left)
    await desk.stop()
    for file in desk.directory.glob("journal.db*"):
        file.unlink()
    damage(left)
    for file in left.glob("journal.db*"):
        shutil.move(file, desk.directory)
    desk.settings = desk.load(desk.config)
    desk._make()
    await desk.start(settle=False)


@pytest.mark.parametrize("damage", DAMAGES)
async def test_what_was_owed_is_told_out_of_the_database(
    remembered: Desk, damage: Callable[[Path], None]
) -> None:
    """With PostgreSQL, whatever became of the journal: what was not delivered is, once; what was
    delivered is not again; both ends are told; and that the journal was damaged is told, too."""
    desk = remembered
    await leave_owed(desk)
    await kill(desk, damage)
    await eventually(lambda: not desk.alerting._restoring)
    desk.see("told")
    desk.see("owed")
    await desk.wait(30)
    said = [told for told in desk.told() if told[1] != "tocsin"]
    assert said == [("fired", "owed")]
    (impaired,) = (
        n for n in desk.notifier().notices if n.kind.value == "fired" if n.target == "tocsin"
    )
    assert "journal: " in impaired.message
    desk.see("told", "up")
    desk.see("owed", "up")
    await desk.wait(30)
    said = [told for told in desk.told() if told[1] != "tocsin"]
    assert sorted(said[1:]) == [("resolved", "owed"), ("resolved", "told")]
    assert desk.told()[-1] != ("fired", "tocsin")
    await desk.restart()
    await desk.wait(30)
    assert desk.told() == [], "everything is known to be over"
    assert desk.alerting.journal.incident is None


def garbage_header(directory: Path) -> None:
    """The first hundred bytes are something else."""
    with merge(directory).open("r+b") as opened:
        opened.write(b"\xa5" * 100)


def garbage_first_page(directory: Path) -> None:
    """The first page is something else, and with it where the tables are."""
    with merge(directory).open("r+b") as opened:
        opened.write(b"\xa5" * PAGE)


def holes(directory: Path) -> None:
    """Every tenth page is zeros."""
    file = merge(directory)
    with file.open("r+b") as opened:
        for n in range(9, file.stat().st_size // PAGE, 10):
            opened.seek(n * PAGE)
            opened.write(bytes(PAGE))


def cut(directory: Path) -> None:
    """The last tenth is missing."""
    file = merge(directory)
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // PAGE * 9 // 10 * PAGE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "least"), [(garbage_header, 60), (garbage_first_page, 60), (holes, 30), (cut, 30)]
)
async def test_what_can_be_read_of_a_damaged_journal_goes_on(
    desk: Desk, damage: Callable[[Path], None], least: int
) -> None:
    """Without PostgreSQL: alerts that can be read are not told again, the others are, as far as
    they still fire; the ends of all are told; the file is kept, and what was read of it is said."""
    names = [f"t{n:02}" for n in range(60)]
    for name in names:
        desk.add(name)
        desk.see(name, message=f"{name} is down: " + "x" * 600)
        await desk.wait(1)
    await desk.wait(60)
    assert len(desk.told()) == 60
    await kill(desk, damage)
    for name in names:
        desk.see(name)
    await desk.wait(30)
    again = [target for _, target in desk.told() if target != "tocsin"]
    assert len(again) == len(set(again)) <= 60 - least
    impaired = next(n for n in desk.notifier().notices if n.target == "tocsin")
    assert "was damaged" in impaired.message
    (aside,) = (f for f in desk.directory.glob("journal.db.broken-*") if "-wal" not in f.name)
    assert str(aside) in impaired.message
    for name in names:
        desk.see(name, "up")
    await desk.wait(60)
    assert {target for kind, target in desk.told() if kind == "resolved"} == {*names, "tocsin"}


async def test_what_was_read_of_a_damaged_journal_lies_in_the_new_one(desk: Desk) -> None:
    """tocsin is killed again before it has taken up what could be read: nothing is lost."""
    desk.add("web")
    desk.see("web")
    await desk.wait(30)
    await kill(desk, garbage_header)
    shutil.rmtree(desk.directory / "left")
    for file in desk.directory.glob("journal.db.broken-*"):
        file.unlink()
    await kill(desk, lambda _: None)
    desk.see("web")
    await desk.wait(30)
    assert ("fired", "web") not in desk.told()


async def test_a_journal_of_an_earlier_version_goes_on(desk: Desk) -> None:
    """Its tables had no row numbers: they are copied, and nothing is lost."""
    desk.add("web")
    desk.see("web")
    await desk.wait(30)
    await desk.stop()
    with closing(sqlite3.connect(journal(desk.directory))) as db:
        db.executescript(
            "ALTER TABLE alerts RENAME TO a; CREATE TABLE alerts (rule TEXT NOT NULL, target TEXT "
            "NOT NULL, data BLOB NOT NULL, PRIMARY KEY (rule, target)) WITHOUT ROWID; "
            "INSERT INTO alerts SELECT * FROM a; DROP TABLE a; DROP INDEX outbox_open;"
            "ALTER TABLE outbox RENAME TO o; CREATE TABLE outbox (id TEXT PRIMARY KEY, open "
            "INTEGER NOT NULL, steady REAL NOT NULL, data BLOB NOT NULL) WITHOUT ROWID; "
            "CREATE INDEX outbox_open ON outbox (open, steady); "
            "INSERT INTO outbox SELECT * FROM o; DROP TABLE o"
        )
    desk.settings = desk.load(desk.config)
    desk._make()
    await desk.start(settle=False)
    assert desk.alerting.journal.incident is None
    assert ("fired", "ops", "sent") in desk.ledger("web")
    desk.see("web")
    await desk.wait(30)
    assert desk.told() == []
    with closing(open_file(journal(desk.directory))) as db:
        assert db.execute("SELECT max(rowid) FROM outbox").fetchone()[0] >= 1


def test_of_finished_rows_the_oldest_go(tmp_path: Path, clock: SettableClock) -> None:
    """The journal keeps so many of them at most, and all that is still to be told."""

    def row(n: int, decision: Decision) -> Row:
        return Row(
            alert=new_id(), channel="ops", transition="fired", at=clock.now(), steady=float(n),
            decision=decision,
        )  # fmt: skip

    with closing(open_file(journal(tmp_path))) as db:
        finished = [row(n, Decision.SENT) for n in range(10, 30)]
        owed = [row(n, Decision.QUEUED) for n in range(5)]
        put(db, Entry(rows=(*finished, *owed)))
        prune(db, 12.0, 100, 1 << 20)
        assert len(read(db).rows) == 23
        prune(db, 12.0, 7, 1 << 20)
        assert read(db).rows == (*owed, *finished[-7:])
        prune(db, 12.0, 7, 1 << 20)
        assert len(read(db).rows) == 12


async def test_a_journal_written_anew_knows_the_message_that_is_tried(desk: Desk) -> None:
    """The file goes while a message waits for its next attempt, and tocsin is killed: the message
    arrives under the id it was tried with, so that whoever has it already knows it again."""
    desk.add("web")
    desk.notifier().fail(NotifyError("busy"))
    desk.see("web", "down")
    await desk.wait(0.5)
    (tried,) = desk.notifier().attempts
    for lost in desk.directory.glob("journal.db*"):
        lost.unlink()
    desk.add("other")
    desk.see("other", "down")
    await eventually(lambda: desk.alerting.journal.incident is not None)
    await desk.calm()
    with closing(open_file(desk.directory / "journal.db")) as file:
        rows = read(file).rows
    assert [row.message for row in rows if row.target == "web"] == [tried.id]
