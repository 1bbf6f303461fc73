"""What labels cannot do to a whole tocsin, on a real engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.app.test_alerts import only, start
from tests.probes.docker.lab import IMAGE, Lab, docker
from tests.recorder import Recorder
from tests.running import Running, ask

pytestmark = pytest.mark.docker


def test_a_container_speaks_for_nobody_else(tmp_path: Path, database: str, lab: Lab) -> None:
    """Labels ask for the name of a critical target that fails, and for a dependency on a container
    that has crashed; for the name of a missing target; for that of the host; for the beats of a
    job; and cannot be read. Each is refused where everybody sees it: the failure is told, what is
    missing is missing, the job has its beats, also once the thief is gone, and a kill is told."""
    recorder = Recorder(tmp_path)
    boom = start(lab, "boom", "--network=none", IMAGE, "sh", "-c", "exit 3")
    claims = {
        "evil": ("tocsin.name=pay", f"tocsin.depends_on={boom}"),
        "ghost": ("tocsin.name=gone",),
        "host": ("tocsin.name=host",),
        "thief": ("tocsin.check.b.probe=heartbeat", "tocsin.check.b.key=nightly"),
        "wrong": (f"tocsin.expected.memory_bytes={'9' * 400}", "tocsin.tcp=5432/tcp"),
    }
    for short, labels in claims.items():
        options = [part for label in labels for part in ("--label", label)]
        start(lab, short, "--network=none", *options, IMAGE, "sleep", "1000")
    good = start(lab, "good", "--network=none", IMAGE, "sleep", "1000")
    config = (
        f'interval = "1s"\n{only(lab)}[rules.container_down]\nfor = "1s"\n'
        "[rules.health_check_failed]\nfailures = 1\n"
        '[targets.pay]\ncritical = true\n[targets.pay.checks.tcp]\nprobe = "tcp"\n'
        'host = "127.0.0.1"\nport = 9\n'
        '[targets.gone]\nkind = "container"\n'
        f'[targets.host.checks.disk]\nprobe = "disk"\npaths = ["{tmp_path}"]\n'
        '[targets.job.checks.beat]\nprobe = "heartbeat"\nkey = "nightly"\n'
        + recorder.channel("ops")
    )
    env = {"DATABASE_URL": database, "PYTHONPATH": str(recorder.place)}
    with Running(tmp_path, config, env) as running:

        def told() -> set[tuple[str, str]]:
            return {(n["kind"], n["target"]) for n in recorder.told}

        def beat() -> Any:
            return ask(f"{running.url}/api/v1/heartbeats/nightly", running.token(), "POST")

        running.until(lambda: ("fired", "pay") in told(), 60)
        running.until(lambda: ("fired", "gone") in told(), 60)
        targets = {t["name"]: t for t in running.get("/api/v1/targets?limit=1000")["items"]}
        assert {lab.name(short) for short in (*claims, "good", "boom")} <= targets.keys()
        for short in ("evil", "ghost", "host"):
            checks = {c["name"]: c for c in targets[lab.name(short)]["checks"]}
            assert checks["docker"]["status"] == "up"
            assert "tocsin.name" in checks["labels"]["message"]
        wrong = {c["name"]: c for c in targets[lab.name("wrong")]["checks"]}
        assert "tocsin.tcp='5432/tcp'" in wrong["tcp"]["broken"]
        assert "tocsin.expected.memory_bytes" in wrong["labels"]["message"]
        assert {c["name"] for c in targets["host"]["checks"]} == {"disk"}
        assert beat() == (200, {"check": "job/beat"})
        docker("rm", "-f", lab.name("thief"))
        docker("kill", good)
        running.until(lambda: ("fired", good) in told(), 60)
        assert beat() == (200, {"check": "job/beat"})
        assert not {"host", lab.name("evil"), lab.name("ghost")} & {t for _, t in told()}
