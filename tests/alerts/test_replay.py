"""A replay over stored results, by itself: waits and hysteresis fall where they would have."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from attrs import frozen
from click.testing import CliRunner

from tests.alerting.conftest import catalog
from tests.conftest import in_a_loop
from tests.store.helpers import fill, make
from tocsin import History, Observation, Result, Rule, Status, Verdict, hookimpl
from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.model import Moment, Transition
from tocsin.core.cli.main import cli as commands
from tocsin.core.clock import SystemClock
from tocsin.core.config import load_config
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.monitor.replay import ACTIONS, Episode, Replay
from tocsin.core.plugin.manager import PluginManager
from tocsin.plugins.history.store import Store
from tocsin.testing import SettableClock

START = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)

QUEUE = """
[rules.queue_long]
rule = "thresholds"
metric = "value"
level = {level}
clear = 50
for = "45s"
"""


async def replayed(directory: Path, values: list[float], level: int = 100) -> list[Episode]:
    """What the rule would have raised over values half a minute apart."""
    path = directory / "tocsin.toml"
    path.write_text(QUEUE.format(level=level))
    replay = Replay(load_config(path, {"TOCSIN_DATA_DIR": str(directory)}, catalog()))
    past = [
        Observation(
            at=START + timedelta(seconds=30 * n), target="queue", check="c",
            result=Result.up(metrics={"value": value}),
        )
        for n, value in enumerate(values)
    ]  # fmt: skip

    async def pages() -> AsyncIterator[list[Observation]]:
        for n in range(0, len(past), 3):
            yield past[n : n + 3]

    async for _ in replay.run(pages()):
        pass
    return replay.finish()


async def test_a_wait_ends_between_two_results_and_an_alert_at_its_own_level(
    tmp_path: Path,
) -> None:
    """Beyond the level for the wait it fires when the wait is over, not at the next result; between
    level and clear it goes on; what is beyond for less than the wait never was."""
    values = [10.0, 120, 10, 120, 120, 120, 80, 60, 40, 10]
    (episode,) = await replayed(tmp_path, values)
    assert (episode.rule, episode.target) == ("queue_long", "queue")
    assert episode.fired_at == START + timedelta(seconds=90 + 45)
    assert episode.resolved_at == START + timedelta(seconds=240)


async def test_another_level_raises_something_else(tmp_path: Path) -> None:
    """A higher level raises nothing; a lower one fires sooner; what still fires has no end."""
    values = [10.0, 80, 120, 120, 120]
    assert await replayed(tmp_path, values, 500) == []
    (episode,) = await replayed(tmp_path, values, 70)
    assert episode.fired_at == START + timedelta(seconds=30 + 45)
    assert episode.resolved_at is None


def in_a_row(minutes: int) -> list[Observation]:
    """Twenty targets, each asked twice a minute; all are down for the first half."""
    return [
        Observation(
            at=START + timedelta(seconds=30 * n, milliseconds=k), target=f"t{k}", check="c",
            result=Result(status=Status.DOWN if n < minutes else Status.UP),
        )
        for n in range(minutes * 2)
        for k in range(20)
    ]  # fmt: skip


async def test_alerts_that_others_explain_take_no_time_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty targets that fail together, nineteen of them because of the first, are gone through
    in steps of their results: not second by second, and not from the beginning of the epoch. How
    far it has come is told before the end of an hour's results."""
    tables = (f'[targets.t{n}]\nkind = "service"\ndepends_on = ["t0"]\n' for n in range(1, 20))
    path = tmp_path / "tocsin.toml"
    path.write_text('[targets.t0]\nkind = "service"\n' + "".join(tables))
    manager = PluginManager(PluginSettings())
    manager.load()
    replay = Replay(load_config(path, {"TOCSIN_DATA_DIR": str(tmp_path)}, manager))
    past, ticks = in_a_row(13), 0
    tick = Engine.tick

    def counted(engine: Engine, now: Moment) -> list[Transition]:
        nonlocal ticks
        ticks += 1
        assert ticks < 10 * len(past), "it goes on and on"
        return tick(engine, now)

    monkeypatch.setattr(Engine, "tick", counted)
    monkeypatch.setattr("tocsin.core.monitor.replay.PART", 100)

    async def pages() -> AsyncIterator[list[Observation]]:
        yield past

    told = [at async for at in replay.run(pages())]
    assert len(told) == len(past) // 100 + 1
    assert told == sorted(told)
    episodes = replay.finish()
    assert {e.target for e in episodes} == {f"t{n}" for n in range(20)}
    assert all(e.resolved_at is not None for e in episodes)


