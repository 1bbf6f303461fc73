"""The email notifier against a real SMTP server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from tests.messages.declared import renderer
from tests.notifiers.mail import MailServer
from tocsin import Kind, Message, Secret, Severity, Status, TargetStatus
from tocsin.core.logs import clean
from tocsin.core.templates.renderer import Renderer
from tocsin.core.testing.alerting import NASTY
from tocsin.plugins.notifiers.email import EmailChannel, EmailNotifier
from tocsin.plugins.notifiers.email.smtp import Security
from tocsin.testing import check_notifier_conformance, check_refusal, message_of

PASSWORD = "hunter2-app-password"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[MailServer]:
    made = MailServer(tmp_path)
    yield made
    await made.stop()


def notifier_of(server: MailServer, **options: Any) -> EmailChannel:
    options = {
        "host": "127.0.0.1", "port": server.port, "to": ("ops@example.org",),
        "sender": "tocsin@example.org", "ca_file": server.ca_file, **options,
    }  # fmt: skip
    return EmailChannel(EmailNotifier(**options))


def part(mail: EmailMessage, kind: str) -> str:
    """One of the alternatives."""
    found = mail.get_body((kind,))
    assert found is not None
    return str(found.get_content())


async def test_a_mail_has_text_html_and_the_log(server: MailServer) -> None:
    """Both parts tell the same, with the table of the whole system; the last log lines are attached
    as a file; nobody's out-of-office answers it."""
    await server.start()
    message = evolve(message_of(), words=renderer().words(message_of()))
    receipt = await notifier_of(server).send(message)
    (mail,) = server.mails
    assert mail["Subject"] == "[tocsin] CRITICAL: Container down: web"
    assert mail["From"] == "tocsin <tocsin@example.org>"
    assert mail["Auto-Submitted"] == "auto-generated"
    for body in (part(mail, "plain"), part(mail, "html")):
        for said in ("Container down: web", "Affected", "api, shop", "docker restart web",
                     "1 of 2 up", "db"):  # fmt: skip
            assert said in body
    (attached,) = mail.iter_attachments()
    assert attached.get_filename() == "web.log"
    assert attached.get_content().split("\r\n") == ["started", "killed, exit code 137", ""]
    assert receipt.answer == "127.0.0.1 accepted it for ops@example.org"


async def test_only_what_is_critical_is_urgent(server: MailServer) -> None:
    """Priority headers stand on critical mails alone; the class asks for critical ones at once and
    the rest in batches of five minutes."""
    await server.start()
    notifier, message = notifier_of(server), message_of()
    await notifier.send(message)
    mild = evolve(message.notices[0], severity=Severity.WARNING)
    await notifier.send(evolve(message, notices=(mild,)))
    await notifier.send(message_of(Kind.RESOLVED))
    urgent = [(m["X-Priority"], m["Priority"], m["Importance"]) for m in server.mails]
    assert urgent == [("1 (Highest)", "urgent", "high"), (None,) * 3, (None,) * 3]
    assert (EmailNotifier.batch, EmailNotifier.min_severity) == (300.0, Severity.CRITICAL)


async def test_threads_hold_together(server: MailServer) -> None:
    """A later mail of the alert refers to the first; the id is the message's, also when it is sent
    again."""
    await server.start()
    notifier, message = notifier_of(server), message_of()
    first = await notifier.send(message)
    await notifier.send(message)
    assert server.mails[0]["Message-ID"] == server.mails[1]["Message-ID"] == first.reference
    assert server.mails[0]["References"] is None
    later = message_of(Kind.RESOLVED)
    later = evolve(later, notices=(evolve(later.notices[0], reply_to=first.reference),))
    second = await notifier.send(later)
    assert server.mails[2]["In-Reply-To"] == first.reference
    assert server.mails[2]["References"] == first.reference
    assert server.mails[2]["Message-ID"] not in (first.reference, None)
    assert second.reference == first.reference


