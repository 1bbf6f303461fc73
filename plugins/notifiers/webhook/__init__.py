"""The webhook notifier: posts signed JSON to a URL, in the format of the receiver."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urlsplit

from attrs import Factory, define, field, frozen

from tocsin import (
    Context,
    Message,
    Notifier,
    NotifierRuntime,
    NotifyError,
    Receipt,
    Secret,
    clean_text,
    format_duration,
    hookimpl,
    parse_retry_after,
)
from tocsin.plugins.notifiers._http import Progress, post
from tocsin.plugins.notifiers.webhook.shapes import SHAPES, Shape

TOLERATED = 120.0
"""Seconds by which the clocks may differ; receivers that check times tolerate five minutes."""

_REFUSED = (400, 401, 403)
"""Statuses with which receivers reject a signature or its time."""

_OURS = ("content-type", "content-length", "host", "transfer-encoding")


def _check_url(_: object, __: object, url: Secret) -> None:
    try:
        parts = urlsplit(url.reveal())
        fits = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        fits = False
    if not fits:
        raise ValueError("must read https://host/path or http://host/path")


def _check_secret(_: object, __: object, secret: Secret | None) -> None:
    if secret is not None:
        key_of(secret)


def _check_headers(_: object, __: object, headers: Mapping[str, Secret]) -> None:
    for name, value in headers.items():
        if not name or not all(c.isalnum() or c in "-_" for c in name) or not name.isascii():
            raise ValueError(f"{name!r} is not a valid header name")
        if name.lower() in _OURS or name.lower().startswith("webhook-"):
            raise ValueError(f"{name} is set by tocsin; remove it")
        if any(c in "\r\n\0" for c in value.reveal()):
            raise ValueError(f"the value of {name} has a line break")


def key_of(secret: Secret) -> bytes:
    """Return the signing key: ``whsec_`` and base64, or the text itself. Raises ValueError."""
    text = secret.reveal()
    if not text.startswith("whsec_"):
        key = text.encode()
    else:
        try:
            key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
        except ValueError as error:
            raise ValueError("the text after whsec_ is not base64") from error
    if len(key) < 16:
        raise ValueError("must have at least 16 bytes; make one with: openssl rand -base64 32")
    return key


@frozen(kw_only=True)
class WebhookNotifier(Notifier):
    """POST each message as JSON to a URL.

    Attributes:
        url: the URL. It counts as a secret, since many receivers identify senders by it alone.
        shape: format of the receiver: standard, slack, discord, teams, ntfy, alertmanager.
        secret: key that signs messages (Standard Webhooks): ``whsec_`` and base64, or any text.
        headers: additional headers, such as Authorization; their values are secrets.
        allow_private: also send to private and link-local addresses.
        verify: check the server's certificate.
    """

    url: Secret = field(validator=_check_url)
    shape: Shape = Shape.STANDARD
    secret: Secret | None = field(default=None, validator=_check_secret)
    headers: Mapping[str, Secret] = field(default=Factory(dict), validator=_check_headers)
    allow_private: bool = False
    verify: bool = True

    async def open(self, context: Context) -> WebhookChannel:
        """Return what posts the messages."""
        return WebhookChannel(self)


@define(eq=False)
class WebhookChannel(NotifierRuntime):
    """Posts the messages of one channel.

    Attributes:
        options: its options.
    """

    options: WebhookNotifier
    _done: Progress = field(init=False, factory=Progress)

    async def send(self, message: Message) -> Receipt:
        """Post a message, in as many requests as the format needs. Raises NotifyError."""
        options = self.options
        requests = SHAPES[options.shape](message, options.url.reveal())
        left = self._done.left(message.id, requests)
        answer = "accepted in an earlier attempt"
        for number, (url, body) in enumerate(left, len(requests) - len(left)):
            identity = f"{message.id}-{number}" if number else str(message.id)
            headers = {"Content-Type": "application/json", "User-Agent": "tocsin"}
            headers |= {name: value.reveal() for name, value in options.headers.items()}
            status, answered, raw = await self._post(url, body, headers, identity)
            ahead = 0.0 if options.secret is None else _ahead(answered)
            if status in _REFUSED and abs(ahead) > TOLERATED:
                status, answered, raw = await self._post(url, body, headers, identity, ahead)
            said = _said(raw)
            if status in _REFUSED and abs(ahead) > TOLERATED:
                how = "ahead of" if ahead > 0 else "behind"
                said += (
                    f" (the local clock is {format_duration(round(abs(ahead) / 60) * 60)} {how}"
                    " the receiver's)"
                )
            _judge(status, answered, said)
            self._done.one(message.id)
            answer = f"answered {status}" + _said(raw)
        self._done.forget(message.id)
        return Receipt(answer=answer)

    async def _post(
        self, url: str, body: bytes, headers: Mapping[str, str], identity: str, ahead: float = 0.0
    ) -> tuple[int, Mapping[str, str], bytes]:
        options = self.options
        return await post(
            url,
            body,
            {**headers, **self._signature(identity, body, ahead)},
            timeout=options.timeout,
            allow_private=options.allow_private,
            verify=options.verify,
        )

    def _signature(self, identity: str, body: bytes, ahead: float) -> Mapping[str, str]:
        """Return the headers of Standard Webhooks 1.0
        (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md):
        HMAC-SHA256 over id, time and body. Retries have the same id, but a new time.
        ``ahead``: seconds to subtract from this host's clock."""
        options = self.options
        at = str(int(time.time() - ahead))
        headers = {"webhook-id": identity, "webhook-timestamp": at}
        if options.secret is not None:
            signed = f"{identity}.{at}.".encode() + body
            digest = hmac.new(key_of(options.secret), signed, hashlib.sha256).digest()
            headers["webhook-signature"] = "v1," + base64.b64encode(digest).decode()
        return headers


def _judge(status: int, headers: Mapping[str, str], said: str) -> None:
    """Raise NotifyError unless the status means success."""
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        try:
            host = urlsplit(headers.get("Location", "")).hostname
        except ValueError:  # not a valid URL
            host = None
        where = f" to {host}" if host else ""
        raise NotifyError(
            f"it answered {status}: redirects{where} are not followed; set url to the final URL",
            permanent=True,
            everything=True,
        )
    if status == 410:
        raise NotifyError("it answered 410 Gone: this URL no longer accepts messages", disable=True)
    answer = f"it answered {status}{_meaning(status)}{said}"
    if status in (408, 425, 429) or status >= 500:
        # A gateway (502, 504) does not know whether the server accepted the request.
        answered = status not in (408, 429, 502, 503, 504)
        delay = parse_retry_after(headers.get("Retry-After"))
        raise NotifyError(answer, retry_after=delay, answered=answered)
    everything = status in (401, 403, 404, 405)
    if everything:
        answer += "; check url, secret and headers"
    raise NotifyError(answer, permanent=True, everything=everything)


def _ahead(headers: Mapping[str, str]) -> float:
    """Return the seconds by which this host's clock is ahead of the receiver's, according to the
    header ``Date``; 0 without that header."""
    try:
        return time.time() - parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0


def _meaning(status: int) -> str:
    try:
        return f" {HTTPStatus(status).phrase}"
    except ValueError:
        return ""


def _said(raw: bytes) -> str:
    text = clean_text(" ".join(raw.decode("utf-8", "replace").split()), longest=120)
    return f": {text}" if text else ""


@hookimpl
def tocsin_notifiers() -> dict[str, type[Notifier]]:
    """Announce the notifier."""
    return {"webhook": WebhookNotifier}
