"""The machine's clock is set while tocsin runs."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.conftest import REQUIRE_REAL
from tests.recorder import Recorder
from tests.running import Running

pytestmark = pytest.mark.slow

LIBRARY = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


@pytest.mark.parametrize("offset", ["+3600", "-3600"])
def test_setting_the_clock_stalls_nothing_and_alarms_nobody(
    tmp_path: Path, database: str, offset: str
) -> None:
    """A real process whose wall clock leaps an hour: checks go on; nothing that waits for its time
    comes early; what then really fails is told."""
    if not LIBRARY:
        if REQUIRE_REAL:
            pytest.fail("libfaketime is not installed")
        pytest.skip("libfaketime is not installed")
    stamp = tmp_path / "stamp"
    stamp.write_text("+0")
    recorder = Recorder(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as peer, socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound and not listening: nobody else opens it
        port, closed = peer.getsockname()[1], free.getsockname()[1]
        config = (
            'interval = "1s"\n[sources.docker]\nenabled = false\n'
            "[rules.health_check_failed]\nfailures = 1\n"
            '[targets.dead.rules.health_check_failed]\nfor = "10m"\n'
            f'[targets.live.checks.tcp]\nprobe = "tcp"\nhost = "127.0.0.1"\nport = {port}\n'
            f'[targets.dead.checks.tcp]\nprobe = "tcp"\nhost = "127.0.0.1"\nport = {closed}\n'
            + recorder.channel("ops")
        )
        env = {
            "PYTHONPATH": str(recorder.place),
            "DATABASE_URL": database,
            "LD_PRELOAD": str(LIBRARY[0]),
            "FAKETIME_TIMESTAMP_FILE": str(stamp),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        with Running(tmp_path, config, env) as running:

            def runs() -> int:
                return int(running.get("/api/v1/status")["scheduler"]["runs_total"])

            running.until(lambda: running.get("/api/v1/status")["targets"].get("down") == 1)
            before, was = runs(), running.get("/api/v1/status")["last_check"]
            stamp.write_text(offset)
            running.until(lambda: runs() >= before + 12)
            leapt = running.get("/api/v1/status")["last_check"]
            assert (leapt > was) is (offset[0] == "+")
            assert running.get("/api/v1/alerts/active")["items"] == []
            assert recorder.told == []
            peer.close()
            running.until(lambda: any(n["target"] == "live" for n in recorder.told))
            assert {n["target"] for n in recorder.told} == {"live"}
