"""Options of plugins in a host, their secrets, and arguments of the wrong type."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from tests.hosts.conftest import Core
from tocsin import Target
from tocsin.core.checks.polled_check import PolledCheck
from tocsin.core.config.construct import construct
from tocsin.core.config.errors import Problems

WEB = Target(name="web", labels={"team": "shop"})


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


async def test_every_refused_option_is_reported_at_once(core: Core) -> None:
    """What only the plugin's validators refuse is reported beside an unknown option, which the core
    refuses without it."""
    core.load("""
        def positive(instance, attribute, value):
            if value < 1: raise ValueError("must be at least 1")
        @frozen(kw_only=True)
        class Odd(Probe):
            host: str
            size: int = field(default=1, validator=positive)
            pattern: str = field(default=".", validator=check_pattern)
            async def check(self, target): return Result.up()
        @hookimpl
        def tocsin_probes(): return {"odd": Odd}
    """)
    problems = Problems("tocsin.toml")
    cls = core.manager.probes["odd"].cls
    options = {"size": 0, "pattern": "(a", "hostt": "x"}
    made, broken = construct(cls, options, ("checks", "odd"), problems, also=("probe",))
    assert (made, broken) == (None, None)
    assert {problem.path: problem.message for problem in problems.found} == {
        "checks.odd.host": "must be given",
        "checks.odd.hostt": "there is no such option; did you mean 'host'?",
        "checks.odd.size": "must be at least 1",
        "checks.odd.pattern": "pattern = '(a' is not a regular expression: missing ) at position 2",
    }
