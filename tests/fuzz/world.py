"""A whole tocsin in this process, on an engine that is made of what a case says."""

from __future__ import annotations

import asyncio
import io
import queue
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp
import requests
from attrs import evolve, frozen

from tests.fuzz.judge import Judge
from tests.store.helpers import NOWHERE
from tocsin import Notifier, Sink, hookimpl
from tocsin.core import app
from tocsin.core.app import Tocsin
from tocsin.core.checks.scheduler import Scheduler
from tocsin.core.config import load_config
from tocsin.core.config.settings import ChannelSettings, SourceSettings
from tocsin.core.plugin.manager import load_plugins
from tocsin.plugins.probes.docker_health.source import DockerSource
from tocsin.testing import RecordingNotifier

INNOCENT = "innocent"
"""The container that has done nothing, and is to be seen whatever the others are."""

PAGES = (
    "/health", "/metrics", "/api/v1/status", "/api/v1/targets?limit=1000",
    "/api/v1/checks?limit=1000",
    "/api/v1/containers?limit=1000", "/api/v1/alerts/active?limit=1000", "/api/v1/channels",
    "/api/v1/plugins", "/api/v1/config",
)  # fmt: skip


def only_loopback() -> None:
    """Nothing in this process reaches, or asks for the name of, anything but this machine."""
    connect, lookup = socket.socket.connect, socket.getaddrinfo

    def guarded(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if self.family != socket.AF_UNIX and host not in ("127.0.0.1", "::1"):
            raise OSError(101, "Network is unreachable")
        connect(self, address)

    def numeric(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in (None, "127.0.0.1", "::1", "localhost"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return lookup(host, port, *args, **kwargs)

    socket.socket.connect = guarded  # type: ignore[method-assign, assignment]
    socket.getaddrinfo = numeric


def document(number: int | str, labels: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What an engine says of a container that runs."""
    name = f"c{number}" if isinstance(number, int) else number
    identity = "f" * 64 if number == INNOCENT else f"{number:064x}"
    return {
        "Id": identity,
        "Name": f"/{name}",
        "Created": "2026-01-02T03:04:05.678901234Z",
        "Config": {"Image": "busybox:1.36", "Labels": dict(labels or {}), "Env": ["A=b"],
                   "Cmd": ["sleep", "1000"], "Tty": False},
        "State": {"Status": "running", "Running": True, "Pid": 0, "ExitCode": 0, "Error": "",
                  "OOMKilled": False, "StartedAt": "2026-01-02T03:04:06.678901234Z",
                  "FinishedAt": "0001-01-01T00:00:00Z",
                  "Health": {"Status": "healthy", "FailingStreak": 0,
                             "Log": [{"ExitCode": 0, "Output": "fine"}]}},
        "RestartCount": 0,
        "HostConfig": {"Memory": 0, "RestartPolicy": {"Name": "no"}, "NetworkMode": "bridge"},
        "NetworkSettings": {"Ports": {"80/tcp": [{"HostPort": "8080"}]},
                            "Networks": {"bridge": {"IPAddress": "", "NetworkID": "n"}}},
    }  # fmt: skip


def event(number: Any, action: Any, at: int, **attributes: Any) -> dict[str, Any]:
    """What an engine says of something that happened to a container, ``at`` nanoseconds."""
    return {"Type": "container", "Action": action, "timeNano": at,
            "Actor": {"ID": document(number)["Id"], "Attributes": attributes}}  # fmt: skip


_END = object()
"""Ends a stream; None is what ``null`` in one comes to."""


class FakeEngine:
    """As much of ``docker.APIClient`` as a source uses."""

    base_url = "unix://nowhere"
    api_version = "1.51"
    timeout = 10

    def __init__(self, documents: list[dict[str, Any]]) -> None:
        self.documents = {str(d.get("Id")): d for d in documents}
        self.stream: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.output: dict[str, bytes] = {"stdout": b"", "stderr": b""}
        self.statistics: Any = {}

    def containers(self, **_: Any) -> list[dict[str, Any]]:
        return [{"Id": key, "Names": [], "State": "running"} for key in self.documents]

    def inspect_container(self, container: str) -> dict[str, Any]:
        import docker.errors

        if container not in self.documents:
            raise docker.errors.NotFound("gone", explanation="No such container")
        return self.documents[container]

    def _url(self, path: str) -> str:
        return path

    def _get(self, path: str, **options: Any) -> requests.Response:
        """Answer a ping, or a question for past events, of which there are none; or begin a
        stream."""
        answer = requests.Response()
        answer.status_code = 200
        answer.raw = io.BytesIO()
        return answer

    def _get_raw_response_socket(self, _: requests.Response) -> None:
        return None

    def _stream_helper(self, *_: Any, **__: Any) -> Iterator[Any]:
        return iter(self.stream.get, _END)

    def stats(self, *_: Any, **__: Any) -> Any:
        return self.statistics

    def inspect_image(self, *_: Any) -> dict[str, Any]:
        return {"Config": {"Labels": {}}}

    def get(self, _: str, *, params: Mapping[str, Any], **__: Any) -> requests.Response:
        """Answer a request for log lines, in frames as the engine does."""
        stream = "stdout" if "stdout" in params else "stderr"
        data = self.output[stream]
        answer = requests.Response()
        answer.status_code = 200
        answer.raw = io.BytesIO(bytes((1, 0, 0, 0)) + len(data).to_bytes(4, "big") + data)
        return answer

    def ping(self) -> bool:
        return True

    def info(self) -> dict[str, Any]:
        return {"Name": "fuzz", "OperatingSystem": "Linux", "ID": "x"}

    def version(self, **_: Any) -> dict[str, Any]:
        return {"Version": "29", "ApiVersion": "1.51"}

    def networks(self, **_: Any) -> list[Any]:
        return []

    def inspect_network(self, *_: Any, **__: Any) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        self.stream.put(_END)


@frozen(kw_only=True)
class FuzzSource(DockerSource):
    """A Docker source whose engine is a fake one."""

    engine: Any = None
    judge: Any = None

    def client(self) -> Any:
        """The fake."""
        return self.engine

    async def run(self, name: str, interval: float, sink: Sink) -> None:
        """Watch, and tell the judge what ended it: the core is told of a group only."""
        try:
            await super().run(name, interval, sink)
        except Exception as error:
            for one in leaves(error):
                self.judge.raised(one, "source")
            raise


def leaves(error: BaseException) -> list[BaseException]:
    """The exceptions of a group, and of the groups in it."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in leaves(one)]
    return [error]


class World:
    """tocsin, started; what comes out of it goes to the judge."""

    def __init__(self, tocsin: Tocsin, judge: Judge, notifier: RecordingNotifier) -> None:
        self.tocsin = tocsin
        self.judge = judge
        self.notifier = notifier
        self.engine = FakeEngine([])
        self.session: aiohttp.ClientSession
        self.headers = {
            "Authorization": f"Bearer {(tocsin.data_dir / 'admin.token').read_text().strip()}"
        }
        write = tocsin.history.write

        def wrote(item: Any) -> None:
            judge.out("row", repr(item))
            write(item)

        tocsin.history.write = wrote  # type: ignore[method-assign]

    async def watch(self, documents: list[dict[str, Any]]) -> None:
        """Take an engine with these containers for the one there is, and await its inventory."""
        self.engine.close()
        self.engine = FakeEngine([*documents, document(INNOCENT)])
        source = FuzzSource(engine=self.engine, judge=self.judge, host="unix:///nowhere")
        settings = SourceSettings(
            name="docker", probe_name="docker-health", plugin="docker-health", source=source,
            broken=None, options={}, interval=30.0,
        )  # fmt: skip
        tocsin, began = self.tocsin, self.tocsin.clock.now()
        for record in tocsin.plugins.records:
            if record.status == "failed":
                tocsin.plugins.recover(record.name)
        tocsin.settings = evolve(tocsin.settings, sources={"docker": settings})
        tocsin.inventory.apply(tocsin.settings)
        await tocsin.sources.apply(tocsin.settings)

        def looked() -> bool:
            seen = tocsin.state.targets.get(INNOCENT)
            well = all(part.status.value == "ok" for part in tocsin.sources.health().values())
            check = None if seen is None else seen.checks.get("docker")
            # Told of last, by this source and not by the one before.
            told = check is not None and check.last is not None and check.last.at >= began
            return not well or (told and tocsin.sources.looked_around())

        await self.until(looked, f"a look at {INNOCENT}")
        self.check()

    def check(self) -> None:
        """See whether what has done nothing is still seen, and nothing failed."""
        for name, part in self.tocsin.sources.health().items():
            if part.status.value != "ok":
                self.judge.traceback(f"{name}: {part.message}")
        for record in self.tocsin.plugins.records:
            if record.status == "failed":
                self.judge.traceback(f"plugin {record.name}: {record.reason}")
        seen = self.tocsin.state.targets.get(INNOCENT)
        if seen is None or seen.status.value != "up":
            self.judge.traceback(
                f"{INNOCENT} is {'not seen' if seen is None else seen.status.value}"
            )

    async def happen(self, events: list[dict[str, Any]]) -> None:
        """Have the engine tell of events, then of the innocent's death, which is to be seen."""
        for item in events:
            self.engine.stream.put(item)
        dead = document(INNOCENT)
        dead["State"] |= {"Status": "exited", "Running": False, "ExitCode": 137}
        self.engine.documents[dead["Id"]] = dead
        self.engine.stream.put(event(INNOCENT, "die", time.time_ns(), exitCode="137"))

        def died() -> bool:
            known = self.tocsin.state.targets.get(INNOCENT)
            return known is not None and known.status.value == "down"

        await self.until(died, f"the death of {INNOCENT}")

    async def until(self, condition: Any, what: str, seconds: float = 5) -> None:
        """Wait for what has to come; that it does not is told to the judge."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                self.judge.traceback(f"{what} never came")
                return
            await asyncio.sleep(0.002)

    async def get(self, path: str) -> tuple[int, str]:
        """A page."""
        async with self.session.get(self.tocsin.api_url + path, headers=self.headers) as answer:
            return answer.status, await answer.text(errors="replace")

    async def look(self) -> None:
        """Read every page, and every message that was sent."""
        for path in PAGES:
            status, text = await self.get(path)
            if status >= 500 and path != "/health":
                self.judge.traceback(f"{path} answers {status}: {text[:200]}")
            self.judge.out(path, text)
        for message in self.notifier.delivered:
            self.judge.out("message", repr(message))
        self.notifier.delivered.clear()
        self.notifier.attempts.clear()


class Idle(Scheduler):
    """Runs nothing: what labels ask for is judged as far as it is taken in; checks are run by the
    kind "answers"."""

    def put(self, *_: Any, **__: Any) -> None:
        """Leave it."""


class _Plugin:
    @staticmethod
    @hookimpl
    def tocsin_notifiers() -> dict[str, type[Notifier]]:
        return {"recording": RecordingNotifier}


CONFIG = """
[sources.docker]
enabled = false
[api]
port = 0
host = "127.0.0.1"
[plugins]
disabled = ["dashboard", "disk"]
"""


@asynccontextmanager
async def world(directory: Path, judge: Judge, database: str = NOWHERE) -> AsyncIterator[World]:
    """A tocsin of its own, as long as this lasts."""
    file = directory / "tocsin.toml"
    file.write_text(CONFIG)
    env = {"TOCSIN_DATA_DIR": str(directory / "data"), "DATABASE_URL": database}
    plugins = load_plugins(file, env, external=False)
    settings = load_config(file, env, plugins)
    plugins.add("recording", lambda: _Plugin, "tocsin")  # runs in the core's own loop
    notifier = RecordingNotifier()
    channel = ChannelSettings(
        name="ops", notifier_name="recording", plugin="recording", notifier=notifier,
        broken=None, options={}, hold=0.0, window=0.0, max_messages=10**9, per=1.0,
    )  # fmt: skip
    settings = evolve(
        settings,
        channels={"ops": channel},
        rules={
            name: evolve(rule, policy=evolve(rule.policy, for_seconds=0.0))
            for name, rule in settings.rules.items()
        },
    )
    (directory / "data").mkdir(exist_ok=True)
    with patch.object(app, "Scheduler", Idle):
        tocsin = Tocsin(file, env, plugins, settings)
    await tocsin.start()
    try:
        made = World(tocsin, judge, notifier)
        async with aiohttp.ClientSession() as made.session:
            yield made
    finally:
        made.engine.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(20):
                await tocsin.stop()
