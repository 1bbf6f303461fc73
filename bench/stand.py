"""What the benches share: cores, a private nginx and PostgreSQL, a tocsin as ``tocsin run`` has it.

The core under measure has the first core for itself; what it talks to shares the last one.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.running import Running as Running

from tocsin.core.app import Tocsin
from tocsin.core.config import load_config
from tocsin.core.plugin.manager import load_plugins
from tocsin.core.runtime import gc_tuning
from tocsin.core.runtime.data_dir import data_directory
from tocsin.plugins.history.embedded import EmbeddedPostgres

# The extra "ssh" costs 17 MB by being installed: what is measured is what most people have.
Running.main = f"import sys; sys.modules['paramiko'] = None; {Running.main}"


def first_core() -> None:
    """Move to the first core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def last_core() -> None:
    """Move to the last core."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def program(name: str, package: str) -> str:
    """Where a program is; ends the bench with the remedy where it is not."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        sys.exit(f"{name} is not installed; on Debian: apt-get install {package}")
    return found


@contextmanager
def serving(command: Sequence[str], port: int, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A server of our own, from the moment it listens on ``port`` to the end of the block."""
    process = subprocess.Popen(command, **options)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        else:
            sys.exit(f"{command[0]} does not listen on port {port}")
        yield process
    finally:
        process.terminate()
        process.wait()


@contextmanager
def nginx(log: Path | None = None) -> Iterator[str]:
    """A private nginx on the last core, answering two bytes; gives its URL. What is under ``flap``
    fails for three seconds in each ten, a ``phase`` of 0, 1 or 2 after another; under ``unsteady``
    one request of 200 fails, so that one answer of 100 is another than the one before.

    ``log`` gets a line for each request: epoch seconds, and the query string.
    """
    access = "access_log off" if log is None else f"access_log {log} short"
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "nginx.conf"
        config.write_text(
            f"daemon off; master_process off; pid {directory}/pid; error_log {directory}/e;"
            "events { worker_connections 8192; }"
            f"http {{ log_format short '$msec $args'; {access};"
            # In each ten seconds of the clock, three in which a phase fails.
            'map "$arg_phase $msec" $fails { default ""; "~^0 [0-9]+[0-2][.]" 1;'
            ' "~^1 [0-9]+[3-5][.]" 1; "~^2 [0-9]+[6-8][.]" 1; }'
            'split_clients "$request_id" $unlucky { 0.5% 1; * ""; }'
            f"server {{ listen 127.0.0.1:{port} backlog=8192;"
            ' location / { return 200 "ok"; }'
            ' location = /unsteady { if ($unlucky) { return 503; } return 200 "ok"; }'
            ' location = /flap { if ($fails) { return 503; } return 200 "ok"; } } }'
        )
        command = [program("nginx", "nginx-light"), "-c", str(config)]
        with serving(command, port, preexec_fn=last_core):
            yield f"http://127.0.0.1:{port}/"


@contextmanager
def postgres() -> Iterator[str]:
    """A private PostgreSQL on the last core; gives its DSN."""
    directory = tempfile.mkdtemp(prefix="tocsin-bench-")
    everywhere = os.sched_getaffinity(0)
    last_core()
    server = EmbeddedPostgres()
    dsn = asyncio.run(server.start(Path(directory) / "pg"))
    os.sched_setaffinity(0, everywhere)
    try:
        yield dsn
    finally:
        asyncio.run(server.stop())
        shutil.rmtree(directory, ignore_errors=True)


def http_targets(count: int, url: str, interval: float) -> str:
    """A configuration of so many targets with one http check each, and no engine."""
    tables = (
        f'[targets.t{n}.checks.http]\nprobe = "http"\nurl = "{url}?{n}"\n' for n in range(count)
    )
    return f'interval = "{interval:g}s"\n[sources.docker]\nenabled = false\n' + "".join(tables)


def written(directory: Path, config: str) -> Path:
    """The configuration as a file."""
    directory.mkdir(exist_ok=True)
    path = directory / "tocsin.toml"
    path.write_text(config)
    return path


@asynccontextmanager
async def running(directory: Path, config: str, **env: str) -> AsyncIterator[Tocsin]:
    """A whole tocsin with this configuration, in this event loop."""
    path = written(directory, config)
    known = {k: v for k, v in os.environ.items() if not k.startswith(("TOCSIN_", "DATABASE_"))}
    known |= {"TOCSIN_DATA_DIR": str(directory / "data"), "TOCSIN_API_PORT": "0"}
    if 'probe = "disk"' not in config:
        known["TOCSIN_PLUGINS_DISABLED"] = "disk"  # only the checks that are asked for
    known |= env
    plugins = load_plugins(path, known)
    monitor = Tocsin(path, known, plugins, load_config(path, known, plugins))
    with data_directory(monitor.data_dir):
        await monitor.start()
        gc_tuning.settle()
        try:
            yield monitor
        finally:
            await monitor.stop()


def runner() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """The event loop that ``tocsin run`` takes: uvloop's where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def memory_of(pid: int) -> tuple[float, float]:
    """Resident and proportional megabytes of a process."""
    full = psutil.Process(pid).memory_full_info()
    return full.rss / 1e6, full.pss / 1e6


def cpu_of(pid: int) -> float:
    """Seconds of CPU time that a process has used."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
