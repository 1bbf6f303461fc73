"""Runs probes while this process has next to no open files left.

    python -m tests.probes.short_of_files CASES

CASES is JSON, ``{name: [probe, options]}``. Each case is run with 0, 1, 2, … descriptors left, and
with enough of them; what came out is printed as JSON, ``{name: [status and message for each]}``.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
from typing import Any

from tests.contexts import contexts, polled
from tocsin import Secret, Status, Target
from tocsin.core.checks.check_runner import Runner
from tocsin.core.checks.probe_faults import ProbeFaults
from tocsin.core.clock import SystemClock
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.peers import tls
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.sandbox import Isolation
from tocsin.plugins.probes.backup_script import BackupScriptProbe
from tocsin.plugins.probes.disk import DiskProbe
from tocsin.plugins.probes.http import HttpProbe
from tocsin.plugins.probes.postgres_query import PostgresQueryProbe
from tocsin.plugins.probes.tcp import TcpProbe

PROBES: dict[str, Any] = {
    "http": HttpProbe,
    "tcp": TcpProbe,
    "postgres-query": PostgresQueryProbe,
    "backup-script": BackupScriptProbe,
    "disk": DiskProbe,
}
LEFT = range(14)
ENOUGH = 200
SOFT = 256


async def main(cases: dict[str, tuple[str, dict[str, Any]]]) -> None:
    """Run and print."""
    plugins = PluginManager(PluginSettings(), discover=tuple)
    isolation = Isolation(frozenset(PROBES), lambda *_: None, contexts())
    clock = SystemClock()
    runner = Runner(clock, isolation, ProbeFaults(clock, plugins))
    out: dict[str, list[tuple[str, str]]] = {name: [] for name in cases}
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (SOFT, hard))
    for name, (kind, options) in cases.items():
        if "dsn" in options:
            options["dsn"] = Secret(options["dsn"])
        probe = PROBES[kind](timeout=5, **options)
        for left in (*LEFT, ENOUGH):
            tls._context.cache_clear()
            for _ in range(5):  # what the case before has closed is gone then
                await asyncio.sleep(0)
            gc.collect()
            held = fill(left)
            try:
                # Not through the runner, which looks for a shortage of its own accord.
                result = await probe.check(Target(name="t"))
                out[name].append((result.status.value, result.message))
                assert result.status is Status.UP or left < ENOUGH, result.message
            except Exception:
                seen = (await runner.run(Target(name="t"), "c", kind, polled(probe))).result
                out[name].append((seen.status.value, seen.message))
            finally:
                for descriptor in held:
                    os.close(descriptor)
    failed = [record.reason for record in plugins.records if record.status == "failed"]
    print(json.dumps({"seen": out, "failed": failed}))  # noqa: T201


def fill(left: int) -> list[int]:
    """Take all descriptors but so many."""
    held: list[int] = []
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    for _ in range(min(left, len(held))):
        os.close(held.pop())
    return held


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
