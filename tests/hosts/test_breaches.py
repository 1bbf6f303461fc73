"""Each breach of contract, of whatever kind of plugin, marks the plugin as failed with its reason
until that part works again, in a host as in the core; the log has the traceback."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.conftest import eventually
from tests.hosts.conftest import only
from tests.hosts.installed import install
from tocsin import ActionError, Health
from tocsin.core.app import Tocsin
from tocsin.core.cli import check as check_command
from tocsin.core.config import load_config
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.lifecycle import self_monitoring
from tocsin.core.plugin import services as services_module
from tocsin.core.plugin.catalog import PluginRecord
from tocsin.core.plugin.manager import PluginManager

SOURCE = """
    from pathlib import Path
    def ask(): return Path(os.environ.get("HOW") or __file__).with_name("how").read_text()

    @frozen(kw_only=True)
    class Pager(Notifier):
        async def send(self, message):
            how = ask()
            if how == "raise": return self.helper({})
            if how == "refuse": raise NotifyError("the pager is off")
            return {"none": None, "text": "sent", "part": Receipt(answer=7)}.get(
                how, Receipt(answer="sent"))
        def helper(self, known): return known["the pager"]

    @frozen(kw_only=True)
    class Fleet(Source):
        async def run(self, name, interval, sink):
            while True:
                sink.discovered(Target(name="ship", kind="ship"))
                sink.observed("ship", "up" if ask() == "odd" else Result.up("afloat"))
                sink.synced(["ship"])
                await asyncio.sleep(0.1)
        async def logs(self, target, lines):
            how = ask()
            if how == "refuse": raise ActionError("it has no log")
            return "a line" if how == "text" else [LogLine(text="a line")]
        async def inspect(self, target):
            return {} if ask() == "well" else {}["inspected"]

    @frozen(kw_only=True)
    class Wall(Service):
        async def run(self, context):
            if ask() == "raise": raise KeyError("wall")
            if ask() == "refuse": raise ServiceError("the port is taken", permanent=True)
            await asyncio.sleep(3600)

    @frozen(kw_only=True)
    class Odd(Probe):
        async def check(self, target):
            how = ask()
            if how == "raise": return int(f"x{target.name}")
            return Result.up("well")

    @frozen(kw_only=True)
    class Late(Rule):
        def evaluate(self, history, now):
            return Verdict.clear() if ask() == "well" else {}["late"]

    @hookimpl
    def tocsin_rules(): return {"late": Late}
    @hookimpl
    def tocsin_notifiers(): return {"pager": Pager}
    @hookimpl
    def tocsin_sources(): return {"fleet": Fleet}
    @hookimpl
    def tocsin_services(): return {"wall": Wall}
    @hookimpl
    def tocsin_probes(): return {"odd": Odd}
