"""A small real composition behind the API: state, bus, store, tokens, plugins."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from attrs import evolve, frozen
from pytest_aiohttp import AiohttpClient

from tests.alerting.well import Well
from tests.contexts import contexts
from tests.kept import flush, kept
from tocsin.core.auth.tokens import TokenStore
from tocsin.core.checks.restarts import Restarts
from tocsin.core.checks.runs import SchedulerStats
from tocsin.core.clock import SystemClock
from tocsin.core.config import load_config
from tocsin.core.config.core_settings import ActionSettings, PluginSettings
from tocsin.core.config.errors import ConfigError, ConfigProblem
from tocsin.core.config.settings import ChannelSettings, HistorySettings, Settings
from tocsin.core.contracts.base import ActionError, Secret
from tocsin.core.contracts.container import Container, Reason
from tocsin.core.contracts.model import (
    AuditEntry,
    ComponentHealth,
    Event,
    Health,
    Heartbeat,
    LogLine,
    Observation,
    Result,
    Target,
)
from tocsin.core.contracts.route import Role
from tocsin.core.http import ApiServer
from tocsin.core.lifecycle import Alerting
from tocsin.core.monitor import events
from tocsin.core.monitor.bus import Bus
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.sandbox import Isolation
from tocsin.core.plugin.services import ServiceSupervisor
from tocsin.core.state import CheckState, LiveState
from tocsin.plugins.history import PostgresHistory
from tocsin.testing import RecordingNotifier


@frozen
class StackActions:
    """What people may do with the targets of a stack."""

    stack: Stack

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        if target == "dead":
            raise ActionError("the container of dead is gone", missing=True)
        shown = [LogLine(text=f"line {n}", at=self.stack.clock.now()) for n in range(200)]
        return [*shown, LogLine(text="\x1b[2J\u202epassword=hunter2", stream="stderr")]

    async def restart(self, target: str, actor: str, role: str) -> None:
        await self.stack.restarts.restart(target, actor, role)

    def actions(self, target: str) -> Collection[str]:
        kind = self.stack.alerting.state.targets[target].target.kind
        return {"container": ("logs", "restart", "inspect"), "ship": ("logs",)}.get(kind, ())

    def may_restart(self, target: str) -> bool:
        return self.stack.restarts.may(target)

    async def inspect(self, target: str) -> Mapping[str, Any]:
        return {
            "Config": {"Env": ["PASSWORD=hunter2", "A=b"], "Labels": {"api_token": "abc"}},
            "Url": "postgresql://u:hunter2@h/d",
        }


class Stack:
    """What the API needs, real where it can be; actions on containers are recorded."""

    version = "0.0.1"

    def __init__(self, directory: Path, database: str) -> None:
        self.clock = SystemClock()
        self.started_at = self.clock.now()
        self.data_dir = directory
        self.settings = Settings(
            data_dir=directory,
            actions=ActionSettings(restart=("web*",)),
            database=HistorySettings(
                store=PostgresHistory(url=Secret("postgresql://u:hunter2@h/d"))
            ),
        )
        self.bus = Bus()
        self.history = kept(database, directory / "spool", self.clock)
        self.tokens = TokenStore(directory / "tokens.db")
        self.plugins = PluginManager(PluginSettings())
        self.plugins.load()
        self.restarted: list[str] = []
        self.restarts = Restarts(
            self.clock, self._restart, lambda: self.settings.actions.restart, self.audit
        )
        self.actions = StackActions(self)
        self.beats: dict[str, Heartbeat] = {}
        self.parts = {
            "scheduler": ComponentHealth(status=Health.OK),
            "database": ComponentHealth(status=Health.OK),
        }
        self.broken = False
        notifier = RecordingNotifier()
        self.settings = evolve(
            self.settings,
            rules={
                name: evolve(rule, policy=evolve(rule.policy, for_seconds=0.0))
                for name, rule in load_config(None, {}, self.plugins).rules.items()
            },
            channels={
                "ops": ChannelSettings(
                    name="ops", notifier_name="recording", plugin="recording", notifier=notifier,
                    broken=None, options={}, hold=0.0, window=0.0,
                )
            },
        )  # fmt: skip
        self.notifier = notifier
        isolation = self.isolation = Isolation(
            frozenset(["recording"]), lambda *_: None, contexts()
        )
        self.services = ServiceSupervisor(isolation, self.tokens, directory, self.clock)
        self.alerting = Alerting(
            self.settings, data_dir=directory, clock=self.clock, history=self.history, bus=self.bus,
            isolation=isolation, plugins=self.plugins,
            itself=Well(self.parts),
        )  # fmt: skip

    @property
    def state(self) -> LiveState:
        return self.alerting.state

    def health(self) -> dict[str, ComponentHealth]:
        return self.parts

    def stats(self) -> SchedulerStats:
        return SchedulerStats(checks=2)

    def audit(self, entry: AuditEntry) -> None:
        self.history.write(entry)

    async def _restart(self, target: str) -> None:
        self.restarted.append(target)

    def beat(self, key: str, beat: Heartbeat) -> str:
        if key != "job":
            raise KeyError(key)
        self.beats[key] = beat
        return "job/beat"

    async def reload(self) -> Settings:
        if self.broken:
            raise ConfigError(
                (ConfigProblem(file="tocsin.toml", line=3, path="a.b", message="it is wrong"),)
            )
        return self.settings

    def dependents(self, target: str) -> list[str]:
        return ["web"] if target == "db" else []

    def see(self, target: str, check: str, result: Result) -> None:
        observation = Observation(target=target, check=check, at=self.clock.now(), result=result)
        self.alerting.executor.handle(events.Observed(observation))

    def add(self, name: str, kind: str, check: str, probe: str, **fields: Any) -> None:
        source = "docker" if kind == "container" else None
        target = Target(name=name, kind=kind, **fields)
        self.alerting.executor.handle(events.TargetPut(target, source))
        self.put_check(name, check, probe)

    def put_check(self, target: str, check: str, probe: str = "http") -> None:
        state = CheckState(target=target, name=check, probe=probe, interval=30)
        self.alerting.executor.handle(events.CheckPut(state))

    def drop(self, name: str) -> None:
        self.alerting.executor.handle(events.TargetGone(name))


def facts(reason: Reason = Reason.RUNNING, state: str = "running") -> Container:
    return Container(
        id="abc", image="busybox", state=state, reason=reason, cpu_percent=5.0, memory_bytes=1000,
        memory_limit_bytes=10_000, memory_percent=10.0, project="shop",
        exit_code=1 if state == "exited" else None,
    )  # fmt: skip


@pytest.fixture
async def stack(tmp_path: Path, database: str) -> AsyncIterator[Stack]:
    made = Stack(tmp_path, database)
    await made.history.start()
    await made.alerting.start()
    made.add("web", "container", "docker", "docker-health", depends_on=("db",))
    made.add("db", "container", "docker", "docker-health", critical=True)
    made.add("dead", "container", "docker", "docker-health")
    made.add("site / ü", "service", "http", "http")
    made.add('od"d\\\n', "service", "http", "http")
    made.see("web", "docker", Result.up("running", container=facts()))
    made.see("db", "docker", Result.down("crashed", container=facts(Reason.CRASHED, "exited")))
    made.see("site / ü", "http", Result.up("200", latency=0.1, metrics={"body_bytes": 3.0}))
    made.history.write(
        Event(target="web", source="docker", action="start", at=made.clock.now(), attributes={})
    )
    await flush(made.history)
    yield made
    await made.alerting.stop()
    await made.history.stop()


@pytest.fixture
async def client(stack: Stack, aiohttp_client: AiohttpClient) -> TestClient[Any, Any]:
    """Of the application, served as the real server serves it: bodies come as they were packed."""
    server = TestServer(ApiServer(stack).application())
    await server.start_server(auto_decompress=False)
    return await aiohttp_client(server)


@pytest.fixture
def tokens(stack: Stack) -> dict[str, str]:
    """A token of each kind, in plain."""
    made = {role.value: stack.tokens.create(role.value, role) for role in Role}
    made["expired"] = stack.tokens.create("expired", Role.ADMIN, ttl=-1)
    made["revoked"] = stack.tokens.create("revoked", Role.ADMIN)
    stack.tokens.revoke("revoked")
    made["none"] = ""
    return made


class Asker:
    """The client with an admin token."""

    def __init__(self, client: TestClient[Any, Any], token: str) -> None:
        self.client = client
        self.headers = {"Authorization": f"Bearer {token}"}

    async def get(self, path: str, status: int = 200) -> Any:
        answer = await self.client.get(path, headers=self.headers)
        assert answer.status == status, await answer.text()
        return await answer.json()

    async def post(self, path: str, status: int = 200, headers: Any = None, **options: Any) -> Any:
        merged = {**self.headers, **(headers or {})}
        answer = await self.client.post(path, headers=merged, **options)
        assert answer.status == status, await answer.text()
        return await answer.json()


@pytest.fixture
def ask(client: TestClient[Any, Any], tokens: dict[str, str]) -> Asker:
    return Asker(client, tokens["admin"])
