"""The tcp probe: connect to a port; optionally use TLS, send a text and check the answer."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Mapping
from typing import ClassVar

from attrs import field as option
from attrs import frozen, validators

from tocsin import (
    CheckError,
    Metric,
    Probe,
    Result,
    Seconds,
    Target,
    check_pattern,
    clean_text,
    connect_to,
    deadline,
    decode_text,
    describe_error,
    hookimpl,
    open_stream,
    search_text,
    tls_context,
)
from tocsin.plugins.probes import _metrics
from tocsin.plugins.probes._net import certificate_days, check_server_name

MAX_READ = 64 * 1024
"""Most bytes of the answer that are read."""


@frozen(kw_only=True)
class TcpProbe(Probe):
    r"""Connect to a TCP port; optionally use TLS, send a text and check the answer.

    Attributes:
        host: host name or address.
        port: 1 to 65535.
        tls: whether to use TLS.
        verify: whether to verify the certificate.
        ca_file: CA certificates to trust instead of the machine's.
        server_name: name for SNI and the certificate check; unset: the host.
        send: text to send; \r, \n, \t and \xNN have the same meaning as in Python.
        expect: regular expression that must match somewhere in the answer.
        degraded_above: a run that takes longer than this is degraded.
        certificate_warn_days: a certificate that expires in fewer days is degraded.
    """

    metrics: ClassVar[Mapping[str, Metric]] = _metrics.TCP
    by_label: ClassVar[bool] = True
    config_only: ClassVar[tuple[str, ...]] = ("send", "ca_file", "expect")

    host: str
    port: int = option(validator=validators.and_(validators.ge(1), validators.le(65535)))
    tls: bool = False
    verify: bool = True
    ca_file: str | None = None
    server_name: str | None = option(default=None, validator=check_server_name)
    send: str | None = None
    expect: str | None = option(default=None, validator=check_pattern)
    degraded_above: Seconds | None = None
    certificate_warn_days: float = 14.0

    def network_host(self, target: Target) -> str:
        """Return the host, without the brackets of an IPv6 address."""
        return self.host.strip("[]")

    async def check(self, target: Target) -> Result:
        """Connect once and return the result."""
        place = f"{self.host}:{self.port}"
        writer: asyncio.StreamWriter | None = None
        metrics: dict[str, float] = {}
        answer, expected = "", True
        began = time.monotonic()
        try:
            with deadline(self.timeout):
                connected = await connect_to(self.host, self.port, timeout=self.timeout)
                reader, writer = await open_stream(connected)
                metrics["connect_seconds"] = time.monotonic() - began
                if self.tls:
                    before = time.monotonic()
                    context = tls_context(self.verify, self.ca_file)
                    name = self.server_name or self.network_host(target)
                    await writer.start_tls(context, server_hostname=name)
                    metrics["tls_seconds"] = time.monotonic() - before
                if self.send is not None:
                    writer.write(_bytes(self.send))
                    await writer.drain()
                if self.expect is not None:
                    answer, expected = await self._read(reader, self.expect)
        except TimeoutError as error:
            doing = "no connection" if writer is None else "no expected answer"
            text = f"{place}: {doing} within {self.timeout:g} s"
            return Result.failed(error, text, metrics=metrics)
        except CheckError as error:
            return Result.failed(error, metrics=metrics)
        except (OSError, EOFError, ValueError) as error:  # ValueError: not a valid host name
            return Result.failed(error, f"{place}: {describe_error(error)}", metrics=metrics)
        finally:
            if writer is not None:
                writer.transport.abort()
        took = time.monotonic() - began
        if not expected:
            got = f"got '{clean_text(answer, longest=240)}'" if answer else "got nothing"
            text = f"{place}: expected {self.expect!r}, {got}"
            return Result.down(text, metrics=metrics, latency=took)
        return self._judge(place, writer.get_extra_info("ssl_object"), metrics, took)

    async def _read(self, reader: asyncio.StreamReader, wanted: str) -> tuple[str, bool]:
        """Read until the expression matches, the peer closes, or ``MAX_READ`` bytes are read.

        Returns:
            The text received, and whether the expression matches it.
        """
        data = b""
        while True:
            chunk = await reader.read(4096)
            data += chunk
            text = decode_text(data)
            if await search_text(wanted, text):
                return text, True
            if not chunk or len(data) >= MAX_READ:
                return text, False

    def _judge(
        self,
        place: str,
        secured: ssl.SSLObject | None,
        metrics: dict[str, float],
        took: float,
    ) -> Result:
        days = certificate_days(secured)
        if days is not None:
            metrics["certificate_expiry_days"] = days
        if days is not None and days < self.certificate_warn_days:
            text = f"{place}: the certificate ends in {days:.0f} days"
            return Result.degraded(text, metrics=metrics, latency=took)
        if self.degraded_above is not None and took > self.degraded_above:
            text = f"{place}: slow, {took * 1000:.0f} ms"
            return Result.degraded(text, metrics=metrics, latency=took)
        return Result.up(f"{place} answers", metrics=metrics, latency=took)


def _bytes(text: str) -> bytes:
    r"""Replace the escapes ``\r``, ``\n``, ``\t``, ``\\`` and ``\xNN``, and encode as UTF-8.

    TOML replaces escapes itself in a basic string, but not in a literal string.
    """
    simple = {"\\r": "\r", "\\n": "\n", "\\t": "\t", "\\\\": "\\"}
    return re.sub(
        r"\\(?:r|n|t|\\|x[0-9A-Fa-f]{2})",
        lambda m: simple.get(m[0]) or chr(int(m[0][2:], 16)),
        text,
    ).encode("utf-8")


@hookimpl
def tocsin_probes() -> dict[str, type[Probe]]:
    """Register the probe."""
    return {"tcp": TcpProbe}
