"""A PostgreSQL of a test's own, to be stopped, frozen and killed."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tocsin.plugins.history.embedded import EmbeddedPostgres


class Server:
    """A real server whose outages a test makes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._embedded = EmbeddedPostgres()
        self._frozen: list[psutil.Process] = []

    @property
    def pid(self) -> int:
        """The process id of the postmaster."""
        return int((self.directory / "postmaster.pid").read_text().splitlines()[0])

    async def start(self) -> str:
        """Start it, or start it again; returns the DSN."""
        return await self._embedded.start(self.directory)

    async def stop(self) -> None:
        """What ``pg_ctl stop`` does."""
        await self._embedded.stop()
        self._embedded = EmbeddedPostgres()

    def kill(self) -> None:
        """SIGKILL to the postmaster; its children notice and end."""
        os.kill(self.pid, signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP to all of it: sockets stay open, nothing answers."""
        postmaster = psutil.Process(self.pid)
        self._frozen = [postmaster, *postmaster.children(recursive=True)]
        for process in self._frozen:
            os.kill(process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on where it was."""
        frozen, self._frozen = self._frozen, []
        for process in frozen:
            if process.is_running():
                os.kill(process.pid, signal.SIGCONT)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server not started yet; nothing is left of it afterwards."""
    home = Path(tempfile.mkdtemp(prefix="tpg"))
    server = Server(home / "pg")
    yield server
    server.thaw()
    asyncio.run(server.stop())
    if (server.directory / "postmaster.pid").exists():  # the test took the handle away
        psutil.Process(server.pid).kill()
    shutil.rmtree(home, ignore_errors=True)
