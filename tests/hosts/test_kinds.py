"""Every kind of plugin works in a host as it does in the core."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from attrs import define, evolve, field

from tests.conftest import eventually
from tests.hosts.conftest import Core
from tocsin import (
    ActionError,
    AlertChange,
    Claim,
    Event,
    Finding,
    Heartbeat,
    History,
    Installation,
    LogLine,
    NotifyError,
    Observation,
    Request,
    Result,
    ReviewRequest,
    Role,
    ServiceContext,
    ServiceError,
    Severity,
    Status,
    Target,
    TargetSnapshot,
)
from tocsin.core.checks.polled_check import PolledCheck
from tocsin.core.contracts.notifier import test_message as message_for
from tocsin.core.contracts.source import actions_of
from tocsin.core.hosts.hosted_route import HostedRoute
from tocsin.core.hosts.methods import Answered
from tocsin.core.ids import new_id
from tocsin.core.plugin.sandbox import PluginFault
from tocsin.testing import FixedSystem

NOW = datetime(2026, 5, 1, tzinfo=UTC)
WEB = Target(name="web", labels={"team": "shop"})


async def test_a_probe_checks_in_another_process(core: Core) -> None:
    """It gets its options and the target, keeps state from run to run, and its result comes back
    whole; of an invalid one the usable part."""
    core.load("""
        @frozen(kw_only=True)
        class Count(Probe):
            greeting: str
            wait: Seconds = 1
            class Runtime(ProbeRuntime):
                def __init__(self, options): self.options, self.runs = options, 0
                async def check(self, target):
                    self.runs += 1
                    text = f"{self.options.greeting} {target.labels['team']} {self.options.wait}"
                    bad = {"x_seconds": float("nan")} if self.runs == 2 else {}
                    return Result.degraded(text, metrics={"runs_count": self.runs, **bad},
                                           attributes={"pid": os.getpid()})
            async def open(self, context): return self.Runtime(self)
        @hookimpl
        def tocsin_probes(): return {"count": Count}
    """)
    check = PolledCheck(core.make("probe", "count", greeting="hi", wait="2m"), core.context())
    await core.isolation.call("strange", check.open, 10)
    assert check.is_open_in(asyncio.get_running_loop())
    first, wrong = await check.look(WEB)
    assert (first.status, first.message, wrong) == (Status.DEGRADED, "hi shop 120.0", None)
    assert first.metrics == {"runs_count": 1}
    assert first.attributes["pid"] != os.getpid()
    second, wrong = await check.look(WEB)
    assert second.metrics == {"runs_count": 2}
    assert "not a finite number" in (wrong or "")
    await check.close()


async def test_a_probe_says_what_is_wrong_in_plain_words(core: Core) -> None:
    """An error of the probe is its fault; the host that a down check connects to is known."""
    core.load("""
        @frozen(kw_only=True)
        class Odd(Probe):
            async def check(self, target):
                if target.name == "web": return Result.down("no")
                if target.name == "exit": sys.exit(3)
                if target.name == "mine": raise CheckError("no program x; install it")
                raise KeyError("surprise")
            def network_host(self, target): return target.name + ".example"
        @hookimpl
        def tocsin_probes(): return {"odd": Odd}
    """)
    probe = core.make("probe", "odd")
    check = PolledCheck(probe, core.context())
    assert (await check.look(WEB))[0].status is Status.DOWN
    assert probe.network_host(WEB) == "web.example"
    with pytest.raises(PluginFault, match="raised KeyError: 'surprise'"):
        await check.look(Target(name="other"))
    with pytest.raises(PluginFault, match=r"called sys.exit\(3\)"):
        await check.look(Target(name="exit"))
    assert (await check.look(WEB))[0].status is Status.DOWN
    assert (await check.look(Target(name="mine")))[0] == Result.unknown("no program x; install it")


async def test_what_tocsin_lacks_in_a_host_makes_no_target_down(core: Core) -> None:
    """A host without file descriptors says what is lacking; nothing is down for it."""
    core.load("""
        import resource
        @frozen(kw_only=True)
        class Full(Probe):
            async def check(self, target):
                resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))
                open("/etc/hostname").close()
                return Result.up()
        @hookimpl
        def tocsin_probes(): return {"full": Full}
    """)
    from tocsin.core.runtime.shortage import own_shortage

    with pytest.raises(PluginFault, match="Too many open files") as error:
        await PolledCheck(core.make("probe", "full"), core.context()).look(WEB)
    assert (own_shortage(error.value) or "").startswith("tocsin is out of open files")


async def test_a_push_probe_judges(core: Core) -> None:
    """It is given the last heartbeat and the silence since."""
    core.load("""
        @frozen(kw_only=True)
        class Push(PushProbe):
            def judge(self, target, last, silence):
                return Result.up(f"{last.message} {silence:g} {self.period:g}")
        @hookimpl
        def tocsin_probes(): return {"push": Push}
    """)
    probe = core.make("probe", "push", period="1m", key="job")
    assert (probe.key, probe.period) == ("job", 60.0)
    result, wrong = await probe.tocsin_look(WEB, Heartbeat(at=NOW, message="done"), 3.0)
    assert (result.message, wrong) == ("done 3 60", None)


async def test_a_rule_evaluates_history(core: Core) -> None:
    """Its lookback and metrics are known, and it judges a whole history."""
    core.load("""
        @frozen(kw_only=True)
        class Twice(Rule):
            times: int = 2
            inhibits = True
            @property
            def lookback(self): return 60.0 * self.times
            @property
            def looks_at(self): return ("x_seconds",)
            def applies(self, target): return target.name != "other"
            def evaluate(self, history, now):
                seen = [o.result.status.value for o in history.observations]
                return Verdict.firing(f"{seen} {now:%H:%M} {sorted(history.checks)}",
                                      details={"n": len(seen)}, rule_state=history.rule_state)
        @hookimpl
        def tocsin_rules(): return {"twice": Twice}
    """)
    rule = core.make("rule", "twice", times=3)
    assert (rule.lookback, rule.looks_at, rule.inhibits) == (180.0, ("x_seconds",), True)
    seen = Observation(target="web", check="http", at=NOW, result=Result.down("no"))
    history = History(
        target=WEB, latest={"http": seen}, observations=(seen, seen), rule_state={"k": [1]},
        checks=frozenset({"http"}),
    )  # fmt: skip
    verdict, wrong = await rule.tocsin_ask(history, NOW)
    assert verdict.message == "['down', 'down'] 00:00 ['http']"
    assert (verdict.details, verdict.rule_state, wrong) == ({"n": 2}, {"k": [1]}, None)
    other, _ = await rule.tocsin_ask(evolve(history, target=Target(name="other")), NOW)
    assert other.message == "the rule does not apply to it"


@define
class _Controls:
    done: list[tuple[str, str]] = field(factory=list)

    async def acknowledge(self, alert: UUID, by: str) -> str:
        self.done.append((str(alert), by))
        return "acknowledged"

    async def silence(self, alert: UUID, seconds: float, by: str) -> str:
        raise ActionError("there is no such alert", missing=True)

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        return [LogLine(text=f"{target} {lines}", at=NOW)]

    async def restart(self, target: str, by: str) -> str:
        return f"{target} was restarted by {by}"


async def test_a_notifier_sends_and_receives(core: Core) -> None:
    """It gets the message and gives a receipt or one of tocsin's errors; what people do through it
    comes to the core, with answers and refusals."""
    core.load("""
        @frozen(kw_only=True)
        class Two(Notifier):
            min_severity = Severity.CRITICAL
            environment = {"token": Variable("STRANGE_TOKEN")}
            token: Secret
            class Runtime(NotifierRuntime):
                def __init__(self, options): self.options = options
                async def send(self, message):
                    if message.channel == "full":
                        raise NotifyError("slow down", retry_after=7, answered=True)
                    if message.channel == "net": raise ConnectionResetError(104, "reset")
                    if message.channel == "bad": return "sent"
                    text = f"{self.options.token.reveal()} {message.notices[0].message}"
                    return Receipt(answer=text, reference="r1")
                async def listen(self, controls):
                    from uuid import UUID
                    said = [await controls.acknowledge(UUID(int=5), "ann")]
                    said += [line.text for line in await controls.logs("web", 3)]
                    said.append(await controls.restart("web", "bob"))
                    try: await controls.silence(UUID(int=5), 60, "ann")
                    except ActionError as error: said.append(f"{error} {error.missing}")
                    raise NotifyError(" | ".join(said))
            async def open(self, context): return self.Runtime(self)
        @hookimpl
        def tocsin_notifiers(): return {"two": Two}
    """)
    notifier = core.make("notifier", "two", token="hunter2")
    assert notifier.min_severity is Severity.CRITICAL
    assert notifier.environment["token"].name == "STRANGE_TOKEN"
    assert "hunter2" not in repr(notifier)
    assert notifier.tocsin_may_listen
    channel = await notifier.open(core.context("ops"))
    receipt = await channel.send(message_for("ops", NOW))
    assert (receipt.answer, receipt.reference) == (
        "hunter2 This is a test of tocsin. Nothing is wrong.", "r1",
    )  # fmt: skip
    with pytest.raises(NotifyError, match="slow down") as refused:
        await channel.send(message_for("full", NOW))
    assert (refused.value.retry_after, refused.value.answered) == (7, True)
    with pytest.raises(PluginFault, match="reset") as lost:
        await channel.send(message_for("net", NOW))
    assert isinstance(lost.value.__cause__, OSError)
    with pytest.raises(PluginFault, match="returned str from send"):
        await channel.send(message_for("bad", NOW))
    controls = _Controls()
    with pytest.raises(NotifyError) as said:
        await channel.listen(controls)
    assert str(said.value) == (
        "acknowledged | web 3 | web was restarted by bob | there is no such alert True"
    )
    assert controls.done == [(str(UUID(int=5)), "ann")]


@define
class _Sink:
    calls: list[tuple[Any, ...]] = field(factory=list)

    def discovered(self, target: Target, checks: Any = None, claim: Claim | None = None) -> None:
        self.calls.append(("discovered", target, checks, claim))

    def observed(self, target: str, result: Result, at: datetime | None = None) -> None:
        self.calls.append(("observed", target, result, at))

    def happened(self, event: Event) -> None:
        self.calls.append(("happened", event))

    def retired(self, target: str, message: str) -> None:
        self.calls.append(("retired", target, message))

    def synced(self, targets: Collection[str], is_whole: bool = True) -> None:
        self.calls.append(("synced", targets))

    def blame(self, what: str) -> None:
        self.calls.append(("blame", what))

    def impaired(self, message: str) -> None:
        self.calls.append(("impaired", message))


async def test_a_source_reports_and_acts(core: Core) -> None:
    """All that it reports arrives in order, from its loop and from threads; log lines, restart and
    inspect are asked of it while it runs."""
    core.load("""
        @frozen(kw_only=True)
        class Src(Source):
            target_kind = "vm"
            async def run(self, name, interval, sink):
                vm = Target(name="vm1", kind="vm")
                sink.discovered(vm, {"c": {"probe": "tcp"}}, Claim(also=("v",)))
                sink.observed("vm1", Result.up(f"{name} {interval}"))
                now = datetime(2026, 5, 1).astimezone()
                event = Event(target="vm1", source=name, action="start", at=now)
                await asyncio.to_thread(sink.happened, event)
                sink.synced({"vm1"})
                sink.retired("vm0", "was removed")
                sink.impaired("no answer")
                await asyncio.sleep(3600)
            async def logs(self, target, lines): return [LogLine(text=f"{target} says {lines}")]
            async def restart(self, target): raise ActionError("it is not ours", missing=True)
            async def inspect(self, target): return {"cpus": 2, "name": target}
        @hookimpl
        def tocsin_sources(): return {"src": Src}
    """)
    source = core.make("source", "src", interval="5s")
    assert (source.target_kind, source.interval) == ("vm", 5.0)
    assert actions_of(type(source)) == {"logs", "restart", "inspect"}
    watch = await source.open(core.context("lab"))
    sink = _Sink()
    running = asyncio.create_task(watch.run("lab", 5.0, sink))
    await eventually(lambda: len(sink.calls) == 6)
    assert [call[0] for call in sink.calls] == [
        "discovered", "observed", "happened", "synced", "retired", "impaired",
    ]  # fmt: skip
    assert sink.calls[0][1:3] == (Target(name="vm1", kind="vm"), {"c": {"probe": "tcp"}})
    assert sink.calls[0][3] == Claim(also=("v",))
    assert sink.calls[1][2].message == "lab 5.0"
    assert await watch.logs("vm1", 7) == [LogLine(text="vm1 says 7")]
    assert await watch.inspect("vm1") == {"cpus": 2, "name": "vm1"}
    with pytest.raises(ActionError, match="it is not ours") as refused:
        await watch.restart("vm1")
    assert refused.value.missing
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_an_observer_gets_changes(core: Core) -> None:
    """Each change arrives whole; an error is its fault."""
    core.load("""
        @frozen(kw_only=True)
        class Obs(Observer):
            file: str
            async def changed(self, change):
                if change.kind == "closed": raise RuntimeError("no")
                with open(self.file, "a") as file: file.write(f"{change.rule} {change.severity}\\n")
        @hookimpl
        def tocsin_observers(): return {"obs": Obs}
    """)
    written = core.data_dir / "changes"
    observing = await core.make("observer", "obs", file=str(written)).open(core.context("obs"))
    change = AlertChange(
        id=new_id(), alert=new_id(), kind="fired", rule="down", target="web",
        severity=Severity.CRITICAL, message="is down", at=NOW,
    )  # fmt: skip
    await observing.changed(change)
    assert written.read_text() == "down critical\n"
    with pytest.raises(PluginFault, match="raised RuntimeError: no"):
        await observing.changed(evolve(change, kind="closed"))


async def test_a_service_runs_until_it_is_cancelled(core: Core, tmp_path: Path) -> None:
    """It gets its context; its URL is known without asking it; it ends when it is cancelled, and
    its error keeps its meaning."""
    core.load("""
        @frozen(kw_only=True)
        class Web(Service):
            port: int = 80
            def url(self): return f"http://localhost:{self.port}"
            async def run(self, context):
                if self.port == 81: raise ServiceError("install it", permanent=True)
                started = context.directory / "started"
                await context.storage.put("a/1", 1)
                keys = await context.storage.keys("a/")
                started.write_text(f"{context.api_url} {context.name} {keys}")
                try: await asyncio.sleep(3600)
                finally: started.unlink()
        @hookimpl
        def tocsin_services(): return {"web": Web}
    """)
    service = core.make("service", "web", port=8080)
    assert service.url() == "http://localhost:8080"
    context = ServiceContext(
        api_url="http://api", directory=tmp_path, token_file=tmp_path / "t",
        context=core.context("web"),
    )  # fmt: skip
    running = asyncio.create_task(service.run(context))
    await eventually(lambda: (tmp_path / "started").exists())
    assert (tmp_path / "started").read_text() == "http://api web ['a/1']"
    running.cancel()
    await eventually(lambda: not (tmp_path / "started").exists())
    with pytest.raises(ServiceError, match="install it") as refused:
        await core.make("service", "web", port=81).run(context)
    assert refused.value.permanent


ROUTES = """
    routes = Routes()
    @frozen
    class Page:
        limit: int = 10
    @frozen
    class Item:
        name: str
        size: int
    @frozen
    class Made:
        text: str
    @routes.get("items/{id}")
    async def item(request: Request, query: Page) -> Made:
        '''Return an item.'''
        if request.path["id"] == "0": raise ActionError("there is no item 0", missing=True)
        return Made(f"{request.path['id']} {query.limit} {request.actor}")
    @routes.post("items", role=Role.OPERATOR)
    async def make(request: Request, body: Item) -> Made:
        '''Make an item.'''
        return Made(f"{body.name} {body.size}")
    @routes.get("ticks", media="text/plain")
    async def ticks(request: Request):
        '''Tick.'''
        for number in range(2000):
            yield f"{number} " + "x" * 1000
    @hookimpl
    def tocsin_routes(): return routes.routes
