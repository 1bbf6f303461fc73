"""The trade system of 13 containers on a real engine, seen through tocsin's API and commands."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.running import Running
from tests.tradestack import NAMES, docker, stood_up

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, postgres: str) -> Iterator[Running]:
    """tocsin beside the example stack, which is stood up where it is not."""
    directory = tmp_path_factory.mktemp("trade")
    with stood_up() as config:
        env = {"DATABASE_URL": postgres, "MONITOR_INTERVAL": "2"}
        with Running(directory, config, env) as made:
            yield made


def containers(running: Running) -> dict[str, dict[str, object]]:
    items = running.get("/api/v1/containers?limit=1000")["items"]
    return {item["name"]: item for item in items if item["name"] in NAMES}


def test_all_thirteen_are_seen_and_in_order(running: Running) -> None:
    """13 containers by status, health, uptime and restarts; certbot counts as completed; each HTTP,
    TCP, query and freshness check of the matrix is up."""
    running.until(
        lambda: (
            len(containers(running)) == 13
            and all(c["status"] == "up" for c in containers(running).values())
        ),
        90,
    )
    seen = containers(running)
    assert seen["certbot"]["reason"] == "completed"
    running.until(lambda: containers(running)["task-worker"]["health"] == "healthy")
    assert all(float(str(c["uptime_seconds"])) > 0 for name, c in seen.items() if name != "certbot")
    checks = running.get("/api/v1/checks?limit=1000")["items"]
    polled = {(c["target"], c["probe"]) for c in checks if c["probe"] != "docker-health"}
    assert ("postgres", "postgres-query") in polled
    assert {("postgres", "tcp"), ("nginx", "tcp"), ("db-backup", "backup-script")} <= polled
    assert sum(probe == "http" for _, probe in polled) == 8
    listed = running.run("status", "--all").stdout
    assert [name for name in sorted(NAMES) if name not in listed] == [], listed


def test_figures_agree_with_docker_stats(running: Running) -> None:
    """Memory and restart counts are those the engine's own tools show."""
    running.until(lambda: containers(running)["postgres"]["memory_bytes"])
    lines = docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemPerc}} {{.CPUPerc}}")
    theirs = {
        name: (float(memory.rstrip("%")), float(cpu.rstrip("%")))
        for name, memory, cpu in (line.split() for line in lines.splitlines())
        if name in NAMES
    }
    ours = containers(running)
    for name, (memory, cpu) in theirs.items():
        assert float(str(ours[name]["memory_percent"])) == pytest.approx(memory, abs=1.0), name
        assert float(str(ours[name]["cpu_percent"])) == pytest.approx(cpu, abs=15), name
    count = docker("inspect", "-f", "{{.RestartCount}}", "nginx").strip()
    assert ours["nginx"]["restart_count"] == int(count)


def test_history_fills(running: Running) -> None:
    """The history of a container's metrics grows while it runs."""

    def points() -> int:
        status, answer = running.ask("/api/v1/metrics/history?target=postgres&hours=0.1")
        return len(answer["points"]) if status == 200 else 0

    before = running.until(points)
    running.until(lambda: points() > before)


def test_a_killed_container_is_told_with_reason_and_exit_code(running: Running) -> None:
    """docker kill: down, by a person, 137; its dependents are named; started again: up."""
    docker("kill", "streamlit")
    running.until(lambda: containers(running)["streamlit"]["status"] == "down")
    seen = containers(running)["streamlit"]
    assert (seen["reason"], seen["exit_code"]) == ("stopped", 137)
    assert running.get("/api/v1/targets/streamlit")["dependents"] == ["nginx"]
    logs = running.run("logs", "streamlit", "-n", "5")
    assert "INFO" in logs.stdout
    status, answer = running.ask("/api/v1/containers/streamlit/restart", "POST")
    assert (status, answer) == (200, {"name": "streamlit", "restarted": True})
    running.until(lambda: containers(running)["streamlit"]["status"] == "up")
    status, _ = running.ask("/api/v1/containers/postgres/restart", "POST")
    assert status == 403

    def rows(path: str, key: str) -> set[str]:
        return {row[key] for row in running.get(path)["items"]}

    # History is written in batches, a moment later.
    running.until(
        lambda: (
            {"kill", "die", "start"}
            <= rows("/api/v1/containers/streamlit/events?hours=0.05", "action")
        )
    )
    running.until(lambda: {"streamlit", "postgres"} <= rows("/api/v1/audit", "subject"))
    inspected = json.dumps(running.get("/api/v1/containers/postgres/inspect"))
    assert "POSTGRES_PASSWORD=***" in inspected
