"""Retries: what arrived is not sent again."""

from __future__ import annotations

import asyncio

import pytest
from attrs import evolve

from tests.conftest import notifier
from tests.mail import MailServer
from tests.receiver import Answer, Receiver
from tests.test_refusals import mail_url
from tocsin import Message, NotifyError
from tocsin.testing import message_of


async def test_only_the_missing_url_is_tried_again(receiver: Receiver) -> None:
    """A URL that took the message does not get it again at a retry."""
    receiver.answers = [Answer(500, path="/bad")]
    one = notifier(receiver.url("json", "good"), receiver.url("json", "bad"))
    message = message_of()
    with pytest.raises(NotifyError, match=r"URL 2 .*500.*; 1 of 2 URLs took the message") as caught:
        await one.send(message)
    assert not caught.value.permanent
    assert not caught.value.answered, "a half of the message would arrive twice at URL 1"
    receiver.answers = []
    await one.send(message)
    assert [got.path for got in receiver.got].count("/good") == 1
    assert [got.path for got in receiver.got].count("/bad") == 2


async def test_a_permanent_refusal_of_one_url_is_not_repeated(receiver: Receiver) -> None:
    """While another URL is retried, one that refused the message for good is left alone."""
    receiver.answers = [Answer(400, path="/refuses"), Answer(500, path="/fails")]
    one = notifier(receiver.url("json", "refuses"), receiver.url("json", "fails"))
    message = message_of()
    with pytest.raises(NotifyError) as caught:
        await one.send(message)
    assert not caught.value.permanent
    receiver.answers.pop()
    with pytest.raises(NotifyError) as caught:
        await one.send(message)
    assert caught.value.permanent
    assert caught.value.everything, "halves would arrive twice at URL 2"
    assert len(receiver.at("/refuses")) == 1
    assert len(receiver.at("/fails")) == 2


async def test_a_message_that_nobody_took_may_be_halved(receiver: Receiver) -> None:
    """Where all URLs refuse a message, its halves may be tried."""
    receiver.answers = [Answer(400)]
    one = notifier(receiver.url("json", "a"), receiver.url("json", "b"))
    with pytest.raises(NotifyError) as caught:
        await one.send(message_of())
    assert caught.value.permanent
    assert not caught.value.everything


async def test_a_late_success_counts(receiver: Receiver) -> None:
    """A message that arrives after the timeout is not sent again."""
    receiver.hang = {"/slow"}
    one = notifier(receiver.url("json", "slow?rto=60"), timeout=0.3)
    message = message_of()
    with pytest.raises(NotifyError, match=r"no answer within 0\.3 s"):
        await one.send(message)
    receiver.release.set()
    await one.send(message)
    assert len(receiver.got) == 1


async def test_a_retry_waits_for_the_running_attempt_and_then_gives_it_up(
    receiver: Receiver,
) -> None:
    """A retry joins an attempt that still runs; after two timeouts the message is sent anew."""
    receiver.hang = {"/slow"}
    one = notifier(receiver.url("json", "slow?rto=60"), timeout=0.3)
    message = message_of()
    for _ in range(2):
        with pytest.raises(NotifyError):
            await one.send(message)
    assert len(receiver.got) == 1
    receiver.hang = set()
    await one.send(message)
    assert len(receiver.got) == 2


async def test_a_cancelled_attempt_counts(receiver: Receiver) -> None:
    """A message whose delivery was cancelled while its server took it is not sent again."""
    receiver.hang = {"/slow"}
    one = notifier(receiver.url("json", "slow"))
    message = message_of()
    task = asyncio.create_task(one.send(message))
    await receiver.arrived.wait()
    task.cancel()
    await asyncio.wait({task})
    receiver.release.set()
    await one.send(message)
    assert len(receiver.got) == 1


async def test_a_recipient_of_a_mail_gets_it_once(mail: MailServer) -> None:
    """Of two recipients in one URL, the one who has the mail does not get it again."""
    await mail.start()
    mail.refuse = {"b@example.org": "450 4.2.0 try later"}
    one = notifier(mail_url(mail, to="a@example.org,b@example.org"))
    message = message_of()
    with pytest.raises(NotifyError) as caught:
        await one.send(message)
    assert not caught.value.answered, "a half of the mail would arrive twice at a@example.org"
    mail.refuse = {}
    await one.send(message)
    assert sorted(to for to, _ in mail.mails) == [["a@example.org"], ["b@example.org"]]


def _long(message: Message) -> Message:
    section = message.words.sections[0]
    lines = tuple(evolve(section.lines[0], text=f"{n:05} {'x' * 90}") for n in range(400))
    return evolve(message, words=evolve(message.words, sections=(evolve(section, lines=lines),)))


async def test_a_split_message_goes_on_where_it_failed(receiver: Receiver) -> None:
    """Of a message in parts, a retry sends only the parts that did not arrive."""
    message = _long(message_of())
    receiver.once = [Answer(200), Answer(500)]
    one = notifier(receiver.url("json"))
    with pytest.raises(NotifyError) as caught:
        await one.send(message)
    assert not caught.value.answered, "its first part has arrived"
    assert len(receiver.got) == 2
    await one.send(message)
    assert len(receiver.got) == 3
    assert receiver.got[2].body == receiver.got[1].body


async def test_a_changed_message_is_sent_whole(receiver: Receiver) -> None:
    """If a message changes before a retry, its parts are other parts, and are all sent."""
    message = _long(message_of())
    receiver.once = [Answer(200), Answer(500)]
    one = notifier(receiver.url("json"))
    with pytest.raises(NotifyError):
        await one.send(message)
    other = _long(message_of(target="other"))
    await one.send(evolve(other, id=message.id))
    assert len(receiver.got) == 4


async def test_messages_are_forgotten(receiver: Receiver) -> None:
    """Only the newest hundred messages are remembered."""
    one = notifier(receiver.url("json"))
    messages = [message_of() for _ in range(101)]
    for message in messages:
        await one.send(message)
    await one.send(messages[-1])
    assert len(receiver.got) == 101
    await one.send(messages[0])
    assert len(receiver.got) == 102