"""


async def test_routes_answer_as_they_do_in_the_core(core: Core) -> None:
    """Query and body are decoded in the host by the plugin's own types; what does not fit is
    refused with the sentence that the core would have used."""
    core.load(ROUTES)
    (item, make, _) = (cast("HostedRoute", route) for _, route in core.manager.routes)
    assert [route.path for _, route in core.manager.routes] == [
        "/api/v1/plugins/strange/items/{id}", "/api/v1/plugins/strange/items",
        "/api/v1/plugins/strange/ticks",
    ]  # fmt: skip
    assert (item.role, make.role, item.summary) == (Role.VIEWER, Role.OPERATOR, "Return an item")
    asked = Request(actor="ann", role=Role.VIEWER, path={"id": "7"})
    assert (await item.ask(asked, {"limit": "3"}, None)).body == b'{"text":"7 3 ann"}'
    wrong = await item.ask(asked, {"limit": "x"}, None)
    assert (wrong.status, wrong.text) == (
        422, "a query parameter is wrong: limit: expected `int`, got `str`",
    )  # fmt: skip
    with pytest.raises(ActionError, match="there is no item 0"):
        await item.ask(Request(actor="ann", role=Role.VIEWER, path={"id": "0"}), {}, None)
    assert (await make.ask(asked, {}, {"name": "a", "size": 2})).body == b'{"text":"a 2"}'
    wrong = await make.ask(asked, {}, {"name": "a"})
    assert (wrong.status, wrong.text) == (
        422, "the body is wrong: object missing required field `size`",
    )  # fmt: skip


async def test_the_openapi_document_has_the_routes_of_hosts(core: Core) -> None:
    """It describes them as it does those of the core's own process."""
    from tocsin.core.config.settings import PluginSettings
    from tocsin.core.http.openapi import document
    from tocsin.core.plugin.manager import PluginManager

    core.load(ROUTES)
    remote = document([], core.manager.routes, "1", core.manager.route_documents)
    inline = PluginManager(PluginSettings(inline=("strange",)), core.manager._discover)
    inline.load()
    assert len(inline.routes) == 3
    assert "strange" not in inline.hosts
    assert remote == document([], inline.routes, "1", inline.route_documents)


