"""What one check costs, probe by probe, and where the time of the pipeline goes.

    python bench/probes.py [--quick] [--checks 5000]

Each probe is called as the core calls it, 64 at once, on the first core. What it talks to, a
private nginx and PostgreSQL, is on the last core and not counted; programs it starts are.
Heartbeats, which ask nobody, are run by the scheduler through live state, rules and history: what
the pipeline itself costs. The profile is cProfile's, of ``bench/throughput.py``.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import resource
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme
from aiohttp import web
from stand import first_core, free_port, last_core, nginx, postgres, runner, running, serving
from table import line, machine

from tocsin import Probe, Secret, Target
from tocsin.core.runtime.gc_tuning import settle
from tocsin.plugins.probes.backup_script import BackupScriptProbe
from tocsin.plugins.probes.disk import DiskProbe
from tocsin.plugins.probes.http import HttpProbe
from tocsin.plugins.probes.postgres_query import PostgresQueryProbe
from tocsin.plugins.probes.tcp import TcpProbe

AT_ONCE = 64
TARGET = Target(name="bench")


@contextmanager
def tls(directory: Path) -> Iterator[tuple[str, str]]:
    """A TLS server on the last core; its URL and the file of its authority."""
    authority, port = trustme.CA(), free_port()
    ca, chain = directory / "ca.pem", directory / "server.pem"
    authority.cert_pem.write_to_path(str(ca))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(chain))
    command = [sys.executable, __file__, "--serve", str(chain), str(port)]
    with serving(command, port, preexec_fn=last_core):
        yield f"https://localhost:{port}/", str(ca)


def serve(chain: str, port: int) -> None:
    """Answer over TLS until killed."""

    async def ok(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    app = web.Application()
    app.router.add_get("/", ok)
    web.run_app(app, host="127.0.0.1", port=port, ssl_context=context, print=None)


def cpu() -> float:
    """Seconds of CPU time of this process and of the programs it has waited for."""
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + own.ru_utime + own.ru_stime


async def cost(probe: Probe, checks: int) -> tuple[float, str]:
    """Microseconds of CPU time a check, and what it said."""
    result = await probe.check(TARGET)
    left = checks

    async def work() -> None:
        nonlocal left, result
        while left > 0:
            left -= 1
            result = await probe.check(TARGET)

    before = cpu()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return (cpu() - before) / checks * 1e6, f"{result.status}: {result.message}"


async def pipeline(dsn: str, directory: Path, seconds: float) -> float:
    """Microseconds of CPU time a check of the pipeline itself."""
    count = 5000
    tables = (f'[targets.t{n}.checks.x]\nprobe = "heartbeat"\n' for n in range(count))
    config = 'interval = "1s"\n[sources.docker]\nenabled = false\n' + "".join(tables)
    async with running(directory, config, DATABASE_URL=dsn) as monitor:
        await asyncio.sleep(3)

        def done() -> int:
            return sum(target.checks["x"].runs for target in monitor.state)

        before, used = done(), time.process_time()
        await asyncio.sleep(seconds)
        return (time.process_time() - used) / (done() - before) * 1e6


async def all_probes(dsn: str, url: str, checks: int, directory: Path, quick: bool) -> None:
    """One after the other."""
    port = int(re.findall(r":(\d+)/", url)[0])
    dump = directory / "a.dump"
    dump.write_bytes(b"x" * 4096)
    with tls(directory) as (secure, ca):
        probes: list[tuple[str, Probe, int]] = [
            ("http", HttpProbe(url=url), checks),
            ("https", HttpProbe(url=secure, ca_file=ca), checks // 5),
            ("tcp", TcpProbe(host="127.0.0.1", port=port), checks),
            ("postgres-query", PostgresQueryProbe(dsn=Secret(dsn), query="SELECT 1"), checks // 5),
            ("backup-script, files", BackupScriptProbe(files=f"{dump}", max_age=1e9), checks),
            ("backup-script, a program", BackupScriptProbe(command=("/bin/true",)), checks // 10),
            ("disk", DiskProbe(paths=("/",)), checks),
        ]
        for name, probe, count in probes:
            micros, said = await cost(probe, max(AT_ONCE, count))
            print(f"{name:32s} {micros:8.0f} µs a check   {said[:60]}", flush=True)
            line(f"CPU of one check: {name}", "-", f"{micros:,.0f} µs", holds=None)
    micros = await pipeline(dsn, directory / "pipeline", 3 if quick else 10)
    print(f"{'heartbeat, through the pipeline':32s} {micros:8.0f} µs a check")
    line(
        "CPU of one check: heartbeat, through the whole pipeline",
        "-",
        f"{micros:,.0f} µs",
        holds=None,
    )


def profile(seconds: float) -> None:
    """Where the time goes, by file."""
    with tempfile.NamedTemporaryFile(suffix=".txt") as file:
        script = Path(__file__).with_name("throughput.py")
        command = [sys.executable, str(script), "--profile", file.name, "--seconds", str(seconds)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        rows = Path(file.name).read_text().splitlines()
    print("\nwhere the time of the pipeline goes (cProfile, by own time)")
    start = next(n for n, row in enumerate(rows) if "tottime" in row)
    print("\n".join(re.sub(r"/\S*/(site-packages|src|lib/python[\d.]+)/", "", row)
                    for row in rows[start : start + 26]))  # fmt: skip


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--checks", type=int, default=5000)
    options.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.serve:
        serve(given.serve[0], int(given.serve[1]))
        return
    print(machine())
    with tempfile.TemporaryDirectory() as place, postgres() as dsn, nginx() as url:
        first_core()
        settle()
        checks = 500 if given.quick else given.checks
        runner()(all_probes(dsn, url, checks, Path(place), given.quick))
    profile(3 if given.quick else 8)


if __name__ == "__main__":
    main()
