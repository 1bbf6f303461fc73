"""The tls probe: the certificate of a server, and the TLS that it uses."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar

from attrs import field as option
from attrs import frozen

from tocsin import (
    CheckError,
    Probe,
    Result,
    Seconds,
    Target,
    deadline,
    describe_error,
    hookimpl,
    tls_context,
)
from tocsin_net import _metrics
from tocsin_net._certificate import (
    Certificate,
    certificate_of,
    judged,
    when_it_ends,
)
from tocsin_net._dialogue import Dialogue
from tocsin_net._options import bare, check_host, check_port, check_server_name, place
from tocsin_net._starttls import StartTls, request_tls
from tocsin_net._trouble import FAILURES, Trouble, because, failure


class Version(StrEnum):
    """A version of TLS."""

    TLS_1_2 = "1.2"
    TLS_1_3 = "1.3"


_VERSIONS = {Version.TLS_1_2: ssl.TLSVersion.TLSv1_2, Version.TLS_1_3: ssl.TLSVersion.TLSv1_3}

_TOO_OLD = (
    "UNSUPPORTED_PROTOCOL",
    "TLSV1_ALERT_PROTOCOL_VERSION",
    "WRONG_SSL_VERSION",
    "NO_PROTOCOLS_AVAILABLE",
)
"""Reasons of OpenSSL if there is no version that both sides use."""

_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")
"""Reasons of OpenSSL if the server's first bytes are not TLS."""


@frozen(kw_only=True)
class TlsProbe(Probe):
    """Check the certificate of a server: chain, name and expiry, also by STARTTLS.

    Attributes:
        host: host name or address.
        port: 1 to 65535.
        starttls: none, or the protocol in which TLS is asked for: smtp, imap, pop3, ftp, postgres.
        verify: whether the chain and the name have to be valid; the expiry is checked in any case.
        ca_file: CA certificates to trust instead of the machine's.
        server_name: name for SNI and the certificate check; unset: the host.
        min_version: oldest version of TLS that counts as up: "1.2" or "1.3".
        warn_days: a certificate that ends in fewer days is degraded.
        critical_days: a certificate that ends in fewer days is down.
        degraded_above: a run that takes longer than this is degraded.
    """

    metrics: ClassVar[_metrics.Metrics] = _metrics.TLS
    by_label: ClassVar[bool] = True
    config_only: ClassVar[tuple[str, ...]] = ("ca_file",)

    host: str = option(validator=check_host)
    port: int = option(default=443, validator=check_port)
    starttls: StartTls = StartTls.NONE
    verify: bool = True
    ca_file: str | None = None
    server_name: str | None = option(default=None, validator=check_server_name)
    min_version: Version = Version.TLS_1_2
    warn_days: float = 14.0
    critical_days: float = 3.0
    degraded_above: Seconds | None = None

    def __attrs_post_init__(self) -> None:
        """Validate what depends on two options."""
        if self.critical_days > self.warn_days:
            raise ValueError("critical_days must not be more than warn_days")

    def network_host(self, target: Target) -> str:
        """Return the host, without the brackets of an IPv6 address."""
        return bare(self.host)

    async def check(self, target: Target) -> Result:
        """Connect once and judge the certificate.

        If the certificate is not valid, connect again without verification, because OpenSSL shows
        only such a certificate that it has accepted.
        """
        here = place(self.host, self.port)
        metrics: dict[str, float] = {}
        refused: ssl.SSLCertVerificationError | None = None
        began = time.monotonic()
        try:
            with deadline(self.timeout):
                try:
                    seen, facts = await self._connect(self.verify, metrics)
                except ssl.SSLCertVerificationError as error:
                    refused = error
                    seen, facts = await self._connect(False, metrics)
        except FAILURES as error:
            if refused is not None and not isinstance(error, CheckError):
                return failure(refused, here, "", metrics)
            return failure(self._clearer(error), here, self._late(metrics), metrics)
        took = time.monotonic() - began
        facts["verified"] = self.verify and refused is None
        days = seen.days()
        bad = None
        if refused is not None:
            bad = describe_error(refused) + (f" ({when_it_ends(days)})" if days < 0 else "")
        elif days < self.critical_days:
            bad = when_it_ends(days)
        if bad is not None:
            metrics["certificate_expiry_days"] = days
            facts |= seen.attributes()
            text = f"{here}: {bad}"
            return Result.down(text, latency=took, metrics=metrics, attributes=facts)
        return judged(
            here, f"has a certificate for another {int(days)} days", took=took, metrics=metrics,
            attributes=facts, certificate=seen, warn_days=self.warn_days,
            degraded_above=self.degraded_above,
        )  # fmt: skip

    async def _connect(
        self, verify: bool, metrics: dict[str, float]
    ) -> tuple[Certificate, dict[str, object]]:
        """Connect, and return the certificate and facts about the connection."""
        context = tls_context(verify, self.ca_file, _VERSIONS[self.min_version])
        began = time.monotonic()
        dialogue = await Dialogue.connect(self.host, self.port, self.timeout)
        try:
            metrics["connect_seconds"] = time.monotonic() - began
            if self.starttls is not StartTls.NONE:
                before = time.monotonic()
                await request_tls(dialogue, self.starttls)
                metrics["starttls_seconds"] = time.monotonic() - before
            before = time.monotonic()
            tls = await dialogue.secure(context, self.server_name or bare(self.host))
            metrics["tls_seconds"] = time.monotonic() - before
            seen = certificate_of(tls)
            if seen is None:
                raise Trouble("the server shows no certificate")
            cipher = tls.cipher()
            facts: dict[str, object] = {
                "tls_version": tls.version() or "",
                "cipher": cipher[0] if cipher else "",
            }
            return seen, facts
        finally:
            dialogue.close()

    def _late(self, metrics: Mapping[str, float]) -> str:
        if "connect_seconds" not in metrics:
            return f"no connection within {self.timeout:g} s"
        if self.starttls is not StartTls.NONE and "starttls_seconds" not in metrics:
            return f"no answer to the request for TLS within {self.timeout:g} s"
        return f"the TLS handshake did not end within {self.timeout:g} s"

    def _clearer(self, error: BaseException) -> BaseException:
        """Return an error with a clearer message for what OpenSSL words for programmers."""
        if isinstance(error, ssl.SSLError) and error.reason in _TOO_OLD:
            return because(f"the server does not use TLS {self.min_version} or newer", error)
        if isinstance(error, ssl.SSLError) and error.reason in _NO_TLS:
            hint = "; see the option starttls" if self.starttls is StartTls.NONE else ""
            return because(f"the server's answer is not TLS{hint}", error)
        return error


@hookimpl
def tocsin_probes() -> dict[str, type[Probe]]:
    """Register the probe."""
    return {"tls": TlsProbe}
