"""The smtp probe: the dialogue with a mail server, up to a login (RFC 5321, 3207, 4954)."""

from __future__ import annotations

import asyncio
import re
import ssl
from contextlib import suppress
from typing import ClassVar, cast

import aiosmtplib
from attrs import Attribute, frozen
from attrs import field as option

from tocsin import Probe, Result, Target, clean_text, connect_to, deadline, hookimpl, tls_context
from tocsin_net import _metrics
from tocsin_net._dialogue import address_literal, quoted
from tocsin_net._mail import LEAVE, MOST_OFFERED, MailProbe, Security, Session
from tocsin_net._options import (
    bare,
    check_port,
    place,
)
from tocsin_net._trouble import FAILURES, Trouble, because, failure, wrapped

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|\[[A-Za-z0-9.:]{1,60}\]")


def _check_name(_: object, attribute: Attribute[str | None], value: str | None) -> None:
    if value is not None and not _NAME.fullmatch(value):
        raise ValueError(
            f"{attribute.name} must be a host name in ASCII, or an address such as '[192.0.2.1]'"
        )


@frozen(kw_only=True)
class SmtpProbe(MailProbe):
    """Talk to a mail server: greeting, EHLO, optionally STARTTLS or TLS, and a login.

    Attributes:
        host: host name or address.
        port: 1 to 65535: 25, 587 (submission), 465 (TLS from the start).
        security: none, starttls or tls.
        verify: whether to verify the certificate.
        ca_file: CA certificates to trust instead of the machine's.
        server_name: name for SNI and the certificate check; unset: the host.
        user: user name for a login.
        password: password for a login.
        ehlo_name: name by which the probe introduces itself; unset: its address.
        degraded_above: a run that takes longer than this is degraded.
        certificate_warn_days: a certificate that ends in fewer days is degraded.
    """

    metrics: ClassVar[_metrics.Metrics] = _metrics.SMTP
    by_label: ClassVar[bool] = True
    config_only: ClassVar[tuple[str, ...]] = ("ca_file", "user", "password", "ehlo_name")

    port: int = option(default=25, validator=check_port)
    ehlo_name: str | None = option(default=None, validator=_check_name)

    async def check(self, target: Target) -> Result:
        """Run one session and judge it; no mail is sent."""
        here = place(self.host, self.port)
        session = Session()
        try:
            with deadline(self.timeout):
                await self._converse(session)
        except (*FAILURES, aiosmtplib.SMTPException) as error:
            if session.took is None:
                late = f"no {session.phase} within {self.timeout:g} s"
                return failure(_clearer(error, session.phase), here, late, session.metrics)
        took = session.took or 0.0
        return session.result(here, took, self.certificate_warn_days, self.degraded_above)

    async def _converse(self, session: Session) -> None:
        context = None
        if self.security is not Security.NONE:
            context = tls_context(self.verify, self.ca_file)
        connected = await connect_to(self.host, self.port, timeout=self.timeout)
        session.ended("connect_seconds")
        # From here on the library closes the socket: closed here too, its number could meanwhile
        # be that of another connection.
        client = aiosmtplib.SMTP(
            hostname=(self.server_name or bare(self.host)).rstrip("."),
            sock=connected,
            use_tls=self.security is Security.TLS,
            start_tls=False,
            tls_context=context,
            timeout=self.timeout,
            local_hostname=self.ehlo_name or address_literal(connected),
        )
        try:
            await self._dialogue(client, session)
        finally:
            if client.transport is not None:  # closing would wait for the server's part of TLS
                cast("asyncio.WriteTransport", client.transport).abort()
            client.close()

    async def _dialogue(self, client: aiosmtplib.SMTP, session: Session) -> None:
        session.waits_for("greeting")
        greeting = await client.connect()
        session.ended("greeting_seconds")
        session.attributes["greeting"] = clean_text(greeting.message, longest=200)
        session.waits_for("answer to EHLO")
        await client.ehlo()
        session.ended("ehlo_seconds")
        if self.security is Security.STARTTLS:
            if not client.supports_extension("starttls"):
                raise Trouble("the server offers no STARTTLS")
            session.waits_for("answer to STARTTLS")
            await client.starttls()
            session.ended("starttls_seconds")
            session.waits_for("answer to EHLO inside TLS")
            await client.ehlo()
        if self.security is not Security.NONE:
            session.secured(client.get_transport_info("ssl_object"))
        names = sorted(client.esmtp_extensions)[:MOST_OFFERED]
        session.attributes["extensions"] = [clean_text(name, longest=200) for name in names]
        if self.user is not None and self.password is not None:
            session.waits_for("answer to the login")
            await client.login(self.user.encode(), self.password.reveal().encode())
            session.ended("login_seconds")
        session.complete()
        with suppress(aiosmtplib.SMTPException, OSError):
            await client.quit(timeout=LEAVE)


def _clearer(error: BaseException, phase: str) -> BaseException:
    """Return an error of the network or a Trouble for an error of aiosmtplib."""
    inner = wrapped(error)
    if isinstance(inner, ssl.SSLError):
        return inner
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return because(f"the server refuses the login ({error.code})", error)
    if isinstance(error, aiosmtplib.SMTPResponseException):
        code = "" if error.code < 0 else f" {error.code}"
        # In the answer to a login, a server may repeat what it was sent.
        said = "" if "login" in phase else f" {quoted(' '.join(error.message.split()))}"
        return because(f"the {phase} is{code}{said}", error)
    if isinstance(error, aiosmtplib.SMTPTimeoutError):
        return error
    if isinstance(error, aiosmtplib.SMTPServerDisconnected | aiosmtplib.SMTPConnectError):
        cause = error.__cause__
        if isinstance(cause, OSError) and not isinstance(cause, aiosmtplib.SMTPException):
            return cause
        return because("the connection was closed early", error)
    if isinstance(error, aiosmtplib.SMTPException):
        return because(clean_text(error.message, longest=200), error)
    return error


@hookimpl
def tocsin_probes() -> dict[str, type[Probe]]:
    """Register the probe."""
    return {"smtp": SmtpProbe}
