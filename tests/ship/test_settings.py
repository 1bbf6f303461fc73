"""compose.yml with what .env.example and the README say can be set."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.config.conftest import history_of
from tests.conftest import need
from tests.ship.stack import MONITOR, Stack
from tests.tradestack import docker
from tocsin.core.config import load_config
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.plugin.manager import PluginManager

CONFIG = '[deadman]\nurl = "${PING_URL}"\n[targets.site.labels]\nat = "at ${PLACE}"\n'
DATABASE = (
    "import os; from tocsin.core.plugin.manager import load_plugins;"
    "from tocsin.core.config import load_config;"
    "found = load_config(None, os.environ, load_plugins(None, os.environ));"
    "print(found.database.store.url.reveal())"
)
HOST = '[targets.host.checks.disk]\nprobe = "disk"\nroot = "/host"\npaths = ["/"]\n'
OURS = "postgresql://tocsin@/tocsin?host=/var/run/postgresql"


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """compose.yml with a directory of secrets; nothing of it runs."""
    need("docker-compose")
    (tmp_path / "secrets").mkdir()
    return Stack("tocsin-set", tmp_path, "compose.yml")


def environment(stack: Stack, **env: str) -> dict[str, str]:
    """What Compose makes of the service's environment."""
    text = stack.compose("config", check=True, **env)
    made: dict[str, str] = yaml.safe_load(text)["services"][MONITOR]["environment"]
    return {name: str(value) for name, value in made.items()}


@pytest.mark.parametrize(
    ("env", "url"),
    [
        ({}, OURS),
        ({"DATABASE_URL": "postgresql://u:p@h/d"}, "postgresql://u:p@h/d"),
        ({"DATABASE_URL_FILE": "{}/named"}, "postgresql://in/a-file"),
        ({"DATABASE_URL": "", "DATABASE_URL_FILE": "{}/named"}, "postgresql://in/a-file"),
    ],
)
def test_each_way_to_name_a_database_works_alone(
    stack: Stack, tmp_path: Path, env: dict[str, str], url: str
) -> None:
    """Nothing, DATABASE_URL, DATABASE_URL_FILE: each makes a configuration that holds."""
    (tmp_path / "named").write_text("postgresql://in/a-file\n")
    made = environment(stack, **{name: value.format(tmp_path) for name, value in env.items()})
    plugins = PluginManager(PluginSettings())
    plugins.load()
    found = history_of(load_config(None, made, plugins)).url
    assert found is not None
    assert found.reveal() == url


def once(stack: Stack, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """One container of the service, which ends."""
    before = ("run", "--rm", "--no-deps", "-T")
    return stack.run(*before, *args, **env)


@pytest.mark.docker
@pytest.mark.ship
def test_in_a_container_each_name_finds_its_file(
    images: None, stack: Stack, tmp_path: Path
) -> None:
    """``${NAME}`` of tocsin.toml reads ./secrets/NAME, hidden where it is shown; without it the
    message says where to put it. DATABASE_URL_FILE alone names the database."""
    (stack.config / "tocsin.toml").write_text(CONFIG)
    (tmp_path / "secrets/PING_URL").write_text("https://example.org/ping\n")
    try:
        missing = once(stack, MONITOR, "config", "check")
        assert missing.returncode == 2
        assert "put a file of that name into /run/secrets" in missing.stderr + missing.stdout
        (tmp_path / "secrets/PLACE").write_text("home-sweet-home\n")
        shown = once(stack, MONITOR, "config", "show")
        assert shown.returncode == 0, shown.stderr
        assert "at ***" in shown.stdout
        (tmp_path / "secrets/named").write_text("postgresql://in/a-file\n")
        python = ("--entrypoint", "/opt/tocsin/bin/python", MONITOR, "-c", DATABASE)
        filed = once(stack, *python, DATABASE_URL_FILE="/run/secrets/named")
        assert filed.stdout.strip() == "postgresql://in/a-file", filed.stderr
        assert once(stack, *python).stdout.strip() == OURS
    finally:
        stack.down()


@pytest.mark.docker
@pytest.mark.ship
def test_the_hosts_disks_are_seen_from_inside(images: None, stack: Stack) -> None:
    """Without a word, the file system of Docker's data root, by the container's own "/"; with the
    host's root mounted and named, that one."""

    def size(*options: str) -> float:
        done = once(stack, *options, MONITOR, "check", "--json", "host/disk")
        (seen,) = json.loads(done.stdout)
        return float(seen["metrics"]["disk_total_bytes"])

    def real(path: str) -> float:
        found = os.statvfs(path)
        return found.f_blocks * found.f_frsize

    try:
        assert size() == real(docker("info", "-f", "{{.DockerRootDir}}").strip())
        (stack.config / "tocsin.toml").write_text(HOST)
        assert size("-v", "/:/host:ro") == real("/")
    finally:
        stack.down()