async def test_a_stream_flows_no_faster_than_it_is_read(core: Core) -> None:
    """All chunks arrive in order; the host waits while they are not read; a reader who leaves ends
    the generator."""
    core.load(ROUTES)
    ticks = cast("HostedRoute", core.manager.routes[2][1])
    asked = Request(actor="ann", role=Role.VIEWER)
    read: list[bytes | Answered] = []
    stream = ticks.stream(asked, {}, None)
    async with aclosing(stream) as chunks:
        async for chunk in chunks:
            read.append(chunk)
            if len(read) == 1:  # everything that the host may send has come meanwhile
                peer = core.host.peer
                assert peer is not None
                before = -1.0
                while before != peer.heard_at:
                    before = peer.heard_at
                    await asyncio.sleep(0.2)
                (take,) = core.host.calls.streams.values()
                waiting = cast("Any", take).__self__.qsize()
                assert 100 < waiting < 300
    assert len(read) == 2000
    assert cast("bytes", read[1999]).startswith(b"1999 ")
    left = ticks.stream(asked, {}, None)
    async with aclosing(left) as chunks:
        async for _ in chunks:
            break
    peer = core.host.peer
    assert peer is not None
    await eventually(lambda: not peer.is_busy)
    assert not core.host.calls.streams


async def test_a_context_reaches_the_core(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    """Log, stored values, secrets, events and directory are those of the core; threads and session
    the host's own."""
    core.env["STRANGE_KEY"] = "open sesame"
    core.load(
        """
        @frozen(kw_only=True)
        class Ctx(Probe):
            class Runtime(ProbeRuntime):
                def __init__(self, context): self.context = context
                async def check(self, target):
                    c = self.context
                    c.log.warning("the server is slow", seconds=3)
                    runs = (await c.storage.get("runs") or 0) + 1
                    await c.storage.put("runs", runs)
                    try: await c.storage.put("k" * 300, 1)
                    except ValueError as error: refused = str(error)
                    secret = await c.secret("STRANGE_KEY")
                    nothing = await c.secret("STRANGE_NOTHING")
                    await c.emit(Event(target="web", source="x", action="y", at=c.clock.now()))
                    thread = await c.in_thread(threading.current_thread)
                    (c.directory / "note").write_text("x")
                    said = [runs, secret.reveal(), nothing, thread is not threading.main_thread(),
                            type(c.http).__name__, c.plugin, c.name, refused,
                            os.environ.get("STRANGE_KEY")]
                    return Result.up(" | ".join(map(str, said)))
            async def open(self, context): return self.Runtime(context)
        @hookimpl
        def tocsin_probes(): return {"ctx": Ctx}
    """
    )
    events: list[Event] = []
    lines: list[tuple[str, dict[str, Any]]] = []

    class Sink:
        def happened(self, event: Event) -> None:
            events.append(event)

    class Log:
        def bind(self, **_: object) -> Log:
            return self

        def warning(self, event: str, **facts: Any) -> None:
            lines.append((event, facts))

    monkeypatch.setattr("tocsin.core.plugin.contexts.get_logger", lambda _: Log())
    core.isolation.contexts.events = Sink()
    check = PolledCheck(core.make("probe", "ctx"), core.context())
    await check.look(WEB)
    result, _ = await check.look(WEB)
    assert result.message.startswith(
        "2 | open sesame | None | True | ClientSession | strange | web/http | "
    ), result.message
    assert "200 characters" in result.message
    assert result.message.endswith("| None")
    assert [event.action for event in events] == ["y", "y"]
    assert lines[0] == ("the server is slow", {"seconds": 3})
    assert (core.data_dir / "plugins" / "strange" / "note").read_text() == "x"


async def test_commands_run_in_the_callers_process(core: Core) -> None:
    """Listing them imports nothing; calling one imports its plugin."""
    import sys

    from click.testing import CliRunner

    from tocsin.core.hosts.catalog import HostedCommand

    core.load("""
        import click
        @click.command(help="Greet somebody.")
        @click.argument("name")
        def greet(name): click.echo(f"hello {name}")
        @hookimpl
        def tocsin_commands(): return [greet]
    """)
    (command,) = core.manager.commands
    assert (command.name, command.help) == ("greet", "Greet somebody.")
    assert "tocsin_strange" not in sys.modules
    assert isinstance(command, HostedCommand)
    assert CliRunner().invoke(command.loaded(), ["ann"]).output == "hello ann\n"


async def test_panels_and_templates_come_with_what_a_plugin_offers(core: Core) -> None:
    """They are plain data, known without asking the host again."""
    core.load("""
        @frozen(kw_only=True)
        class Odd(Rule):
            templates = {"odd": "It is odd: {{ target }}"}
            autostart = {"odd": {"severity": "warning"}}
            def evaluate(self, history, now): return Verdict.clear()
        @frozen(kw_only=True)
        class Any(Probe):
            async def check(self, target): return Result.up()
        @hookimpl
        def tocsin_rules(): return {"odd": Odd}
        @hookimpl
        def tocsin_probes(): return {"any": Any}
        @hookimpl
        def tocsin_panels():
            curve = PanelCurve(metric="x_seconds", label="x")
            return [Panel(name="p", title="X", charts=(PanelChart(title="X", curves=(curve,)),))]
    """)
    rule = core.manager.rules["odd"].cls
    assert rule.templates == {"odd": "It is odd: {{ target }}"}
    assert rule.autostart == {"odd": {"severity": "warning"}}
    ((plugin, panel),) = core.manager.panels
    assert (plugin, panel.title, panel.probes) == ("strange", "X", ("any",))
    assert panel.charts[0].curves[0].metric == "x_seconds"


async def test_a_reviewer_reviews(core: Core) -> None:
    """It gets the result, and what it says about it comes back."""
    core.load("""
        @frozen(kw_only=True)
        class Rev(Reviewer):
            section = "weather"
            word: str = "storm"
            async def review(self, request):
                if request.target.name != "web": return None
                return f"{self.word} near {request.hosts[0]}: {request.result.message}"
        @hookimpl
        def tocsin_reviewers(): return {"rev": Rev}
    """)
    reviewer = core.make("reviewer", "rev", word="hail")
    assert reviewer.section == "weather"
    reviewing = await reviewer.open(core.context("rev"))
    asked = ReviewRequest(
        target=WEB, check="http", result=Result.down("no answer"), hosts=("shop.example",)
    )
    assert await reviewing.review(asked) == "hail near shop.example: no answer"
    assert await reviewing.review(evolve(asked, target=Target(name="db"))) is None


async def test_a_check_of_the_installation_runs_in_the_host(core: Core) -> None:
    """It gets what is configured of its plugin as its own objects, and its findings come back."""
    core.load("""
        @frozen(kw_only=True)
        class Mail(Notifier):
            server: str
            async def send(self, message): return Receipt()
        @hookimpl
        def tocsin_notifiers(): return {"mail": Mail}
        async def look(context, installation):
            '''Look at the servers.'''
            return [Finding.problem(f"{name} {mail.server}", "start it", subject=context.name)
                    for name, mail in installation.parts_of(Mail).items()]
        @hookimpl
        def tocsin_doctor(): return [DoctorCheck(name="mail", handler=look)]
    """)
    ((plugin, check),) = core.manager.doctor_checks
    mail = core.make("notifier", "mail", server="mx.example")
    installation = Installation(data_dir=core.data_dir, parts=(("ops", mail),))
    found = await check.handler(core.context("mail"), installation)
    assert (plugin, list(found)) == (
        "strange", [Finding.problem("ops mx.example", "start it", subject="mail")],
    )  # fmt: skip


async def test_a_route_reads_the_running_tocsin(core: Core) -> None:
    """Each read of its view is answered by the core, targets in portions; after the request it is
    over."""
    core.load("""
        routes = Routes()
        kept = []
        @routes.get("count")
        async def count(request: Request, view: SystemView) -> dict[str, int]:
            '''Count.'''
            kept.append(view)
            found = {"targets": len([t async for t in view.targets()])}
            found["again"] = len([t async for t in view.targets()])
            found["alerts"] = len(await view.alerts())
            found["runs"] = (await view.statistics()).runs
            return found
        @routes.get("late")
        async def late(request: Request) -> str:
            '''Ask too late.'''
            await kept[0].alerts()
            return ""
        @hookimpl
        def tocsin_routes(): return routes.routes
    """)
    count, late = (cast("HostedRoute", route) for _, route in core.manager.routes)
    assert (count.wants_view, late.wants_view) == (True, False)
    system = FixedSystem(
        targets=[TargetSnapshot(target=Target(name=f"t{n}")) for n in range(250)],
    )
    asked = Request(actor="ann", role=Role.VIEWER)
    answer = await count.ask(asked, {}, None, system)
    assert answer.body == b'{"targets":250,"again":250,"alerts":0,"runs":0}'
    with pytest.raises(PluginFault, match="after its end"):
        await late.ask(asked, {}, None)


async def test_a_runtime_reports_trouble(core: Core) -> None:
    """What it reports is part of tocsin's health."""
    core.load("""
        @frozen(kw_only=True)
        class Sad(Probe):
            class Runtime(ProbeRuntime):
                def __init__(self, context): self.context = context
                async def check(self, target):
                    await self.context.clock.sleep(0)
                    await self.context.report_trouble(f"cannot see {target.name}")
                    return Result.up()
            async def open(self, context): return self.Runtime(context)
        @hookimpl
        def tocsin_probes(): return {"sad": Sad}
    """)
    check = PolledCheck(core.make("probe", "sad"), core.context())
    await check.look(WEB)
    (health,) = core.isolation.contexts.health().values()
    assert health.message == "cannot see web"


async def test_a_history_is_refused_with_the_remedy(core: Core) -> None:
    """It runs in tocsin's own process only."""
    core.load("""
        from tocsin.history import HistoryRuntime, HistoryStore
        @frozen(kw_only=True)
        class Store(HistoryStore):
            async def open(self, context): raise NotImplementedError
            async def open_reader(self, *arguments): raise NotImplementedError
            def place(self): return "nowhere"
        @hookimpl
        def tocsin_histories(): return {"store": Store}
    """)
    assert core.record().status == "failed"
    assert "name the plugin in [plugins] inline" in (core.record().reason or "")


async def test_names_of_options_are_the_plugins_own(core: Core) -> None:
    """Options may have names that the proxies use in other places."""
    core.load("""
        @frozen(kw_only=True)
        class Odd(Probe):
            remote: str
            hosting: bool = True
            ask: bool = False
            look: int = 1
            async def check(self, target):
                return Result.up(f"{self.remote} {self.hosting} {self.ask} {self.look}")
        @hookimpl
        def tocsin_probes(): return {"odd": Odd}
    """)
    probe, again = (core.make("probe", "odd", remote="r", ask=True) for _ in range(2))
    assert probe == again
    assert (await PolledCheck(probe, core.context()).look(WEB))[0].message == "r True True 1"


async def test_options_arrive_as_they_were_given(core: Core) -> None:
    """Times stay times, and defaults of nested tables are the plugin's own."""
    core.load("""
        @frozen
        class Inner:
            a: str
            b: str = field()
            @b.default
            def _b(self): return self.a * 2
        @frozen(kw_only=True)
        class Odd(Probe):
            any: dict[str, Any] = field(factory=dict)
            inner: Inner | None = None
            async def check(self, target):
                when = self.any["when"]
                return Result.up(f"{type(when).__name__} {when:%Y} {self.inner.b}")
        @hookimpl
        def tocsin_probes(): return {"odd": Odd}
    """)
    probe = core.make(
        "probe", "odd", any={"when": datetime(2026, 5, 1)}, inner={"a": "x"},
    )  # fmt: skip
    assert (await PolledCheck(probe, core.context()).look(WEB))[0].message == "datetime 2026 xx"


async def test_secrets_that_a_plugin_logs_or_returns_stay_hidden(core: Core) -> None:
    """Asterisks come over the connection in their place."""
    core.env["STRANGE_KEY"] = "correct horse"
    core.load("""
        @frozen(kw_only=True)
        class Odd(Probe):
            class Runtime(ProbeRuntime):
                def __init__(self, context): self.context = context
                async def check(self, target):
                    key = await self.context.secret("STRANGE_KEY")
                    self.context.log.warning("used it", key=key, nested={"a": [key]})
                    await self.context.storage.put("key", key)
                    return Result.up(attributes={"key": key, "kept": await self.context.storage.get("key")})
            async def open(self, context): return self.Runtime(context)
        @hookimpl
        def tocsin_probes(): return {"odd": Odd}
    """)  # noqa: E501
    lines: list[dict[str, Any]] = []
    check = PolledCheck(core.make("probe", "odd"), core.context())
    await check.open()
    calls = core.host.calls
    (number,) = calls.contexts

    class Log:
        def warning(self, event: str, **facts: Any) -> None:
            lines.append(facts)

    class Context:
        log = Log()

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    real = calls.contexts[number]
    calls.contexts[number] = cast("Any", Context())
    result, _ = await check.look(WEB)
    assert lines == [{"key": "***", "nested": {"a": ["***"]}}]
    assert result.attributes == {"key": "***", "kept": "correct horse"}


async def test_a_wrong_argument_costs_one_call(core: Core) -> None:
    """It is refused as in the core; half a character and large numbers are sent as near as they can
    be."""
    core.load("""
        @frozen(kw_only=True)
        class Odd(Probe):
            class Runtime(ProbeRuntime):
                def __init__(self, context): self.context = context
                async def check(self, target):
                    try: await self.context.storage.put(5, 1)
                    except ValueError as error: text = "refused"
                    self.context.log.warning("half \\udcff", path="a\\udcff", many=2**80)
                    return Result.up(text + " \\udcff", attributes={"n": 2**70})
            async def open(self, context): return self.Runtime(context)
        @hookimpl
        def tocsin_probes(): return {"odd": Odd}
    """)
    result, _ = await PolledCheck(core.make("probe", "odd"), core.context()).look(WEB)
    assert result.message == "refused ?"
