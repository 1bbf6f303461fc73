"""The webhook notifier against a receiver made with the standard's own library, documented schemas
and a real Alertmanager."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from attrs import evolve
from jsonschema import Draft202012Validator
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.conftest import REQUIRE_REAL, eventually
from tests.notifiers.receiver import Receiver
from tests.notifiers.schemas import SCHEMAS
from tocsin import Kind, NotifyError, Secret, Severity, is_public_address
from tocsin.core.logs import clean
from tocsin.core.templates.renderer import Renderer
from tocsin.core.testing.alerting import NASTY
from tocsin.plugins.notifiers import webhook
from tocsin.plugins.notifiers.webhook import WebhookChannel, WebhookNotifier
from tocsin.plugins.notifiers.webhook.shapes import SHAPES, Shape
from tocsin.testing import check_notifier_conformance, check_refusal, message_of

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver(SECRET)
    await made.start()
    yield made
    await made.stop()


def notifier_of(receiver: Receiver, **options: Any) -> WebhookChannel:
    options = {"allow_private": True, "secret": Secret(SECRET), **options}
    return WebhookChannel(WebhookNotifier(url=Secret(receiver.url), **options))


async def test_the_receiver_believes_the_signature_and_rejects_a_replay(
    receiver: Receiver,
) -> None:
    """The standard's library verifies it; a changed body, another key and an old time fail; the
    same message sent again has the same id, by which the receiver knows it."""
    notifier, message = notifier_of(receiver), message_of()
    receipt = await notifier.send(message)
    assert receipt.answer == "answered 200: ok"
    (body,) = receiver.accepted
    assert body["type"] == "alert.fired"
    assert body["data"]["alerts"][0]["target"] == "web"
    assert body["data"]["alerts"][0]["affected"] == ["api", "shop"]
    await notifier.send(message)
    assert receiver.replayed == [str(message.id)]
    headers = {k.lower(): v for k, v in receiver.requests[0][0].items()}
    raw = receiver.requests[0][1].decode()
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(raw.replace("web", "wee"), headers)
    old = str(int(time.time()) - 3600)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(raw, {**headers, "webhook-timestamp": old})
    other = "whsec_" + base64.b64encode(b"x" * 32).decode()
    await check_refusal(notifier_of(receiver, secret=Secret(other)).options, permanent=True)
    assert len(receiver.rejected) == 1


@pytest.mark.parametrize("days", [40, -40])
async def test_a_wrong_clock_of_ours_costs_no_message(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """A receiver refuses what is signed long ago, or in the future: what it refuses is signed again
    by its own clock, once. Where that is refused as well, the reason names the clocks."""
    wrong = SimpleNamespace(time=lambda: time.time() + days * 86400)
    monkeypatch.setattr(webhook, "time", wrong)
    receipt = await notifier_of(receiver).send(message_of())
    assert receipt.answer == "answered 200: ok"
    assert (len(receiver.requests), len(receiver.accepted)) == (2, 1)
    other = Secret("whsec_" + base64.b64encode(b"x" * 32).decode())
    error = await check_refusal(notifier_of(receiver, secret=other).options, permanent=True)
    assert len(receiver.requests) == 4
    assert f"local clock is 40d {'ahead of' if days > 0 else 'behind'} the receiver's" in str(error)
    await check_refusal(notifier_of(receiver, secret=None).options, permanent=True)
    assert len(receiver.requests) == 5  # not signed: no clock is to blame


@pytest.mark.parametrize(
    ("status", "headers", "permanent", "retry_after"),
    [
        (301, {"Location": "http://127.0.0.1:1/"}, True, None), (307, {}, True, None),
        (400, {}, True, None), (404, {}, True, None), (410, {}, True, None),
        (408, {}, False, None), (429, {"Retry-After": "34"}, False, 34.0),
        (429, {"Retry-After": "10072"}, False, 10_072.0),
        (429, {"Retry-After": "soon"}, False, None), (429, {"Retry-After": "0.75"}, False, 0.75),
        (500, {}, False, None), (503, {"Retry-After": "7"}, False, 7.0),
    ],
)  # fmt: skip
async def test_each_answer_has_its_meaning(
    receiver: Receiver, status: int, headers: dict[str, str], permanent: bool,
    retry_after: float | None,
) -> None:  # fmt: skip
    """Redirects and refusals are final, overload is not, and Retry-After is handed on as it is."""
    receiver.answers.append((status, headers))
    error = await check_refusal(
        notifier_of(receiver).options, permanent=permanent, retry_after=retry_after
    )
    assert str(status) in str(error)
    assert error.disable is (status == 410)
    assert len(receiver.requests) == 1  # no redirect was followed
    if status == 301:
        assert "set url to the final URL" in str(error)


async def test_a_refusal_says_what_the_provider_said(receiver: Receiver) -> None:
    """Its own words, on one line and cut short, and what to look at."""
    receiver.answers.append((403, {}))
    receiver.says = "invalid_token\n" + "x" * 500
    error = await check_refusal(notifier_of(receiver).options, permanent=True)
    assert str(error).startswith("it answered 403 Forbidden: invalid_token xxx")
    assert str(error).endswith("; check url, secret and headers")
    assert len(str(error)) < 200


async def test_each_part_of_a_long_message_has_an_id_of_its_own(receiver: Receiver) -> None:
    """A receiver that drops what it has seen takes all of the parts; a retry goes on with the one
    that failed, under the same id."""
    message = message_of(*[Kind.FIRED] * 500)
    notices = [evolve(n, target=f"service-{i:03}" * 4) for i, n in enumerate(message.notices)]
    message = evolve(message, notices=tuple(notices))
    message = evolve(message, words=Renderer(clean=clean).words(message))
    notifier = notifier_of(receiver, shape=Shape.DISCORD)
    await notifier.send(message)
    count = len(receiver.accepted)
    assert count > 2
    assert receiver.replayed == []
    receiver.requests.clear()
    receiver.answers += [(200, {}), (500, {})]
    with pytest.raises(NotifyError, match="500"):
        await notifier.send(message)
    await notifier.send(message)
    ids = [headers["webhook-id"] for headers, _ in receiver.requests]
    assert ids[1] == ids[2]
    assert len(set(ids)) == count == len(ids) - 1
    assert ids[0] == str(message.id)


async def test_a_retry_after_may_be_a_date(receiver: Receiver) -> None:
    """RFC 9110 allows both forms."""
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=120), usegmt=True)
    receiver.answers.append((429, {"Retry-After": at}))
    with pytest.raises(NotifyError) as caught:
        await notifier_of(receiver).send(message_of())
    assert caught.value.retry_after is not None
    assert 60 < caught.value.retry_after <= 120


async def test_a_receiver_that_hangs_or_is_not_there_is_temporary(receiver: Receiver) -> None:
    """Both are tried again; the sentence does not show the URL, which may be a secret."""
    receiver.hang = True
    await check_refusal(notifier_of(receiver, timeout=0.2).options, permanent=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = Secret(f"http://127.0.0.1:{free.getsockname()[1]}/t0psecret")
        error = await check_refusal(WebhookNotifier(url=url, allow_private=True), permanent=False)
    assert "t0psecret" not in str(error)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1",
     "0.0.0.0", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "fe80::1", "fc00::1",
     "64:ff9b::a00:1",
     "2002:7f00:1::", "224.0.0.1", "::", "::7f00:1", "::ffff:0:7f00:1", "64:ff9b:1::a00:1",
     "fec0::1", "ff0e::1",
     # What clouds tell their machines, credentials among it.
     "168.63.129.16", "192.0.0.192", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254",
     "::ffff:168.63.129.16", "2002:a83f:8110::", "64:ff9b::a83f:8110", "64:ff9b::a9fe:a9fe",
     "2002:a9fe:a9fe::1", "2600::5efe:a9fe:a9fe", "2600::200:5efe:10.0.0.1", "fe80::1%eth0",
     # https://www.iana.org/assignments/iana-ipv4-special-registry and its sister for IPv6.
     "0.1.2.3", "192.0.0.1", "192.0.0.9", "192.88.99.1", "192.0.2.1", "198.18.0.1", "198.51.100.1",
     "203.0.113.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "2001::1", "2001:0:7f00:1::1",
     "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1",
     "::ffff:0.0.0.0", "3ffe::1", "", "x", "0x7f.1", "127.1", "1.2.3.4.5"],
)  # fmt: skip
def test_private_addresses_are_known(address: str) -> None:
    """Loopback, private, link-local, shared and multicast ones, however they are written."""
    assert not is_public_address(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "2002:808:808::1", "168.63.129.17",
     "64:ff9b::808:808", "192.0.1.1", "100.128.0.1", "2001:4860:4860::8888"],
)  # fmt: skip
def test_public_addresses_are_known(address: str) -> None:
    """What belongs to the open internet may be reached."""
    assert is_public_address(address)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0x7f.1", "127.1", "2130706433"],
)
async def test_a_private_address_is_refused_at_connect(receiver: Receiver, host: str) -> None:
    """A literal, a name that resolves to one, and an IPv6 form: refused before a byte is sent, with
    the option that would allow it."""
    port = receiver.url.split(":")[2].split("/")[0]
    notifier = WebhookNotifier(url=Secret(f"http://{host}:{port}/hook"))
    error = await check_refusal(notifier, permanent=True)
    unusual = host in ("127.1", "2130706433")  # yarl takes these for no host at all
    words = "the URL is not valid" if unusual else "is a private address; set allow_private = true"
    assert words in str(error)
    assert receiver.requests == []


async def test_an_address_that_changes_after_a_look_is_refused(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that resolves to a public address first and to a private one when it is connected to
    (rebinding) gains nothing: the address connected to is what counts."""

    def resolve(*_: Any, **__: Any) -> list[Any]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, ("127.0.0.1", int(port)))]

    port = receiver.url.split(":")[2].split("/")[0]
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    notifier = WebhookNotifier(url=Secret(f"http://hook.example:{port}/hook"))
    await check_refusal(notifier, permanent=True)
    assert receiver.requests == []


