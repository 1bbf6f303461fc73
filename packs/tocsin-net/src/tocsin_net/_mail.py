"""What the probes of mail servers have in common."""

from __future__ import annotations

import ssl
import time
from enum import StrEnum
from ipaddress import ip_address

from attrs import define, field, frozen
from attrs import field as option

from tocsin import Probe, Result, Seconds, Secret, Target
from tocsin_net._certificate import Certificate, certificate_of, judged
from tocsin_net._options import bare, check_host, check_line, check_server_name

LEAVE = 1.0
"""Seconds to wait for the server's answer to QUIT or LOGOUT."""

MOST_OFFERED = 100
"""Most extensions or capabilities of a server that are kept as attributes."""


class Security(StrEnum):
    """How a connection is encrypted: not, by STARTTLS, or from the start."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


def check_login(host: str, security: Security, user: str | None, password: Secret | None) -> None:
    """Validate the options of a login together.

    Raises:
        ValueError: one of them is missing, or the password would be sent in the clear.
    """
    if (user is None) != (password is None):
        raise ValueError("user and password belong together; set both, or neither")
    if password is not None and security is Security.NONE and not _is_local(host):
        raise ValueError(
            "the password would be sent in the clear; set security to 'starttls' or 'tls'"
        )


def _is_local(host: str) -> bool:
    try:
        return ip_address(bare(host)).is_loopback
    except ValueError:
        return host == "localhost"


@frozen(kw_only=True)
class MailProbe(Probe):
    """The options that the probes of mail servers share."""

    host: str = option(validator=check_host)
    security: Security = Security.NONE
    verify: bool = True
    ca_file: str | None = None
    server_name: str | None = option(default=None, validator=check_server_name)
    user: str | None = option(default=None, validator=check_line)
    password: Secret | None = None
    degraded_above: Seconds | None = None
    certificate_warn_days: float = 14.0

    def __attrs_post_init__(self) -> None:
        """Validate what depends on several options."""
        check_login(self.host, self.security, self.user, self.password)

    def network_host(self, target: Target) -> str:
        """Return the host, without the brackets of an IPv6 address."""
        return bare(self.host)


@define
class Session:
    """What one run has seen so far.

    Attributes:
        phase: what is waited for, for messages.
        metrics: durations of the phases that have ended.
        attributes: further facts.
        certificate: the server's; None: no TLS yet.
        took: seconds until the server had answered all that it was asked; None: not yet.
    """

    phase: str = "connection"
    metrics: dict[str, float] = field(factory=dict)
    attributes: dict[str, object] = field(factory=dict)
    certificate: Certificate | None = None
    took: float | None = None
    _began: float = field(factory=time.monotonic)
    _since: float = field(factory=time.monotonic)

    def ended(self, metric: str) -> None:
        """Record the duration of the phase that has just ended."""
        now = time.monotonic()
        self.metrics[metric] = now - self._since
        self._since = now

    def waits_for(self, phase: str) -> None:
        """Record what is waited for from now on."""
        self._since, self.phase = time.monotonic(), phase

    def secured(self, tls: object) -> None:
        """Record the TLS connection. Raises CheckError if the certificate cannot be parsed."""
        self.certificate = certificate_of(tls)
        if isinstance(tls, ssl.SSLObject):
            self.attributes["tls_version"] = tls.version() or ""

    def complete(self) -> None:
        """Record that the server has answered all that it was asked."""
        self.took = time.monotonic() - self._began

    def result(self, place: str, took: float, warn_days: float, above: float | None) -> Result:
        """Return the result of a complete session; for the arguments, see :func:`judged`."""
        return judged(
            place, "answers", took=took, metrics=self.metrics, attributes=self.attributes,
            certificate=self.certificate, warn_days=warn_days, degraded_above=above,
        )  # fmt: skip
