"""What tocsin itself lacks says nothing about a target."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp.client_reqrep import ConnectionKey
from attrs import frozen

from tests.contexts import contexts, polled
from tests.probes.short_of_files import LEFT
from tocsin import Probe, Result, Status, Target, own_shortage
from tocsin.core.checks.check_runner import Runner
from tocsin.core.checks.probe_faults import ProbeFaults
from tocsin.core.checks.punctuality import TOLD_FOR, shortages
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.contracts.model import Health
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.sandbox import Isolation
from tocsin.core.runtime.shortage import LookupTrouble
from tocsin.testing import SettableClock


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speak HTTP."""
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[tuple[int, int]]:
    """The ports of a healthy HTTP server and of an HTTPS server; its CA is in ca.pem."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    plain = await asyncio.start_server(_answer, "127.0.0.1", 0)
    secure = await asyncio.start_server(_answer, "127.0.0.1", 0, ssl=context)
    yield plain.sockets[0].getsockname()[1], secure.sockets[0].getsockname()[1]
    plain.close()
    secure.close()


@pytest.mark.slow
async def test_no_probe_says_down_when_open_files_run_out(
    servers: tuple[int, int], postgres: str, tmp_path: Path
) -> None:
    """Each probe looks at something healthy with 0, 1, 2, … descriptors left: it is up or unknown,
    never down, no plugin is blamed, and the reason names the limit."""
    plain, secure = servers
    (tmp_path / "backup.dump").write_text("x" * 100)
    cases: dict[str, tuple[str, dict[str, Any]]] = {
        "http": ("http", {"url": f"http://127.0.0.1:{plain}/"}),
        "http by name": ("http", {"url": f"http://localhost:{plain}/"}),
        "https": ("http", {"url": f"https://127.0.0.1:{secure}/"}),
        "https by name": ("http", {"url": f"https://localhost:{secure}/"}),
        "tcp": ("tcp", {"host": "127.0.0.1", "port": plain}),
        "tcp by name": ("tcp", {"host": "localhost", "port": plain}),
        "tcp with tls": ("tcp", {"host": "localhost", "port": secure, "tls": True}),
        "postgres": ("postgres-query", {"dsn": postgres}),
        "script": ("backup-script", {"command": ["/bin/true"]}),
        "files": ("backup-script", {"files": f"{tmp_path}/*.dump", "settle": 0}),
        "deep files": ("backup-script", {"files": f"{tmp_path}/**/*.dump", "settle": 0}),
        "disk": ("disk", {"paths": ["/"], "min_free_percent": 0, "degraded_free_percent": 0}),
        "every disk": ("disk", {"min_free_percent": 0, "degraded_free_percent": 0,
                                "min_inodes_free_percent": 0}),
    }  # fmt: skip
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.probes.short_of_files", json.dumps(cases),
        env={**os.environ, "SSL_CERT_FILE": str(tmp_path / "ca.pem")},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    stdout, stderr = await child.communicate()
    assert child.returncode == 0, stderr.decode()[-3000:]
    told = json.loads(stdout)
    assert told["failed"] == []
    for name, results in told["seen"].items():
        assert len(results) == len(LEFT) + 1
        assert {status for status, _ in results} <= {"up", "unknown"}, (name, results)
        assert results[-1][0] == "up", (name, results[-1])
        unknown = [message for status, message in results if status == "unknown"]
        assert unknown or name == "disk", (name, results)  # which needs no descriptor
        assert all("open files" in message for message in unknown), (name, unknown)


def _chained(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


EMFILE = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
KEY = ConnectionKey("h", 1, False, True, None, None, None)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (EMFILE, "open files"),
        (OSError(errno.ENFILE, "x"), "this machine"),
        (OSError(errno.ENOMEM, "x"), "memory"),
        (OSError(errno.ENOBUFS, "x"), "buffers"),
        (OSError(errno.EADDRNOTAVAIL, "x"), "ports"),
        (MemoryError(), "memory"),
        (RuntimeError("can't start new thread"), "threads"),
        (_chained(ValueError("wrapped"), EMFILE), "open files"),
        (ExceptionGroup("several", [ValueError(), EMFILE]), "open files"),
        (aiohttp.ClientConnectorError(KEY, EMFILE), "open files"),
        (OSError("Multiple exceptions: [Errno 111] refused, [Errno 24] Too many"), "open files"),
        (OSError(f"Multiple exceptions: {OSError(errno.EADDRNOTAVAIL, 'x')}"), "ports"),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), "could not look up the name"),
        (LookupTrouble("shop.test", "no answer"), "could not look up the name: shop.test"),
        (socket.gaierror(socket.EAI_NONAME, "no such name"), None),
        (REFUSED, None),
        (OSError("Multiple exceptions: [Errno 99] no such, [Errno 111] refused"), None),
        (OSError(errno.EAGAIN, "the backlog of a Unix socket is full"), None),
        (TimeoutError(), None),
        (RuntimeError("something else"), None),
        (ssl.SSLError(1, "handshake failure"), None),
    ],
)
def test_a_shortage_is_told_from_a_target_in_trouble(error: Exception, words: str | None) -> None:
    """Whatever wraps it, an error that comes from what tocsin lacks is unknown, others are down.
    One address of several that cannot be used from here does not excuse the others."""
    lack = own_shortage(error)
    result = Result.failed(error, "it does not answer")
    if words is None:
        assert lack is None
        assert (result.status, result.message) == (Status.DOWN, "it does not answer")
    else:
        assert lack is not None
        assert words in lack
        assert (result.status, result.message) == (Status.UNKNOWN, lack)


class Odd(OSError):
    """An error of a stranger's plugin, whose attributes are not what they seem."""

    exceptions = 5
    errno = [24]  # type: ignore[assignment] # noqa: RUF012

    @property
    def os_error(self) -> None:
        raise RuntimeError("broken")


