"""tocsin is stopped in the middle of its checks, and goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.running import Running

PAUSE = 15.0
"""Seconds, longer than any timeout here."""

_CONFIG = """\
interval = "1s"
[sources.docker]
enabled = false
[plugins]
inline = ["http", "postgres-query", "backup-script", "down", "restart-loop", "thresholds"]
[alerts]
window = "0s"
[rules.health_check_failed]
failures = 1
[rules.monitor_impaired]
for = "1s"
"""

_CHECKS = {
    "http": 'probe = "http"\nurl = "http://127.0.0.1:{0}/"',
    "post": 'probe = "http"\nmethod = "POST"\nurl = "http://127.0.0.1:{0}/"',
    "https": 'probe = "http"\nverify = false\nurl = "https://127.0.0.1:{1}/"',
    "slow": 'probe = "http"\nurl = "http://127.0.0.1:{0}/"\ndegraded_above = "3s"',
    "tls": 'probe = "tcp"\nhost = "127.0.0.1"\nport = {1}\ntls = true\nverify = false',
    "tcp": 'probe = "tcp"\nhost = "127.0.0.1"\nport = {2}\nexpect = "ready"',
    "script": 'probe = "backup-script"\ncommand = ["/bin/sleep", "0.5"]',
    "database": 'probe = "postgres-query"\ndsn = "{dsn}"\nquery = "SELECT pg_sleep(0.5), 1"',
}
EACH = 14
"""Checks of each kind."""


@pytest.fixture
def ports() -> Iterator[list[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.app.slow_site"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        yield process.stdout.readline().split()
        process.kill()


@pytest.mark.slow
def test_a_pause_of_tocsin_is_nobodys_failure(
    tmp_path: Path, ports: list[str], postgres: str, database: str
) -> None:
    """Of a hundred healthy checks, stopped while most are under way, none is ever down or degraded,
    nor is a job whose beats could not arrive; no plugin is blamed, in the core's event loop or one
    of its own (tcp), and tocsin tells of the pause once."""
    config = _CONFIG + "".join(
        f"[targets.{kind}-{n}.checks.c]\n{text.format(*ports, dsn=postgres)}\ntimeout = '4s'\n"
        for kind, text in _CHECKS.items()
        for n in range(EACH)
    )
    config += '[targets.job.checks.beat]\nprobe = "heartbeat"\nperiod = "5s"\ngrace = "3s"\n'
    with Running(tmp_path, config, {"DATABASE_URL": database}) as running:
        process = running.process
        assert process is not None

        def beat() -> None:
            assert running.ask("/api/v1/heartbeats/job", "POST", {})[0] < 300

        def checks() -> list[dict[str, Any]]:
            items: list[dict[str, Any]] = running.get("/api/v1/checks?limit=1000")["items"]
            return items

        def alerts() -> list[dict[str, Any]]:
            items: list[dict[str, Any]] = running.get("/api/v1/alerts?limit=1000")["items"]
            return items

        def told() -> int:
            """How often tocsin told of the pause; the job goes on reporting meanwhile."""
            beat()
            return sum("stood still" in one["message"] for one in alerts())

        def all_ran() -> bool:
            beat()
            return all(one["runs"] > before[one["id"]] + 1 for one in checks())

        def all_up() -> bool:
            beat()
            return {one["status"] for one in checks()} == {"up"}

        running.until(all_up, 60)
        process.send_signal(signal.SIGSTOP)
        time.sleep(PAUSE)
        before = {one["id"]: one["runs"] for one in after_going_on(process, checks)}
        running.until(told, 60)
        running.until(all_ran, 60)
        assert [one for one in checks() if one["status"] != "up"] == []
        assert {one["alert_type"] for one in alerts()} == {"monitor_impaired"}, alerts()
        assert told() == 1
        assert running.get("/health")["components"]["plugins"]["status"] == "ok"
        assert "Traceback" not in running.output()


def after_going_on(process: subprocess.Popen[bytes], checks: Any) -> Any:
    """Let it go on; the checks as they are then."""
    process.send_signal(signal.SIGCONT)
    return checks()
