"""Deliveries to servers on loopback."""

from __future__ import annotations

import asyncio
import html
from urllib.parse import parse_qs

import pytest
from attrs import evolve

from tests.conftest import notifier
from tests.mail import MailServer
from tests.receiver import Receiver
from tocsin import Kind, Severity
from tocsin.testing import check_notifier_conformance, message_of
from tocsin_apprise.notifier import BodyFormat

HOSTILE = "<script>alert(1)</script> *bold* _x_ [a](http://b) & 'q' \"d\" Grüße 日本 🚨 @everyone"


async def test_it_keeps_to_the_contract(receiver: Receiver) -> None:
    """Every kind of notice, 500 at once, hostile text, the same message twice, cancellation."""
    receipts = await check_notifier_conformance(notifier(receiver.url("json", "hook")).options)
    assert receipts[0].answer == "delivered by Apprise: json"


@pytest.mark.parametrize("scheme", ["json", "xml", "form", "ntfy", "gotify"])
async def test_unicode_and_markup_arrive(receiver: Receiver, scheme: str) -> None:
    """The text of a notice arrives as it is, in the encoding of each service."""
    message = message_of(text=HOSTILE)
    await notifier(receiver.url(scheme, "abcdefgh")).send(message)
    assert len(receiver.got) == 1
    body = receiver.got[0].body.decode()
    if scheme == "form":
        found = parse_qs(body)["message"][0]
    elif scheme == "xml":
        found = html.unescape(body)
    else:
        found = receiver.got[0].json()["message"]
    assert HOSTILE in found


@pytest.mark.parametrize(
    ("kind", "severity", "name"),
    [
        (Kind.FIRED, Severity.INFO, "info"),
        (Kind.FIRED, Severity.WARNING, "warning"),
        (Kind.REPEATED, Severity.CRITICAL, "failure"),
        (Kind.RESOLVED, Severity.CRITICAL, "success"),
    ],
)
async def test_severity_becomes_a_kind_of_apprise(
    receiver: Receiver, kind: Kind, severity: Severity, name: str
) -> None:
    """Info, warning, critical, resolved are Apprise's info, warning, failure, success."""
    message = message_of(kind)
    message = evolve(message, notices=(evolve(message.notices[0], severity=severity),))
    await notifier(receiver.url("json")).send(message)
    assert receiver.got[0].json()["type"] == name


async def test_an_end_that_is_no_recovery_is_no_success(receiver: Receiver) -> None:
    """An alert that ended because its target is gone is information, not a success."""
    message = message_of(Kind.RESOLVED)
    message = evolve(message, notices=(evolve(message.notices[0], recovered=False),))
    await notifier(receiver.url("json")).send(message)
    assert receiver.got[0].json()["type"] == "info"


async def test_each_url_gets_the_message(receiver: Receiver, mail: MailServer) -> None:
    """Services of several kinds get the same message, and the receipt names them."""
    await mail.start()
    to_mail = f"mailto://127.0.0.1:{mail.port}?to=a@example.org&from=b@example.org&mode=insecure"
    one = notifier(receiver.url("json", "one"), receiver.url("ntfy", "topic"), to_mail)
    receipt = await one.send(message_of())
    assert receipt.answer == "delivered by Apprise: URL 1 (json), URL 2 (ntfy), URL 3 (mailto)"
    assert sorted(got.path for got in receiver.got) == ["/", "/one"]
    assert [to for to, _ in mail.mails] == [["a@example.org"]]


async def test_a_mail_is_html_and_escaped(mail: MailServer) -> None:
    """A mail has the title as its subject, and a body in which markup of a notice is text."""
    await mail.start()
    url = f"mailto://127.0.0.1:{mail.port}?to=a@example.org&from=b@example.org&mode=insecure"
    await notifier(url).send(message_of(text=HOSTILE))
    sent = mail.mails[0][1]
    assert "Container down: web" in str(sent["Subject"])
    part = sent.get_body(("html",))
    assert part is not None
    content = part.get_content()
    assert "<script>" not in content
    assert "&lt;script&gt;alert(1)&lt;/script&gt; *bold*" in content
    assert "<b>Container:</b> web" in content


async def test_a_line_break_adds_no_header(mail: MailServer) -> None:
    """A target's name with a line break adds no header to a mail."""
    await mail.start()
    url = f"mailto://127.0.0.1:{mail.port}?to=a@example.org&from=b@example.org&mode=insecure"
    await notifier(url).send(message_of(target="web\r\nBcc: x@example.org"))
    assert mail.mails[0][0] == ["a@example.org"]
    assert mail.mails[0][1]["Bcc"] is None


async def test_a_digest_of_fifty_notices_is_split(receiver: Receiver) -> None:
    """A message that is too long for a service arrives complete, in several parts."""
    notices = tuple(
        notice
        for number in range(50)
        for notice in message_of(target=f"target-{number:02}").notices
    )
    message = message_of(*[Kind.FIRED] * 50)
    text = [f"target-{number:02} {'x' * 600}" for number in range(50)]
    section = message.words.sections[0]
    line = section.lines[0]
    lines = tuple(evolve(line, text=one) for one in text)
    words = evolve(message.words, sections=(evolve(section, lines=lines),))
    await notifier(receiver.url("json")).send(evolve(message, notices=notices, words=words))
    bodies = [got.json()["message"] for got in receiver.got]
    assert len(bodies) == 1 or all(len(body) <= 32768 for body in bodies)
    assert all(f"target-{number:02}" in "".join(bodies) for number in range(50))
    receiver.got.clear()
    await notifier(receiver.url("mmost", "a" * 26)).send(evolve(message, words=words))
    bodies = [str(got.json()["text"]) for got in receiver.got]
    assert len(bodies) > 1
    assert all(f"target-{number:02}" in "".join(bodies) for number in range(50))


@pytest.mark.parametrize("form", [BodyFormat.TEXT, BodyFormat.MARKDOWN, BodyFormat.HTML])
async def test_the_format_can_be_chosen(receiver: Receiver, form: BodyFormat) -> None:
    """A service that shows any format gets the one that is asked for."""
    await notifier(receiver.url("json"), body_format=form).send(message_of())
    body = receiver.got[0].json()["message"]
    expected = {
        BodyFormat.TEXT: "Container: web",
        BodyFormat.MARKDOWN: "**Container:** web",
        BodyFormat.HTML: "<b>Container:</b> web",
    }
    assert expected[form] in body


async def test_messages_at_the_same_time(receiver: Receiver) -> None:
    """Messages that are sent at the same time all arrive, once each, or are refused as too many."""
    one = notifier(receiver.url("json"))
    messages = [message_of(target=f"web-{number}") for number in range(4)]
    await asyncio.gather(*(one.send(message) for message in messages))
    titles = sorted(got.json()["title"][-5:] for got in receiver.got)
    assert titles == ["web-0", "web-1", "web-2", "web-3"]


async def test_the_message_reaches_no_log(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """What Apprise logs at level DEBUG, with the URL and the message, reaches no log."""
    caplog.set_level(1)
    await notifier(receiver.url("json", "tk_Zq81kXw2Lm")).send(message_of())
    assert not [record for record in caplog.records if record.name == "apprise"]