@pytest.mark.parametrize("error", [Odd(), _chained(ValueError("wrapped"), Odd())])
def test_errors_of_any_shape_are_looked_at(error: Exception) -> None:
    """What an error of a plugin says may be anything; it is then about something else."""
    assert own_shortage(error) is None


@frozen(kw_only=True)
class Lacking(Probe):
    """Meets an error, and says what it says of the target or lets it through."""

    error: BaseException
    passes: bool = False

    async def check(self, target: Target) -> Result:
        if self.passes:
            raise self.error
        return Result.failed(self.error, "down")


@pytest.mark.parametrize("passes", [True, False])
@pytest.mark.parametrize(
    "error",
    [
        *(OSError(n, "x") for n in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)),
        OSError(errno.EADDRNOTAVAIL, "x"), RuntimeError("can't start new thread"), MemoryError(),
    ],
    ids=repr,
)  # fmt: skip
async def test_each_shortage_is_unknown_and_told(
    error: BaseException, passes: bool, clock: SettableClock
) -> None:
    """The check is unknown, the plugin is not blamed, and health tells of the shortage, which
    monitor_impaired repeats, until none was met for a while."""
    plugins = PluginManager(PluginSettings())
    isolation = Isolation(frozenset({"http"}), lambda *_: None, contexts())
    runner = Runner(clock, isolation, ProbeFaults(clock, plugins))
    assert shortages(runner.last_shortage, clock.monotonic()).status is Health.OK
    probe = Lacking(error=error, passes=passes)
    seen = await runner.run(Target(name="t"), "c", "http", polled(probe))
    assert seen.result.status is Status.UNKNOWN
    assert [record for record in plugins.records if record.status == "failed"] == []
    told = shortages(runner.last_shortage, clock.monotonic())
    assert told.status is Health.DEGRADED
    assert told.message == f"{own_shortage(error)}; checks are unknown"
    clock.advance(TOLD_FOR + 1)
    assert shortages(runner.last_shortage, clock.monotonic()).status is Health.OK
    await isolation.stop()
