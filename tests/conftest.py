"""Fixtures that every room shares: a real PostgreSQL, a settable clock."""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tocsin.core.embedded import EmbeddedPostgres
from tocsin.testing import SettableClock

REQUIRE_REAL = bool(os.environ.get("TOCSIN_REQUIRE_REAL"))


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The DSN of a real, embedded PostgreSQL that lives as long as the session."""
    directory = Path(tempfile.mkdtemp(prefix="tocsin-pg-"))
    server = EmbeddedPostgres()
    yield asyncio.run(server.start(directory / "pg"))
    asyncio.run(server.stop())
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def database(postgres: str) -> AsyncIterator[str]:
    """The DSN of a fresh database of its own."""
    name = f"t{uuid.uuid4().hex[:12]}"
    admin = await asyncpg.connect(postgres)
    await admin.execute(f"CREATE DATABASE {name}")
    yield postgres.replace("/postgres?", f"/{name}?")
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture
def fresh_postgres(postgres: str) -> Iterator[str]:
    """The same as ``database``, for tests that are not async."""
    name = f"t{uuid.uuid4().hex[:12]}"

    async def do(statement: str) -> None:
        connection = await asyncpg.connect(postgres)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(do(f"CREATE DATABASE {name}"))
    yield postgres.replace("/postgres?", f"/{name}?")
    asyncio.run(do(f"DROP DATABASE {name} WITH (FORCE)"))


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without an engine, skip what needs one; where real parts are required, let it fail."""
    marked = [item for item in items if item.get_closest_marker("docker")]
    if marked and not REQUIRE_REAL and not docker_answers():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no Docker Engine answers"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Side by side (pytest -n 2) run files, so that what a file shares is made once, but for all
    that needs the engine: names of containers there are fixed, so it stays with one worker."""
    from xdist.scheduler import LoadScopeScheduling

    @functools.cache
    def group(file: str) -> str:
        text = (config.rootpath / file).read_text()
        return "docker" if "mark.docker" in text else file

    class ByFile(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid.partition("::")[0])

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
