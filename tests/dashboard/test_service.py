"""The service: its options, its process, its end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from attrs import field, frozen

from tests.conftest import eventually
from tests.contexts import contexts
from tests.running import Running, free_port
from tocsin import Event, Service, ServiceContext, ServiceError
from tocsin.core.auth.tokens import TokenStore
from tocsin.core.config import ConfigError, load_config
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.config.settings import ServiceSettings, Settings
from tocsin.core.contracts.model import Health
from tocsin.core.plugin.contexts import Contexts
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.sandbox import Isolation
from tocsin.core.plugin.services import ServiceSupervisor
from tocsin.dashboard import DashboardService, is_loopback
from tocsin.dashboard.process import _answers
from tocsin.testing import RecordingContext, SettableClock


def load(tmp_path: Path, text: str, **env: str) -> Settings:
    path = tmp_path / "tocsin.toml"
    path.write_text(text)
    manager = PluginManager(PluginSettings())
    manager.load()
    return load_config(path, {"TOCSIN_DATA_DIR": str(tmp_path), **env}, manager)


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    return [str(problem).replace(str(tmp_path), "") for problem in caught.value.problems]


def test_its_options_are_those_of_every_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[services.dashboard] is structured by the class; what is wrong is told with its place. It has
    no address where what it needs is not installed."""
    settings = load(tmp_path, '[services.dashboard]\nport = 9000\nhost = "::1"\n')
    service = settings.services["dashboard"].service
    assert isinstance(service, DashboardService)
    assert service == DashboardService(port=9000, host="::1")
    assert service.url() == "http://[::1]:9000"
    monkeypatch.setattr("tocsin.dashboard.NEEDED", ("streamlit", "no_such_module"))
    assert service.url() is None
    assert load(tmp_path, "").services["dashboard"].service == DashboardService()
    off = load(tmp_path, "[services.dashboard]\nenabled = false\n")
    assert off.services == {}
    assert problems(tmp_path, "[services.dashboard]\nport = 0\n") == [
        "/tocsin.toml:2: services.dashboard.port: must be from 1 to 65535"
    ]
    assert problems(tmp_path, "[services.dashboard]\nprot = 1\n") == [
        "/tocsin.toml:2: services.dashboard.prot: there is no such option; did you mean 'port'?"
    ]
    (text,) = problems(tmp_path, '[services.dashboard]\nhost = "http://x"\n')
    assert "expected an address or host name to listen on" in text
    (text,) = problems(tmp_path, "[services.dashbord]\n")
    assert "no service is called 'dashbord'; did you mean 'dashboard'?" in text
    (text,) = problems(tmp_path, "[services]\ndashboard = 1\n")
    assert "expected a table, got 1" in text


def test_a_service_of_a_disabled_plugin_is_a_warning(tmp_path: Path) -> None:
    """Its options do no harm; the reason is told."""
    path = tmp_path / "tocsin.toml"
    path.write_text("[services.dashboard]\nport = 9000\n")
    manager = PluginManager(PluginSettings(disabled=("dashboard",)))
    manager.load()
    settings = load_config(path, {"TOCSIN_DATA_DIR": str(tmp_path)}, manager)
    assert settings.services["dashboard"].service is None
    assert any("service dashboard cannot run" in warning for warning in settings.warnings)


