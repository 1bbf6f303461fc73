"""Plugins in a host: commands, panels, templates, reviewers, checks of the machine, contexts."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from tests.hosts.conftest import Core
from tocsin import Event, Finding, Installation, Result, ReviewRequest, Target
from tocsin.core.checks.polled_check import PolledCheck

WEB = Target(name="web", labels={"team": "shop"})


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
