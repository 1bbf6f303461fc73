"""tocsin is killed again and again: what it saw in one life counts in the next."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.alerting.conftest import Desk, MakeDesk
from tests.recorder import Recorder
from tests.running import Running
from tocsin.core.contracts.model import ComponentHealth, Health
from tocsin.core.journal.journal import Entry

WAIT = """
[rules.health_check_failed]
failures = 3
for = "40s"
[channels.ops]
notifier = "recording"
"""


async def killed(desk: Desk, away: float = 2) -> None:
    """The process is killed, which leaves what lay in the journal, and started after a while."""

    def lost(entry: Entry) -> asyncio.Future[None]:
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    desk.alerting.journal.submit = lost  # type: ignore[method-assign]
    await desk.stop()
    desk.clock.advance(away)
    desk.settings = desk.load(desk.config)
    desk._make()
    await desk.start(settle=False)


async def test_looking_around_goes_on_over_lives(make_desk: MakeDesk) -> None:
    """Killed every 15 s with a check that hangs, tocsin tells what fails once it has looked around
    for a minute in all, and tells it once."""
    desk = await make_desk()
    await killed(desk, 200)
    desk.looked_around = False
    desk.add("web")
    told = []
    for _ in range(8):
        desk.see("web", "down")
        await desk.wait(15)
        told += desk.told()
        await killed(desk)
    assert told == [("fired", "web")]


async def test_time_off_is_no_looking_around(make_desk: MakeDesk) -> None:
    """A life of a few seconds, then most of a minute off: the next one still looks around."""
    desk = await make_desk()
    desk.add("web")
    await killed(desk, 200)
    desk.looked_around = False
    await desk.wait(10)
    await killed(desk, 50)
    desk.see("web", "down")
    await desk.wait(8)
    assert desk.told() == []
    await desk.wait(55)
    assert desk.told() == [("fired", "web")]


async def test_a_wait_goes_on_over_lives(make_desk: MakeDesk) -> None:
    """Failures in a row, and the time for which an alert waits, are counted over lives, though in
    each of them the first results are late."""
    desk = await make_desk(config=WAIT)
    desk.add("web")
    told = []
    for _ in range(6):
        desk.looked_around = False
        await desk.wait(5)
        desk.see("web", "down")
        await desk.wait(10)
        told += desk.told()
        await killed(desk)
    assert told == [("fired", "web")]


async def test_a_life_after_a_kill_tells_at_once(make_desk: MakeDesk) -> None:
    """A tocsin that had looked around is killed and soon back: what fails then is told though a
    check hangs, what was told is not told again, and what has not been seen yet is left alone."""
    desk = await make_desk()
    desk.add("web")
    desk.add("api")
    desk.add("db")
    desk.see("web", "down")
    desk.see("db", "down")
    await desk.wait(30)
    assert sorted(desk.told()) == [("fired", "db"), ("fired", "web")]
    await killed(desk)
    desk.looked_around = False
    desk.see("web", "down")
    desk.see("api", "down")
    await desk.wait(20)
    assert desk.told() == [("fired", "api")]
    (db,) = (alert for alert in desk.alerting.engine.alerts.values() if alert.target == "db")
    assert db.frozen is None


@pytest.mark.parametrize("away", [200.0, 2.0])
async def test_a_single_start_looks_around_first(make_desk: MakeDesk, away: float) -> None:
    """After a long time off, and after an orderly stop, nothing is told before everything has been
    looked at, or a minute has passed."""
    desk = await make_desk()
    desk.add("web")
    if away > 100:
        await killed(desk, away)
    else:
        await desk.restart()
    desk.looked_around = False
    desk.see("web", "down")
    await desk.wait(50)
    assert desk.told() == []
    await desk.wait(15)
    assert desk.told() == [("fired", "web")]


async def test_a_boot_of_the_machine_begins_anew(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a boot everything starts at the same time: tocsin looks around first."""
    desk = await make_desk()
    desk.add("web")
    monkeypatch.setattr("tocsin.core.alerts.durable_clock.boot_id", lambda: "another")
    await killed(desk)
    desk.looked_around = False
    desk.see("web", "down")
    await desk.wait(50)
    assert desk.told() == []


async def test_what_tocsin_says_of_itself_is_not_taken_back_by_a_kill(make_desk: MakeDesk) -> None:
    """Parts that have not been tried yet in a new life seem to be well: that ends no alert."""
    desk = await make_desk()
    ill = {"source.docker": ComponentHealth(status=Health.DEGRADED, message="no socket")}
    desk.health = ill
    await desk.wait(400)
    assert desk.told() == [("fired", "tocsin")]
    desk.health = {}
    await killed(desk)
    desk.looked_around = False
    await desk.wait(5)
    desk.health = ill
    await desk.wait(10)
    assert desk.told() == []


HASTY = """
from tocsin.core.lifecycle import settling
settling.SETTLE_MOST, settling.SIGN_EVERY_YOUNG, settling.BRIEF = 15.0, 1.0, 3.0
from tocsin.core.cli.main import main
main()
"""
"""tocsin, which looks around for a quarter of the usual time."""


@pytest.mark.slow
def test_fifteen_targets_are_told_though_tocsin_is_killed_every_few_seconds(
    tmp_path: Path, database: str
) -> None:
    """A real process, with fifteen targets down from the start and a check that hangs, is killed
    before it has looked around, again and again: each target is told once, soon."""
    recorder = Recorder(tmp_path)
    with socket.socket() as free, socket.create_server(("127.0.0.1", 0)) as mute:
        free.bind(("127.0.0.1", 0))  # bound and not listening: nobody else opens it
        config = '[sources.docker]\nenabled = false\n[rules.health_check_failed]\nfor = "5s"\n'
        config += "".join(
            f'[targets.t{n}.checks.tcp]\nprobe = "tcp"\nhost = "127.0.0.1"\n'
            f'port = {free.getsockname()[1]}\ninterval = "1s"\n'
            for n in range(15)
        )
        config += (
            '[targets.hangs.checks.http]\nprobe = "http"\ntimeout = "60s"\n'
            f'url = "http://127.0.0.1:{mute.getsockname()[1]}/"\n' + recorder.channel("ops")
        )
        env = {"PYTHONPATH": str(recorder.place), "DATABASE_URL": database}
        running = Running(tmp_path, config, env)
        running.main = HASTY
        lives, after, deadline = 0, 2, time.monotonic() + 75
        while after and time.monotonic() < deadline:
            with running:
                time.sleep(4)
            lives += 1
            after -= len(recorder.told) >= 15  # and a little longer: nothing is told again
    assert lives > 3
    kinds = Counter((n["target"], n["kind"]) for n in recorder.told)
    assert kinds == {(f"t{n}", "fired"): 1 for n in range(15)}
