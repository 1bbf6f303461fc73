"""A name server that never answers silences nobody."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REQUIRE_REAL


def may_unshare() -> bool:
    """Whether this user may have a network and mounts of its own."""
    try:
        done = subprocess.run(["unshare", "-nm", "true"], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


@pytest.mark.slow
def test_a_dead_name_server_silences_no_channel(tmp_path: Path) -> None:
    """Each of 36 checks by names that nobody answers for is unknown and says so; what has an
    address or is in the hosts file is up; what is down is told, and so is tocsin's own trouble."""
    if not REQUIRE_REAL and not may_unshare():
        pytest.skip("only root may have a network of its own")
    done = subprocess.run(
        ["unshare", "-nm", sys.executable, "-m", "tests.app.dead_resolver", tmp_path],
        capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    out = json.loads(done.stdout)
    for check, (status, message) in out["seen"].items():
        if check.startswith("dead"):
            assert status == "unknown", (check, message)
            assert message.startswith("tocsin could not look up the name: dead")
        else:
            assert status == ("down" if check == "closed/tcp" else "up"), (check, message)
    fired = {(one["type"], one["target"]) for one in out["told"]}
    assert fired == {("health_check_failed", "closed"), ("monitor_impaired", "tocsin")}
    assert out["names"]["status"] == "degraded"
    assert "12 host names cannot be looked up" in out["names"]["message"]
    assert "secret" not in out["log"]
    assert "Traceback" not in out["log"]
