"""A whole tocsin whose data directory cannot be written."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.app.test_full_disk import part
from tests.app.test_run import TICKING
from tests.running import Running
from tests.store.helpers import NOWHERE
from tocsin.core.runtime.data_dir import StartError, data_directory

NOBODY = 65534


def remount(disk: Path, how: str) -> None:
    """Make a file system read-only ("ro"), or writable ("rw")."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


@pytest.mark.slow
def test_a_read_only_file_system_does_not_keep_tocsin_from_starting(
    tmp_path: Path, small_disk: Path
) -> None:
    """The very first start, and a later one that was killed before: checks run, what is known goes
    on, /health says what is wrong, and once it can be written everything is there."""
    env = {"DATABASE_URL": NOWHERE, "TOCSIN_DATA_DIR": str(small_disk)}
    remount(small_disk, "ro")
    first = Running(tmp_path, TICKING, env)
    first.data = small_disk
    with first as running:
        running.until(lambda: part(running, "journal")["status"] == "degraded")
        assert "admin token" in part(running, "data_dir")["message"]
        assert list(small_disk.iterdir()) == []
        remount(small_disk, "rw")
        running.until(lambda: (small_disk / "admin.token").exists())
        running.until((small_disk / "api.url").exists)
        running.until(lambda: part(running, "journal")["status"] == "ok")
        running.until(lambda: part(running, "data_dir")["status"] == "ok")
        assert running.get("/api/v1/targets/disk")["target"]["status"] == "up"
        assert running.process is not None
        running.process.kill()
        running.process.wait()
    before = sorted(file.name for file in small_disk.iterdir())
    remount(small_disk, "ro")
    with first as running:
        running.until(lambda: part(running, "journal")["status"] == "degraded")
        running.until(lambda: running.get("/api/v1/targets/disk")["target"]["status"] == "up")
        assert sorted(file.name for file in small_disk.iterdir()) == before
        assert running.stop() == 0
    assert "Traceback" not in running.output()


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that other users can reach, unlike pytest's own."""
    if os.geteuid() != 0:
        pytest.skip("to run as somebody else needs root")
    made = Path(tempfile.mkdtemp(prefix="tocsin-ro-", dir="/var/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


class AsNobody(Running):
    """A tocsin of a user who owns nothing."""

    def command(self) -> list[str]:
        return [
            "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
            *super().command(),
        ]  # fmt: skip


def nothing_allowed(data: Path) -> None:
    """The directory is another user's, without permission to write."""


def only_tokens(data: Path) -> None:
    """The directory may be written, the tokens' file may not."""
    os.chown(data, NOBODY, NOBODY)
    (data / "tokens.db").touch(0o644)


def no_lock(data: Path) -> None:
    """The lock may not be opened."""
    os.chown(data, NOBODY, NOBODY)
    (data / "lock").write_text("")
    (data / "lock").chmod(0o600)


def no_spool(data: Path) -> None:
    """The spool's directory may not be used, and the database is away."""
    os.chown(data, NOBODY, NOBODY)
    (data / "spool").mkdir(mode=0o700)


def not_to_be_made(data: Path) -> None:
    """There is no directory, and none can be made."""
    data.rmdir()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "component"),
    [
        (nothing_allowed, "journal"),
        (only_tokens, "data_dir"),
        (no_lock, None),
        (no_spool, "database"),
        (not_to_be_made, "journal"),
    ],
)
def test_without_permission_to_write_tocsin_starts_and_says_so(
    public: Path, limit: Callable[[Path], None], component: str | None
) -> None:
    """Whatever of the data directory cannot be written, checks run, and it is told."""
    running = AsNobody(public, TICKING, {"DATABASE_URL": NOWHERE})
    running.data = public / "data"
    running.data.mkdir(mode=0o755)
    limit(running.data)
    with running:
        if component is not None:
            running.until(lambda: part(running, component)["status"] == "degraded")
        running.until(lambda: part(running, "scheduler")["status"] == "ok")
        assert running.process is not None
        assert running.process.poll() is None
        assert "Permission denied" in running.output()
    assert "Traceback" not in running.output()


def test_of_two_on_a_directory_without_a_lock_file_one_runs(small_disk: Path) -> None:
    """The directory itself is held then; and commands do not take its address for a running
    one's."""
    (small_disk / "lock").write_text("")
    (small_disk / "api.url").write_text("http://127.0.0.1:1\n")
    remount(small_disk, "ro")
    with data_directory(small_disk):
        with pytest.raises(StartError, match="another tocsin"), data_directory(small_disk):
            pass
        with (small_disk / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
