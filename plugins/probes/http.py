"""The http probe: one request, and what its answer must be."""

from __future__ import annotations

import asyncio
import base64
import re
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from attrs import Factory, define, frozen
from attrs import field as option

from tocsin import Bytes, Probe, Result, Seconds, Secret, Target, hookimpl
from tocsin.plugins.probes._http_expect import (
    Expectation,
    json_expectation,
    parse_statuses,
    show_statuses,
)
from tocsin.plugins.probes._net import certificate_days, in_words, tls_context

_FAMILIES = {"any": socket.AF_UNSPEC, "ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}


def _check_url(_: object, __: object, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must read http://host/path or https://host/path")


def _check_statuses(_: object, __: object, value: list[int | str]) -> None:
    parse_statuses(value)


def _check_regex(_: object, __: object, value: str | None) -> None:
    try:
        re.compile(value or "")
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None


def _check_family(_: object, __: object, value: str) -> None:
    if value not in _FAMILIES:
        raise ValueError(f"must be one of {', '.join(_FAMILIES)}")


def _check_json(_: object, __: object, value: Mapping[str, Any]) -> None:
    for path, wanted in value.items():
        json_expectation(path, wanted)


@define
class _Timings:
    """Monotonic seconds at which the phases of a request ended; days the certificate has."""

    began: float = Factory(time.monotonic)
    dns: float | None = None
    connected: float | None = None
    first_byte: float | None = None
    certificate_days: float | None = None


class _Connector(aiohttp.TCPConnector):
    """Looks at the certificate while there is a connection: a short answer is over, and its
    connection gone, before the caller sees it."""

    def __init__(self, timings: _Timings, **options: Any) -> None:
        super().__init__(**options)
        self._timings = timings

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        """Connect, as the session asks."""
        connection = await super().connect(*args, **kwargs)
        if connection.transport is not None:
            secured = connection.transport.get_extra_info("ssl_object")
            self._timings.certificate_days = certificate_days(secured)
        return connection


@frozen(kw_only=True)
class HttpProbe(Probe):
    """Send an HTTP request and check status, body, certificate and speed.

    Attributes:
        url: http:// or https:// address.
        method: the request's method.
        headers: headers to send; they are never shown.
        body: text to send.
        user: user name for basic authentication.
        password: password for basic authentication.
        bearer: token for bearer authentication.
        expected_status: what is right: numbers and ranges, such as [200, "300-399"].
        contains: text the body must hold.
        not_contains: text the body must not hold.
        matches: regular expression the body must match somewhere.
        json: what values of a JSON body must be: {"$.status" = "ok", "$.queue[0].depth" = "< 100"}.
        redirects: how many redirects to follow; 0 takes the redirect as the answer.
        max_body: how much of the body is read.
        verify: check the certificate.
        ca_file: certificates to trust, instead of the machine's.
        server_name: the name to ask for and check, if not the host of the URL.
        family: any, ipv4 or ipv6.
        degraded_above: slower than this is degraded.
        certificate_warn_days: a certificate that ends sooner is degraded.
    """

    url: str = option(validator=_check_url)
    method: str = "GET"
    headers: Mapping[str, Secret] = Factory(dict)
    body: str | None = None
    user: str | None = None
    password: Secret | None = None
    bearer: Secret | None = None
    expected_status: list[int | str] = option(
        default=Factory(lambda: ["200-299"]), validator=_check_statuses
    )
    contains: str | None = None
    not_contains: str | None = None
    matches: str | None = option(default=None, validator=_check_regex)
    json: Mapping[str, str | int | float | bool] = option(factory=dict, validator=_check_json)
    redirects: int = 5
    max_body: Bytes = 1_000_000
    verify: bool = True
    ca_file: str | None = None
    server_name: str | None = None
    family: str = option(default="any", validator=_check_family)
    degraded_above: Seconds | None = None
    certificate_warn_days: float = 14.0

    def reaches(self, target: Target) -> str | None:
        """The host of the URL."""
        return urlsplit(self.url).hostname

    async def check(self, target: Target) -> Result:
        """Send one request over a connection of its own: a kept one would hide a dead listener."""
        timings = _Timings()
        try:
            async with asyncio.timeout(self.timeout), self._session(timings) as session:
                answer, body = await self._exchange(session, timings)
        except TimeoutError:
            return Result.down(f"no answer within {self.timeout:g} s", metrics=_phases(timings))
        except aiohttp.TooManyRedirects:
            return Result.down(f"more than {self.redirects} redirects", metrics=_phases(timings))
        except aiohttp.ClientConnectorCertificateError as error:
            return Result.down(in_words(error.certificate_error), metrics=_phases(timings))
        except aiohttp.ClientConnectorError as error:
            return Result.down(in_words(error.os_error), metrics=_phases(timings))
        except aiohttp.ClientPayloadError:
            return Result.down("the body ended early", metrics=_phases(timings))
        except aiohttp.ServerDisconnectedError:
            return Result.down("the connection was closed early", metrics=_phases(timings))
        except aiohttp.InvalidURL:
            return Result.down("redirected to an address that is no URL", metrics=_phases(timings))
        except aiohttp.ClientResponseError as error:
            text = f"the answer is not HTTP: {error.message.splitlines()[0][:100]}"
            return Result.down(text, metrics=_phases(timings))
        except (aiohttp.ClientError, OSError, ssl.SSLError) as error:
            return Result.down(in_words(error), metrics=_phases(timings))
        return self._judge(answer, body, timings)

    def _session(self, timings: _Timings) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()

        async def resolved(*_: object) -> None:
            timings.dns = time.monotonic()

        async def connected(*_: object) -> None:
            timings.connected = time.monotonic()

        trace.on_dns_resolvehost_end.append(resolved)
        trace.on_connection_create_end.append(connected)
        connector = _Connector(
            timings,
            force_close=True,
            use_dns_cache=False,
            resolver=aiohttp.ThreadedResolver(),
            family=_FAMILIES[self.family],
            ssl=tls_context(self.verify, self.ca_file),
        )
        return aiohttp.ClientSession(
            connector=connector,
            trace_configs=[trace],
            timeout=aiohttp.ClientTimeout(total=None, connect=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "tocsin", "Accept": "*/*"},
            auto_decompress=True,
        )

    async def _exchange(
        self, session: aiohttp.ClientSession, timings: _Timings
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        headers = {name: value.reveal() for name, value in self.headers.items()}
        if self.bearer is not None:
            headers["Authorization"] = f"Bearer {self.bearer.reveal()}"
        if self.user is not None:
            password = "" if self.password is None else self.password.reveal()
            pair = base64.b64encode(f"{self.user}:{password}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        async with session.request(
            self.method,
            self.url,
            headers=headers,
            data=None if self.body is None else self.body.encode(),
            allow_redirects=self.redirects > 0,
            max_redirects=max(1, self.redirects),
            server_hostname=self.server_name,
        ) as answer:
            timings.first_byte = time.monotonic()
            body = b""
            while len(body) < self.max_body:
                chunk = await answer.content.read(min(65536, self.max_body - len(body)))
                if not chunk:
                    break
                body += chunk
            else:
                answer.close()  # the rest is of no interest
            return answer, body

    def _judge(
        self,
        answer: aiohttp.ClientResponse,
        body: bytes,
        timings: _Timings,
    ) -> Result:
        took = time.monotonic() - timings.began
        metrics = {
            **_phases(timings),
            "total_seconds": took,
            "http_status_code": float(answer.status),
            "body_bytes": float(len(body)),
        }
        days = timings.certificate_days
        if days is not None:
            metrics["certificate_expiry_days"] = days
        if trouble := self._trouble(answer, body):
            return Result.down(trouble, metrics=metrics, latency=took)
        if days is not None and days < self.certificate_warn_days:
            text = f"{answer.status}, but the certificate ends in {days:.0f} days"
            return Result.degraded(text, metrics=metrics, latency=took)
        if self.degraded_above is not None and took > self.degraded_above:
            text = f"{answer.status}, but slow: {took * 1000:.0f} ms"
            return Result.degraded(text, metrics=metrics, latency=took)
        return Result.up(f"{answer.status} {answer.reason or ''}".strip(), metrics=metrics,
                         latency=took)  # fmt: skip

    def _trouble(self, answer: aiohttp.ClientResponse, body: bytes) -> str | None:
        if not any(answer.status in part for part in parse_statuses(self.expected_status)):
            wanted = show_statuses(self.expected_status)
            reason = f" {answer.reason}" if answer.reason else ""
            return f"status {answer.status}{reason}, expected {wanted}"
        if not (self.contains or self.not_contains or self.matches or self.json):
            return None
        cut = " in the part that was read" if len(body) >= self.max_body else ""
        text = body.decode(_charset(answer), "replace")
        if self.contains and self.contains not in text:
            return f"the body does not contain {self.contains!r}{cut}"
        if self.not_contains and self.not_contains in text:
            return f"the body contains {self.not_contains!r}"
        if self.matches and not re.search(self.matches, text):
            return f"the body does not match {self.matches!r}{cut}"
        expectations: list[Expectation] = [json_expectation(p, w) for p, w in self.json.items()]
        return next((t for e in expectations if (t := e.trouble(text))), None)


def _charset(answer: aiohttp.ClientResponse) -> str:
    name = answer.charset or "utf-8"
    try:
        "".encode(name)
    except LookupError:
        return "utf-8"
    return name


def _phases(timings: _Timings) -> dict[str, float]:
    """The phases that were reached. TLS is part of connecting, as aiohttp counts it."""
    metrics = {}
    start = timings.began
    if timings.dns is not None:
        metrics["dns_seconds"] = timings.dns - start
        start = timings.dns
    if timings.connected is not None:
        metrics["connect_seconds"] = timings.connected - start
        start = timings.connected
    if timings.first_byte is not None:
        metrics["first_byte_seconds"] = timings.first_byte - start
    return metrics


@hookimpl
def tocsin_probes() -> dict[str, type[Probe]]:
    """Announce the probe."""
    return {"http": HttpProbe}
