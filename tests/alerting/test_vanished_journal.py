"""A journal that is taken away while tocsin runs: what it has to hold is written anew."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.alerting.conftest import MakeDesk
from tests.conftest import eventually

pytestmark = pytest.mark.slow

ALL = ("journal.db", "journal.db-wal", "journal.db-shm")


def deleted(directory: Path) -> None:
    """All of its files are deleted."""
    for name in ALL:
        (directory / name).unlink()


def log_deleted(directory: Path) -> None:
    """The write-ahead log alone is deleted."""
    (directory / "journal.db-wal").unlink()


def replaced(directory: Path) -> None:
    """Another file takes its place."""
    other = directory / "other.db"
    with closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE something (other TEXT)")
        db.commit()
    other.replace(directory / "journal.db")


def emptied(directory: Path) -> None:
    """A shell's ``> journal.db``."""
    (directory / "journal.db").write_bytes(b"")


def log_emptied(directory: Path) -> None:
    """The same, for the write-ahead log."""
    (directory / "journal.db-wal").write_bytes(b"")


def overwritten(directory: Path) -> None:
    """Its content becomes something else, at the same length."""
    for name in ALL[:2]:
        size = (directory / name).stat().st_size
        with (directory / name).open("r+b") as opened:
            opened.write(b"\xa5" * size)


def directory_removed(directory: Path) -> None:
    """The whole directory is gone."""
    shutil.rmtree(directory)


def directory_made_anew(directory: Path) -> None:
    """The whole directory is gone, and another one is there."""
    shutil.rmtree(directory)
    directory.mkdir()


@pytest.mark.parametrize(
    "loss",
    [
        deleted, log_deleted, replaced, emptied, log_emptied, overwritten, directory_removed,
        directory_made_anew,
    ],
)  # fmt: skip
@pytest.mark.parametrize("idle", [pytest.param(True, marks=pytest.mark.slow), False])
async def test_a_journal_that_vanishes_is_written_anew(
    make_desk: MakeDesk, tmp_path: Path, loss: Callable[[Path], None], idle: bool
) -> None:
    """With something delivered, something owed and a silence in it: a new file holds all of them,
    also where nothing happens afterwards; it is told; and a start after a SIGKILL knows all."""
    data, saved = tmp_path / "data", tmp_path / "saved"
    data.mkdir()
    desk = await make_desk(directory=data)
    desk.silence("target=zzz", desk.now, desk.now.replace(year=desk.now.year + 1))
    for name in ("told", "owed"):
        desk.add(name)
    desk.see("told")
    await desk.wait(30)
    desk.notifier().fail(*["not now"] * 1000)
    desk.see("owed")
    await desk.wait(30)
    loss(data)
    if not idle:
        desk.add("late")
        desk.see("late")
        await desk.calm()
    await eventually(lambda: desk.alerting.journal.incident)
    await eventually((data / "journal.db").exists)
    await desk.calm()
    desk.notifier().failures.clear()
    shutil.copytree(data, saved)  # as a SIGKILL would leave it
    await desk.wait(120)
    assert ("fired", "tocsin") in desk.told()
    assert ("resolved", "tocsin") in desk.told()
    assert desk.alerting.journal.incident is None
    again = await make_desk(directory=saved, settle=False)
    assert len(again.alerting.quiet.silences) == 1
    for name in ("told", "owed", "late"):
        again.add(name)
        again.see(name, "up" if idle and name == "late" else "down")
    await again.wait(60)
    expected = {("fired", "owed")} if idle else {("fired", "owed"), ("fired", "late")}
    assert set(again.told_of("told", "owed", "late")) == expected
    assert len(again.told_of("told", "owed", "late")) == len(expected)
    for name in ("told", "owed", "late"):
        again.see(name, "up")
    await again.wait(60)
    assert ("resolved", "told") in again.told()


async def test_a_journal_that_vanishes_before_the_stop_is_written_at_the_stop(
    make_desk: MakeDesk, tmp_path: Path
) -> None:
    """Nobody looked in between."""
    desk = await make_desk()
    desk.add("web")
    desk.see("web")
    await desk.wait(30)
    deleted(tmp_path)
    await desk.restart()
    desk.see("web")
    await desk.wait(30)
    assert desk.told_of("web") == []
