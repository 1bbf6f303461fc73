"""tocsin added to a Compose file that is there already, as examples/tradesystem shows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ship.stack import Stack
from tests.tradestack import NAMES, docker

pytestmark = [pytest.mark.docker, pytest.mark.ship]

FILES = ("examples/tradesystem/docker-compose.yml", "examples/tradesystem/system-monitor.yml")
CHECKED = NAMES - {"task-worker", "certbot", "db-backup"}


@pytest.fixture(scope="module")
def stack(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The trade system with a system-monitor among its services."""
    made = Stack("tradesystem", tmp_path_factory.mktemp("existing"), *FILES)
    try:
        made.up(MONITOR_INTERVAL="2")
        made.token = made.command("token", "create", "test").strip()
        yield made
    finally:
        made.down()


def test_labels_and_the_file_say_what_is_checked(stack: Stack) -> None:
    """Thirteen containers, ten of them with an HTTP or TCP check on the stack's network by label,
    and the query of the file, all up; what each may use is known."""

    def checks() -> dict[str, str]:
        items = stack.get("/api/v1/checks?limit=1000")["items"]
        return {c["target"]: c["status"] for c in items if c["probe"] in ("http", "tcp")}

    stack.until(lambda: stack.containers().keys() >= NAMES)
    stack.until(lambda: checks() == dict.fromkeys(CHECKED, "up"))
    query = "/api/v1/checks?limit=1000&target=postgres"
    stack.until(
        lambda: {c["name"]: c["status"] for c in stack.get(query)["items"]}["query"] == "up"
    )
    assert stack.containers()["nginx"]["expected"] == {"cpu_percent": 2.0, "memory_bytes": 50e6}


def test_history_lies_beside_the_stacks_own_tables(stack: Stack) -> None:
    """The plan's database "forex" holds it, in a schema of tocsin's own."""
    query = "SELECT count(*) FROM tocsin.container_metrics"

    def rows() -> int:
        place = ("psql", "-h", "/var/run/postgresql", "-U", "postgres", "-d", "forex")
        return int(docker("exec", "-e", "PGPASSWORD=postgres", "postgres", *place, "-Atc", query))

    stack.until(lambda: stack.health()["components"]["database"]["status"] == "ok")
    stack.until(lambda: stack.containers()["postgres"]["memory_bytes"] and rows() > 0)
