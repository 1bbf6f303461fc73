"""The newcomer's tour: one observation, from the check that is due to the provider's answer.

It passes the files that the top of ``core/__init__.py`` lists, in their order. Read this test with
them open beside it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import pytest

import tocsin.core
from tests.alerting.well import Well
from tests.conftest import eventually
from tests.contexts import contexts
from tests.kept import no_history
from tests.notifiers.receiver import Receiver
from tocsin import Status
from tocsin.core.alerts.model import Phase
from tocsin.core.alerts.outbox import Decision
from tocsin.core.checks.check_runner import Runner
from tocsin.core.checks.inventory import Inventory
from tocsin.core.checks.probe_faults import ProbeFaults
from tocsin.core.checks.scheduler import Scheduler
from tocsin.core.clock import SystemClock
from tocsin.core.config import load_config
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.journal.file import open_file, read
from tocsin.core.lifecycle import Alerting
from tocsin.core.monitor import Effects, Monitor, events
from tocsin.core.monitor.bus import Bus
from tocsin.core.monitor.events import MonitorEvent
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.sandbox import Isolation

CONFIG = """
[targets.host]
enabled = false
[sources.docker]
enabled = false

[targets.site]
critical = true
[targets.site.checks.port]
probe = "tcp"
host = "127.0.0.1"
port = 1

[rules.health_check_failed]
failures = 1

[channels.ops]
notifier = "webhook"
url = "{url}"
allow_private = true
hold = 0
"""


class Machine:
    """What ``app.Tocsin`` makes, without the parts that an observation does not pass."""

    def __init__(self, directory: Path, url: str) -> None:
        clock, config = SystemClock(), directory / "tocsin.toml"
        config.write_text(CONFIG.format(url=url))
        plugins = PluginManager(PluginSettings())
        plugins.load()
        self.settings = load_config(config, {"TOCSIN_DATA_DIR": str(directory)}, plugins)
        isolation = Isolation(plugins.inline, lambda *_: None, contexts())
        self.history = no_history(clock)
        self.alerting = Alerting(
            self.settings, data_dir=directory, clock=clock, history=self.history, bus=Bus(),
            isolation=isolation, plugins=plugins, itself=Well(),
        )  # fmt: skip
        self.scheduler = Scheduler(clock)
        self.inventory = Inventory(
            self.settings, executor=self.alerting.executor, scheduler=self.scheduler,
            runner=Runner(clock, isolation, ProbeFaults(clock, plugins)),
            catalog=plugins, clock=clock,
        )  # fmt: skip
        self.handled: list[tuple[MonitorEvent, Effects]] = []

    def of(self, kind: type[Any]) -> list[tuple[Any, Effects]]:
        """Events of a kind, and what followed from them."""
        return [(event, effects) for event, effects in self.handled if isinstance(event, kind)]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def machine(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Machine]:
    """A machine whose one check fails; all that its monitor handles is written down."""
    made, handle = Machine(tmp_path, receiver.url), Monitor.handle

    def noted(monitor: Monitor, event: MonitorEvent, now: Any) -> Effects:
        effects = handle(monitor, event, now)
        made.handled.append((event, effects))
        return effects

    monkeypatch.setattr(Monitor, "handle", noted)
    await made.alerting.start()
    await eventually(lambda: made.alerting.engine.muting.settled)
    made.inventory.apply(made.settings)
    yield made
    made.inventory.checks.close()
    await made.scheduler.drain()
    await made.alerting.stop()


async def test_one_observation_from_its_check_to_the_receiver(
    machine: Machine, receiver: Receiver, tmp_path: Path
) -> None:
    """A check is due and fails: the observation is one event; what follows is an alert and a row of
    the outbox, journaled together; the row's channel asks what to send, and the receiver gets it
    under the id that lies on disk; that it was delivered is an event again."""
    # The scheduler begins what is due; the inventory says what that is.
    assert "site" in machine.alerting.state.targets
    machine.scheduler.hasten("site/port", 0)
    machine.scheduler.tick()

    # The check runner has the probe look, and the observation enters.
    await eventually(lambda: machine.of(events.Observed))
    (event, effects), *_ = machine.of(events.Observed)
    assert event.observation.target == "site"
    assert event.observation.result.status is Status.DOWN
    assert effects.stored[0] == event.observation
    assert machine.alerting.state.targets["site"].status is Status.DOWN

    # The monitor: live state, rules, the life of an alert, and who is to be told of it.
    alert = machine.alerting.engine.alerts["health_check_failed", "site"]
    assert alert.phase is Phase.FIRING
    assert [change.alert.id for change in effects.transitions] == [alert.id, alert.id]
    (row,) = effects.queued
    assert (row.alert, row.channel, row.decision) == (alert.id, "ops", Decision.QUEUED)

    # The executor journals them together, before anything is sent.
    assert effects.entry is not None
    assert [a.id for a in effects.entry.alerts] == [alert.id]
    assert effects.entry.rows == (row,)

    # The channel has a message of it, whose id is on disk, and its notifier sends it.
    await eventually(lambda: receiver.requests)
    (due, answer), *_ = machine.of(events.MessageDue)
    assert [r.id for r in due.rows] == [row.id]
    assert answer.send is not None
    headers, body = receiver.requests[0]
    assert headers["webhook-id"] == str(answer.send.id)
    assert str(alert.id) in body.decode()

    # That it was delivered is an event: the journal has it, and who was told.
    await eventually(lambda: machine.of(events.RowsFinished))
    await machine.alerting.executor.committed()
    with closing(open_file(tmp_path / "journal.db")) as file:
        saved = read(file)
    (kept,) = [r for r in saved.rows if r.id == row.id]
    assert (kept.decision, kept.message) == (Decision.SENT, answer.send.id)
    assert [a.notified_channels for a in saved.alerts if a.id == alert.id] == [frozenset({"ops"})]


def test_the_way_is_listed_in_order() -> None:
    """The top of the core names the files of this way: ten at most, none longer than 200 lines."""
    text, root = tocsin.core.__doc__ or "", Path(tocsin.core.__file__).parent
    way = re.findall(r"^ *\d+\. ``([\w/]+\.py)``", text, re.MULTILINE)
    assert 5 <= len(way) <= 10
    lines = {name: len((root / name).read_text().splitlines()) for name in way}
    assert [name for name, count in lines.items() if count > 200] == []


def test_the_picture_names_every_event() -> None:
    """docs/architecture.md has each kind of event that enters the monitor."""
    text = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text()
    kinds = [kind.__name__ for kind in get_args(MonitorEvent)]
    assert len(kinds) > 20
    assert [name for name in kinds if f"`{name}`" not in text] == []