@pytest.mark.parametrize("shape", [s for s in Shape if s is not Shape.ALERTMANAGER])
@pytest.mark.parametrize("case", ["fired", "resolved", "storm", "hostile", "test"])
async def test_the_shapes_keep_to_their_documented_schemas(shape: Shape, case: str) -> None:
    """One alert, a recovery, five hundred at once, hostile text: each payload validates, within the
    provider's limits of length, and every name is there."""
    message = message_of(
        {"resolved": Kind.RESOLVED, "test": Kind.TEST}.get(case, Kind.FIRED),
        **({"text": NASTY, "target": NASTY[:80]} if case == "hostile" else {}),
    )
    if case == "storm":
        message = message_of(*[Kind.FIRED] * 500)
        notices = [evolve(n, target=f"service-{i:03}") for i, n in enumerate(message.notices)]
        message = evolve(message, notices=tuple(notices))
        message = evolve(message, words=Renderer(clean=clean).words(message))
    requests = SHAPES[shape](message, "https://example.org/a/topic?x=1")
    assert requests
    everything = ""
    for url, body in requests:
        Draft202012Validator(SCHEMAS[shape]).validate(json.loads(body))
        everything += body.decode()
        if shape is Shape.TEAMS:
            assert len(body) < 28_000
        if shape is Shape.NTFY:
            assert url == "https://example.org/a/?x=1"
            assert json.loads(body)["topic"] == "topic"
            assert len(json.loads(body)["message"].encode()) <= 4096
    if case == "storm":
        missing = [n for n in range(500) if f"service-{n:03}" not in everything.replace("\\", "")]
        assert missing == []


