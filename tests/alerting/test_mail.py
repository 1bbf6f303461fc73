"""The whole of alerting with the email notifier at its end, and a real SMTP server behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.alerting.conftest import Desk, MakeDesk
from tests.conftest import eventually
from tests.notifiers.mail import MailServer

CONFIG = """
[rules.health_check_failed]
failures = 1
[targets.db.rules.health_check_failed]
severity = "critical"
[channels.email]
host = "127.0.0.1"
security = "none"
to = ["ops@example.org"]
sender = "tocsin@example.org"
min_severity = "warning"
"""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[MailServer]:
    made = MailServer(tmp_path)
    await made.start()
    yield made
    await made.stop()


async def desk_of(make_desk: MakeDesk, server: MailServer, *names: str) -> Desk:
    desk = await make_desk(f"{CONFIG}port = {server.port}\n")
    for name in names:
        desk.add(name)
    return desk


async def mails(desk: Desk, server: MailServer, count: int) -> list[str]:
    """The subjects, once there are so many."""
    await eventually(lambda: desk.alerting.channels["email"].record.sent_total == count)
    return [str(mail["Subject"]) for mail in server.mails]


async def test_what_is_not_critical_is_one_summary_after_five_minutes(
    make_desk: MakeDesk, server: MailServer
) -> None:
    """Warnings that come one by one over five minutes, a recovery among them, are one mail, five
    minutes after the first of them, with the table of the whole system; the next opens another."""
    names = [f"svc-{n}" for n in range(5)]
    desk = await desk_of(make_desk, server, *names)
    for name in names[:4]:
        desk.see(name, "down")
        await desk.wait(60)
    desk.see("svc-0", "up")
    await desk.wait(59)
    assert server.mails == []
    await desk.wait(2)
    assert await mails(desk, server, 1) == [
        "[tocsin] 3 firing: svc-1, svc-2, svc-3; 1 recovered: svc-0"
    ]
    (mail,) = server.mails
    assert mail["X-Priority"] is None
    body = mail.get_body(("plain",))
    assert body is not None
    for said in ("svc-0: after 4m", "svc-3: svc-3 is down", "Whole system: 1 of 5 up"):
        assert said in body.get_content()
    desk.see("svc-4", "down")
    await desk.wait(299)
    assert len(server.mails) == 1
    await desk.wait(2)
    subjects = await mails(desk, server, 2)
    assert subjects[1] == "[tocsin] WARNING: Health check failed: svc-4"


async def test_what_is_critical_waits_for_no_summary(
    make_desk: MakeDesk, server: MailServer
) -> None:
    """A critical alert in the midst of a batch goes out alone and at once, with priority; so does
    its end, in the same thread; the batch goes on being collected."""
    desk = await desk_of(make_desk, server, "db", "web", "api")
    desk.see("web", "down")
    await desk.wait(100)
    desk.see("db", "down")
    await desk.wait(0.31)
    assert await mails(desk, server, 1) == ["[tocsin] CRITICAL: Health check failed: db"]
    assert server.mails[0]["X-Priority"] == "1 (Highest)"
    desk.see("api", "down")
    await desk.wait(30)
    desk.see("db", "up")
    await desk.wait(0.31)
    assert (await mails(desk, server, 2))[1] == "[tocsin] RECOVERED: Health check failed: db"
    assert server.mails[1]["References"] == server.mails[0]["Message-ID"]
    await desk.wait(180)
    assert (await mails(desk, server, 3))[2] == "[tocsin] 2 firing: web, api"
