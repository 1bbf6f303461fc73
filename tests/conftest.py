"""Fixtures that every room shares: a real PostgreSQL, a settable clock."""

from __future__ import annotations

import asyncio
import functools
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.probes.docker.lab import Lab, OwnEngine
from tocsin.core.clock import SystemClock
from tocsin.plugins.history.embedded import EmbeddedPostgres
from tocsin.plugins.history.store import Store
from tocsin.testing import SettableClock

TRADE = "the trade system"
LONGEST = (
    "tests/ship", "tests/dashboard/test_browser.py", "tests/app", "tests/alerts/test_restarts.py",
    "tests/alerting/test_crash_loop.py", "tests/store/test_outage.py", "tests/test_cli",
    "tests/probes/docker", "tests/dashboard/test_pages.py", "tests/alerting/test_survival.py",
    "tests/fuzz", "tests/plugins", "tests/test_places.py", "tests/alerting", "tests/faults",
)  # fmt: skip
"""Files that take longest, the longest first, by the durations that each run prints."""
APART = frozenset({"tests/faults/test_rows.py"})
"""Files whose tests take long and share nothing: each of them may run in any worker."""
REQUIRE_REAL = bool(os.environ.get("TOCSIN_REQUIRE_REAL"))


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The DSN of a real, embedded PostgreSQL that lives as long as the session. Nobody pulls its
    plug, so it does not wait for the disk."""
    directory = Path(tempfile.mkdtemp(prefix="tocsin-pg-"))
    server = EmbeddedPostgres()
    dsn = asyncio.run(server.start(directory / "pg"))
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        asyncio.run(_execute(dsn, f"ALTER SYSTEM SET {name} = off"))
    asyncio.run(_execute(dsn, "SELECT pg_reload_conf()"))
    yield dsn
    asyncio.run(server.stop())
    shutil.rmtree(directory, ignore_errors=True)


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def template(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database that holds the schema: what a test writes to is a copy of it."""

    async def prepare() -> None:
        await _execute(postgres, "CREATE DATABASE template_tocsin")
        store = Store(of(postgres, "template_tocsin"), tmp_path_factory.mktemp("spool"),
                      clock=SystemClock())  # fmt: skip
        await store.start()
        await store.flush()
        await store.close()

    in_a_loop(prepare)
    return "template_tocsin"


def of(server: str, database: str) -> str:
    """The DSN of another database of the same server."""
    return server.replace("/postgres?", f"/{database}?")


def in_a_loop(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run in an event loop on a thread of its own: where a browser is driven, or a test is async,
    this thread has one that runs already."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(work())).result()


@pytest.fixture(scope="session")
def new_database(postgres: str, template: str) -> Callable[[], str]:
    """Makes databases that hold the schema and live as long as the session; gives their DSNs."""
    return lambda: make_database(postgres, template)


def make_database(server: str, template: str) -> str:
    """A new database, a copy of another one; its DSN."""
    name = f"t{uuid.uuid4().hex[:12]}"
    in_a_loop(lambda: _execute(server, f"CREATE DATABASE {name} TEMPLATE {template}"))
    return of(server, name)


def drop(dsn: str) -> None:
    """Drop a database, whoever is connected."""
    server, name = re.sub(r"/t\w+\?", "/postgres?", dsn), dsn.partition("?")[0].rpartition("/")[2]
    in_a_loop(lambda: _execute(server, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def database(new_database: Callable[[], str]) -> Iterator[str]:
    """The DSN of a database of the test's own, as a tocsin that ran before left it: empty but for
    the schema."""
    dsn = new_database()
    yield dsn
    drop(dsn)


@pytest.fixture
def empty_database(postgres: str) -> Iterator[str]:
    """The DSN of a database of the test's own in which tocsin has never been."""
    dsn = make_database(postgres, "template1")
    yield dsn
    drop(dsn)


async def eventually(
    condition: Callable[[], object] | Callable[[], Awaitable[object]], seconds: float = 20
) -> None:
    """Wait until a condition holds; fail when it does not within a generous deadline."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        outcome = condition()
        if asyncio.iscoroutine(outcome):
            outcome = await outcome
        if outcome:
            return
        assert asyncio.get_running_loop().time() < deadline, f"never came true: {condition}"
        await asyncio.sleep(0.02)


def need(program: str) -> str:
    """The path of a real peer's program; without it the test is skipped, in CI it fails."""
    path = shutil.which(program) or shutil.which(program, path="/usr/lib/nagios/plugins:/usr/sbin")
    if path is None:
        if REQUIRE_REAL:
            pytest.fail(f"{program} is required here and not installed")
        pytest.skip(f"{program} is not installed")
    return path


def docker_answers() -> bool:
    """Whether a Docker Engine answers."""
    if shutil.which("docker") is None:
        return False
    done = subprocess.run(["docker", "version"], capture_output=True, timeout=20, check=False)
    return done.returncode == 0


@pytest.fixture
def own_engine() -> Iterator[OwnEngine]:
    """An engine of the test's own."""
    need("dockerd")
    if os.geteuid() != 0:
        pytest.skip("an engine of its own needs root")
    made = OwnEngine()
    yield made
    made.clean()


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Containers of the test's own."""
    made = Lab()
    yield made
    made.clean()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest. Without an engine, skip what needs one; where real parts are
    required, let it fail."""
    items.sort(key=lambda item: _rank(item.nodeid))  # or one worker ends alone
    marked = [item for item in items if item.get_closest_marker("docker")]
    if marked and not REQUIRE_REAL and not docker_answers():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no Docker Engine answers"))


def _rank(nodeid: str) -> int:
    found = (n for n, start in enumerate(LONGEST) if nodeid.startswith(start))
    return next(found, len(LONGEST))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Side by side (pytest -n 2) run files, so that what a file shares is made once. Those that use
    the trade system stay with one worker: its containers have fixed names, and tests stop them."""
    from xdist.scheduler import LoadScopeScheduling

    @functools.cache
    def group(file: str) -> str:
        text = (config.rootpath / file).read_text()
        return TRADE if "tests.tradestack" in text or "tests.ship.stack" in text else file

    class ByFile(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return nodeid if file in APART else group(file)

    return ByFile(config, log)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system with hardly any room."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, check=False).returncode != 0:
        if REQUIRE_REAL:
            pytest.fail("a small tmpfs cannot be mounted here")
        pytest.skip("mounting a tmpfs needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
