"""How long an alert takes to be handed to its notifier while PostgreSQL is well, slow by 5 s,
frozen, stopped; and whether history is whole afterwards.

    python bench/outage.py [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import statistics
import tempfile
from pathlib import Path

import asyncpg
from stand import Running, percentile
from table import line
from tests.recorder import Recorder

from tocsin.plugins.history.embedded import EmbeddedPostgres

DELAY = 5.0


class Proxy:
    """A Unix socket before PostgreSQL's own, that can delay every answer."""

    def __init__(self, target: Path, place: Path) -> None:
        self.target, self.place, self.delay = target, place, 0.0

    async def serve(self) -> None:
        """Serve until cancelled."""
        server = await asyncio.start_unix_server(self._pair, str(self.place))
        async with server:
            await server.serve_forever()

    async def _pair(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_unix_connection(str(self.target))
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pump(reader, back, 0), self._pump(there, writer, 1))

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: int
    ) -> None:
        try:
            while data := await reader.read(65536):
                if answers and self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


async def measure(rounds: int) -> None:
    """Measure each condition in turn, with so many alerts and recoveries."""
    directory = Path(tempfile.mkdtemp(prefix="tocsin-outage-"))
    server = EmbeddedPostgres()
    dsn = await server.start(directory / "pg")
    pid = int((directory / "pg" / "postmaster.pid").read_text().split()[0])
    (directory / "sock").mkdir()
    real = next((directory / "pg").glob(".s.PGSQL.*[0-9]"))
    proxy = Proxy(real, directory / "sock" / real.name)
    serving = asyncio.create_task(proxy.serve())
    user = dsn.split("//")[1].split("@")[0].split(":")[0]
    through = f"postgresql://{user}@/postgres?host={directory / 'sock'}"
    recorder = Recorder(directory)
    config = (
        'interval = "1s"\n[sources.docker]\nenabled = false\n[alerts]\ncooldown = "1s"\n'
        'hold = "10ms"\nwindow = "10ms"\n'
        '[targets.job.checks.beat]\nprobe = "heartbeat"\nperiod = "1h"\n'
        "[rules.health_check_failed]\nfailures = 1\nescalate_after = 0\n"
        '[rules.monitor_impaired]\nenabled = true\nfor = "1h"\n'
        + recorder.channel("ops", "max_messages = 100000")
    )
    env = {"DATABASE_URL": through, "PYTHONPATH": str(recorder.place)}
    running = Running(directory, config, env)
    try:
        await asyncio.to_thread(running.__enter__)
        await asyncio.to_thread(running.ask, "/api/v1/heartbeats/job", "POST", {})
        await asyncio.sleep(5)
        figures = []
        for name in ("well", "slow by 5 s", "frozen", "stopped"):
            if name == "slow by 5 s":
                proxy.delay = DELAY
            elif name == "frozen":
                proxy.delay = 0
                os.kill(pid, signal.SIGSTOP)
            elif name == "stopped":
                os.kill(pid, signal.SIGCONT)
                await server.stop()
            await asyncio.sleep(2)
            begin = len(recorder.told)
            for n in range(2 * rounds):
                body = {"status": "down" if n % 2 == 0 else "up"}
                await asyncio.to_thread(running.ask, "/api/v1/heartbeats/job", "POST", body)
                await asyncio.sleep(1.2)
            told = [t for t in recorder.told[begin:] if t["kind"] in ("fired", "resolved")]
            late = [1000 * (t["told_at"] - t["at"]) for t in told]
            figures.append(f"{percentile(late, 0.99):.0f}")
            print(
                f"{name:12s} {len(told):3d} told, p50 {statistics.median(late):6.1f} ms, "
                f"p99 {percentile(late, 0.99):6.1f} ms"
            )
        await server.start(directory / "pg")
        for _ in range(120):
            await asyncio.sleep(1)
            health = await asyncio.to_thread(running.get, "/health")
            database = health["components"]["database"]
            if database["status"] == "ok" and not database["message"]:
                break
        await asyncio.sleep(3)
        connection = await asyncpg.connect(dsn)
        sent = await connection.fetchval(
            "SELECT count(*) FROM tocsin.notifications WHERE decision = 'sent'"
        )
        twice = await connection.fetchval(
            "SELECT count(*) - count(DISTINCT id) FROM tocsin.notifications"
        )
        await connection.close()
        print(f"history: {sent} rows sent, {len(recorder.told)} told, {twice} double")
        line(
            "alert to its notifier (10 ms hold), PostgreSQL well / slow by 5 s / frozen / stopped",
            "history whole",
            f"p99 {' / '.join(figures)} ms; {sent} of {len(recorder.told)} in history, "
            f"{twice} double",
            holds=sent == len(recorder.told) and not twice,
        )
    finally:
        running.__exit__()
        serving.cancel()
        await server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="three alerts each")
    asyncio.run(measure(3 if options.parse_args().quick else 15))


if __name__ == "__main__":
    main()
