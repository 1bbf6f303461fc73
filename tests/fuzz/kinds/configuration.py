"""Configuration files, from the text to what is shown of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.inputs import MARK, arguments, mutate, nasty, secret
from tests.fuzz.judge import Judge
from tests.fuzz.kinds import Kind
from tocsin.core.config import ConfigError, load_config, redacted
from tocsin.core.plugin.manager import load_plugins

LINES = (
    'interval = "30s"', 'timezone = "Europe/Berlin"', 'data_dir = "/var/lib/tocsin"',
    "[api]", 'host = "127.0.0.1"', "port = 8095", "[alerts]", 'cooldown = "15m"',
    '[targets.web]', 'kind = "container"', "critical = true", 'depends_on = ["db"]',
    'expected = { cpu_percent = 5, memory_bytes = "500MB" }', "[targets.web.checks.http]",
    'probe = "http"', 'url = "http://127.0.0.1/"', 'json = { "$.a" = "< 1" }', 'matches = "^ok"',
    "[targets.db.checks.q]", 'probe = "postgres-query"', 'query = "SELECT 1"', "max = 0",
    "[targets.b.checks.f]", 'probe = "backup-script"', 'files = "/backups/*"', 'max_age = "26h"',
    'command = ["/bin/true", "-x"]', "[rules.container_down]", 'for = "30s"', "[rules.q]",
    'rule = "thresholds"', 'metric = "value"', "level = 100", 'targets = ["q-*"]',
    "[channels.ops]", 'notifier = "webhook"', 'url = "https://example.test/"', 'shape = "slack"',
    "[maintenance.s]", 'schedule = "0 3 * * 0"', 'duration = "2h"', 'match = ["target=db-*"]',
    "[sources.nas]", 'probe = "docker-health"', 'host = "tcp://127.0.0.1:2376"', "[deadman]",
    "[uplink]", 'addresses = ["127.0.0.1:443"]', "[log]", 'level = "info"', "[plugins]", "[[x]]",
)  # fmt: skip
SECRETS = (
    'dsn = "postgresql://app:{}@127.0.0.1/x"', 'password = "{}"', 'bearer = "{}"',
    'url = "https://u:{}@127.0.0.1/"', 'headers = {{ Authorization = "Bearer {}" }}',
    'env = {{ PGPASSWORD = "{}" }}', 'secret = "{}"', 'token = "{}"',
    'command = ["/bin/x", "--password", "{}"]', 'command = ["/bin/x", "-u", "user:{}"]',
)  # fmt: skip


@asynccontextmanager
async def place(directory: Path, judge: Judge) -> AsyncIterator[Any]:
    file = directory / "tocsin.toml"
    file.write_text("")
    yield file, judge, load_plugins(file, {}, external=False)


class Configuration(Kind):
    """Whatever a file holds, it loads, or every problem is told with its place."""

    name = "configuration"
    limit = 2.0  # a reload reads it on a thread, the command line before anything runs

    def make(self, rng: Random) -> tuple[str, dict[str, str]]:
        lines = rng.sample(LINES, rng.randrange(1, 14))
        lines += [rng.choice(SECRETS).format(secret(rng)) for _ in range(rng.randrange(3))]
        if rng.random() < 0.2:
            lines.append(f"command = {json.dumps(['/bin/x', *arguments(rng)])}")
        rng.shuffle(lines)
        if rng.random() < 0.7:
            at = rng.randrange(len(lines))
            if MARK not in lines[at].lower():
                lines[at] = mutate(rng, lines[at])
        env = {"DATABASE_URL": nasty(rng)} if rng.random() < 0.05 else {}
        return "\n".join(lines), env

    def open(
        self, directory: Path, judge: Judge, database: str
    ) -> AbstractAsyncContextManager[Any]:
        return place(directory, judge)

    async def run(self, place: Any, cases: list[tuple[int, Any]]) -> None:
        file, judge, plugins = place
        for _, (text, env) in cases:
            file.write_bytes(text.encode("utf-8", "surrogatepass"))
            asyncio.get_running_loop().call_soon(_load, file, env, plugins, judge)
            await asyncio.sleep(0)


def _load(file: Path, env: dict[str, str], plugins: Any, judge: Judge) -> None:
    try:
        settings = load_config(file, env, plugins)
        judge.out("config show", json.dumps(redacted(settings), default=repr))
        judge.out("warnings", repr(settings.warnings))
    except ConfigError as error:
        judge.out("config check", str(error))
        judge.out("config check", "\n".join(map(str, error.problems)))
    except Exception as error:
        judge.raised(error, "config")
