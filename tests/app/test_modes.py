"""What tocsin writes is its user's alone, whatever umask it was started with."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.running import Running
from tests.store.helpers import NOWHERE
from tocsin import program_umask
from tocsin.core.runtime.owned import narrow, private_files

pytestmark = pytest.mark.slow

NOBODY = 65534
SHARED = {
    # The embedded server, which refuses to be root, runs as a user of its own and passes through.
    ".": 0o701,
}
"""What of a data directory others than its owner may use, and how."""

CONFIG = """
interval = "1s"
[sources.docker]
enabled = false
[log]
file = "{log}"
[targets.program.checks.backup]
probe = "backup-script"
command = ["/bin/sh", "-c", "umask > {out}.partial; touch {out}.made; mv {out}.partial {out}"]
[targets.job.checks.beat]
probe = "heartbeat"
period = "1d"
[targets.gone.checks.port]
probe = "tcp"
host = "127.0.0.1"
port = 1
[rules.health_check_failed]
failures = 1
"""


def open_to_others(directory: Path) -> dict[str, str]:
    """Files and directories that group or others may use, with their modes."""
    found = {}
    below = [Path(place, n) for place, dirs, files in os.walk(directory) for n in (*dirs, *files)]
    for path in [directory, *below]:
        with suppress(FileNotFoundError):  # a server's files come and go
            status = path.lstat()
            if status.st_mode & 0o077 and not stat.S_ISLNK(status.st_mode):
                found[str(path.relative_to(directory))] = f"{stat.S_IMODE(status.st_mode):o}"
    return found


class Unmasked(Running):
    """A tocsin that is started with umask 0, by a user."""

    def __enter__(self) -> Unmasked:
        super().__enter__()
        return self

    def __init__(self, directory: Path, user: str, env: dict[str, str]) -> None:
        self.out = directory / "program"
        super().__init__(directory, CONFIG.format(log=directory / "t.log", out=self.out), env)
        self.user = user
        if user != "root":
            os.chown(directory, NOBODY, NOBODY)

    main = "import os; os.umask(0); from tocsin.core.cli.main import main; main()"

    def command(self) -> list[str]:
        as_user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        return [*(as_user if self.user != "root" else []), *super().command()]


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that other users can reach, unlike pytest's own."""
    made = Path(tempfile.mkdtemp(prefix="tocsin-modes-", dir="/var/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.parametrize("user", ["root", "another"])
def test_everything_below_the_data_directory_is_private(place: Path, user: str) -> None:
    """The journal with its -wal and -shm, tokens, spool, the log: no file has bits for
    group or others; a check's program has the umask that tocsin was started with."""
    if user == "another" and os.geteuid() != 0:
        pytest.skip("to run as somebody else needs root")
    with Unmasked(place, user, {"DATABASE_URL": NOWHERE}) as running:
        assert running.ask("/api/v1/heartbeats/job", "POST")[0] == 200
        running.until(lambda: running.get("/api/v1/alerts/active")["items"])
        running.until(lambda: list((running.data / "spool").glob("*.batch")))
        running.until(running.out.exists)
        made = {path.name for path in running.data.rglob("*")}
        assert {"api.url", "admin.token", "tokens.db", "lock"} <= made
        assert any(name.endswith("-wal") for name in made), made
        assert any(name.endswith("-shm") for name in made), made
        assert open_to_others(running.data) == {}
        assert stat.S_IMODE((place / "t.log").stat().st_mode) == 0o600
        assert running.out.read_text().strip() == "0000"
        assert stat.S_IMODE(running.out.with_name("program.made").stat().st_mode) == 0o666


def test_the_embedded_database_is_private(place: Path) -> None:
    """Its directory, files and socket are its user's alone; others only pass through the data
    directory, and only where root runs it."""
    with Unmasked(place, "root", {}) as running:
        pid = running.data / "postgres/postmaster.pid"
        try:
            running.until(lambda: pid.exists() and "ready" in pid.read_text())
            expected = {n: f"{m:o}" for n, m in SHARED.items()} if os.geteuid() == 0 else {}
            assert open_to_others(running.data) == expected
            assert (running.data / "postgres/PG_VERSION").exists()
        finally:
            running.stop()


def test_what_an_earlier_version_left_open_is_narrowed(place: Path) -> None:
    """Files that group or others could use are taken from them at the start, which is said; the
    database's, which has a user of its own, and what is not below are left alone."""
    data, outside = place / "data", place / "outside"
    (data / "spool").mkdir(parents=True, mode=0o755)
    (data / "postgres").mkdir()
    outside.write_text("")
    outside.chmod(0o644)
    (data / "link").symlink_to(outside)
    for name in ("alerts.db", "other.json", "spool/x.batch.old", "postgres/base"):
        (data / name).write_text("{}")
        (data / name).chmod(0o644)
    data.chmod(0o777)
    (place / "t.log").touch()
    (place / "t.log").chmod(0o644)
    with Unmasked(place, "root", {"DATABASE_URL": NOWHERE}) as running:
        assert set(open_to_others(data)) <= {".", "postgres", "postgres/base"}
        assert stat.S_IMODE(data.stat().st_mode) == 0o755
        assert stat.S_IMODE(outside.stat().st_mode) == 0o644
        assert stat.S_IMODE((place / "t.log").stat().st_mode) == 0o640
        assert "access of other users" in running.output()


def test_the_mask_is_given_back(tmp_path: Path) -> None:
    """After private_files, also nested, the umask is what it was; programs have it meanwhile."""
    before = os.umask(0o022)
    try:
        with private_files(), private_files():
            assert program_umask() == 0o022
            (tmp_path / "a").touch()
        (tmp_path / "b").touch()
        assert program_umask() == 0o022
        modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"]
        assert modes == [0o600, 0o644]
        assert narrow(tmp_path) == 1
    finally:
        os.umask(before)


def test_commands_make_private_files(place: Path) -> None:
    """tocsin token, too, makes nothing that others can use."""
    tocsin = Unmasked(place, "root", {})
    assert tocsin.run("token", "create", "ci").returncode == 0
    assert open_to_others(tocsin.data) == {}