async def test_mentions_and_links_of_strangers_do_nothing() -> None:
    """Discord is told to ping nobody; Slack's control sequences are escaped."""
    message = message_of(text="<!channel> @everyone [x](http://evil) <http://evil|x>")
    message = evolve(message, words=Renderer(clean=clean).words(message))
    ((_, body),) = SHAPES[Shape.DISCORD](message, "https://example.org")
    assert json.loads(body)["allowed_mentions"] == {"parse": []}
    assert "[x](http" not in json.loads(body)["embeds"][0]["description"]
    ((_, body),) = SHAPES[Shape.SLACK](message, "https://example.org")
    assert "<!channel>" not in body.decode()
    assert "&lt;!channel&gt;" in body.decode()


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    """The URL of a real Alertmanager that lives as long as the test."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        if REQUIRE_REAL:
            pytest.fail("Alertmanager is not installed")
        pytest.skip("Alertmanager is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = tmp_path / "am.yml"
    config.write_text("route:\n  receiver: none\nreceivers:\n  - name: none\n")
    process = subprocess.Popen(
        [program, f"--config.file={config}", f"--storage.path={tmp_path / 'am'}",
         f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ},
    )  # fmt: skip
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


async def managed(url: str) -> list[dict[str, Any]]:
    """The alerts that Alertmanager shows."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/api/v2/alerts") as answer:
        found: list[dict[str, Any]] = await answer.json()
        return found


