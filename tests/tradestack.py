"""The example stack of 13 containers on a real engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "examples/tradesystem"
NAMES = {
    "postgres", "fastapi-dev", "fastapi-prod", "fastapi-stream", "task-worker", "pgadmin", "nginx",
    "certbot", "streamlit", "tradingview", "vector-db", "economic-calendar", "db-backup",
}  # fmt: skip


def docker(*args: str) -> str:
    """One command of the engine's own client; what it prints."""
    return subprocess.run(
        ["docker", *args], check=True, capture_output=True, text=True, timeout=60
    ).stdout


@contextmanager
def stood_up() -> Iterator[str]:
    """The stack, stood up where it is not, and then taken down again; gives its configuration, by
    which nothing else of the engine is watched."""
    if shutil.which("docker-compose") is None and not os.environ.get("TOCSIN_REQUIRE_REAL"):
        pytest.skip("docker-compose is not installed")
    env = {**os.environ, "POSTGRES_IMAGE": "tocsin-postgres:local"}
    compose = ["docker-compose", "-f", str(EXAMPLE / "docker-compose.yml")]
    there = docker("ps", "-q", "--filter", "name=^fastapi-prod$").strip()

    def run(*args: str) -> None:
        done = subprocess.run(
            [*compose, *args], env=env, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"docker-compose {args[0]}: {done.stdout}{done.stderr}"

    run("up", "-d")
    watched = f"[sources.docker]\ninclude = {json.dumps(sorted(NAMES))}\n"
    yield f"{(EXAMPLE / 'tocsin.toml').read_text()}\n{watched}"
    if not there:
        run("down", "-v", "-t", "1")
