"""The whole of alerting with the webhook notifier at its end, and a real receiver behind it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import evolve

from tests.alerting.conftest import MakeDesk
from tests.conftest import eventually
from tests.hidden import hide_only
from tests.notifiers.receiver import Receiver
from tocsin.core.notify import Enricher
from tocsin.plugins.notifiers.webhook.shapes import Shape
from tocsin.testing import message_of

PASSWORD = "t0psecret-value"
ODD = f"the file tag-\udce4.sql of {PASSWORD}\x1b[2J is \u202estale"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    await made.start()
    yield made
    await made.stop()


@pytest.mark.parametrize("shape", [*Shape])
async def test_what_a_probe_says_leaves_the_house_clean(
    make_desk: MakeDesk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, shape: Shape
) -> None:
    """Half a character from a file's name stops no webhook, of whatever shape, and a secret in a
    probe's sentence is in no field of the payload; nor is a control character."""
    hide_only(monkeypatch, {PASSWORD})
    desk = await make_desk(
        "[rules.health_check_failed]\nfailures = 1\n[channels.webhook]\nallow_private = true\n"
        f'url = "{receiver.url}"\nshape = "{shape.value}"\n'
    )
    desk.add("web")
    desk.add("job", "web")
    desk.see("web", "down", ODD)
    await desk.wait(1)
    await eventually(lambda: desk.alerting.channels["webhook"].record.sent_total == 1)
    (raw,) = {body for _, body in receiver.requests}
    text = json.dumps(json.loads(raw), ensure_ascii=False)
    assert PASSWORD not in text
    assert not {"\udce4", "\x1b", "\u202e"} & set(text)
    assert "the file tag" in text
    if shape is Shape.STANDARD:
        (alert,) = receiver.accepted[0]["data"]["alerts"]
        assert alert["message"] == "c: the file tag-?.sql of *** is �stale"
        assert alert["affected"] == ["job"]


async def test_what_a_rule_found_is_cleaned_in_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts anywhere in the details lose secrets and control characters, and what stands under a
    name such as password is not shown; numbers and times stay what they are."""
    hide_only(monkeypatch, {PASSWORD})
    at = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
    endless: dict[str, Any] = {}
    endless["self"] = endless
    message = message_of()
    for details, clean in (
        (
            {"metric": "x", "value": 97.5, "n": 3, "on": True, "at": at, "token": "abc",
             "deep": [{"url": "http://u:pw@h/", "text": ODD}]},
            {"metric": "x", "value": 97.5, "n": 3, "on": True, "at": "2026-01-15T12:00:00Z",
             "token": "***", "deep": [{"url": "http://u:***@h/",
                                       "text": "the file tag-?.sql of *** is �stale"}]},
        ),
        ({"\udce4": {PASSWORD}}, {"?": ["***"]}),
    ):  # fmt: skip
        (notice,) = message.notices
        rich = await Enricher()(evolve(message, notices=(evolve(notice, details=details),)), None)
        assert rich.notices[0].details == clean
    notice = evolve(message.notices[0], details=endless)
    rich = await Enricher()(evolve(message, notices=(notice,)), None)
    json.dumps(rich.notices[0].details)