async def test_a_real_alertmanager_shows_alerts_firing_and_resolved(alertmanager: str) -> None:
    """Through its v2 API: one active alert with labels and annotations; escalated, it is one of the
    higher severity; recovered, none."""

    def up() -> bool:
        with urllib.request.urlopen(f"{alertmanager}/-/ready", timeout=1) as answer:
            return bool(answer.status == 200)

    await eventually(lambda: _quietly(up))
    notifier = WebhookChannel(
        WebhookNotifier(url=Secret(alertmanager), shape=Shape.ALERTMANAGER, allow_private=True)
    )
    now = datetime.now(UTC)
    message = message_of(Kind.FIRED)
    first = evolve(
        message.notices[0], severity=Severity.WARNING, at=now, since=now - timedelta(minutes=2)
    )
    await notifier.send(evolve(message, notices=(first,)))
    (alert,) = await managed(alertmanager)
    assert alert["status"]["state"] == "active"
    assert alert["labels"] == {
        "alertname": "container_down", "target": "web", "severity": "warning",
        "kind": "container", "source": "tocsin",
    }  # fmt: skip
    assert alert["annotations"]["affected"] == "api, shop"
    worse = evolve(first, kind=Kind.ESCALATED, severity=Severity.CRITICAL)
    await notifier.send(evolve(message, notices=(worse,)))
    (alert,) = await managed(alertmanager)
    assert alert["labels"]["severity"] == "critical"
    over = evolve(worse, kind=Kind.RESOLVED, at=datetime.now(UTC))
    await notifier.send(evolve(message, notices=(over,)))
    assert await managed(alertmanager) == []


def _quietly(check: Any) -> bool:
    try:
        return bool(check())
    except OSError:
        return False


async def test_the_conformance_suite(receiver: Receiver) -> None:
    """It passes what every notifier has to, in every shape."""
    receiver.secret = None
    for shape in Shape:
        await check_notifier_conformance(notifier_of(receiver, shape=shape).options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"url": Secret("ftp://x")}, "https://host/path"), ({"url": Secret("https://")}, "host"),
        ({"secret": Secret("short")}, "at least 16 bytes"),
        ({"secret": Secret("whsec_***")}, "not base64"),
        ({"headers": {"webhook-id": Secret("1")}}, "set by tocsin"),
        ({"headers": {"X": Secret("a\r\nY: b")}}, "line break"),
        ({"headers": {"a b": Secret("1")}}, "not a valid header name"),
    ],
)  # fmt: skip
def test_wrong_options_are_refused(options: dict[str, Any], says: str) -> None:
    """With a sentence that says what is expected."""
    with pytest.raises(ValueError, match=says):
        WebhookNotifier(**{"url": Secret("https://example.org"), **options})