@pytest.mark.parametrize(
    ("host", "only_here"),
    [("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("192.168.0.7", False), ("example.org", False)],
)  # fmt: skip
def test_what_only_this_machine_can_reach(host: str, only_here: bool) -> None:
    """Loopback addresses need no token of the reader's own; all else does."""
    assert is_loopback(host) is only_here


class Place:
    """Surroundings with a token file."""

    def __init__(self, directory: Path) -> None:
        token = directory / "token"
        token.write_text("tocsin_secret\n")
        self.given = ServiceContext(
            api_url="http://127.0.0.1:1", directory=directory, token_file=token,
            context=RecordingContext(),
        )  # fmt: skip


def child() -> psutil.Process | None:
    """The dashboard's process that this one started."""
    for process in psutil.Process().children():
        with suppress(psutil.Error):  # it ends at this very moment
            if "tocsin.dashboard.serve" in process.cmdline():
                return process
    return None


@pytest.mark.slow
async def test_its_process_lives_and_dies_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streamlit answers on the port; the token is neither in its arguments nor its environment,
    nor is a password of ours; killed, the run ends and says so; cancelled, the process is gone; a
    port that is taken is one sentence."""
    monkeypatch.setenv("SMTP_PASSWORD", "hunter2")
    service = DashboardService(port=free_port())
    running = asyncio.create_task(service.run(Place(tmp_path).given))

    async def up() -> bool:
        return await _answers_on(service.port)

    await eventually(up, 60)
    process = child()
    assert process is not None
    told = " ".join([*process.cmdline(), *process.environ().values()])
    assert "tocsin_secret" not in told
    assert "hunter2" not in told
    with pytest.raises(ServiceError, match=f"port {service.port} is in use on 127.0.0.1; change"):
        await DashboardService(port=service.port).run(Place(tmp_path).given)
    process.kill()
    with pytest.raises(ServiceError, match="ended with exit status -9"):
        await running

    again = asyncio.create_task(service.run(Place(tmp_path).given))
    await eventually(up, 60)
    process = child()
    assert process is not None
    again.cancel()
    with pytest.raises(asyncio.CancelledError):
        await again
    await eventually(lambda: not process.is_running())
    assert not await up()


async def _answers_on(port: int) -> bool:
    from tocsin.dashboard.process import Settings

    return await _answers(
        Settings(
            host="127.0.0.1", port=port, base_path="", sign_in=False, hosts=[],
            any_host=False, api_url="", token_file="",
        )
    )  # fmt: skip


@frozen(kw_only=True)
class Companion(Service):
    """A service that does what a test tells it."""

    option: int = 0
    outcomes: list[BaseException] = field(factory=list, eq=False)
    given: list[ServiceContext] = field(factory=list, eq=False)

    async def run(self, context: ServiceContext) -> None:
        self.given.append(context)
        if self.outcomes:
            raise self.outcomes.pop(0)
        await asyncio.sleep(1000)


def supervised(tmp_path: Path, clock: SettableClock) -> ServiceSupervisor:
    isolation = Isolation(frozenset(["p"]), lambda *_: None, contexts())
    return ServiceSupervisor(isolation, TokenStore(tmp_path / "tokens.db"), tmp_path, clock)


def settings_of(service: Service) -> dict[str, ServiceSettings]:
    made = ServiceSettings(name="x", plugin="p", service=service, broken=None, options={})
    return {"x": made}


async def test_a_service_is_given_a_place_and_a_viewer_of_its_own(
    tmp_path: Path, clock: SettableClock
) -> None:
    """Its directory and its token file are private, the token is a viewer's and stays the same."""
    supervisor = supervised(tmp_path, clock)
    service = Companion()
    await supervisor.apply(settings_of(service), "http://api")
    await eventually(lambda: service.given)
    place = service.given[0]
    assert place.api_url == "http://api"
    assert place.directory.stat().st_mode & 0o777 == 0o700
    assert place.token_file.stat().st_mode & 0o777 == 0o600
    plain = place.token_file.read_text().strip()
    found = TokenStore(tmp_path / "tokens.db").find(plain)
    assert found is not None
    assert (found.name, found.role.value) == ("service x", "viewer")
    await supervisor.stop()
    again = Companion()
    await supervisor.apply(settings_of(again), "http://api")
    await eventually(lambda: again.given)
    assert again.given[0].token_file.read_text().strip() == plain
    await supervisor.stop()


@frozen(kw_only=True)
class Working(Service):
    """Use all that it is given."""

    used: list[object] = field(factory=list, eq=False)

    async def run(self, context: ServiceContext) -> None:
        secret = await context.secret("KEY")
        assert secret is not None
        await context.storage.put("key", len(secret.reveal()))
        context.log.info("works", api=context.api_url)
        event = Event(target="web", source="x", action="seen", at=context.clock.now())
        await context.emit(event)
        await context.report_trouble("the panel is dark")
        async with context.http.get(context.api_url) as answer:
            status = answer.status
        thread = await context.in_thread(threading.current_thread)
        self.used.extend([context.plugin, context.name, await context.storage.get("key"), status])
        self.used.append(thread.name)
        await asyncio.Event().wait()


async def test_a_service_has_what_every_runtime_has(tmp_path: Path, clock: SettableClock) -> None:
    """Secrets, stored values, a log, the clock, events, its health, the HTTP session and threads of
    its plugin; the service runs in the plugin's own thread."""
    events: list[Event] = []

    class Sink:
        def happened(self, event: Event) -> None:
            events.append(event)

    made = Contexts(tmp_path, clock, {"KEY": "s3cret-of-the-service"}, Sink())
    isolation = Isolation(frozenset(), lambda *_: None, made)
    supervisor = ServiceSupervisor(isolation, TokenStore(tmp_path / "t.db"), tmp_path, clock)
    service = Working()
    async with TestServer(web.Application()) as server:
        await supervisor.apply(settings_of(service), str(server.make_url("/")))
        await eventually(lambda: len(service.used) == 5)
    assert service.used[:4] == ["p", "x", len("s3cret-of-the-service"), 404]
    assert "tocsin p" in str(service.used[4])
    assert [(event.target, event.at) for event in events] == [("web", clock.now())]
    assert made.health()["p.x"].message == "the panel is dark"
    await supervisor.stop()
    assert made.health() == {}
    await isolation.stop()


@pytest.mark.parametrize("inline", [True, False])
async def test_requests_of_a_third_party_service_have_a_share_of_the_time(
    tmp_path: Path, clock: SettableClock, inline: bool
) -> None:
    """Those of built-in services, of people and of services that are gone are not limited."""
    isolation = Isolation(frozenset("p" if inline else ""), lambda *_: None, contexts())
    supervisor = ServiceSupervisor(isolation, TokenStore(tmp_path / "t.db"), tmp_path, clock)
    await supervisor.apply(settings_of(Companion()), "http://api")
    assert (supervisor.share_of("service x") is None) is inline
    assert supervisor.share_of("x") is None
    await supervisor.stop()
    assert supervisor.share_of("service x") is None
    await isolation.stop()


async def test_a_service_that_ends_is_told_and_started_again(
    tmp_path: Path, clock: SettableClock
) -> None:
    """A fault is degraded, and there is another try; a permanent one is told once, as disabled,
    and tried again only when the configuration is applied again."""
    supervisor = supervised(tmp_path, clock)
    service = Companion(outcomes=[ServiceError("port 1 is taken; set another")])
    await supervisor.apply(settings_of(service), "")
    await eventually(lambda: supervisor.health()["service.x"].status is Health.DEGRADED)
    assert supervisor.health()["service.x"].message == "port 1 is taken; set another"
    await eventually(lambda: len(service.given) == 2)
    await eventually(lambda: supervisor.health()["service.x"].status is Health.OK)
    await supervisor.apply({}, "")
    assert supervisor.health() == {}

    absent = Companion(outcomes=[ServiceError("not installed", permanent=True)])
    await supervisor.apply(settings_of(absent), "")
    await eventually(lambda: supervisor.health()["service.x"].status is Health.DISABLED)
    task = supervisor._running["x"].task
    await asyncio.wait_for(task, 10)  # what would try again has ended
    assert len(absent.given) == 1
    await supervisor.apply(settings_of(absent), "")
    await eventually(lambda: len(absent.given) == 2)
    assert supervisor.health()["service.x"].status is Health.OK
    await supervisor.stop()


async def test_services_that_did_not_change_go_on(tmp_path: Path, clock: SettableClock) -> None:
    """Applying the same configuration again leaves a service alone; other options start it anew."""
    supervisor = supervised(tmp_path, clock)
    service = Companion()
    await supervisor.apply(settings_of(service), "")
    await eventually(lambda: service.given)
    await supervisor.apply(settings_of(Companion()), "")
    other = Companion(option=1)
    await supervisor.apply(settings_of(other), "")
    await eventually(lambda: other.given)
    assert len(service.given) == 1
    await supervisor.stop()


WITHOUT = (
    "import sys\nfor name in ('streamlit', 'plotly', 'httpx'):\n    sys.modules[name] = None\n"
    "from tocsin.core.cli.main import main\nmain()"
)


class Bare(Running):
    """tocsin as the base install leaves it."""

    def command(self) -> list[str]:
        return [sys.executable, "-c", WITHOUT, "-c", str(self.config), *self.args]


@pytest.mark.slow
def test_without_streamlit_all_else_works(tmp_path: Path, postgres: str) -> None:
    """The base install: one sentence in /health with the remedy, which does not count as trouble;
    the plugin is there, and its options are known."""
    port = free_port()
    config = f"[services.dashboard]\nport = {port}\n[sources.docker]\nenabled = false\n"
    with Bare(tmp_path, config, {"DATABASE_URL": postgres}, dashboard=True) as running:
        part = running.until(
            lambda: running.get("/health")["components"]["service.dashboard"]["message"]
        )
        assert part == (
            "streamlit, plotly, httpx: not installed; run: pip install 'tocsin[dashboard]'"
        )
        health = running.get("/health")["components"]["service.dashboard"]
        assert health["status"] == "disabled"
        assert "dashboard" in running.run("plugins").stdout


@pytest.mark.parametrize("how", ["flag", "disabled"])
@pytest.mark.slow
def test_it_can_be_kept_away(tmp_path: Path, postgres: str, how: str) -> None:
    """--no-dashboard and [plugins] disabled: no process, no part of /health, no address told."""
    config = "[sources.docker]\nenabled = false\n"
    if how == "disabled":
        config += '[plugins]\ndisabled = ["dashboard"]\n'
    env = {"DATABASE_URL": postgres}
    with Running(tmp_path, config, env, dashboard=how == "disabled") as running:
        assert "service.dashboard" not in running.get("/health")["components"]
        assert "dashboard" not in running.output()
        assert running.process is not None
        assert psutil.Process(running.process.pid).children() == []


@pytest.mark.slow
def test_it_goes_when_tocsin_is_killed(tmp_path: Path, postgres: str) -> None:
    """SIGKILL to tocsin leaves nothing behind: the child ends with the pipe it was given."""
    port = free_port()
    config = f"[services.dashboard]\nport = {port}\n[sources.docker]\nenabled = false\n"
    with Running(tmp_path, config, {"DATABASE_URL": postgres}, dashboard=True) as running:
        assert f"dashboard http://127.0.0.1:{port}" in running.output()
        assert running.process is not None
        children = running.until(lambda: psutil.Process(running.process.pid).children())
        os.kill(running.process.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(children, timeout=20)
        assert alive == []


def test_the_plugin_imports_without_streamlit() -> None:
    """Importing the plugin module loads neither Streamlit nor Plotly nor httpx."""
    code = (
        "import sys, tocsin.dashboard\n"
        "sys.exit(any(name in sys.modules for name in ('streamlit', 'plotly', 'httpx')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
