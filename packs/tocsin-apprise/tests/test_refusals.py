"""Servers that refuse, fail, hang, hang up or are not there."""

from __future__ import annotations

import asyncio
import socket

import pytest
from apprise.plugins.custom_json import NotifyJSON

from tests.conftest import notifier
from tests.mail import MailServer
from tests.receiver import Answer, Receiver
from tocsin import NotifyError
from tocsin.testing import check_refusal, message_of

SCHEMES = ["json", "xml", "form", "ntfy", "gotify"]
SECRET = "tk_Zq81kXw2Lm"


def mail_url(mail: MailServer, user_info: str = "", to: str = "a@example.org") -> str:
    """Return the URL of a mail server."""
    rest = f"127.0.0.1:{mail.port}?to={to}&from=b@example.org&mode=insecure"
    return f"mailto://{user_info}{rest}"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("status", "permanent", "everything", "answered"),
    [
        (400, True, False, True),
        (401, True, True, True),
        (404, True, True, True),
        (413, True, False, True),
        (429, False, False, False),
        (500, False, False, True),
        (502, False, False, False),
        (503, False, False, False),
        (302, True, True, False),
    ],
)
async def test_a_status_becomes_the_right_error(
    receiver: Receiver,
    scheme: str,
    status: int,
    permanent: bool,
    everything: bool,
    answered: bool,
) -> None:
    """The status decides whether a retry, or a part of the message, may succeed."""
    headers = {"Location": receiver.url("http", "login")}
    receiver.answers = [Answer(status, headers, f'{{"error": "no {SECRET}"}}')]
    one = notifier(receiver.url(scheme, SECRET))
    error = await check_refusal(one.options, permanent=permanent)
    assert f"it answered {status}" in str(error)
    assert (error.everything, error.answered) == (everything, answered)
    assert SECRET not in str(error)
    assert len(receiver.got) == 1


async def test_the_delay_that_a_body_asks_for(receiver: Receiver) -> None:
    """A delay in the answer's body becomes ``retry_after``; Apprise shows no headers."""
    receiver.answers = [
        Answer(429, {"Retry-After": "7"}, '{"message": "slow", "retry_after": 7.5}')
    ]
    await check_refusal(notifier(receiver.url("json")).options, permanent=False, retry_after=7.5)
    receiver.answers = [Answer(429, {"Retry-After": "7"}, '{"retry_after_ms": 2500}')]
    await check_refusal(notifier(receiver.url("json")).options, permanent=False, retry_after=2.5)
    receiver.answers = [Answer(429, {"Retry-After": "7"}, "slow down")]
    await check_refusal(notifier(receiver.url("json")).options, permanent=False, retry_after=None)


async def test_a_huge_answer_is_shortened(receiver: Receiver) -> None:
    """Of a huge answer the error shows a few words."""
    receiver.answers = [Answer(400, {}, "é" * 3_000_000)]
    error = await check_refusal(notifier(receiver.url("json")).options, permanent=True)
    assert len(str(error)) < 400


async def test_a_server_that_hangs_up(receiver: Receiver) -> None:
    """A connection that is cut within the answer is a temporary failure, with that reason."""
    receiver.closed = {"/cut"}
    error = await check_refusal(notifier(receiver.url("json", "cut")).options, permanent=False)
    assert "closed the connection" in str(error)
    assert not error.answered


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_an_unreachable_server(scheme: str) -> None:
    """A refused connection is a temporary failure, in the system's words."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    error = await check_refusal(
        notifier(f"{scheme}://127.0.0.1:{port}/abcdefgh").options, permanent=False
    )
    assert str(error) == f"{scheme}: no connection: Connection refused"


async def test_an_unknown_host() -> None:
    """A name that cannot be resolved is a temporary failure with that reason."""
    error = await check_refusal(notifier("json://no-such-host.invalid/x").options, permanent=False)
    assert "cannot be resolved" in str(error)


async def test_a_server_that_hangs(receiver: Receiver) -> None:
    """A server that does not answer costs the timeout; other deliveries go on meanwhile."""
    receiver.hang = {"/slow"}
    one = notifier(receiver.url("json", "slow"), timeout=2)
    hanging = asyncio.create_task(check_refusal(one.options, permanent=False))
    await receiver.arrived.wait()
    await notifier(receiver.url("json", "fast")).send(message_of())
    assert not hanging.done()
    assert "no answer" in str(await hanging)


async def test_nobody_to_notify() -> None:
    """A URL without a recipient is a permanent failure."""
    error = await check_refusal(notifier("ntfy://").options, permanent=True)
    assert error.everything


@pytest.mark.parametrize(
    ("answer", "permanent", "everything"),
    [
        ("554 5.7.1 looks like spam", True, False),
        ("552 5.3.4 too big", True, False),
        ("451 4.3.0 try later", False, False),
    ],
)
async def test_a_mail_server_that_refuses_a_mail(
    mail: MailServer,
    answer: str,
    permanent: bool,
    everything: bool,
) -> None:
    """The reply of a mail server decides, and is shown."""
    await mail.start()
    mail.on_data = answer
    error = await check_refusal(notifier(mail_url(mail)).options, permanent=permanent)
    assert f"the mail server answered {answer[:3]}: {answer[4:]}" in str(error)
    assert (error.everything, error.answered) == (everything, True)


async def test_a_mail_server_that_refuses_the_login(mail: MailServer) -> None:
    """A wrong password is permanent, and is not shown."""
    await mail.start(password="right")
    error = await check_refusal(notifier(mail_url(mail, f"bob:{SECRET}@")).options, permanent=True)
    assert "535" in str(error)
    assert error.everything
    assert SECRET not in str(error)


async def test_a_mail_server_that_refuses_the_only_recipient(mail: MailServer) -> None:
    """An unknown recipient is permanent."""
    await mail.start()
    mail.refuse = {"a@example.org": "550 5.1.1 no such mailbox"}
    error = await check_refusal(notifier(mail_url(mail)).options, permanent=True)
    assert "550" in str(error)


async def test_a_crashing_plugin(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception, or sys.exit, in a plugin of Apprise is a temporary failure."""

    def crash(*_: object, **__: object) -> bool:
        raise KeyError("surprise")

    def leave(*_: object, **__: object) -> bool:
        raise SystemExit(3)

    for failing in (crash, leave):
        monkeypatch.setattr(NotifyJSON, "send", failing)
        error = await check_refusal(notifier(receiver.url("json")).options, permanent=False)
        assert "plugin failed" in str(error)


async def test_too_many_attempts_that_hang(receiver: Receiver) -> None:
    """Attempts that hang are bounded: further messages are not begun."""
    receiver.hang = {"/slow"}
    one = notifier(receiver.url("json", "slow?rto=60"), timeout=0.2)
    for _ in range(4):
        with pytest.raises(NotifyError, match="no answer within"):
            await one.send(message_of())
    with pytest.raises(NotifyError, match="4 earlier attempts have not ended"):
        await one.send(message_of())
    assert len(receiver.got) == 4
