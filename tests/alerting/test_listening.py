"""A notifier whose ``listen`` does not work: what people see of it."""

from __future__ import annotations

import asyncio
import types

import pytest
from attrs import frozen

from tests.alerting.conftest import CONFIG, Desk
from tests.conftest import eventually
from tocsin import Controls, Message, Notifier, NotifyError, Receipt, hookimpl
from tocsin.core.contracts.model import Health
from tocsin.core.plugin.catalog import PluginRecord


@frozen(kw_only=True)
class Deaf(Notifier):
    """Listen as the test says."""

    how: str = ""

    async def send(self, message: Message) -> Receipt:
        return Receipt()

    async def listen(self, controls: Controls) -> None:
        if self.how == "raises":
            raise RuntimeError("boo")
        if self.how == "refuses":
            raise NotifyError("the provider is down")
        if self.how == "returns":
            return
        await asyncio.Event().wait()


@hookimpl
def tocsin_notifiers() -> dict[str, type[Notifier]]:
    return {"deaf": Deaf}


def config(how: str) -> str:
    return CONFIG + f'[channels.deaf]\nnotifier = "deaf"\nhow = "{how}"\n'


async def listening(desk: Desk, how: str) -> None:
    """Apply a configuration with a channel that listens as ``how`` says."""
    module = types.ModuleType("deaf")
    vars(module).update(tocsin_notifiers=tocsin_notifiers)
    desk.plugins.add("deaf", lambda: module, "tests", "0")
    await desk.alerting.apply(desk.load(config(how)))


def record(desk: Desk) -> PluginRecord:
    return next(record for record in desk.plugins.records if record.name == "deaf")


@pytest.mark.parametrize(
    ("how", "clause"),
    [
        ("raises", "failed in listen(): it raised RuntimeError: boo"),
        ("returns", "failed in listen(): it returned"),
    ],
)
async def test_a_listener_that_ends_degrades_its_channel_and_fails_its_plugin(
    desk: Desk, how: str, clause: str
) -> None:
    """/health names plugin and method; the plugin fails, with the channel."""
    await listening(desk, how)
    await eventually(lambda: record(desk).status == "failed")
    part = desk.alerting.health()["channel.deaf"]
    assert part.status is Health.DEGRADED
    assert part.message == f"the channel does not receive commands: plugin deaf {clause}"
    assert "failing_seconds" in part.details
    assert record(desk).reason == f"{clause} (channel deaf)"


async def test_a_refusal_of_the_provider_is_no_fault_of_the_plugin(desk: Desk) -> None:
    """The channel alone is degraded."""
    await listening(desk, "refuses")
    await eventually(lambda: desk.alerting.health()["channel.deaf"].status is Health.DEGRADED)
    message = desk.alerting.health()["channel.deaf"].message
    assert message.endswith("plugin deaf refuses in listen(): the provider is down")
    assert record(desk).status == "ok"


async def test_a_listener_works_again_once_it_has_run_for_a_while(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the channel is healthy, and the plugin has recovered."""
    monkeypatch.setattr("tocsin.core.plugin.supervisor.BACKOFF", (0.01, 0.01))
    await listening(desk, "raises")
    await eventually(lambda: record(desk).status == "failed")
    channel = desk.alerting.channels["deaf"]
    object.__setattr__(channel.settings.notifier, "how", "")
    await asyncio.sleep(0.05)
    assert record(desk).status == "failed"
    await desk.wait(31)
    await eventually(lambda: record(desk).status == "ok")
    assert desk.alerting.health()["channel.deaf"].status is Health.OK


async def test_a_channel_that_is_changed_forgets_its_listener(desk: Desk) -> None:
    """A reload that repairs the options clears the failure."""
    await listening(desk, "raises")
    await eventually(lambda: record(desk).status == "failed")
    await desk.alerting.apply(desk.load(config("")))
    assert record(desk).status == "ok"
    assert desk.alerting.health()["channel.deaf"].status is Health.OK