"""


class Town:
    """A tocsin with a plugin whose parts behave as a file says."""

    def __init__(self, site: Path, tmp_path: Path, inline: bool) -> None:
        self.how = site / "how"
        self.site, self.tmp_path = site, tmp_path
        self.settings = PluginSettings(inline=("strange",) if inline else ())
        self.tocsin: Tocsin

    async def start(self, config: str) -> None:
        install(self.site, SOURCE)
        path = self.tmp_path / "tocsin.toml"
        if "[services.wall]" not in config:
            config += "[services.wall]\nenabled = false\n"
        path.write_text(config)
        plugins = PluginManager(self.settings, only(self.site))
        plugins.load()
        env = {"TOCSIN_DATA_DIR": str(self.tmp_path / "data"), "TOCSIN_API_PORT": "0"}
        (self.tmp_path / "data").mkdir()
        self.tocsin = Tocsin(path, env, plugins, load_config(path, env, plugins))
        await self.tocsin.start()

    @property
    def record(self) -> PluginRecord:
        (record,) = self.tocsin.plugins.records
        return record

    async def failed(self, reason: str) -> None:
        """Wait until the plugin is failed for a reason."""
        await eventually(
            lambda: self.record.status == "failed" and reason in str(self.record.reason), 20
        )
        assert self.tocsin.health()["plugins"].status is Health.DEGRADED

    async def works(self) -> None:
        """Wait until the plugin is not failed."""
        await eventually(lambda: self.record.status == "ok", 20)


@pytest.fixture(params=[False, True], ids=["hosted", "inline"])
async def town(site: Path, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Town]:
    made = Town(site, tmp_path, request.param)
    made.how.write_text("well")
    yield made
    if hasattr(made, "tocsin"):
        await made.tocsin.stop()
    sys.modules.pop("tocsin_strange", None)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("raise", "channel ops raised KeyError"),
        ("none", "channel ops returned NoneType from send, not a Receipt"),
        ("text", "channel ops returned str from send, not a Receipt"),
        ("part", "channel ops gave a receipt with"),
    ],
)
async def test_a_notifier_that_breaks_its_contract_fails_until_it_delivers(
    town: Town, how: str, reason: str
) -> None:
    """An exception that is no NotifyError, no receipt, or one that is partly invalid."""
    await town.start('[channels.ops]\nnotifier = "pager"\n')
    town.how.write_text(how)
    await town.tocsin.alerting.test("ops")
    await town.failed(reason)
    town.how.write_text("well")
    assert (await town.tocsin.alerting.test("ops"))[0]
    await town.works()


async def test_a_notifier_that_cannot_deliver_does_not_fail(town: Town) -> None:
    """A NotifyError is what the contract asks for."""
    await town.start('[channels.ops]\nnotifier = "pager"\n')
    town.how.write_text("refuse")
    assert await town.tocsin.alerting.test("ops") == (False, "the pager is off")
    assert town.record.status == "ok"


async def test_a_source_fails_until_an_inventory_is_valid(town: Town) -> None:
    """An invalid result in a round of reports is not forgiven by the inventory that ends it."""
    town.how.write_text("odd")
    await town.start('[sources.baltic]\nprobe = "fleet"\n')
    await town.failed("source baltic returned str from observed, not a Result")
    for _ in range(5):
        await eventually(lambda: town.record.status == "failed")
    town.how.write_text("well")
    await town.works()


async def test_an_action_of_a_source_fails_until_it_works(town: Town) -> None:
    """Log lines that are text and an inspection that raises are named; each is forgiven when it
    works, and an ActionError is no fault."""
    await town.start('[sources.baltic]\nprobe = "fleet"\n')
    await eventually(lambda: "ship" in town.tocsin.state.targets)

    async def refused(act: Callable[[], Awaitable[Any]]) -> None:
        with pytest.raises(ActionError):
            await act()

    logs, inspect = (
        partial(town.tocsin.actions.logs, "ship", 5),
        partial(town.tocsin.actions.inspect, "ship"),
    )
    town.how.write_text("refuse")
    await refused(logs)
    assert town.record.status == "ok"
    town.how.write_text("text")
    await refused(logs)
    await town.failed("logs of source baltic returned str from logs, not a list")
    await refused(inspect)
    await town.failed("inspect of source baltic raised KeyError: 'inspected'")
    town.how.write_text("well")
    await logs()
    await town.failed("inspect of source baltic raised KeyError")
    await inspect()
    await town.works()


async def test_a_service_that_raises_fails_until_it_has_run_for_a_minute(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anything but a ServiceError; the time is measured from its start."""
    monkeypatch.setattr(services_module, "WORKS_AFTER", 0.5)
    town.how.write_text("raise")
    await town.start("[services.wall]\n")
    await town.failed("service wall raised KeyError: 'wall'")
    town.how.write_text("well")
    await town.works()
    assert town.tocsin.health()["service.wall"].status is Health.OK


async def test_a_configured_service_that_cannot_run_is_degraded(town: Town) -> None:
    """Its plugin has not failed. One that runs by default is disabled."""
    town.how.write_text("refuse")
    await town.start("[services.wall]\n")
    await eventually(lambda: town.tocsin.health()["service.wall"].status is Health.DEGRADED, 20)
    assert town.tocsin.health()["service.wall"].message == "the port is taken"
    assert town.record.status == "ok"
    (town.tmp_path / "tocsin.toml").write_text("")
    await town.tocsin.reload()
    await eventually(lambda: town.tocsin.health()["service.wall"].status is Health.DISABLED, 20)


