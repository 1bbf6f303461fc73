"""A whole tocsin with what helps to operate it: the uplink and ``/metrics``."""

from __future__ import annotations

import re
import signal
import urllib.request
from pathlib import Path

import pytest

from tests.running import Running, free_port

pytestmark = pytest.mark.slow

CONFIG = """
interval = "1s"
[sources.docker]
enabled = false
[targets.shop.checks.http]
probe = "http"
url = "http://shop.invalid/"
"""


def exposed(running: Running, method: str = "GET") -> tuple[str, str | None]:
    """The text of /metrics and its content type."""
    request = urllib.request.Request(
        f"{running.url}/metrics",
        method=method,
        headers={"Authorization": f"Bearer {running.token()}"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read().decode(), answer.headers["Content-Type"]


def test_the_uplink_in_health_results_and_metrics(tmp_path: Path, postgres: str) -> None:
    """[uplink] is a component from the start. While no address answers, the target outside is
    unknown and the component degraded, which /metrics and 'tocsin check' say, too. A reload
    without addresses ends that."""
    uplink = f'[uplink]\naddresses = ["127.0.0.1:{free_port()}"]\n'
    with Running(tmp_path, CONFIG + uplink, {"DATABASE_URL": postgres}) as running:
        running.until(lambda: "uplink" in running.get("/health")["components"])
        running.until(
            lambda: running.get("/health")["components"]["uplink"]["status"] == "degraded"
        )
        (check,) = running.get("/api/v1/checks")["items"]
        assert check["status"] == "unknown"
        assert check["message"].startswith("tocsin's own uplink failed, so this result")
        text, media = exposed(running)
        assert media == "text/plain; version=0.0.4; charset=utf-8"
        assert 'tocsin_component_healthy{component="uplink"} 0.0\n' in text
        assert 'tocsin_check_status{target="shop",check="http",status="unknown"} 1.0\n' in text
        assert exposed(running, "HEAD") == ("", media)
        once = running.run("check")
        assert once.returncode == 3
        assert "tocsin's own uplink failed" in once.stdout
        assert running.get("/api/v1/config")["config"]["uplink"]["timeout"] == 3.0

        running.config.write_text(CONFIG)
        assert running.process is not None
        running.process.send_signal(signal.SIGHUP)
        running.until(lambda: "uplink" not in running.get("/health")["components"])
        running.until(lambda: running.get("/api/v1/checks")["items"][0]["status"] == "down")
        assert running.stop() == 0


def test_the_counters_of_the_history_in_metrics(tmp_path: Path, postgres: str) -> None:
    """/metrics has the counters that the history reports as its health."""
    with Running(tmp_path, CONFIG, {"DATABASE_URL": postgres}) as running:

        def counted() -> bool:
            text, _ = exposed(running)
            return re.search(r"^tocsin_history_rows_written_total [1-9]", text, re.M) is not None

        running.until(counted)
        text, _ = exposed(running)
        assert "\ntocsin_history_rows_dropped_total 0.0\n" in text
        assert "\ntocsin_history_spool_bytes " in text
        assert "\ntocsin_history_rows_waiting " in text
        assert running.stop() == 0
