"""A replay asks rules of plugins in hosts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from tests.conftest import in_a_loop
from tests.hosts.conftest import Core, only
from tests.hosts.installed import install
from tests.store.helpers import fill, make
from tocsin import Event, Observation, Result
from tocsin.core.cli.main import cli as commands
from tocsin.core.config import load_config
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.monitor.replay import Episode, Replay
from tocsin.core.plugin.manager import PluginManager
from tocsin.testing import SettableClock

START = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)

RULES = """
    from attrs import evolve
    @frozen(kw_only=True)
    class High(Rule):
        level: float = 100
        lookback = 300.0
        def applies(self, target): return target.name != "spared"
        def evaluate(self, history, now):
            runs = (history.rule_state or {}).get("runs", 0) + 1
            value = history.observations[-1].result.metrics["value"]
            if value < self.level: return Verdict.clear(rule_state={"runs": runs})
            starts = len([e for e in history.events if e.action == "start"])
            seen = len(history.observations)
            return Verdict.firing(f"{value:g} at {now:%H:%M:%S}, {seen} seen, {starts} starts",
                                  rule_state={"runs": runs})
    @frozen(kw_only=True)
    class Stale(Rule):
        def evaluate(self, history, now):
            age = (now - history.latest["c"].at).total_seconds()
            verdict = Verdict.firing(f"{age:g} s old") if age >= 20 else Verdict.clear()
            return evolve(verdict, recheck_after=20)
    @frozen(kw_only=True)
    class Bad(Rule):
        def evaluate(self, history, now): raise KeyError("surprise")
    @frozen(kw_only=True)
    class Stuck(Rule):
        def evaluate(self, history, now): time.sleep(3600)
    @hookimpl
    def tocsin_rules(): return {"high": High, "stale": Stale, "bad": Bad, "stuck": Stuck}
"""

CONFIG = """
[rules.too_high]
rule = "high"
for = "45s"
[rules.very_high]
rule = "high"
level = 130
[rules.old]
rule = "stale"
targets = ["queue"]
"""


def past() -> list[Observation | Event]:
    """Results of three targets half a minute apart, and an event."""
    values = [10.0, 120, 10, 120, 120, 140, 80, 140, 60, 10, 150]
    items: list[Observation | Event] = [
        Observation(
            at=START + timedelta(seconds=30 * n, milliseconds=k), target=target, check="c",
            result=Result.up(metrics={"value": value}),
        )
        for n, value in enumerate(values)
        for k, target in enumerate(("queue", "mail", "spared"))
    ]  # fmt: skip
    at = START + timedelta(seconds=100)
    items.append(Event(target="queue", source="docker", action="start", at=at))
    return sorted(items, key=lambda item: item.at)


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that has ended may still wait for its parent."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def replayed(directory: Path, plugins: PluginManager, config: str = CONFIG) -> Replay:
    """Return a replay of the past that has ended."""
    path = directory / "tocsin.toml"
    path.write_text(config)
    replay = Replay(load_config(path, {"TOCSIN_DATA_DIR": str(directory)}, plugins))

    async def pages() -> AsyncIterator[list[Observation | Event]]:
        yield past()

    async for _ in replay.run(pages()):
        pass
    return replay


async def test_a_rule_in_a_host_raises_what_it_raises_inline(core: Core, tmp_path: Path) -> None:
    """The same history gives the same episodes, each time: lookback, events, state, rechecks
    between results, waits and ``applies`` count in a host as in the core's own process."""
    core.load(RULES)
    inline = PluginManager(PluginSettings(inline=("strange",)), only(core.site))
    inline.load()
    assert "strange" not in inline.hosts

    async def episodes(plugins: PluginManager) -> list[Episode]:
        replay = await replayed(tmp_path, plugins)
        assert replay.failures == {}
        return replay.finish()

    expected = await episodes(inline)
    assert {(e.rule, e.target) for e in expected} == {
        ("too_high", "queue"), ("too_high", "mail"), ("very_high", "queue"), ("very_high", "mail"),
        ("old", "queue"),
    }  # fmt: skip
    assert any("1 starts" in e.message for e in expected)
    assert any(e.fired_at == START + timedelta(seconds=20) for e in expected)
    assert await episodes(core.manager) == expected
    assert await episodes(core.manager) == expected


@pytest.mark.parametrize(
    ("rule", "reason"),
    [("bad", "raised KeyError: 'surprise'"), ("stuck", "did not end within 0.2 s")],
)
async def test_a_rule_that_fails_in_a_host_is_named(
    core: Core, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str, reason: str
) -> None:
    """A replay says which rule failed and why, raises nothing for it, and does not wait again for
    a plugin that did not answer."""
    monkeypatch.setattr("tocsin.core.monitor.replay.DEADLINE", 0.2 if rule == "stuck" else 5.0)
    core.load(RULES)
    replay = await replayed(tmp_path, core.manager, f'[rules.odd]\nrule = "{rule}"\n')
    assert replay.failures == {"strange": f"rule odd {reason}"}
    assert replay.finish() == []
    assert replay.results == 33


def test_the_command_replay_starts_the_hosts_that_it_needs(
    site: Path,
    tmp_path: Path,
    database: str,
    clock: SettableClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``tocsin replay`` shows the alerts of a third-party rule and, on standard error, the rule
    that failed; afterwards no host runs."""
    monkeypatch.setattr("tocsin.core.cli.replay._now", clock.now)
    monkeypatch.chdir(tmp_path)
    pids = tmp_path / "pids"
    install(site, f"""
        @frozen(kw_only=True)
        class Any(Rule):
            def evaluate(self, history, now):
                with open({str(pids)!r}, "w") as file: file.write(str(os.getpid()))
                return Verdict.firing("seen")
        @frozen(kw_only=True)
        class Bad(Rule):
            def evaluate(self, history, now): raise KeyError("surprise")
        @hookimpl
        def tocsin_rules(): return {{"any": Any, "bad": Bad}}
    """)  # fmt: skip

    async def fill_it() -> None:
        store = make(database, tmp_path, clock)
        await store.flush()
        await fill(store, clock, 30)

    in_a_loop(fill_it)
    (tmp_path / "tocsin.toml").write_text(
        '[rules.everything]\nrule = "any"\n[rules.broken]\nrule = "bad"\n'
    )
    env = {"DATABASE_URL": database, "TOCSIN_DATA_DIR": str(tmp_path / "data")}
    arguments = ["--config", "tocsin.toml", "replay", "--since", "2h", "--json"]
    done = CliRunner().invoke(commands, arguments, env=env)
    assert done.exit_code == 0, done.output
    assert "everything" in {alert["rule"] for alert in json.loads(done.stdout)["alerts"]}
    assert (
        "plugin strange: rule broken raised KeyError: 'surprise'; its alerts may be missing"
        in done.stderr
    )
    assert not is_running(int(pids.read_text()))