CHECKS = """
[targets.a.checks.odd]
probe = "odd"
interval = 1

[targets.b.checks.odd]
probe = "odd"
interval = 1
"""


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[str], list[Any]]]:
    """The facts of the lines with an event; the log is at level debug."""
    caplog.set_level(logging.DEBUG)
    with capture_logs() as lines:
        yield lambda event: [line for line in lines if line["event"] == event]


FAILED, RAISED = "a plugin failed; everything else goes on", "a plugin raised an exception"


async def test_each_reason_is_logged_once_with_a_traceback_at_debug(
    town: Town, logged: Callable[[str], list[Any]]
) -> None:
    """Two checks of one plugin that fail for different reasons are two reasons. The traceback has
    the frames of the plugin and no others."""
    town.how.write_text("raise")
    await town.start(CHECKS)
    await eventually(lambda: len(logged(RAISED)) >= 2 and len(logged(FAILED)) >= 2, 20)
    await asyncio.sleep(1.5)  # for another run of each
    assert sorted(line["reason"] for line in logged(FAILED)) == [
        f"raised ValueError: invalid literal for int() with base 10: 'x{name}' (check {name}/odd)"
        for name in "ab"
    ]
    assert len(logged(RAISED)) == 2
    line = logged(RAISED)[0]
    trace = line["exception"]
    assert (line["log_level"], line["plugin"]) == ("debug", "strange")
    assert trace.startswith("Traceback (most recent call last):\n  File ")
    assert "tocsin_strange.py" in trace
    assert 'return int(f"x{target.name}")' in trace
    assert "ValueError: invalid literal" in trace
    assert "/core/" not in trace
    assert "asyncio" not in trace


async def test_a_start_impairs_nothing(town: Town, logged: Callable[[str], list[Any]]) -> None:
    """The alert about tocsin itself does not begin only because the first checks are to come."""
    await town.start(CHECKS)
    await eventually(lambda: town.tocsin.has_looked_around(), 20)
    await asyncio.sleep(1.5)
    assert [line for line in logged("alert") if line["rule"] == "monitor_impaired"] == []


async def test_the_traceback_of_a_notifier_is_logged(
    town: Town, logged: Callable[[str], list[Any]]
) -> None:
    """All frames of the plugin, from the method that tocsin calls to the one that raised."""
    await town.start('[channels.ops]\nnotifier = "pager"\n')
    town.how.write_text("raise")
    for _ in range(2):
        await town.tocsin.alerting.test("ops")
    (line,) = logged(RAISED)
    assert "in send" in line["exception"]
    assert "in helper" in line["exception"]


async def test_the_traceback_of_a_rule_is_logged(
    town: Town, logged: Callable[[str], list[Any]]
) -> None:
    """Also of one that runs in the core, where nothing stands between it and the engine."""
    town.how.write_text("odd")
    await town.start(f'{CHECKS}\n[rules.late]\nrule = "late"\n')
    await town.failed("rule late raised KeyError: 'late'")
    await eventually(lambda: logged(RAISED), 20)
    assert "in evaluate" in logged(RAISED)[0]["exception"]
    town.how.write_text("well")
    await town.works()


async def test_the_command_check_logs_the_traceback(
    site: Path, tmp_path: Path, logged: Callable[[str], list[Any]]
) -> None:
    """A run of a check by a person is the way to see what a plugin does."""
    town = Town(site, tmp_path, inline=False)
    town.how.write_text("raise")
    install(site, SOURCE)
    plugins = PluginManager(town.settings, only(site))
    plugins.load()
    path = tmp_path / "tocsin.toml"
    path.write_text(CHECKS)
    settings = load_config(path, {"TOCSIN_DATA_DIR": str(tmp_path)}, plugins)
    (seen,) = await check_command._check_all(settings, plugins, ("a/odd",))
    assert "raised ValueError" in seen.result.message
    (line,) = logged(RAISED)
    assert "in check" in line["exception"]


@pytest.mark.parametrize(
    "reason", ["rule x1 raised KeyError: 'a'", "source x3 ended by itself", "raised ImportError"]
)
def test_the_alert_about_a_plugin_is_a_sentence(reason: str) -> None:
    """Whether the reason names a part of the plugin or not."""
    record = PluginRecord(name="strange", status="failed", reason=reason)
    about = dict(self_monitoring.verdicts({}, [record], []))
    assert about["plugin_failed", "plugin strange"].message == f"the plugin failed: {reason}"
