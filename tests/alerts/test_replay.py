"""A replay over stored results, by itself: waits and hysteresis fall where they would have."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from attrs import frozen

from tests.alerting.conftest import catalog
from tocsin import History, Observation, Result, Rule, Verdict, hookimpl
from tocsin.core.clock import SystemClock
from tocsin.core.config import load_config
from tocsin.core.replay import Episode, Replay
from tocsin.core.store import Store
from tocsin.core.store.alerts import PastResult

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
        PastResult(
            at=START + timedelta(seconds=30 * n), target="queue", check="c", status=0, message="",
            metrics={"value": value},
        )
        for n, value in enumerate(values)
    ]  # fmt: skip

    async def pages() -> AsyncIterator[list[PastResult]]:
        for n in range(0, len(past), 3):
            yield past[n : n + 3]

    async for _ in replay.run(pages(), []):
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
        store.write(Observation(target="web", check="http", at=at, result=result))
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
    past = store.alerts.past(now - timedelta(minutes=1), now + timedelta(minutes=1))
    async for _ in replay.run(past, []):
        pass
    await store.stop()
    (episode,) = replay.finish()
    assert (episode.rule, episode.message) == ("too_slow", "http is slow")
    assert episode.fired_at == now + timedelta(seconds=1)
