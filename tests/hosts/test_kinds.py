"""Every kind of plugin works in a host as it does in the core."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
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
    Heartbeat,
    History,
    LogLine,
    NotifyError,
    Observation,
    Result,
    ServiceContext,
    ServiceError,
    Severity,
    Status,
    Target,
)
from tocsin.core.checks.polled_check import PolledCheck
from tocsin.core.contracts.message import test_message as message_for
from tocsin.core.contracts.source import actions_of
from tocsin.core.ids import new_id
from tocsin.core.plugin.sandbox import PluginFault

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
