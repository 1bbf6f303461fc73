"""A whole tocsin whose data directory has no room left."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.app.test_run import TICKING
from tests.running import Running, ask
from tests.store.helpers import rows

pytestmark = pytest.mark.slow


def fill(disk: Path) -> Path:
    """Leave no room; returns the file to delete for some."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as opened, suppress(OSError):
        while True:
            opened.write(b"x" * 512)
    return ballast


def part(running: Running, name: str) -> Any:
    """A component of /health, which asks for no token."""
    status, health = ask(running.url + "/health", "")
    assert status == 200
    return health["components"][name]


def test_a_full_disk_does_not_keep_tocsin_from_starting(
    tmp_path: Path, small_disk: Path, empty_database: str
) -> None:
    """The very first start, and a later one, on a disk without room: checks run, history is
    written, /health says what is wrong. With room again there are the admin token and a journal."""

    def results() -> int:
        (row,) = asyncio.run(rows(empty_database, "SELECT count(*) AS n FROM check_results"))
        return int(row["n"])

    env = {"DATABASE_URL": empty_database, "TOCSIN_DATA_DIR": str(small_disk)}
    ballast = fill(small_disk)
    first = Running(tmp_path, TICKING, env)
    first.data = small_disk
    with first as running:
        running.until(lambda: part(running, "journal")["status"] == "degraded")
        assert "full" in part(running, "journal")["message"]
        running.until(lambda: part(running, "database")["message"] == "")
        running.until(lambda: results() > 2)
        assert not (small_disk / "admin.token").exists()
        ballast.unlink()
        running.until(lambda: (small_disk / "admin.token").exists())
        running.until((small_disk / "api.url").exists)
        assert running.run("status").returncode == 0
        running.until(lambda: part(running, "journal")["status"] == "ok")
        assert running.get("/api/v1/targets/disk")["target"]["status"] == "up"
        assert running.stop() == 0
    fill(small_disk)
    with first as running:
        before = results()
        running.until(lambda: results() > before + 2)
        assert running.get("/api/v1/targets/disk")["target"]["status"] == "up"
        assert part(running, "journal")["status"] == "degraded"
        assert running.stop() == 0
    assert "Traceback" not in running.output()