async def test_threads_hold_together_under_a_long_domain(server: MailServer) -> None:
    """An id that is longer than a line is written as it is: as an encoded word no mail program
    would find the mail it names. References to what is no mail (another notifier had the channel)
    are left out; several are parted by spaces."""
    await server.start()
    domain = "ip-10-0-0-12.eu-central-1.compute.internal.a-long-subdomain.example.org"
    notifier = notifier_of(server, sender=f"tocsin@{domain}")
    ids = [(await notifier.send(message_of())).reference for _ in range(3)]
    message = message_of(Kind.RESOLVED, Kind.RESOLVED, Kind.RESOLVED, Kind.RESOLVED)
    notices = zip(message.notices, ["1234", *ids], strict=True)
    await notifier.send(
        evolve(message, notices=tuple(evolve(n, reply_to=reply) for n, reply in notices))
    )
    raw = server.raw[-1].decode()
    assert f"\r\nIn-Reply-To: {ids[0]}\r\n" in raw
    assert f"\r\nReferences: {ids[0]}\r\n {ids[1]}\r\n {ids[2]}\r\n" in raw


async def test_who_is_told_late_has_a_thread_of_its_own(server: MailServer) -> None:
    """A mail that tells an alert for the first time, beside one that is known, is what later mails
    of both refer to: the earlier one does not name the second."""
    await server.start()
    notifier = notifier_of(server)
    first = await notifier.send(message_of())
    both = message_of(Kind.REPEATED, Kind.FIRED)
    known, new = both.notices
    both = evolve(both, notices=(evolve(known, reply_to=first.reference), new))
    second = await notifier.send(both)
    assert server.mails[1]["References"] == first.reference
    assert second.reference == server.mails[1]["Message-ID"] != first.reference


async def test_a_mail_keeps_to_the_lines_of_every_server(server: MailServer) -> None:
    """ASCII alone, no line of more than 998 bytes, whatever is told; and the session ends with
    QUIT, so that no server takes it for broken off."""
    await server.start()
    text = "Größe 漢字 🚨 " + "x" * 5000
    message = message_of(text=text, target="täst-" + "漢" * 90)
    message = evolve(message, words=Renderer(clean=clean).words(message))
    await notifier_of(server, to=tuple(f"person-{n}@example.org" for n in range(40))).send(message)
    (raw,) = server.raw
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert "täst-漢" in server.mails[0]["Subject"]
    assert "Größe 漢字" in part(server.mails[0], "plain")
    assert len(server.mails[0]["To"].addresses) == 40
    assert server.quits == 1


@pytest.mark.parametrize(
    ("kind", "security", "auth"),
    [
        ({"starttls": True}, "auto", False), ({"starttls": True}, "starttls", True),
        ({"tls": True}, "tls", False), ({}, "none", False), ({}, "auto", False),
    ],
)  # fmt: skip
async def test_the_ways_to_a_server(
    server: MailServer, kind: dict[str, bool], security: str, auth: bool
) -> None:
    """STARTTLS, TLS at once, or neither, with and without logging in: the server says that the mail
    came over TLS, and who sent it."""
    await server.start(auth=auth, **kind)
    login = {"user": "ops", "password": Secret(PASSWORD)} if auth else {}
    await notifier_of(server, security=security, **login).send(message_of())
    assert server.sessions == [(bool(kind), auth)]


async def test_what_is_wrong_with_a_server_is_said(server: MailServer) -> None:
    """A wrong password, a certificate that nobody vouches for, no STARTTLS where it is demanded:
    each in a sentence, none with the password."""
    await server.start(starttls=True, auth=True)
    wrong = notifier_of(server, user="ops", password=Secret("wrong-password"))
    error = await check_refusal(wrong.options, permanent=True)
    assert "refused the login (535)" in str(error)
    error = await check_refusal(notifier_of(server, ca_file=None).options, permanent=False)
    assert "see security, ca_file and verify" in str(error)
    await notifier_of(
        server, ca_file=None, verify=False, user="ops", password=Secret(PASSWORD)
    ).send(message_of())
    await server.stop()
    await server.start()
    error = await check_refusal(notifier_of(server, security="starttls").options, permanent=True)
    assert "offers no STARTTLS" in str(error)
    error = await check_refusal(notifier_of(server, security="tls").options, permanent=False)
    assert str(error) == (
        "127.0.0.1: the port does not use implicit TLS; see security, ca_file and verify"
    )