async def test_a_rule_that_wants_to_be_asked_at_once_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time goes on by a millisecond at least, whatever a rule wishes."""
    asked = iter(range(1000))

    def due(engine: Engine, *, looking: bool = True) -> float | None:
        return 0.0 if next(asked, None) is not None else None

    monkeypatch.setattr(Engine, "next_due", due)
    seen: list[float] = []

    def tick(engine: Engine, now: Moment) -> list[Transition]:
        seen.append(now.steady)
        return []

    monkeypatch.setattr(Engine, "tick", tick)
    await replayed(tmp_path, [10.0, 20.0])
    assert len(seen) > 1000
    assert all(b - a > 0.0009 for a, b in pairwise(seen[:1000]))


def test_how_far_it_has_come_is_told_where_no_terminal_is(
    tmp_path: Path, database: str, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay into a pipe says now and then how far it is, on standard error."""
    monkeypatch.setattr("tocsin.core.cli.replay.TELL_EVERY", 0.0)
    monkeypatch.setattr("tocsin.core.cli.replay._now", clock.now)
    monkeypatch.chdir(tmp_path)

    async def fill_it() -> None:
        store = make(database, tmp_path, clock)
        await store.flush()
        await fill(store, clock, 90)

    in_a_loop(fill_it)
    env = {"DATABASE_URL": database, "TOCSIN_DATA_DIR": str(tmp_path / "data")}
    done = CliRunner().invoke(commands, ["replay", "--since", "2h", "--json"], env=env)
    assert done.exit_code == 0, done.output
    told = [line for line in done.stderr.splitlines() if line.startswith("replaying: ")]
    assert told[-1] == "replaying: 100 %"
    assert len(told) >= 2
    assert json.loads(done.stdout)["results"] == 360


@frozen(kw_only=True)
class Slow(Rule):
    """The guide's own."""

    def evaluate(self, history: History, now: datetime) -> Verdict:
        slow = [o for o in history.latest.values() if (o.result.latency or 0) > 1]
        return Verdict.firing(f"{slow[0].check} is slow") if slow else Verdict.clear()


async def test_a_replay_knows_how_long_a_check_took(database: str, tmp_path: Path) -> None:
    """What history has as latency is a result's latency: a rule that goes by it fires."""
    store = Store(database, tmp_path / "spool", clock=SystemClock())
    await store.start()
    now = datetime.now(UTC) - timedelta(minutes=5)
    for number, seconds in enumerate((0.1, 2.5, 2.5)):
        result = Result.up("ok", latency=seconds)
        at = now + timedelta(seconds=number)
        store.add(Observation(target="web", check="http", at=at, result=result))
    await store.flush()

    class Plugin:
        @hookimpl
        def tocsin_rules(self) -> dict[str, type[Rule]]:
            return {"slow": Slow}

    plugins = catalog()
    plugins.add("slow", Plugin, "tests", "0")
    path = tmp_path / "tocsin.toml"
    path.write_text('[rules.too_slow]\nrule = "slow"\n')
    replay = Replay(load_config(path, {"TOCSIN_DATA_DIR": str(tmp_path)}, plugins))
    past = store.past(now - timedelta(minutes=1), now + timedelta(minutes=1), ACTIONS)
    async for _ in replay.run(past):
        pass
    await store.close()
    (episode,) = replay.finish()
    assert (episode.rule, episode.message) == ("too_slow", "http is slow")
    assert episode.fired_at == now + timedelta(seconds=1)
