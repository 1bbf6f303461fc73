"""The Compose files of this repository on a real engine, used as a stranger would."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tests.running import ask, free_port
from tests.tradestack import docker

ROOT = Path(__file__).parents[2]
MONITOR = "system-monitor"
T = TypeVar("T")


class Stack:
    """One Compose project; ``files`` are those in force, from the top of the repository."""

    def __init__(self, project: str, directory: Path, *files: str) -> None:
        self.project = project
        self.files = files
        self.token = ""
        self.port, self.dashboard_port = free_port(), free_port()
        self.config = directory / "config"
        self.config.mkdir()
        self.empty = directory / "env"
        self.empty.write_text("")
        kept = ("PATH", "HOME", "DOCKER_HOST", "LANG")
        self.env = {k: v for k, v in os.environ.items() if k in kept} | {
            "TOCSIN_IMAGE": "tocsin:local",
            "POSTGRES_IMAGE": "tocsin-postgres:local",
            "PROXY_IMAGE": "tocsin-haproxy:local",
            "TOCSIN_PUBLISH": f"127.0.0.1:{self.port}",
            "DASHBOARD_IMAGE": "tocsin-dashboard:local",
            "DASHBOARD_PUBLISH": f"127.0.0.1:{self.dashboard_port}",
            "TOCSIN_CONFIG_DIR": str(self.config),
            "TOCSIN_SECRETS_DIR": str(directory / "secrets"),
        }

    def compose(self, *args: str, check: bool = True, **env: str) -> str:
        """One command of Compose, which must succeed unless said otherwise; what it prints."""
        done = self.run(*args, **env)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        """One command of Compose, with an empty .env."""
        files = [part for file in self.files for part in ("-f", str(ROOT / file))]
        return subprocess.run(
            ["docker-compose", "--env-file", str(self.empty), "-p", self.project, *files, *args],
            env={**self.env, **env}, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def up(self, *args: str, **env: str) -> None:
        """Bring it up, or change what differs; returns when the API answers."""
        self.compose("up", "-d", "--no-build", *args, check=True, **env)
        self.until(lambda: self.health()["status"])

    def down(self) -> None:
        """Take it down with all that it kept."""
        self.compose("--profile", "dashboard", "down", "-v", "-t", "3")

    def command(self, *args: str, check: bool = True) -> str:
        """A tocsin command, as the README says."""
        return self.compose("exec", "-T", MONITOR, "tocsin", *args, check=check)

    def python(self, code: str) -> str:
        """What Python inside the container prints, as the user tocsin."""
        return docker("exec", "-u", "tocsin", MONITOR, "/opt/tocsin/bin/python", "-c", code)

    def sql(self, query: str) -> str:
        """What the stack's own PostgreSQL answers."""
        place = ("psql", "-h", "/var/run/postgresql", "-U", "tocsin", "-d", "tocsin")
        return self.compose("exec", "-T", "database", *place, "-Atc", query).strip()

    def ask(self, path: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
        """One request from outside: status and decoded answer."""
        return ask(f"http://127.0.0.1:{self.port}{path}", self.token, method, body)

    def get(self, path: str) -> Any:
        """What a GET gives; it must succeed."""
        status, answer = self.ask(path)
        assert status == 200, answer
        return answer

    def health(self) -> Mapping[str, Any]:
        """What /health says."""
        answer: Mapping[str, Any] = self.ask("/health")[1]
        return answer

    def containers(self) -> dict[str, dict[str, Any]]:
        """All containers that tocsin knows, by name."""
        return {item["name"]: item for item in self.get("/api/v1/containers?limit=1000")["items"]}

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that fire."""
        items: list[dict[str, Any]] = self.get("/api/v1/alerts/active")["items"]
        return items

    def until(self, condition: Callable[[], T | None], seconds: float = 60) -> T:
        """Wait for a condition; fail with the logs when time runs out."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if outcome := condition():
                    return outcome
            except (OSError, ValueError):
                pass  # it does not listen yet
            if time.monotonic() > deadline:
                raise AssertionError(f"it never came true\n{self.compose('logs', '--tail=60')}")
            time.sleep(0.1)