async def test_a_password_is_not_sent_in_the_clear(
    server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To another host without STARTTLS nothing is logged in to; the remedy is named."""
    await server.start()
    monkeypatch.setattr("tocsin.plugins.notifiers.email.smtp._local", lambda _: False)
    notifier = notifier_of(server, user="ops", password=Secret(PASSWORD))
    error = await check_refusal(notifier.options, permanent=True)
    assert "not sent in the clear" in str(error)
    assert server.mails == []


@pytest.mark.parametrize(
    ("answer", "permanent"),
    [("421 closing", False), ("450 busy", False), ("451 later", False), ("550 no", True),
     ("554 spam", True)],
)  # fmt: skip
async def test_each_answer_has_its_meaning(
    server: MailServer, answer: str, permanent: bool
) -> None:
    """4xx is tried again, 5xx never, for the message and for its only recipient."""
    await server.start()
    server.on_data.append(answer)
    error = await check_refusal(notifier_of(server).options, permanent=permanent)
    assert answer[:3] in str(error)
    server.refuse["ops@example.org"] = answer
    error = await check_refusal(notifier_of(server).options, permanent=permanent)
    assert answer[:3] in str(error)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ("localhost", "[127.0.0.1]"), ("localhost.localdomain", "[127.0.0.1]"),
        ("3f2a9c", "[127.0.0.1]"), ("bell.example.org", "bell.example.org"),
        ("bell.example.org.", "bell.example.org"), ("", "[127.0.0.1]"),
    ],
)  # fmt: skip
async def test_it_says_who_it_is(
    server: MailServer, monkeypatch: pytest.MonkeyPatch, own: str, said: str
) -> None:
    """A server hears a name that it can look up, else an address: many refuse "localhost"."""
    monkeypatch.setattr(socket, "getfqdn", lambda: own or "x")
    await server.start()
    await notifier_of(server).send(message_of())
    assert server.names == [said]


@pytest.mark.parametrize("security", ["auto", "none", "starttls"])
async def test_a_server_that_knows_only_helo(server: MailServer, security: str) -> None:
    """A mail goes out by RFC 821, too, where no TLS is demanded."""
    await server.start(old=True)
    notifier = notifier_of(server, security=Security(security))
    if security == "starttls":
        refusal = await check_refusal(notifier.options, permanent=True)
        assert "offers no STARTTLS" in str(refusal)
    else:
        await notifier.send(message_of())
        assert len(server.mails) == 1


async def test_one_of_several_recipients_is_refused(server: MailServer) -> None:
    """For good: the others have it, and the receipt says who has not. For now: the next attempt is
    for that one alone."""
    await server.start()
    server.refuse["gone@example.org"] = "550 no such user"
    notifier = notifier_of(server, to=("ops@example.org", "gone@example.org"))
    receipt = await notifier.send(message_of())
    assert receipt.answer == (
        "127.0.0.1 accepted it for ops@example.org; refused for gone@example.org: 550 no such user"
    )
    server.refuse = {"grey@example.org": "450 come back"}
    notifier, message = (
        notifier_of(server, to=("ops@example.org", "grey@example.org")),
        message_of(),
    )
    with pytest.raises(Exception, match="450 come back"):
        await notifier.send(message)
    server.refuse.clear()
    await notifier.send(message)
    assert [to for _, to in server.envelopes[1:]] == [["ops@example.org"], ["grey@example.org"]]
    assert server.mails[1]["To"] == server.mails[2]["To"]


async def test_a_hanging_server_is_given_up_at_the_timeout(server: MailServer) -> None:
    """It accepts the connection and then says nothing, before TLS, in it, or after."""
    held: list[Any] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        await reader.read()

    peer = await asyncio.start_server(silent, "127.0.0.1", 0)
    server.port = peer.sockets[0].getsockname()[1]
    for security in ("tls", "starttls", "none"):
        notifier = notifier_of(server, security=security, timeout=0.3)
        error = await check_refusal(notifier.options, permanent=False)
        assert "gave no answer within 0.3 s" in str(error) or "Timed out" in str(error)
    for writer in held:
        writer.close()
    peer.close()


async def test_hostile_text_begins_no_header_and_no_element(server: MailServer) -> None:
    """Line breaks in names and messages add no header or recipient; markup is shown, not obeyed."""
    await server.start()
    target = "web\r\nBcc: evil@example.org\r\n\r\n<script>alert(1)</script>"
    message = message_of(text=NASTY, target=target)
    bad = TargetStatus(target=target, kind="x", status=Status.DOWN, message=NASTY)
    message = evolve(message, system=(bad,))
    await notifier_of(server).send(message)
    (mail,) = server.mails
    assert mail["Bcc"] is None
    assert server.envelopes == [("tocsin@example.org", ["ops@example.org"])]
    assert "\n" not in mail["Subject"]
    html = part(mail, "html")
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "\u202e" not in html
    assert "\x1b" not in html
    (attached,) = mail.iter_attachments()
    assert set(attached.get_filename() or "") <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
    )


ENCODED = "=?utf-8?q?a=0d=0aBcc:_evil@example.org=0d=0a=0d=0apay_here?="


@pytest.mark.parametrize(
    "target", [ENCODED, f"web {ENCODED}", f"{ENCODED}{ENCODED}", "=" + ENCODED, "x" * 90 + ENCODED]
)
async def test_an_encoded_word_begins_no_header_and_no_body(
    server: MailServer, target: str
) -> None:
    """A name that holds line breaks as an encoded word (RFC 2047) stands in the subject as it was
    written: no header more, no recipient, the body is ours. In a reference it is left out."""
    await server.start()
    message = message_of(target=target)
    reply = "<" + ENCODED.replace(":", "_") + "@example.org>"
    message = evolve(message, notices=(evolve(message.notices[0], reply_to=reply),))
    message = evolve(message, words=Renderer(clean=clean).words(message))
    await notifier_of(server).send(message)
    (mail,) = server.mails
    await notifier_of(server).send(message_of())
    assert mail.keys() == server.mails[1].keys()
    assert server.envelopes[0] == ("tocsin@example.org", ["ops@example.org"])
    assert mail["Subject"].startswith("[tocsin] CRITICAL: Container down: ")
    assert "= ?utf-8?q?a=0d=0a" in mail["Subject"]
    assert part(mail, "plain").startswith("🚨 CRITICAL: Container down: ")
    assert "=?utf-8?q?a=0d=0a" in part(mail, "plain"), "the body is none of a header"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"to": ()}, "at least one address"), ({"to": ("nobody",)}, "is not a mail address"),
        ({"to": ("a@example.org\r\nBcc: b@example.org",)}, "is not a mail address"),
        ({"to": ("a b@example.org",)}, "is not a mail address"),
        ({"to": ("jürgen@bücher.example",)}, "outside of ASCII"),
        ({"sender": "x\n@y"}, "is not a mail address"),
        ({"host": "mail example"}, "name or address"), ({"host": "mail:587"}, "goes into port"),
        ({"host": "[::1]:25"}, "goes into port"), ({"host": "[::1]"}, "no brackets"),
        ({"port": 0}, "from 1 to 65535"),
    ],
)  # fmt: skip
def test_wrong_options_are_refused(options: dict[str, Any], says: str) -> None:
    """With a sentence that says what is expected; an address cannot smuggle a command in."""
    given: dict[str, Any] = {"host": "mail.example.org", "to": ("a@example.org",), **options}
    with pytest.raises(ValueError, match=says):
        EmailNotifier(**given)


async def test_the_conformance_suite(server: MailServer) -> None:
    """It passes what every notifier has to."""
    await server.start()
    await check_notifier_conformance(notifier_of(server).options)


def big(message: Message, count: int) -> Message:
    """A message with a large system."""
    system = [
        TargetStatus(target=f"svc-{n}", kind="container", status=Status.UP, message="running")
        for n in range(count)
    ]
    message = evolve(message, system=tuple(system))
    return evolve(message, words=Renderer(clean=clean).words(message))


async def test_a_large_system_is_cut_short(server: MailServer) -> None:
    """A thousand targets: the table shows the first hundred and says how many more there are."""
    await server.start()
    await notifier_of(server).send(big(message_of(), 1000))
    html = part(server.mails[0], "html")
    assert html.count("svc-") == 100
    assert "and 900 more" in html
    assert "1000 of 1000 up" in html
